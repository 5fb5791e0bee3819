/*
 * Processes for the host: start with pipes or a terminal, signal, resize, reap.
 *
 * Between fork and exec a child already has the payload's uid, so every other payload may send it signals. Pid 1
 * therefore never waits for one (vfork(2) would): exec, or the child's end, closes a pipe, and pid 1 serves on
 * meanwhile. Nothing inside can look into the child: like pid 1 it is not dumpable, so ptrace(2) and /proc refuse it.
 *
 * From seccomp(2) to exec the child runs under the payload's filter, and nothing of ours may need a call that a policy
 * can refuse. What the child has to say it says in memory that it shares with pid 1 (struct birth), and when no call
 * ends it, an invalid instruction does. Whether its program began is told by the kernel: see fork_unborn().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/init/init.h"

enum { ARGS_MAX = 4096, FORK_WAIT_MS = 300 };

/* ---- what is counted from a START to its end ---- */

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * NS_PER_S + (uint64_t)tv->tv_usec * NS_PER_US;
}

static uint64_t own_cpu_ns(void)
{
	struct rusage ru;

	return getrusage(RUSAGE_SELF, &ru) < 0 ? 0 : timeval_ns(&ru.ru_utime) + timeval_ns(&ru.ru_stime);
}

/*
 * The last number of a process or thread that was given away inside: the fifth word of the kernel's loadavg is of the
 * reader's own namespace (fs/proc/loadavg.c). Numbers are given in turn, and no payload may choose one. 0: unknown.
 */
static uint32_t last_pid(const struct init *in)
{
	char text[128];
	ssize_t n = in->loadavg_fd < 0 ? -1 : pread(in->loadavg_fd, text, sizeof(text) - 1, 0);
	const char *word;
	uint32_t pid = 0;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	word = strrchr(text, ' ');
	for (word = word ? word + 1 : ""; *word >= '0' && *word <= '9'; word++)
		pid = pid * 10 + (uint32_t)(*word - '0');
	return pid;
}

/* ---- the table ---- */

struct proc *proc_new(struct init *in, enum proc_kind kind, uint32_t seq)
{
	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		struct proc *p = &in->procs[i];

		if (p->state != PROC_FREE)
			continue;
		*p = (struct proc){
			.state = PROC_STARTING,
			.kind = kind,
			.seq = seq,
			.last_pid = last_pid(in),
			.agent_ns = own_cpu_ns(),
			.report_fd = -1,
			.fds = { -1, -1, -1 },
		};
		in->births[i] = (struct birth){ .is_filtered = 0 };
		return p;
	}
	errno = EAGAIN;
	return NULL;
}

struct proc *proc_find(struct init *in, uint32_t seq)
{
	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		struct proc *p = &in->procs[i];

		if (p->state != PROC_FREE && p->kind == PROC_PAYLOAD && p->seq == seq)
			return p;
	}
	errno = ESRCH;
	return NULL;
}

struct proc *proc_by_pid(struct init *in, pid_t pid)
{
	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		if ((in->procs[i].state == PROC_STARTING || in->procs[i].state == PROC_RUNNING) &&
		    in->procs[i].pid == pid)
			return &in->procs[i];
	}
	return NULL;
}

void proc_release(struct proc *p)
{
	for (size_t i = 0; i < 3; i++)
		fd_close(&p->fds[i]);
	fd_close(&p->report_fd);
	p->state = PROC_FREE;
}

/* ---- standard descriptors ---- */

struct stdio {
	int child[3]; /* what becomes 0, 1, 2; for a PTY all three are the same descriptor in child[0] */
	int host[3];
};

static void stdio_done(struct stdio *s)
{
	for (size_t i = 0; i < 3; i++) {
		fd_close(&s->child[i]);
		fd_close(&s->host[i]);
	}
}

