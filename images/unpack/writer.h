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
 *   parents    that the layer omits are made as the layers below have them: mode, owner, time, extended attributes. Where
 *              those have a link in the way, the way is theirs. What they do not have is root-owned, 0755 (see `customary`
 *              in writer_path.c for a few), time 0.
 *   hard links to what only a layer below has: that is copied up first, with all its attributes.
 *   below      both of these look at the layers below at most, and never at what this layer has hidden of them. A layer that
 *              needed them `depends`: over other layers it would be another tree.
 *   xattrs     security.capability, user.* and POSIX ACLs are kept; *.overlay.*, trusted.* and other security.* are dropped
 *              and counted.
 *   devices    are left out and counted (also 0:0, which would be a whiteout), and so are hard links to them: a sandbox has a
 *              /dev of its own, and could not open one of these.
 *   refused    a root that is not a directory.
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
	uint64_t entries, parents, bytes, xattrs_dropped, devices_skipped;
	uint64_t depends; /* 1: on what lies below, or on nothing lying there */
};

/* Make dir_fd (borrowed) opaque for overlayfs. Needs what a confined worker has not: it asks its parent. */
typedef int writer_opaque_fn(void *arg, int dir_fd, struct error *err);

/* Called now and then while a file is written; non-zero (with err filled) stops the unpacking. */
typedef int writer_tick_fn(void *arg, struct error *err);

/*
 * Called once, when the layers below are needed: a directory that shows them merged, owned by the writer from then on. It
 * must have nothing above its root, for a writer that was taken over holds it.
 */
typedef int writer_below_fn(void *arg, struct error *err);

/* below: NULL when this is the lowest layer. dir_fd borrowed, an empty directory; umask must be 0. */
int writer_new(int dir_fd, const struct writer_limits *limits, writer_opaque_fn *opaque, writer_below_fn *below,
	       writer_tick_fn *tick, void *arg, struct writer **ret, struct error *err);
void writer_free(struct writer *w);

/* One entry with its data. err names the entry. -EPERM refused, -EFBIG a limit, -EBADMSG makes no sense, -errno the host. */
int writer_entry(struct writer *w, const struct tar_entry *e, struct tar_reader *data, struct error *err);

/* Whiteouts, opaque directories, times of directories. */
int writer_finish(struct writer *w, struct writer_counts *ret, struct error *err);
