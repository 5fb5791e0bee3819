/*
 * One language put to the test in real sandboxes: does its version command answer, does its hello compile and print
 * what it should, does an endless program end as time_limit and a greedy one as memory_limit.
 *
 * Runs in: the cubit command, as root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/languages/runtime_def.h"

struct error;
struct trial_host;

struct trial {
	char version[RUNTIME_VERSION_BYTES]; /* "" when the command failed */
	bool is_hello_ok;
	bool has_compile;
	uint64_t compile_ns, run_ns; /* of hello, from exec to end */
	bool is_time_held, is_memory_held;
	char problem[1024]; /* the first thing that went wrong; "" for none */
};

/* All held? */
static inline bool trial_is_ok(const struct trial *t)
{
	return t->version[0] && t->is_hello_ok && t->is_time_held && t->is_memory_held;
}

/*
 * The image's layers are open (trial_host_image). Returns 0 with ret filled, whatever came out, or -errno when a
 * sandbox could not be made or removed: the host's failure, not the language's.
 */
int trial_runtime(struct trial_host *h, const struct runtime_def *def, struct trial *ret, struct error *err);
