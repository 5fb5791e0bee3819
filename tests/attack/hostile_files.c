/*
 * File calls against a hostile tree: links to /proc and round in circles, fifos, devices, other people's files, deep trees,
 * names that are too long, a payload that kills and stops the helper. Each ends with an errno or with the right bytes; the
 * agent lives on, and no call does more than the payload could have done itself.
 *
 * # timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct guest guest;
static struct agent_file file; /* too large for a stack */

/* Outcome of a call: its errno, and the content in `content`. -1: no answer, -2: refused. */
static struct buf content = BUF_BOUNDED(1 << 20);

static struct agent_file *call_of(enum agent_file_op op, const char *path)
{
	file = (struct agent_file){ .op = op, .uid = UINT32_MAX, .gid = UINT32_MAX, .mode = 0644 };
	(void)snprintf(file.path, sizeof(file.path), "%s", path);
	return &file;
}

static int outcome(struct guest_call *c, const void *input, size_t size)
{
	buf_done(&content);
	if (guest_wait_open(&guest, c) && c->n_fds == 1) {
		bool is_write = input != NULL;

		c->n_fds = 0;
		if (is_write && size > 0)
			(void)fd_write_all(c->fds[0], input, size, NULL);
		if (!is_write)
			(void)fd_read_all(c->fds[0], 1 << 20, &content, NULL);
		fd_close(&c->fds[0]);
	}
	if (!guest_wait_over(&guest, c))
		return -1;
	return c->last == AGENT_FILE_DONE ? (int)c->answer.file_done.code : -2;
}

static int call(struct agent_file *f)
{
	return outcome(guest_request(&guest, AGENT_FILE, f), NULL, 0);
}

static int op(enum agent_file_op what, const char *path)
{
	return call(call_of(what, path));
}

static int put(const char *path, const char *text)
{
	struct agent_file *f = call_of(AGENT_FILE_WRITE, path);

	return outcome(guest_request(&guest, AGENT_FILE, f), text, strlen(text));
}

static const char *shell(const char *const *argv)
{
	int status;

	return guest_run(&guest, &status, argv);
}

/* One of a few errnos: kernels differ. */
static bool is_one_of(int code, int a, int b, int c)
{
	return code == a || code == b || code == c;
}

static void refused(int code, int a, int b, int c, const char *title)
{
	if (!ok(is_one_of(code, a, b, c), "%s", title))
		diag("errno %d (%s)", code, code > 0 ? strerror(code) : "no errno");
}

static void test_proc(void)
{
	static const char *const secret[] = {
		"/proc/1/environ",        "/proc/1/maps",       "/proc/1/mem",     "/proc/1/cmdline",
		"/proc/1/root/etc/hosts", "/proc/1/fd/3",       "/proc/1/exe",     "/proc/kcore",
		"/proc/self/mem",         "/proc/self/environ", "/proc/self/fd/3", "/proc/self/fd/4"
	};
	char title[128];

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		int code = op(AGENT_FILE_READ, secret[i]);

		(void)snprintf(title, sizeof(title), "reading %s gives nothing", secret[i]);
		if (!ok(code != 0 || content.size == 0, "%s", title))
			diag("%zu bytes", content.size);
	}
	/* the helper's own program is cubit-init, shared by all sandboxes: it must not be written to */
	refused(put("/proc/self/exe", "x"), EROFS, EACCES, ENOENT, "writing over the helper's program is refused");
	refused(put("/proc/self/comm", "x"), EROFS, EACCES, ENOENT, "writing into /proc is refused");
	refused(put("/proc/sys/kernel/hostname", "x"), EROFS, EACCES, ENOENT, "... into /proc/sys too");
	refused(put("/dev/null", "x"), EROFS, EACCES, ENOENT, "writing over a device is refused");
	refused(put("/dev/shm/../null", "x"), EROFS, EACCES, ENOENT, "... by another name too");
	refused(op(AGENT_FILE_READ, "/dev/zero"), EINVAL, EACCES, EINVAL, "a device is not read");
	refused(op(AGENT_FILE_READ, "/dev/tty"), EINVAL, ENXIO, EACCES, "... nor a terminal");
	refused(op(AGENT_FILE_READ, "/dev/ptmx"), EINVAL, EACCES, ENOENT, "... nor made");
}

