/*
 * What a job may name on this node: languages and policies. One struct, of front.c, which a reload changes in place; the
 * rooms borrow it for the life of the process and look there anew each time.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>

struct runtime_set;

struct catalog {
	const struct runtime_set *runtimes; /* old ones are kept: jobs may still point into them */
	json_t *policies; /* as the monitor tells, by name: policies.h; NULL before its first answer */
};
