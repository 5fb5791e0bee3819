/*
 * What a cube is more than a job: it outlives its front and tells the next one everything again; it may be root inside;
 * its disk stays. And the third kind of disk: none.
 *
 * # timeout: 120
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/netns.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

enum { PROCS_MAX = 128 }; /* INIT_PROCS_MAX */

static struct test_host host;
static struct guest guest;

static struct sandbox *begin(const struct sandbox_spec *spec)
{
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;

	need(test_sandbox(&host, spec, &s, &err) == 0, "a sandbox becomes ready %s", err.text);
	guest_init(&guest, s);
	return s;
}

static void end(struct sandbox *s)
{
	struct error err = ERROR_INIT;

	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
}

static struct guest_call *start(enum agent_stdio stdio, const char *const *argv)
{
	struct process_spec p = guest_process(argv);
	struct guest_call *c;

	p.stdio = stdio;
	c = guest_start(&guest, &p);
	need(guest_wait_open(&guest, c), "%s starts", argv[1]);
	return c;
}

static int code_of(struct guest_call *c)
{
	return guest_wait_over(&guest, c) && c->last == AGENT_FILE_DONE ? (int)c->answer.file_done.code : -1;
}

static struct guest_call *file_call(enum agent_file_op op, uint32_t id, const char *path, uint32_t mode)
{
	struct agent_file f = { .op = op, .uid = id, .gid = id, .mode = mode };

	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	return guest_request(&guest, AGENT_FILE, &f);
}

/* As the user `id` inside. Returns the errno. */
static int write_as(uint32_t id, const char *path, const char *text)
{
	struct guest_call *c = file_call(AGENT_FILE_WRITE, id, path, 0644);

	if (guest_wait_open(&guest, c)) {
		(void)fd_write_all(c->fds[0], text, strlen(text), NULL); /* the answer says how it went */
		fd_close(&c->fds[0]);
		c->n_fds = 0;
	}
	return code_of(c);
}

static const char *text_of(const char *path)
{
	static char text[256];
	struct guest_call *c = file_call(AGENT_FILE_READ, PROCESS_DEFAULT_ID, path, 0);
	cleanup_buf struct buf out = BUF_INIT;
	int code;

	if (guest_wait_open(&guest, c)) {
		(void)guest_drain(&c->fds[0], 4096, &out);
		c->n_fds = 0;
	}
	code = code_of(c);
	(void)snprintf(text, sizeof(text), "%s", code ? strerrorname_np(code) : buf_str(&out));
	return text;
}

/* ---- a front goes, another comes ------------------------------------------------------------------------------ */

static void acknowledge(const struct sandbox *s, uint32_t seq)
{
	ok(agent_request(s->sock, AGENT_ACK, seq, NULL, NULL) == 0, "the end of %u is acknowledged", seq);
}

/* Everything the old front had is closed; its successor asks for it again. Returns the answer to ATTACH. */
static struct guest_call *change_front(struct sandbox *s)
{
	int next = fcntl(s->sock, F_DUPFD_CLOEXEC, 0); /* what the monitor kept */

	is_str(guest_done(&guest), "", "the old front heard only what it asked for");
	(void)close(s->sock);
	s->sock = next;
	guest_init(&guest, s);
	return guest_request(&guest, AGENT_ATTACH, NULL);
}

