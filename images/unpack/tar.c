/*
 * The tar reader: blocks, headers, and the data between them.
 */
#include "images/unpack/tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/unpack/quote.h"
#include "images/unpack/tar_impl.h"
#include "runtime/base/error.h"

struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *arg, const struct tar_limits *limits)
{
	struct tar_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->fill = fill;
	r->fill_arg = arg;
	r->limits = *limits;
	r->meta.pax.max = TAR_META_MAX + 1;
	return r;
}

void tar_reader_free(struct tar_reader *r)
{
	if (!r)
		return;
	tar_meta_done(&r->meta);
	buf_done(&r->path);
	buf_done(&r->link);
	free(r->segments);
	free(r);
}

static uint32_t padding_of(uint64_t size)
{
	return (uint32_t)(-size & (TAR_BLOCK_BYTES - 1));
}

/* ---- headers ---- */

static bool is_zero(const uint8_t *h)
{
	static const uint8_t zero[TAR_BLOCK_BYTES];

	return memcmp(h, zero, sizeof(zero)) == 0;
}

/* Sum of all bytes with the field itself as blanks; some old writers summed signed bytes. */
static bool is_sum_right(const uint8_t *h)
{
	int64_t told = 0, sum = 0, signed_sum = 0;

	for (int i = 0; i < TAR_BLOCK_BYTES; i++) {
		uint8_t c = i >= H_CHECKSUM && i < H_CHECKSUM + 8 ? ' ' : h[i];

		sum += c;
		signed_sum += (int8_t)c;
	}
	return tar_number(h + H_CHECKSUM, 8, &told) == 0 && (told == sum || told == signed_sum);
}

/* The next header block: 1, or 0 at the end of the archive (two zero blocks, or nothing more). */
static int next_header(struct tar_reader *r, uint8_t *h, struct error *err)
{
	int got = tar_take_or_end(r, h, TAR_BLOCK_BYTES, err);

	if (got <= 0)
		return got;
	if (is_zero(h)) {
		got = tar_take_or_end(r, h, TAR_BLOCK_BYTES, err);
		if (got <= 0 || is_zero(h))
			return got < 0 ? got : 0;
		return error_set(err, EBADMSG, "not a valid tar archive: something follows a zero block");
	}
	if (!is_sum_right(h))
		return error_set(err, EBADMSG, "not a valid tar archive: the checksum of a header is wrong");
	return 1;
}

/* A field that is a string: up to its NUL, or all of it. */
static int append_field(struct buf *b, const uint8_t *field, size_t size)
{
	return buf_append(b, field, strnlen((const char *)field, size));
}

/* The name in the header proper. */
static int header_name(const uint8_t *h, struct buf *ret)
{
	bool is_posix = memcmp(h + H_MAGIC, "ustar\0", 6) == 0; /* GNU's "ustar  " keeps other things in the prefix */
	bool is_star = memcmp(h + H_STAR_MAGIC, "tar\0", 4) == 0;
	int r = 0;

	buf_reset(ret);
	if (is_posix && h[H_PREFIX] != '\0') {
		r = append_field(ret, h + H_PREFIX, is_star ? H_STAR_PREFIX_SIZE : H_PREFIX_SIZE);
		if (r == 0)
			r = buf_append(ret, "/", 1);
	}
	return r < 0 ? r : append_field(ret, h + H_NAME, H_NAME_SIZE);
}

/* Data of an extension header, with its padding. */
static int take_meta(struct tar_reader *r, uint64_t size, const char *owner, struct buf *ret, struct error *err)
{
	char *to;
	int got;

	if (size > TAR_META_MAX)
		return error_set(err, EFBIG, "entry %s: an extended header of %llu bytes, the limit is %d",
				 QUOTE(owner), (unsigned long long)size, TAR_META_MAX);
	buf_reset(ret);
	to = buf_reserve(ret, (size_t)size + 1);
	if (!to)
		return error_errno(err, ENOMEM, "extended header");
	got = tar_take(r, to, (size_t)size, err);
	if (got < 0)
		return got;
	buf_grown(ret, (size_t)size);
	return tar_skip(r, padding_of(size), err);
}

/* L and K: a path, terminated. */
static int take_long(struct tar_reader *r, uint64_t size, const char *owner, struct buf *ret, struct error *err)
{
	int got = take_meta(r, size, owner, ret, err);

	if (got < 0)
		return got;
	ret->size = strlen(buf_str(ret)); /* what follows a NUL is no part of it */
	if (ret->size > r->limits.path_bytes)
		return error_set(err, EFBIG, "entry %s: a path of %zu bytes, the limit is %zu", QUOTE(buf_str(ret)),
				 ret->size, r->limits.path_bytes);
	return 0;
}

