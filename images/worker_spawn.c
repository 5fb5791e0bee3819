/* Starting a confined worker: see worker_spawn.h. */
#include "images/worker_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static const char program[] = "cubit-worker";

/* The program beside ours, as installed or built together. */
static int beside_us(char *ret, size_t bytes, struct error *err)
{
	ssize_t n = readlink("/proc/self/exe", ret, bytes - 1);
	char *slash;

	if (n < 0)
		return error_errno(err, errno, "find our own program");
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	if (!slash || (size_t)(slash + 1 - ret) + sizeof(program) > bytes)
		return error_set(err, ENAMETOOLONG, "our own program is too deep");
	memcpy(slash + 1, program, sizeof(program));
	return 0;
}

/* Everything the child needs, ready before it is made. */
struct plan {
	const char *path;
	char *argv[3];
	int fds[WORKER_FDS_MAX + WORKER_FIRST_FD]; /* as they are to be numbered; 2 stays */
	size_t n_fds;
	int report; /* one errno when something fails */
};

static void reset_signals(void)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &by_default, NULL); /* fails for KILL, STOP and libc's own: nothing to reset */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, between clone3 and exec: system calls only. */
__attribute__((noreturn)) static void child(const struct plan *p)
{
	char *no_environment[] = { NULL };
	int copies[WORKER_FDS_MAX + WORKER_FIRST_FD], last = (int)p->n_fds - 1, code;
	int report = fcntl(p->report, F_DUPFD_CLOEXEC, last + 1);

	reset_signals();
	if (report < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setsid() < 0)
		goto failed;
	/* out of the way first, or one would be closed by the other's taking its number */
	for (int i = 0; i <= last; i++) {
		copies[i] = fcntl(p->fds[i], F_DUPFD_CLOEXEC, last + 1);
		if (copies[i] < 0)
			goto failed;
	}
	for (int i = 0; i <= last; i++)
		if (dup2(copies[i], i) < 0)
			goto failed;
	if (syscall(SYS_close_range, (unsigned)last + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		goto failed;
	(void)execve(p->path, p->argv, no_environment);
failed:
	code = errno;
	if (write(report >= 0 ? report : p->report, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

static int start(const struct plan *p, int report, struct worker *w, struct error *err)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&w->pidfd,
				   .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	int code = 0;
	ssize_t n;

	if (pid < 0)
		return error_errno(err, errno, "clone3");
	if (pid == 0)
		child(p);
	w->pid = (pid_t)pid;
	(void)close(p->report); /* so that the end of file is seen */
	do
		n = read(report, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	return n == sizeof(code) ? error_errno(err, code, "'%s'", p->path) : 0;
}

int worker_spawn(const char *path, const char *kind, const int *fds, size_t n_fds, struct worker *ret,
		 struct error *err)
{
	struct worker w = { -1, -1, 0 };
	char ours[PATH_MAX], name[32];
	int pair[2] = { -1, -1 }, report[2], r = 0;
	cleanup_fd int control = -1, theirs = -1, null = -1, report_read = -1;
	struct plan p = { .path = path ? path : ours, .n_fds = WORKER_FIRST_FD + n_fds };

	if (n_fds > WORKER_FDS_MAX)
		return error_set(err, EINVAL, "%zu descriptors for a worker, at most %d", n_fds, WORKER_FDS_MAX);
	if (!path)
		r = beside_us(ours, sizeof(ours), err);
	if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		r = error_errno(err, errno, "socketpair");
	if (r < 0)
		return r;
	control = pair[0];
	theirs = pair[1];
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || pipe2(report, O_CLOEXEC) < 0)
		return error_errno(err, errno, "prepare a worker");
	report_read = report[0];
	p.report = report[1];
	(void)snprintf(name, sizeof(name), "%s", kind);
	p.argv[0] = (char *)(uintptr_t)program;
	p.argv[1] = name;
	p.fds[0] = p.fds[1] = null;
	p.fds[2] = STDERR_FILENO;
	p.fds[WORKER_CONTROL_FD] = theirs;
	memcpy(p.fds + WORKER_FIRST_FD, fds, n_fds * sizeof(*fds));
	r = start(&p, report_read, &w, err);
	if (r < 0) {
		worker_end(&w, NULL);
		if (w.pid == 0)
			(void)close(report[1]); /* start() did not come to it */
		(void)error_wrap(err, "start the %s worker", kind);
		return r;
	}
	w.control = fd_take(&control);
	*ret = w;
	return 0;
}

void worker_end(struct worker *w, int *ret_status)
{
	siginfo_t info = { 0 };

	if (ret_status)
		*ret_status = 0;
	if (w->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0); /* may be gone already */
		while (waitid((idtype_t)P_PIDFD, (id_t)w->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		if (ret_status)
			*ret_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
	}
	fd_close(&w->pidfd);
	fd_close(&w->control);
}

void worker_describe(int status, char *ret, size_t bytes)
{
	if (WIFEXITED(status))
		(void)snprintf(ret, bytes, "exit status %d", WEXITSTATUS(status));
	else
		(void)snprintf(ret, bytes, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}
