/* Keys: see key.h. */
#include "supervisor/auth/key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

enum { TOKEN_RANDOM = 32, ID_RANDOM = 12, PREFIX = 8 };

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static int fill_random(uint8_t *to, size_t size, struct error *err)
{
	ssize_t n;

	do { /* at most 256 bytes come whole, getrandom(2) */
		n = getrandom(to, size, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)size ? 0 : error_errno(err, errno, "getrandom");
}

/* RFC 4648 §5, without padding. */
int key_make_token(char ret[KEY_TOKEN_BYTES], struct error *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t raw[TOKEN_RANDOM + 1] = { 0 }; /* a zero behind: the last digit has two bits more than there are */
	int r = fill_random(raw, TOKEN_RANDOM, err);

	for (size_t i = 0; r == 0 && i < KEY_TOKEN_BYTES - 1; i++) {
		size_t bit = 6 * i;
		unsigned two = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];

		ret[i] = digits[two >> (10 - bit % 8) & 63];
	}
	if (r == 0)
		ret[KEY_TOKEN_BYTES - 1] = '\0';
	explicit_bzero(raw, sizeof(raw));
	return r;
}

int key_make_text(char ret[KEY_TEXT_BYTES], struct error *err)
{
	(void)text_copy(ret, KEY_TEXT_BYTES, "cubit_");
	return key_make_token(ret + 6, err);
}

int key_make_id(char ret[KEY_ID_BYTES], struct error *err)
{
	uint8_t raw[ID_RANDOM];
	int r = fill_random(raw, sizeof(raw), err);

	if (r < 0)
		return r;
	ret[0] = 'k';
	for (size_t i = 0; i < ID_RANDOM; i++)
		(void)snprintf(ret + 1 + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

void key_hash(const char *text, size_t size, uint8_t ret[KEY_HASH_BYTES])
{
	(void)SHA256((const unsigned char *)text, size, ret); /* returns ret */
}

bool key_hash_equal(const uint8_t a[KEY_HASH_BYTES], const uint8_t b[KEY_HASH_BYTES])
{
	return CRYPTO_memcmp(a, b, KEY_HASH_BYTES) == 0;
}

/* Of a digit that is one. */
static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

int key_hash_parse(const char *text, uint8_t ret[KEY_HASH_BYTES], struct error *err)
{
	const char *p = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;

	if (strlen(p) != 2 * (size_t)KEY_HASH_BYTES || p[strspn(p, "0123456789abcdef")])
		return error_set(err, EINVAL, "a SHA-256 has 64 hex digits");
	for (size_t i = 0; i < KEY_HASH_BYTES; i++)
		ret[i] = (uint8_t)(hex_digit(p[2 * i]) << 4 | hex_digit(p[2 * i + 1]));
	return 0;
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

/* Index of the first key whose prefix is not below that of hash. How long this takes tells of hashes, not of keys. */
static size_t lower_bound(const struct key_table *t, const uint8_t *hash)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(t->keys[middle]->hash, hash, PREFIX) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct key *key_table_find(const struct key_table *t, const uint8_t hash[KEY_HASH_BYTES])
{
	for (size_t i = lower_bound(t, hash); i < t->n && memcmp(t->keys[i]->hash, hash, PREFIX) == 0; i++) {
		if (key_hash_equal(t->keys[i]->hash, hash))
			return t->keys[i];
	}
	return NULL;
}

static size_t index_of_id(const struct key_table *t, const char *id)
{
	size_t i = 0;

	while (i < t->n && strcmp(t->keys[i]->id, id) != 0)
		i++;
	return i;
}

struct key *key_table_find_id(const struct key_table *t, const char *id)
{
	size_t i = index_of_id(t, id);

	return i < t->n ? t->keys[i] : NULL;
}

static void make_room(struct key_table *t)
{
	if (t->n < t->room)
		return;
	t->room = t->room ? 2 * t->room : 16;
	t->keys = alloc_again((void *)t->keys, t->room, sizeof(struct key *));
}

int key_table_add(struct key_table *t, struct key *key)
{
	size_t i = lower_bound(t, key->hash);

	if (t->n >= KEYS_MAX)
		return -ENOSPC;
	if (key_table_find(t, key->hash) || key_table_find_id(t, key->id))
		return -EEXIST;
	make_room(t);
	memmove(t->keys + i + 1, t->keys + i, (t->n - i) * sizeof(struct key *));
	t->keys[i] = key;
	t->n++;
	return 0;
}

struct key *key_table_take(struct key_table *t, const char *id)
{
	size_t i = index_of_id(t, id);
	struct key *key;

	if (i == t->n)
		return NULL;
	key = t->keys[i];
	t->n--;
	memmove(t->keys + i, t->keys + i + 1, (t->n - i) * sizeof(struct key *));
	return key;
}

void key_table_done(struct key_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->keys[i]);
	free((void *)t->keys);
	*t = (struct key_table){ .n = 0 };
}
