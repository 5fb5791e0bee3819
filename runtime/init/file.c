/*
 * FILE: reading and changing the sandbox's files, done inside with the identity of the caller.
 *
 * Each call is a forked helper: it has the uid asked for and no capability that uid would not have, so whatever a
 * hostile tree does (links, fifos, swaps under our feet) it does to a process with the rights of the payload. The
 * host only ever sees a pipe and numbers.
 *
 * Content flows through a pipe made here. For WRITE the host writes and closes; what came is in place only after the
 * rename, so a reader sees the old file or the new one. `limit` of WRITE, when not 0, is the exact size expected:
 * fewer bytes at end of file mean that the host died, and the file stays as it was.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/init/init.h"

enum { COPY_BYTES = 64 << 10, DEPTH_MAX = 64, DENTS_BYTES = 32 << 10 };

/* glibc has it only behind readdir; getdents64(2) needs no memory */
struct linux_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

struct call {
	struct init *in;
	uint32_t seq;
	const struct agent_file *file;
	struct agent_file_done done;
	int pipe; /* our end */
	uint64_t records;
};

static int give(int code)
{
	errno = code;
	return -1;
}

static void fill_stat(struct agent_file_done *d, const struct stat *st)
{
	d->mode = st->st_mode;
	d->uid = st->st_uid;
	d->gid = st->st_gid;
	d->size = (uint64_t)st->st_size;
	d->mtime_ns = st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec;
}

/* Make the content pipe and give the host its end. */
static int open_pipe(struct call *c, bool host_writes)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	c->pipe = host_writes ? p[0] : p[1];
	reply(c->in, AGENT_FILE_OPEN, c->seq, NULL, host_writes ? &p[1] : &p[0], 1);
	fd_close(host_writes ? &p[1] : &p[0]);
	return 0;
}

/* O_NONBLOCK: a fifo or a device must not hold us; then only regular files are taken. */
static int open_regular(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		errno = S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
		fd_close(&fd);
		return -1;
	}
	return fd;
}

static int file_read(struct call *c)
{
	struct stat st = { .st_mode = 0 };
	int fd = open_regular(c->file->path, &st);
	uint64_t left = c->file->limit ? c->file->limit : UINT64_MAX;
	off_t at = (off_t)c->file->offset;

	if (fd < 0)
		return -1;
	fill_stat(&c->done, &st);
	if (open_pipe(c, false) < 0)
		return -1;
	while (left > 0) {
		ssize_t n = sendfile(c->pipe, fd, &at, left < COPY_BYTES ? left : COPY_BYTES);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		c->done.bytes += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return 0;
}

/* mkdir -p for everything above the last slash (or for the whole path). An existing directory is fine. */
static int make_dirs(const char *path, mode_t mode, bool whole)
{
	static char part[4096];
	size_t n = strlen(path);

	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && !(path[i] == '\0' && whole))
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST && errno != EROFS)
			return -1;
	}
	return 0;
}

static int copy_in(struct call *c, int fd)
{
	static char data[COPY_BYTES];

	for (;;) {
		ssize_t n = read(c->pipe, data, sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		if (fd_write_all(fd, data, (size_t)n, NULL) < 0)
			return -1;
		c->done.bytes += (uint64_t)n;
	}
	return c->file->limit && c->done.bytes != c->file->limit ? give(ECANCELED) : 0;
}

static int file_write(struct call *c)
{
	const char *path = c->file->path;
	static char tmp[4200];
	cleanup_fd int fd = -1; /* closed before the answer: what a failed write took of the disk is free by then */
	struct stat st;
	int r;

	if (c->file->flags & AGENT_FILE_PARENTS && make_dirs(path, 0755, false) < 0)
		return -1;
	(void)snprintf(tmp, sizeof(tmp), "%s.cubit-%u", path, c->seq);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	r = open_pipe(c, true);
	if (r == 0)
		r = copy_in(c, fd);
	if (r == 0)
		r = fchmod(fd, c->file->mode & 07777);
	if (r == 0 && fstat(fd, &st) == 0)
		fill_stat(&c->done, &st);
	if (r == 0)
		r = rename(tmp, path);
	if (r < 0) {
		int saved = errno;

		(void)unlink(tmp);
		errno = saved;
	}
	return r;
}

static int file_stat(struct call *c)
{
	struct stat st;

	if (lstat(c->file->path, &st) < 0)
		return -1;
	fill_stat(&c->done, &st);
	return 0;
}

static uint8_t type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	default:
		return 'b';
	}
}

/* Write one record into the pipe. 1: the limit of records was reached. */
static int send_record(struct call *c, int dir, const char *name, const char *prefix, struct stat *st)
{
	static struct agent_file_record rec;
	static uint8_t bytes[sizeof(rec) + 64];
	size_t size;

	if (c->file->limit && c->records == c->file->limit) {
		c->done.is_cut = 1;
		return 1;
	}
	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1; /* removed meanwhile */
	rec = (struct agent_file_record){
		.type = type_of(st->st_mode),
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.mtime_ns = st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec,
	};
	if ((size_t)snprintf(rec.path, sizeof(rec.path), "%s%s", prefix, name) >= sizeof(rec.path))
		return give(ENAMETOOLONG);
	if (rec.type == 'l' && readlinkat(dir, name, rec.link, sizeof(rec.link) - 1) < 0)
		return errno == ENOENT ? 0 : -1;
	size = agent_record_encode(bytes, sizeof(bytes), &rec);
	c->records++;
	return fd_write_all(c->pipe, bytes, size, NULL) < 0 ? -1 : 0;
}

