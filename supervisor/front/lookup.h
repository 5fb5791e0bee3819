/*
 * One job by its id, wherever it came from: the sources are asked in turn.
 *
 * Runs in: front, on the loop. Callbacks and their errors are those of queue.h; EAGAIN a source cannot say at the moment
 * and no other knows the job.
 */
#pragma once

#include <stdbool.h>

#include "supervisor/queue/queue.h"

struct caller;
struct sources;

/* What it asks. All of it is borrowed, and outlives every question. */
struct lookup_env {
	const struct sources *sources;
	/* as queue_get_key() says: where the names are kept that owners gave, which is that of sources->home */
	int (*get_named)(void *self, const char *owner, const char *key, queue_get_fn *fn, void *arg);
	void *self;
};

/*
 * What a client means by an id: among what the caller may see, first by a name that they gave it themselves (POST /run),
 * then in every source. What is another's is passed over as if it were not there.
 */
int lookup_job(const struct lookup_env *env, const struct caller *caller, const char *id, queue_get_fn *fn, void *arg);

/* That one job, as long as it is its owner's. */
int lookup_again(const struct lookup_env *env, const struct job_name *name, bool with_journal, queue_get_fn *fn,
		 void *arg);
int lookup_cancel(const struct lookup_env *env, const struct job_name *name, queue_cancel_fn *fn, void *arg);

/* "cell:NAME": the key of a job that its owner named. room: QUEUE_KEY_BYTES */
void lookup_key(const char *name, char *ret);
