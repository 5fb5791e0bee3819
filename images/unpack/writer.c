/*
 * One entry after the other.
 */
#include "images/unpack/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "images/unpack/quote.h"
#include "images/unpack/tar.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* Where an entry goes. */
struct place {
	struct clean_path path;
	int dir; /* borrowed from the cache */
};

typedef int create_fn(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
		      struct error *err);

int writer_new(int dir_fd, const struct writer_limits *limits, writer_opaque_fn *opaque, writer_below_fn *below,
	       writer_tick_fn *tick, void *arg, struct writer **ret, struct error *err)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return error_errno(err, ENOMEM, "writer");
	w->root = dir_fd;
	w->limits = *limits;
	w->opaque = opaque;
	w->below = below;
	w->below_fd = -1;
	w->tick = tick;
	w->arg = arg;
	for (size_t i = 0; i < CACHED_DIRS; i++)
		w->cache[i].fd = -1;
	*ret = w;
	return 0;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_forget(w);
	fd_close(&w->below_fd);
	names_free(&w->whiteouts);
	names_free(&w->opaques);
	names_free(&w->devices);
	for (size_t i = 0; i < w->n_late; i++) {
		free(w->late[i].path);
		free(w->late[i].acl);
	}
	free(w->late);
	free(w);
}

static int failed(const struct tar_entry *e, const char *what, struct error *err)
{
	return error_errno(err, errno, "entry %s: %s", QUOTE(e->path), what);
}

/* ---- attributes: owner, then xattrs (chown removes security.capability), then bits that both may have cut, then time ---- */

bool writer_drops(const char *name)
{
	static const char *const kept[] = { "security.capability", "system.posix_acl_access",
					    "system.posix_acl_default" };

	if (strncmp(name, "user.", 5) == 0) /* overlayfs mounted with userxattr believes these */
		return strncmp(name, "user.overlay.", 13) == 0 || strcmp(name, "user.overlay") == 0;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strcmp(name, kept[i]) == 0)
			return false;
	return true;
}

static bool is_default_acl(const struct tar_xattr *x)
{
	return strcmp(x->name, "system.posix_acl_default") == 0;
}

static int set_xattrs(struct writer *w, const struct tar_entry *e, int fd, struct error *err)
{
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];

		if (writer_drops(x->name)) {
			w->counts.xattrs_dropped++;
			continue;
		}
		w->xattr_bytes += strlen(x->name) + x->size;
		if (w->xattr_bytes > w->limits.xattr_bytes)
			return error_set(err, EFBIG,
					 "entry %s: more than %llu bytes of extended attributes in the layer",
					 QUOTE(e->path), (unsigned long long)w->limits.xattr_bytes);
		if (is_default_acl(x))
			continue; /* what is made in there would inherit it: set at the end */
		if (fsetxattr(fd, x->name, x->value, x->size, 0) == 0)
			continue;
		/* a file capability that is lost breaks the program; the rest a file system may not know */
		if (errno == EOPNOTSUPP && strcmp(x->name, "security.capability") != 0)
			w->counts.xattrs_dropped++;
		else
			return error_errno(err, errno, "entry %s: set the extended attribute %s", QUOTE(e->path),
					   QUOTE(x->name));
	}
	return 0;
}

static int set_attributes(struct writer *w, const struct tar_entry *e, int fd, struct error *err)
{
	int r;

	if (fchown(fd, e->uid, e->gid) < 0)
		return failed(e, "set its owner", err);
	r = set_xattrs(w, e, fd, err);
	if (r < 0)
		return r;
	/* of files, chown has cut suid and sgid, and an ACL has its own idea of the group's bits; the rest is as created */
	if ((e->type == TAR_DIR || (e->mode & 07000) || e->n_xattrs > 0) && fchmod(fd, e->mode) < 0)
		return failed(e, "set its mode", err);
	return 0;
}

