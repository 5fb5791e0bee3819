/* A place to attach mounts for a moment: see stage.h. */
#include "runtime/rootfs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/mount_api.h"

/* The staging directory is a small tmpfs over RUN/stage, in our mount namespace only. */
static char stage_path[512];
static int stage_fd = -1;

int stage_enter(const char *run_dir, struct error *err)
{
	if (snprintf(stage_path, sizeof(stage_path), "%s/stage", run_dir) >= (int)sizeof(stage_path))
		return error_set(err, ENAMETOOLONG, "'%s' is too long", run_dir);
	fd_close(&stage_fd);
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, errno, "new mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(err, errno, "keep our mounts to ourselves");
	return 0;
}

/* Made when first needed: newer kernels never do. */
static int stage_open(struct error *err)
{
	static const struct mount_option options[] = { { "mode", "0700" }, { "size", "65536" }, { NULL, NULL } };
	cleanup_fd int mount_fd = -1;

	if (stage_fd >= 0)
		return 0;
	if (mkdir(stage_path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make directory '%s'", stage_path);
	mount_fd = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (mount_fd < 0)
		return mount_fd;
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, stage_path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, errno, "attach '%s'", stage_path);
	stage_fd = fd_take(&mount_fd);
	return 0;
}

int stage_attach(size_t slot, int mount_fd, struct error *err)
{
	int r = stage_open(err);
	char name[24];

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%zu", slot);
	if (mkdirat(stage_fd, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make '%s/%s'", stage_path, name);
	if (syscall(SYS_move_mount, mount_fd, "", stage_fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, errno, "attach '%s/%s'", stage_path, name);
	return 0;
}

int stage_visit(struct error *err)
{
	if (fchdir(stage_fd) < 0)
		return error_errno(err, errno, "enter '%s'", stage_path);
	return 0;
}

void stage_clear(size_t n)
{
	char path[540];

	while (n-- > 0) {
		(void)snprintf(path, sizeof(path), "%s/%zu", stage_path, n);
		(void)umount2(path, MNT_DETACH); /* EINVAL: was never attached */
	}
}
