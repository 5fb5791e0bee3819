/*
 * What is remembered of addresses: a bucket for requests of callers without a key, and one for wrong keys. Bounded; the
 * one not heard of for the longest goes first. An IPv6 address counts as its /64, which is what one customer gets.
 * Pure but for the seed; runs anywhere.
 */
#pragma once

#include <stdint.h>

#include "supervisor/auth/bucket.h"

enum { PEERS_MAX = 4096, PEER_NAME_BYTES = 48 };

struct peer_entry {
	char name[PEER_NAME_BYTES];
	struct bucket requests, wrong_keys;
	uint32_t next;         /* of the same slot; index + 1 */
	uint32_t older, newer; /* by use; index + 1 */
};

struct peer_table;
struct peer_table *peer_table_new(void);
void peer_table_free(struct peer_table *t);

/* Find or make, and count as just used. Never NULL; borrowed until the next call. */
struct peer_entry *peer_table_get(struct peer_table *t, const char *address);

/* What an address counts as: "10.0.0.1", "2001:db8:1:2::", "unix:1000". */
void peer_name(const char *address, char ret[PEER_NAME_BYTES]);
