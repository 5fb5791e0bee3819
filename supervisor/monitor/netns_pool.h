/* A few network namespaces made ahead, while the monitor has nothing else to do. Runs in: monitor. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "runtime/netns.h"

struct error;

enum { NETNS_AHEAD = 8 };

struct netns_pool {
	int fds[NETNS_AHEAD];
	size_t n;
	struct netns_maker maker;
	bool is_broken; /* making one failed: not tried again on the side until a take went well */
};

/* Owned descriptor, from the pool or made now; -errno. */
int netns_pool_take(struct netns_pool *p, struct error *err);

static inline bool netns_pool_wants_more(const struct netns_pool *p)
{
	return p->n < NETNS_AHEAD && !p->is_broken;
}
void netns_pool_add(struct netns_pool *p); /* one more: 0.3 to 0.6 ms */
void netns_pool_done(struct netns_pool *p);
