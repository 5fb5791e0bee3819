/* The root file system of a sandbox: see rootfs.h. */
#include "runtime/rootfs/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/mount_api.h"
#include "runtime/rootfs/stage.h"

enum {
	FD_PATH_BYTES = 32,        /* "/proc/self/fd/N" and a component */
	OWN_BYTES = 8 * 4096,      /* a page each for what we put on a disk in memory ourselves */
	FULL_BYTES = 64 << 10,     /* a disk is full when an ordinary buffer does not fit any more */
	FULL_SHARE = 16,           /* or a sixteenth of a very small one */
	LOWERDIR_STRING_MAX = 255, /* fsconfig(2) takes strings of at most 256 bytes with the NUL */
};

/* ---- small things made in the fresh upper or in /dev, owned by ids of the sandbox ---- */

static int own(int dir, const char *name, uint32_t uid, uint32_t gid, struct error *err)
{
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "own '%s'", name);
	return 0;
}

/* An existing directory is kept as it is: the upper of a cube is used again. */
static int make_dir(int dir, const char *name, mode_t mode, uint32_t uid, uint32_t gid, struct error *err)
{
	if (mkdirat(dir, name, mode) < 0)
		return errno == EEXIST ? 0 : error_errno(err, errno, "make directory '%s'", name);
	return own(dir, name, uid, gid, err);
}

static int make_file(int dir, const char *name, const char *text, uint32_t base, struct error *err)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return errno == EEXIST ? 0 : error_errno(err, errno, "make '%s'", name);
	r = fd_write_all(fd, text, strlen(text), err);
	if (r < 0)
		return r;
	if (fchown(fd, base, base) < 0)
		return error_errno(err, errno, "own '%s'", name);
	return 0;
}

/* Directories that mounts and programs need whatever the image has there. Ids are inside ids. */
static const struct {
	const char *name;
	mode_t mode;
} skeleton[] = {
	{ "proc", 0555 }, { "dev", 0755 }, { "tmp", 01777 }, { "run", 0755 }, { "etc", 0755 },
};

