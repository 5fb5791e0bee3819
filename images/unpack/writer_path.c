/*
 * Paths of a layer: made clean, walked below its root, completed where parents are missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "images/unpack/quote.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { LINKS_MAX = 40, REMOVE_DEPTH_MAX = 32 };

/* ---- names ---- */

int path_clean(const char *path, struct clean_path *ret, const char *of, struct error *err)
{
	size_t at = 0;

	ret->dir_size = 0;
	ret->name = ret->text;
	while (*path) {
		size_t size = strcspn(path, "/");

		if (size == 2 && path[0] == '.' && path[1] == '.')
			return error_set(err, EPERM, "entry %s: '..' in %s is refused", QUOTE(of), QUOTE(path));
		if (size > NAME_LENGTH_MAX)
			return error_set(err, EFBIG, "entry %s: a name of %zu bytes, the limit is %d", QUOTE(of), size,
					 NAME_LENGTH_MAX);
		if (size > 0 && !(size == 1 && path[0] == '.')) {
			if (at + size + 2 > sizeof(ret->text))
				return error_set(err, EFBIG, "entry %s: a path of more than %d bytes", QUOTE(of),
						 PATH_BYTES - 1);
			ret->dir_size = at;
			if (at > 0)
				ret->text[at++] = '/';
			ret->name = ret->text + at;
			memcpy(ret->text + at, path, size);
			at += size;
		}
		path += size + (path[size] == '/');
	}
	ret->text[at] = '\0';
	return 0;
}

static bool is_reserved(const char *component)
{
	return strncmp(component, ".wh.", 4) == 0;
}

int path_kind(const struct clean_path *p, enum name_kind *ret, const char *of, struct error *err)
{
	const char *hidden;

	for (const char *c = p->text; c < p->name; c += strcspn(c, "/") + 1) {
		if (!is_reserved(c))
			continue;
		if (!is_reserved(c + 4)) /* a directory of a whiteout's name: what could that mean */
			return error_set(err, EPERM, "entry %s: a reserved name as a directory", QUOTE(of));
		*ret = NAME_IGNORED; /* aufs kept its own things in .wh..wh.plnk and the like */
		return 0;
	}
	*ret = NAME_PLAIN;
	if (!is_reserved(p->name))
		return 0;
	hidden = p->name + 4;
	if (strcmp(hidden, ".wh..opq") == 0)
		*ret = NAME_OPAQUE;
	else if (is_reserved(hidden))
		*ret = NAME_IGNORED;
	else if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return error_set(err, EPERM, "entry %s: a whiteout of nothing", QUOTE(of));
	else
		*ret = NAME_WHITEOUT;
	return 0;
}

/* ---- walking ---- */

static int open_dir(const struct writer *w, const char *path, uint64_t more)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more,
	};

	return (int)syscall(SYS_openat2, w->root, *path ? path : ".", &how, sizeof(how));
}

void writer_forget(struct writer *w)
{
	for (size_t i = 0; i < CACHED_DIRS; i++)
		fd_close(&w->cache[i].fd);
}

static int remember(struct writer *w, const char *path, size_t size, int fd)
{
	struct cached_dir *c = &w->cache[w->next_cached];

	w->next_cached = (w->next_cached + 1) % CACHED_DIRS;
	fd_close(&c->fd);
	memcpy(c->path, path, size);
	c->path[size] = '\0';
	c->fd = fd;
	return fd;
}

/* Directories whose mode everybody knows, should a layer not bother to say. */
static const struct {
	const char *path;
	mode_t mode;
} customary[] = {
	{ "tmp", 01777 },
	{ "var/tmp", 01777 },
	{ "dev/shm", 01777 },
	{ "root", 0700 },
};

