/*
 * What a layer takes from those it lies on: the attributes of a directory that it omits, the link that stands in the way
 * there, the file that a hard link names. All of them are shown by one read-only mount, which the parent makes when it is
 * asked for the first time; nothing is written through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "images/unpack/quote.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { COPY_BYTES = 64 << 10, XATTR_NAMES_BYTES = 64 << 10, XATTR_VALUE_BYTES = 64 << 10 };

static const char default_acl[] = "system.posix_acl_default";

/* ---- what this layer itself hides of the ones below ---- */

static bool is_below(const char *dir, const char *path, bool or_equal)
{
	size_t n = strlen(dir);

	if (n == 0)
		return *path || or_equal;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || (or_equal && path[n] == '\0'));
}

/* By the marks that were seen so far: an archive has them before what takes the place of what they hide. */
static bool is_hidden(const struct writer *w, const char *path)
{
	for (size_t i = 0; i < w->opaques.n; i++)
		if (is_below(w->opaques.items[i], path, false))
			return true;
	for (size_t i = 0; i < w->whiteouts.n; i++)
		if (is_below(w->whiteouts.items[i], path, true))
			return true;
	return false;
}

/* ---- looking ---- */

/* The directory all of the layers below, merged; borrowed. -ENOENT, with err untouched: there are none. */
static int below_root(struct writer *w, struct error *err)
{
	w->counts.depends = 1; /* another layer below would make another tree, if only to be the first one */
	if (!w->below)
		return -ENOENT;
	if (w->below_fd < 0) {
		int fd = w->below(w->arg, err);

		if (fd < 0)
			return fd;
		w->below_fd = fd;
	}
	return w->below_fd;
}

int writer_below(struct writer *w, const char *path, bool follow, struct below *ret, struct error *err)
{
	const char *slash = strrchr(path, '/');
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (follow ? 0 : RESOLVE_NO_SYMLINKS),
	};
	char dir[PATH_BYTES];
	int root;

	if (is_hidden(w, path))
		return 0;
	root = below_root(w, err);
	if (root < 0)
		return root == -ENOENT && !w->below ? 0 : root;
	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	ret->name = slash ? slash + 1 : path;
	ret->dir = (int)syscall(SYS_openat2, root, dir, &how, sizeof(how));
	if (ret->dir >= 0 && fstatat(ret->dir, ret->name, &ret->st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* the lowest layer may lie there alone, not merged: a whiteout hides nothing there, and is nothing */
		if (!S_ISCHR(ret->st.st_mode) || ret->st.st_rdev != 0)
			return 1;
	} else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
		int code = errno;

		fd_close(&ret->dir);
		return error_errno(err, code, "look at %s in the layers below", QUOTE(path));
	}
	fd_close(&ret->dir);
	return 0;
}

/* ---- attributes ---- */

static int copy_xattr(struct writer *w, int from, int to, const char *name, const char *of, struct error *err)
{
	static char value[XATTR_VALUE_BYTES];
	ssize_t n;

	if (writer_drops(name) || strcmp(name, default_acl) == 0)
		return 0;
	n = fgetxattr(from, name, value, sizeof(value));
	if (n < 0)
		return errno == ENODATA ? 0
					: error_errno(err, errno, "entry %s: read the attribute %s below", QUOTE(of),
						      QUOTE(name));
	w->xattr_bytes += strlen(name) + (size_t)n;
	if (w->xattr_bytes > w->limits.xattr_bytes)
		return error_set(err, EFBIG, "entry %s: more than %llu bytes of extended attributes in the layer",
				 QUOTE(of), (unsigned long long)w->limits.xattr_bytes);
	return fsetxattr(to, name, value, (size_t)n, 0) == 0
		       ? 0
		       : error_errno(err, errno, "entry %s: set the extended attribute %s", QUOTE(of), QUOTE(name));
}

/* Owner first, which cuts bits and file capabilities; then attributes; then the mode. */
static int copy_attributes(struct writer *w, int from, int to, const struct stat *st, const char *of, struct error *err)
{
	static char names[XATTR_NAMES_BYTES];
	ssize_t n;
	int r = 0;

	if (fchown(to, st->st_uid, st->st_gid) < 0)
		return error_errno(err, errno, "entry %s: set the owner that it has below", QUOTE(of));
	n = flistxattr(from, names, sizeof(names));
	if (n < 0 && errno != EOPNOTSUPP)
		return error_errno(err, errno, "entry %s: list the attributes that it has below", QUOTE(of));
	for (const char *name = names; r == 0 && name < names + (n < 0 ? 0 : n); name += strlen(name) + 1)
		r = copy_xattr(w, from, to, name, of, err);
	if (r == 0 && fchmod(to, st->st_mode & 07777) < 0)
		r = error_errno(err, errno, "entry %s: set the mode that it has below", QUOTE(of));
	return r;
}

