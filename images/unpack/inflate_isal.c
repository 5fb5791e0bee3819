/* gzip by isa-l: more than twice as fast as zlib, and on the critical path of an unpack. */
#include "images/unpack/inflate_impl.h"

#if __has_include(<isa-l/igzip_lib.h>)

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

struct gzip {
	struct inflate_state z;
	bool is_later;    /* a member was read already */
	uint8_t carry[8]; /* bytes the finished member had taken in but not used */
	size_t carry_at, carry_size;
};

static void *gzip_make(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g) {
		isal_inflate_init(&g->z);
		g->z.crc_flag = ISAL_GZIP;
	}
	return g;
}

/* Whole bytes left in the bit buffer belong to what follows the member. */
static void finish_member(struct gzip *g)
{
	uint64_t bits = g->z.read_in >> (g->z.read_in_length % 8);

	if (g->carry_at < g->carry_size)
		return; /* fed from the carry itself: next_in says what is left of it */
	g->carry_at = g->carry_size = 0;
	for (int n = g->z.read_in_length / 8; n > 0; n--, bits >>= 8)
		g->carry[g->carry_size++] = (uint8_t)bits;
}

static void next_member(struct gzip *g)
{
	isal_inflate_reset(&g->z);
	g->z.crc_flag = ISAL_GZIP;
	g->is_later = true;
}

static int complain(const struct gzip *g, int r, struct error *err)
{
	if (g->is_later && r == ISAL_INVALID_WRAPPER)
		return error_set(err, EBADMSG, "something that is not gzip follows the gzip stream");
	return error_set(err, EBADMSG, "the gzip stream is damaged: %s",
			 r == ISAL_INCORRECT_CHECKSUM ? "incorrect data check"
			 : r == ISAL_INVALID_WRAPPER  ? "incorrect header check"
						      : "invalid block, symbol or distance");
}

static int gzip_step(void *state, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		     bool *is_whole, struct error *err)
{
	struct gzip *g = state;
	size_t done = 0;

	while (done < room) {
		bool is_carry = g->carry_at < g->carry_size;
		size_t size = is_carry ? g->carry_size - g->carry_at : *in_size;
		size_t used, made;
		int r;

		if (*is_whole) {
			if (size == 0)
				break;
			next_member(g);
			if ((is_carry ? g->carry[g->carry_at] : **in) != 0x1f)
				return complain(g, ISAL_INVALID_WRAPPER, err); /* isa-l would wait for a whole header */
			*is_whole = false;
		}
		g->z.next_in = (uint8_t *)(uintptr_t)(is_carry ? g->carry + g->carry_at : *in);
		g->z.avail_in = (uint32_t)size;
		g->z.next_out = out + done;
		g->z.avail_out = (uint32_t)(room - done);
		r = isal_inflate(&g->z);
		used = size - g->z.avail_in;
		made = room - done - g->z.avail_out;
		done += made;
		if (is_carry)
			g->carry_at += used;
		else {
			*in += used;
			*in_size -= used;
		}
		if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
			return complain(g, r, err);
		if (g->z.block_state == ISAL_BLOCK_FINISH) {
			finish_member(g);
			*is_whole = true;
		} else if (used == 0 && made == 0) {
			break;
		}
	}
	*ret_size = done;
	return 0;
}

static const struct inflate_ops isal = { gzip_make, free, gzip_step };
const struct inflate_ops *const inflate_isal = &isal;

#else

const struct inflate_ops *const inflate_isal = NULL;

#endif
