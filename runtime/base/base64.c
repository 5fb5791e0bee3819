/* Base64 as in RFC 4648 §4, strict: see base64.h. */
#include "runtime/base/base64.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

enum { NO_DIGIT = 0xff, PADDING = 64 /* in the alphabet */ };

/* Built at the first use: 64 stores, and the same each time. */
static const uint8_t *digit_values(void)
{
	static uint8_t values[256];
	static bool is_built;

	if (!is_built) {
		memset(values, NO_DIGIT, sizeof(values));
		for (size_t i = 0; i < 64; i++)
			values[(unsigned char)alphabet[i]] = (uint8_t)i;
		is_built = true;
	}
	return values;
}

/* Four digits to three bytes. Returns false when one of them is none. */
static bool decode_group(const uint8_t *values, const char *text, unsigned char out[3])
{
	const unsigned char *t = (const unsigned char *)text;
	uint8_t a = values[t[0]], b = values[t[1]], c = values[t[2]], d = values[t[3]];

	if ((a | b | c | d) & 0xc0) /* digits are below 64 */
		return false;
	out[0] = (unsigned char)(a << 2 | b >> 4);
	out[1] = (unsigned char)(b << 4 | c >> 2);
	out[2] = (unsigned char)(c << 6 | d);
	return true;
}

/*
 * The last group, where '=' may stand. Bits that belong to no byte must be 0: one text for each content.
 * Returns the bytes, or 0.
 */
static size_t decode_last(const uint8_t *values, const char *text, unsigned char out[3])
{
	char full[4];
	size_t pad = text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;

	memcpy(full, text, sizeof(full));
	for (size_t i = 0; i < pad; i++)
		full[3 - i] = 'A'; /* 0 */
	if (!decode_group(values, full, out) || (pad == 1 && out[2] != 0) || (pad == 2 && (out[1] | out[2]) != 0))
		return 0;
	return 3 - pad;
}

char *base64_decode(const char *text, size_t size, size_t *ret_size)
{
	const uint8_t *values = digit_values();
	size_t n = 0, last;
	unsigned char *out;

	if (size % 4 != 0)
		return NULL;
	out = malloc(size / 4 * 3 + 1);
	if (!out)
		return alloc_failed(size);
	for (size_t i = 0; i + 4 < size; i += 4, n += 3) {
		if (!decode_group(values, text + i, out + n))
			goto bad;
	}
	if (size > 0) {
		last = decode_last(values, text + size - 4, out + n);
		if (last == 0)
			goto bad;
		n += last;
	}
	out[n] = '\0';
	*ret_size = n;
	return (char *)out;

bad:
	free(out);
	return NULL;
}

char *base64_encode(const void *data, size_t size, size_t *ret_size)
{
	const unsigned char *p = data;
	size_t n = (size + 2) / 3 * 4;
	char *out = malloc(n + 1), *at = out;

	if (!out)
		return alloc_failed(size);
	for (size_t left = size; left > 0;) {
		size_t take = left < 3 ? left : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (take > 1 ? (uint32_t)p[1] << 8 : 0) | (take > 2 ? p[2] : 0);

		*at++ = alphabet[v >> 18];
		*at++ = alphabet[v >> 12 & 63];
		*at++ = alphabet[take > 1 ? v >> 6 & 63 : PADDING];
		*at++ = alphabet[take > 2 ? v & 63 : PADDING];
		p += take;
		left -= take;
	}
	*at = '\0';
	*ret_size = n;
	return out;
}
