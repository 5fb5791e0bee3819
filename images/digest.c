/*
 * Digests, and the one file that speaks to libcrypto about them.
 *
 * The algorithm is fetched once and the library is told to read no configuration file: a hasher may be made before
 * a chroot and used after it, and nothing there may decide which code we load (CVE-2019-14271 is of that family).
 */
#include "images/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

enum { HEX_BYTES = 64, RAW_BYTES = 32, QUOTE_MAX = 80 };

static const char algorithm[] = "sha256:";

struct digest_hasher {
	EVP_MD_CTX *context;
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

static const EVP_MD *sha256(void)
{
	/* No openssl.cnf: it would act on the surroundings of a confined process. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL); /* a failure shows at the first use */
	return EVP_sha256();
}

struct digest_hasher *digest_hasher_new(void)
{
	struct digest_hasher *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->context = EVP_MD_CTX_new();
	if (!h->context || EVP_DigestInit_ex(h->context, sha256(), NULL) != 1) {
		digest_hasher_free(h);
		return NULL;
	}
	return h;
}

void digest_hasher_add(struct digest_hasher *h, const void *data, size_t size)
{
	/* Cannot fail once initialised; a half-hashed digest must never be used, so do not go on if it did. */
	if (EVP_DigestUpdate(h->context, data, size) != 1)
		abort();
}

void digest_hasher_end(struct digest_hasher *h, struct digest *ret)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	char *at;

	if (EVP_DigestFinal_ex(h->context, raw, &size) != 1 || size != RAW_BYTES)
		abort(); /* as above */
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
	if (!h)
		return;
	EVP_MD_CTX_free(h->context);
	free(h);
}

void digest_of(const void *data, size_t size, struct digest *ret)
{
	struct digest_hasher *h = digest_hasher_new();

	if (!h)
		abort(); /* out of memory for 200 bytes: there is nobody to report to */
	digest_hasher_add(h, data, size);
	digest_hasher_end(h, ret);
	digest_hasher_free(h);
}