/* The terminal belongs to the identity that will use it: devpts takes the owner from the opener's fsuid. */
static int open_pty(struct stdio *s, const struct identity *id, const struct agent_start *start)
{
	struct winsize size = { .ws_col = start->cols, .ws_row = start->rows };
	int unlock = 0;

	(void)setfsuid(id->uid);
	s->host[0] = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	(void)setfsuid(0);
	if (s->host[0] < 0 || ioctl(s->host[0], TIOCSPTLCK, &unlock) < 0)
		return -1;
	s->child[0] = ioctl(s->host[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->child[0] < 0 || (size.ws_col && ioctl(s->host[0], TIOCSWINSZ, &size) < 0))
		return -1;
	return 0;
}

/*
 * The pipes belong to the identity that will use them, as the terminal does: opening /dev/stdin is opening the pipe anew
 * through /proc/self/fd, and that asks for the permissions of its inode, which pipe(2) makes with mode 0600.
 */
static int make_pipe(int p[2], const struct identity *id)
{
	int r;

	(void)setfsgid(id->gid);
	(void)setfsuid(id->uid);
	r = pipe2(p, O_CLOEXEC);
	(void)setfsuid(0);
	(void)setfsgid(0);
	return r;
}

static int open_pipes(struct stdio *s, const struct identity *id, bool has_stdin)
{
	for (int i = 0; i < 3; i++) {
		int p[2];

		if (i == 0 && !has_stdin) {
			s->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (s->child[0] < 0)
				return -1;
			continue;
		}
		if (make_pipe(p, id) < 0)
			return -1;
		s->child[i] = p[i == 0 ? 0 : 1];
		s->host[i] = p[i == 0 ? 1 : 0];
	}
	return 0;
}

static int stdio_open(struct stdio *s, const struct identity *id, const struct agent_start *start)
{
	*s = (struct stdio){ .child = { -1, -1, -1 }, .host = { -1, -1, -1 } };
	if (start->stdio == AGENT_STDIO_PTY)
		return open_pty(s, id, start);
	return open_pipes(s, id, start->stdio != AGENT_STDIO_NO_STDIN);
}

/* In the child: put them in place. A new session always (terminal injection), the terminal as its controlling one. */
static int stdio_take(const struct stdio *s, bool is_pty, struct failure *f)
{
	if (setsid() < 0)
		return fail(f, AGENT_STAGE_SESSION, "setsid");
	for (int i = 0; i < 3; i++) {
		if (dup2(is_pty ? s->child[0] : s->child[i], i) < 0)
			return fail(f, AGENT_STAGE_STDIO, "dup2");
	}
	if (is_pty && ioctl(0, TIOCSCTTY, 0) < 0)
		return fail(f, AGENT_STAGE_STDIO, "controlling terminal");
	return 0;
}

/* ---- starting ---- */

/* A stack as large as the memory is a wish: where the host gives less, it is what the host gives. */
static void lower_to_own(struct rlimit *l)
{
	struct rlimit own;

	if (getrlimit(RLIMIT_STACK, &own) < 0)
		return;
	if (l->rlim_max > own.rlim_max)
		l->rlim_max = own.rlim_max;
	if (l->rlim_cur > l->rlim_max)
		l->rlim_cur = l->rlim_max;
}

static int set_rlimits(const struct span *packed, struct failure *f)
{
	struct frame_reader r = { .data = packed->data, .size = packed->size };

	while (r.at < r.size) {
		uint32_t resource = frame_get_u32(&r);
		struct rlimit l = { .rlim_cur = frame_get_u64(&r), .rlim_max = frame_get_u64(&r) };

		if (!r.is_bad && resource == RLIMIT_CORE)
			continue; /* pid 1's own holds: 1, see runtime/rlimits.c */
		if (!r.is_bad && resource == RLIMIT_STACK)
			lower_to_own(&l);
		if (r.is_bad || setrlimit((int)resource, &l) < 0)
			return fail(f, AGENT_STAGE_RLIMIT, "setrlimit");
	}
	return 0;
}

/* Strings of a span as a NULL-terminated vector; -1 when there are too many. */
static int unpack(const struct span *s, const char *ret[ARGS_MAX])
{
	size_t n = 0;

	for (const char *p = span_next(s, NULL); p; p = span_next(s, p)) {
		if (n == ARGS_MAX - 1) {
			errno = E2BIG;
			return -1;
		}
		ret[n++] = p;
	}
	ret[n] = NULL;
	return 0;
}

static const char *find_path(const char *const env[])
{
	for (; *env; env++) {
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	}
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execve(2) that comes back: the errno, 0 when a policy answers with success and does nothing. */
static int try_exec(const char *file, const char *const argv[], const char *const env[])
{
	return execve(file, (char **)(uintptr_t)argv, (char **)(uintptr_t)env) < 0 ? errno : 0;
}

/* execvp(3) with the payload's own PATH; of the errnos the one that says most. */
static int exec_search(const char *const argv[], const char *const env[])
{
	const char *path = find_path(env);
	int code = ENOENT;
	char file[4096];

	if (strchr(argv[0], '/'))
		return try_exec(argv[0], argv, env);
	while (*path) {
		size_t n = strcspn(path, ":");
		int m = snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, argv[0]);

		if (m > 0 && (size_t)m < sizeof(file)) {
			int e = try_exec(file, argv, env);

			if (e != ENOENT && e != ENOTDIR)
				code = e;
		}
		path += n + (path[n] == ':');
	}
	return code;
}

/*
 * Does execve(2) get as far as the kernel? There a path at an address that nobody has is EFAULT, and ours, which are in
 * our memory, never are.
 */
static bool is_exec_refused(int code)
{
	return code == EFAULT || syscall(SYS_execve, 1UL, NULL, NULL) == 0 || errno != EFAULT;
}

static const char *start_argv[ARGS_MAX], *start_env[ARGS_MAX];

/* In the child, from fork to exec. The order is the policy; each step says why in restrict.c. */
static void become_payload(const struct init *in, const struct agent_start *start, const struct identity *id,
			   const struct stdio *s, struct failure *f)
{
	bool is_refused;
	int code;

	if (stdio_take(s, start->stdio == AGENT_STDIO_PTY, f) < 0)
		return;
	if (set_rlimits(&start->rlimits, f) < 0)
		return;
	(void)umask(start->umask);
	if (restrict_identity(id, start->cwd, f) < 0)
		return;
	/* the net below all O_CLOEXEC: nothing but 0, 1, 2 survives exec. UNSHARE would copy, CLOEXEC marks */
	if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
		(void)fail(f, AGENT_STAGE_STDIO, "close_range");
		return;
	}
	if (restrict_filter(in, start->filter, f) < 0)
		return;
	code = exec_search(start_argv, start_env);
	is_refused = is_exec_refused(code);
	errno = code;
	(void)fail(f, is_refused ? AGENT_STAGE_POLICY : AGENT_STAGE_EXEC, start_argv[0]);
}

