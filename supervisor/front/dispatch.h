/*
 * Which job runs when. Slots (settings.slots) are shared by direct runs, which wait in memory for a client that waits
 * too, and by the durable queue; the two take turns when both have work, and so do the owners of direct runs
 * (supervisor/share.h). Renews leases, records results, gives back
 * what failed through our fault.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caller;
struct error;
struct front;
struct job;
struct job_name;
struct job_spec;
struct monitor_adopt;
struct sandbox_fds;

int dispatch_new(struct front *f, struct error *err); /* sets f->dispatch, for the life of the process */

/* ---- direct runs ---- */

struct direct; /* one run that somebody waits for */
/* json: the result; owned by the callback (free()). e: no result, ours. Not called after dispatch_abandon. */
typedef void direct_fn(const struct error *e, char *json, size_t size, void *arg);

/*
 * spec: owned from here on, also on failure. The owner's quota is taken.
 * It waits for its turn: dispatch_poke() when the caller is ready for the answer.
 * Returns 0, -EDQUOT (ret_retry_s filled), -EBUSY too many are waiting, -ESHUTDOWN draining.
 */
int dispatch_run(struct front *f, const struct caller *caller, struct job_spec *spec, direct_fn *fn, void *arg,
		 struct direct **ret, unsigned *ret_retry_s, struct error *err);
/* The client went away: end it. */
void dispatch_abandon(struct direct *d);

/* ---- the queue ---- */

/* There may be work, or a slot. */
void dispatch_poke(struct front *f);

/* A job that is over without a result of ours (cancelled while waiting, dead): give the quota back, tell the callback. */
void dispatch_settle(struct front *f, const struct job_name *name);

/* End a leased job, if it runs here. Of Redis nodes tell each other its id alone. */
void dispatch_cancel(struct front *f, const struct job_name *name, const char *reason);
void dispatch_cancel_redis(struct front *f, const char *id, const char *reason);

/*
 * What an earlier front left: sandboxes the monitor offered, and leases in the database. done is called when all of it
 * is decided. fds are taken.
 */
void dispatch_offer(struct front *f, const struct monitor_adopt *m, struct sandbox_fds *fds);
int dispatch_recover(struct front *f, void (*done)(struct front *f), struct error *err);

/* SIGTERM: nothing new; done when nothing runs any more, at most settings.drain_ns later (the rest is given back). */
void dispatch_drain(struct front *f, void (*done)(struct front *f));

struct dispatch_counts {
	size_t running, direct_waiting, recording;
	uint64_t started, recorded, returned, fenced, adopted;
};
void dispatch_counts(const struct front *f, struct dispatch_counts *ret);
