/*
 * Check: can a layer be mounted idmapped, and an overlay on top of it? See doctor.h.
 *
 * Done on the file system where CUBIT_STATE is or will be, in a mount namespace of our own, which takes everything
 * along when the check ends; nothing is written to that file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tools/cubit/doctor.h"
#include "tools/cubit/held.h"

enum { FIRST_ID = 0x20000000, MOUNTINFO_MAX = 4 << 20 };

/* What carries the tmpfs for upper and work: overmounted in our namespace only. */
static const char scratch[] = "/dev";

/* The type of the file system behind fd, by its mount id: proc(5), mountinfo. */
static void fs_type(int fd, char *ret, size_t size)
{
	cleanup_buf struct buf text = BUF_BOUNDED(MOUNTINFO_MAX);
	char id[32];
	struct statx st;

	(void)snprintf(ret, size, "this file system");
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL) < 0)
		return;
	(void)snprintf(id, sizeof(id), "%llu ", (unsigned long long)st.stx_mnt_id);
	for (const char *line = buf_str(&text); line && *line; line = strchr(line, '\n'), line += line != NULL) {
		const char *dash = strncmp(line, id, strlen(id)) == 0 ? strstr(line, " - ") : NULL;

		if (dash) {
			(void)snprintf(ret, size, "%.*s", (int)strcspn(dash + 3, " "), dash + 3);
			return;
		}
	}
}

/* A copy of the mount that dir_fd is on, seen from dir_fd down, with its ids shifted. */
static int idmapped_copy(int dir_fd, int userns_fd, struct error *err)
{
	cleanup_fd int tree = open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		.userns_fd = (uint64_t)userns_fd,
	};
	struct stat before, after;

	if (tree < 0)
		return error_errno(err, errno, "open_tree");
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_errno(err, errno, "mount_setattr with MOUNT_ATTR_IDMAP");
	if (fstat(dir_fd, &before) < 0 || fstat(tree, &after) < 0)
		return error_errno(err, errno, "fstat");
	if (before.st_uid < 65536 && after.st_uid != FIRST_ID + before.st_uid)
		return error_set(err, EPROTO, "owner %u became %u instead of %u", before.st_uid, after.st_uid,
				 FIRST_ID + before.st_uid);
	return fd_take(&tree);
}

/* An overlay of `lower`, with upper and work on a tmpfs, in the current directory. */
static int overlay_on(int lower, struct error *err)
{
	cleanup_fd int fs = -1, mnt = -1, file = -1;
	char says[256] = "";

	if (mkdir("lower", 0755) < 0 || mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0)
		return error_errno(err, errno, "mkdir on tmpfs");
	if (move_mount(lower, "", AT_FDCWD, "lower", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, errno, "move_mount");
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return error_errno(err, errno, "fsopen of overlay");
	if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", "lower", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", "upper", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "workdir", "work", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		int code = errno;

		if (read(fs, says, sizeof(says) - 1) > 0 && says[0]) /* "e overlay: ...", where the kernel has words */
			return error_set(err, code, "overlay: %s", says);
		return error_errno(err, code, "overlay");
	}
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mnt < 0)
		return error_errno(err, errno, "fsmount of overlay");
	file = openat(mnt, "cubit-doctor-writes-here", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file < 0 ? error_errno(err, errno, "make a file in the overlay") : 0;
}

static int own_mounts(struct error *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, errno, "make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, errno, "make mounts private");
	return 0;
}

static int enter_tmpfs(struct error *err)
{
	if (mount("cubit-doctor", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") < 0 || chdir(scratch) < 0)
		return error_errno(err, errno, "mount a tmpfs on '%s'", scratch);
	return 0;
}

static int mapped_namespace(struct held *h, struct error *err)
{
	int r = held_start(h, CLONE_NEWUSER, -1, err);

	if (r == 0)
		r = held_map_ids(h, FIRST_ID, err);
	return r < 0 ? r : held_open_ns(h, "user", err);
}

void check_idmap(const struct check *c, struct finding *f)
{
	cleanup_fd int dir_fd = -1, userns_fd = -1, lower = -1;
	cleanup_held struct held h = HELD_INIT;
	char dir[512], type[64] = "this file system";
	struct error err = ERROR_INIT;
	int r = own_mounts(&err);

	(void)c;
	doctor_state_dir(dir, sizeof(dir));
	if (r == 0) {
		userns_fd = r = mapped_namespace(&h, &err);
		dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC); /* after unshare: a mount of our namespace */
	}
	if (r >= 0 && dir_fd < 0)
		r = error_errno(&err, errno, "open '%s'", dir);
	if (r < 0) {
		finding_missing(f, "not tried on '%s': %s", dir, err.text);
		finding_remedy(f, "see the checks above: this one needs root, user namespaces and mounts");
		return;
	}
	fs_type(dir_fd, type, sizeof(type));
	lower = idmapped_copy(dir_fd, userns_fd, &err);
	if (lower < 0) {
		finding_missing(f, "%s at '%s' cannot be mounted idmapped: %s", type, dir, err.text);
		finding_remedy(
			f, "let CUBIT_STATE name a directory on ext4, xfs or btrfs (overlay, virtiofs and nfs cannot; "
			   "tmpfs can from kernel 6.3)");
		return;
	}
	r = enter_tmpfs(&err);
	if (r == 0)
		r = overlay_on(lower, &err);
	if (r < 0) {
		finding_missing(f, "no overlay on an idmapped %s at '%s': %s", type, dir, err.text);
		finding_remedy(f,
			       "the kernel needs overlayfs (CONFIG_OVERLAY_FS, modprobe overlay), and 5.19 or later");
		return;
	}
	finding_ok(f, "an overlay on an idmapped %s at '%s' takes writes", type, dir);
}
