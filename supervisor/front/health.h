/*
 * Can this node make sandboxes, and has it room? Pure: events and the time come in, what to do comes out.
 *
 * A sandbox that fails before it is ready says little: the host may be unable, or what was asked for may be. So another
 * one is made to compare, of a language's defaults that has nothing of any job: the probe. When the probe is made, the
 * failure was that of the one who asked. When it fails as well, and another of another language too, the node is
 * unable: it takes no work, and makes a probe from time to time until one succeeds.
 *
 *   WELL     takes work
 *   DOUBT    something failed, a probe is on its way; takes nothing for these milliseconds
 *   UNABLE   takes nothing; the next probe is due later, each time twice as late
 *   PROBING  takes nothing, the probe is on its way
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/error.h"

enum health_state { HEALTH_WELL, HEALTH_DOUBT, HEALTH_UNABLE, HEALTH_PROBING, HEALTH_STATES };

enum health_event {
	HEALTH_FAILED, /* a sandbox that somebody wanted was not made */
	HEALTH_MADE,   /* it was */
	HEALTH_PROBE_FAILED,
	HEALTH_PROBE_MADE,
	HEALTH_DUE, /* due_ns has come */
	HEALTH_EVENTS,
};

/* What the caller has to do then; OR of these. */
enum {
	HEALTH_PROBE = 1, /* make a probe, and say what became of it */
	HEALTH_CLEAR = 2, /* the node is able: what failed meanwhile failed by itself */
	HEALTH_BLAME = 4, /* the node is unable: what failed meanwhile is not to blame */
};

enum {
	HEALTH_FEW = 3, /* failures in a row, the first one and those of probes, until the node is unable */
	HEALTH_AGAIN_MIN_MS = 500,
	HEALTH_AGAIN_MAX_MS = 15000,
};

struct health { /* zero: well */
	enum health_state state;
	unsigned in_row;  /* DOUBT: failures */
	unsigned rounds;  /* UNABLE: probes that failed since */
	uint64_t due_ns;  /* UNABLE: when the next probe is due */
	struct error why; /* of the latest failure that counted */
};

const char *health_state_name(enum health_state state);

/* why: of the failures; otherwise NULL. Returns what to do. */
unsigned health_happen(struct health *h, enum health_event event, uint64_t now_ns, const struct error *why);

static inline bool health_takes_work(const struct health *h)
{
	return h->state == HEALTH_WELL;
}

/* Unable: not just in doubt. */
static inline bool health_is_unable(const struct health *h)
{
	return h->state == HEALTH_UNABLE || h->state == HEALTH_PROBING;
}

/* An errno of a failure as a label for counting: "permission", "space", "memory", ... Static memory. */
const char *health_kind(int code);

/*
 * Is a file system too full to take work? Below 32 MiB or a sixteenth of it, but never less than two of the largest
 * bodies, as far as a quarter of it allows: what was accepted needs room for itself and its results. And below so many
 * inodes. It stays full until there is twice as much again, and until no write failed for want of room for a while: a
 * file system at its end gives a little and takes it back.
 */
enum { HEALTH_INODES_MIN = 128, HEALTH_FULL_MS = 5000 };

struct health_room {
	uint64_t free_bytes, total_bytes, largest_body;
	bool has_inodes; /* their number is bounded */
	uint64_t free_inodes;
	bool is_write_failing; /* the last one did */
};

struct health_disk { /* zero: there is room */
	bool is_low;
	uint64_t full_until_ns;
};

/* Returns is_low. */
bool health_look_at_disk(struct health_disk *d, const struct health_room *room, uint64_t now_ns);
