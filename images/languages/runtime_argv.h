/*
 * Between the reader of definitions and what knows placeholders. Others include runtime_def.h.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct json_reader;
struct runtime_def;
struct runtime_stage;

/* What placeholders become. */
struct runtime_words {
	const char *file; /* the main one, as the program is to be called */
	const char *const
		*sources;        /* the main one and the others that are compiled with it, as paths; NULL: file alone */
	const char *const *args; /* NULL: none */
	uint64_t memory_mib, cpus; /* what the stage may have, cpus rounded up; 0: as if it were 256, and 1 */
};

/* Only placeholders that exist, where they mean something, and those that must be there. 0 or -EINVAL. */
int runtime_argv_check(struct json_reader *r, const struct runtime_def *def);

/* As runtime_argv(), for a job of several files. */
int runtime_argv_of(const struct runtime_stage *stage, const struct runtime_words *words, char ***ret,
		    struct error *err);

/* Is path one of those that {sources...} stands for, by its ending? */
bool runtime_is_source(const struct runtime_def *def, const char *path);

/* "NAME=value" of a stage's env with its sizes; other words in braces stay as they are. Owned; NULL: out of memory. */
char *runtime_env_of(const char *item, const struct runtime_words *words);

/* Does its env speak of sizes? */
bool runtime_is_sized(const struct runtime_stage *stage);