static void test_links(void)
{
	(void)shell(ARGV(PAYLOAD, "each", "call", "symlink", "/work/loop", "/work/loop", ";", "call", "symlink",
			 "/proc/sys", "/work/sys", ";", "call", "symlink", "/proc/sys/kernel/hostname", "/work/name",
			 ";", "call", "symlink", "/bin", "/work/bin", ";", "call", "symlink", "/etc/hosts",
			 "/work/hosts", ";", "call", "symlink", "../../../../../../etc/hostname", "/work/up", ";",
			 "call", "mknod", "/work/fifo", "010666", "0"));
	is_int(op(AGENT_FILE_READ, "/work/loop"), ELOOP, "a link to itself is a loop");
	refused(op(AGENT_FILE_WALK, "/work/loop"), ELOOP, ENOTDIR, ELOOP, "... and no directory");
	is_int(op(AGENT_FILE_READ, "/work/fifo"), EINVAL, "a fifo is not read, and holds up nobody");
	is_int(op(AGENT_FILE_READ, "/work/up"), 0, "dots lead to the root of the sandbox and no further");
	is_str(buf_str(&content), "sandbox\n", "... where its own file is");
	refused(put("/work/sys/kernel/x", "x"), EROFS, EACCES, ENOENT, "writing through a link into /proc is refused");
	refused(put("/work/bin/new", "x"), EACCES, EPERM, EROFS, "... into a directory of root too");
	refused(put("/etc/new", "x"), EACCES, EPERM, EROFS, "... by its name too");
	is_int(put("/work/name", "mine"), 0, "writing to a link in one's own directory");
	has_str(shell(ARGV(PAYLOAD, "stat", "/work/name")), "file ", "... replaces the link");
	is_str(shell(ARGV(PAYLOAD, "cat", "/proc/sys/kernel/hostname")), "sandbox", "... and not what it led to");
	is_int(put("/work/fifo", "mine"), 0, "writing over a fifo");
	has_str(shell(ARGV(PAYLOAD, "stat", "/work/fifo")), "file ", "... replaces it as well");
	refused(op(AGENT_FILE_CHMOD, "/work/hosts"), EPERM, EACCES, EROFS,
		"the mode of root's file cannot be changed by a link");
	refused(op(AGENT_FILE_CHMOD, PAYLOAD), EPERM, EACCES, EROFS, "... nor by its name");
	is_int(op(AGENT_FILE_REMOVE, "/work/hosts"), 0, "removing a link");
	is_int(op(AGENT_FILE_READ, "/etc/hosts"), 0, "... leaves what it leads to");
}

