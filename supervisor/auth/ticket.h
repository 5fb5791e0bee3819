/*
 * Tickets: random tokens that stand for the rights of a key for a while. Sessions of browsers and one-time login links
 * are two tables of them. Kept as hashes, in memory only: a restart ends them all. Whoever holds a ticket has the
 * rights that the key has at that moment; a key that is deleted ends its tickets.
 *
 * Bounded, and bounded for each holder, so that one key cannot push out the tickets of others: the oldest goes.
 * Runs in: front.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "supervisor/auth/key.h"

struct ticket {
	uint8_t hash[KEY_HASH_BYTES];   /* of the token */
	uint8_t holder[KEY_HASH_BYTES]; /* the key's hash */
	uint64_t until_ns;              /* CLOCK_MONOTONIC */
	char subject[65];               /* the one job that it is for; "": not for one */
};

struct ticket_table {
	struct ticket *tickets; /* oldest first */
	size_t n;
	size_t max, max_each; /* of all, of one holder */
	uint64_t life_ns;
};

void ticket_table_init(struct ticket_table *t, size_t max, size_t max_each, uint64_t life_ns);
void ticket_table_done(struct ticket_table *t);

/* ret: the token. Returns 0 or -errno. */
int ticket_make(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES], uint64_t now_ns,
		char ret[KEY_TOKEN_BYTES], struct error *err);
/* The same, for one subject: "" when it is longer than an id can be. */
int ticket_make_for(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES], const char *subject, uint64_t now_ns,
		    char ret[KEY_TOKEN_BYTES], struct error *err);
/* NULL: none, or its time is over. Borrowed. */
const struct ticket *ticket_find(const struct ticket_table *t, const char *token, uint64_t now_ns);
/* Use up. Returns 0 and the holder, or -ENOENT. */
int ticket_take(struct ticket_table *t, const char *token, uint64_t now_ns, uint8_t ret_holder[KEY_HASH_BYTES]);
/* The holder is no more. */
void ticket_drop(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES]);
