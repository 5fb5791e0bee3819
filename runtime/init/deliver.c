/*
 * DELIVER: a small file, written by pid 1 itself. A helper costs a fork, a pipe and two messages more (file.c), which is
 * most of what it takes to hand a program to a sandbox.
 *
 * What makes it safe: no program has run inside, so whatever is there is the image's; a path that has a symbolic link in it,
 * or a file at its end, is refused, so the kernel never goes anywhere else; and the file system sees the identity of the
 * payload (setfsuid(2)), which owns what is made and can make it only where it could itself. Pid 1 has no capability that
 * would help it there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

enum { DELIVER_RETRIES = 8 /* EAGAIN of openat2(2): something was renamed or mounted meanwhile */ };

static int open_directory(const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < DELIVER_RETRIES; i++) {
		fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return (int)fd;
}

/* The directory of the last component, which `ret_name` is. Those above that are not there are made. */
static int open_parent(char *path, const char **ret_name)
{
	char *last = strrchr(path, '/');
	int fd;

	if (!last || last == path || !last[1]) {
		errno = EINVAL;
		return -1;
	}
	*last = '\0';
	*ret_name = last + 1;
	fd = open_directory(path);
	if (fd < 0 && errno == ENOENT) {
		const char *name;
		cleanup_fd int above = open_parent(path, &name); /* cuts path at another place ... */

		if (above < 0 || (mkdirat(above, name, 0755) < 0 && errno != EEXIST))
			return -1;
		path[strlen(path)] = '/'; /* ... and here it is whole again */
		fd = open_directory(path);
	}
	return fd;
}

static int write_new(const struct agent_deliver *d)
{
	static char path[sizeof(d->path)];
	const char *name;
	cleanup_fd int parent = -1, fd = -1;

	(void)memcpy(path, d->path, sizeof(path));
	parent = open_parent(path, &name);
	if (parent < 0)
		return -1;
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (fd_write_all(fd, d->content.data, d->content.size, NULL) < 0 || fchmod(fd, d->mode & 07777) < 0) {
		int saved = errno;

		(void)unlinkat(parent, name, 0);
		errno = saved;
		return -1;
	}
	return 0;
}

void deliver(struct init *in, uint32_t seq, const struct agent_deliver *d)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct agent_file_done done = { .code = 0 };
	mode_t mask;

	if (in->has_started) {
		errno = EBUSY;
		(void)fail(&f, AGENT_STAGE_REQUEST, "a file for a sandbox in which something was started");
		reply_refused(in, seq, &f);
		return;
	}
	mask = umask(0022);
	(void)setfsgid(in->setup.gid);
	(void)setfsuid(in->setup.uid);
	if (write_new(d) < 0)
		done.code = (uint32_t)errno;
	(void)setfsuid(0);
	(void)setfsgid(0);
	(void)umask(mask);
	done.bytes = done.size = done.code ? 0 : d->content.size;
	reply(in, AGENT_FILE_DONE, seq, &done, NULL, 0);
}
