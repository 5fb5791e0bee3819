/*
 * A child in our memory: it gets what it was given, its end and its exec are waited for, one that does neither is given up,
 * and of ours nothing has changed but what it was meant to write.
 *
 * # timeout: 60
 */
#include "runtime/clone_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

enum { TIMEOUT_MS = 30000, SHORT_MS = 200, STATUS = 7, NOT_BLOCKED = 8, HIGH_FD = 700 };

struct order {
	int status;
	char text[32];
};

static void child_exits(const void *arg)
{
	const struct order *o = arg;
	sigset_t blocked;

	(void)sigprocmask(SIG_SETMASK, NULL, &blocked);
	_exit(sigismember(&blocked, SIGTERM) == 1 && strcmp(o->text, "as it was given") == 0 ? o->status : NOT_BLOCKED);
}

static void child_executes(const void *arg)
{
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "exit 7", NULL };
	char *env[] = { NULL };

	(void)arg;
	(void)execve("/bin/sh", argv, env);
	_exit(1);
}

static void child_hangs(const void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
}

static void child_closes_all(const void *arg)
{
	(void)arg;
	errno = EDOM; /* ours, meanwhile */
	_exit(syscall(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE) < 0 ? 1 : STATUS);
}

/* Returns the wait status, -1 when it could not be made; *ret_late as it was said. */
static int run(void (*child)(const void *), unsigned timeout_ms, bool *ret_late)
{
	const struct order o = { .status = STATUS, .text = "as it was given" };
	struct clone_args args = { .exit_signal = SIGCHLD };
	cleanup_fd int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	pid_t pid = clone_shared(&args, child, &o, sizeof(o), timeout_ms, &pidfd, ret_late);
	int status = -1;

	if (pid < 0)
		return -1;
	p.fd = pidfd;
	if (poll(&p, 1, TIMEOUT_MS) != 1 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static bool has_exited(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == STATUS;
}

static void test_late(void)
{
	uint64_t begin = clock_now_ns();
	bool is_late;
	int status = run(child_hangs, SHORT_MS, &is_late);

	ok(is_late, "a child that neither executes nor ends is given up");
	ok(clock_now_ns() - begin >= SHORT_MS * NS_PER_MS, "after its time, not before");
	ok(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "and killed");
	ok(has_exited(run(child_exits, TIMEOUT_MS, &is_late)) && !is_late, "the next one has memory of its own");
}

static void test_ours(void)
{
	sigset_t before, after;
	bool is_late;

	(void)sigemptyset(&before);
	(void)sigaddset(&before, SIGUSR2);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	ok(dup2(1, HIGH_FD) == HIGH_FD && has_exited(run(child_closes_all, TIMEOUT_MS, &is_late)),
	   "a child closes every descriptor");
	ok(fcntl(HIGH_FD, F_GETFD) >= 0 && fcntl(0, F_GETFD) >= 0, "but not ours");
	(void)close(HIGH_FD);
	(void)sigprocmask(SIG_SETMASK, NULL, &after);
	ok(sigismember(&after, SIGUSR2) == 1 && sigismember(&after, SIGTERM) == 0, "our signal mask is what it was");
	is_int(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1, "and we are as dumpable as before");
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	ok(has_exited(run(child_exits, TIMEOUT_MS, &is_late)) && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
	   "who was not stays so");
}

int main(void)
{
	static const char too_much[CLONE_SHARED_ARG_MAX + 1];
	struct clone_args args = { .exit_signal = SIGCHLD };
	bool is_late;
	int pidfd = -1;

	ok(has_exited(run(child_exits, TIMEOUT_MS, &is_late)) && !is_late,
	   "a child gets its order, with every signal blocked");
	ok(has_exited(run(child_executes, TIMEOUT_MS, &is_late)) && !is_late, "a child executes a program");
	test_ours();
	is_int(clone_shared(&args, child_exits, too_much, sizeof(too_much), TIMEOUT_MS, &pidfd, &is_late), -E2BIG,
	       "an order that does not fit is refused");
	args.flags = CLONE_NEWUSER | CLONE_FS; /* which the kernel refuses together */
	is_int(clone_shared(&args, child_exits, "", 1, TIMEOUT_MS, &pidfd, &is_late), -EINVAL,
	       "what the kernel refuses is said");
	is_int(pidfd, -1, "and nothing is handed out");
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) /* elsewhere it has a copy, and nobody waits for it */
	test_late();
#endif
	return done_testing();
}
