/*
 * The trash: things are renamed into it at once and deleted at leisure.
 *
 * What is deleted was written from hostile archives: its depth and its links are somebody else's choice. Every step goes
 * through a directory descriptor with O_NOFOLLOW. Below DEPTH_MAX a directory is first renamed up into the trash
 * itself, so that neither the stack nor the number of descriptors grows with the tree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/store/store.h"
#include "images/store/store_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { DEPTH_MAX = 32, NAME_BYTES = 64, ROUNDS_MAX = 1 << 16 };

int trash_move(const struct store *s, int dir_fd, const char *name, struct error *err)
{
	char to[NAME_BYTES];

	store_unique(to, sizeof(to));
	if (renameat(dir_fd, name, s->trash, to) == 0 || errno == ENOENT)
		return 0;
	return error_errno(err, errno, "move '%s' to the trash", name);
}

static int delete_one(const struct store *s, int dir_fd, const char *name, unsigned depth, struct error *err);

static int delete_content(const struct store *s, int fd, unsigned depth, struct error *err)
{
	cleanup_dir DIR *dir = fdopendir(fd);

	if (!dir) {
		int code = errno;

		fd_close(&fd);
		return error_errno(err, code, "list");
	}
	for (;;) {
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno ? error_errno(err, errno, "list") : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = delete_one(s, dirfd(dir), e->d_name, depth + 1, err);
		if (r < 0)
			return r;
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by DEPTH_MAX */
static int delete_one(const struct store *s, int dir_fd, const char *name, unsigned depth, struct error *err)
{
	int fd, r;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return error_errno(err, errno, "delete '%s'", name);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return error_errno(err, errno, "delete '%s'", name);
	if (depth > DEPTH_MAX)
		return trash_move(s, dir_fd, name, err); /* found again by the next round */
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "open '%s'", name);
	r = delete_content(s, fd, depth, err);
	if (r < 0)
		return r;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return error_errno(err, errno, "delete '%s'", name);
}

struct empty {
	const struct store *store;
	struct error *err;
	bool is_empty;
};

static int empty_one(const char *name, void *arg)
{
	struct empty *e = arg;

	e->is_empty = false;
	return delete_one(e->store, e->store->trash, name, 0, e->err);
}

int trash_empty(const struct store *s, struct error *err)
{
	struct empty e = { .store = s, .err = err };

	for (int round = 0; round < ROUNDS_MAX; round++) {
		int r;

		e.is_empty = true;
		r = store_each_name(s->trash, empty_one, &e, err);
		if (r < 0) {
			(void)error_wrap(err, "empty the trash");
			return r;
		}
		if (e.is_empty)
			return 0;
	}
	return error_set(err, ELOOP, "empty the trash: more comes in than goes out");
}

int store_trash_empty(struct store *s, struct error *err)
{
	return trash_empty(s, err);
}
