/* The store's two locks: see the top of store_impl.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/store/store_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

int store_lock(const struct store *s, int operation, struct error *err)
{
	/* an open of its own: flock(2) locks belong to the open file description */
	cleanup_fd int fd = openat(s->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return error_errno(err, errno, "open the store's lock");
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return error_errno(err, errno, "lock the store");
	return fd_take(&fd);
}

/* Is name still the file that fd is open on? Its holder before us may have removed it while we waited. */
static bool is_current(int dir_fd, const char *name, int fd)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int tmp_lock_take(const struct store *s, const char *base, bool may_wait, struct tmp_lock *ret, struct error *err)
{
	struct tmp_lock l = { .fd = -1 };
	char name[TMP_BASE_BYTES + 8];

	(void)snprintf(l.base, sizeof(l.base), "%s", base);
	(void)snprintf(name, sizeof(name), "%s.lock", l.base);
	for (;;) {
		cleanup_fd int fd = openat(s->tmp, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return error_errno(err, errno, "open 'tmp/%s'", name);
		if (flock(fd, LOCK_EX | (may_wait ? 0 : LOCK_NB)) < 0) {
			if (errno == EWOULDBLOCK && !may_wait)
				return -EWOULDBLOCK;
			return error_errno(err, errno, "wait for 'tmp/%s'", name);
		}
		if (!is_current(s->tmp, name, fd))
			continue;
		l.fd = fd_take(&fd);
		*ret = l;
		return 0;
	}
}

void tmp_lock_drop(const struct store *s, struct tmp_lock *l)
{
	char name[TMP_BASE_BYTES + 8];

	if (l->fd < 0)
		return;
	(void)snprintf(name, sizeof(name), "%s.lock", l->base);
	(void)unlinkat(s->tmp, name, 0); /* still ours; whoever waits on it sees that it is gone and makes a new one */
	fd_close(&l->fd);
}
