/* An ext4 in a sparse file, made with libext2fs and mounted through a loop device: see disk.h. */
#include <errno.h>
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/disk.h"
#include "runtime/rootfs/mount_api.h"

enum {
	BLOCK_BYTES = 4096,
	LOG_BLOCK = 2, /* 1024 << 2 */
	INODE_BYTES = 256,
	JOURNAL_BLOCKS = 1024, /* the smallest ext4 takes: 4 MiB */
	LOOP_TRIES = 16,
	IMAGE_MIN_BYTES = 8 << 20,
};

static int ext2_error(errcode_t code, const char *what, struct error *err)
{
	return error_set(err, EIO, "%s: %s", what, error_message(code));
}

/* What mke2fs does, less what a fresh sparse file has already: zeroed tables. */
static errcode_t fill(ext2_filsys fs)
{
	errcode_t e = ext2fs_allocate_tables(fs);

	if (e == 0)
		e = ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL);
	if (e == 0)
		e = ext2fs_update_bb_inode(fs, NULL); /* no bad blocks */
	for (ext2_ino_t i = EXT2_ROOT_INO + 1; e == 0 && i < EXT2_FIRST_INODE(fs->super); i++)
		ext2fs_inode_alloc_stats2(fs, i, +1, 0);
	ext2fs_inode_alloc_stats2(fs, EXT2_BAD_INO, +1, 0);
	ext2fs_mark_ib_dirty(fs);
	if (e == 0)
		e = ext2fs_add_journal_inode(fs, JOURNAL_BLOCKS, EXT2_MKJOURNAL_NO_MNT_CHECK);
	return e;
}

int disk_image_make(int file_fd, uint64_t size_bytes, uint64_t inodes, struct error *err)
{
	uint64_t bytes = size_bytes < IMAGE_MIN_BYTES ? IMAGE_MIN_BYTES : size_bytes;
	uint64_t blocks = bytes / BLOCK_BYTES + JOURNAL_BLOCKS + inodes * INODE_BYTES / BLOCK_BYTES + 64;
	struct ext2_super_block super = {
		.s_rev_level = EXT2_DYNAMIC_REV,
		.s_log_block_size = LOG_BLOCK,
		.s_log_cluster_size = LOG_BLOCK,
		.s_inode_size = INODE_BYTES,
		.s_inodes_count = (uint32_t)(inodes > UINT32_MAX / 2 ? UINT32_MAX / 2 : inodes + 16),
	};
	ext2_filsys fs = NULL;
	char path[32];
	errcode_t e;

	initialize_ext2_error_table();
	if (ftruncate(file_fd, (off_t)(blocks * BLOCK_BYTES)) < 0)
		return error_errno(err, errno, "size of the image");
	ext2fs_blocks_count_set(&super, blocks);
	ext2fs_set_feature_filetype(&super);
	ext2fs_set_feature_sparse_super(&super);
	ext2fs_set_feature_large_file(&super);
	ext2fs_set_feature_extents(&super);
	ext2fs_set_feature_dir_index(&super);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	e = ext2fs_initialize(path, EXT2_FLAG_64BITS, &super, unix_io_manager, &fs);
	if (e)
		return ext2_error(e, "make an ext4", err);
	e = fill(fs);
	if (e) {
		ext2fs_free(fs);
		return ext2_error(e, "fill an ext4", err);
	}
	e = ext2fs_close(fs);
	return e ? ext2_error(e, "write an ext4", err) : 0;
}

/* The number that LOOP_CTL_GET_FREE names may be taken by somebody else before we configure it: EBUSY, try again. */
static int attach_loop(int file_fd, char path[32], struct error *err)
{
	const struct loop_config config = {
		.fd = (uint32_t)file_fd,
		.block_size = BLOCK_BYTES,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return error_errno(err, errno, "open '/dev/loop-control' (is the loop module there?)");
	for (int i = 0; i < LOOP_TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		cleanup_fd int loop = -1;

		if (n < 0)
			return error_errno(err, errno, "find a free loop device");
		(void)snprintf(path, 32, "/dev/loop%d", n);
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return error_errno(err, errno, "open '%s'", path);
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			return fd_take(&loop);
		if (errno != EBUSY)
			return error_errno(err, errno, "configure '%s'", path);
	}
	return error_set(err, EBUSY, "every free loop device was taken first by somebody else");
}

int disk_image_mount(int file_fd, struct error *err)
{
	char path[32];
	const struct mount_option options[] = { { "source", path }, { NULL, NULL } };
	/* held until the mount has it: with no user left, autoclear would detach the file */
	cleanup_fd int loop = attach_loop(file_fd, path, err);

	if (loop < 0)
		return loop;
	return mount_new("ext4", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, err);
}
