/*
 * The new mount API in four calls: fsopen(2) and friends, open_tree(2), mount_setattr(2), move_mount(2), which glibc
 * 2.36 declares only in part. All return a descriptor or 0, or -errno with err holding the kernel's own words.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include <stdint.h>

struct error;

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/*
 * A new instance of a file system as a detached mount.
 * options: ended by a row with key NULL. attributes: MOUNT_ATTR_*.
 */
int mount_new(const char *type, const struct mount_option *options, uint64_t attributes, struct error *err);

/* A configuration context to be filled by hand, then finished. Both descriptors are owned by the caller. */
int mount_context_open(const char *type, struct error *err);
int mount_context_set(int context, const char *key, const char *value, struct error *err);
int mount_context_finish(int context, const char *type, uint64_t attributes, struct error *err);

/* Change one option of the file system that a mount's own descriptor leads to. */
int mount_change(int mount_fd, const char *key, const char *value, struct error *err);

/* A private clone of the tree at a directory descriptor, detached; one mount, not those below it. */
int mount_clone(int dir_fd, struct error *err);

/* Set attributes (MOUNT_ATTR_*); with MOUNT_ATTR_IDMAP userns_fd gives the mapping, else -1. */
int mount_set(int mount_fd, uint64_t set, int userns_fd, struct error *err);
