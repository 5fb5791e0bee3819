/*
 * Deadlines of thousands of connections for the price of one timer: all deadlines of a class lie equally far in the
 * future when they are set, so a list with the newest at its end is sorted by itself. Setting and clearing is O(1), and
 * a tick looks at the heads only.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdint.h>

#include "supervisor/http/list.h"

enum deadline_class {
	DEADLINE_HEAD,   /* a request's head is complete */
	DEADLINE_BODY,   /* the next part of a body has come */
	DEADLINE_IDLE,   /* the next request begins */
	DEADLINE_WRITE,  /* the peer has read something */
	DEADLINE_LINGER, /* the peer has closed, too */
	DEADLINE_PING,   /* time to ask a WebSocket's peer whether it is there */
	DEADLINE_CLASSES,
	DEADLINE_NONE = DEADLINE_CLASSES,
};

enum { DEADLINE_TICK_MS = 250 };

struct deadline {
	struct link link;
	uint64_t at_ms;
	enum deadline_class class;
};

struct deadlines {
	struct link due[DEADLINE_CLASSES];
	uint64_t after_ms[DEADLINE_CLASSES];
};

static inline void deadlines_init(struct deadlines *all)
{
	for (int i = 0; i < DEADLINE_CLASSES; i++)
		list_init(&all->due[i]);
}

static inline void deadline_clear(struct deadline *d)
{
	list_remove(&d->link);
	d->class = DEADLINE_NONE;
}

/* now_ms: uv_now(). Replaces the deadline that d had. */
static inline void deadline_set(struct deadlines *all, struct deadline *d, enum deadline_class class, uint64_t now_ms)
{
	list_remove(&d->link);
	d->class = class;
	d->at_ms = now_ms + all->after_ms[class];
	list_append(&all->due[class], &d->link);
}

/* One that has passed, taken out (its class stays for the reader); NULL when there is none. */
static inline struct deadline *deadlines_take(struct deadlines *all, uint64_t now_ms)
{
	for (int i = 0; i < DEADLINE_CLASSES; i++) {
		struct deadline *d;

		if (list_is_empty(&all->due[i]))
			continue;
		d = LIST_ENTRY(struct deadline, link, all->due[i].next);
		if (d->at_ms > now_ms)
			continue;
		list_remove(&d->link);
		return d;
	}
	return NULL;
}
