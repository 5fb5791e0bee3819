/*
 * Descriptors: paths never leave their directory, passed descriptors never leak, a replaced file is old or new and
 * nothing between. Leaks are seen by counting /proc/self/fd.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static int dir_fd = -1; /* a fresh directory, made by set_up */
static char dir_path[4096];

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	need(d, "/proc/self/fd can be listed");
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void put(const char *name, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	need(fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) == 0, "'%s' is made", name);
}

/* The content of a file below the test directory; in static memory. */
static const char *get(const char *name)
{
	static char text[256];
	cleanup_buf struct buf b = BUF_INIT;

	if (fd_read_file(dir_fd, name, sizeof(text) - 1, &b, NULL) < 0)
		return NULL;
	(void)snprintf(text, sizeof(text), "%s", buf_str(&b));
	return text;
}

static void set_up(void)
{
	const char *given = getenv("CUBIT_TEST_DIR");

	(void)snprintf(dir_path, sizeof(dir_path), "%s/fd.XXXXXX", given ? given : "/tmp");
	need(mkdtemp(dir_path), "a directory for this test can be made");
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(dir_fd >= 0 && mkdirat(dir_fd, "sub", 0755) == 0, "with a directory in it");
	put("inside", "inside");
	put("sub/file", "deep");
	need(symlinkat("/etc/passwd", dir_fd, "absolute") == 0 && symlinkat("../..", dir_fd, "sub/up") == 0 &&
		     symlinkat("inside", dir_fd, "good") == 0 && symlinkat("loop", dir_fd, "loop") == 0,
	     "and symbolic links");
}

static void tear_down(void)
{
	static const char *const files[] = {
		"inside", "sub/file", "sub/up", "absolute", "good", "loop", "state", "made"
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)unlinkat(dir_fd, files[i], 0); /* some were never made */
	(void)unlinkat(dir_fd, "sub", AT_REMOVEDIR);
	is_int(rmdir(dir_path), 0, "nothing unexpected was left in the directory");
	fd_close(&dir_fd);
}

static const struct {
	enum fd_resolve how;
	const char *path;
	int flags;
	int code; /* 0, or the errno expected */
	const char *title;
} paths[] = {
	{ FD_BENEATH, "inside", O_RDONLY, 0, "a file in the directory opens" },
	{ FD_BENEATH, "sub/file", O_RDONLY, 0, "a file further down opens" },
	{ FD_BENEATH, "good", O_RDONLY, 0, "a link that stays inside is followed" },
	{ FD_BENEATH, "sub/../inside", O_RDONLY, 0, ".. that stays inside is allowed" },
	{ FD_BENEATH, ".", O_RDONLY | O_DIRECTORY, 0, "the directory itself opens" },
	{ FD_BENEATH, "..", O_RDONLY, EXDEV, ".. out of the directory is refused" },
	{ FD_BENEATH, "sub/../../etc", O_RDONLY, EXDEV, ".. out by a detour is refused" },
	{ FD_BENEATH, "/etc/passwd", O_RDONLY, EXDEV, "an absolute path is refused" },
	{ FD_BENEATH, "absolute", O_RDONLY, EXDEV, "an absolute link is refused" },
	{ FD_BENEATH, "sub/up", O_RDONLY, EXDEV, "a link upwards and out is refused" },
	{ FD_BENEATH, "loop", O_RDONLY, ELOOP, "a loop of links is refused" },
	{ FD_BENEATH, "good", O_RDONLY | O_NOFOLLOW, ELOOP, "with O_NOFOLLOW no link is followed" },
	{ FD_BENEATH, "nosuch", O_RDONLY, ENOENT, "what is not there is not made" },
	{ FD_IN_ROOT, "/inside", O_RDONLY, 0, "in a root, an absolute path starts at the root" },
	{ FD_IN_ROOT, "../../inside", O_RDONLY, 0, "in a root, .. stops at the root" },
	{ FD_IN_ROOT, "sub/up/inside", O_RDONLY, 0, "in a root, a link upwards stops at the root" },
	{ FD_IN_ROOT, "absolute", O_RDONLY, ENOENT,
	  "in a root, an absolute link is looked up there and not on the host" },
};

