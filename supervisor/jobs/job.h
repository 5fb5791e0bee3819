/*
 * Inside of the engine: one job, between the files that make it up. Others include engine.h.
 *
 *   engine.c         all jobs of a front; what others may ask of one
 *   job_life.c       states and events, as a table
 *   job_begin.c      until it has a sandbox; its journal on the way there
 *   job.c            what the table does: stop, facts, over
 *   job_end.c        the verdict of the whole
 *   job_files.c      source files and kept artefacts on their way in
 *   job_cases.c      a job of many runs: each is a job of its own
 *   job_stage.c      compile and run: START, clocks, limits, EXITED
 *   job_stdio.c      output into the journal, standard input
 *   job_artefact.c   what a compiler made: out of the sandbox, and in again
 *   job_outputs.c    files handed back with the result
 *   job_tag.c        what a new front has to know, and going on with it
 *
 * What it awaits, what may come, and what is done then: the table in job_life.h.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/stop.h"
#include "runtime/verdict.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/file_call.h"
#include "supervisor/jobs/job_life.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"
#include "supervisor/pool/pool.h"
#include "supervisor/spec/spec.h"

struct job_cases;
struct job_found;
struct agent_event;
struct agent_exited;
struct agent_link;
struct artefact;
struct artefacts;
struct fd_watch;

enum {
	JOB_VERSION_BYTES = 64, /* of a language, in a tag */
	JOB_SILENCE_S = 30,     /* an agent that owes an answer */
	JOB_FILES_AT_ONCE = 8,
	JOB_INPUT_MAX = 1 << 20, /* of an interactive job, waiting */
	JOB_OUTPUT_FILES_MAX = 256,
	JOB_WALK_DEPTH = 32,
	JOB_WALK_RECORDS = 20000,
	JOB_WALK_BYTES = 8 << 20,
	JOB_BACKSTOP_S = 10, /* the monitor's wall clock is that much later than ours */
	JOB_ARTEFACT_KEY_BYTES = 65,
};

/* The process at work. Its limits are there once there is one. */
struct job_process {
	bool is_compile, has_ended;
	uint32_t seq;
	uint64_t asked_ns, start_ns, end_ns;
	const struct job_limits *limits;
	struct verdict_facts facts;
	bool is_measured; /* what follows was taken when it ended, before anything else was done in the sandbox */
	struct monitor_facts measured;
	uint64_t max_rss_bytes, agent_ns;    /* as the agent said at its end, like tasks_made; 0: it did not */
	uint64_t own_user_ns, own_system_ns; /* the same, of the process without its children */
	uint32_t tasks_made;
	struct stage_result *result;  /* of the job's */
	struct fd_watch *in, *out[2]; /* stdout, stderr; a terminal is out[0], in its duplicate */
	bool is_input_over;           /* nothing more will be written */
	bool keeps_stdin;             /* the agent has a copy of the write end: CLOSE_STDIN */
};

struct job { /* NOLINT(clang-analyzer-optin.performance.Padding): in the order in which it is told */
	struct job *next, **prev; /* the engine's */
	struct engine *engine;
	enum queue_space space;
	char id[65];
	char *owner;
	unsigned attempt;
	bool is_direct;
	struct job_spec *spec;
	struct job *parent;      /* of a case: whose; nobody but it sees this one */
	struct job_cases *cases; /* a job of cases: they have the sandboxes */
	const struct runtime_def *def;
	job_over_fn *over;
	void *arg;

	enum job_state state;
	struct journal *journal;
	int journal_fds[3]; /* the journal's own numbers; -1: it has the sandbox's files */
	struct pool_wait *wait;
	struct ready_sandbox sandbox;      /* id "" : none */
	uint64_t memory_bytes, disk_bytes; /* limits the sandbox has now */
	uint32_t processes, cpus_milli;
	struct file_calls files;
	struct job_process process;
	char **argv, **env; /* of the process */

	size_t file_next, file_left; /* FILES: to be asked for; answers awaited */
	size_t artefact_next;
	struct artefact *artefact;                 /* what came out of the cache, or is being read back; owned */
	char artefact_key[JOB_ARTEFACT_KEY_BYTES]; /* "": not for the cache */

	struct buf handover; /* prestart: message, what is left of it */
	size_t input_at;     /* of spec->input */
	struct buf live_input;

	unsigned n_owed;  /* answers of the agent to SIGNAL, RESIZE, CLOSE_STDIN */
	bool is_compiled; /* there is a program, and it was not to be run */
	bool is_early;    /* it did not come to a process: */
	struct verdict early;
	enum verdict_stop stop; /* the first cause */
	char stop_reason[200];  /* "": the verdict's own words */
	struct error internal;  /* what was wrong, for internal_error */
	enum job_trouble trouble;
	bool has_facts;
	struct monitor_facts facts;

	uint64_t outputs_left;   /* bytes */
	struct job_found *found; /* job_outputs.c */
	size_t n_found, found_next;

