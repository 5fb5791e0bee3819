/*
 * What owners use: jobs at this moment, and cpu time and bytes of the present UTC day. Pure; runs anywhere. Kept across
 * restarts by store.h, a few at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/auth/auth.h"

struct error;

struct usage {
	char owner[65];
	uint64_t jobs_now;
	uint64_t day; /* since 1970; the three below are of that day */
	uint64_t jobs, cpu_ms, bytes;
	bool is_dirty; /* differs from what the database has */
};

/* Sorted by owner. */
struct usage_table {
	struct usage **all;
	size_t n, room;
};

void usage_table_done(struct usage_table *t);
/* As it stands today; made when there is none. Borrowed. */
struct usage *usage_get(struct usage_table *t, const char *owner, uint64_t day);
/* Drop who has nothing at work, and nothing of this day or to be written. */
void usage_forget(struct usage_table *t, uint64_t day);
/* NULL: nothing was used. */
const struct usage *usage_find(const struct usage_table *t, const char *owner);

/* May this owner start one more job? Returns 0, or -EDQUOT with err "jobs: 5 of 5 ..." and ret_retry_s filled. */
int usage_check(const struct usage *u, const struct auth_quota *quota, uint64_t now_ms, unsigned *ret_retry_s,
		struct error *err);

static inline uint64_t usage_day(uint64_t ms)
{
	return ms / 86400000;
}
