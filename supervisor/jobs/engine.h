/*
 * Jobs at work: from a checked spec to a recorded result. One job is a state machine on the loop:
 *
 *   SANDBOX -> FILES -> COMPILE -> RUN -> OUTPUTS -> FACTS -> over
 *      any of them -> FACTS when a limit is passed, it is cancelled, or the sandbox goes away
 *
 * The front holds the agent socket and the pipes; the monitor watches cpu, memory and processes and takes the facts.
 * The agent is hostile: every answer is checked against what was asked.
 *
 * Runs in: front, on the loop. Nothing here knows HTTP, keys or the queue.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/protocol/monitor_client.h"
#include "supervisor/queue/queue.h"

struct engine;
struct error;
struct job;
struct job_result;
struct job_spec;
struct journal;
struct pool;
struct runtime_def;
struct runtime_set;
struct settings;

struct engine_options {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct runtime_set *runtimes;
	struct monitor_client *monitor;
	struct pool *pool;
	int state_fd; /* borrowed: artefacts/ lives here */
	/* a stage took that long ("queue" "sandbox" "files" "compile" "run" "total"): for metrics; may be NULL */
	void (*observe)(const char *stage, uint64_t ns, void *arg);
	void *arg;
};
struct engine *engine_new(const struct engine_options *o);
void engine_free(struct engine *e); /* jobs must be over */
void engine_set_runtimes(struct engine *e,
			 const struct runtime_set *runtimes); /* for jobs from now on; old set must outlive its jobs */

/*
 * result is borrowed; job_journal() still works; the job is freed afterwards. verdict internal_error: ours, may be
 * tried again.
 */
typedef void job_over_fn(struct job *job, const struct job_result *result, void *arg);

struct job_order {
	const char *id; /* unique within its space; parse_id() */
	const char *owner;
	enum queue_space space;
	unsigned attempt;   /* the lease, its fence; 1 for a direct run */
	unsigned unstarted; /* leases before it in which nothing ran: they are not in the result's attempt */
	bool is_direct;     /* nobody will run it again: a new front ends it */
	uint64_t queued_ms;
	struct job_spec *spec; /* owned by the job from here on, also on failure */
	job_over_fn *over;
	void *arg;
};
/* Returns 0 and the job, whose over() comes later, never from inside this call. */
int engine_start(struct engine *e, const struct job_order *order, struct job **ret, struct error *err);

/*
 * A job that ran under an earlier front (its tag starts with 'j' and names id and attempt, engine_tag_read): go on with
 * it. over() comes as for any other. fds are taken in any case.
 */
int engine_adopt(struct engine *e, const struct monitor_adopt *m, struct sandbox_fds *fds,
		 const struct job_order *order, struct job **ret, struct error *err);
/* What a tag says. False when it is not one of ours. */
bool engine_tag_read(const void *tag, size_t size, enum queue_space *ret_space, char ret_id[65], unsigned *ret_attempt,
		     bool *ret_is_direct);

/* The monitor's STOPPED. True when it was one of ours. */
bool engine_stopped(struct engine *e, const struct monitor_stopped *m);

struct job *engine_find(struct engine *e, const struct job_name *name); /* NULL: not running here */
/* What an owner means by an id, in any space; owner NULL: anybody's. */
struct job *engine_find_id(struct engine *e, const char *owner, const char *id);
size_t engine_running(const struct engine *e); /* with a sandbox: each case at work counts */
void engine_each(struct engine *e, void (*fn)(struct job *job, void *arg), void *arg);

struct job_name job_name(const struct job *job);
const char *job_id(const struct job *job);
const char *job_owner(const struct job *job);
unsigned job_attempt(const struct job *job);
const char *job_state(const struct job *job); /* "starting" "compiling" "running" "finishing" */
struct journal *
job_journal(const struct job *job); /* borrowed; journal_ref() to keep. There from the first moment on */
const struct job_spec *job_spec_of(const struct job *job);

/* What kept a job with the verdict internal_error from starting. */
enum job_trouble {
	JOB_TROUBLE_NONE,  /* nothing: it failed later, or by itself */
	JOB_TROUBLE_IMAGE, /* the image of its language is not here, or not whole */
	JOB_TROUBLE_SLOW, /* its sandbox was not ready in time: the node is overloaded, or its language is broken here */
	JOB_TROUBLE_SANDBOX, /* no sandbox could be made or set up for it: the node's fault, or that of what it asks for */
};
enum job_trouble job_trouble(const struct job *job);

/* End it: verdict cancelled with this reason. Idempotent. */
void job_cancel(struct job *job, const char *reason);

/* For interactive jobs. 0; -EPIPE it does not read any more or is not interactive; -ENOBUFS too much is waiting. */
int job_input(struct job *job, const void *data, size_t size);
size_t job_input_waiting(const struct job *job); /* bytes that it has not read yet */
int job_end_input(struct job *job);
int job_signal(struct job *job, int signo); /* to the running process and its group */
int job_resize(struct job *job, uint16_t cols, uint16_t rows);
