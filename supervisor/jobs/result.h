/*
 * The result of a job as every native door shows it (API.md §1). Runs in: front. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/verdict.h"

struct journal;

/* Facts of one stage; UINT64_MAX: not known. */
struct stage_result {
	bool has_run;
	struct verdict verdict;
	uint64_t wall_ns, cpu_ns, user_ns, system_ns;
	uint64_t memory_peak_bytes, processes_peak, disk_bytes;
	bool is_cut[2];       /* stdout, stderr */
	uint64_t output_at[2]; /* where this stage's bytes begin in the journal's streams ... */
	uint64_t output_size[2];
	bool is_cached; /* compile: the artefact was there */
};

struct job_output {
	char *path;
	char *data; /* NULL: too large to be handed back */
	size_t size;
};

struct job_result {
	char id[65];
	struct stage_result run, compile;
	struct verdict verdict; /* of the whole: that of run, or compile_error, or what ended it before */
	struct job_output *outputs;
	size_t n_outputs;
	bool is_outputs_cut; /* more than fits */
	const char *runtime, *version, *policy, *policy_digest, *node; /* borrowed */
	unsigned attempt;
	uint64_t queued_ms, started_ms, finished_ms; /* since 1970; 0: never */
	bool was_pooled, was_prestarted;
};

void job_result_done(struct job_result *r);

/*
 * journal may be NULL (nothing ran). Owned; NULL when out of memory. What is not known is null.
 *
 * Beyond API.md: cpu_user_ms, cpu_system_ms, disk_bytes of each stage (DESIGN §3 has them in a verdict), stderr_truncated;
 * outputs_truncated, policy_digest, pooled, prestarted of the whole.
 */
json_t *job_result_json(const struct job_result *r, struct journal *journal);

/* How to write it, so that 14.2 is not 14.199999999999999: json_dumps(result, JOB_RESULT_DUMP). */
#define JOB_RESULT_DUMP (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* "2026-01-31T12:00:00.123Z" of milliseconds since 1970; ret at least 25 bytes. */
void time_text(uint64_t ms, char *ret, size_t bytes);
uint64_t time_now_ms(void); /* CLOCK_REALTIME */

/*
 * {"key": text} or, when it is not UTF-8 or has a NUL in it (which many readers of JSON refuse), base64 and
 * {"key_encoding": "base64"}. Returns 0 or -ENOMEM.
 */
int json_set_bytes(json_t *object, const char *key, const void *data, size_t size);
/* Strict base64 (standard alphabet, padding needed, no blanks). Owned and NUL-terminated; NULL with *ret_size untouched when it is not. */
char *base64_decode(const char *text, size_t size, size_t *ret_size);
/* Owned, NUL-terminated; NULL when out of memory. */
char *base64_encode(const void *data, size_t size, size_t *ret_size);
