/*
 * Where a request's body ends: Content-Length or chunks, RFC 9112 sections 6 and 7.1. Strict where parsers are known to
 * differ, since that is what request smuggling lives on: every line of the framing ends with CR LF, a chunk's size is one
 * to eight hexadecimal digits, extensions and trailers are bounded and thrown away; a trailer is NAME: VALUE.
 *
 * (llhttp could do this, but how strict it is has changed with its versions, and it knows no bounds for extensions.)
 *
 * Runs in: front. Pure; input is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BODY_EXTENSION_MAX = 256, BODY_TRAILERS_MAX = 8192 };

struct body_reader {
	enum body_at {
		BODY_DATA, /* of Content-Length */
		BODY_SIZE,
		BODY_EXTENSION,
		BODY_SIZE_LF,
		BODY_CHUNK,
		BODY_CHUNK_CR,
		BODY_CHUNK_LF,
		BODY_TRAILER,      /* at a line's begin */
		BODY_TRAILER_NAME, /* until its colon */
		BODY_TRAILER_LINE,
		BODY_TRAILER_LF,
		BODY_LAST_LF,
		BODY_END,
	} at;
	uint64_t left; /* of the data or the chunk */
	unsigned n;    /* digits, or bytes of extension or trailers */
};

void body_begin_sized(struct body_reader *b, uint64_t size);
void body_begin_chunked(struct body_reader *b);

/* Everything was seen, the end as well. */
static inline bool body_is_complete(const struct body_reader *b)
{
	return b->at == BODY_END;
}

/*
 * The next piece of content in data: *ret_piece, *ret_size (0: there is none yet). Returns how many bytes of data that
 * used up, at least 1 unless size is 0 or the body is complete; -EINVAL: not of this form.
 */
ptrdiff_t body_next(struct body_reader *b, const char *data, size_t size, const char **ret_piece, size_t *ret_size);
