/*
 * Sparse files: a map of segments, the data of which stands in the archive without the holes between.
 * Old GNU ('S' headers with extension blocks), pax 0.0 and 0.1 (map in the header), 1.0 (map before the data).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/unpack/quote.h"
#include "images/unpack/tar_impl.h"
#include "runtime/base/error.h"

static int bad_map(const char *path, struct error *err)
{
	return error_set(err, EBADMSG, "entry %s: the map of a sparse file is not valid", QUOTE(path));
}

int tar_segment_add(struct tar_reader *r, uint64_t offset, uint64_t size, const char *path, struct error *err)
{
	if (r->n_segments == TAR_SEGMENTS_MAX)
		return error_set(err, EFBIG, "entry %s: more than %d segments in a sparse file", QUOTE(path),
				 TAR_SEGMENTS_MAX);
	if (r->n_segments == r->room_segments) {
		size_t room = r->room_segments ? r->room_segments * 2 : 64;
		struct tar_segment *s = realloc(r->segments, room * sizeof(*s));

		if (!s)
			return error_errno(err, ENOMEM, "sparse map");
		r->segments = s;
		r->room_segments = room;
	}
	r->segments[r->n_segments++] = (struct tar_segment){ offset, size };
	return 0;
}

int tar_sparse_map_text(struct tar_reader *r, const char *text, size_t size, const char *path, struct error *err)
{
	const char *end = text + size;

	while (text < end) {
		uint64_t v[2] = { 0, 0 };
		int ret;

		for (size_t i = 0; i < 2; i++) {
			const char *comma = memchr(text, ',', (size_t)(end - text)), *stop = comma ? comma : end;

			if (tar_decimal(text, (size_t)(stop - text), &v[i]) < 0 || (i == 0 && !comma))
				return bad_map(path, err);
			text = comma ? comma + 1 : end;
		}
		ret = tar_segment_add(r, v[0], v[1], path, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* In order, apart, within the file, and exactly as much data as there is. */
static int check(struct tar_reader *r, uint64_t real_size, const char *path, struct error *err)
{
	uint64_t at = 0, data = 0;

	for (size_t i = 0; i < r->n_segments; i++) {
		const struct tar_segment *s = &r->segments[i];

		if (s->offset < at || s->offset > real_size || s->size > real_size - s->offset)
			return bad_map(path, err);
		at = s->offset + s->size;
		data += s->size;
	}
	return data == r->left ? 0 : bad_map(path, err);
}

/* ---- old GNU ---- */

static int take_pairs(struct tar_reader *r, const uint8_t *at, int count, const char *path, struct error *err)
{
	for (int i = 0; i < count; i++, at += 2 * (size_t)H_NUMBER_SIZE) {
		int64_t offset = 0, size = 0;
		int ret;

		if (at[0] == '\0')
			return 0; /* the rest is unused */
		if (tar_number(at, H_NUMBER_SIZE, &offset) < 0 ||
		    tar_number(at + H_NUMBER_SIZE, H_NUMBER_SIZE, &size) < 0 || offset < 0 || size < 0)
			return bad_map(path, err);
		ret = tar_segment_add(r, (uint64_t)offset, (uint64_t)size, path, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int tar_sparse_old(struct tar_reader *r, const uint8_t *header, const char *path, uint64_t *ret_size, struct error *err)
{
	uint8_t block[TAR_BLOCK_BYTES];
	int64_t real_size = 0;
	bool has_more = header[H_GNU_MORE] != 0;
	int ret;

	if (tar_number(header + H_GNU_REAL_SIZE, H_NUMBER_SIZE, &real_size) < 0 || real_size < 0)
		return bad_map(path, err);
	r->n_segments = 0;
	ret = take_pairs(r, header + H_GNU_SPARSE, H_GNU_SPARSE_COUNT, path, err);
	for (int blocks = 0; ret == 0 && has_more; blocks++) {
		if (blocks > TAR_SEGMENTS_MAX / H_GNU_NEXT_COUNT)
			return bad_map(path, err);
		ret = tar_take(r, block, sizeof(block), err);
		if (ret == 0)
			ret = take_pairs(r, block, H_GNU_NEXT_COUNT, path, err);
		has_more = block[H_GNU_NEXT_MORE] != 0;
	}
	if (ret < 0)
		return ret;
	*ret_size = (uint64_t)real_size;
	return check(r, *ret_size, path, err);
}

/* ---- pax 1.0: decimal lines before the data, padded to a block ---- */

struct lines {
	struct tar_reader *r;
	uint8_t block[TAR_BLOCK_BYTES];
	size_t at, size; /* in block */
	size_t total;
};

static int next_line(struct lines *l, uint64_t *ret, const char *path, struct error *err)
{
	char digits[24];
	size_t n = 0;

	for (;;) {
		char c;

		if (l->at == l->size) {
			int r;

			if (l->r->left < TAR_BLOCK_BYTES || l->total >= TAR_META_MAX)
				return bad_map(path, err);
			r = tar_take(l->r, l->block, TAR_BLOCK_BYTES, err);
			if (r < 0)
				return r;
			l->r->left -= TAR_BLOCK_BYTES;
			l->total += TAR_BLOCK_BYTES;
			l->at = 0;
			l->size = TAR_BLOCK_BYTES;
		}
		c = (char)l->block[l->at++];
		if (c == '\n')
			return tar_decimal(digits, n, ret) < 0 ? bad_map(path, err) : 0;
		if (n == sizeof(digits))
			return bad_map(path, err);
		digits[n++] = c;
	}
}

static int read_lines(struct tar_reader *r, const char *path, struct error *err)
{
	struct lines l = { .r = r };
	uint64_t count = 0;
	int ret = next_line(&l, &count, path, err);

	for (uint64_t i = 0; ret == 0 && i < count; i++) {
		uint64_t offset = 0, size = 0;

		ret = next_line(&l, &offset, path, err);
		if (ret == 0)
			ret = next_line(&l, &size, path, err);
		if (ret == 0)
			ret = tar_segment_add(r, offset, size, path, err);
	}
	return ret;
}

int tar_sparse_pax(struct tar_reader *r, const char *path, uint64_t *ret_size, struct error *err)
{
	const struct tar_meta *m = &r->meta;
	int ret = 0;

	if (!m->has_real_size || m->has_offset || m->sparse_major > 1 || (m->sparse_major == 1 && m->sparse_minor != 0))
		return error_set(err, ENOTSUP, "entry %s: sparse format %u.%u", QUOTE(path), m->sparse_major,
				 m->sparse_minor);
	if (m->sparse_major == 1) {
		r->n_segments = 0;
		ret = read_lines(r, path, err);
	} else if (!m->has_map) {
		return bad_map(path, err);
	}
	if (ret < 0)
		return ret;
	*ret_size = m->real_size;
	return check(r, *ret_size, path, err);
}