int writer_dir_as_below(struct writer *w, const struct below *b, int dir, const char *path, const char *of,
			struct error *err)
{
	static char acl[XATTR_VALUE_BYTES];
	cleanup_fd int from = openat(b->dir, b->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *slash = strrchr(path, '/');
	cleanup_fd int to = openat(dir, slash ? slash + 1 : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;
	int r;

	if (from < 0 || to < 0)
		return error_errno(err, errno, "entry %s: open its parent %s", QUOTE(of), QUOTE(path));
	r = copy_attributes(w, from, to, &b->st, of, err);
	if (r < 0)
		return r;
	n = fgetxattr(from, default_acl, acl, sizeof(acl));
	return writer_late_dir(w, path, b->st.st_mtim.tv_sec, (uint32_t)b->st.st_mtim.tv_nsec, n > 0 ? acl : NULL,
			       n > 0 ? (size_t)n : 0, err);
}

/* ---- copying a file up ---- */

/* One stretch of data; holes stay holes, the file has its size already. */
static int copy_stretch(struct writer *w, int from, int to, off_t at, off_t end, const char *of, struct error *err)
{
	static char piece[COPY_BYTES];

	if (lseek(from, at, SEEK_SET) < 0)
		return error_errno(err, errno, "entry %s: read what it links to", QUOTE(of));
	while (at < end) {
		size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
		ssize_t n = read(from, piece, want);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(err, n < 0 ? errno : EIO, "entry %s: read what it links to", QUOTE(of));
		for (ssize_t done = 0; done < n;) {
			ssize_t m = pwrite(to, piece + done, (size_t)(n - done), at + done);

			if (m < 0 && errno != EINTR)
				return error_errno(err, errno, "entry %s: copy what it links to", QUOTE(of));
			done += m < 0 ? 0 : m;
		}
		at += n;
		r = w->tick ? w->tick(w->arg, err) : 0;
		if (r < 0)
			return error_wrap(err, "entry %s", QUOTE(of)), r;
	}
	return 0;
}

static int copy_data(struct writer *w, int from, int to, off_t size, const char *of, struct error *err)
{
	int r = ftruncate(to, size) < 0 ? error_errno(err, errno, "entry %s: set its size", QUOTE(of)) : 0;

	for (off_t at = 0; r == 0 && at < size;) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : error_errno(err, errno, "entry %s: look for its data", QUOTE(of));
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return error_errno(err, errno, "entry %s: look for its data", QUOTE(of));
		r = copy_stretch(w, from, to, data, hole < size ? hole : size, of, err);
		at = hole;
	}
	return r;
}

static int copy_file(struct writer *w, const struct below *b, int dir, const char *name, const char *of,
		     struct error *err)
{
	const struct timespec t[2] = { b->st.st_mtim, b->st.st_mtim };
	cleanup_fd int from = openat(b->dir, b->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), to = -1;
	int r;

	if (from < 0)
		return error_errno(err, errno, "entry %s: open what it links to", QUOTE(of));
	to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_errno(err, errno, "entry %s: copy what it links to", QUOTE(of));
	r = copy_data(w, from, to, b->st.st_size, of, err);
	if (r == 0)
		r = copy_attributes(w, from, to, &b->st, of, err);
	if (r == 0 && futimens(to, t) < 0)
		r = error_errno(err, errno, "entry %s: set its time", QUOTE(of));
	return r;
}

/* Of links and fifos, which cannot be opened. */
static int copy_special(const struct below *b, int dir, const char *name, const char *of, struct error *err)
{
	const struct timespec t[2] = { b->st.st_mtim, b->st.st_mtim };
	char target[PATH_BYTES];
	int r;

	if (S_ISLNK(b->st.st_mode)) {
		ssize_t n = readlinkat(b->dir, b->name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		r = n < 0 ? -1 : symlinkat(target, dir, name);
	} else {
		r = mknodat(dir, name, S_IFIFO | (b->st.st_mode & 0777), 0);
	}
	if (r < 0 || fchownat(dir, name, b->st.st_uid, b->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (S_ISFIFO(b->st.st_mode) && fchmodat(dir, name, b->st.st_mode & 07777, 0) < 0) ||
	    utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "entry %s: copy what it links to", QUOTE(of));
	return 0;
}

static int check_budget(struct writer *w, const struct below *b, const char *of, struct error *err)
{
	uint64_t size = S_ISREG(b->st.st_mode) ? (uint64_t)b->st.st_size : 0;

	if (w->counts.entries + ++w->counts.parents > w->limits.entries)
		return error_set(err, EFBIG, "entry %s: more than %llu entries and parents", QUOTE(of),
				 (unsigned long long)w->limits.entries);
	if (size > w->limits.bytes - w->counts.bytes)
		return error_set(err, EFBIG,
				 "entry %s: the %llu bytes of what it links to would be more than the %llu the layer "
				 "may have",
				 QUOTE(of), (unsigned long long)size, (unsigned long long)w->limits.bytes);
	w->counts.bytes += size;
	return 0;
}

int writer_copy_up(struct writer *w, const char *path, int dir, const char *name, const char *of, struct error *err)
{
	struct below b = { .dir = -1 };
	int r = writer_below(w, path, true, &b, err);

	if (r <= 0)
		return r;
	if (S_ISREG(b.st.st_mode) || S_ISLNK(b.st.st_mode) || S_ISFIFO(b.st.st_mode))
		r = check_budget(w, &b, of, err);
	else if (S_ISDIR(b.st.st_mode))
		r = error_set(err, EPERM, "entry %s: a hard link to the directory %s of a layer below", QUOTE(of),
			      QUOTE(path));
	else
		r = error_set(err, EPERM, "entry %s: a hard link to %s of a layer below, which is no file", QUOTE(of),
			      QUOTE(path));
	if (r == 0)
		r = S_ISREG(b.st.st_mode) ? copy_file(w, &b, dir, name, of, err) : copy_special(&b, dir, name, of, err);
	fd_close(&b.dir);
	return r < 0 ? r : 1;
}
