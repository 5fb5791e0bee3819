/*
 * Inside of the callbacks, for their tests: other times than those callback.h promises. See callback.h.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdint.h>

struct callbacks;

struct callback_times {
	uint64_t first_ms, most_ms; /* of the backoff */
	uint64_t most_asked_ms;     /* at most this of a Retry-After is followed */
	unsigned tries;
};

/* Before anything is armed or due. */
void callbacks_set_times(struct callbacks *c, const struct callback_times *times);
