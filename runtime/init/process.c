/*
 * Processes for the host: start with pipes or a terminal, signal, resize, reap.
 *
 * Between fork and exec a child already has the payload's uid, so every other payload may send it signals. Pid 1
 * therefore never waits for one (vfork(2) would): the child reports through a pipe that exec closes, and pid 1
 * serves on meanwhile. Nothing inside can look into the child: like pid 1 it is not dumpable, so ptrace(2) and /proc
 * refuse it.
 */
#include <errno.h>
#include <fcntl.h>
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

enum { ARGS_MAX = 4096, STATUS_BYTES = 8192, FORK_WAIT_MS = 300 };

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

/* execvp(3) with the payload's own PATH; the errno that says most wins. */
static void exec_search(const char *const argv[], const char *const env[])
{
	const char *path = find_path(env);
	int code = ENOENT;
	char file[4096];

	if (strchr(argv[0], '/')) {
		(void)execve(argv[0], (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
		return;
	}
	while (*path) {
		size_t n = strcspn(path, ":");
		int m = snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, argv[0]);

		if (m > 0 && (size_t)m < sizeof(file)) {
			(void)execve(file, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
			if (errno != ENOENT && errno != ENOTDIR)
				code = errno;
		}
		path += n + (path[n] == ':');
	}
	errno = code;
}

static const char *start_argv[ARGS_MAX], *start_env[ARGS_MAX];

/* In the child, from fork to exec. The order is the policy; each step says why in restrict.c. */
static void become_payload(const struct init *in, const struct agent_start *start, const struct identity *id,
			   const struct stdio *s, struct failure *f)
{
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
	exec_search(start_argv, start_env);
	(void)fail(f, AGENT_STAGE_EXEC, start_argv[0]);
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
	pid_t pid = fork();

	while (pid < 0 && errno == EAGAIN && clock_now_ns() < deadline) {
		(void)nanosleep(&pause, NULL);
		process_reap(in);
		pid = fork();
	}
	return pid;
}

/*
 * Fork with a report pipe. In the child returns 0 with *ret_report the write end (close-on-exec); it is the child's
 * word of failure. In pid 1 returns 1 with p's pid, pipe and deadline set, or -1 with f filled.
 */
static int fork_reporting(struct init *in, struct proc *p, int *ret_report, struct failure *f)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(f, AGENT_STAGE_STDIO, "report pipe");
	p->pid = fork_patiently(in);
	if (p->pid == 0) {
		fd_close(&pipe_fds[0]);
		*ret_report = pipe_fds[1];
		return 0;
	}
	fd_close(&pipe_fds[1]);
	if (p->pid < 0) {
		(void)fail(f, AGENT_STAGE_FORK, "process");
		fd_close(&pipe_fds[0]);
		return -1;
	}
	p->report_fd = pipe_fds[0];
	p->deadline_ns = clock_deadline_ns(START_TIMEOUT_MS * NS_PER_MS);
	return 1;
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
	int report = -1, r;

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
	r = fork_reporting(in, p, &report, f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	become_payload(in, start, &id, s, f);
	/* below PIPE_BUF, into an empty pipe: whole */
	_exit(write(report, f, sizeof(*f)) == (ssize_t)sizeof(*f) ? 127 : 126);
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
	union {
		struct failure failure;
		struct agent_ready ready;
	} said;
	ssize_t n = read(p->report_fd, &said, sizeof(said));

	if (n < 0)
		return; /* EAGAIN: woken for nothing */
	fd_close(&p->report_fd);
	if (p->kind == PROC_PROBE && n == (ssize_t)sizeof(said.ready)) {
		reply(in, AGENT_READY, p->seq, &said.ready, NULL, 0);
		proc_release(p);
	} else if (n == (ssize_t)sizeof(said.failure)) {
		refuse_start(in, p, &said.failure);
	} else if (p->kind == PROC_PROBE) {
		const struct failure f = { .stage = AGENT_STAGE_SECCOMP, .code = EIO, .object = "probe" };

		refuse_start(in, p, &f);
	} else {
		started(in, p);
	}
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

static void ended(struct init *in, struct proc *p, int status, const struct rusage *ru)
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
	};
	p->state = PROC_ENDED;
	reply(in, AGENT_EXITED, p->seq, &p->exited, NULL, 0);
	if (!keeps_stdio(in))
		proc_release(p); /* nobody will come and ask again */
}

void process_reap(struct init *in)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		struct proc *p = proc_by_pid(in, pid);

		if (p) /* the rest were orphans: reaping them is what pid 1 is for */
			ended(in, p, status, &ru);
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

/* ---- self-report ---- */

static uint64_t status_number(const char *text, const char *key, int base)
{
	const char *p = strstr(text, key);
	uint64_t v = 0;

	if (!p)
		return UINT64_MAX;
	for (p += strlen(key); *p == ' ' || *p == '\t';)
		p++;
	for (; *p; p++) {
		int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : 99;

		if (digit >= base)
			break;
		v = v * (uint64_t)base + (uint64_t)digit;
	}
	return v;
}

static void copy_line(char *ret, size_t room, const char *text, const char *key)
{
	const char *p = strstr(text, key);
	size_t used = strnlen(ret, room), n;

	if (!p)
		return;
	n = strcspn(p, "\n");
	if (used + n + 2 > room)
		return;
	memcpy(ret + used, p, n);
	ret[used + n] = '\n';
	ret[used + n + 1] = '\0';
}

static size_t read_own(const char *path, char *ret, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, room - 1);

	fd_close(&fd);
	ret[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* In the probe: what /proc says of a process that went through all a payload goes through. */
static void fill_report(struct agent_ready *ready)
{
	static char text[STATUS_BYTES];

	(void)read_own("/proc/self/status", text, sizeof(text));
	*ready = (struct agent_ready){
		.is_probe = 1,
		.seccomp = (uint32_t)status_number(text, "\nSeccomp:", 10),
		.no_new_privs = (uint32_t)status_number(text, "\nNoNewPrivs:", 10),
		.cap_eff = status_number(text, "\nCapEff:", 16),
		.cap_prm = status_number(text, "\nCapPrm:", 16),
		.cap_bnd = status_number(text, "\nCapBnd:", 16),
		.uid = (uint32_t)status_number(text, "\nUid:", 10),
		.gid = (uint32_t)status_number(text, "\nGid:", 10),
	};
	copy_line(ready->speculation, sizeof(ready->speculation), text, "Speculation_Store_Bypass:");
	copy_line(ready->speculation, sizeof(ready->speculation), text, "SpeculationIndirectBranch:");
	(void)read_own("/proc/self/uid_map", ready->uid_map, sizeof(ready->uid_map));
}

void process_report(struct init *in, uint32_t seq)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct proc *p = proc_new(in, PROC_PROBE, seq);
	struct agent_ready ready;
	struct identity id;
	int report = -1, r;

	(void)identity_resolve(in, UINT32_MAX, UINT32_MAX, &id); /* the default identity always resolves */
	if (!p)
		(void)fail(&f, AGENT_STAGE_REQUEST, "process table");
	r = p ? fork_reporting(in, p, &report, &f) : -1;
	if (r < 0) {
		if (p)
			proc_release(p);
		reply_refused(in, seq, &f);
	}
	if (r != 0)
		return;
	if (restrict_identity(&id, "/", &f) == 0 && restrict_filter(in, AGENT_FILTER_RUN, &f) == 0) {
		/* readable again after the identity changed, as any exec would make it */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		fill_report(&ready);
		_exit(write(report, &ready, sizeof(ready)) == (ssize_t)sizeof(ready) ? 0 : 1);
	}
	_exit(write(report, &f, sizeof(f)) == (ssize_t)sizeof(f) ? 0 : 1);
}
