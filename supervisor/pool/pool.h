/*
 * Sandboxes that stand ready. Keyed by a fingerprint of every input that makes a sandbox what it is (image digest, policy,
 * network, limits): a claim is exactly what was asked for or it is made anew. A used sandbox is never used again.
 *
 * Sizes follow demand: each class keeps as many as were claimed at once lately, at least one for classes used within
 * the last minutes, within settings.pool_per_class and, all together, settings.pool_memory (counted as what a ready
 * sandbox really takes, measured, plus a reserve). The class of each runtime's defaults is made at start.
 *
 * A runtime may define `prestart`: a process started in the pooled sandbox before there is a program (see prestart.h).
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/protocol/monitor_client.h"

struct agent_link;
struct error;
struct fd_watch;
struct pool;
struct pool_class;
struct runtime_def;
struct runtime_set;
struct settings;

/* Everything a sandbox is made from. */
struct sandbox_class {
	const struct runtime_def *
		runtime; /* which image; prestart. Of a set that outlives the pool's use, pool_flush() before it goes */
	char policy[65];
	char compile_policy[65]; /* of its compiler; "": it has none, or the same */
	enum monitor_network network;
	uint64_t memory_bytes, disk_bytes;
	uint32_t processes, cpus_milli;
	bool may_prestart; /* this job could use a prestarted interpreter */
};

/*
 * A sandbox somebody may use, once. Owned by the claimer: ready_sandbox_done() after monitor_finish_sandbox. It has said
 * what the kernel says of a process in it (AGENT_REPORT): filter, no_new_privs, no capability, identity.
 */
struct ready_sandbox {
	char id[MONITOR_ID_BYTES];
	struct agent_link
		*link; /* the agent's socket, fds.sock is -1: hand it over (agent_link.h), or take it and leave NULL */
	struct sandbox_fds fds;
	char policy_digest[MONITOR_DIGEST_BYTES];
	char compile_policy_digest[MONITOR_DIGEST_BYTES]; /* "": no other */
	char manifest[MONITOR_DIGEST_BYTES];
	char **image_env; /* of the image's configuration; NULL-terminated; owned by the pool's image table, valid as long as the pool */
	const char *
		version; /* of the runtime in this image; "" when not known (yet): look again at the end; valid as long as the pool */
	bool was_pooled;
	bool is_prestarted;
	uint32_t prestart_seq;
	int prestart_fds[3];      /* stdin, stdout, stderr of the waiting interpreter; taken by the claimer */
	uint64_t ready_ns;        /* when it said READY */
	struct pool_class *class; /* the pool's: who has claimed how many */
};
void ready_sandbox_done(struct ready_sandbox *s);

struct pool *pool_new(uv_loop_t *loop, struct monitor_client *monitor, const struct settings *settings,
		      const struct runtime_set *runtimes);
void pool_free(struct pool *p);

/*
 * A sandbox of this class: at once from the pool (the callback comes before pool_take returns: the fast path), or made.
 * The callback comes once. e: ENOMEDIUM the image is not in the store, or cannot be used (the text says how to get it);
 * anything else: a sandbox could not be made.
 * Owned by the callback's side when e is NULL. Returns a handle for pool_forget (NULL: the callback has been called).
 */
typedef void pool_ready_fn(const struct error *e, struct ready_sandbox *s, void *arg);
struct pool_wait;
struct pool_wait *pool_take(struct pool *p, const struct sandbox_class *class, pool_ready_fn *fn, void *arg);
void pool_forget(struct pool_wait *w); /* not wanted any more: no callback */

/*
 * The class of a runtime's defaults: what stands ready. memory, processes, cpus of any job fit it, because STAGE sets them
 * before its program runs; policy, network and disk are those of the sandbox's life.
 */
void pool_class_of(const struct pool *p, const struct runtime_def *runtime, struct sandbox_class *ret);

/* The version of a runtime as its image says; "" when not known: its image is missing, or was not asked yet. Valid as long as the pool. */
const char *pool_runtime_version(struct pool *p, const struct runtime_def *runtime);
/* Is the image of this runtime in the store, as far as we know? It is looked for every few seconds. */
enum pool_image_state { POOL_IMAGE_UNKNOWN, POOL_IMAGE_THERE, POOL_IMAGE_MISSING };
enum pool_image_state pool_runtime_image(const struct pool *p, const struct runtime_def *runtime);
/* All that are defined were looked for, and not one is there. */
bool pool_has_no_image(const struct pool *p);

/*
 * Told of each sandbox that was made or could not be made before it was ready (e), whoever wanted it; not of those for
 * want of their image, and not of proofs. It comes before the waiting are told. NULL: nobody.
 */
typedef void pool_outcome_fn(const struct error *e, void *arg);
void pool_on_outcome(struct pool *p, pool_outcome_fn *fn, void *arg);

/*
 * Make one sandbox of a language's defaults and end it again, to see whether it can be done: the language that it could be
 * done with the last time; after a failure one with another image, where there is one. fn once, from the loop. Returns 0,
 * -EBUSY one is being made, -ENOMEDIUM there is no image, or what pool_make() says.
 */
int pool_prove(struct pool *p, pool_outcome_fn *fn, void *arg, struct error *err);

/*
 * A sandbox that an earlier front had ready (its tag starts with 'p'). True when it was one: it is finished, never used, for
 * that front may have died between a claim and saying so.
 */
bool pool_adopt(struct pool *p, const struct monitor_adopt *m, struct sandbox_fds *fds);
/* The monitor says one has ended. True when it was ours. */
bool pool_stopped(struct pool *p, const char *id);

/* Policies, images or runtimes changed: everything ready is finished, then made anew from `runtimes`. */
void pool_flush(struct pool *p, const struct runtime_set *runtimes);
void pool_drain(struct pool *p); /* finish all, make none */

json_t *pool_json(const struct pool *p); /* GET /v1/pool: classes with ready, starting, claimed, hits, misses, bytes */
struct pool_counts { /* ready: with its interpreter, where the class has one; starting: what is to become so */
	uint64_t ready, starting, hits, misses, made, failed;
};
void pool_counts(const struct pool *p, struct pool_counts *ret);
