/* The states of a node that makes sandboxes, or cannot: see health.h. */
#include "supervisor/front/health.h"

#include <errno.h>
#include <stddef.h>

#include "runtime/base/clock.h"

#define LOW_BYTES (UINT64_C(32) << 20)
enum { LOW_PART = 16 };

/* ---- what happens ---- */

struct happening {
	uint64_t now_ns;
	const struct error *why;
};

typedef unsigned action_fn(struct health *h, const struct happening *e);

static void keep_reason(struct health *h, const struct happening *e)
{
	if (e->why)
		h->why = *e->why;
}

static unsigned be_well(struct health *h, const struct happening *e)
{
	(void)e;
	*h = (struct health){ .state = HEALTH_WELL };
	return HEALTH_CLEAR;
}

static unsigned doubt(struct health *h, const struct happening *e)
{
	h->state = HEALTH_DOUBT;
	h->in_row = 1;
	keep_reason(h, e);
	return HEALTH_PROBE;
}

static void be_unable(struct health *h, const struct happening *e)
{
	uint64_t ms = HEALTH_AGAIN_MIN_MS;

	for (unsigned i = 0; i < h->rounds && ms < HEALTH_AGAIN_MAX_MS; i++)
		ms *= 2;
	h->state = HEALTH_UNABLE;
	h->due_ns = e->now_ns + (ms < HEALTH_AGAIN_MAX_MS ? ms : HEALTH_AGAIN_MAX_MS) * NS_PER_MS;
	keep_reason(h, e);
}

static unsigned confirm(struct health *h, const struct happening *e)
{
	keep_reason(h, e);
	if (++h->in_row < HEALTH_FEW)
		return HEALTH_PROBE;
	h->rounds = 0;
	be_unable(h, e);
	return HEALTH_BLAME;
}

static unsigned probe(struct health *h, const struct happening *e)
{
	(void)e;
	h->state = HEALTH_PROBING;
	return HEALTH_PROBE;
}

static unsigned still_unable(struct health *h, const struct happening *e)
{
	h->rounds++;
	be_unable(h, e);
	return HEALTH_BLAME;
}

/* Who failed while we know it already is not to blame either. */
static unsigned blame(struct health *h, const struct happening *e)
{
	(void)h;
	(void)e;
	return HEALTH_BLAME;
}

/*
 * In doubt only the probe decides: a sandbox that is made then may have been begun before the host broke. Later any
 * that is made is as good as a probe.
 */
/* clang-format off */
static action_fn *const actions[HEALTH_STATES][HEALTH_EVENTS] = {
	[HEALTH_WELL]    = { [HEALTH_FAILED] = doubt },
	[HEALTH_DOUBT]   = { [HEALTH_PROBE_FAILED] = confirm, [HEALTH_PROBE_MADE] = be_well },
	[HEALTH_UNABLE]  = { [HEALTH_FAILED] = blame, [HEALTH_MADE] = be_well, [HEALTH_DUE] = probe },
	[HEALTH_PROBING] = { [HEALTH_FAILED] = blame, [HEALTH_MADE] = be_well, [HEALTH_PROBE_FAILED] = still_unable,
			     [HEALTH_PROBE_MADE] = be_well },
}; /* an empty cell: nothing to do */
/* clang-format on */

unsigned health_happen(struct health *h, enum health_event event, uint64_t now_ns, const struct error *why)
{
	const struct happening e = { .now_ns = now_ns, .why = why };
	action_fn *action = actions[h->state][event];

	return action ? action(h, &e) : 0;
}

const char *health_state_name(enum health_state state)
{
	static const char *const names[HEALTH_STATES] = { "well", "in doubt", "unable", "trying again" };

	return names[state];
}

/* ---- words ---- */

static const struct {
	int code;
	const char *word;
} kinds[] = {
	{ ENOMEDIUM, "image" },    { EPERM, "permission" },  { EACCES, "permission" }, { EROFS, "permission" },
	{ ENOSPC, "space" },       { EDQUOT, "space" },      { ENOMEM, "memory" },     { EMFILE, "descriptors" },
	{ ENFILE, "descriptors" }, { EUSERS, "namespaces" }, { EAGAIN, "limit" },      { EBUSY, "limit" },
	{ ERANGE, "limit" },       { EPIPE, "died" },        { ECHILD, "died" },       { ECONNRESET, "died" },
	{ ETIMEDOUT, "silent" },   { ENOENT, "missing" },
};

const char *health_kind(int code)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].code == code)
			return kinds[i].word;
	}
	return "other";
}

static uint64_t low_bytes(const struct health_room *room)
{
	uint64_t part = room->total_bytes / LOW_PART, low = part < LOW_BYTES ? part : LOW_BYTES,
		 bodies = 2 * room->largest_body, most = room->total_bytes / 4;

	if (bodies > most)
		bodies = most;
	return low > bodies ? low : bodies;
}

bool health_look_at_disk(struct health_disk *d, const struct health_room *room, uint64_t now_ns)
{
	unsigned factor = d->is_low ? 2 : 1;

	if (room->is_write_failing)
		d->full_until_ns = now_ns + HEALTH_FULL_MS * NS_PER_MS;
	d->is_low = now_ns < d->full_until_ns || room->free_bytes < factor * low_bytes(room) ||
		    (room->has_inodes && room->free_inodes < factor * (uint64_t)HEALTH_INODES_MIN);
	return d->is_low;
}