static void paths_stay_inside(void)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct error err = ERROR_INIT;
		int r = fd_open_at(dir_fd, paths[i].how, paths[i].path, paths[i].flags, 0, &err);
		bool is_right = paths[i].code ? r == -paths[i].code : r >= 0 && is_cloexec(r);

		ok(is_right, "%s", paths[i].title);
		if (!is_right)
			diag("returned %d: %s", r, err.text);
		if (paths[i].code)
			has_str(err.text, paths[i].path, "and the message names '%s'", paths[i].path);
		if (r >= 0)
			fd_close(&r);
	}
}

static void magic_links_are_refused(void)
{
	cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = ERROR_INIT;

	need(proc >= 0, "/proc can be opened");
	for (const char *const *link = (const char *const[]){ "self/exe", "self/root", "self/cwd", "self/fd/0", NULL };
	     *link; link++) {
		is_int(fd_open_at(proc, FD_BENEATH, *link, O_RDONLY, 0, &err), -ELOOP, "the magic link %s is refused",
		       *link);
		is_int(fd_open_at(proc, FD_IN_ROOT, *link, O_PATH, 0, &err), -ELOOP, "in a root and as O_PATH too");
	}
}

static void files_are_made(void)
{
	struct error err = ERROR_INIT;
	struct stat st;
	int fd = fd_open_at(dir_fd, FD_BENEATH, "made", O_WRONLY | O_CREAT | O_EXCL, 0600, &err);

	ok(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600, "O_CREAT makes a file with the mode given");
	fd_close(&fd);
	is_int(fd_open_at(dir_fd, FD_BENEATH, "made", O_WRONLY | O_CREAT | O_EXCL, 0600, &err), -EEXIST,
	       "O_EXCL refuses one that is there");
	is_int(fd_open_at(dir_fd, FD_BENEATH, "../made", O_WRONLY | O_CREAT, 0600, &err), -EXDEV,
	       "none is made outside");
	fd = fd_open_at(dir_fd, FD_BENEATH, "sub", O_PATH | O_DIRECTORY, 0755, &err);
	ok(fd >= 0, "a mode given without O_CREAT is no error, also not with O_DIRECTORY");
	if (fd < 0)
		diag("%s", err.text);
	fd_close(&fd);
	fd = fd_open_at(dir_fd, FD_BENEATH, ".", O_WRONLY | O_TMPFILE, 0600, &err);
	ok(fd >= 0 || err.code == EOPNOTSUPP, "O_TMPFILE makes a nameless one where the file system can");
	fd_close(&fd);
}

static void whole_files(void)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	is_int(fd_read_file(dir_fd, "inside", 6, &b, &err), 0, "a file of exactly the bound is read");
	is_str(buf_str(&b), "inside", "whole");
	is_int(fd_read_file(dir_fd, "inside", 5, &b, &err), -EFBIG, "one byte more than the bound is refused");
	has_str(err.text, "inside", "and the message names the file");
	is_int(fd_read_file(dir_fd, "nosuch", 5, &b, NULL), -ENOENT, "the code comes without an error object, too");
	is_int(fd_read_file(dir_fd, "sub", 5, &b, &err), -EISDIR, "a directory cannot be read");
	is_int(fd_write_file(dir_fd, "inside", "after", &err), 0, "a file is written in place");
	is_int(fd_write_file(dir_fd, "nosuch", "x", &err), -ENOENT, "but never made");
	has_str(err.text, "nosuch", "and the message names it");
}

