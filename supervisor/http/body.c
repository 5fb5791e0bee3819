/* Where a request's body ends: see body.h. */
#include "supervisor/http/body.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { SIZE_DIGITS = 8 };

void body_begin_sized(struct body_reader *b, uint64_t size)
{
	*b = (struct body_reader){ .at = size > 0 ? BODY_DATA : BODY_END, .left = size };
}

void body_begin_chunked(struct body_reader *b)
{
	*b = (struct body_reader){ .at = BODY_SIZE };
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes that an extension or a trailer may have. */
static bool is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

/* Of a field's name: "token" of RFC 9110 section 5.6.2. */
static bool is_name(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool size_byte(struct body_reader *b, char c)
{
	int d = digit(c);

	if (d >= 0) {
		b->left = b->left << 4 | (unsigned)d;
		return ++b->n <= SIZE_DIGITS;
	}
	if (b->n == 0)
		return false;
	b->n = 0;
	b->at = c == '\r' ? BODY_SIZE_LF : BODY_EXTENSION;
	return c == '\r' || c == ';' || c == ' ' || c == '\t';
}

static bool size_lf(struct body_reader *b, char c)
{
	b->n = 0;
	b->at = b->left > 0 ? BODY_CHUNK : BODY_TRAILER;
	return c == '\n';
}

/* One byte of the framing. false: it must not stand here. */
static bool framing(struct body_reader *b, char c)
{
	switch (b->at) {
	case BODY_SIZE:
		return size_byte(b, c);
	case BODY_EXTENSION:
		if (c == '\r')
			b->at = BODY_SIZE_LF;
		return c == '\r' || (is_text(c) && ++b->n <= BODY_EXTENSION_MAX);
	case BODY_SIZE_LF:
		return size_lf(b, c);
	case BODY_CHUNK_CR:
		b->at = BODY_CHUNK_LF;
		return c == '\r';
	case BODY_CHUNK_LF:
		b->at = BODY_SIZE;
		return c == '\n';
	case BODY_TRAILER:
		b->at = c == '\r' ? BODY_LAST_LF : BODY_TRAILER_NAME;
		return c == '\r' || is_name(c);
	case BODY_TRAILER_NAME:
		if (c == ':')
			b->at = BODY_TRAILER_LINE;
		return (c == ':' || is_name(c)) && ++b->n <= BODY_TRAILERS_MAX;
	case BODY_TRAILER_LINE:
		if (c == '\r')
			b->at = BODY_TRAILER_LF;
		return c == '\r' || (is_text(c) && ++b->n <= BODY_TRAILERS_MAX);
	case BODY_TRAILER_LF:
		b->at = BODY_TRAILER;
		return c == '\n' && ++b->n <= BODY_TRAILERS_MAX;
	case BODY_LAST_LF:
		b->at = BODY_END;
		return c == '\n';
	default:
		return false;
	}
}

ptrdiff_t body_next(struct body_reader *b, const char *data, size_t size, const char **ret_piece, size_t *ret_size)
{
	size_t i = 0, n;

	*ret_piece = data;
	*ret_size = 0;
	while (i < size && b->at != BODY_DATA && b->at != BODY_CHUNK && b->at != BODY_END)
		if (!framing(b, data[i++]))
			return -EINVAL;
	if (i == size || b->at == BODY_END)
		return (ptrdiff_t)i;
	n = size - i < b->left ? size - i : (size_t)b->left;
	*ret_piece = data + i;
	*ret_size = n;
	b->left -= n;
	if (b->left == 0)
		b->at = b->at == BODY_DATA ? BODY_END : BODY_CHUNK_CR;
	return (ptrdiff_t)(i + n);
}