static void test_other_peoples(void)
{
	struct agent_file *f;

	f = call_of(AGENT_FILE_REMOVE, "/");
	f->flags = AGENT_FILE_RECURSIVE;
	refused(call(f), EACCES, EPERM, EBUSY, "removing the root is refused");
	f = call_of(AGENT_FILE_REMOVE, "/bin");
	f->flags = AGENT_FILE_RECURSIVE;
	refused(call(f), EACCES, EPERM, EBUSY, "... and /bin");
	f = call_of(AGENT_FILE_REMOVE, "/proc");
	f->flags = AGENT_FILE_RECURSIVE;
	refused(call(f), EPERM, EACCES, EROFS, "... and /proc");
	f = call_of(AGENT_FILE_REMOVE, "/dev");
	f->flags = AGENT_FILE_RECURSIVE;
	refused(call(f), EROFS, EACCES, EBUSY, "... and /dev");
	is_str(shell(ARGV(PAYLOAD, "echo", "alive")), "alive", "all is still there");
	f = call_of(AGENT_FILE_RENAME, "/bin/payload");
	(void)snprintf(f->path2, sizeof(f->path2), "/work/payload");
	refused(call(f), EACCES, EPERM, EXDEV, "root's file cannot be moved away");
	f = call_of(AGENT_FILE_RENAME, "/work/name");
	(void)snprintf(f->path2, sizeof(f->path2), "/etc/hosts");
	refused(call(f), EACCES, EPERM, EXDEV, "... nor another moved over it");
	f = call_of(AGENT_FILE_RENAME, "/work");
	(void)snprintf(f->path2, sizeof(f->path2), "/work/work");
	refused(call(f), EINVAL, EACCES, EBUSY, "a directory cannot be moved into itself");
	f = call_of(AGENT_FILE_MKDIR, "/etc/x/y");
	refused(call(f), EACCES, ENOTDIR, ENOENT, "no directory can be made in root's");
	f = call_of(AGENT_FILE_STAT, PAYLOAD);
	f->uid = 0;
	is_int(call(f), -2, "a call as root is refused");
	f = call_of(AGENT_FILE_STAT, PAYLOAD);
	f->gid = 0;
	is_int(call(f), -2, "... and with its group");
	f = call_of(AGENT_FILE_STAT, PAYLOAD);
	f->uid = 70000;
	is_int(call(f), -2, "... and as one that does not exist");
	f = call_of(AGENT_FILE_WRITE, "/tmp/of-2000");
	f->uid = f->gid = 2000;
	is_int(outcome(guest_request(&guest, AGENT_FILE, f), "x", 1), 0, "a call as uid 2000 is that of uid 2000");
	has_str(shell(ARGV(PAYLOAD, "stat", "/tmp/of-2000")), "uid 2000 gid 2000", "... and so is what it makes");
	f = call_of(AGENT_FILE_WRITE, "/tmp/set");
	f->mode = 037777777755;
	is_int(outcome(guest_request(&guest, AGENT_FILE, f), "x", 1), 0, "a mode with rubbish in it is cut");
	has_str(shell(ARGV(PAYLOAD, "stat", "/tmp/set")), "mode 7755 uid 1000", "... to what a mode can be");
}

static void test_shapes(void)
{
	static char text[4096];
	struct agent_file *f;

	has_str(shell(ARGV(PAYLOAD, "deep", "/work", "200")), "200 levels", "a deep tree is made");
	f = call_of(AGENT_FILE_WALK, "/work");
	f->offset = UINT64_MAX; /* as deep as it goes */
	is_int(call(f), 0, "walking it");
	ok(content.size > 0, "... gives records, to a bounded depth");
	f = call_of(AGENT_FILE_WALK, "/");
	f->offset = 5;
	f->limit = 10;
	is_int(call(f), 0, "walking everything");
	f = call_of(AGENT_FILE_WALK, "/proc");
	f->offset = 64;
	f->limit = 2000;
	refused(call(f), 0, EACCES, ENOENT, "walking /proc comes to an end");
	f = call_of(AGENT_FILE_REMOVE, "/work/d");
	f->flags = AGENT_FILE_RECURSIVE;
	refused(call(f), 0, ELOOP, ELOOP, "removing a tree of 200 levels works, or is refused for its depth");
	memset(text, 'a', sizeof(text) - 1);
	text[0] = '/';
	is_int(op(AGENT_FILE_READ, text), ENAMETOOLONG, "a name that is too long is one");
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 ? '.' : '/';
	refused(op(AGENT_FILE_READ, text), EISDIR, EINVAL, ENAMETOOLONG, "a path of dots is a directory");
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 ? 'b' : '/';
	f = call_of(AGENT_FILE_MKDIR, text);
	refused(call(f), EACCES, ENOENT, ENAMETOOLONG, "two thousand directories in / are refused at the first");
	is_int(op(AGENT_FILE_READ, ""), EINVAL, "no name is no file");
	is_int(op(AGENT_FILE_READ, "work"), EISDIR, "a relative path starts at the root");
	is_int(op(AGENT_FILE_OPS, "/work"), EINVAL, "an unknown call is refused");
	is_int(op(0xffffffff, "/work"), EINVAL, "... however large its number");
	f = call_of(AGENT_FILE_READ, PAYLOAD);
	f->offset = UINT64_MAX;
	f->limit = UINT64_MAX;
	refused(call(f), EINVAL, EOVERFLOW, 0, "an offset beyond all files is no trouble");
	is_int((int)content.size, 0, "... and reads nothing");
	f = call_of(AGENT_FILE_WRITE, "/work/cut");
	f->limit = 10;
	is_int(outcome(guest_request(&guest, AGENT_FILE, f), "short", 5), ECANCELED,
	       "content that breaks off is thrown away");
	is_int(op(AGENT_FILE_STAT, "/work/cut"), ENOENT, "... and leaves nothing");
}