/*
 * A child that is to become a program has another signal for its end than SIGCHLD. exec makes it SIGCHLD (clone(2), "the
 * child termination signal"; de_thread() in the kernel), and wait4(2) with __WCLONE finds those children that have another: so
 * the kernel itself says whether a child ended before its program began. 0 where arguments differ between
 * architectures.
 */
static pid_t fork_unborn(void)
{
	return (pid_t)syscall(SYS_clone, UNBORN_SIGNAL, 0, 0, 0, 0);
}

/*
 * A helper that has answered, or a process that was killed a moment ago, may still be on its way out and hold the last
 * place under a small limit of processes (a zombie counts). They are waited for, and nobody else is served meanwhile; a
 * limit that is really reached costs these milliseconds once.
 */
static pid_t fork_patiently(struct init *in)
{
	const struct timespec pause = { .tv_nsec = NS_PER_MS };
	const uint64_t deadline = clock_deadline_ns(FORK_WAIT_MS * NS_PER_MS);
	pid_t pid = fork_unborn();

	while (pid < 0 && errno == EAGAIN && clock_now_ns() < deadline) {
		(void)nanosleep(&pause, NULL);
		process_reap(in);
		pid = fork_unborn();
	}
	return pid;
}

int process_fork(struct init *in, struct proc *p, int pair[2], struct failure *f)
{
	p->pid = fork_patiently(in);
	if (p->pid == 0) {
		fd_close(&pair[0]);
		return 0;
	}
	fd_close(&pair[1]);
	if (p->pid < 0) {
		(void)fail(f, AGENT_STAGE_FORK, "process");
		fd_close(&pair[0]);
		return -1;
	}
	p->report_fd = pair[0];
	p->deadline_ns = clock_deadline_ns(START_TIMEOUT_MS * NS_PER_MS);
	return 1;
}

struct birth *birth_of(struct init *in, const struct proc *p)
{
	return &in->births[p - in->procs];
}

_Noreturn void birth_end(struct birth *b, const struct failure *f)
{
	if (f->stage != AGENT_STAGE_NONE) {
		b->failure = *f;
		__atomic_store_n(&b->has_failed, 1, __ATOMIC_RELEASE);
	}
	(void)syscall(SYS_exit_group, 0);
	(void)syscall(SYS_exit, 0);
	__builtin_trap(); /* a policy refuses both: no call ends it */
}

bool birth_failed(struct init *in, const struct proc *p, struct failure *ret)
{
	const struct birth *b = birth_of(in, p);

	if (!__atomic_load_n(&b->has_failed, __ATOMIC_ACQUIRE))
		return false;
	*ret = b->failure;
	return true;
}

/* The host's ends that there are, without gaps. */
static size_t host_fds(const int host[3], int ret[3])
{
	size_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		if (host[i] >= 0)
			ret[n++] = host[i];
	}
	return n;
}

/* Check the request, make the descriptors, fork. -1 with f filled. Does not return in the child. */
static int try_start(struct init *in, const struct agent_start *start, struct proc *p, struct stdio *s,
		     struct failure *f)
{
	struct identity id;
	int report[2], r;