static int make_etc(const struct rootfs_spec *s, uint32_t base, int upper, struct error *err)
{
	cleanup_fd int etc = openat(upper, "etc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *host = s->hostname && s->hostname[0] ? s->hostname : "sandbox";
	char text[256];
	int r;

	if (etc < 0)
		return error_errno(err, errno, "open 'etc'");
	(void)snprintf(text, sizeof(text), "%s\n", host);
	r = make_file(etc, "hostname", text, base, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost\n", host);
	r = make_file(etc, "hosts", text, base, err);
	if (r == 0 && s->resolv_conf)
		r = make_file(etc, "resolv.conf", s->resolv_conf, base, err);
	return r;
}

/* base: what inside id 0 is on this file system (the range's first id, or 0 where the mount is idmapped). */
static int make_skeleton(const struct rootfs_spec *s, uint32_t base, int upper, struct error *err)
{
	int r = 0;

	if (fchownat(upper, "", base, base, AT_EMPTY_PATH) < 0)
		return error_errno(err, errno, "own the root directory");
	for (size_t i = 0; r == 0 && i < sizeof(skeleton) / sizeof(skeleton[0]); i++)
		r = make_dir(upper, skeleton[i].name, skeleton[i].mode, base, base, err);
	if (r == 0 && s->workdir)
		r = make_dir(upper, s->workdir, 0755, base + s->uid, base + s->gid, err);
	return r < 0 ? r : make_etc(s, base, upper, err);
}

/* ---- /dev ---- */

static const struct {
	const char *name;
	unsigned major, minor;
} devices[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const char *const dev_links[][2] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};

static const char *const dev_dirs[] = { "pts", "shm", "mqueue" };

static int fill_dev(int dev, uint32_t base, struct error *err)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		const char *name = devices[i].name;

		/* nodes of our own, not binds of the host's: a shared inode would carry file locks between sandboxes */
		if (mknodat(dev, name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0 ||
		    fchownat(dev, name, base, base, AT_SYMLINK_NOFOLLOW) < 0)
			return error_errno(err, errno, "make device '%s'", name);
	}
	for (size_t i = 0; i < sizeof(dev_links) / sizeof(dev_links[0]); i++) {
		if (symlinkat(dev_links[i][1], dev, dev_links[i][0]) < 0)
			return error_errno(err, errno, "link '%s'", dev_links[i][0]);
	}
	for (size_t i = 0; i < sizeof(dev_dirs) / sizeof(dev_dirs[0]); i++) {
		if (mkdirat(dev, dev_dirs[i], 0755) < 0)
			return error_errno(err, errno, "make '%s'", dev_dirs[i]);
	}
	return 0;
}

static int build_dev(uint32_t base, struct error *err)
{
	static const struct mount_option options[] = {
		{ "mode", "0755" }, { "size", "65536" }, { "nr_inodes", "32" }, { NULL, NULL }
	};
	cleanup_fd int dev = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
	int r;

	if (dev < 0)
		return dev;
	r = fill_dev(dev, base, err);
	if (r == 0)
		r = mount_set(dev, MOUNT_ATTR_RDONLY, -1, err);
	return r < 0 ? r : fd_take(&dev);
}

/* ---- overlay ---- */

static void fd_path(char ret[FD_PATH_BYTES], int fd, const char *below)
{
	(void)snprintf(ret, FD_PATH_BYTES, "/proc/self/fd/%d%s%s", fd, below ? "/" : "", below ? below : "");
}

struct layers {
	int fds[ROOTFS_LAYERS_MAX +
		1]; /* idmapped clones, top first; the skeleton's, for a read-only root, before them */
	size_t n;
};

static void layers_done(struct layers *l)
{
	while (l->n > 0)
		fd_close(&l->fds[--l->n]);
}

static int clone_idmapped(int dir_fd, int userns_fd, uint64_t more, struct error *err)
{
	cleanup_fd int fd = mount_clone(dir_fd, err);
	struct statfs fs = { 0 };
	int r;

	if (fd < 0)
		return fd;
	r = mount_set(fd, MOUNT_ATTR_IDMAP | more, userns_fd, err);
	if (r == -EINVAL && fstatfs(dir_fd, &fs) == 0)
		return error_set(
			err, EINVAL,
			"its file system (type 0x%lx) cannot be idmapped by this kernel; keep images on ext4, xfs "
			"or btrfs (CUBIT_STATE)",
			(unsigned long)fs.f_type);
	return r < 0 ? r : fd_take(&fd);
}

static int clone_layers(const struct rootfs_spec *s, struct layers *l, struct error *err)
{
	for (size_t i = 0; i < s->n_layers; i++) {
		int fd = clone_idmapped(s->layers[i], s->userns_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, err);

		if (fd < 0) {
			(void)error_wrap(err, "layer %zu", i);
			return fd;
		}
		l->fds[l->n++] = fd;
	}
	return 0;
}

/*
 * Kernels before 6.7 know no "lowerdir+": one colon-separated string, and fsconfig(2) bounds it. So the names are those
 * of the staging slots, relative to the working directory, which is the staging directory then.
 */
static int set_lowers_in_one(int context, const struct layers *l, struct error *err)
{
	char text[LOWERDIR_STRING_MAX + 1];
	size_t used = 0;

	for (size_t i = 0; i < l->n; i++) {
		int n = snprintf(text + used, sizeof(text) - used, "%s%zu", i ? ":" : "", i);

		if (n < 0 || (size_t)n >= sizeof(text) - used)
			return error_set(err, E2BIG, "%zu layers: a kernel before 6.7 takes at most 88", l->n);
		used += (size_t)n;
	}
	return mount_context_set(context, "lowerdir", text, err);
}

static int set_lowers_one_by_one(int context, const struct layers *l, struct error *err)
{
	for (size_t i = 0; i < l->n; i++) {
		char path[FD_PATH_BYTES];
		int r;

		fd_path(path, l->fds[i], NULL);
		r = mount_context_set(context, "lowerdir+", path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What this kernel defaults to differs by build; say it. Deliberate: no metacopy and no redirects over hostile uppers. */
static const struct mount_option overlay_options[] = {
	{ "index", "off" },
	{ "xino", "off" },
	{ "metacopy", "off" },
	{ "redirect_dir", "nofollow" },
};

typedef int set_lowers(int context, const struct layers *l, struct error *err);

static int mount_overlay_with(set_lowers *set, const struct layers *l, int upper_fd, struct error *err)
{
	cleanup_fd int context = mount_context_open("overlay", err);
	uint64_t attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (upper_fd < 0 ? MOUNT_ATTR_RDONLY : 0);
	char upper[FD_PATH_BYTES], work[FD_PATH_BYTES];
	int r;

	if (context < 0)
		return context;
	r = set(context, l, err);
	if (r == 0 && upper_fd >= 0) {
		fd_path(upper, upper_fd, "upper");
		fd_path(work, upper_fd, "work");
		r = mount_context_set(context, "upperdir", upper, err);
		if (r == 0)
			r = mount_context_set(context, "workdir", work, err);
	}
	for (size_t i = 0; r == 0 && i < sizeof(overlay_options) / sizeof(overlay_options[0]); i++)
		r = mount_context_set(context, overlay_options[i].key, overlay_options[i].value, err);
	return r < 0 ? r : mount_context_finish(context, "overlay", attributes, err);
}

/* "lowerdir+" is known since Linux 6.7; an older kernel takes the word and refuses only the finished whole. */
static int mount_overlay_either(const struct layers *l, int upper_fd, struct error *err)
{
	static set_lowers *known;
	int fd = mount_overlay_with(known ? known : set_lowers_one_by_one, l, upper_fd, err);

	if (fd == -EINVAL && !known) {
		error_clear(err);
		fd = mount_overlay_with(set_lowers_in_one, l, upper_fd, err);
		if (fd >= 0)
			known = set_lowers_in_one;
	}
	return fd;
}

/* The same with every layer and the upper attached for the moment, as kernels before 6.15 want it. */
static int mount_overlay_staged(const struct layers *l, int upper_fd, struct error *err)
{
	cleanup_fd int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t n = 0;
	int r = 0;

	if (back < 0)
		return error_errno(err, errno, "open the working directory");
	for (; r == 0 && n < l->n; n++)
		r = stage_attach(n, l->fds[n], err);
	if (r == 0 && upper_fd >= 0)
		r = stage_attach(n++, upper_fd, err);
	if (r == 0)
		r = stage_visit(err);
	if (r == 0)
		r = mount_overlay_either(l, upper_fd, err);
	if (fchdir(back) < 0 && r >= 0) {
		fd_close(&r);
		r = error_errno(err, errno, "return to the working directory");
	}
	stage_clear(n);
	return r;
}

/* The first overlay of a process finds out which way this kernel wants; single-threaded, and the kernel does not change. */
static int mount_overlay(const struct layers *l, int upper_fd, struct error *err)
{
	static enum { UNKNOWN, DETACHED, STAGED } way;
	int fd = -EINVAL;

	if (way != STAGED) {
		fd = mount_overlay_with(set_lowers_one_by_one, l, upper_fd, err);
		if (fd >= 0)
			way = DETACHED;
	}
	if (way == DETACHED || fd != -EINVAL)
		return fd;
	error_clear(err);
	fd = mount_overlay_staged(l, upper_fd, err);
	if (fd >= 0)
		way = STAGED;
	return fd;
}

/* ---- the three kinds of disk ---- */

/* A tmpfs with `upper`, the skeleton in it, and `work`; or with the skeleton alone. */
static int build_tmpfs(const struct rootfs_spec *s, bool is_skeleton_only, struct error *err)
{
	char size[24], inodes[24];
	const struct mount_option options[] = {
		{ "mode", "0755" }, { "size", size }, { "nr_inodes", inodes }, { NULL, NULL }
	};
	cleanup_fd int mount = -1;
	cleanup_fd int upper = -1;
	int r;

	/* a page and an inode each for what we put there ourselves, so that the bound is the payload's */
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)s->disk.size_bytes + OWN_BYTES);
	(void)snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)s->disk.inodes + 16);
	mount = mount_new("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, err);
	if (mount < 0)
		return mount;
	if (is_skeleton_only) { /* the top layer itself; the mount lives as long as this descriptor */
		r = make_skeleton(s, s->base, mount, err);
		return r < 0 ? r : fd_take(&mount);
	}
	if (mkdirat(mount, "upper", 0755) < 0 || mkdirat(mount, "work", 0700) < 0)
		return error_errno(err, errno, "make the upper directory");
	upper = openat(mount, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0)
		return error_errno(err, errno, "open the upper directory");
	r = make_skeleton(s, s->base, upper, err);
	return r < 0 ? r : fd_take(&mount);
}

/*
 * A directory that stays, idmapped so that ids on disk are those inside, whatever range the sandbox has this time.
 * The skeleton is made through the plain directory: 0-based there. A mount of its own is idmapped itself: a detached
 * one cannot be cloned before Linux 6.15.
 */
static int build_dir(const struct rootfs_spec *s, struct error *err)
{
	cleanup_fd int upper = -1;
	cleanup_fd int mount = -1;
	int r;

	if ((mkdirat(s->disk.dir_fd, "upper", 0755) < 0 && errno != EEXIST) ||
	    (mkdirat(s->disk.dir_fd, "work", 0700) < 0 && errno != EEXIST))
		return error_errno(err, errno, "make the upper directory");
	upper = openat(s->disk.dir_fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0)
		return error_errno(err, errno, "open the upper directory");
	r = make_skeleton(s, 0, upper, err);
	if (r < 0)
		return r;
	if (s->disk.kind == ROOTFS_DIR)
		return clone_idmapped(s->disk.dir_fd, s->userns_fd, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, err);
	fd_close(&upper);
	mount = fcntl(s->disk.dir_fd, F_DUPFD_CLOEXEC, 0);
	if (mount < 0)
		return error_errno(err, errno, "keep the disk");
	r = mount_set(mount, MOUNT_ATTR_IDMAP, s->userns_fd, err);
	return r < 0 ? r : fd_take(&mount);
}

/* Take CAP_SYS_RESOURCE out of our effective set, or put it back; -errno. */
static int hold_resource_cap(bool on, struct error *err)
{
	static const cap_value_t resource = CAP_SYS_RESOURCE;
	cap_t caps = cap_get_proc();
	cap_flag_value_t may = CAP_CLEAR; /* one that we never had cannot be put back */
	int r = 0;

	if (!caps)
		return error_errno(err, errno, "read our capabilities");
	if (cap_get_flag(caps, resource, CAP_PERMITTED, &may) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 1, &resource, on ? may : CAP_CLEAR) < 0 || cap_set_proc(caps) < 0)
		r = error_errno(err, errno, "set our capabilities");
	(void)cap_free(caps); /* cannot fail for what libcap made */
	return r;
}

