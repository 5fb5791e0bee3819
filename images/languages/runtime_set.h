/*
 * All runtimes of this machine: those built in (images/runtimes/), and what the operator put beside or above them.
 * A definition replaces one of the same name from a weaker source. A bad file takes nothing else down: it is a problem,
 * in words, and the name it would have replaced is not usable either, so that nobody runs something else than he wrote.
 *
 * Runs in: front, cubit. Reads a few small files; blocks on them.
 */
#pragma once

#include <stddef.h>

struct error;
struct runtime_def;
struct runtime_set; /* opaque */

enum { RUNTIME_SET_MAX = 256 };

/*
 * dirs  NULL-terminated paths, weakest first; one that does not exist is empty. Files NAME.json, NAME being the `name`
 *       inside; other files are not looked at. Never a path from a request.
 * ret   owned: runtime_set_free().
 *
 * Returns 0 (also with problems, of which a directory that cannot be opened is one), or -errno: -ENOMEM; -E2BIG more than
 * RUNTIME_SET_MAX; a directory cannot be read.
 */
int runtime_set_load(const char *const *dirs, struct runtime_set **ret, struct error *err);
void runtime_set_free(struct runtime_set *s);

/* Sorted by name. NULL past the last. Borrowed, as everything below. */
const struct runtime_def *runtime_set_at(const struct runtime_set *s, size_t i);

/* By name, then by alias. NULL when there is none. */
const struct runtime_def *runtime_set_find(const struct runtime_set *s, const char *name);

/* What is wrong with definitions; NULL past the last. An alias that two names claim is one, and belongs to neither. */
const char *runtime_set_problem(const struct runtime_set *s, size_t i);

static inline void cleanup_runtime_set_(struct runtime_set **s)
{
	runtime_set_free(*s);
}
#define cleanup_runtime_set __attribute__((cleanup(cleanup_runtime_set_)))
