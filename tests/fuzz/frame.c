/*
 * Fuzz target: the frame reader. The first byte says how many fields follow in the recipe, the next bytes which kind
 * and bound each has, the rest is the message as a peer might have sent it. Whatever is read without complaint must
 * give, written again, exactly the bytes it came from: a reader that takes two encodings of one thing hides something.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VERSION = 1, FIELDS_MAX = 32, STR_CAPACITY = 64 };

static void copy_field(struct frame_reader *r, struct frame_writer *w, uint8_t recipe)
{
	char str[STR_CAPACITY];
	size_t bound = (size_t)(recipe >> 3) * 4, n = 0;
	const void *p;

	switch (recipe & 7) {
	case 0:
		frame_put_u8(w, frame_get_u8(r));
		break;
	case 1:
		frame_put_u16(w, frame_get_u16(r));
		break;
	case 2:
		frame_put_u32(w, frame_get_u32(r));
		break;
	case 3:
		frame_put_u64(w, frame_get_u64(r));
		break;
	case 4:
		p = frame_get_bytes(r, bound, &n);
		assert(n <= bound && (p || n == 0));
		frame_put_bytes(w, p, n);
		break;
	case 5:
		p = frame_get_text(r, bound, &n);
		assert(n <= bound && (p || n == 0) && (!p || !memchr(p, '\0', n)));
		frame_put_bytes(w, p, n);
		break;
	case 6:
		frame_get_str(r, str, sizeof(str));
		assert(strlen(str) < sizeof(str) && (!r->is_bad || str[0] == '\0'));
		frame_put_str(w, str);
		break;
	default: /* a list of strings: a count, then as many; the count bounds nothing that we allocate */
		n = frame_get_u32(r);
		frame_put_u32(w, (uint32_t)n);
		for (size_t i = 0; i < n && !r->is_bad; i++) {
			frame_get_str(r, str, sizeof(str));
			frame_put_str(w, str);
		}
		break;
	}
	assert(r->at <= r->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n_fields = size > 0 ? data[0] % (FIELDS_MAX + 1) : 0, left;
	struct error err = ERROR_INIT;
	struct frame_header h;
	struct frame_reader r;
	struct frame_writer w;
	uint8_t *message, *again;

	if (size < 1 + n_fields)
		return 0;
	left = size - 1 - n_fields;
	message = malloc(left ? left : 1); /* of the exact size, so that a sanitizer sees one byte past it */
	again = malloc(left ? left : 1);
	assert(message && again);
	memcpy(message, data + 1 + n_fields, left);
	if (frame_open(&r, message, left, VERSION, &h, &err) == 0) {
		frame_begin(&w, again, left, &h);
		for (size_t i = 0; i < n_fields; i++)
			copy_field(&r, &w, data[1 + i]);
		if (frame_end(&r, "fuzz", &err) == 0)
			assert(!w.is_full && w.size == left && memcmp(again, message, left) == 0);
	} else {
		assert(err.code == EPROTO && r.is_bad && frame_get_u64(&r) == 0);
	}
	free(message);
	free(again);
	return 0;
}
