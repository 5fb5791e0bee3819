/*
 * The profiles that travel inside the program, so that there is nothing to find at run time and nothing to swap.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct policy_builtin {
	const char *name;
	const char *summary; /* one line */
	bool is_admins;      /* for administrators only, and only where the node allows it */
	const char *text;    /* the JSON, up to and without `end` */
	const char *end;
};

/* By name; NULL when there is none. */
const struct policy_builtin *policy_builtin_find(const char *name);

/* In the order to list them; NULL past the last. The first is the default. */
const struct policy_builtin *policy_builtin_at(size_t i);

static inline size_t policy_builtin_size(const struct policy_builtin *builtin)
{
	return (size_t)(builtin->end - builtin->text);
}
