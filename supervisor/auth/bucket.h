/*
 * A token bucket in one number: the moment at which it will be full again. Taking one moves that moment on by the time
 * that one takes to come back; what would move it further away than the bucket is deep is refused. Whole numbers only,
 * nothing to refill. (GCRA, ITU-T I.371 annex A.) Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/clock.h"

struct bucket {
	uint64_t full_at_ns; /* CLOCK_MONOTONIC; 0: full */
};

struct bucket_rate {
	uint64_t interval_ns; /* until one comes back; at most an hour */
	uint64_t depth;       /* 1 to 10 million */
};

struct bucket_left {
	uint64_t remaining;
	uint64_t reset_s; /* until it is full, rounded up */
	uint64_t retry_s; /* refused: until there is one again, rounded up, at least 1 */
};

static inline struct bucket_rate bucket_rate(uint64_t per_s, uint64_t depth)
{
	uint64_t interval = NS_PER_S / (per_s ? per_s : 1);

	return (struct bucket_rate){ .interval_ns = interval ? interval : 1, .depth = depth ? depth : 1 };
}

static inline uint64_t bucket_seconds(uint64_t ns)
{
	return (ns + NS_PER_S - 1) / NS_PER_S;
}

/* How long it takes to fill, seen from now. A bucket that a higher rate left too empty counts as just empty. */
static inline uint64_t bucket_missing_ns(const struct bucket *b, const struct bucket_rate *r, uint64_t now_ns)
{
	uint64_t most = r->interval_ns * r->depth, missing = b->full_at_ns > now_ns ? b->full_at_ns - now_ns : 0;

	return missing < most ? missing : most;
}

static inline bool bucket_has(const struct bucket *b, const struct bucket_rate *r, uint64_t now_ns)
{
	return bucket_missing_ns(b, r, now_ns) <= r->interval_ns * (r->depth - 1);
}

/* Take one. false: there is none. ret may be NULL. */
static inline bool bucket_take(struct bucket *b, const struct bucket_rate *r, uint64_t now_ns, struct bucket_left *ret)
{
	uint64_t missing = bucket_missing_ns(b, r, now_ns), most = r->interval_ns * r->depth;
	bool is_taken = missing <= most - r->interval_ns;

	if (is_taken)
		missing += r->interval_ns;
	b->full_at_ns = now_ns + missing;
	if (!ret)
		return is_taken;
	ret->remaining = (most - missing) / r->interval_ns;
	ret->reset_s = bucket_seconds(missing);
	ret->retry_s = is_taken ? 0 : bucket_seconds(missing + r->interval_ns - most);
	return is_taken;
}
