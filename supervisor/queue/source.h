/*
 * Where jobs come from: one interface, several backends at once. The embedded queue (SQLite), Redis Streams, the Redis
 * list. Same promises for all: at-least-once delivery, a lease with the attempt number as its fence, exactly one
 * recorded result an id, retry with backoff, dead letters with a reason. Functions and callbacks are those of queue.h.
 *
 * The dispatcher asks `take` when it has free slots and the source said that it may have work; take never blocks for
 * work to arrive. Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/queue/queue.h"

struct job;
struct journal;

struct source_ops {
	const char *name; /* "sqlite", "redis-streams", "redis-list": metrics, logs, GET /v1/nodes */
	/* its jobs count for their owners from their submission on; those of others from the moment they are leased here */
	bool counts_at_submission;
	bool is_needed;          /* without its answer about leases a front cannot start; others may be away */
	bool letters_are_admins; /* its dead letters have no owner that could be believed */
	int (*take)(void *self, size_t n, queue_take_fn *fn, void *arg);
	int (*extend)(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg);
	int (*finish)(void *self, const struct queue_result *r, queue_done_fn *fn, void *arg);
	int (*give_back)(void *self, const char *id, unsigned attempt, const char *reason, enum queue_give how,
			 queue_done_fn *fn, void *arg);
	int (*bury)(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg);
	/* leases of this node in an earlier life; called once, before the first take */
	int (*leased)(void *self, queue_recover_fn *fn, void *arg);
	/* one job, wherever it is or was; ENOENT */
	int (*get)(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg);
	int (*cancel)(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg);
	/*
	 * Lists of the whole space, from any source of it: of jobs, and of dead letters (filter.state is not looked at).
	 * Cursors are those that it gave itself; -EINVAL, or EINVAL: that is none.
	 */
	int (*list)(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg);
	int (*letters)(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg);
	/* a dead letter: waiting again, forgotten. ENOENT; ENOBUFS. owner NULL: any */
	int (*replay)(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg);
	int (*forget)(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg);
	/* it runs here from now on (events can be published); may be NULL */
	void (*started)(void *self, struct job *job);
	/* it runs on another node: a journal that follows it, owned by the caller; may be NULL. ENOENT */
	int (*follow)(void *self, const char *id, struct journal **ret);
	/* why it cannot give or take work at the moment, in words for /readyz; NULL when all is well */
	const char *(*trouble)(void *self);
};

struct source {
	const struct source_ops *ops;
	void *self;
	enum queue_space space; /* whose ids it has; several sources may share one */
	/* set by the dispatcher: there may be work */
	void (*on_work)(struct source *s);
	void *arg;
	/* the dispatcher's */
	size_t n_taking;
	bool may_have, is_behind;
};

/* The embedded queue as a source. q borrowed. */
void queue_source_init(struct source *s, struct queue *q);
