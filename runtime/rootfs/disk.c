/* A disk that outlives its sandbox: see disk.h. */
#include "runtime/rootfs/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"

enum { NAME_BYTES = 96 };

/* A directory, bounded by quota. -ENOTSUP: this host has no quota there. */
static int open_quota(int parent_fd, const char *name, uint64_t size_bytes, uint64_t inodes, struct error *err)
{
	cleanup_fd int dir = -1;
	int r;

	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make '%s'", name);
	dir = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, errno, "open '%s'", name);
	r = disk_quota_set(dir, size_bytes, inodes, err);
	return r < 0 ? r : fd_take(&dir);
}

/* Made under another name and renamed when whole, so that a crash leaves no half of one. */
static int make_image(int parent_fd, const char *name, uint64_t size_bytes, uint64_t inodes, struct error *err)
{
	char tmp[NAME_BYTES + 24];
	cleanup_fd int fd = -1;
	int r;

	(void)snprintf(tmp, sizeof(tmp), "tmp.%s.%d", name, (int)getpid());
	fd = openat(parent_fd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "create '%s'", tmp);
	r = disk_image_make(fd, size_bytes, inodes, err);
	if (r == 0 && fsync(fd) < 0)
		r = error_errno(err, errno, "fsync '%s'", tmp);
	if (r == 0 && renameat(parent_fd, tmp, parent_fd, name) < 0)
		r = error_errno(err, errno, "rename to '%s'", name);
	if (r < 0) {
		(void)unlinkat(parent_fd, tmp, 0); /* the failure that counts is already set */
		return r;
	}
	return fd_take(&fd);
}

static int open_image(int parent_fd, const char *name, uint64_t size_bytes, uint64_t inodes, struct error *err)
{
	cleanup_fd int fd = openat(parent_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		return error_errno(err, errno, "open '%s'", name);
	if (fd < 0)
		fd = make_image(parent_fd, name, size_bytes, inodes, err);
	return fd < 0 ? fd : disk_image_mount(fd, err);
}

int disk_open(int parent_fd, const char *name, uint64_t size_bytes, uint64_t inodes, struct disk *ret,
	      struct error *err)
{
	char image[NAME_BYTES];
	struct stat st;
	bool has_image;
	int fd, r = parse_id(name, err);

	if (r < 0)
		return r;
	(void)snprintf(image, sizeof(image), "%s.ext4", name);
	has_image = fstatat(parent_fd, image, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!has_image) {
		fd = open_quota(parent_fd, name, size_bytes, inodes, err);
		if (fd >= 0) {
			*ret = (struct disk){ .fd = fd, .kind = ROOTFS_DIR };
			return 0;
		}
		if (fd != -ENOTSUP) {
			(void)error_wrap(err, "disk '%s'", name);
			return fd;
		}
		(void)unlinkat(parent_fd, name, AT_REMOVEDIR); /* the empty directory of the attempt */
		error_clear(err);
	}
	fd = open_image(parent_fd, image, size_bytes, inodes, err);
	if (fd < 0) {
		(void)error_wrap(err, "disk '%s'", name);
		return fd;
	}
	*ret = (struct disk){ .fd = fd, .kind = ROOTFS_MOUNT };
	return 0;
}