/* 1: it was an extension and is consumed; 0: an entry. */
static int take_extension(struct tar_reader *r, const uint8_t *h, struct error *err)
{
	const char *owner = buf_str(&r->path);
	int64_t size = 0;
	int ret;

	if (h[H_TYPE] == '\0' || !strchr("xgLK", h[H_TYPE]))
		return 0;
	if (tar_number(h + H_SIZE, H_NUMBER_SIZE, &size) < 0 || size < 0)
		return error_set(err, EBADMSG, "entry %s: the size is not a number", QUOTE(owner));
	switch (h[H_TYPE]) {
	case 'x':
		tar_meta_reset(&r->meta);
		if (size > TAR_META_MAX) {
			r->meta.too_large = (uint64_t)size;
			ret = tar_skip(r, (uint64_t)size + padding_of((uint64_t)size), err);
			break;
		}
		ret = take_meta(r, (uint64_t)size, owner, &r->meta.pax, err);
		if (ret == 0)
			ret = tar_pax_parse(r, owner, err);
		break;
	case 'L':
		ret = take_long(r, (uint64_t)size, owner, &r->meta.gnu_path, err);
		break;
	case 'K':
		ret = take_long(r, (uint64_t)size, owner, &r->meta.gnu_link, err);
		break;
	default: /* global: nothing in it is about one entry that we would believe */
		ret = (uint64_t)size > TAR_META_MAX
			      ? error_set(err, EFBIG, "a global header of %lld bytes", (long long)size)
			      : tar_skip(r, (uint64_t)size + padding_of((uint64_t)size), err);
		break;
	}
	return ret < 0 ? ret : 1;
}

/* ---- entries ---- */

static int use_name(struct buf *to, const struct buf *pax, const struct buf *gnu, struct error *err)
{
	const struct buf *from = gnu->size > 0 ? gnu : pax;

	if (from->size == 0)
		return 0;
	buf_reset(to);
	return buf_append(to, from->data, from->size) < 0 ? error_errno(err, ENOMEM, "path") : 0;
}

static int set_names(struct tar_reader *r, const uint8_t *h, struct tar_entry *e, struct error *err)
{
	int ret = use_name(&r->path, &r->meta.path, &r->meta.gnu_path, err);

	if (ret < 0)
		return ret;
	buf_reset(&r->link);
	if (append_field(&r->link, h + H_LINK, H_NAME_SIZE) < 0)
		return error_errno(err, ENOMEM, "path");
	ret = use_name(&r->link, &r->meta.link, &r->meta.gnu_link, err);
	if (ret < 0)
		return ret;
	e->path = buf_str(&r->path);
	if (!*e->path)
		return error_set(err, EBADMSG, "an entry without a name");
	if (r->path.size > r->limits.path_bytes)
		return error_set(err, EFBIG, "entry %s: a path of %zu bytes, the limit is %zu", QUOTE(e->path),
				 r->path.size, r->limits.path_bytes);
	if (r->meta.too_large > 0)
		return error_set(err, EFBIG, "entry %s: an extended header of %llu bytes, the limit is %d",
				 QUOTE(e->path), (unsigned long long)r->meta.too_large, TAR_META_MAX);
	if (r->meta.xattr_bytes > r->limits.xattr_bytes)
		return error_set(err, EFBIG, "entry %s: %zu bytes of extended attributes, the limit is %zu",
				 QUOTE(e->path), r->meta.xattr_bytes, r->limits.xattr_bytes);
	return 0;
}

static int set_type(struct tar_reader *r, const uint8_t *h, struct tar_entry *e, struct error *err)
{
	static const char letters[] = "01234567S";
	static const enum tar_type types[] = { TAR_FILE, TAR_HARDLINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK,
					       TAR_DIR,  TAR_FIFO,     TAR_FILE,    TAR_FILE };
	const char *at = h[H_TYPE] ? strchr(letters, h[H_TYPE]) : letters;

	if (!at)
		return error_set(err, ENOTSUP, "entry %s: unknown type 0x%02x", QUOTE(e->path), h[H_TYPE]);
	e->type = types[at - letters];
	if (h[H_TYPE] == '\0' && r->path.data[r->path.size - 1] == '/')
		e->type = TAR_DIR; /* V7 had no letter for it */
	e->link = buf_str(&r->link);
	if ((e->type == TAR_HARDLINK || e->type == TAR_SYMLINK) && !*e->link)
		return error_set(err, EBADMSG, "entry %s: a link to nothing", QUOTE(e->path));
	return 0;
}

