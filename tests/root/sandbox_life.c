/*
 * Processes in a sandbox: started as asked for, heard to the last byte, signalled, ended, refused. What a refused start
 * leaves is a sandbox as good as before.
 *
 * # timeout: 120
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

enum { HIGH_FD = 900 };

static struct test_host host;
static struct guest guest;

static struct sandbox *begin(const struct sandbox_spec *spec)
{
	struct sandbox_spec own;
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;

	if (!spec)
		test_host_spec(&host, &own);
	need(test_sandbox(&host, spec ? spec : &own, &s, &err) == 0, "a sandbox becomes ready %s", err.text);
	guest_init(&guest, s);
	return s;
}

static void end(struct sandbox *s)
{
	struct error err = ERROR_INIT;

	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
}

/* Descriptors that pid 1 has open, seen from outside: it must not collect any. */
static int count_fds_of_init(const struct sandbox *s)
{
	char path[64];
	struct dirent **list;
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->pid);
	n = scandir(path, &list, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n > 0)
		free(list);
	return n;
}

static const char *run(int *status, const char *const *argv)
{
	return guest_run(&guest, status, argv);
}

/* ---- a process is what was asked for -------------------------------------------------------------------------- */

static void test_ends(void)
{
	int st;

	is_str(run(&st, ARGV(PAYLOAD, "true")), "", "a program runs");
	is_int(st, 0, "and ends with 0");
	(void)run(&st, ARGV(PAYLOAD, "exit", "42"));
	ok(WIFEXITED(st) && WEXITSTATUS(st) == 42, "status 42 is status 42");
	(void)run(&st, ARGV(PAYLOAD, "selfkill", "11"));
	ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV, "a fatal signal is that signal");
	is_str(run(&st, ARGV(PAYLOAD, "echo", "a", "", "b c")), "a  b c", "arguments arrive as they are");
}

static void test_attributes(void)
{
	static char big[100 << 10];
	struct process_spec p = guest_process(ARGV(PAYLOAD, "env"));
	const struct process_rlimit files = { RLIMIT_NOFILE, { 20, 20 } };
	int st;

	is_str(guest_run_spec(&guest, &st, &p), "", "nothing is in the environment that was not given");
	p.env = ARGV("A=1", "B=", "C=x=y");
	is_str(guest_run_spec(&guest, &st, &p), "A=1\nB=\nC=x=y", "the environment is the one given");
	(void)snprintf(big, sizeof(big), "BIG=%0*d", (int)sizeof(big) - 5, 0);
	p.env = ARGV(big);
	is_int(strcmp(guest_run_spec(&guest, &st, &p), big), 0, "100 KiB of it arrive whole");

	p = guest_process(ARGV(PAYLOAD, "cwd"));
	is_str(guest_run_spec(&guest, &st, &p), "/work", "the working directory is /work");
	p.cwd = "/tmp";
	is_str(guest_run_spec(&guest, &st, &p), "/tmp", "or the one asked for");
	p.cwd = NULL;
	is_str(guest_run_spec(&guest, &st, &p), "/", "or / when none is");

	p = guest_process(ARGV(PAYLOAD, "ids"));
	has_str(guest_run_spec(&guest, &st, &p), "uid 1000 1000 1000 gid 1000 1000 1000 groups 0 ",
		"the identity is 1000, without groups");
	p.uid = 2000;
	p.gid = 3000;
	has_str(guest_run_spec(&guest, &st, &p), "uid 2000 2000 2000 gid 3000 3000 3000 groups 0 ",
		"or the one asked for");

	p = guest_process(ARGV(PAYLOAD, "fds-bomb"));
	p.rlimits = &files;
	p.n_rlimits = 1;
	is_str(guest_run_spec(&guest, &st, &p), "opened 17 then EMFILE", "a resource limit of 20 files holds");

	p = guest_process(ARGV(PAYLOAD, "fds"));
	p.stdio = AGENT_STDIO_PIPES;
	(void)guest_run_spec(&guest, &st, &p);
	is_int(st, 0, "its descriptors can be listed");
	ok(!strstr(guest_run_spec(&guest, &st, &p), "\n3 "), "and are 0, 1 and 2 alone");

	p = guest_process(ARGV("payload", "echo", "found"));
	p.env = ARGV("PATH=/none:/bin");
	is_str(guest_run_spec(&guest, &st, &p), "found", "a name without a slash is searched in PATH");
}