	in->has_started = true;
	if (identity_resolve(in, start->uid, start->gid, &id) < 0)
		return fail(f, AGENT_STAGE_CREDENTIALS, "uid or gid 0");
	if (unpack(&start->argv, start_argv) < 0 || unpack(&start->env, start_env) < 0)
		return fail(f, AGENT_STAGE_REQUEST, "argv or env");
	if (!start_argv[0]) {
		errno = EINVAL;
		return fail(f, AGENT_STAGE_REQUEST, "argv");
	}
	if (stdio_open(s, &id, start) < 0)
		return fail(f, AGENT_STAGE_STDIO, "descriptors");
	p->is_pty = start->stdio == AGENT_STDIO_PTY;
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(f, AGENT_STAGE_STDIO, "report pipe");
	r = process_fork(in, p, report, f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	become_payload(in, start, &id, s, f);
	birth_end(birth_of(in, p), f);
}

void process_start(struct init *in, uint32_t seq, const struct agent_start *start)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct stdio s = { .child = { -1, -1, -1 }, .host = { -1, -1, -1 } };
	bool is_taken = proc_find(in, seq) != NULL;
	struct proc *p = is_taken ? NULL : proc_new(in, PROC_PAYLOAD, seq);

	if (!p) {
		errno = is_taken ? EEXIST : EAGAIN;
		(void)fail(&f, AGENT_STAGE_REQUEST, is_taken ? "process number" : "process table");
		reply_refused(in, seq, &f);
		return;
	}
	if (try_start(in, start, p, &s, &f) < 0) {
		proc_release(p);
		reply_refused(in, seq, &f);
	} else {
		for (size_t i = 0; i < 3; i++)
			p->fds[i] = fd_take(&s.host[i]); /* handed out when the program runs */
	}
	stdio_done(&s);
}

/* The program runs: hand its descriptors out. */
static void started(struct init *in, struct proc *p)
{
	int fds[3];

	p->state = PROC_RUNNING;
	p->started = (struct agent_started){ .pid_inside = (uint32_t)p->pid, .at_ns = clock_now_ns() };
	reply(in, AGENT_STARTED, p->seq, &p->started, fds, host_fds(p->fds, fds));
	for (size_t i = 0; i < 3 && !keeps_stdio(in); i++)
		fd_close(&p->fds[i]); /* otherwise kept for the next peer */
}

/* It did not come so far. Whatever is left of it is reaped later as nobody's child. */
static void refuse_start(struct init *in, struct proc *p, const struct failure *f)
{
	reply_refused(in, p->seq, f);
	proc_release(p);
}

void process_settle(struct init *in, struct proc *p)
{
	struct failure f;
	char none;

	if (p->watch) {
		p->watch->settle(p);
		return;
	}
	if (read(p->report_fd, &none, sizeof(none)) < 0)
		return; /* EAGAIN: woken for nothing */
	fd_close(&p->report_fd);
	if (birth_failed(in, p, &f))
		refuse_start(in, p, &f);
	else
		started(in, p);
}

void process_push(struct init *in)
{
	uint64_t now = clock_now_ns();

	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		const struct failure f = { .stage = AGENT_STAGE_EXEC,
					   .code = ETIMEDOUT,
					   .object = "held by another process" };
		struct proc *p = &in->procs[i];

		if (p->state != PROC_STARTING)
			continue;
		if (now >= p->deadline_ns) {
			(void)kill(p->pid, SIGKILL); /* ours and not reaped: the number is still its own */
			refuse_start(in, p, &f);
		} else if (now + (START_TIMEOUT_MS - START_WAKE_MS) * NS_PER_MS >= p->deadline_ns) {
			(void)kill(p->pid, SIGCONT); /* nothing to somebody who was not stopped */
		}
	}
}

void process_announce(struct init *in, const struct proc *p)
{
	int fds[3];

	reply(in, AGENT_STARTED, p->seq, &p->started, fds, host_fds(p->fds, fds));
	if (p->state == PROC_ENDED)
		reply(in, AGENT_EXITED, p->seq, &p->exited, NULL, 0);
}

/* ---- ends ---- */