static int set_numbers(struct tar_reader *r, const uint8_t *h, struct tar_entry *e, struct error *err)
{
	const struct tar_meta *m = &r->meta;
	int64_t mode = 0, uid = 0, gid = 0, size = 0, mtime = 0;

	if (tar_number(h + H_MODE, H_ID_SIZE, &mode) < 0 || tar_number(h + H_MTIME, H_NUMBER_SIZE, &mtime) < 0)
		return error_set(err, EBADMSG, "entry %s: mode or time is not a number", QUOTE(e->path));
	if ((!m->has_uid && tar_number(h + H_UID, H_ID_SIZE, &uid) < 0) ||
	    (!m->has_gid && tar_number(h + H_GID, H_ID_SIZE, &gid) < 0) || uid < 0 || gid < 0 || uid >= UINT32_MAX ||
	    gid >= UINT32_MAX)
		return error_set(err, EBADMSG, "entry %s: owner or group is not a valid id", QUOTE(e->path));
	if (!m->has_size && (tar_number(h + H_SIZE, H_NUMBER_SIZE, &size) < 0 || size < 0))
		return error_set(err, EBADMSG, "entry %s: the size is not a number", QUOTE(e->path));
	e->mode = (uint32_t)mode & 07777;
	e->uid = m->has_uid ? m->uid : (uint32_t)uid;
	e->gid = m->has_gid ? m->gid : (uint32_t)gid;
	e->mtime_s = m->has_mtime ? m->mtime_s : mtime;
	e->mtime_ns = m->has_mtime ? m->mtime_ns : 0;
	e->size = m->has_size ? m->size : (uint64_t)size;
	e->xattrs = m->xattrs;
	e->n_xattrs = m->n_xattrs;
	return 0;
}

/* From here on left and padding are right, so that the next header is found whatever the caller reads. */
static int start_data(struct tar_reader *r, const uint8_t *h, struct tar_entry *e, struct error *err)
{
	r->at = r->segment_used = 0;
	r->segment = 0;
	if (e->type != TAR_FILE) {
		e->size = 0;
		r->n_segments = 0;
		return 0;
	}
	r->left = e->size;
	r->padding = padding_of(e->size);
	if (h[H_TYPE] == 'S')
		return tar_sparse_old(r, h, e->path, &e->size, err);
	if (r->meta.is_sparse)
		return tar_sparse_pax(r, e->path, &e->size, err);
	r->n_segments = 0;
	return 0;
}

int tar_next(struct tar_reader *r, struct tar_entry *ret, struct error *err)
{
	uint8_t h[TAR_BLOCK_BYTES];
	int got;

	if (r->is_over)
		return 0;
	got = tar_skip(r, r->left, err);
	if (got == 0)
		got = tar_skip(r, r->padding, err);
	if (got < 0)
		return got;
	r->left = r->padding = 0;
	r->n_segments = 0;
	tar_meta_reset(&r->meta);
	buf_reset(&r->meta.gnu_path);
	buf_reset(&r->meta.gnu_link);
	do {
		got = next_header(r, h, err);
		if (got <= 0) {
			r->is_over = got == 0;
			return got;
		}
		if (header_name(h, &r->path) < 0)
			return error_errno(err, ENOMEM, "path");
		got = take_extension(r, h, err);
	} while (got == 1);
	if (got < 0)
		return got;
	*ret = (struct tar_entry){ 0 };
	if ((got = set_names(r, h, ret, err)) < 0 || (got = set_type(r, h, ret, err)) < 0 ||
	    (got = set_numbers(r, h, ret, err)) < 0 || (got = start_data(r, h, ret, err)) < 0)
		return got;
	return 1;
}

int tar_data(struct tar_reader *r, const void **data, size_t *size, uint64_t *offset, struct error *err)
{
	uint64_t most = r->left;
	int got;

	while (r->segment < r->n_segments && r->segment_used == r->segments[r->segment].size) {
		r->segment++;
		r->segment_used = 0;
	}
	if (most == 0)
		return 0;
	if (r->n_segments > 0) /* checked: the segments hold exactly what is left */
		most = r->segments[r->segment].size - r->segment_used;
	got = tar_refill(r, err);
	if (got <= 0)
		return got < 0 ? got : tar_cut_off(err);
	*data = r->span;
	*size = most < r->span_size ? (size_t)most : r->span_size;
	*offset = r->n_segments > 0 ? r->segments[r->segment].offset + r->segment_used : r->at;
	r->at += *size;
	r->segment_used += *size;
	r->left -= *size;
	r->span += *size;
	r->span_size -= *size;
	return 1;
}
