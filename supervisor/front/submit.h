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

struct caller;
struct front;
struct job_spec;

/*
 * text  a request as spec.h has it. is_queued: with priority, delay_ms, retention_ms, callback
 * ret   owned: job_spec_free(). Untouched on failure.
 * Returns 0, or -1 with why filled.
 */
int submit_parse(struct front *f, const struct caller *caller, const char *text, size_t size, bool is_queued,
		 struct job_spec **ret, struct refusal *why);

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
int submit_job(struct front *f, const struct caller *caller, const struct job_spec *spec,
	       const struct submit_names *names, submit_fn *fn, void *arg, struct refusal *why);
