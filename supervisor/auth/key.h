/*
 * Keys: their text, their hash, and the table of all of them in memory. The text is known to whoever was shown it once;
 * here is its SHA-256 only. Because keys are 32 random bytes, a plain hash is enough: there is nothing to guess from.
 *
 * Runs in: front. Pure but for key_make_text(), which reads getrandom(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/auth/auth.h"
#include "supervisor/auth/bucket.h"

struct error;

enum {
	KEY_TOKEN_BYTES = 44,                 /* 43 characters of base64url and NUL */
	KEY_TEXT_BYTES = 6 + KEY_TOKEN_BYTES, /* with "cubit_" */
	KEY_HASH_BYTES = 32,
	KEY_ID_BYTES = 33,
	KEY_NOTE_BYTES = 257,
	KEY_TEXT_MAX = 256, /* of what is looked at: presets may be longer than ours */
	KEYS_MAX = 10000,
};

struct key {
	uint8_t hash[KEY_HASH_BYTES];
	char id[KEY_ID_BYTES];
	char owner[65];
	char note[KEY_NOTE_BYTES];
	unsigned scopes;
	struct auth_quota quota;
	struct auth_allow allow;
	bool is_restricted;              /* allow says something */
	bool is_over;                    /* its time, and those who hold streams on it were told */
	uint64_t created_ms, expires_ms; /* since 1970; expires_ms 0: never */
	struct bucket bucket;
};

/* 32 random bytes as base64url. Returns 0 or -errno. */
int key_make_token(char ret[KEY_TOKEN_BYTES], struct error *err);
/* "cubit_" and a token. */
int key_make_text(char ret[KEY_TEXT_BYTES], struct error *err);
/* "k" and 24 random hex digits: public. */
int key_make_id(char ret[KEY_ID_BYTES], struct error *err);

static inline bool key_is_over(const struct key *k, uint64_t now_ms)
{
	return k->expires_ms != 0 && now_ms >= k->expires_ms;
}

void key_hash(const char *text, size_t size, uint8_t ret[KEY_HASH_BYTES]);
/* In constant time. */
bool key_hash_equal(const uint8_t a[KEY_HASH_BYTES], const uint8_t b[KEY_HASH_BYTES]);
/* 64 hex digits, with or without "sha256:" in front. Returns 0 or -EINVAL. */
int key_hash_parse(const char *text, uint8_t ret[KEY_HASH_BYTES], struct error *err);

/* ---- the table: sorted by hash; owns its keys ---- */

struct key_table {
	struct key **keys;
	size_t n, room;
};

void key_table_done(struct key_table *t);
/* key: owned by the table when 0 is returned; -EEXIST the hash or the id is there, -ENOSPC KEYS_MAX. */
int key_table_add(struct key_table *t, struct key *key);
/* Found by the first bytes of the hash, then compared in constant time. NULL: none. Borrowed. */
struct key *key_table_find(const struct key_table *t, const uint8_t hash[KEY_HASH_BYTES]);
struct key *key_table_find_id(const struct key_table *t, const char *id);
/* Take out; owned by the caller: free(). NULL: none. */
struct key *key_table_take(struct key_table *t, const char *id);