/* below: what the layers below have there; NULL: no directory. */
static int make_parent(struct writer *w, const char *path, const struct below *below, const char *of, struct error *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char dir[PATH_BYTES];
	mode_t mode = 0755;
	cleanup_fd int fd = -1;

	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	for (size_t i = 0; i < sizeof(customary) / sizeof(customary[0]); i++)
		if (strcmp(path, customary[i].path) == 0)
			mode = customary[i].mode;
	if (w->counts.entries + ++w->counts.parents > w->limits.entries)
		return error_set(err, EFBIG, "entry %s: more than %llu entries and parents", QUOTE(of),
				 (unsigned long long)w->limits.entries);
	fd = open_dir(w, dir, RESOLVE_NO_SYMLINKS);
	if (fd >= 0 && below && mkdirat(fd, name, 0700) == 0)
		return writer_dir_as_below(w, below, fd, path, of, err);
	/* a directory with set-group-id gives its children its group and its bit: say both */
	if (fd < 0 || below || mkdirat(fd, name, mode) < 0 || fchownat(fd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(fd, name, mode, 0) < 0)
		return error_errno(err, errno, "entry %s: make its parent %s", QUOTE(of), QUOTE(path));
	return writer_late_dir(w, path, 0, 0, NULL, 0, err);
}

/* What is left of a walk, and what has been walked: never a link in it. */
struct walk {
	char done[PATH_BYTES], rest[PATH_BYTES];
	unsigned n_links;
};

/* Put a link's target in front of what is left. An absolute one starts at the root of the layer. */
static int follow(struct walk *k, const char *target, const char *of, struct error *err)
{
	char joined[2 * PATH_BYTES + 2];
	int n = snprintf(joined, sizeof(joined), "%s/%s", target, k->rest);

	if (n >= PATH_BYTES || ++k->n_links > LINKS_MAX)
		return error_set(err, ELOOP, "entry %s: too many links in the way to its parent", QUOTE(of));
	memcpy(k->rest, joined, (size_t)n + 1);
	if (target[0] == '/')
		k->done[0] = '\0';
	return 0;
}

/* Cut the next component off rest, but not "" and "."; false when nothing is left. */
static bool next_component(char *rest, char ret[NAME_LENGTH_MAX + 1])
{
	for (;;) {
		size_t skip = strspn(rest, "/"), size = strcspn(rest + skip, "/");
		bool is_dot = size == 1 && rest[skip] == '.';

		if (size == 0)
			return false;
		if (size > NAME_LENGTH_MAX)
			size = NAME_LENGTH_MAX; /* the kernel will not know that name */
		memcpy(ret, rest + skip, size);
		ret[size] = '\0';
		memmove(rest, rest + skip + size, strlen(rest + skip + size) + 1);
		if (!is_dot)
			return true;
	}
}

/* Go on where a link points; before: how much of done lies in front of its name. */
static int follow_at(struct walk *k, size_t before, int dir, const char *name, const char *of, struct error *err)
{
	char target[PATH_BYTES];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return error_errno(err, errno, "entry %s: read the link %s", QUOTE(of), QUOTE(k->done));
	target[n] = '\0';
	k->done[before] = '\0';
	return follow(k, target, of, err);
}

/* This layer has nothing at k->done: what is there below decides. Anything but a directory or a link gives way to one. */
static int step_below(struct writer *w, struct walk *k, size_t before, const char *of, struct error *err)
{
	struct below b = { .dir = -1 };
	int r = writer_below(w, k->done, false, &b, err);

	if (r == 1 && S_ISLNK(b.st.st_mode))
		r = follow_at(k, before, b.dir, b.name, of, err);
	else if (r >= 0)
		r = make_parent(w, k->done, r == 1 && S_ISDIR(b.st.st_mode) ? &b : NULL, of, err);
	fd_close(&b.dir);
	return r;
}

/* One component further: into a directory, to where a link points, or into a directory made now. */
static int walk_one(struct writer *w, struct walk *k, const char *name, const char *of, struct error *err)
{
	size_t before = strlen(k->done);
	cleanup_fd int fd = open_dir(w, k->done, RESOLVE_NO_SYMLINKS);
	struct stat st;

	if (fd < 0)
		return error_errno(err, errno, "entry %s: open %s", QUOTE(of), QUOTE(k->done));
	if (before + strlen(name) + 2 > sizeof(k->done))
		return error_set(err, EFBIG, "entry %s: its parents are too deep", QUOTE(of));
	(void)snprintf(k->done + before, sizeof(k->done) - before, "%s%s", before ? "/" : "", name);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? step_below(w, k, before, of, err)
				       : error_errno(err, errno, "entry %s: look at %s", QUOTE(of), QUOTE(k->done));
	if (S_ISDIR(st.st_mode))
		return 0;
	if (!S_ISLNK(st.st_mode))
		return error_set(err, EBADMSG, "entry %s: its parent %s is not a directory", QUOTE(of), QUOTE(k->done));
	return follow_at(k, before, fd, name, of, err);
}

/*
 * The slow way, for a walk that openat2 found to be incomplete: one component at a time, following links by hand within
 * the root, making what is missing.
 */
static int make_path(struct writer *w, const char *path, const char *of, struct error *err)
{
	struct walk k = { .n_links = 0 };
	char name[NAME_LENGTH_MAX + 1];
	int fd;

	(void)snprintf(k.rest, sizeof(k.rest), "%s", path);
	while (next_component(k.rest, name)) {
		int r = 0;

		if (strcmp(name, "..") == 0) { /* only out of a link's target; the root's parent is the root */
			char *slash = strrchr(k.done, '/');

			*(slash ? slash : k.done) = '\0';
		} else {
			r = walk_one(w, &k, name, of, err);
		}
		if (r < 0)
			return r;
	}
	fd = open_dir(w, k.done, RESOLVE_NO_SYMLINKS);
	return fd < 0 ? error_errno(err, errno, "entry %s: open %s", QUOTE(of), QUOTE(k.done)) : fd;
}

int writer_dir(struct writer *w, const char *path, size_t size, const char *of, struct error *err)
{
	char text[PATH_BYTES];
	int fd;

	for (size_t i = 0; i < CACHED_DIRS; i++)
		if (w->cache[i].fd >= 0 && strncmp(w->cache[i].path, path, size) == 0 && w->cache[i].path[size] == '\0')
			return w->cache[i].fd;
	memcpy(text, path, size);
	text[size] = '\0';
	fd = open_dir(w, text, 0);
	if (fd < 0 && errno == ENOENT && !w->is_closing)
		fd = make_path(w, text, of, err);
	else if (fd < 0 && errno == ENOTDIR)
		return error_set(err, EBADMSG, "entry %s: its parent %s is not a directory", QUOTE(of), QUOTE(text));
	else if (fd < 0)
		return error_errno(err, errno, "entry %s: open its parent %s", QUOTE(of), QUOTE(text));
	return fd < 0 ? fd : remember(w, text, size, fd);
}

/* ---- removing what an earlier entry of the same layer made ---- */

/* NOLINTNEXTLINE(misc-no-recursion): bounded by REMOVE_DEPTH_MAX */
static int remove_tree(int dir, const char *name, unsigned depth)
{
	cleanup_dir DIR *d = NULL;
	struct dirent *e;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY)
		return -errno;
	if (depth > REMOVE_DEPTH_MAX)
		return -ELOOP;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		int code = errno;

		fd_close(&fd);
		return -code;
	}
	while ((e = readdir(d))) {
		int r = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0
				? 0
				: remove_tree(dirfd(d), e->d_name, depth + 1);

		if (r < 0)
			return r;
	}
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int writer_remove(struct writer *w, int dir, const char *name, const char *of, struct error *err)
{
	int r = remove_tree(dir, name, 0);

	if (r < 0)
		return error_errno(err, -r, "entry %s: remove what an earlier entry put there", QUOTE(of));
	for (size_t i = 0; i < CACHED_DIRS; i++) /* one of the others may have been in it, or reached through it */
		if (w->cache[i].fd != dir)
			fd_close(&w->cache[i].fd);
	return 0;
}
