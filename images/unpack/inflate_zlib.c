/* gzip by zlib: on every machine, and what isa-l is compared with. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "images/unpack/inflate_impl.h"
#include "runtime/base/error.h"

enum { GZIP_ONLY = 15 + 16 }; /* window bits, inflateInit2 */

struct gzip {
	z_stream z;
	bool is_later; /* a member was read already */
};

static void *gzip_make(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g && inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

static void gzip_drop(void *state)
{
	struct gzip *g = state;

	(void)inflateEnd(&g->z); /* of a stream that is being dropped */
	free(g);
}

static int gzip_step(void *state, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		     bool *is_whole, struct error *err)
{
	struct gzip *g = state;

	g->z.next_in = (Bytef *)(uintptr_t)*in;
	g->z.avail_in = (uInt)*in_size;
	g->z.next_out = out;
	g->z.avail_out = (uInt)room;
	while (g->z.avail_out > 0 && (g->z.avail_in > 0 || !*is_whole)) {
		int r;

		if (*is_whole) {
			(void)inflateReset(&g->z); /* of an initialised stream */
			g->is_later = true;
			*is_whole = false;
		}
		r = inflate(&g->z, Z_NO_FLUSH);
		if (r == Z_STREAM_END)
			*is_whole = true;
		else if (r == Z_BUF_ERROR)
			break; /* wants more input */
		else if (r != Z_OK && g->is_later && g->z.total_out == 0)
			return error_set(err, EBADMSG, "something that is not gzip follows the gzip stream");
		else if (r != Z_OK)
			return error_set(err, EBADMSG, "the gzip stream is damaged: %s",
					 g->z.msg ? g->z.msg : "unknown error");
	}
	*in += *in_size - g->z.avail_in;
	*in_size = g->z.avail_in;
	*ret_size = room - g->z.avail_out;
	return 0;
}

const struct inflate_ops inflate_zlib = { gzip_make, gzip_drop, gzip_step };
