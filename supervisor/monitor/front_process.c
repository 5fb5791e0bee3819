/*
 * Between fork and exec of the front: see front_process.h. A list of steps; the order is the policy, so each says why
 * it stands where it does. Identity is changed with the raw system calls, nptl(7).
 */
#include "supervisor/monitor/front_process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/digest.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/monitor/listen.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/monitor/state_dir.h"
#include "supervisor/protocol/front_fds.h"
#include "supervisor/settings.h"

enum { FDS_MAX = FRONT_FD_TCP + LISTEN_TCP_MAX, EXTRA_ENV = 3, ENV_BYTES = 128 };

#define STEPS(X)                                                                                                       \
	X(SESSION, "start a session")                                                                                  \
	X(DESCRIPTORS, "arrange descriptors")                                                                          \
	X(DIRECTORY, "enter the state directory")                                                                      \
	X(LIMITS, "set resource limits")                                                                               \
	X(BOUNDING, "empty the bounding set")                                                                          \
	X(IDENTITY, "take the identity")                                                                               \
	X(CAPABILITIES, "drop capabilities")                                                                           \
	X(NO_NEW_PRIVS, "renounce new privileges")                                                                     \
	X(PARENT, "be bound to the monitor")                                                                           \
	X(EXEC, "execute the program")

enum step {
#define X(name, text) STEP_##name,
	STEPS(X)
#undef X
		STEP_COUNT,
};

static const char *const step_names[STEP_COUNT] = {
#define X(name, text) [STEP_##name] = (text),
	STEPS(X)
#undef X
};

/* Everything the child needs, ready before it is made. */
struct child_plan {
	int fds[FDS_MAX]; /* as they are to be numbered */
	int n_fds;
	int exe_fd, dir_fd, report_fd;
	uid_t uid;
	gid_t gid;
	pid_t parent;
	char **env;
	cap_t no_caps;
};

struct child_report {
	uint32_t step;
	int32_t code;
};

/* ---- in the child: system calls only ---- */

static void reset_signals(void)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &by_default, NULL); /* fails for KILL, STOP and libc's own: nothing to reset */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_descriptors(struct child_plan *p)
{
	int copies[FDS_MAX];

	/* out of the way first, or one would be closed by the other's taking its number */
	p->report_fd = fcntl(p->report_fd, F_DUPFD_CLOEXEC, FDS_MAX);
	p->exe_fd = fcntl(p->exe_fd, F_DUPFD_CLOEXEC, FDS_MAX);
	p->dir_fd = fcntl(p->dir_fd, F_DUPFD_CLOEXEC, FDS_MAX);
	if (p->report_fd < 0 || p->exe_fd < 0 || p->dir_fd < 0)
		return -1;
	for (int i = 0; i < p->n_fds; i++) {
		copies[i] = fcntl(p->fds[i], F_DUPFD_CLOEXEC, FDS_MAX);
		if (copies[i] < 0)
			return -1;
	}
	for (int i = 0; i < p->n_fds; i++) {
		if (dup2(copies[i], i) < 0)
			return -1;
	}
	/* nothing but these survives exec, whatever was opened how */
	return (int)syscall(SYS_close_range, (unsigned)p->n_fds, UINT_MAX, CLOSE_RANGE_CLOEXEC);
}

static int set_limits(void)
{
	struct rlimit files, none = { 0, 0 };

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -1 : setrlimit(RLIMIT_CORE, &none);
}

static int empty_bounding_set(void)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++) {
		if (cap_drop_bound(cap) < 0)
			return -1;
	}
	return 0;
}

static int take_identity(const struct child_plan *p)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, p->gid, p->gid, p->gid) < 0)
		return -1;
	return (int)syscall(SYS_setresuid, p->uid, p->uid, p->uid);
}

static int drop_capabilities(const struct child_plan *p)
{
	return cap_reset_ambient() < 0 ? -1 : cap_set_proc(p->no_caps);
}

/* The monitor may have died before this was said: then we are somebody else's child already. */
static int bind_to_parent(const struct child_plan *p)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	errno = ESRCH;
	return getppid() == p->parent ? 0 : -1;
}

/* Returns the step that failed, with errno. */
static enum step become_front(struct child_plan *p)
{
	static char name[] = "cubitd", front[] = FRONT_ARGUMENT;
	char *argv[] = { name, front, NULL };

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* until exec this is the monitor's memory */
	reset_signals();
	if (setsid() < 0)
		return STEP_SESSION;
	if (take_descriptors(p) < 0)
		return STEP_DESCRIPTORS;
	(void)umask(077);
	if (fchdir(p->dir_fd) < 0)
		return STEP_DIRECTORY;
	if (set_limits() < 0)
		return STEP_LIMITS;
	if (empty_bounding_set() < 0) /* needs CAP_SETPCAP, so before the identity */
		return STEP_BOUNDING;
	if (take_identity(p) < 0) /* groups before gid before uid: each needs what the next takes away */
		return STEP_IDENTITY;
	if (drop_capabilities(p) < 0) /* inheritable ones outlive the change of identity */
		return STEP_CAPABILITIES;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return STEP_NO_NEW_PRIVS;
	if (bind_to_parent(p) < 0) /* after the last change of credentials, which clears it */
		return STEP_PARENT;
	(void)syscall(SYS_execveat, p->exe_fd, "", argv, p->env, AT_EMPTY_PATH);
	return STEP_EXEC;
}

