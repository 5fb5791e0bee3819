/* Which connections are taken, and which one goes for it: see admit.h. */
#include "supervisor/http/admit.h"

#include <stdint.h>
#include <string.h>

#include "supervisor/http/request.h"
#include "supervisor/http/server.h"
#include "supervisor/share.h"

enum { SLOTS = 4096 };

static bool is_root(const struct peer *p)
{
	return p->is_unix && p->uid == 0;
}

static bool is_v4(const struct in6_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(a);
}

static bool is_same(const struct peer *a, const struct peer *b)
{
	if (a->is_unix || b->is_unix)
		return a->is_unix == b->is_unix && a->uid == b->uid;
	if (is_v4(&a->address) != is_v4(&b->address))
		return false;
	return memcmp(&a->address, &b->address, is_v4(&a->address) ? 16 : 8) == 0;
}

static unsigned count_of(const struct http_server *s, const struct peer *peer)
{
	unsigned n = 0;

	for (const struct link *i = s->conns.next; i != &s->conns; i = i->next)
		n += is_same(&LIST_ENTRY(struct conn, all, i)->peer, peer);
	return n;
}

static size_t slot_of(const struct peer *p)
{
	const unsigned char *a = p->address.s6_addr;
	uint32_t h = p->is_unix ? p->uid + 1 : 0;

	for (int i = 0; i < (is_v4(&p->address) ? 16 : 8); i++)
		h = (h ^ a[i]) * 16777619u;
	return (h ^ h >> 16) % SLOTS;
}

/* No request of its is under way: nothing is lost by closing it. */
static bool is_idle(const struct conn *c)
{
	return c->state == CONN_HEAD && !c->is_busy && c->out.size == 0 && !is_root(&c->peer);
}

/*
 * The oldest idle connection of the peer that has the most. Peers are counted in slots: where two share one, they are
 * greedy together, which is still not wrong by much. `all` is in the order of arrival. NULL: nobody is idle.
 */
static struct conn *find_victim(const struct http_server *s)
{
	static unsigned n[SLOTS]; /* one thread */
	struct conn *victim = NULL;

	memset(n, 0, sizeof(n));
	for (const struct link *i = s->conns.next; i != &s->conns; i = i->next)
		n[slot_of(&LIST_ENTRY(struct conn, all, i)->peer)]++;
	for (struct link *i = s->conns.next; i != &s->conns; i = i->next) {
		struct conn *c = LIST_ENTRY(struct conn, all, i);

		if (is_idle(c) && (!victim || n[slot_of(&c->peer)] > n[slot_of(&victim->peer)]))
			victim = c;
	}
	return victim;
}

bool admit_peer(struct http_server *s, const struct peer *peer)
{
	uint64_t max = s->options.limits.connections, used = s->counts.connections;
	uint64_t part = share_part(max, used, is_root(peer));
	struct conn *victim;

	if (part > used) /* it cannot hold more than there are */
		return true;
	if (part > 0 && count_of(s, peer) < part)
		return true;
	victim = find_victim(s);
	if (!victim || (count_of(s, peer) > count_of(s, &victim->peer)))
		return false;
	conn_abort(victim);
	return true;
}
