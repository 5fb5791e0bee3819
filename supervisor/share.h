/*
 * How a budget is shared. One rule for everything that somebody can use up for others: connections, direct runs that
 * wait, waiting and delayed jobs. An owner is whose key it is; before anybody has signed in, a peer address.
 *
 *   part     An owner may hold SHARE_FACTOR times what is still free, not more. Alone that is three quarters of the
 *            budget; of two that both want as much as they can get, each has three sevenths; of n, 3/(3n+1). So
 *            whoever comes next always finds some room, and nobody needs to know how many there will be.
 *   reserve  A sixteenth that only root on the unix socket (or its jobs) may use, so that a node that is full can
 *            still be looked at and mended.
 *   turn     Of owners that wait for the same thing the one goes first that was served the longest ago.
 *
 * Pure; no allocation; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SHARE_FACTOR = 3, SHARE_RESERVE = 16, SHARE_SLOTS = 2048 };

/* What is kept of `total` for root: a sixteenth, rounded down, so that small budgets have none. */
uint64_t share_reserve(uint64_t total);

/* How much one owner may hold while `used` of `total` are in use by all together. Root: as long as there is any. */
uint64_t share_part(uint64_t total, uint64_t used, bool is_root);

/* May an owner that holds `mine` have one more? */
static inline bool share_allows(uint64_t total, uint64_t used, uint64_t mine, bool is_root)
{
	return mine < share_part(total, used, is_root);
}

/*
 * When owners were served last. Owners whose names fall into one slot share a turn, which costs them a little and
 * needs no bookkeeping; which ones do depends on seed. All zero is a good start.
 */
struct share_turns {
	uint32_t seed;
	uint64_t n;
	uint64_t served[SHARE_SLOTS];
};
/* The smaller, the longer ago; 0: not yet. */
uint64_t share_turn(const struct share_turns *t, const char *owner);
void share_serve(struct share_turns *t, const char *owner);
