/* Inside of the job spec, between its files. Others include spec.h. Runs in: front. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/spec/spec.h"

struct json_reader;
struct runtime_limits;

/* Limits in the units of the request: ms, bytes, numbers, thousandths of a cpu. In the order of their table. */
enum job_limit {
	LIMIT_CPU,
	LIMIT_WALL,
	LIMIT_MEMORY,
	LIMIT_OUTPUT,
	LIMIT_DISK,
	LIMIT_PROCESSES,
	LIMIT_OPEN_FILES,
	LIMIT_CPUS,
	LIMIT_STACK,
	LIMIT_FILE,
	LIMITS,
};

struct limit_values {
	uint64_t of[LIMITS]; /* 0: not given */
};

/* A request on its way to a spec. */
struct spec_reader {
	struct job_spec *spec;
	const struct job_context *context;
	const json_t *runtime, *policy, *source, *main, *input; /* borrowed from the document */
	bool is_input_base64, is_privileged, is_one_policy, is_interactive, is_live, is_live_said;
	struct limit_values limits, compile_limits;
};

/* ---- spec_limits.c ---- */

/* An object of limits; each is held against its floor and its ceiling here, where its name is at hand. */
int spec_read_limits(struct json_reader *r, json_t *object, const struct job_context *context,
		     struct limit_values *ret);
/* Fill in what was not asked for. */
void spec_fill_limits(struct spec_reader *in, const struct runtime_def *def);
/* All of them, as spec_read_limits() reads them. NULL when out of memory. */
json_t *spec_limits_json(const struct job_limits *l);

/* ---- spec_files.c ---- */

int spec_read_files(struct json_reader *r, json_t *list, struct job_spec *s);
/* The one file of a request with `source`. */
int spec_set_source(struct json_reader *r, const json_t *source, const char *path, struct job_spec *s);
/* A relative path without control characters, empty, "." or ".." components. what: "path", for the words. */
int spec_check_path(struct json_reader *r, const json_t *value);
/* What a string stands for. ret: owned. */
int spec_read_content(struct json_reader *r, const json_t *value, bool is_base64, char **ret, size_t *ret_size);
/* "utf-8" or "base64"; target: bool *. */
int spec_read_encoding(struct json_reader *r, json_t *value, void *target);

/* ---- spec_callback.c ---- */

int spec_read_callback(struct json_reader *r, json_t *object, struct job_spec *s);

/* ---- words ---- */

int spec_refuse_as(struct json_reader *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int spec_keep(struct json_reader *r, const char *text, char **ret);
