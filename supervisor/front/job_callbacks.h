/*
 * Callbacks of jobs: between callback/, which makes them, and the sources, where jobs are. Which name a callback is armed
 * under, when, and what is said to callback/ when it asks for a result.
 *
 * Those of the embedded queue are armed by submit.h before the job is accepted. A job of Redis is armed by the node that has
 * leased it, before it is run, under a name of its own (callback.h): ids there are another name space.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <uv.h>

#include "supervisor/queue/queue.h"

struct callbacks;
struct callbacks_counts;
struct db;
struct error;
struct job_spec;
struct settings;
struct sources;

/* Of its opener, for the life of the process: answers of the sources may come after it was closed. */
struct job_callbacks {
	struct callbacks *open; /* NULL: the node is being stopped, and nothing is armed or told any more */
	const struct sources *sources;
};

/* sources: borrowed for life, and asked by the loop only. Otherwise as callbacks_open(). */
int job_callbacks_open(struct job_callbacks *c, uv_loop_t *loop, struct db *db, const struct settings *settings,
		       const struct sources *sources, struct error *err);
/* From now on every other call does nothing. */
void job_callbacks_close(struct job_callbacks *c, void (*done)(void *arg), void *arg);

/* May a job be submitted with this address? As callbacks_check_url(); -EAGAIN once it is closed. */
int job_callbacks_check(const struct job_callbacks *c, const char *url, struct error *err);

/* Of a job of the embedded queue that is being submitted: as callbacks_arm(). */
int job_callbacks_arm(struct job_callbacks *c, const char *id, const char *url, const char *secret,
		      void (*done)(const struct error *e, void *arg), void *arg);

/*
 * Of a job that was leased from that space, if spec has one and it was not armed before. Nobody looked at an address yet
 * that came through Redis. Returns 0 or -errno with err; -EAGAIN not now.
 */
int job_callbacks_arm_leased(struct job_callbacks *c, enum queue_space space, const char *id,
			     const struct job_spec *spec, struct error *err);

/* It will not be needed, or not here: as callbacks_disarm(). */
void job_callbacks_disarm(struct job_callbacks *c, enum queue_space space, const char *id);
/* The job is over: as callbacks_fire(). */
void job_callbacks_fire(struct job_callbacks *c, enum queue_space space, const char *id);

/* All zero once it is closed. */
void job_callbacks_counts(const struct job_callbacks *c, struct callbacks_counts *ret);