static uint32_t mode_of(const char *path)
{
	struct agent_file f = { .op = AGENT_FILE_STAT, .uid = UINT32_MAX, .gid = UINT32_MAX };
	struct guest_call *c;

	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	c = guest_request(&guest, AGENT_FILE, &f);
	return guest_wait_over(&guest, c) && c->last == AGENT_FILE_DONE ? c->answer.file_done.mode & 07777 : UINT32_MAX;
}

static void test_umask(void)
{
	struct process_spec p = guest_process(ARGV(PAYLOAD, "write", "closed", "x"));
	int st;

	p.umask = 077;
	(void)guest_run_spec(&guest, &st, &p);
	is_int(mode_of("/work/closed"), 0600, "a mask of 077 closes a file to others");
	p.argv = ARGV(PAYLOAD, "write", "open", "x");
	p.umask = 0;
	(void)guest_run_spec(&guest, &st, &p);
	is_int(mode_of("/work/open"), 0644, "a mask of 0 takes nothing away");
}

static void test_many_arguments(void)
{
	enum { N = 4000 };
	static const char *argv[N + 3] = { PAYLOAD, "echo" };
	static char numbers[N][8], want[N * 8];
	struct process_spec p;
	size_t used = 0;
	int st;

	for (int i = 0; i < N; i++) {
		(void)snprintf(numbers[i], sizeof(numbers[i]), "%d", i);
		argv[i + 2] = numbers[i];
		used += (size_t)snprintf(want + used, sizeof(want) - used, "%s%d", i ? " " : "", i);
	}
	p = guest_process(argv);
	is_int(strcmp(guest_run_spec(&guest, &st, &p), want), 0, "4000 arguments arrive, in order");
}

/* ---- pipes ---------------------------------------------------------------------------------------------------- */

/* A process with standard input, started. */
static struct guest_call *start_pipes(const char *const *argv)
{
	struct process_spec p = guest_process(argv);
	struct guest_call *c;

	p.stdio = AGENT_STDIO_PIPES;
	c = guest_start(&guest, &p);
	need(guest_wait_open(&guest, c), "%s starts", argv[1]);
	return c;
}

