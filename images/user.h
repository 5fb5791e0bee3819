/*
 * The user of an image, from its own account files as text: never through the host's name service, which would load
 * code chosen by the image (CVE-2019-14271). Pure but for image_file_read; input is hostile.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct buf;

enum {
	USER_FILE_MAX_BYTES = 1 << 20, /* of a passwd or group file (CVE-2026-47262) */
	USER_ID_MAX = 65534,           /* a sandbox has 65536 ids, and the last one is nobody's */
	USER_HOME_BYTES = 256,
};

struct image_user {
	uint32_t uid, gid;
	char home[USER_HOME_BYTES]; /* from passwd, or "" */
};

/*
 * Resolve "", "name", "uid", "name:group", "uid:gid" and their mixtures. Digits are always a number. An empty
 * specification is root. Without a group, the one of the user's passwd line, or 0.
 *
 * passwd, group  texts of the files, "" when the image has none; each at most USER_FILE_MAX_BYTES
 *
 * Returns 0; -EINVAL bad form; -ERANGE an id above USER_ID_MAX, written there or found in the files (CVE-2024-40635: it
 * must not wrap to root); -ENOENT no such name; -EFBIG a file too large. Untouched on failure.
 */
int image_user_resolve(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size,
		       struct image_user *ret, struct error *err);

/*
 * Read one file of the image (e.g. "etc/passwd") out of its unpacked layers, without mounting anything.
 *
 * layer_fds  n_layers borrowed directory descriptors, lowest first
 * path       DIRECTORY/NAME: one directory deep
 *
 * The topmost layer that has it decides; whiteouts, opaque directories and whatever else is no directory hide what is
 * below. Only a regular file is read, by openat2(2) with RESOLVE_IN_ROOT; a link is followed within its layer only. Returns 0 (out is empty when there is none), -EFBIG, or -errno.
 * Runs in: the privileged side. Does not block on fifos or devices.
 */
int image_file_read(const int *layer_fds, size_t n_layers, const char *path, size_t max_bytes, struct buf *out,
		    struct error *err);