/*
 * Overlay makes its work directory, and later every write, as the mounter. On an idmapped upper that must be an id of
 * the range, or the kernel falls back to a silently read-only mount; NO_SETUID_FIXUP keeps the file capabilities
 * meanwhile, setfsuid(2). And it must not hold CAP_SYS_RESOURCE, which is exempt from quota.
 */
static int mount_overlay_as(const struct layers *l, int upper_fd, uint32_t id, struct error *err)
{
	int bits = prctl(PR_GET_SECUREBITS), r;

	if (bits < 0 || prctl(PR_SET_SECUREBITS, (unsigned long)bits | SECBIT_NO_SETUID_FIXUP) < 0)
		return error_errno(err, errno, "keep file capabilities");
	r = hold_resource_cap(false, err);
	if (r < 0)
		return r;
	(void)setfsgid(id); /* their return values are the former ids; the mount's flags tell below */
	(void)setfsuid(id);
	r = mount_overlay(l, upper_fd, err);
	(void)setfsuid(0);
	(void)setfsgid(0);
	if (hold_resource_cap(true, r < 0 ? NULL : err) < 0 || prctl(PR_SET_SECUREBITS, bits) < 0) {
		fd_close(&r);
		return error_errno(err, errno, "restore our capabilities");
	}
	return r;
}

