/*
 * Streaming decompression of a layer: gzip (isa-l, or zlib where that is not there), zstd, or plain.
 *
 * gzip members and zstd frames may follow each other; anything else after the end is refused. Checksums are verified.
 * Pure: no file, no thread. Memory: at most zstd's window of 128 MiB.
 *
 * Runs in: the unpack worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct inflater; /* opaque */

enum inflate_format { INFLATE_PLAIN, INFLATE_GZIP, INFLATE_ZSTD };

enum { INFLATE_SNIFF_BYTES = 4 };

/* By the first bytes, never by what somebody called it. Fewer than INFLATE_SNIFF_BYTES are plain. */
enum inflate_format inflate_sniff(const uint8_t *head, size_t size);
const char *inflate_format_name(enum inflate_format f);

/* is_zlib: use zlib for gzip even where isa-l is. NULL when out of memory. _free(NULL) does nothing. */
struct inflater *inflater_new(enum inflate_format format, bool is_zlib);
void inflater_free(struct inflater *z);

/*
 * Take from *in (moved forward, *in_size shrinks), put at most room bytes into out. Call again with the same input
 * while *ret_size equals room or input is left. Returns 0, or -EBADMSG with err filled.
 */
int inflater_step(struct inflater *z, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		  struct error *err);

/* There is no more input: 0 when the stream was whole, -EBADMSG when it was cut off. */
int inflater_end(const struct inflater *z, struct error *err);
