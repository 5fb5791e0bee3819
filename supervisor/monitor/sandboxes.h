/*
 * The living sandboxes: from CREATE to removal. What the front says of one, what the kernel says, and what the clocks
 * say meet in one table of states and events (sandboxes.c). Answers go out through the front's link.
 *
 * Runs in: monitor. Messages are the front's and hostile; numbers are checked against the ceilings here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/protocol/proto.h"

struct error;
struct front_link;
struct image_table;
struct loop;
struct netns_pool;
struct policy_table;
struct sandbox_host;
struct sandboxes; /* opaque */
struct settings;
struct totals;

enum { SANDBOXES_MAX = 2048 };

/* All borrowed, and outlive the set. */
struct sandboxes_env {
	const struct settings *settings;
	const struct totals *totals;
	struct sandbox_host *host;
	struct loop *loop;
	struct front_link *link;
	struct image_table *images;
	struct policy_table *policies;
	struct netns_pool *nets;
};

/* NULL: out of memory. */
struct sandboxes *sandboxes_new(const struct sandboxes_env *env);
/* Kill everything, wait until it is gone (at most timeout_ms), remove it, free. NULL: nothing. */
void sandboxes_free(struct sandboxes *set, unsigned timeout_ms);

/*
 * The requests. 0: answered, or to be answered later; -errno with err filled: the caller refuses. Codes: EINVAL,
 * ENOENT, EEXIST, ERANGE (a number above its ceiling, by name), EAGAIN (too many), and what sandbox_create() returns.
 */
int sandboxes_create(struct sandboxes *set, uint32_t seq, const struct monitor_create *m, struct error *err);
int sandboxes_stage(struct sandboxes *set, uint32_t seq, const struct monitor_stage *m, struct error *err);
int sandboxes_measure(struct sandboxes *set, uint32_t seq, const struct monitor_measure *m, struct error *err);
int sandboxes_finish(struct sandboxes *set, uint32_t seq, const struct monitor_finish *m, struct error *err);
/* These two have no answer: one that is not there is nothing. */
void sandboxes_kill(struct sandboxes *set, const struct monitor_kill *m);
void sandboxes_tag(struct sandboxes *set, const struct monitor_tag *m);

/* The front is gone: what it had given up is removed; the rest lives on, and its clocks with it. */
void sandboxes_front_gone(struct sandboxes *set);

/* How many the next front is to have, and the ADOPT of each (then STOPPED for those already over). */
uint32_t sandboxes_count_offered(const struct sandboxes *set);
void sandboxes_offer(struct sandboxes *set);

/* Look at clocks and counters. Returns when to look again, or CLOCK_NEVER. */
uint64_t sandboxes_check(struct sandboxes *set, uint64_t now_ns);

/* Did something happen since the last call that asks for a check before that time? */
bool sandboxes_have_news(struct sandboxes *set);

/* Remove one of those that are over. Returns whether more wait. */
bool sandboxes_bury_one(struct sandboxes *set);

size_t sandboxes_count(const struct sandboxes *set); /* living, dead and not yet removed */
