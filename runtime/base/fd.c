/* Descriptors: see fd.h. */
#include "runtime/base/fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"

enum { RESOLVE_TRIES = 8, READ_CHUNK = 4096 };

int fd_open_at(int dir_fd, enum fd_resolve how, const char *path, int flags, mode_t mode, struct error *err)
{
	struct open_how oh = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		/* O_TMPFILE contains O_DIRECTORY's bit; a mode that means nothing is EINVAL, openat2(2) */
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
		.resolve = RESOLVE_NO_MAGICLINKS | (how == FD_BENEATH ? RESOLVE_BENEATH : RESOLVE_IN_ROOT),
	};
	long fd = -1;

	if (flags & O_NOFOLLOW)
		oh.resolve |= RESOLVE_NO_SYMLINKS;
	for (int i = 0; i < RESOLVE_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &oh, sizeof(oh));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0)
		return error_errno(err, errno, "open '%s'", path);
	return (int)fd;
}

int fd_read_all(int fd, size_t max_bytes, struct buf *out, struct error *err)
{
	char chunk[READ_CHUNK];
	size_t total = 0;

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "read");
		if (n == 0)
			return 0;
		total += (size_t)n;
		if (total > max_bytes)
			return error_set(err, EFBIG, "more than %zu bytes", max_bytes);
		int r = buf_append(out, chunk, (size_t)n);

		if (r < 0)
			return error_errno(err, -r, "keep %zu bytes", total);
	}
}

int fd_read_file(int dir_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "open '%s'", path);
	r = fd_read_all(fd, max_bytes, out, err);
	if (r < 0)
		(void)error_wrap(err, "'%s'", path); /* r has the code even when err is NULL */
	return r;
}

int fd_write_all(int fd, const void *data, size_t size, struct error *err)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "write");
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fd_write_file(int dir_fd, const char *path, const char *text, struct error *err)
{
	cleanup_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t size = strlen(text);
	ssize_t n;

	if (fd < 0)
		return error_errno(err, errno, "open '%s'", path);
	do {
		n = write(fd, text, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "write '%.40s' to '%s'", text, path);
	if ((size_t)n != size)
		return error_set(err, EIO, "write '%.40s' to '%s': only %zd bytes taken", text, path, n);
	return 0;
}

/* dir_fd may be O_PATH or AT_FDCWD, neither of which fsync(2) takes: open the same directory once more. */
static int sync_dir(int dir_fd, const char *name, struct error *err)
{
	cleanup_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_errno(err, errno, "fsync directory of '%s'", name);
	return 0;
}

int fd_replace_file(int dir_fd, const char *name, const void *data, size_t size, mode_t mode, struct error *err)
{
	char tmp[300];
	int r;

	if (strchr(name, '/') || snprintf(tmp, sizeof(tmp), "tmp.%s.%d", name, (int)getpid()) >= (int)sizeof(tmp))
		return error_set(err, EINVAL, "'%s' is not a file name", name);
	{
		cleanup_fd int fd = -1;

		(void)unlinkat(dir_fd, tmp, 0); /* left by a crash of a process with our pid; usually ENOENT */
		fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd < 0)
			return error_errno(err, errno, "create '%s'", tmp);
		r = fd_write_all(fd, data, size, err);
		if (r == 0 && fsync(fd) < 0)
			r = error_errno(err, errno, "fsync");
	}
	if (r == 0 && renameat(dir_fd, tmp, dir_fd, name) < 0)
		r = error_errno(err, errno, "rename to '%s'", name);
	if (r < 0) {
		(void)unlinkat(dir_fd, tmp, 0); /* the failure that counts is already set */
		(void)error_wrap(err, "replace '%s'", name);
		return r;
	}
	return sync_dir(dir_fd, name, err);
}

int fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds, int flags, struct error *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds > FD_PASS_MAX)
		return error_set(err, EINVAL, "%zu descriptors in one message, at most %d", n_fds, FD_PASS_MAX);
	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "sendmsg");
	if ((size_t)n != size)
		return error_set(err, EIO, "sendmsg: only %zd of %zu bytes taken", n, size);
	return 0;
}

/* Collect passed descriptors; whatever does not fit is closed, never leaked. Returns how many there were. */
static size_t take_fds(struct msghdr *msg, int *ret_fds, size_t room)
{
	size_t total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, total++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (total < room)
				ret_fds[total] = fd;
			else
				fd_close(&fd);
		}
	}
	return total;
}

ssize_t fd_recv(int sock, void *data, size_t capacity, int *ret_fds, size_t *n_fds, int flags, struct error *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = capacity };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	size_t room = n_fds ? *n_fds : 0, got;
	ssize_t n;

	if (n_fds)
		*n_fds = 0;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "recvmsg");
	got = take_fds(&msg, ret_fds, room);
	if (got > room || (got > 0 && n == 0) || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		for (size_t i = 0; i < got && i < room; i++)
			fd_close(&ret_fds[i]);
		if (got <= room && n == 0) /* the caller would take it for the end, and leave them open */
			return error_set(err, EPROTO, "%zu descriptors with an empty message", got);
		if (msg.msg_flags & MSG_TRUNC)
			return error_set(err, EMSGSIZE, "message longer than %zu bytes", capacity);
		return error_set(err, EPROTO, "more than %zu descriptors in a message", room);
	}
	if (n_fds)
		*n_fds = got;
	return n;
}

int fd_set_nonblock(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