static void replaced_or_not(void)
{
	cleanup_fd int path_only = openat(dir_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	static const char big[64 << 10];
	struct rlimit was, small = { .rlim_cur = 4096 };
	struct error err = ERROR_INIT;
	struct stat st;

	is_int(fd_replace_file(dir_fd, "state", "one", 3, 0600, &err), 0, "a file that was not there is made");
	ok(fstatat(dir_fd, "state", &st, 0) == 0 && (st.st_mode & 07777) == 0600, "with the mode given");
	is_int(fd_replace_file(dir_fd, "state", "two", 3, 0600, &err), 0, "one that was is replaced");
	is_str(get("state"), "two", "by the new content");

	/* writing fails half-way: the file size limit, with its signal ignored, setrlimit(2) */
	need(getrlimit(RLIMIT_FSIZE, &was) == 0, "the file size limit can be read");
	small.rlim_max = was.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	need(setrlimit(RLIMIT_FSIZE, &small) == 0, "and lowered");
	is_int(fd_replace_file(dir_fd, "state", big, sizeof(big), 0600, &err), -EFBIG,
	       "a write that fails is an error");
	need(setrlimit(RLIMIT_FSIZE, &was) == 0, "the limit is put back");
	has_str(err.text, "state", "whose message names the file");
	is_str(get("state"), "two", "and the old content is still there");

	is_int(fd_replace_file(dir_fd, "sub", "x", 1, 0600, &err), -EISDIR, "a directory is not replaced");
	is_int(fd_replace_file(dir_fd, "sub/x", "x", 1, 0600, &err), -EINVAL,
	       "nor is anything that is not a plain name");
	is_int(fd_replace_file(path_only, "state", "three", 5, 0600, &err), 0,
	       "the directory may be an O_PATH descriptor");
	is_str(get("state"), "three", "and the file is new");
}

static void stale_temporary(void)
{
	char name[64];
	struct stat st;

	(void)snprintf(name, sizeof(name), "tmp.state.%d", (int)getpid());
	put(name, "left by a crash, readable by all");
	is_int(fd_replace_file(dir_fd, "state", "secret", 6, 0600, NULL), 0, "what a crash left beside is no obstacle");
	ok(fstatat(dir_fd, "state", &st, 0) == 0 && (st.st_mode & 07777) == 0600, "and its mode is not taken over");
}

static void pair(int type, int sv[2])
{
	need(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv) == 0, "a socket pair can be made");
}

static void close_pair(int sv[2])
{
	fd_close(&sv[0]);
	fd_close(&sv[1]);
}

static void descriptors_travel(void)
{
	int sv[2], fds[FD_PASS_MAX], got[FD_PASS_MAX];
	int before = open_fds();
	struct error err = ERROR_INIT;
	struct stat a, b;
	size_t n = FD_PASS_MAX;
	char data[8];

	pair(SOCK_SEQPACKET, sv);
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		fds[i] = dir_fd;
	is_int(fd_send(sv[0], "hello", 5, fds, FD_PASS_MAX, 0, &err), 0, "the most descriptors allowed can be sent");
	is_int(fd_recv(sv[1], data, sizeof(data), got, &n, 0, &err), 5, "and received");
	is_int(n, FD_PASS_MAX, "all of them");
	ok(fstat(dir_fd, &a) == 0 && fstat(got[0], &b) == 0 && a.st_ino == b.st_ino, "each is what was sent");
	ok(is_cloexec(got[0]) && is_cloexec(got[FD_PASS_MAX - 1]), "and close-on-exec");
	for (size_t i = 0; i < n; i++)
		fd_close(&got[i]);

	is_int(fd_send(sv[0], "x", 1, fds, FD_PASS_MAX + 1, 0, &err), -EINVAL, "one more is refused by the sender");
	is_int(fd_send(sv[0], "bytes only", 7, NULL, 0, 0, &err), 0, "none can be sent");
	n = 2;
	is_int(fd_recv(sv[1], data, sizeof(data), got, &n, 0, &err), 7, "the message comes");
	is_int(n, 0, "and no descriptor");
	close_pair(sv);
	is_int(open_fds(), before, "nothing leaked");
}

/* Send n_fds descriptors by hand, as a hostile peer would: with more of them than fd_send allows, or no byte. */
static void send_raw(int sock, const void *data, size_t size, size_t n_fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &dir_fd, sizeof(int));
	}
	need(sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)size, "the peer sends %zu bytes and %zu descriptors", size,
	     n_fds);
}

static const struct {
	size_t size, n_fds; /* sent */
	size_t capacity, room;
	int code;
	const char *words;
	const char *title;
} hostile[] = {
	{ 4, 3, 8, 2, EPROTO, "descriptors", "more descriptors than there is room for" },
	{ 4, 1, 8, 0, EPROTO, "descriptors", "a descriptor where none is expected" },
	{ 4, 17, 8, 16, EPROTO, "descriptors", "more descriptors than a message may have" },
	{ 4, 253, 8, 16, EPROTO, "descriptors", "as many as the kernel lets through" },
	{ 9, 0, 8, 16, EMSGSIZE, "longer than 8", "a message longer than the buffer" },
	{ 9, 2, 8, 16, EMSGSIZE, "longer than 8", "a message longer than the buffer with descriptors" },
	{ 0, 2, 8, 16, EPROTO, "empty", "descriptors on an empty message, which looks like the end" },
};