static int check_writable(int root_fd, struct error *err)
{
	struct statvfs st;

	if (fstatvfs(root_fd, &st) < 0)
		return error_errno(err, errno, "look at the overlay");
	if (st.f_flag & ST_RDONLY)
		return error_set(err, EROFS,
				 "the kernel made the overlay read-only (see its log for the work directory)");
	return 0;
}

static int build_root(const struct rootfs_spec *s, struct layers *l, struct rootfs *ret, struct error *err)
{
	int r;

	switch (s->disk.kind) {
	case ROOTFS_READONLY: {
		int top = build_tmpfs(s, true, err);

		if (top < 0)
			return top;
		l->fds[l->n++] = top;
		r = clone_layers(s, l, err);
		ret->root_fd = r < 0 ? r : mount_overlay(l, -1, err);
		return ret->root_fd < 0 ? ret->root_fd : 0;
	}
	case ROOTFS_TMPFS:
		ret->disk_fd = build_tmpfs(s, false, err);
		break;
	case ROOTFS_DIR:
	case ROOTFS_MOUNT:
		ret->disk_fd = build_dir(s, err);
		break;
	}
	if (ret->disk_fd < 0)
		return ret->disk_fd;
	r = clone_layers(s, l, err);
	if (r < 0)
		return r;
	ret->root_fd = s->disk.kind == ROOTFS_TMPFS ? mount_overlay(l, ret->disk_fd, err)
						    : mount_overlay_as(l, ret->disk_fd, s->base, err);
	return ret->root_fd < 0 ? ret->root_fd : check_writable(ret->root_fd, err);
}

