/* The store: opening it, and the sweep of what dead processes left in it. */
#include "images/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/store/store_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* A download that was put down on purpose (store_blob_abandon with keep) may be taken up again for a day. */
enum { PART_SECONDS = 24 * 3600 };

/* ---- directories ---- */

/* Make path and what is missing above it, 0700. */
static int make_root(const char *path, struct error *err)
{
	char part[4096];
	size_t size = strlen(path);

	if (size == 0 || size >= sizeof(part))
		return error_set(err, ENAMETOOLONG, "store path of %zu bytes", size);
	memcpy(part, path, size + 1);
	for (size_t i = 1; i <= size; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return error_errno(err, errno, "make '%s'", part);
		if (i < size)
			part[i] = '/';
	}
	return 0;
}

/* Ours alone: what a layer holds (setuid files, other users' secrets) must not be within reach of a host user. */
static int make_private(int fd, const char *what, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "look at '%s'", what);
	if (st.st_uid != geteuid())
		return error_set(err, EPERM, "'%s' belongs to user %u, not to us", what, (unsigned)st.st_uid);
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return error_errno(err, errno, "make '%s' private", what);
	return 0;
}

static int open_dir(int parent, const char *name, int *ret, struct error *err)
{
	int fd;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make '%s'", name);
	fd = fd_open_at(parent, FD_BENEATH, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return fd;
	*ret = fd; /* the store owns it from here, also when the next step fails */
	return make_private(fd, name, err);
}

/*
 * chattr +T: directories made in here are spread over the block groups, so that a new layer does not land where a
 * deleted one just was, which ext4 makes slow. Other file systems know nothing of it.
 */
static void spread_directories(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
		flags |= FS_TOPDIR_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags); /* a matter of speed only */
	}
}

/* ---- the sweep ---- */

struct sweep {
	const struct store *store;
	struct error *err;
};

static bool is_worth_keeping(const struct store *s, const char *name)
{
	struct stat st;

	return fstatat(s->tmp, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       time(NULL) - st.st_mtime < PART_SECONDS;
}

/* BASE, BASE.part and BASE.lock belong together: the lock says whether somebody lives. */
static int sweep_one(const char *name, void *arg)
{
	const struct sweep *w = arg;
	const struct store *s = w->store;
	char base[TMP_BASE_BYTES];
	struct tmp_lock lock = { .fd = -1 };
	const char *end = strrchr(name, '.');
	size_t size =
		end && (strcmp(end, ".lock") == 0 || strcmp(end, ".part") == 0) ? (size_t)(end - name) : strlen(name);
	char part[TMP_BASE_BYTES + 8];
	int r;

	if (size >= sizeof(base))
		return trash_move(s, s->tmp, name, w->err); /* not a name of ours */
	memcpy(base, name, size);
	base[size] = '\0';
	r = tmp_lock_take(s, base, false, &lock, w->err);
	if (r == -EWOULDBLOCK)
		return 0;
	if (r < 0)
		return r;
	r = trash_move(s, s->tmp, base, w->err);
	(void)snprintf(part, sizeof(part), "%s.part", base);
	if (r == 0 && !is_worth_keeping(s, part))
		r = trash_move(s, s->tmp, part, w->err);
	tmp_lock_drop(s, &lock);
	return r;
}

/* What fd_replace_file left beside a reference when it was killed. Under the exclusive lock nobody is writing one. */
static int sweep_ref(const char *name, void *arg)
{
	const struct sweep *w = arg;

	return strncmp(name, "tmp.", 4) == 0 ? trash_move(w->store, w->store->refs, name, w->err) : 0;
}

static int sweep_lease(const char *name, void *arg)
{
	const struct sweep *w = arg;
	cleanup_fd int fd = -1;

	return lease_reap(w->store, name, &fd, w->err);
}

static int sweep(const struct store *s, struct error *err)
{
	struct sweep w = { .store = s, .err = err };
	int r = store_each_name(s->tmp, sweep_one, &w, err);
	cleanup_fd int lock = r < 0 ? -1 : store_lock(s, LOCK_EX, err);

	if (r == 0 && lock < 0)
		r = lock;
	if (r == 0)
		r = store_each_name(s->refs, sweep_ref, &w, err);
	return r < 0 ? r : store_each_name(s->leases, sweep_lease, &w, err);
}

/* ---- opening ---- */

static int open_all(struct store *s, const char *root, struct error *err)
{
	int blobs = -1, r = make_root(root, err);

	if (r < 0)
		return r;
	s->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0)
		return error_errno(err, errno, "open");
	if ((r = make_private(s->root, root, err)) < 0 || (r = open_dir(s->root, "layers", &s->layers, err)) < 0 ||
	    (r = open_dir(s->root, "refs", &s->refs, err)) < 0 ||
	    (r = open_dir(s->root, "leases", &s->leases, err)) < 0 ||
	    (r = open_dir(s->root, "tmp", &s->tmp, err)) < 0 || (r = open_dir(s->root, "trash", &s->trash, err)) < 0)
		return r;
	r = open_dir(s->root, "blobs", &blobs, err);
	if (r == 0)
		r = open_dir(blobs, "sha256", &s->blobs, err);
	fd_close(&blobs);
	if (r < 0)
		return r;
	spread_directories(s->tmp); /* where layers are born */
	spread_directories(s->layers);
	return sweep(s, err);
}

int store_open(const char *root, struct store **ret, struct error *err)
{
	struct store *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return error_errno(err, ENOMEM, "store");
	*s = (struct store){ -1, -1, -1, -1, -1, -1, -1 };
	r = open_all(s, root, err);
	if (r < 0) {
		store_close(s);
		(void)error_wrap(err, "image store '%s'", root);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	fd_close(&s->root);
	fd_close(&s->blobs);
	fd_close(&s->layers);
	fd_close(&s->refs);
	fd_close(&s->leases);
	fd_close(&s->tmp);
	fd_close(&s->trash);
	free(s);
}