static void ended(struct init *in, struct proc *p, int status, bool has_begun, const struct rusage *ru)
{
	uint32_t last;

	if (p->state == PROC_STARTING) {
		process_settle(in, p); /* it can say no more: what it said, or that exec closed the pipe */
		if (p->state != PROC_RUNNING)
			return;
	}
	if (p->kind == PROC_HELPER) {
		struct failure f = { .stage = AGENT_STAGE_REQUEST, .code = EIO, .object = "helper died" };

		if (WIFSIGNALED(status)) /* otherwise it has answered by itself */
			reply_refused(in, p->seq, &f);
		proc_release(p);
		return;
	}
	last = p->last_pid ? last_pid(in) : 0;
	p->exited = (struct agent_exited){
		.wait_status = (uint32_t)status,
		.at_ns = clock_now_ns(),
		.user_ns = timeval_ns(&ru->ru_utime),
		.system_ns = timeval_ns(&ru->ru_stime),
		.max_rss_bytes = (uint64_t)ru->ru_maxrss * 1024,
		.agent_ns = own_cpu_ns() - p->agent_ns,
		.tasks_made = last > p->last_pid ? last - p->last_pid : 0, /* less: the numbers began anew */
		.never_began = !has_begun,
	};
	p->state = PROC_ENDED;
	reply(in, AGENT_EXITED, p->seq, &p->exited, NULL, 0);
	if (!keeps_stdio(in))
		proc_release(p); /* nobody will come and ask again */
}

/* Those whose program never began: see fork_unborn(). A probe is read before it is gone for good. */
static void reap_unborn(struct init *in)
{
	siginfo_t si = { .si_pid = 0 };
	struct rusage ru;
	struct proc *p;
	int status;

	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WCLONE) == 0 && si.si_pid > 0) {
		p = proc_by_pid(in, si.si_pid);
		if (p && p->watch) {
			p->watch->unborn(in, p);
			p = NULL;
		}
		if (wait4(si.si_pid, &status, WNOHANG | __WCLONE, &ru) > 0 && p)
			ended(in, p, status, false, &ru);
		si.si_pid = 0;
	}
}

void process_reap(struct init *in)
{
	struct rusage ru;
	int status;
	pid_t pid;

	reap_unborn(in);
	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		struct proc *p = proc_by_pid(in, pid);

		if (p) /* the rest were orphans: reaping them is what pid 1 is for */
			ended(in, p, status, true, &ru);
	}
}

void process_signal(struct init *in, uint32_t seq, const struct agent_signal *s)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct proc *p = s->proc ? proc_find(in, s->proc) : NULL;
	int r;

	if (s->signo >= NSIG) {
		errno = EINVAL;
		(void)fail(&f, AGENT_STAGE_REQUEST, "no such signal");
		reply_refused(in, seq, &f);
		return;
	}
	if (s->proc && !p) {
		(void)fail(&f, AGENT_STAGE_REQUEST, "no such process");
		reply_refused(in, seq, &f);
		return;
	}
	if (!p) {
		r = kill(-1, (int)s->signo); /* all but ourselves, kill(2) */
	} else if (p->state == PROC_ENDED) {
		r = 0;
	} else {
		r = kill(-p->pid, (int)s->signo);
		if (r < 0 && errno == ESRCH)
			r = kill(p->pid, (int)s->signo);
	}
	if (r < 0 && errno != ESRCH) {
		(void)fail(&f, AGENT_STAGE_REQUEST, "kill");
		reply_refused(in, seq, &f);
		return;
	}
	reply(in, AGENT_DONE, seq, NULL, NULL, 0);
}

/* The host holds the master; without a copy here the size is set through the process's own terminal. */
void process_resize(struct init *in, uint32_t seq, const struct agent_resize *r)
{
	struct winsize size = { .ws_col = r->cols, .ws_row = r->rows };
	struct failure f = { .stage = AGENT_STAGE_NONE };
	const struct proc *p = proc_find(in, r->proc);

	if (!p || !p->is_pty || p->fds[0] < 0) {
		errno = p ? ENOTTY : ESRCH;
		(void)fail(&f, AGENT_STAGE_REQUEST, "no terminal kept for this process");
		reply_refused(in, seq, &f);
		return;
	}
	if (ioctl(p->fds[0], TIOCSWINSZ, &size) < 0) {
		(void)fail(&f, AGENT_STAGE_REQUEST, "resize");
		reply_refused(in, seq, &f);
		return;
	}
	reply(in, AGENT_DONE, seq, NULL, NULL, 0);
}

void process_close_stdin(struct init *in, uint32_t seq)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct proc *p = proc_find(in, seq);

	if (!p || p->is_pty) {
		errno = p ? ENOTTY : ESRCH;
		(void)fail(&f, AGENT_STAGE_REQUEST, "no standard input kept for this process");
		reply_refused(in, seq, &f);
		return;
	}
	fd_close(&p->fds[0]);
	reply(in, AGENT_DONE, seq, NULL, NULL, 0);
}
