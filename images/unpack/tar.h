/*
 * A pull parser of tar archives: V7, ustar, GNU (long names and links, base-256 numbers, old sparse), pax (path, linkpath,
 * size, uid, gid, mtime, SCHILY.xattr.*, GNU.sparse 0.0, 0.1 and 1.0). Global pax headers are ignored.
 *
 * Where dialects disagree we read as Go's archive/tar does, since that is what the tools around us use: two readers that
 * see different entries in one archive are how something is smuggled past a scanner. So: pax size replaces the
 * header's before any data is skipped (CVE-2025-62518); links, directories, devices and fifos have no data whatever their
 * size says; one zero block that is followed by something else is an error; what follows the end is not looked at.
 *
 * Pure: no file, no thread. Memory is bounded by the limits. Everything it returns was written by a stranger: paths may
 * hold ".." and start with "/", numbers are only known to fit their types.
 *
 * Runs in: the unpack worker.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct tar_reader; /* opaque */

enum tar_type {
	TAR_FILE,
	TAR_DIR,
	TAR_SYMLINK,
	TAR_HARDLINK,
	TAR_FIFO,
	TAR_CHAR,
	TAR_BLOCK,
};

struct tar_xattr {
	const char *name;
	const void *value;
	size_t size;
};

/* All pointers are borrowed from the reader until the next tar_next(). */
struct tar_entry {
	enum tar_type type;
	const char *path; /* never empty */
	const char *link; /* of links; never empty then */
	uint32_t mode;    /* permission bits with suid, sgid, sticky */
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size; /* logical: holes included */
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
};

struct tar_limits {
	size_t path_bytes;  /* of a path or a link target */
	size_t xattr_bytes; /* names and values of one entry */
};

/* More of the archive: 1 with *data and *size (> 0), valid until the next call; 0 at its end; -errno with err filled. */
typedef int tar_fill_fn(void *arg, const uint8_t **data, size_t *size, struct error *err);

/* NULL when out of memory. _free(NULL) does nothing. */
struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *arg, const struct tar_limits *limits);
void tar_reader_free(struct tar_reader *r);

/*
 * The next entry; unread data of the one before is skipped. Returns 1, 0 at the end of the archive, or -errno with err
 * naming the entry: -EBADMSG not a valid archive, or cut off; -EFBIG a limit was passed; -ENOTSUP a kind of entry we
 * do not know; what fill returned.
 */
int tar_next(struct tar_reader *r, struct tar_entry *ret, struct error *err);

/*
 * Data of the entry, in order: *offset says where it belongs, what is between is a hole. Returns 1, 0 when there
 * is no more, or -errno as above.
 */
int tar_data(struct tar_reader *r, const void **data, size_t *size, uint64_t *offset, struct error *err);