/* Of what cannot be opened: links and fifos. They can have no user.* attributes. */
static int set_attributes_at(struct writer *w, const struct tar_entry *e, const struct place *p, struct error *err)
{
	struct timespec t[2] = { { e->mtime_s, e->mtime_ns }, { e->mtime_s, e->mtime_ns } };

	w->counts.xattrs_dropped += e->n_xattrs;
	if (fchownat(p->dir, p->path.name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(e, "set its owner", err);
	if (e->type == TAR_FIFO &&
	    fchmodat(p->dir, p->path.name, e->mode, 0) < 0) /* made by us a moment ago: no link */
		return failed(e, "set its mode", err);
	return utimensat(p->dir, p->path.name, t, AT_SYMLINK_NOFOLLOW) < 0 ? failed(e, "set its time", err) : 0;
}

/* ---- kinds of entries ---- */

static int write_data(struct writer *w, const struct tar_entry *e, int fd, struct tar_reader *data, struct error *err)
{
	uint64_t end = 0, offset = 0;
	const void *at;
	size_t size;
	int r;

	while ((r = tar_data(data, &at, &size, &offset, err)) == 1) {
		end = offset + size;
		while (size > 0) {
			ssize_t n = pwrite(fd, at, size, (off_t)offset);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return failed(e, "write", err);
			at = (const char *)at + n;
			size -= (size_t)n;
			offset += (uint64_t)n;
		}
		r = w->tick ? w->tick(w->arg, err) : 0;
		if (r < 0)
			break;
	}
	if (r < 0) {
		(void)error_wrap(err, "entry %s", QUOTE(e->path));
		return r;
	}
	return end < e->size && ftruncate(fd, (off_t)e->size) < 0 ? failed(e, "set its size", err) : 0;
}

static int create_file(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
		       struct error *err)
{
	struct timespec t[2] = { { e->mtime_s, e->mtime_ns }, { e->mtime_s, e->mtime_ns } };
	cleanup_fd int fd =
		openat(p->dir, p->path.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode & 0777);
	int r;

	if (fd < 0)
		return errno == EEXIST ? -EEXIST : failed(e, "create", err);
	r = write_data(w, e, fd, data, err);
	if (r == 0)
		r = set_attributes(w, e, fd, err);
	if (r == 0 && futimens(fd, t) < 0)
		r = failed(e, "set its time", err);
	return r == -EEXIST ? -EIO : r; /* that value has a meaning of its own to our caller */
}

static int create_dir(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
		      struct error *err)
{
	const struct tar_xattr *acl = NULL;
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	(void)data; /* has none */
	if (mkdirat(p->dir, p->path.name, e->mode & 0777) < 0) {
		if (errno != EEXIST)
			return failed(e, "create", err);
		if (fstatat(p->dir, p->path.name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			return -EEXIST;
	}
	fd = openat(p->dir, p->path.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(e, "open", err);
	r = set_attributes(w, e, fd, err);
	for (size_t i = 0; i < e->n_xattrs; i++)
		if (is_default_acl(&e->xattrs[i]))
			acl = &e->xattrs[i];
	return r < 0 ? r
		     : writer_late_dir(w, p->path.text, e->mtime_s, e->mtime_ns, acl ? acl->value : NULL,
				       acl ? acl->size : 0, err);
}

/* "./": the attributes of the layer's own directory. */
static int set_root(struct writer *w, const struct tar_entry *e, struct error *err)
{
	cleanup_fd int fd = -1;
	int r;

	if (e->type != TAR_DIR)
		return error_set(err, EPERM, "entry %s: the root of a layer must be a directory", QUOTE(e->path));
	fd = openat(w->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed(e, "open", err);
	r = set_attributes(w, e, fd, err);
	return r < 0 ? r : writer_late_dir(w, "", e->mtime_s, e->mtime_ns, NULL, 0, err);
}

static int create_symlink(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
			  struct error *err)
{
	(void)data; /* has none */
	if (symlinkat(e->link, p->dir, p->path.name) < 0)
		return errno == EEXIST ? -EEXIST : failed(e, "create", err);
	return set_attributes_at(w, e, p, err);
}

static int create_fifo(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
		       struct error *err)
{
	(void)data; /* has none */
	if (mknodat(p->dir, p->path.name, S_IFIFO | (e->mode & 0777), 0) < 0)
		return errno == EEXIST ? -EEXIST : failed(e, "create", err);
	return set_attributes_at(w, e, p, err);
}

/* A link of a file to itself, by whatever path: nothing to do, and nothing to remove. */
static bool is_same(int dir_a, const char *name_a, int dir_b, const char *name_b)
{
	struct stat a, b;

	if (fstatat(dir_a, name_a, &a, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(dir_b, name_b, &b, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Its name is kept: a later entry may be a hard link to it. What an earlier entry put there stays. */
static int skip_device(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
		       struct error *err)
{
	(void)data; /* has none */
	if (w->devices.n == DEVICES_MAX)
		return error_set(err, EFBIG, "entry %s: more than %d device nodes", QUOTE(e->path), DEVICES_MAX);
	if (names_add(&w->devices, p->path.text, strlen(p->path.text)) < 0)
		return error_errno(err, ENOMEM, "entry %s", QUOTE(e->path));
	w->counts.devices_skipped++;
	return 0;
}

static bool was_skipped(const struct writer *w, const char *path)
{
	for (size_t i = 0; i < w->devices.n; i++)
		if (strcmp(w->devices.items[i], path) == 0)
			return true;
	return false;
}

/* The target's last component is not followed, so a link to a link gets a second name for the link, as GNU tar does. */
static int create_hardlink(struct writer *w, const struct tar_entry *e, const struct place *p, struct tar_reader *data,
			   struct error *err)
{
	struct clean_path target;
	cleanup_fd int dir =
		fcntl(p->dir, F_DUPFD_CLOEXEC, 0); /* the walk to the target may push it out of the cache */
	int from, r;

	(void)data; /* has none that we would believe */
	if (dir < 0)
		return failed(e, "link", err);
	r = path_clean(e->link, &target, e->path, err);
	if (r < 0)
		return r;
	if (!target.text[0])
		return error_set(err, EBADMSG, "entry %s: a hard link to the root", QUOTE(e->path));
	from = writer_dir(w, target.text, target.dir_size, e->path, err);
	if (from < 0)
		return from;
	if (linkat(from, target.name, dir, p->path.name, 0) == 0)
		return 0;
	if (errno == EEXIST)
		return is_same(from, target.name, dir, p->path.name) ? 0 : -EEXIST;
	if (errno != ENOENT)
		return failed(e, "link", err);
	if (was_skipped(w, target.text))
		return skip_device(w, e, p, data, err);
	r = writer_copy_up(w, target.text, from, target.name, e->path, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, EBADMSG, "entry %s: a hard link to %s, which is not in this layer%s",
				 QUOTE(e->path), QUOTE(e->link), w->below ? ", nor below" : "");
	if (linkat(from, target.name, dir, p->path.name, 0) == 0)
		return 0;
	return errno == EEXIST ? -EEXIST : failed(e, "link", err);
}

static create_fn *const creators[] = {
	[TAR_FILE] = create_file,         [TAR_DIR] = create_dir,   [TAR_SYMLINK] = create_symlink,
	[TAR_HARDLINK] = create_hardlink, [TAR_FIFO] = create_fifo, [TAR_CHAR] = skip_device,
	[TAR_BLOCK] = skip_device,
};

/* ---- one entry ---- */

static int check_budget(struct writer *w, const struct tar_entry *e, struct error *err)
{
	if (++w->counts.entries + w->counts.parents > w->limits.entries)
		return error_set(err, EFBIG, "entry %s: more than %llu entries and parents", QUOTE(e->path),
				 (unsigned long long)w->limits.entries);
	if (strlen(e->path) > w->limits.path_bytes)
		return error_set(err, EFBIG, "entry %s: a path of %zu bytes, the limit is %zu", QUOTE(e->path),
				 strlen(e->path), w->limits.path_bytes);
	if (e->size > w->limits.bytes - w->counts.bytes)
		return error_set(
			err, EFBIG,
			"entry %s: its %llu bytes would be more than the %llu the layer may have (CUBIT_LAYER_MAX)",
			QUOTE(e->path), (unsigned long long)e->size, (unsigned long long)w->limits.bytes);
	w->counts.bytes += e->size;
	return 0;
}

static int create(struct writer *w, const struct tar_entry *e, struct place *p, struct tar_reader *data,
		  struct error *err)
{
	int r;

	p->dir = writer_dir(w, p->path.text, p->path.dir_size, e->path, err);
	if (p->dir < 0)
		return p->dir;
	r = creators[e->type](w, e, p, data, err);
	if (r != -EEXIST)
		return r;
	/* an earlier entry of this name: the last one wins. The walk again, for the cache may have moved on. */
	p->dir = writer_dir(w, p->path.text, p->path.dir_size, e->path, err);
	if (p->dir < 0)
		return p->dir;
	r = writer_remove(w, p->dir, p->path.name, e->path, err);
	if (r == 0)
		r = creators[e->type](w, e, p, data, err);
	return r == -EEXIST ? error_errno(err, EEXIST, "entry %s: create", QUOTE(e->path)) : r;
}

int writer_entry(struct writer *w, const struct tar_entry *e, struct tar_reader *data, struct error *err)
{
	struct place p = { .dir = -1 };
	enum name_kind kind = NAME_PLAIN;
	int r = check_budget(w, e, err);

	if (r == 0)
		r = path_clean(e->path, &p.path, e->path, err);
	if (r == 0)
		r = path_kind(&p.path, &kind, e->path, err);
	if (r == 0 && w->tick)
		r = w->tick(w->arg, err);
	if (r < 0)
		return r;
	switch (kind) {
	case NAME_IGNORED:
		return 0;
	case NAME_WHITEOUT:
		memmove(p.path.text + (p.path.name - p.path.text), p.path.name + 4, strlen(p.path.name + 4) + 1);
		r = names_add(&w->whiteouts, p.path.text, strlen(p.path.text));
		break;
	case NAME_OPAQUE:
		r = names_add(&w->opaques, p.path.text, p.path.dir_size);
		break;
	case NAME_PLAIN:
		return p.path.text[0] ? create(w, e, &p, data, err) : set_root(w, e, err);
	}
	return r < 0 ? error_errno(err, -r, "entry %s", QUOTE(e->path)) : 0;
}
