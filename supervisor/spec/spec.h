/*
 * What is to be run: the body of POST /v1/run and /v1/jobs (docs/api.md), checked in full before anything is started or
 * queued, so that what was accepted can be run. Plain data; pure; input is hostile.
 *
 *   runtime        needed; name or alias of a language
 *   source         text of the main file; or
 *   files          [{path, content, encoding: "utf-8"|"base64", mode: "0644"|"0755"}]: relative paths below /work. The
 *                  main file is the one named as the runtime's `file`, otherwise the first
 *   args, stdin, stdin_encoding ("base64"), env {NAME: value}
 *   policy         name; "default"
 *   network        "none"
 *   limits, compile_limits  {cpu_ms, wall_ms, memory, processes, output, disk, open_files, cpus}: numbers; memory, output,
 *                  disk also texts as "64M"; cpus a number such as 0.5
 *                  Each on its own: request, else runtime definition, else settings (lowered to the ceilings). cpu_ms
 *                  without a word on it is as long as wall_ms
 *   outputs        globs below /work (*, ?, [..], **; glob.h): files handed back with the result
 *   cases          [{id, stdin, stdin_encoding, args, files, expected, expected_encoding, limits}]: the program is compiled
 *                  once and run for each of them, from a clean state (jobs/cases.c). What a case does not say is the
 *                  job's; its files are there beside the job's, for the run alone. id: "1", "2" ... where none is given
 *   checker        how output is held against `expected`: "lines" unless said otherwise (jobs/checker.h); tolerance: of
 *                  "numbers"
 *   stop_at_first_failure  true: no case after one that did not pass
 *   interactive    true: standard input stays open for POST/WS stdin; tty: {cols, rows}: a terminal instead of pipes
 *   only queued:   priority (-100..100), delay_ms, callback {url, secret}, retention_ms: how long what came of it is kept,
 *                  at most settings.retention_ns
 *
 * Unknown fields are refused, a field that is null is as if it were not there. A limit above its ceiling is refused by
 * name. 0 is not "none". NUL is in no text; source, files and stdin may have it through base64.
 *
 * Runs in: front.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct runtime_def;
struct runtime_set;
struct settings;

enum {
	JOB_FILES_MAX = 256,
	JOB_PATH_MAX = 512,
	JOB_ARGS_MAX = 256,
	JOB_ENV_MAX = 128,
	JOB_OUTPUTS_MAX = 32,
	JOB_ARGV_BYTES = 64 << 10, /* args and env together: one message of the agent protocol */
	JOB_CALLBACK_MAX = 2048,
	JOB_CASES_MAX = 1000,
	JOB_CASE_ID_MAX = 64,
};

struct job_file {
	char *path; /* relative, normalised, no "..", no control characters; UTF-8 */
	char *data; /* owned; size bytes and a NUL */
	size_t size;
	uint32_t mode; /* 0644, or 0755 when asked for */
};

/* All filled, times in whole milliseconds. */
struct job_limits {
	uint64_t cpu_ns, wall_ns;
	uint64_t memory_bytes, output_bytes, disk_bytes;
	uint64_t stack_bytes; /* as large as the memory, unless somebody said otherwise */
	uint64_t file_bytes;  /* 0: none but the disk's */
	uint32_t processes, open_files, cpus_milli;
};

/* How what a program printed is held against what is expected: jobs/checker.h. */
enum job_checker { CHECK_LINES, CHECK_EXACT, CHECK_TOKENS, CHECK_NUMBERS, JOB_CHECKERS };
const char *job_checker_name(enum job_checker checker);

/* One run of several of the same program. */
struct job_case {
	char *id;
	char *input; /* NULL: the job's, or none when has_input */
	size_t input_size;
	bool has_input;
	char **args; /* NULL: the job's */
	struct job_file *files;
	size_t n_files;
	char *expected; /* NULL: nothing is expected */
	size_t expected_size;
	struct job_limits limits; /* all filled */
};

#define JOB_COMPILE_POLICY "default" /* of compilers, whatever their program has */

