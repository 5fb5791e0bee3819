/*
 * A writable disk that outlives its sandbox (a cube's), bounded in bytes and files.
 *
 * Two ways, the first that the host has:
 *   quota   a directory with a project quota, ext4 or xfs mounted with prjquota: quotactl_fd(2)
 *   image   a sparse file with an ext4 in it, on a loop device, loop(4)
 * Ids on it are those inside the sandbox (0-based); the root file system idmaps it to whatever range the sandbox has.
 *
 * Runs in: monitor, cubit-sandbox; root. disk_open may take some 10 ms when it makes an image.
 */
#pragma once

#include <stdint.h>

#include "runtime/rootfs/rootfs.h"

struct error;

struct disk {
	int fd;                     /* owned: fd_close(). For struct rootfs_disk.dir_fd */
	enum rootfs_disk_kind kind; /* ROOTFS_DIR (quota) or ROOTFS_MOUNT (image) */
};

/*
 * Open the disk `name` below a directory of ours, making it when it is not there.
 *
 * parent_fd    borrowed; opened after stage_enter()
 * name         one path component, parse_id()
 * size_bytes   bound on content; an existing image keeps the size it was made with, a quota is set anew
 * inodes       bound on files
 *
 * Returns 0 with ret owned, or -errno with err saying what the host lacks.
 */
int disk_open(int parent_fd, const char *name, uint64_t size_bytes, uint64_t inodes, struct disk *ret,
	      struct error *err);

/* ---- the two ways, for disk.c and tests ---- */

/* Set a project quota on a directory and all that will be made in it. -ENOTSUP when its file system has none. */
int disk_quota_set(int dir_fd, uint64_t size_bytes, uint64_t inodes, struct error *err);

/* Make an empty ext4 with a journal in an open, empty file. */
int disk_image_make(int file_fd, uint64_t size_bytes, uint64_t inodes, struct error *err);

/* Mount it: returns an owned detached mount. The loop device goes with the last user of the mount. */
int disk_image_mount(int file_fd, struct error *err);
