/* Which decompressor; zstd and plain; the end of a stream. */
#include "images/unpack/inflate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "images/unpack/inflate_impl.h"
#include "runtime/base/error.h"

struct inflater {
	const struct inflate_ops *ops;
	void *state;
	bool is_whole;
};

/* ---- zstd ---- */

static void *zstd_make(void)
{
	return ZSTD_createDStream(); /* the window is at most 2^27 bytes unless told otherwise */
}

static void zstd_drop(void *state)
{
	(void)ZSTD_freeDStream(state); /* of a stream that is being dropped */
}

static int zstd_step(void *state, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		     bool *is_whole, struct error *err)
{
	ZSTD_inBuffer i = { *in, *in_size, 0 };
	ZSTD_outBuffer o = { out, room, 0 };
	size_t hint = 1;

	while (o.pos < o.size) {
		size_t in_before = i.pos, out_before = o.pos;

		if (i.pos == i.size && *is_whole)
			break; /* another call would begin a frame that is not there */
		hint = ZSTD_decompressStream(state, &o, &i);
		if (ZSTD_isError(hint))
			return error_set(err, EBADMSG, "the zstd stream is damaged: %s", ZSTD_getErrorName(hint));
		*is_whole = hint == 0;
		if (i.pos == in_before && o.pos == out_before)
			break;
	}
	*in += i.pos;
	*in_size -= i.pos;
	*ret_size = o.pos;
	return 0;
}

static const struct inflate_ops zstd = { zstd_make, zstd_drop, zstd_step };

/* ---- plain ---- */

static void *plain_make(void)
{
	return malloc(1); /* no state; but NULL would mean that there is no memory */
}

static int plain_step(void *state, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		      bool *is_whole, struct error *err)
{
	size_t n = *in_size < room ? *in_size : room;

	(void)state; /* none */
	(void)err;   /* cannot fail */
	memcpy(out, *in, n);
	*in += n;
	*in_size -= n;
	*ret_size = n;
	*is_whole = true;
	return 0;
}

static const struct inflate_ops plain = { plain_make, free, plain_step };

/* ---- any ---- */

enum inflate_format inflate_sniff(const uint8_t *head, size_t size)
{
	static const uint8_t zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (size < INFLATE_SNIFF_BYTES)
		return INFLATE_PLAIN;
	if (head[0] == 0x1f && head[1] == 0x8b)
		return INFLATE_GZIP;
	/* also a frame to skip: 0x184D2A50 to 5F, little-endian */
	if (memcmp(head, zstd_magic, 4) == 0 || ((head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0))
		return INFLATE_ZSTD;
	return INFLATE_PLAIN;
}

const char *inflate_format_name(enum inflate_format f)
{
	static const char *const names[] = {
		[INFLATE_PLAIN] = "plain", [INFLATE_GZIP] = "gzip", [INFLATE_ZSTD] = "zstd"
	};

	return names[f];
}

struct inflater *inflater_new(enum inflate_format format, bool is_zlib)
{
	const struct inflate_ops *gzip = inflate_isal && !is_zlib ? inflate_isal : &inflate_zlib;
	const struct inflate_ops *const all[] = {
		[INFLATE_PLAIN] = &plain, [INFLATE_GZIP] = gzip, [INFLATE_ZSTD] = &zstd
	};
	struct inflater *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->ops = all[format];
	z->is_whole = format == INFLATE_PLAIN; /* an empty layer is odd, but whole */
	z->state = z->ops->make();
	if (!z->state) {
		free(z);
		return NULL;
	}
	return z;
}

void inflater_free(struct inflater *z)
{
	if (!z)
		return;
	z->ops->drop(z->state);
	free(z);
}

int inflater_step(struct inflater *z, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		  struct error *err)
{
	*ret_size = 0;
	return z->ops->step(z->state, in, in_size, out, room, ret_size, &z->is_whole, err);
}

int inflater_end(const struct inflater *z, struct error *err)
{
	return z->is_whole ? 0 : error_set(err, EBADMSG, "the compressed stream is cut off");
}
