/*
 * Digests, and the one file that speaks to libcrypto about them.
 *
 * By its functions for SHA-256 alone, not by EVP: nothing is looked up at run time and no configuration file is read. A
 * hasher may be made before a chroot and used after it, and nothing there may decide which code we load (CVE-2019-14271
 * is of that family). It is also what lets a small program have digests without all of libcrypto. OpenSSL 3 calls these
 * functions deprecated in favour of EVP; they are the same code.
 */
#define OPENSSL_API_COMPAT 0x10100000L
#include "images/digest.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

enum { HEX_BYTES = 64, RAW_BYTES = 32, QUOTE_MAX = 80 };

static const char algorithm[] = "sha256:";

struct digest_hasher {
	SHA256_CTX context;
};

int digest_parse(const char *text, struct digest *ret, struct error *err)
{
	const char *colon = strchr(text, ':');
	size_t prefix = sizeof(algorithm) - 1;

	if (strncmp(text, algorithm, prefix) != 0) {
		if (colon && colon != text &&
		    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+._-") == (size_t)(colon - text))
			return error_set(err, ENOTSUP, "digest '%.*s': only sha256 is supported", QUOTE_MAX, text);
		return error_set(err, EINVAL, "'%.*s' is not a digest (sha256: and 64 hexadecimal digits)", QUOTE_MAX,
				 text);
	}
	if (strlen(text) != prefix + HEX_BYTES || strspn(text + prefix, "0123456789abcdef") != HEX_BYTES)
		return error_set(err, EINVAL, "'%.*s' is not a digest (sha256: and 64 lower-case hexadecimal digits)",
				 QUOTE_MAX, text);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->text, text, prefix + HEX_BYTES);
	return 0;
}

const char *digest_hex(const struct digest *d)
{
	return d->text[0] ? d->text + sizeof(algorithm) - 1 : "";
}

int digest_equal(const struct digest *a, const struct digest *b)
{
	return strcmp(a->text, b->text) == 0;
}

struct digest_hasher *digest_hasher_new(void)
{
	struct digest_hasher *h = calloc(1, sizeof(*h));

	if (h)
		(void)SHA256_Init(&h->context); /* always 1, as the two below */
	return h;
}

void digest_hasher_add(struct digest_hasher *h, const void *data, size_t size)
{
	(void)SHA256_Update(&h->context, data, size);
}

void digest_hasher_end(struct digest_hasher *h, struct digest *ret)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[RAW_BYTES];
	char *at;

	static_assert((int)RAW_BYTES == SHA256_DIGEST_LENGTH, "");
	(void)SHA256_Final(raw, &h->context);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->text, algorithm, sizeof(algorithm) - 1);
	at = ret->text + sizeof(algorithm) - 1;
	for (size_t i = 0; i < RAW_BYTES; i++) {
		*at++ = digits[raw[i] >> 4];
		*at++ = digits[raw[i] & 15];
	}
}

void digest_hasher_free(struct digest_hasher *h)
{
	free(h);
}

void digest_of(const void *data, size_t size, struct digest *ret)
{
	struct digest_hasher h;

	(void)SHA256_Init(&h.context);
	digest_hasher_add(&h, data, size);
	digest_hasher_end(&h, ret);
}