static void hostile_messages(void)
{
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		int before = open_fds(), sv[2], got[FD_PASS_MAX];
		size_t n = hostile[i].room;
		struct error err = ERROR_INIT;
		char data[16] = "0123456789abcde";
		ssize_t r;

		pair(SOCK_SEQPACKET, sv);
		send_raw(sv[0], data, hostile[i].size, hostile[i].n_fds);
		r = fd_recv(sv[1], data, hostile[i].capacity, got, hostile[i].room ? &n : NULL, 0, &err);
		is_int(r, -hostile[i].code, "refused: %s", hostile[i].title);
		has_str(err.text, hostile[i].words, "and the message says so");
		ok(n == 0 || hostile[i].room == 0, "no descriptor is handed out");
		is_int(fd_send(sv[0], "next", 4, NULL, 0, 0, &err), 0, "the next message can be sent");
		is_int(fd_recv(sv[1], data, sizeof(data), NULL, NULL, 0, &err), 4, "and arrives whole");
		close_pair(sv);
		is_int(open_fds(), before, "nothing leaked");
	}
}

static void ends_and_waits(void)
{
	char data[8], *big = calloc(1, 8 << 20);
	int sv[2], sent = 0, r;
	struct error err = ERROR_INIT;

	need(big, "there is memory");
	pair(SOCK_SEQPACKET, sv);
	is_int(fd_recv(sv[1], data, sizeof(data), NULL, NULL, MSG_DONTWAIT, &err), -EAGAIN, "nothing there is EAGAIN");
	while ((r = fd_send(sv[0], data, sizeof(data), NULL, 0, MSG_DONTWAIT, &err)) == 0 && sent < 1000000)
		sent++;
	is_int(r, -EAGAIN, "a full socket is EAGAIN for the sender");
	is_int(fd_send(sv[0], big, 8 << 20, NULL, 0, 0, &err), -EMSGSIZE, "a message no socket takes is EMSGSIZE");
	fd_close(&sv[1]);
	r = fd_send(sv[0], "x", 1, NULL, 0, 0, &err);
	ok(r == -EPIPE || r == -ECONNRESET, "a peer that has gone is an error and no signal");
	close_pair(sv);

	pair(SOCK_SEQPACKET, sv);
	fd_close(&sv[0]);
	is_int(fd_recv(sv[1], data, sizeof(data), NULL, NULL, 0, &err), 0, "the end is 0");
	is_int(fd_set_nonblock(sv[1], 1), 0, "O_NONBLOCK can be set");
	ok(fcntl(sv[1], F_GETFL) & O_NONBLOCK, "and is");
	ok(fd_set_nonblock(sv[1], 0) == 0 && !(fcntl(sv[1], F_GETFL) & O_NONBLOCK), "and cleared");
	is_int(fd_set_nonblock(-1, 1), -EBADF, "not on what is no descriptor");
	close_pair(sv);
	free(big);
}

static void ownership(void)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0), taken;

	need(fd >= 0, "a descriptor can be duplicated");
	taken = fd_take(&fd);
	ok(fd == -1 && taken >= 0, "taking a descriptor leaves -1 behind");
	errno = EXDEV;
	fd_close(&taken);
	ok(taken == -1 && errno == EXDEV, "closing leaves -1 and keeps errno");
	fd_close(&taken);
	is_int(errno, EXDEV, "closing nothing is nothing");
}

int main(void)
{
	int before;

	(void)umask(022);
	before = open_fds();
	set_up();
	paths_stay_inside();
	magic_links_are_refused();
	files_are_made();
	whole_files();
	replaced_or_not();
	stale_temporary();
	descriptors_travel();
	hostile_messages();
	ends_and_waits();
	ownership();
	tear_down();
	is_int(open_fds(), before, "as many descriptors are open as at the start");
	return done_testing();
}