	struct job_result result;
	uint64_t begun_ns, state_ns; /* of the job; of the state */
	uint64_t deadline_ns;
	uv_timer_t timer, settle; /* deadline of what is awaited; bytes held back by the journal */
	unsigned n_pending;       /* questions to the monitor whose answers hold us */
	unsigned n_stages;        /* of these, STAGE: only the last one is the present process's */
	unsigned n_open_handles;
	bool is_adopted;                 /* an earlier front began it */
	char version[JOB_VERSION_BYTES]; /* and knew this of its language */
	uint32_t attach_seq; /* ATTACH was sent: what comes before its answer was meant for that front; 0: over */
	bool is_input_ended; /* of an interactive job */
	bool is_fed;         /* all input that is ours to write was written */
};

struct engine {
	struct engine_options o;
	struct artefacts *artefacts;
	struct job *jobs;
};

/* ---- engine.c ---- */

struct job *engine_find_sandbox(struct engine *e, const char *sandbox);

/* ---- job.c ---- */

struct job *job_new(struct engine *e, const struct job_order *order, struct error *err);
void job_enter(struct job *job, enum job_state state);
/* That has come. arg: what the action of the event wants (job.c); most want nothing. */
void job_event(struct job *job, enum job_event event, const void *arg);
/* Would it be ignored? For who brings something that must then be given back. */
static inline bool job_ignores(const struct job *job, enum job_event event)
{
	return job_life(job->state, event).act == JOB_ACT_IGNORE;
}
/* Does a process run now? */
static inline bool job_runs(const struct job *job)
{
	return job_state_runs(job->state) && !job->process.has_ended;
}
/* End it. The first cause stays; after the process has ended by itself only what comes after it is cut short. */
void job_stop(struct job *job, enum verdict_stop why, const char *reason);
void job_fail(struct job *job, const struct error *e); /* internal_error */
/* It cannot be run, and that is the request's doing: this verdict, unless the facts know better. */
void job_end_early(struct job *job, enum verdict_status status, const char *reason);
/* SIGNAL, RESIZE, CLOSE_STDIN: their answers only matter by being owed. */
int job_ask(struct job *job, uint32_t type, uint32_t seq, const void *message);
void job_deadline(struct job *job, uint64_t at_ns); /* CLOCK_MONOTONIC; CLOCK_NEVER: none */
void job_silence(struct job *job);                  /* an answer is owed from now on */
void job_status(struct job *job, const char *json);
/* Without over(): it was never handed out. */
void job_discard(struct job *job);
/* After the end, for who counted n_pending down. */
void job_free_if_alone(struct job *job);
extern const struct agent_handlers job_agent_handlers;

void job_observe(struct job *job, const char *stage, uint64_t ns); /* engine_options.observe */

/* ---- job_begin.c ---- */

/* The sandbox is there: it is the job's from here on. */
void job_take(struct job *job, const struct ready_sandbox *s);
/* engine_start() for a job of a job. ret is set before anything of it can end. */
int engine_start_child(struct job *parent, const struct job_order *order, struct job **ret, struct error *err);

/* ---- job_end.c ---- */

/* Take what output is left, decide, and say it in the journal. */
void job_judge(struct job *job);

/* ---- job_files.c ---- */

void job_files_begin(struct job *job);

/* ---- job_cases.c ---- */

void job_cases_begin(struct job *job);
void job_cases_stop(struct job *job);   /* job->stop was noted; JOB_EV_ENDED comes, perhaps from inside */
void job_cases_judge(struct job *job);  /* one that was not stopped */
void job_cases_result(struct job *job); /* list and figures into the result */
void job_cases_free(struct job_cases *c);

/* ---- job_stage.c ---- */

bool job_may_prestart(const struct job *job);
void job_stage_result(struct job *job, struct stage_result *ret); /* nothing known yet */
void job_stage_begin(struct job *job, bool is_compile);           /* its limits */
void job_stage_start(struct job *job);
void job_stage_hand_over(struct job *job);
void job_stage_started(struct job *job, struct agent_event *e);
void job_stage_exited(struct job *job, const struct agent_event *e);
void job_stage_refused(struct job *job, const struct agent_event *e);
void job_stage_gone(struct job *job, const struct agent_event *e);
/* Wall clock and output: the monitor watches the rest, and the clock as well, should we be late. */
struct stop_limits job_stage_limits(const struct job *job);
enum verdict_stop job_stage_cause(const struct job *job, const struct stop_seen *seen);
void job_stage_deadline(struct job *job);
/* The facts have come, or never will: fill in the result of the process and decide. */
void job_stage_judge(struct job *job);
void job_stage_clock(struct job *job); /* the deadline of a running process */

/* ---- job_stdio.c ---- */

/* stdin (-1: none), stdout, stderr (-1: a terminal); taken. */
int job_stdio_open(struct job *job, int fds[3], struct error *err);
void job_stdio_drain(struct job *job); /* take what is there */
void job_stdio_close(struct job *job);
void job_input_push(struct job *job); /* write what there is */
void job_input_close(struct job *job);

/* ---- job_artefact.c ---- */

/* Name it; take it out of the cache when it is there. Then job_files_begin(). */
void job_artefact_look(struct job *job);
void job_artefact_keep(struct job *job);

/* ---- job_outputs.c ---- */

void job_outputs_begin(struct job *job);
void job_outputs_done(struct job *job);

/* ---- job_tag.c ---- */

void job_tag_send(struct job *job);