/* ---- in the monitor ---- */

static int fork_child(struct child_plan *p, int report, struct front_process *ret, struct error *err)
{
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD };
	struct child_report said = { 0 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	ssize_t n;

	if (pid == 0) {
		said.step = become_front(p);
		said.code = errno;
		_exit(write(p->report_fd, &said, sizeof(said)) == (ssize_t)sizeof(said) ? 127 : 126);
	}
	if (pid < 0)
		return error_errno(err, errno, "clone3");
	fd_close(&p->report_fd); /* so that the end of file is seen */
	do {
		n = read(report, &said, sizeof(said));
	} while (n < 0 && errno == EINTR);
	*ret = (struct front_process){ .pidfd = pidfd, .pid = pid };
	if (n == 0)
		return 0;
	(void)front_process_reap(ret);
	return error_errno(err, said.code, "%s", said.step < STEP_COUNT ? step_names[said.step] : "?");
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* The settings and what only this start knows. extra: memory for the latter. */
static char **make_env(char **settings, const struct front_plan *plan, char extra[EXTRA_ENV][ENV_BYTES])
{
	size_t n = count(settings);
	char **env = calloc(n + EXTRA_ENV + 1, sizeof(*env));
	const char *stream = getenv("JOURNAL_STREAM");

	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		env[i] = settings[i];
	(void)snprintf(extra[0], ENV_BYTES, "CUBIT_FRONT_TCP=%zu", plan->listeners->n_tcp);
	(void)snprintf(extra[1], ENV_BYTES, "CUBIT_ADMIN_HASH=%s", digest_hex(plan->admin_hash));
	env[n] = extra[0];
	env[n + 1] = extra[1];
	if (stream && snprintf(extra[2], ENV_BYTES, "JOURNAL_STREAM=%s", stream) < ENV_BYTES)
		env[n + 2] = extra[2]; /* its lines go where ours do */
	return env;
}

static int start(const struct front_plan *plan, struct child_plan *p, struct front_process *ret, struct error *err)
{
	char extra[EXTRA_ENV][ENV_BYTES];
	char **settings = settings_environment(plan->settings);
	cleanup_fd int report = -1;
	int pipe_fds[2], r;

	p->env = settings ? make_env(settings, plan, extra) : NULL;
	p->no_caps = cap_init();
	if (!p->env || !p->no_caps) {
		free(p->env);
		(void)cap_free(p->no_caps); /* NULL is refused, and nothing else */
		settings_environment_free(settings);
		return error_errno(err, ENOMEM, "environment");
	}
	r = pipe2(pipe_fds, O_CLOEXEC) < 0 ? error_errno(err, errno, "pipe") : 0;
	if (r == 0) {
		report = pipe_fds[0];
		p->report_fd = pipe_fds[1];
		r = fork_child(p, report, ret, err);
		fd_close(&p->report_fd);
	}
	free(p->env);
	(void)cap_free(p->no_caps); /* cannot fail for what libcap made */
	settings_environment_free(settings);
	return r;
}

int front_process_start(const struct front_plan *plan, struct front_process *ret, int *ret_sock, struct error *err)
{
	cleanup_fd int ours = -1, theirs = -1, null = -1, exe = -1;
	struct child_plan p = {
		.dir_fd = plan->dirs->front_fd,
		.report_fd = -1,
		.uid = plan->dirs->uid,
		.gid = plan->dirs->gid,
		.parent = getpid(),
		.n_fds = FRONT_FD_TCP + (int)plan->listeners->n_tcp,
	};
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "start the front: socketpair");
	ours = pair[0];
	theirs = pair[1];
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (null < 0 || exe < 0)
		return error_errno(err, errno, "start the front: open '%s'", null < 0 ? "/dev/null" : "/proc/self/exe");
	p.exe_fd = exe;
	p.fds[STDIN_FILENO] = null;
	p.fds[STDOUT_FILENO] = p.fds[STDERR_FILENO] = STDERR_FILENO;
	p.fds[FRONT_FD_MONITOR] = theirs;
	p.fds[FRONT_FD_UNIX] = plan->listeners->unix_fd;
	p.fds[FRONT_FD_STATE] = plan->dirs->front_fd;
	for (size_t i = 0; i < plan->listeners->n_tcp; i++)
		p.fds[FRONT_FD_TCP + i] = plan->listeners->tcp_fds[i];
	r = start(plan, &p, ret, err);
	if (r < 0) {
		(void)error_wrap(err, "start the front");
		return r;
	}
	*ret_sock = fd_take(&ours);
	return 0;
}

void front_process_kill(const struct front_process *p)
{
	if (p->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0); /* dead already is as good */
}

int front_process_reap(struct front_process *p)
{
	siginfo_t si = { 0 };
	int r;

	do {
		r = waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &si, WEXITED);
	} while (r < 0 && errno == EINTR);
	fd_close(&p->pidfd);
	p->pid = 0;
	return si.si_code == CLD_EXITED ? si.si_status << 8 : si.si_status;
}