/* List dir; go down `depth` more levels. Consumes dir. */
static int list_dir(struct call *c, int dir_fd, const char *prefix, unsigned depth)
{
	cleanup_fd int dir = dir_fd;
	char dents[DENTS_BYTES], below[4096];
	long n;

	while ((n = syscall(SYS_getdents64, dir, dents, sizeof(dents))) > 0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent *d = (const struct linux_dirent *)(dents + at);
			struct stat st = { .st_mode = 0 };
			int r, sub;

			at += d->reclen;
			if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
				continue;
			r = send_record(c, dir, d->name, prefix, &st);
			if (r != 0)
				return r;
			if (depth == 0 || !S_ISDIR(st.st_mode))
				continue;
			if ((size_t)snprintf(below, sizeof(below), "%s%s/", prefix, d->name) >= sizeof(below))
				return give(ENAMETOOLONG);
			sub = openat(dir, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub < 0)
				continue; /* not ours to read, or gone: the record of it was sent */
			r = list_dir(c, sub, below, depth - 1);
			if (r != 0)
				return r;
		}
	}
	return n < 0 ? -1 : 0;
}

static int file_list(struct call *c)
{
	uint64_t depth = c->file->op == AGENT_FILE_WALK ? c->file->offset : 0;
	int dir = open(c->file->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -1;
	if (open_pipe(c, false) < 0)
		return -1;
	return list_dir(c, dir, "", depth > DEPTH_MAX ? DEPTH_MAX : (unsigned)depth) < 0 ? -1 : 0;
}

static int file_mkdir(struct call *c)
{
	struct stat st;

	if (make_dirs(c->file->path, c->file->mode & 07777, true) < 0)
		return -1;
	if (stat(c->file->path, &st) < 0 || !S_ISDIR(st.st_mode))
		return give(ENOTDIR);
	return 0;
}

static int file_rename(struct call *c)
{
	return rename(c->file->path, c->file->path2);
}

static int file_chmod(struct call *c)
{
	return chmod(c->file->path, c->file->mode & 07777);
}

/* Remove what is below dir, never following a link. Consumes dir. */
static int remove_below(int dir_fd, unsigned depth)
{
	cleanup_fd int dir = dir_fd;
	char dents[DENTS_BYTES];
	long n;

	while ((n = syscall(SYS_getdents64, dir, dents, sizeof(dents))) > 0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent *d = (const struct linux_dirent *)(dents + at);
			int sub;

			at += d->reclen;
			if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
				continue;
			if (unlinkat(dir, d->name, 0) == 0 || errno == ENOENT)
				continue;
			if (errno != EISDIR && errno != EPERM)
				return -1;
			if (depth == 0)
				return give(ELOOP);
			sub = openat(dir, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub < 0 || remove_below(sub, depth - 1) < 0 || unlinkat(dir, d->name, AT_REMOVEDIR) < 0)
				return -1;
		}
	}
	return n < 0 ? -1 : 0;
}

static int file_remove(struct call *c)
{
	const char *path = c->file->path;
	int dir;

	if (unlink(path) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (c->file->flags & AGENT_FILE_RECURSIVE) {
		dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0 || remove_below(dir, DEPTH_MAX) < 0)
			return -1;
	}
	return rmdir(path);
}

void file_call(struct init *in, uint32_t seq, const struct agent_file *file)
{
	static int (*const ops[AGENT_FILE_OPS])(struct call *) = {
		[AGENT_FILE_READ] = file_read,     [AGENT_FILE_WRITE] = file_write,   [AGENT_FILE_LIST] = file_list,
		[AGENT_FILE_WALK] = file_list,     [AGENT_FILE_STAT] = file_stat,     [AGENT_FILE_MKDIR] = file_mkdir,
		[AGENT_FILE_RENAME] = file_rename, [AGENT_FILE_REMOVE] = file_remove, [AGENT_FILE_CHMOD] = file_chmod,
	};
	struct call c = { .in = in, .seq = seq, .file = file, .pipe = -1 };

	if (helper_fork(in, seq, file->uid, file->gid) != 0)
		return;
	(void)umask(0022);
	if (file->op >= AGENT_FILE_OPS || !ops[file->op] || !file->path[0])
		c.done.code = EINVAL;
	else if (ops[file->op](&c) < 0)
		c.done.code = (uint32_t)errno;
	fd_close(&c.pipe); /* end of file before the answer: the host has all there is when it reads FILE_DONE */
	reply(in, AGENT_FILE_DONE, seq, &c.done, NULL, 0);
	_exit(0);
}
