/*
 * Runtimes: how programs of one language are compiled and run. One JSON file each, as in images/runtimes/;
 * this is its form, and struct runtime_def what it becomes. How to add one: images/README.md.
 *
 *   name             needed; a-z 0-9 - _ . as parse_id(); the file is NAME.json
 *   title            what people call it
 *   aliases          other names a request may use; a-z 0-9 - _ . + #
 *   image            needed; a reference as in `cubit image`: where the language is installed
 *   file             needed; the source file's name in the working directory, /work
 *   sources          endings (".c") of the files that are compiled together with the main one
 *   version_command  needed; argv whose output holds the version
 *   compile          a stage before the run: {argv, env, limits}; absent for interpreters
 *   run              needed; the stage that is judged: {argv, env, limits}
 *   prestart         {argv, env}: a process of the warm pool, started before there is a program
 *   live             {env}: what the run gets as well when its output is wanted as it is printed, not when a buffer is full
 *   test             needed; programs for `cubit runtime test`: {hello, stdout, endless, hog}: a source, what it
 * prints, a source that never ends, one that takes memory until it is stopped
 *
 * An argv is a list of strings, never a line for a shell. In those of compile and run are replaced, with nothing quoted
 * and nothing split:
 *
 *   {file}     the source file
 *   {stem}     the same without its ending
 *   {sources...}  the source file, then every other file of the request with an ending of `sources`; an element of its
 *              own, only in compile
 *   {out}      RUNTIME_OUT, a file or directory the compiler makes; only with a compile stage
 *   {args...}  the arguments of the request, an element of its own; only in run
 *   {memory_mib}, {heap_mib}, {soft_mib}, {eighth_mib}, {cpus}  what the stage may have: mebibytes; five eighths of those, nine
 *              tenths, one eighth; processors rounded up. For what sizes itself by the machine. In every env as well. An interpreter that waits has the memory of a job that
 *              does not say: when the env of prestart speaks of it, jobs with another limit start cold
 *
 * limits: wall_ms, cpu_ms, processes, open_files: numbers; memory, disk, output, stack, file_size: numbers of bytes, or
 * texts such as "256M"; cpus: a number, or a text such as "1.5". What is not there is the job's default. The disk belongs to the
 * sandbox, which both stages share: the larger one counts.
 *
 * Strict: an unknown field, a wrong kind, a value out of bounds are refused with the place: "my.json: run.argv[2]:
 * ...". Pure; runs anywhere. Definitions come from the operator, never from a request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define RUNTIME_OUT "./program"

enum {
	RUNTIME_TEXT_MAX = 256 << 10, /* one definition */
	RUNTIME_ARGV_MAX = 64,
	RUNTIME_ENV_MAX = 64,
	RUNTIME_ALIASES_MAX = 32,
	RUNTIME_SOURCES_MAX = 16,
	RUNTIME_NAME_MAX = 32,
	RUNTIME_VERSION_BYTES = 64,
};

/* 0: not given. */
struct runtime_limits {
	uint64_t wall_ms, cpu_ms;
	uint64_t memory_bytes, disk_bytes, output_bytes, stack_bytes, file_bytes;
	uint64_t processes, open_files;
	uint64_t cpus_milli;
};

struct runtime_stage {
	char **argv; /* NULL-terminated, placeholders as written; NULL: there is no such stage */
	char **env;  /* NULL-terminated "NAME=value"; may be NULL */
	struct runtime_limits limits;
};

struct runtime_test {
	char *hello, *stdout_text, *endless, *hog;
};

struct runtime_def {
	char *origin; /* where it was read: what messages call it */
	char *text;   /* the definition as written, NUL-terminated */
	char *name, *title;
	char **aliases; /* NULL-terminated; may be NULL */
	char *image;    /* the reference in full, as the store names it */
	char *file;
	char **sources; /* NULL-terminated endings; may be NULL */
	char **version_command;
	struct runtime_stage compile, run, prestart;
	struct runtime_stage live; /* env alone */
	struct runtime_test test;
};

/*
 * ret  owned: runtime_def_free(). Untouched on failure.
 * Returns 0, or -errno with err "ORIGIN: PLACE: REASON": -EINVAL; -E2BIG more than RUNTIME_TEXT_MAX; -ENOMEM.
 */
int runtime_def_parse(const char *text, size_t size, const char *origin, struct runtime_def **ret, struct error *err);
void runtime_def_free(struct runtime_def *def);

static inline void cleanup_runtime_def_(struct runtime_def **def)
{
	runtime_def_free(*def);
}
#define cleanup_runtime_def __attribute__((cleanup(cleanup_runtime_def_)))

/*
 * The argv of a stage with everything replaced. args: NULL-terminated, or NULL for none.
 * ret  owned: runtime_argv_free(). Returns 0 or -ENOMEM.
 */
int runtime_argv(const struct runtime_def *def, const struct runtime_stage *stage, const char *const *args, char ***ret,
		 struct error *err);
void runtime_argv_free(char **argv);

/*
 * The version in what a version_command printed: the first digits with a point between them ("3.11.2" of
 * "Python 3.11.2"), otherwise the beginning of the first line.
 */
void runtime_version_find(const char *output, char ret[RUNTIME_VERSION_BYTES]);
