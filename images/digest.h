/*
 * Content digests, "sha256:" and 64 lower-case hexadecimal digits, and nothing else: a digest becomes a file name, so
 * its form is checked before any other use (CVE-2024-3727).
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

enum { DIGEST_TEXT_BYTES = 72 }; /* "sha256:" + 64 + NUL */

struct digest {
	char text[DIGEST_TEXT_BYTES]; /* always valid and terminated, or empty */
};

/* Strict. Returns 0 or -EINVAL with err quoting at most 80 bytes of text; -ENOTSUP for another algorithm. */
int digest_parse(const char *text, struct digest *ret, struct error *err);

/* The 64 digits: a file name. Borrowed. */
const char *digest_hex(const struct digest *d);

int digest_equal(const struct digest *a, const struct digest *b);

/* Streaming; wraps libcrypto. digest_hasher_new returns NULL when out of memory; _free(NULL) does nothing. */
struct digest_hasher;
struct digest_hasher *digest_hasher_new(void);
void digest_hasher_add(struct digest_hasher *h, const void *data, size_t size);
void digest_hasher_end(struct digest_hasher *h, struct digest *ret); /* may be called once */
void digest_hasher_free(struct digest_hasher *h);

void digest_of(const void *data, size_t size, struct digest *ret);
