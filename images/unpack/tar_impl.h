/* What the files of the tar reader share. Private to tar*.c. Runs in: the unpack worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/unpack/tar.h"
#include "runtime/base/buf.h"

struct error;

enum {
	TAR_BLOCK_BYTES = 512,
	TAR_META_MAX = 1 << 20,      /* one pax header, long name or sparse map */
	TAR_XATTRS_MAX = 256,        /* of one entry */
	TAR_SEGMENTS_MAX = 64 << 10, /* of one sparse file */
};

/* Where the fields of a header are. */
enum {
	H_NAME = 0,
	H_NAME_SIZE = 100,
	H_MODE = 100,
	H_UID = 108,
	H_GID = 116,
	H_ID_SIZE = 8,
	H_SIZE = 124,
	H_MTIME = 136,
	H_NUMBER_SIZE = 12,
	H_CHECKSUM = 148,
	H_TYPE = 156,
	H_LINK = 157,
	H_MAGIC = 257,
	H_PREFIX = 345,
	H_PREFIX_SIZE = 155,
	H_STAR_PREFIX_SIZE = 131,
	H_STAR_MAGIC = 508,
	H_GNU_SPARSE = 386,
	H_GNU_SPARSE_COUNT = 4,
	H_GNU_MORE = 482,
	H_GNU_REAL_SIZE = 483,
	H_GNU_NEXT_COUNT = 21,
	H_GNU_NEXT_MORE = 504,
};

/* What pax and GNU extension headers said about the entry that follows them. */
struct tar_meta {
	struct buf pax;        /* the records; xattr values point into it */
	struct buf path, link; /* empty: as the header has it */
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size;
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
	size_t n_xattrs;
	size_t xattr_bytes;
	uint64_t too_large; /* size of a pax header that was passed over: the entry will be refused by its name */
	bool is_sparse, has_map, has_offset, has_real_size, has_sparse_name;
	unsigned sparse_major, sparse_minor;
	uint64_t sparse_offset; /* 0.0: waits for its numbytes */
	uint64_t real_size;
	struct buf gnu_path, gnu_link; /* L and K */
};

struct tar_segment {
	uint64_t offset, size;
};

struct tar_reader {
	tar_fill_fn *fill;
	void *fill_arg;
	struct tar_limits limits;
	const uint8_t *span; /* what fill gave and we have not used */
	size_t span_size;
	bool is_over;

	struct tar_meta meta;
	struct buf path, link; /* of the entry */

	uint64_t left;                /* bytes of data still in the archive */
	uint32_t padding;             /* after them */
	uint64_t at;                  /* logical position */
	struct tar_segment *segments; /* NULL: not sparse */
	size_t n_segments, room_segments, segment;
	uint64_t segment_used;
};

/* tar_input.c */
/* At least one byte in the span: 1, or 0 at the end. */
int tar_refill(struct tar_reader *r, struct error *err);
/* The archive ends where it must not: -EBADMSG. */
int tar_cut_off(struct error *err);
/* Exactly size bytes: 1, or 0 when the archive ends before the first of them. */
int tar_take_or_end(struct tar_reader *r, void *ret, size_t size, struct error *err);
/* Exactly size bytes; -EBADMSG when the archive ends before. */
int tar_take(struct tar_reader *r, void *ret, size_t size, struct error *err);
int tar_skip(struct tar_reader *r, uint64_t size, struct error *err);

/* tar_number.c */
/* Octal, or base-256 as GNU writes what does not fit. Empty is 0. */
int tar_number(const uint8_t *field, size_t size, int64_t *ret);
/* Decimal digits only; -EINVAL. Not terminated. */
int tar_decimal(const char *text, size_t size, uint64_t *ret);
/* [-]SECONDS[.FRACTION]; ns is always forward of s. */
int tar_time(const char *text, size_t size, int64_t *ret_s, uint32_t *ret_ns);

/* tar_pax.c */
void tar_meta_reset(struct tar_meta *m);
void tar_meta_done(struct tar_meta *m);
/* Understand meta.pax. owner: what the header called itself, for messages. */
int tar_pax_parse(struct tar_reader *r, const char *owner, struct error *err);

/* tar_sparse.c: size segments as they come, then check them all. */
int tar_segment_add(struct tar_reader *r, uint64_t offset, uint64_t size, const char *path, struct error *err);
int tar_sparse_map_text(struct tar_reader *r, const char *text, size_t size, const char *path, struct error *err);
/* The rest of what a sparse entry needs before its data can be read; *ret_size is its logical size. */
int tar_sparse_old(struct tar_reader *r, const uint8_t *header, const char *path, uint64_t *ret_size,
		   struct error *err);
int tar_sparse_pax(struct tar_reader *r, const char *path, uint64_t *ret_size, struct error *err);
