/*
 * What has to wait for the end of the archive: whiteouts and opaque directories, whose meaning does not depend on where
 * they stand, and times and default ACLs of directories, which whatever is made in them would change or inherit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "images/unpack/quote.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* ---- lists of names ---- */

int names_add(struct names *n, const char *text, size_t size)
{
	char *copy;

	if (n->n == n->room) {
		size_t room = n->room ? n->room * 2 : 64;
		char **items = realloc(n->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		n->items = items;
		n->room = room;
	}
	copy = strndup(text, size);
	if (!copy)
		return -ENOMEM;
	n->items[n->n++] = copy;
	return 0;
}

void names_free(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->items[i]);
	free(n->items);
	*n = (struct names){ NULL, 0, 0 };
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_sort(struct names *n)
{
	if (n->n > 1)
		qsort(n->items, n->n, sizeof(*n->items), by_text);
}

/* Is path, or with is_above something above it, in the sorted list? */
static bool names_have(const struct names *n, const char *path)
{
	return n->n > 0 && bsearch(&path, n->items, n->n, sizeof(*n->items), by_text);
}

static bool names_have_above(const struct names *n, const char *path)
{
	char above[PATH_BYTES];
	size_t size = strlen(path);

	if (n->n == 0 || size >= sizeof(above))
		return false;
	memcpy(above, path, size + 1);
	while (size > 0) {
		while (size > 0 && above[size] != '/')
			size--;
		above[size] = '\0'; /* "" is the root */
		if (names_have(n, above))
			return true;
	}
	return false;
}

/* ---- directories ---- */

int writer_late_dir(struct writer *w, const char *path, int64_t mtime_s, uint32_t mtime_ns, const void *acl,
		    size_t acl_size, struct error *err)
{
	struct late_dir *d;

	if (w->n_late == w->room_late) {
		size_t room = w->room_late ? w->room_late * 2 : 256;
		struct late_dir *late = realloc(w->late, room * sizeof(*late));

		if (!late)
			return error_errno(err, ENOMEM, "entry %s", QUOTE(path));
		w->late = late;
		w->room_late = room;
	}
	d = &w->late[w->n_late];
	*d = (struct late_dir){ .path = strdup(path), .mtime_s = mtime_s, .mtime_ns = mtime_ns };
	if (acl)
		d->acl = malloc(acl_size + 1);
	if (!d->path || (acl && !d->acl)) {
		free(d->path);
		free(d->acl);
		return error_errno(err, ENOMEM, "entry %s", QUOTE(path));
	}
	if (acl) {
		memcpy(d->acl, acl, acl_size);
		d->acl_size = acl_size;
	}
	w->n_late++;
	return 0;
}

/* An owned descriptor of the directory at path; -ENOENT or -ENOTDIR when something else took its place since. */
static int open_at(struct writer *w, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	int dir = writer_dir(w, path, slash ? (size_t)(slash - path) : 0, path, err), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, !*path ? "." : slash ? slash + 1 : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "entry %s: open", QUOTE(path)) : fd;
}

static int finish_dir(struct writer *w, const struct late_dir *d, struct error *err)
{
	struct timespec t[2] = { { d->mtime_s, d->mtime_ns }, { d->mtime_s, d->mtime_ns } };
	cleanup_fd int fd = open_at(w, d->path, err);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EBADMSG) {
		error_clear(err); /* a later entry replaced it, or one of its parents */
		return 0;
	}
	if (fd < 0)
		return fd;
	if (d->acl && fsetxattr(fd, "system.posix_acl_default", d->acl, d->acl_size, 0) < 0) {
		if (errno != EOPNOTSUPP)
			return error_errno(err, errno, "entry %s: set its default ACL", QUOTE(d->path));
		w->counts.xattrs_dropped++;
	}
	return futimens(fd, t) < 0 ? error_errno(err, errno, "entry %s: set its time", QUOTE(d->path)) : 0;
}

/* ---- whiteouts ---- */

static int mark_opaque(struct writer *w, int fd, const char *path, struct error *err)
{
	int r = w->opaque(w->arg, fd, err);

	if (r < 0)
		(void)error_wrap(err, "entry %s: make it opaque", QUOTE(path));
	return r;
}

static int finish_opaque(struct writer *w, const char *path, struct error *err)
{
	int parent = writer_dir(w, path, strlen(path), path, err); /* made if missing */
	cleanup_fd int fd = parent < 0 ? -1 : openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0)
		return parent;
	if (fd < 0)
		return error_errno(err, errno, "entry %s: open", QUOTE(path));
	return mark_opaque(w, fd, path, err);
}

static int finish_whiteout(struct writer *w, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int dir;
	struct stat st;

	if (names_have_above(&w->opaques, path) || names_have_above(&w->whiteouts, path))
		return 0; /* nothing of the layers below is seen there, and the whiteout itself would be */
	dir = writer_dir(w, path, slash ? (size_t)(slash - path) : 0, path, err);
	if (dir == -EBADMSG) {
		error_clear(err);
		return 0; /* this layer has a file where the parent was: that hides it all */
	}
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFCHR, 0) == 0) /* needs no capability, mknod(2), since Linux 5.8 */
		return 0;
	if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "entry %s: make its whiteout", QUOTE(path));
	if (S_ISDIR(st.st_mode)) {
		/* this layer has a directory of its own there: it must not be merged with the one that was deleted */
		cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return error_errno(err, errno, "entry %s: open", QUOTE(path));
		return mark_opaque(w, fd, path, err);
	}
	return 0; /* a file hides what is below anyway */
}

int writer_finish(struct writer *w, struct writer_counts *ret, struct error *err)
{
	int r = 0;

	names_sort(&w->opaques);
	names_sort(&w->whiteouts); /* a parent comes before what is in it */
	for (size_t i = 0; r == 0 && i < w->opaques.n; i++)
		if (i == 0 || strcmp(w->opaques.items[i], w->opaques.items[i - 1]) != 0)
			r = finish_opaque(w, w->opaques.items[i], err);
	for (size_t i = 0; r == 0 && i < w->whiteouts.n; i++)
		r = finish_whiteout(w, w->whiteouts.items[i], err);
	w->is_closing = true;
	for (size_t i = 0; r == 0 && i < w->n_late; i++)
		r = finish_dir(w, &w->late[i], err);
	if (r == 0)
		*ret = w->counts;
	return r;
}