static void test_pipes(void)
{
	enum { SIZE = 1 << 20 };
	cleanup_buf struct buf out = BUF_INIT, errors = BUF_INIT;
	static char data[SIZE];
	uint32_t seed = 1;
	int st;

	for (int i = 0; i < SIZE; i++)
		data[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
	st = guest_finish(&guest, start_pipes(ARGV(PAYLOAD, "cat")), data, SIZE, &out, &errors);
	is_int(st, 0, "cat of 1 MiB of any bytes ends well");
	ok(out.size == SIZE && memcmp(out.data, data, SIZE) == 0, "what went in came out, byte for byte");
	is_int(errors.size, 0, "and nothing on the other pipe");

	buf_reset(&out);
	st = guest_finish(&guest, start_pipes(ARGV(PAYLOAD, "cat")), NULL, 0, &out, &errors);
	ok(st == 0 && out.size == 0, "an input closed at once is an empty one");
	st = guest_finish(&guest, start_pipes(ARGV(PAYLOAD, "stderr", "words")), NULL, 0, &out, &errors);
	is_str(buf_str(&out), "to stdout\n", "standard output is one pipe");
	is_str(buf_str(&errors), "words\n", "standard error the other");
	is_str(run(&st, ARGV(PAYLOAD, "cat")), "", "without input there is nothing to read");
	is_int(st, 0, "and that is no error");
}

/* ---- terminals ------------------------------------------------------------------------------------------------ */

static struct guest_call *start_pty(const char *const *argv)
{
	struct process_spec p = guest_process(argv);
	struct guest_call *c;

	p.stdio = AGENT_STDIO_PTY;
	p.cols = 80;
	p.rows = 24;
	c = guest_start(&guest, &p);
	need(guest_wait_open(&guest, c) && c->n_fds == 1, "%s starts on a terminal", argv[1]);
	return c;
}

static void test_pty(void)
{
	cleanup_buf struct buf out = BUF_INIT;
	struct winsize size = { .ws_col = 132, .ws_row = 43 };
	struct guest_call *c = start_pty(ARGV(PAYLOAD, "tty"));
	int st = guest_finish(&guest, c, NULL, 0, &out, NULL);

	is_int(st, 0, "it ends well");
	has_str(buf_str(&out), "tty /dev/pts/0 isatty 111",
		"all three descriptors are the terminal, and it has a name");
	has_str(buf_str(&out), "size 80 24", "of the size asked for");

	buf_reset(&out);
	c = start_pty(ARGV(PAYLOAD, "tty", "later"));
	ok(ioctl(c->fds[0], TIOCSWINSZ, &size) == 0 && write(c->fds[0], "\n", 1) == 1,
	   "the holder of the master resizes it");
	(void)guest_finish(&guest, c, NULL, 0, &out, NULL);
	has_str(buf_str(&out), "size 132 43", "and the process sees the new size");

	c = start_pty(ARGV(PAYLOAD, "sleep"));
	ok(write(c->fds[0], "\x03", 1) == 1, "^C is typed");
	st = guest_finish(&guest, c, NULL, 0, NULL, NULL);
	ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGINT, "and is SIGINT");

	c = start_pty(ARGV(PAYLOAD, "sleep"));
	fd_close(&c->fds[0]);
	c->n_fds = 0;
	ok(guest_wait_over(&guest, c) && WTERMSIG(c->answer.exited.wait_status) == SIGHUP,
	   "a terminal that goes away is SIGHUP");

	buf_reset(&out);
	c = start_pty(ARGV(PAYLOAD, "open", "/dev/tty", "rw"));
	(void)guest_finish(&guest, c, NULL, 0, &out, NULL);
	has_str(buf_str(&out), "open: DONE", "the terminal is its controlling one");
	is_str(run(&st, ARGV(PAYLOAD, "open", "/dev/tty", "rw")), "open: ENXIO", "without one there is none");
}

static void test_resize_refused(void)
{
	struct agent_resize r = { .proc = 999, .cols = 1, .rows = 1 };
	struct guest_call *c = guest_request(&guest, AGENT_RESIZE, &r);

	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED && c->answer.failed.code == ESRCH,
	   "resizing a process that is none is refused");
}

/* ---- several at once ------------------------------------------------------------------------------------------ */

static void test_interleaved(void)
{
	enum { N = 5 };
	static const int order[N] = { 3, 1, 4, 0, 2 };
	struct guest_call *c[N];
	int st;

	for (int i = 0; i < N; i++)
		c[i] = start_pipes(ARGV(PAYLOAD, "cat"));
	for (int i = 0; i < N; i++) {
		cleanup_buf struct buf out = BUF_INIT;
		char word[16];
		bool others_run = true;

		(void)snprintf(word, sizeof(word), "number %d", order[i]);
		st = guest_finish(&guest, c[order[i]], word, strlen(word), &out, NULL);
		for (int k = i + 1; k < N; k++)
			others_run &= !c[order[k]]->is_over;
		ok(st == 0 && strcmp(buf_str(&out), word) == 0 && others_run, "%s ends on its own, with its own output",
		   word);
	}
}

static void test_many(void)
{
	enum { N = 50 };
	struct guest_call *c[N];
	const struct process_spec p = guest_process(ARGV(PAYLOAD, "true"));
	int well = 0;

	for (int i = 0; i < N; i++)
		c[i] = guest_start(&guest, &p);
	for (int i = 0; i < N; i++)
		well += guest_wait_over(&guest, c[i]) && c[i]->last == AGENT_EXITED &&
			c[i]->answer.exited.wait_status == 0;
	is_int(well, N, "50 starts sent in one go all run and end");
}