static void test_attach(struct sandbox *s)
{
	const uint32_t cat = start(AGENT_STDIO_PIPES, ARGV(PAYLOAD, "cat"))->seq;
	const uint32_t tty = start(AGENT_STDIO_PTY, ARGV(PAYLOAD, "tty", "later"))->seq;
	const struct agent_resize size = { .proc = tty, .cols = 111, .rows = 22 };
	struct guest_call *ended = start(AGENT_STDIO_NO_STDIN, ARGV(PAYLOAD, "echo", "last words"));
	struct guest_call *known = start(AGENT_STDIO_NO_STDIN, ARGV(PAYLOAD, "exit", "7"));
	const uint32_t ended_seq = ended->seq;
	const struct agent_started was = ended->started;
	struct guest_call *c, *again, *terminal, *over;
	cleanup_buf struct buf out = BUF_INIT;

	ok(guest_wait_over(&guest, ended) && guest_wait_over(&guest, known), "two of four end");
	acknowledge(s, known->seq);

	c = change_front(s);
	again = guest_adopt(&guest, cat);
	terminal = guest_adopt(&guest, tty);
	over = guest_adopt(&guest, ended_seq);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_READY, "the next front is told READY");
	ok(guest_wait_open(&guest, again) && again->n_fds == 3, "the first process again, with its three descriptors");
	ok(fd_write_all(again->fds[0], "hello", 5, NULL) == 0 && guest_expect(again->fds[1], "hello"),
	   "through which it still talks");
	ok(guest_wait_open(&guest, terminal) && terminal->n_fds == 1, "the terminal again, with its master");
	c = guest_request(&guest, AGENT_RESIZE, &size);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_DONE, "which can be resized from inside, too");
	ok(write(terminal->fds[0], "\n", 1) == 1 && guest_expect(terminal->fds[0], "size 111 22"),
	   "and the process sees it");
	ok(guest_wait_over(&guest, over) && over->last == AGENT_EXITED && over->answer.exited.wait_status == 0,
	   "the end that was not acknowledged again");
	ok(over->started.pid_inside == was.pid_inside && over->started.at_ns == was.at_ns,
	   "of the same process, at the same time");
	(void)guest_finish(&guest, over, NULL, 0, &out, NULL);
	is_str(buf_str(&out), "last words\n", "and what it had written before");
	acknowledge(s, ended_seq);
	ok(guest_wait_over(&guest, terminal), "the terminal's process ends");
	acknowledge(s, tty);

	c = change_front(s);
	again = guest_adopt(&guest, cat);
	ok(guest_wait_over(&guest, c) && guest_wait_open(&guest, again),
	   "a third front is told of the first process alone");
	again->n_fds = 2; /* the input is for us to close: */
	fd_close(&again->fds[0]);
	again->fds[0] = again->fds[1];
	again->fds[1] = again->fds[2];
	c = guest_request(&guest, AGENT_REPORT, NULL);
	ok(guest_wait_over(&guest, c) && !again->is_over,
	   "closing the host's copy of its input does not end the input");
	c = guest_request_about(&guest, AGENT_CLOSE_STDIN, again);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_DONE, "CLOSE_STDIN does");
	is_int(guest_finish(&guest, again, NULL, 0, NULL, NULL), 0, "and the process ends well");
	acknowledge(s, cat);
	c = change_front(s);
	ok(guest_wait_over(&guest, c), "a fourth front is told of nothing");
}

static void test_refused_kept(void)
{
	struct guest_call *c = start(AGENT_STDIO_PIPES, ARGV(PAYLOAD, "cat")), *r;
	const struct agent_resize size = { .proc = c->seq };
	struct guest_call *pty = start(AGENT_STDIO_PTY, ARGV(PAYLOAD, "cat"));

	r = guest_request(&guest, AGENT_RESIZE, &size);
	ok(guest_wait_over(&guest, r) && r->last == AGENT_REFUSED && r->answer.failed.code == ENOTTY,
	   "pipes have no size");
	r = guest_request_about(&guest, AGENT_CLOSE_STDIN, pty);
	ok(guest_wait_over(&guest, r) && r->last == AGENT_REFUSED && r->answer.failed.code == ENOTTY,
	   "a terminal's input cannot be closed alone");
	(void)guest_request_about(&guest, AGENT_CLOSE_STDIN, c);
	ok(fd_write_all(pty->fds[0], "\x04", 1, NULL) == 0, "^D ends it");
	fd_close(&c->fds[0]); /* ours: the writer that counts beside the agent's */
	ok(guest_wait_over(&guest, c) && guest_wait_over(&guest, pty), "both end");
}

/* Ends that nobody acknowledges fill the table: it is bounded, and says so. */
static void test_table_full(const struct sandbox_spec *spec)
{
	const struct process_spec p = guest_process(ARGV(PAYLOAD, "true"));
	struct sandbox *s = begin(spec);
	struct guest_call *c = NULL;
	uint32_t first;
	int well = 0, st;

	first = guest_start(&guest, &p)->seq;
	for (int i = 0; i < PROCS_MAX; i++) {
		if (i > 0)
			c = guest_start(&guest, &p);
		else
			c = &guest.calls[0];
		well += guest_wait_open(&guest, c) && guest_finish(&guest, c, NULL, 0, NULL, NULL) == 0;
	}
	is_int(well, PROCS_MAX, "as many processes as the table has room for run and end");
	has_str(guest_run_spec(&guest, &st, &p), "refused: understand the request: 'process table'",
		"one more is refused, in words");
	acknowledge(s, first);
	is_str(guest_run_spec(&guest, &st, &p), "", "an acknowledged end makes room");
	end(s);
}

static void test_peers_all_gone(const struct sandbox_spec *spec)
{
	struct sandbox *s = begin(spec);
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	(void)start(AGENT_STDIO_PIPES, ARGV(PAYLOAD, "cat"));
	is_str(guest_done(&guest), "", "every answer was asked for");
	fd_close(&s->sock);
	is_int(poll(&p, 1, 300), 0, "a sandbox made to survive lives on when every peer is gone");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "and can be removed");
}

