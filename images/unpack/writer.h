/*
 * Write the entries of one layer below one directory, in the form overlayfs wants.
 *
 * Every walk is openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS from the directory given; every last component
 * is made with O_EXCL or its like and never followed. Nothing outside is reached even without the chroot around us.
 *
 *   names      ".." is refused; a leading "/" and "." mean nothing. ".wh.*" are whiteouts and nothing else.
 *   again      a directory over a directory takes the new attributes; anything else replaces what was there.
 *   whiteouts  apply to lower layers only, wherever they stand in the archive: they are made at the end. What this layer
 *              has under that name stays; a directory becomes opaque. None are made where they would show, inside
 *              opaque directories.
 *   parents    that the layer omits are made, root-owned, 0755 (see `customary` in writer_path.c for a few), time 0. A layer
 *              does not know on which others it will lie, so it cannot take theirs.
 *   xattrs     security.capability, user.* and POSIX ACLs are kept; *.overlay.*, trusted.* and other security.* are dropped
 *              and counted.
 *   refused    device nodes (also 0:0, which would be a whiteout), and a root that is not a directory.
 *
 * Runs in: the unpack worker (confined), or a test. Single-threaded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct tar_entry;
struct tar_reader;
struct writer; /* opaque */

struct writer_limits {
	uint64_t bytes;   /* of files, holes included */
	uint64_t entries; /* and parents made on the way */
	uint64_t xattr_bytes;
	size_t path_bytes;
};

struct writer_counts {
	uint64_t entries, parents, bytes, xattrs_dropped;
};

/* Make dir_fd (borrowed) opaque for overlayfs. Needs what a confined worker has not: it asks its parent. */
typedef int writer_opaque_fn(void *arg, int dir_fd, struct error *err);

/* Called now and then while a file is written; non-zero (with err filled) stops the unpacking. */
typedef int writer_tick_fn(void *arg, struct error *err);

/* dir_fd borrowed, an empty directory; umask must be 0. */
int writer_new(int dir_fd, const struct writer_limits *limits, writer_opaque_fn *opaque, writer_tick_fn *tick, void *arg,
	       struct writer **ret, struct error *err);
void writer_free(struct writer *w);

/* One entry with its data. err names the entry. -EPERM refused, -EFBIG a limit, -EBADMSG makes no sense, -errno the host. */
int writer_entry(struct writer *w, const struct tar_entry *e, struct tar_reader *data, struct error *err);

/* Whiteouts, opaque directories, times of directories. */
int writer_finish(struct writer *w, struct writer_counts *ret, struct error *err);