struct job_spec {
	char *runtime; /* canonical name */
	struct job_file *files;
	size_t n_files, main_file;
	size_t n_case_files;  /* of a case: so many of the last ones are not compiled */
	bool is_compile_only; /* to be compiled and kept, not run */
	char **args;          /* NULL-terminated */
	char **env;           /* "NAME=value", sorted, NULL-terminated */
	char *input;          /* stdin; NULL none, or an empty one */
	size_t input_size;
	char *policy;
	bool is_privileged; /* the policy is for administrators, and one of them named it */
	bool is_one_policy; /* the compiler has it too: who asked may not use JOB_COMPILE_POLICY */
	struct job_limits limits, compile_limits;
	char **outputs; /* NULL-terminated */
	struct job_case *cases;
	size_t n_cases; /* 0: the job is one run */
	enum job_checker checker;
	double tolerance; /* of CHECK_NUMBERS */
	bool stops_at_failure;
	bool is_interactive, has_tty;
	bool is_live; /* output is wanted as it is printed: the runtime's "live" environment */
	uint16_t cols, rows;
	int priority;
	uint64_t delay_ms;
	uint64_t retention_ms;                /* 0: as long as the node keeps results */
	char *callback_url, *callback_secret; /* NULL none; the secret is in job_spec_text(), and nowhere else */
};

/* The most that whoever asks may have of a limit, besides the ceilings of the node; 0: what the node gives. */
struct job_ceilings {
	uint64_t wall_ns, memory_bytes, processes, output_bytes, disk_bytes;
};

struct job_context {
	const struct settings *settings;
	const struct job_ceilings *of_key; /* of the key that asks; NULL: none */
	const struct runtime_set *runtimes;
	bool (*has_policy)(const char *name, void *arg); /* NULL: built-in names only */
	const char *(*policy_error)(const char *name,
				    void *arg); /* why one that is there cannot be used; NULL: it can */
	void *arg;
	bool is_queued;       /* priority, delay_ms, retention_ms and callback are allowed */
	bool is_watched;      /* somebody may look on: live, unless the request says otherwise */
	bool is_admin;        /* who asks may name what is for administrators */
	bool is_stored;       /* a text of job_spec_text() that we kept ourselves: what was granted then holds */
	const char *policies; /* those that this door may name, separated by blanks; NULL: any */
};

/*
 * text     the body; its size was held against settings.max_body where it came in (a canonical text may be some KiB longer)
 * field    where to write the name of the offending field ("limits.memory"), "" when it is the whole; may be NULL
 * ret      owned: job_spec_free(). Untouched on failure.
 * Returns 0 or -EINVAL (a sentence), -ENOENT unknown runtime (names those there are), -ERANGE above a ceiling, -E2BIG, -ENOMEM.
 * err says "limits.memory: 2147483648 is above ...", or "the request: ..." when it is the whole; it and field are UTF-8
 * without control characters.
 */
int job_spec_parse(const char *text, size_t size, const struct job_context *context, struct job_spec **ret,
		   char field[160], struct error *err);
void job_spec_free(struct job_spec *s);

/*
 * One case of a spec as a spec of its own, without callback and without what is only for a queue; number below n_cases.
 * job_spec_of_compile(): nothing but what is compiled. Owned.
 */
struct job_spec *job_spec_of_case(const struct job_spec *s, size_t number);
struct job_spec *job_spec_of_compile(const struct job_spec *s);

/*
 * The spec as JSON that job_spec_parse() reads back to the same (with is_queued), canonical: same spec, same bytes. All
 * limits are written out, so that a queued job keeps what was accepted. Owned text; NULL when out of memory. It has
 * callback.secret in it, and whether an administrator named its policy: not for people's eyes.
 */
char *job_spec_text(const struct job_spec *s, size_t *ret_size);

/* SHA-256 of a request for idempotency: of the canonical text. "" when out of memory. */
void job_spec_fingerprint(const struct job_spec *s, char ret[65]);

/*
 * argv and environment of a stage as the process gets them. is_compile: which stage of def. {file} is the main file.
 * image_env: NULL-terminated "NAME=value" of the image, may be NULL. Later wins: common (PATH, LANG, HOME; TERM with a
 * terminal), image, runtime stage, the runtime's "live" when the run is live, request, in both stages. Owned: job_list_free().
 * Returns 0, -ENOMEM, or -EINVAL when def has no compile stage.
 */
int job_argv(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char ***ret, struct error *err);
int job_environment(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char *const *image_env,
		    char ***ret, struct error *err);
void job_list_free(char **list);

/* Does a path below /work match one of the globs? `**` crosses directories; hidden files only when they are named. */
bool job_output_matches(const struct job_spec *s, const char *path);