/* ---- signals -------------------------------------------------------------------------------------------------- */

static struct guest_call *send_signal(uint32_t proc, uint32_t signo)
{
	const struct agent_signal m = { .proc = proc, .signo = signo };
	struct guest_call *c = guest_request(&guest, AGENT_SIGNAL, &m);

	(void)guest_wait_over(&guest, c);
	return c;
}

static bool is_killed_by(const struct guest_call *c, int signo)
{
	int st = c->last == AGENT_EXITED ? (int)c->answer.exited.wait_status : 0;

	return WIFSIGNALED(st) && WTERMSIG(st) == signo;
}

/* Processes that ps sees, itself included: with hidepid those of its own identity. */
static int count_seen(void)
{
	int st, n = 1;

	for (const char *p = run(&st, ARGV(PAYLOAD, "ps")); *p; p++)
		n += *p == '\n';
	return n;
}

/* Only the end of a leader is reported: the others of its group may take a moment. */
static bool sees_nobody(void)
{
	for (int i = 0; i < 200 && count_seen() != 1; i++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	return count_seen() == 1;
}

static void test_signals(void)
{
	struct guest_call *c[3], *other = start_pipes(ARGV(PAYLOAD, "sleep"));
	int st;

	c[0] = start_pipes(ARGV(PAYLOAD, "spin-threads", "3"));
	is_int(send_signal(c[0]->seq, SIGTERM)->last, AGENT_DONE, "a signal to a process is sent");
	ok(guest_wait_over(&guest, c[0]) && is_killed_by(c[0], SIGTERM), "and ends it");
	is_int(send_signal(c[0]->seq, SIGTERM)->last, AGENT_REFUSED, "after its end its number is unknown");
	ok(!other->is_over, "the other process lives");
	is_int(send_signal(other->seq, 0)->last, AGENT_DONE, "signal 0 only asks");
	is_int(send_signal(other->seq, 9999)->last, AGENT_REFUSED, "a number that is no signal is refused");
	(void)send_signal(other->seq, SIGKILL);
	ok(guest_wait_over(&guest, other), "it ends, too");
	ok(sees_nobody(), "nothing of the group is left");

	for (int i = 0; i < 3; i++)
		c[i] = start_pipes(ARGV(PAYLOAD, "ignore"));
	is_int(send_signal(0, SIGKILL)->last, AGENT_DONE, "a signal to all is sent");
	for (int i = 0; i < 3; i++)
		ok(guest_wait_over(&guest, c[i]) && is_killed_by(c[i], SIGKILL), "process %d of all is gone", i);
	is_int(send_signal(0, SIGTERM)->last, AGENT_DONE, "a signal to nobody is no error");
	(void)run(&st, ARGV(PAYLOAD, "true"));
	is_int(st, 0, "pid 1 was not one of them");
}

/* ---- refusals ------------------------------------------------------------------------------------------------- */

static void test_refused(const struct sandbox *s)
{
	static const struct process_rlimit none = { 99, { 1, 1 } };
	static const struct {
		const char *what, *program, *cwd;
		uint32_t uid, gid;
		const struct process_rlimit *rlimit;
		uint32_t stage, code;
	} rows[] = {
		{ "a program that is missing", "/bin/none", "/", 1000, 1000, NULL, AGENT_STAGE_EXEC, ENOENT },
		{ "a name found nowhere in PATH", "none", "/", 1000, 1000, NULL, AGENT_STAGE_EXEC, ENOENT },
		{ "a directory as a program", "/bin", "/", 1000, 1000, NULL, AGENT_STAGE_EXEC, EACCES },
		{ "a program without a format", "/etc/hosts", "/", 1000, 1000, NULL, AGENT_STAGE_EXEC, EACCES },
		{ "a directory that is missing", PAYLOAD, "/none", 1000, 1000, NULL, AGENT_STAGE_CWD, ENOENT },
		{ "a file as a directory", PAYLOAD, "/etc/hosts", 1000, 1000, NULL, AGENT_STAGE_CWD, ENOTDIR },
		{ "uid 0", PAYLOAD, "/", 0, 1000, NULL, AGENT_STAGE_CREDENTIALS, EPERM },
		{ "gid 0", PAYLOAD, "/", 1000, 0, NULL, AGENT_STAGE_CREDENTIALS, EPERM },
		{ "a uid that is not mapped", PAYLOAD, "/", 70000, 1000, NULL, AGENT_STAGE_CREDENTIALS, EINVAL },
		{ "a resource that is none", PAYLOAD, "/", 1000, 1000, &none, AGENT_STAGE_RLIMIT, EINVAL },
	};
	int before = count_fds_of_init(s), st;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct process_spec p = {
			.argv = ARGV(rows[i].program, "true"),
			.cwd = rows[i].cwd,
			.uid = rows[i].uid,
			.gid = rows[i].gid,
			.rlimits = rows[i].rlimit,
			.n_rlimits = rows[i].rlimit != NULL,
		};
		struct guest_call *c = guest_start(&guest, &p);

		ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "refused: %s", rows[i].what);
		is_str(agent_stage_name(c->answer.failed.stage), agent_stage_name(rows[i].stage), "its stage: %s",
		       rows[i].what);
		is_int(c->answer.failed.code, rows[i].code, "its error: %s", rows[i].what);
	}
	(void)run(&st, ARGV(PAYLOAD, "true"));
	is_int(st, 0, "the sandbox is as good as before");
	is_int(count_fds_of_init(s), before, "and pid 1 has no descriptor more");
}