/* ---- root inside ---------------------------------------------------------------------------------------------- */

static const char *run_as(uint32_t id, int *st, const char *const *argv)
{
	struct process_spec p = guest_process(argv);

	p.uid = p.gid = id;
	return guest_run_spec(&guest, st, &p);
}

static void test_root(void)
{
	struct guest_call *c;
	struct sandbox_spec spec;
	struct sandbox *s;
	int st;

	test_host_spec(&host, &spec);
	spec.allow_root = true;
	spec.caps = SANDBOX_CAPS_ROOT;
	s = begin(&spec);
	has_str(run_as(0, &st, ARGV(PAYLOAD, "ids")), "uid 0 0 0 gid 0 0 0", "a process may be root inside");
	is_str(run_as(0, &st, ARGV(PAYLOAD, "write", "/etc/made", "x")), "", "root writes where root may");
	is_int(code_of(file_call(AGENT_FILE_MKDIR, 1000, "/work/private", 0700)), 0, "a user closes a directory");
	(void)run_as(0, &st, ARGV(PAYLOAD, "write", "/work/private/note", "x"));
	is_int(st, 0, "root writes there all the same");
	c = file_call(AGENT_FILE_STAT, 0, "/work/private/note", 0);
	ok(code_of(c) == 0 && c->answer.file_done.uid == 0, "a file of root's");
	is_int(code_of(file_call(AGENT_FILE_STAT, 1001, "/work/private/note", 0)), EACCES,
	       "that another user does not see");
	/* its standard output is a pipe made by pid 1, whose uid is 0 inside */
	has_str(run_as(0, &st, ARGV(PAYLOAD, "syscall", "93", "1", "1234", "1234")), "DONE",
		"root gives files away: fchown");
	has_str(run_as(1000, &st, ARGV(PAYLOAD, "syscall", "93", "1", "1234", "1234")), "EPERM", "nobody else does");
	has_str(run_as(0, &st, ARGV(PAYLOAD, "syscall", "117", "1234", "1234", "1234")), "DONE",
		"root becomes another: setresuid");
	has_str(run_as(0, &st, ARGV(PAYLOAD, "mount")), "EPERM", "root mounts nothing");
	has_str(run_as(0, &st, ARGV(PAYLOAD, "mknod")), "EPERM", "and makes no device");
	has_str(run_as(0, &st, ARGV(PAYLOAD, "unshare-user")), "EPERM", "nor a namespace");
	end(s);

	test_host_spec(&host, &spec);
	spec.allow_root = true;
	spec.caps = SANDBOX_CAPS_ROOT;
	spec.uid = spec.gid = 0;
	s = begin(&spec);
	c = guest_request(&guest, AGENT_REPORT, NULL);
	ok(guest_wait_over(&guest, c) && c->answer.ready.uid == 0 && c->answer.ready.is_probe,
	   "root may be the default");
	ok(c->answer.ready.cap_eff == SANDBOX_CAPS_ROOT && c->answer.ready.cap_bnd == SANDBOX_CAPS_ROOT,
	   "the kernel says that its capabilities are the short list, and can never be more");
	ok(c->answer.ready.seccomp == 2 && c->answer.ready.no_new_privs == 1, "filtered like everybody else");
	end(s);
}

/* ---- disks ---------------------------------------------------------------------------------------------------- */

static void test_read_only(void)
{
	struct sandbox_spec spec;
	struct sandbox *s;
	int st;

	test_host_spec(&host, &spec);
	spec.disk.kind = ROOTFS_READONLY;
	s = begin(&spec);
	is_str(run_as(1000, &st, ARGV(PAYLOAD, "cwd")), "/work", "without a disk there is a working directory");
	has_str(run_as(1000, &st, ARGV(PAYLOAD, "write", "/work/x", "x")), "EROFS", "in which nothing can be written");
	has_str(run_as(1000, &st, ARGV(PAYLOAD, "write", "/tmp/x", "x")), "EROFS", "nor in /tmp");
	is_int(write_as(1000, "/work/x", "x"), EROFS, "nor by a file call");
	(void)run_as(1000, &st, ARGV(PAYLOAD, "write", "/dev/shm/x", "x"));
	is_int(st, 0, "shared memory is there");
	is_str(text_of("/etc/hostname"), "sandbox\n", "and so is what we put there ourselves");
	end(s);
}

