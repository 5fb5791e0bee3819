/* Inside of the job spec, between its files. Others include spec.h. Runs in: front. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/json_table.h"
#include "supervisor/spec/spec.h"

struct runtime_def;
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
	json_t *cases;                                          /* the same */
	bool is_checker_said, is_tolerance_said;
	bool is_input_base64, is_privileged, is_one_policy, is_interactive, is_live, is_live_said;
	struct limit_values limits, compile_limits;
};

static inline struct spec_reader *spec_reader_of(struct json_reader *r)
{
	return r->owner;
}

/* ---- spec.c: for rows of tables, and of the job and its cases alike ---- */

int spec_read_value(struct json_reader *r, json_t *value, void *target);      /* const json_t **: looked at later */
int spec_read_limits_row(struct json_reader *r, json_t *value, void *target); /* struct limit_values * */
int spec_read_args(struct json_reader *r, json_t *list, char ***ret);
/* Arguments with the variables of the request: are they few enough? place: for the words. */
int spec_check_words(struct json_reader *r, char *const *args, const char *place);
uint64_t spec_bytes_of_files(const struct job_file *files, size_t n);

/* ---- spec_limits.c ---- */

/* An object of limits; each is held against its floor and its ceiling here, where its name is at hand. */
int spec_read_limits(struct json_reader *r, json_t *object, const struct job_context *context,
		     struct limit_values *ret);
/* Fill in what was not asked for. */
void spec_fill_limits(struct spec_reader *in, const struct runtime_def *def);
/* The same for one case: what it says itself, else what the request does. */
void spec_fill_case_limits(const struct spec_reader *in, const struct runtime_def *def, const struct limit_values *own,
			   struct job_limits *ret);
/* All of them, as spec_read_limits() reads them. NULL when out of memory. */
json_t *spec_limits_json(const struct job_limits *l);
bool spec_limits_equal(const struct job_limits *a, const struct job_limits *b);

/* ---- spec_files.c ---- */

/* Where files go: files owned, allocated by the reading; n counts them. No path may collide with one of others. */
struct spec_file_list {
	struct job_file **files;
	size_t *n;
	const struct job_file *others;
	size_t n_others;
};
int spec_read_files(struct json_reader *r, json_t *list, const struct spec_file_list *to);
/* The one file of a request with `source`. */
int spec_set_source(struct json_reader *r, const json_t *source, const char *path, struct job_spec *s);
/* A relative path without control characters, empty, "." or ".." components. what: "path", for the words. */
int spec_check_path(struct json_reader *r, const json_t *value);
/* What a string stands for. ret: owned. */
int spec_read_content(struct json_reader *r, const json_t *value, bool is_base64, char **ret, size_t *ret_size);
/* "utf-8" or "base64"; target: bool *. */
int spec_read_encoding(struct json_reader *r, json_t *value, void *target);

/* ---- spec_cases.c ---- */

/* "exact" "lines" "tokens" "numbers", and how far numbers may be apart; targets are the spec's. */
int spec_read_checker(struct json_reader *r, json_t *value, void *target);
int spec_read_tolerance(struct json_reader *r, json_t *value, void *target);
/* in->cases into the spec, whose files, arguments and limits are there. */
int spec_settle_cases(struct json_reader *r, const struct runtime_def *def);
/* Into the object of a canonical text. 0 or -ENOMEM. */
int spec_set_cases(json_t *o, const struct job_spec *s);

/* ---- spec_text.c ---- */

/* Takes the value. 0 or -ENOMEM, and so does the next. */
int spec_set(json_t *o, const char *key, json_t *value);
/* A content in the shorter of both forms. */
int spec_set_content(json_t *o, const char *key, const char *encoding_key, const char *data, size_t size);
json_t *spec_files_json(const struct job_file *files, size_t n);
json_t *spec_strings_json(char *const *strings);

/* ---- spec_free.c ---- */

void spec_files_free(struct job_file *files, size_t n);
void spec_cases_free(struct job_spec *s);

/* ---- spec_callback.c ---- */

int spec_read_callback(struct json_reader *r, json_t *object, struct job_spec *s);

/* ---- words ---- */

int spec_refuse_as(struct json_reader *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int spec_keep(const char *text, char **ret);