/* Requests that no encoder of ours would write, or at the wrong time. */
static void test_odd_requests(const struct sandbox *s)
{
	const struct agent_start no_argv = { .uid = UINT32_MAX, .gid = UINT32_MAX };
	const struct agent_setup again = { .filter = { "12345678", 8 } };
	struct guest_call *c = start_pipes(ARGV(PAYLOAD, "cat")), *r;
	struct process_spec p = guest_process(ARGV(PAYLOAD, "true"));
	int st;

	(void)agent_start(s->sock, c->seq, &p, NULL);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED && c->answer.failed.code == EEXIST,
	   "a number that is taken is refused");
	r = guest_request(&guest, AGENT_START, &no_argv);
	ok(guest_wait_over(&guest, r) && r->last == AGENT_REFUSED && r->answer.failed.stage == AGENT_STAGE_REQUEST,
	   "no arguments at all are refused");
	r = guest_request(&guest, AGENT_SETUP, &again);
	ok(guest_wait_over(&guest, r) && r->last == AGENT_REFUSED, "a second SETUP is refused");
	r = guest_request(&guest, AGENT_DONE, NULL);
	ok(guest_wait_over(&guest, r) && r->last == AGENT_REFUSED, "an answer as a request is refused");
	c->is_over = false;
	st = guest_finish(&guest, c, "still here", 10, NULL, NULL);
	is_int(st, 0, "and none of it disturbs the process of that number");
}

/* ---- looking in ----------------------------------------------------------------------------------------------- */

static void test_report(const struct sandbox *s)
{
	struct guest_call *c = guest_request(&guest, AGENT_REPORT, NULL);
	const struct agent_ready *r = &c->answer.ready;
	char map[64];

	need(guest_wait_over(&guest, c) && c->last == AGENT_READY, "a report comes");
	is_int(r->is_probe, 1, "of a process started for it");
	is_int(r->seccomp, 2, "the kernel says: filtered");
	is_int(r->no_new_privs, 1, "no new privileges");
	ok(r->cap_eff == 0 && r->cap_prm == 0 && r->cap_bnd == 0, "no capability, not even in the bounding set");
	ok(r->uid == 1000 && r->gid == 1000, "uid and gid 1000");
	(void)snprintf(map, sizeof(map), "%10u %10u %10u\n", 0U, s->id_base, 65536U);
	is_str(r->uid_map, map, "its ids are those claimed");
	diag("%.*s", (int)strcspn(r->speculation, "\n"), r->speculation);
}