static uint32_t owner_on_disk(int disk, const char *path)
{
	struct stat st;

	return fstatat(disk, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? UINT32_MAX : st.st_uid;
}

static void test_disk_stays(void)
{
	cleanup_fd int disk = test_host_mkdir(&host, "disk");
	struct sandbox_spec spec;
	struct sandbox *s;
	struct guest_call *c;
	uint32_t first_base;
	int st;

	need(disk >= 0, "a directory for a disk");
	(void)mkdirat(host.layer_fd, "image", 0755);
	(void)close(openat(host.layer_fd, "image/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	test_host_spec(&host, &spec);
	spec.allow_root = true;
	spec.caps = SANDBOX_CAPS_ROOT;
	spec.disk = (struct rootfs_disk){ .kind = ROOTFS_DIR, .dir_fd = disk };
	s = begin(&spec);
	first_base = s->id_base;
	is_int(write_as(1000, "/work/mine", "mine"), 0, "a user writes a file");
	is_int(write_as(1234, "/tmp/others", "others"), 0, "another one as well");
	is_int(write_as(0, "/etc/hosts", "changed by root"), 0, "root changes one that we made");
	is_int(code_of(file_call(AGENT_FILE_CHMOD, 1000, "/work", 0700)), 0,
	       "a mode of a directory that we made is changed");
	is_int(code_of(file_call(AGENT_FILE_REMOVE, 0, "/image/file", 0)), 0, "a file of the image is removed");
	end(s);
	is_int(owner_on_disk(disk, "upper/work/mine"), 1000, "on disk it is the user's, by the id inside");
	is_int(owner_on_disk(disk, "upper/tmp/others"), 1234, "so is the other's");
	is_int(owner_on_disk(disk, "upper/etc/hosts"), 0, "and root's");

	test_host_spec(&host, &spec);
	spec.disk = (struct rootfs_disk){ .kind = ROOTFS_DIR, .dir_fd = disk };
	s = begin(&spec);
	ok(s->id_base != first_base, "another sandbox, with another id range");
	is_str(text_of("/work/mine"), "mine", "finds the file");
	c = file_call(AGENT_FILE_STAT, 1000, "/work/mine", 0);
	ok(code_of(c) == 0 && c->answer.file_done.uid == 1000 && c->answer.file_done.gid == 1000,
	   "which is the user's");
	c = file_call(AGENT_FILE_STAT, 1000, "/tmp/others", 0);
	ok(code_of(c) == 0 && c->answer.file_done.uid == 1234, "and the other's file");
	is_int(write_as(1000, "/work/mine", "changed"), 0, "the user changes it");
	is_int(write_as(1000, "/tmp/others", "changed"), EPERM, "and not the other's");
	is_str(text_of("/etc/hosts"), "changed by root", "what root changed was not made anew");
	c = file_call(AGENT_FILE_STAT, 1000, "/work", 0);
	ok(code_of(c) == 0 && (c->answer.file_done.mode & 07777) == 0700, "nor was the directory");
	is_str(text_of("/image/file"), "ENOENT", "and the removed file of the image stays removed");
	(void)run_as(1000, &st, ARGV(PAYLOAD, "true"));
	is_int(st, 0, "programs run there");
	end(s);
	is_int(faccessat(host.layer_fd, "image/file", F_OK, 0), 0, "the image itself is untouched");
}

static void test_given_network(void)
{
	const struct agent_connect to = { .port = 8080 };
	struct error err = ERROR_INIT;
	struct netns_maker maker = { 0 };
	cleanup_fd int net = netns_new(&maker, &err);
	struct guest_call *server, *c;
	struct sandbox_spec spec;
	struct sandbox *s;

	need(net >= 0, "a network namespace made ahead %s", err.text);
	netns_maker_done(&maker);
	test_host_spec(&host, &spec);
	spec.netns_fd = net;
	s = begin(&spec);
	server = start(AGENT_STDIO_NO_STDIN, ARGV(PAYLOAD, "serve", "8080"));
	ok(guest_expect(server->fds[0], "listening"), "a sandbox in it has a loopback");
	c = guest_request(&guest, AGENT_CONNECT, &to);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_CONNECTED && c->n_fds == 1, "that can be connected to");
	end(s);
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before;
	struct sandbox_spec spec;
	struct sandbox *s;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	test_host_spec(&host, &spec);
	end(begin(&spec)); /* the first one makes what all share: the staging mount of older kernels */
	leftovers_count(&host, &before);
	spec.survive_peer = true;
	s = begin(&spec);
	test_attach(s);
	test_refused_kept();
	end(s);
	test_table_full(&spec);
	test_peers_all_gone(&spec);
	test_root();
	test_disk_stays();
	test_given_network();
	test_read_only();
	is_str(leftovers_since(&host, &before), "", "nothing is left of any of it");
	test_host_close(&host);
	return done_testing();
}
