/*
 * The root file system of a sandbox, built outside and handed in as detached mounts by descriptor: an overlay of
 * image layers and a writable upper, /dev, and the files of /proc that are made for it. Nothing is attached to any mount table of the host.
 *
 * Layers are cloned and idmapped to the sandbox's id range (mount_setattr(2)), so that one unpacked tree serves every
 * sandbox and no file is ever chowned. Mount points, /etc/hosts and the like are made in the fresh upper: whatever an
 * image has under those names, even a link, is covered by a plain directory of ours.
 *
 * Runs in: monitor, cubit-sandbox; needs CAP_SYS_ADMIN in the initial user namespace. Never opens a path of an image:
 * layers come as descriptors. Kernel: Documentation/filesystems/overlayfs.rst, open_tree(2), fsopen(2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/rootfs/proc_files.h"

struct error;

enum rootfs_disk_kind {
	ROOTFS_TMPFS,    /* fresh memory file system; gone with the sandbox */
	ROOTFS_DIR,      /* a directory that stays; ids on it are those inside (0-based) */
	ROOTFS_MOUNT,    /* the same as a detached mount of its own, made for this one sandbox (disk.h) */
	ROOTFS_READONLY, /* no upper: nothing can be written but /dev/shm */
};

struct rootfs_disk {
	enum rootfs_disk_kind kind;
	uint64_t size_bytes; /* ROOTFS_TMPFS: bound on content, ENOSPC beyond */
	uint64_t inodes;     /* ROOTFS_TMPFS: bound on files */
	int dir_fd;          /* ROOTFS_DIR, ROOTFS_MOUNT: borrowed; bounded by its file system or quota (disk.h) */
};

struct rootfs_spec {
	const int *layers; /* borrowed directory descriptors, top layer first; at least one */
	size_t n_layers;
	struct rootfs_disk disk;
	uint32_t base;           /* first id of the sandbox's range */
	int userns_fd;           /* borrowed; a user namespace with that mapping */
	uint32_t uid, gid;       /* inside ids that own the working directory */
	const char *workdir;     /* one component below /, made writable for uid; NULL: none */
	const char *hostname;    /* for /etc/hostname and /etc/hosts */
	const char *resolv_conf; /* content; NULL: leave the image's */
	struct proc_size size;   /* for the files of /proc */
};

struct rootfs {
	int root_fd; /* detached overlay mount */
	int dev_fd;  /* detached /dev */
	int proc_fd; /* detached: proc_files.h */
	int disk_fd; /* the writable file system, for fstatfs(2); -1 for ROOTFS_READONLY */
};

#define ROOTFS_INIT                                                                                                    \
	{                                                                                                              \
		.root_fd = -1, .dev_fd = -1, .proc_fd = -1, .disk_fd = -1                                              \
	}

enum { ROOTFS_LAYERS_MAX = 400 }; /* the kernel's own bound is 500 */

/*
 * Returns 0 with ret owned (rootfs_done), or -errno with err naming the layer or mount; nothing is left then.
 * -EINVAL with a sentence about the file system when a layer's cannot be idmapped.
 */
int rootfs_build(const struct rootfs_spec *spec, struct rootfs *ret, struct error *err);

/* Close what is open; detached mounts vanish with their last descriptor. */
void rootfs_done(struct rootfs *r);

/*
 * Another bound on the bytes of a disk in memory, which may be in use. What is there already stays: a bound below it is
 * as much as that. Returns 0 or -errno: -ENOTSUP it is not in memory.
 * Kernel: fspick(2), tmpfs(5) "size" may be changed by a remount.
 */
int rootfs_resize(int disk_fd, uint64_t size_bytes, struct error *err);

/* How full the writable file system is. Unknown and read-only count as not full. */
struct rootfs_usage {
	uint64_t used_bytes, used_inodes;
	int is_full; /* no inode left, or no room for 64 KiB (for a sixteenth of a disk smaller than 1 MiB) */
};
void rootfs_usage(int disk_fd, struct rootfs_usage *ret);