int rootfs_build(const struct rootfs_spec *s, struct rootfs *ret, struct error *err)
{
	struct rootfs built = ROOTFS_INIT;
	struct layers l = { .n = 0 };
	mode_t mask;
	int r;

	if (s->n_layers == 0 || s->n_layers > ROOTFS_LAYERS_MAX)
		return error_set(err, EINVAL, "%zu layers; from 1 to %d are possible", s->n_layers, ROOTFS_LAYERS_MAX);
	mask = umask(0); /* the modes in the tables are meant */
	r = build_root(s, &l, &built, err);
	if (r == 0) {
		built.dev_fd = build_dev(s->base, err);
		if (built.dev_fd < 0) {
			r = built.dev_fd;
			(void)error_wrap(err, "/dev");
		}
	}
	if (r == 0) {
		built.proc_fd = proc_files_build(&s->size, err);
		if (built.proc_fd < 0) {
			r = built.proc_fd;
			(void)error_wrap(err, "/proc");
		}
	}
	(void)umask(mask);
	layers_done(&l);
	if (r < 0)
		rootfs_done(&built);
	else
		*ret = built;
	return r;
}

void rootfs_done(struct rootfs *r)
{
	fd_close(&r->root_fd);
	fd_close(&r->dev_fd);
	fd_close(&r->proc_fd);
	fd_close(&r->disk_fd);
}

int rootfs_resize(int disk_fd, uint64_t size_bytes, struct error *err)
{
	uint64_t size = size_bytes + OWN_BYTES, used;
	struct statfs st;
	char text[24];

	if (disk_fd < 0 || fstatfs(disk_fd, &st) < 0 || st.f_type != TMPFS_MAGIC)
		return error_set(err, ENOTSUP, "the size of this kind of disk cannot be changed");
	used = (st.f_blocks - st.f_bfree) * (uint64_t)st.f_bsize;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(size > used ? size : used));
	return mount_change(disk_fd, "size", text, err);
}

void rootfs_usage(int disk_fd, struct rootfs_usage *ret)
{
	struct statfs st;
	uint64_t room;

	*ret = (struct rootfs_usage){ .is_full = 0 };
	if (disk_fd < 0 || fstatfs(disk_fd, &st) < 0)
		return;
	ret->used_bytes = (st.f_blocks - st.f_bfree) * (uint64_t)st.f_bsize;
	ret->used_inodes = st.f_files - st.f_ffree;
	room = st.f_blocks * (uint64_t)st.f_bsize / FULL_SHARE;
	if (room > FULL_BYTES)
		room = FULL_BYTES;
	ret->is_full =
		(st.f_blocks > 0 && st.f_bavail * (uint64_t)st.f_bsize < room) || (st.f_files > 0 && st.f_ffree == 0);
}
