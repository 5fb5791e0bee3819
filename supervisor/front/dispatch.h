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
#include <uv.h>

struct able;
struct auth;
struct caller;
struct catalog;
struct dispatch;
struct engine;
struct error;
struct job;
struct job_callbacks;
struct job_name;
struct job_spec;
struct lookup_env;
struct metrics;
struct monitor_adopt;
struct monitor_client;
struct node_state;
struct record_env;
struct sandbox_fds;
struct settings;
struct sources;
struct views;

/* What is needed of the node. Borrowed, and so is what it names, for the life of the process. */
struct dispatch_env {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct node_state *state;
	const struct sources *sources;
	struct catalog *catalog;
	struct auth *auth; /* NULL: closed already */
	struct able *able;
	struct engine *engine;
	struct views *views;
	struct metrics *metrics;
	struct monitor_client *monitor; /* told of sandboxes that nobody wants */
	const struct lookup_env *lookup;
	const struct record_env *record;
	struct job_callbacks *callbacks;
};

/* For the life of the process. Nothing is taken before state->is_ready and a dispatch_poke(). */
struct dispatch *dispatch_new(const struct dispatch_env *env);

/* ---- direct runs ---- */

struct direct; /* one run that somebody waits for */
/* json: the result; owned by the callback (free()). e: no result, ours. Not called after dispatch_abandon. */
typedef void direct_fn(const struct error *e, char *json, size_t size, void *arg);

/*
 * spec: owned from here on, also on failure. The owner's quota is taken.
 * It waits for its turn: dispatch_poke() when the caller is ready for the answer.
 * Returns 0, -EDQUOT (ret_retry_s filled), -EBUSY too many are waiting, -ESHUTDOWN draining.
 */
int dispatch_run(struct dispatch *p, const struct caller *caller, struct job_spec *spec, direct_fn *fn, void *arg,
		 struct direct **ret, unsigned *ret_retry_s, struct error *err);
/* The client went away: end it. */
void dispatch_abandon(struct direct *d);

/* ---- the queue ---- */

/* There may be work, or a slot. */
void dispatch_poke(struct dispatch *p);

/* A job that is over without a result of ours (cancelled while waiting, dead): give the quota back, tell the callback. */
void dispatch_settle(struct dispatch *p, const struct job_name *name);

/* End a leased job, if it runs here. Of Redis nodes tell each other its id alone. */
void dispatch_cancel(struct dispatch *p, const struct job_name *name, const char *reason);
void dispatch_cancel_redis(struct dispatch *p, const char *id, const char *reason);

/*
 * What an earlier front left: sandboxes the monitor offered, and leases in the database. done is called when all of it
 * is decided. fds are taken.
 */
void dispatch_offer(struct dispatch *p, const struct monitor_adopt *m, struct sandbox_fds *fds);
int dispatch_recover(struct dispatch *p, void (*done)(void *arg), void *arg, struct error *err);

/* SIGTERM: nothing new; done when nothing runs any more, at most settings.drain_ns later (the rest is given back). */
void dispatch_drain(struct dispatch *p, void (*done)(void *arg), void *arg);

struct dispatch_counts {
	size_t running, direct_waiting, recording;
	uint64_t started, recorded, returned, fenced, adopted;
};
void dispatch_counts(const struct dispatch *p, struct dispatch_counts *ret);