/* A file that never ends: the reader stops, and so must the helper. */
static void test_endless(void)
{
	struct guest_call *c;

	has_str(shell(ARGV(PAYLOAD, "call", "76", "/work/none", "1")), "ENOENT", "(truncate is there)");
	(void)shell(
		ARGV(PAYLOAD, "each", "write", "/work/huge", "x", ";", "call", "76", "/work/huge", "0x3fffffffffff"));
	c = guest_request(&guest, AGENT_FILE, call_of(AGENT_FILE_READ, "/work/huge"));
	ok(guest_wait_open(&guest, c) && c->n_fds == 1, "a file of 64 TiB is opened");
	fd_close(&c->fds[0]);
	c->n_fds = 0;
	ok(guest_wait_over(&guest, c), "when the reader goes away, the call is over");
	ok(c->last == AGENT_REFUSED || (c->last == AGENT_FILE_DONE && c->answer.file_done.code != 0),
	   "... and has not gone well");
}

/* The payload has the helper's identity: it can kill it, and stop it. The call then fails or hangs; the agent does not. */
static void test_killed_helper(void)
{
	struct guest_call *c = guest_request(&guest, AGENT_FILE, call_of(AGENT_FILE_READ, "/work/huge"));

	need(guest_wait_open(&guest, c), "a call is at work");
	(void)shell(ARGV(PAYLOAD, "call", "kill", "-1", "9"));
	ok(guest_wait_over(&guest, c), "killed by the payload, it is over");
	is_int(c->last, AGENT_REFUSED, "... and was refused");
	is_str(shell(ARGV(PAYLOAD, "echo", "alive")), "alive", "the agent lives on");

	c = guest_request(&guest, AGENT_FILE, call_of(AGENT_FILE_READ, "/work/huge"));
	need(guest_wait_open(&guest, c), "another call is at work");
	(void)shell(ARGV(PAYLOAD, "call", "kill", "-1", "19"));
	is_str(shell(ARGV(PAYLOAD, "echo", "alive")), "alive", "the agent lives on when it is stopped");
	fd_close(&c->fds[0]);
	c->n_fds = 0;
}

/* More calls than the agent has room for, all of them hanging: refused, not lost, and room again afterwards. */
static void test_many(void)
{
	const struct agent_signal kill_it = { .proc = 0, .signo = SIGKILL };
	struct guest_call *calls[90];
	size_t n = 0, refusals = 0;

	for (; n < 90; n++) {
		calls[n] = guest_request(&guest, AGENT_FILE, call_of(AGENT_FILE_READ, "/work/huge"));
		if (!guest_wait_open(&guest, calls[n]) && calls[n]->is_over && calls[n]->last == AGENT_REFUSED)
			refusals++;
	}
	diag("%zu calls at once, %zu refused", n, refusals);
	ok(refusals > 0, "the limit of processes refuses some of ninety calls");
	ok(guest_wait_over(&guest, guest_request(&guest, AGENT_SIGNAL, &kill_it)), "all of them are killed");
	for (size_t i = 0; i < n; i++)
		ok(guest_wait_over(&guest, calls[i]), "call %zu is over", i);
	is_str(shell(ARGV(PAYLOAD, "echo", "alive")), "alive", "and there is room again");
}

int main(void)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct leftovers before;
	struct sandbox *s = NULL;

	if (!attack_open(&host, &before))
		return 0;
	test_host_spec(&host, &spec);
	spec.limits.pids_max = 40;
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	guest_init(&guest, s);
	test_proc();
	test_links();
	test_other_peoples();
	test_shapes();
	test_endless();
	test_killed_helper();
	test_many();
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	buf_done(&content);
	test_host_close(&host);
	return done_testing();
}
