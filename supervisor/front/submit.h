/*
 * Jobs into the queue, for every door alike: checked in full, counted for their owner, durable before they are
 * acknowledged.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/front/refusal.h"
#include "supervisor/queue/queue.h"

struct able;
struct auth;
struct caller;
struct catalog;
struct job_callbacks;
struct job_spec;
struct metrics;
struct node_state;
struct settings;

/* A queue that takes jobs: as queue_submit() says. */
struct submit_to {
	int (*submit)(void *self, const struct queue_job *job, queue_submit_fn *fn, void *arg);
	void *self;
};

/* What is needed of the node. Borrowed, and so is what it names, for the life of the process. */
struct submit_env {
	const struct settings *settings;
	const struct node_state *state;
	struct catalog *catalog;
	struct auth *auth; /* NULL: closed already; what was on its way is answered all the same */
	const struct able *able;
	struct job_callbacks *callbacks;
	struct metrics *metrics;
	struct submit_to here;   /* the embedded queue */
	struct submit_to shared; /* where any node takes jobs from; without a function: there is none */
};

/*
 * text  a request as spec.h has it. is_queued: with priority, delay_ms, retention_ms, callback
 * ret   owned: job_spec_free(). Untouched on failure.
 * Returns 0, or -1 with why filled.
 */
int submit_parse(const struct submit_env *env, const struct caller *caller, const char *text, size_t size,
		 bool is_queued, struct job_spec **ret, struct refusal *why);

struct submit_names {
	const char *key; /* of idempotency, shorter than QUEUE_KEY_BYTES; NULL none */
	bool is_shared;  /* any node may run it: into the first stream of Redis, where there is one */
};

/*
 * why NULL: it is durable. id: the job's, is_repeat: it was so before, the key and the request are the same. Otherwise
 * it was not taken, and nothing is left of it.
 */
typedef void submit_fn(const struct refusal *why, const char *id, bool is_repeat, void *arg);

/*
 * spec borrowed. Takes the owner's quota, arms the callback, queues. It goes on when the client leaves: it may have
 * been accepted. Returns 0, and fn is called once from the loop, later; or -1 with why filled, and it is not.
 */
int submit_job(const struct submit_env *env, const struct caller *caller, const struct job_spec *spec,
	       const struct submit_names *names, submit_fn *fn, void *arg, struct refusal *why);