static void test_connect(void)
{
	struct agent_connect to = { .port = 8080 };
	struct guest_call *c = guest_request(&guest, AGENT_CONNECT, &to), *server;
	char back[8] = "";

	ok(guest_wait_over(&guest, c) && c->last == AGENT_CONNECTED && c->answer.connected.code == ECONNREFUSED,
	   "a port that nobody listens on is refused");
	is_int(c->n_fds, 0, "without a descriptor");
	server = start_pipes(ARGV(PAYLOAD, "serve", "8080"));
	ok(guest_expect(server->fds[1], "listening"), "a server listens inside");
	c = guest_request(&guest, AGENT_CONNECT, &to);
	need(guest_wait_over(&guest, c) && c->last == AGENT_CONNECTED && c->n_fds == 1, "the host is connected to it");
	ok(fd_set_nonblock(c->fds[0], 0) == 0 && write(c->fds[0], "ping", 4) == 4 &&
		   recv(c->fds[0], back, 4, MSG_WAITALL) == 4 && strcmp(back, "ping") == 0,
	   "bytes go there and back");
	(void)shutdown(c->fds[0], SHUT_WR);
	is_int(guest_finish(&guest, server, NULL, 0, NULL, NULL), 0, "and the server sees the end");
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0;
}

static void test_freeze(struct sandbox *s)
{
	static char data[1 << 16];
	struct guest_call *c = start_pipes(ARGV(PAYLOAD, "output"));
	struct error err = ERROR_INIT;

	ok(is_readable(c->fds[1], GUEST_WAIT_MS), "a flood of output flows");
	ok(cgroup_freeze(s->cgroup, true, 10000, &err) == 0, "freeze %s", err.text);
	(void)fd_set_nonblock(c->fds[1], 1);
	while (read(c->fds[1], data, sizeof(data)) > 0) {
	}
	ok(!is_readable(c->fds[1], 200), "frozen, it stops");
	ok(cgroup_freeze(s->cgroup, false, 10000, &err) == 0, "thaw %s", err.text);
	ok(is_readable(c->fds[1], GUEST_WAIT_MS), "thawed, it flows on");
	fd_close(&c->fds[1]);
	ok(guest_wait_over(&guest, c) && is_killed_by(c, SIGPIPE), "and ends when nobody reads any more");
}

/* ---- ends of a sandbox ---------------------------------------------------------------------------------------- */

static void test_memory_lowered(void)
{
	const struct cgroup_limits lower = { .memory_max_bytes = 32 << 20 };
	struct sandbox *s = begin(NULL);
	struct cgroup_stats stats;
	struct error err = ERROR_INIT;
	int st;

	(void)run(&st, ARGV(PAYLOAD, "memory", "64"));
	is_int(st, 0, "64 MiB fit into the default limit");
	ok(strstr(run(&st, ARGV(PAYLOAD, "cat", "/proc/meminfo")), "MemTotal:         262144 kB\n"),
	   "and meminfo inside tells that limit");
	ok(sandbox_change_limits(s, &lower, &err) == 0, "the limit of a living sandbox is lowered to 32 MiB %s",
	   err.text);
	ok(strstr(run(&st, ARGV(PAYLOAD, "cat", "/proc/meminfo")), "MemTotal:          32768 kB\n"),
	   "and meminfo inside follows");
	(void)run(&st, ARGV(PAYLOAD, "memory", "64"));
	ok(guest.is_gone || is_killed_by(&guest.calls[guest.n_calls - 1], SIGKILL), "64 MiB do not fit any more");
	ok(cgroup_stats(s->cgroup, &stats, NULL) == 0 && stats.oom_kills > 0 && stats.oom_kills != CGROUP_UNKNOWN,
	   "and the kernel says why");
	end(s);
}

