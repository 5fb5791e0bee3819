/*
 * The result of a job as every native door shows it (docs/api.md). Runs in: front. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/verdict.h"

struct journal;
struct queue_unrun;

/* Facts of one stage; UINT64_MAX: not known. */
struct stage_result {
	bool has_run;
	struct verdict verdict;
	uint64_t wall_ns, cpu_ns, user_ns, system_ns;
	uint64_t memory_peak_bytes, processes_peak, disk_bytes;
	bool is_cut[2];        /* stdout, stderr */
	uint64_t output_at[2]; /* where this stage's bytes begin in the journal's streams ... */
	uint64_t output_size[2];
	bool is_cached; /* compile: the artefact was there */
};

struct job_output {
	char *path;
	char *data;    /* NULL: left out, and left_out says why */
	uint64_t size; /* of the file, also when it was left out */
	char left_out[100];
};

struct job_result {
	struct stage_result run, compile;
	struct verdict verdict; /* of the whole: that of run, or compile_error, or what ended it before */
	struct job_output *outputs;
	size_t n_outputs;
	const char *runtime, *version, *policy, *policy_digest, *node; /* borrowed */
	uint64_t queued_ms, started_ms, finished_ms;                   /* since 1970; 0: never */
	json_t *cases; /* owned; a job of cases: job_result_case_json() of each. NULL: it is one run */
	int passed;    /* of these all that were held against something: 1, 0; -1: none was */
	unsigned attempt;
	bool is_outputs_cut; /* more than fits */
	bool was_pooled, was_prestarted;
	char id[65];
};

void job_result_done(struct job_result *r);

/*
 * journal may be NULL (nothing ran). Owned; NULL when out of memory. What is not known is null. The fields: docs/api.md.
 */
json_t *job_result_json(const struct job_result *r, struct journal *journal);

/*
 * One case: how it went, as the run of a job of its own. passed: 1, 0, -1 nothing was expected; why: in place of an empty
 * reason. The other is of a case that did not run. Owned; NULL when out of memory.
 */
json_t *job_result_case_json(const char *id, const struct job_result *r, struct journal *journal, int passed,
			     const char *why);
json_t *job_result_no_case_json(const char *id);

/*
 * The same of a job that has no result of a run: every field is there, and what only a run tells is null or empty. This
 * and the above are the only makers of results. Pure, on any thread.
 */
json_t *job_result_unrun_json(enum verdict_status status, const struct queue_unrun *u);
char *job_result_cancelled(const struct queue_unrun *u); /* as queue_cancelled_fn wants it */

/* How to write it, so that 14.2 is not 14.199999999999999: json_dumps(result, JOB_RESULT_DUMP). */
#define JOB_RESULT_DUMP (JSON_COMPACT | JSON_REAL_PRECISION(15))
