/* Addresses and their buckets: see peer_table.h. A hash table with chains, and a list through all entries by use. */
#include "supervisor/auth/peer_table.h"

#include "runtime/base/alloc.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SLOTS = PEERS_MAX };

struct peer_table {
	uint32_t seed; /* so that nobody can choose addresses that share a slot */
	uint32_t n;
	uint32_t oldest, newest; /* index + 1 */
	uint32_t slots[SLOTS];   /* index + 1 */
	struct peer_entry entries[PEERS_MAX];
};

void peer_name(const char *address, char ret[PEER_NAME_BYTES])
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, address, &a) != 1) {
		(void)snprintf(ret, PEER_NAME_BYTES, "%s", address);
		return;
	}
	if (IN6_IS_ADDR_V4MAPPED(&a)) {
		(void)inet_ntop(AF_INET, &a.s6_addr[12], ret, PEER_NAME_BYTES);
		return;
	}
	memset(&a.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &a, ret, PEER_NAME_BYTES);
}

struct peer_table *peer_table_new(void)
{
	struct peer_table *t = alloc_zeroed(1, sizeof(*t));

	if (getrandom(&t->seed, sizeof(t->seed), 0) < 0)
		t->seed = (uint32_t)clock_now_ns(); /* weaker is better than not at all */
	return t;
}

void peer_table_free(struct peer_table *t)
{
	free(t);
}

static uint32_t slot_of(const struct peer_table *t, const char *name)
{
	uint32_t h = 2166136261u ^ t->seed; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (h ^ h >> 16) % SLOTS;
}

static struct peer_entry *entry(struct peer_table *t, uint32_t link)
{
	return link ? &t->entries[link - 1] : NULL;
}

static void unlink_use(struct peer_table *t, uint32_t link)
{
	struct peer_entry *e = entry(t, link);

	*(e->older ? &entry(t, e->older)->newer : &t->oldest) = e->newer;
	*(e->newer ? &entry(t, e->newer)->older : &t->newest) = e->older;
}

static void link_newest(struct peer_table *t, uint32_t link)
{
	struct peer_entry *e = entry(t, link);

	e->older = t->newest;
	e->newer = 0;
	*(t->newest ? &entry(t, t->newest)->newer : &t->oldest) = link;
	t->newest = link;
}

static void unlink_slot(struct peer_table *t, uint32_t link)
{
	uint32_t *at = &t->slots[slot_of(t, entry(t, link)->name)];

	while (*at != link)
		at = &entry(t, *at)->next;
	*at = entry(t, link)->next;
}

/* A free entry, in no list: a new one or the oldest. */
static uint32_t take_entry(struct peer_table *t)
{
	uint32_t link = t->oldest;

	if (t->n < PEERS_MAX)
		return ++t->n;
	unlink_use(t, link);
	unlink_slot(t, link);
	return link;
}

struct peer_entry *peer_table_get(struct peer_table *t, const char *address)
{
	char name[PEER_NAME_BYTES];
	uint32_t slot, link;

	peer_name(address, name);
	slot = slot_of(t, name);
	for (link = t->slots[slot]; link && strcmp(entry(t, link)->name, name) != 0;)
		link = entry(t, link)->next;
	if (link) {
		unlink_use(t, link);
	} else {
		link = take_entry(t);
		*entry(t, link) = (struct peer_entry){ .next = t->slots[slot] };
		memcpy(entry(t, link)->name, name, sizeof(name));
		t->slots[slot] = link;
	}
	link_newest(t, link);
	return entry(t, link);
}