/*
 * A thousandth of a processor: what is done before SETUP does not wait for it, or one such request would hold up all others.
 * Afterwards it holds: the kernel counts how long it was throttled.
 */
static void test_little_cpu(void)
{
	struct error err = ERROR_INIT;
	struct cgroup_stats stats = { 0 };
	struct sandbox *s = NULL;
	struct sandbox_spec spec;
	uint64_t begin = clock_now_ns(), ms;
	int r;

	test_host_spec(&host, &spec);
	spec.limits.cpu_max_milli = 1;
	r = sandbox_create(host.host, &spec, &s, &err);
	ms = (clock_now_ns() - begin) / NS_PER_MS;
	need(r == 0, "a sandbox with a thousandth of a processor is made %s", err.text);
	ok(ms < 900, "at once: what one second gives it would not be enough for that (%llu ms)",
	   (unsigned long long)ms);
	for (uint64_t until = clock_deadline_ns(20 * NS_PER_S); stats.cpu_throttled_ns == 0 && clock_now_ns() < until;
	     (void)usleep(10000))
		(void)cgroup_stats(s->cgroup, &stats, NULL);
	ok(stats.cpu_throttled_ns > 0 && stats.cpu_throttled_ns != CGROUP_UNKNOWN, "then it is held to it");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
}

/* Does pid 1 have a descriptor of what lies at path? */
static bool init_has(const struct sandbox *s, const char *path)
{
	char name[64], target[256];

	for (int fd = 0; fd < HIGH_FD + 1; fd++) {
		(void)snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)s->pid, fd);
		ssize_t n = readlink(name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		if (strcmp(target, path) == 0)
			return true;
	}
	return false;
}

/* Whatever its maker has open without close-on-exec, with numbers below and above those that a child needs. */
static void test_descriptors_of_maker(int low)
{
	int high = fcntl(low, F_DUPFD, HIGH_FD);
	struct sandbox *s = begin(NULL);

	ok(low >= 0 && high == HIGH_FD && init_has(s, "/dev/null"), "its maker has more open, and pid 1 what it needs");
	ok(!init_has(s, "/etc"), "but none of that");
	end(s);
	fd_close(&high);
}

static void test_peer_gone(void)
{
	struct sandbox *s = begin(NULL);
	struct guest_call *c = start_pipes(ARGV(PAYLOAD, "ignore"));

	ok(c->is_open, "a process that ignores signals runs");
	is_str(guest_done(&guest), "", "every answer was asked for");
	fd_close(&s->sock);
	ok(is_readable(s->pidfd, 30000), "the sandbox ends when its peer goes away");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "and is removed");
}

static void test_killed_init(void)
{
	struct sandbox *s = begin(NULL);
	struct guest_call *c = start_pipes(ARGV(PAYLOAD, "sleep"));

	ok(kill(s->pid, SIGKILL) == 0, "pid 1 is killed from outside");
	ok(!guest_wait_over(&guest, c) && guest.is_gone, "the socket says so");
	end(s);
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before;
	struct sandbox *s;
	int fds, low = open("/etc", O_RDONLY); /* before the host's own, not close-on-exec */

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	end(begin(NULL)); /* the first one makes what all share: the staging mount of older kernels */
	leftovers_count(&host, &before);
	s = begin(NULL);
	fds = count_fds_of_init(s);
	test_ends();
	test_attributes();
	test_umask();
	test_many_arguments();
	test_pipes();
	test_pty();
	test_resize_refused();
	test_interleaved();
	test_many();
	test_signals();
	test_refused(s);
	test_odd_requests(s);
	test_report(s);
	test_connect();
	test_freeze(s);
	is_int(count_fds_of_init(s), fds, "after all of it pid 1 has as many descriptors as at first");
	end(s);
	test_descriptors_of_maker(low);
	test_little_cpu();
	test_memory_lowered();
	test_peer_gone();
	test_killed_init();
	is_str(leftovers_since(&host, &before), "", "nothing is left of any of it");
	test_host_close(&host);
	fd_close(&low);
	return done_testing();
}
