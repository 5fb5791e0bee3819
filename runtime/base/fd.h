/*
 * Descriptors: ownership, paths below a directory, whole-file reads and writes, passing over a socket.
 *
 * Every descriptor made here is close-on-exec from birth. Nothing here blocks except on the descriptor given.
 *
 * Runs anywhere, also in cubit-init.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

struct error;
struct buf;

/* Close *fd if it is one and leave -1 there. errno is kept; close is never retried, close(2). */
static inline void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* an error here has no remedy */
	*fd = -1;
	errno = saved;
}

/* Move a descriptor out of a scoped variable: returns it and leaves -1. */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define cleanup_fd __attribute__((cleanup(fd_close)))

enum fd_resolve {
	FD_BENEATH, /* ours: a path that leaves dir_fd is an error (EXDEV), openat2(2) RESOLVE_BENEATH */
	FD_IN_ROOT, /* the container's view: dir_fd is /, RESOLVE_IN_ROOT */
};

/*
 * Open a path below a directory without ever following a magic link, openat2(2).
 *
 * dir_fd     borrowed; the directory that bounds the walk
 * path       relative for FD_BENEATH; either for FD_IN_ROOT
 * flags      open(2) flags; O_CLOEXEC is added. With O_NOFOLLOW, RESOLVE_NO_SYMLINKS is used as well
 * mode       permission bits, only with O_CREAT or O_TMPFILE
 *
 * Returns an owned descriptor or -errno with err filled. EAGAIN (a rename raced the walk) is retried a few times.
 */
int fd_open_at(int dir_fd, enum fd_resolve how, const char *path, int flags, mode_t mode, struct error *err);

/*
 * Read a whole file of at most max_bytes into out (appended). For files of the kernel (/proc, cgroups) and our own.
 * path is resolved against dir_fd (AT_FDCWD allowed) as openat(2) does: never give it a hostile path.
 * Returns 0 or -errno: -EFBIG when there is more than max_bytes.
 */
int fd_read_file(int dir_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err);

/* Read until end of file or max_bytes from an open descriptor; -EFBIG when there is more. Appends to out. */
int fd_read_all(int fd, size_t max_bytes, struct buf *out, struct error *err);

/* Write every byte, retrying short writes and EINTR. Blocking descriptors only. */
int fd_write_all(int fd, const void *data, size_t size, struct error *err);

/*
 * Write text to an existing kernel file in one write(2), as cgroups(7) and user_namespaces(7) want it.
 * The file is never created. Same path rule as fd_read_file.
 */
int fd_write_file(int dir_fd, const char *path, const char *text, struct error *err);

/*
 * Replace a file of ours so that a crash leaves either the old or the new content: write beside, fsync, rename.
 * The directory is synced too. name is one path component; dir_fd may be O_PATH or AT_FDCWD.
 */
int fd_replace_file(int dir_fd, const char *name, const void *data, size_t size, mode_t mode, struct error *err);

enum { FD_PASS_MAX = 16 }; /* descriptors in one message; the kernel's own bound is 253, unix(7) */

/*
 * Send one message with descriptors over a connected unix socket (SCM_RIGHTS). fds are borrowed.
 * flags: 0 or MSG_DONTWAIT. Returns 0 or -errno (-EAGAIN with MSG_DONTWAIT, -EMSGSIZE, -EPIPE; never SIGPIPE).
 */
int fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds, int flags, struct error *err);

/*
 * Receive one message and its descriptors.
 *
 * data, capacity     where the bytes go; a message longer than capacity is refused whole (-EMSGSIZE)
 * ret_fds, *n_fds    in: room, at most FD_PASS_MAX; out: how many were received, owned by the caller, close-on-exec.
 *                    More than there is room for, or any with an empty message (which would look like the end):
 *                    all are closed and -EPROTO is returned
 *
 * Returns bytes received, 0 at end of file, or -errno. On any error no descriptor is left open.
 */
ssize_t fd_recv(int sock, void *data, size_t capacity, int *ret_fds, size_t *n_fds, int flags, struct error *err);

/* Set or clear O_NONBLOCK. Returns 0 or -errno. */
int fd_set_nonblock(int fd, int on);
