/*
 * Inside of the pool, between its files. Others include pool.h.
 *
 *   pool.c         claims, waits, classes, demand: who gets one, and how many stand ready
 *   pool_image.c   names of images to manifests, configurations, versions of runtimes
 *   pool_make.c    one sandbox from CREATE to ready, and its end
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "images/runtime_def.h"
#include "runtime/base/error.h"
#include "supervisor/jobs/pool.h"
#include "supervisor/settings.h"

struct agent_link;
struct fd_watch;
struct image_config;

enum {
	POOL_CLASSES_MAX = 64,
	POOL_STARTING_MAX = 8,      /* sandboxes in the making, for those who wait */
	POOL_STARTING_SPARE = 2,    /* ... and when nobody does */
	POOL_READY_S = 30,          /* a sandbox that is not ready by then is given up */
	POOL_IDLE_S = 300,          /* a class nobody asked for keeps nothing */
	POOL_IMAGE_FRESH_S = 5,     /* then its name is looked up again, beside the use of what is known */
	POOL_RETRY_MIN_MS = 250,    /* after a failure, doubled each time */
	POOL_RETRY_MAX_MS = 60000,
	POOL_PRESTART_TRIES = 3,    /* then the class goes without */
	POOL_KEY_BYTES = 512,
};

/* What a ready sandbox takes, before the first was measured, and the reserve beside what was. */
#define POOL_COST_PLAIN (UINT64_C(8) << 20)
#define POOL_COST_PRESTARTED (UINT64_C(48) << 20)
#define POOL_COST_RESERVE (UINT64_C(1) << 20)

/* The content of an image: kept as long as the pool, since others hold its environment. */
struct pool_manifest {
	struct pool_manifest *next;
	char manifest[MONITOR_DIGEST_BYTES];
	struct image_config *config;
};

/* A runtime in an image: its version. */
struct pool_version {
	struct pool_version *next;
	char runtime[RUNTIME_NAME_MAX + 1];
	const struct pool_manifest *manifest;
	char text[RUNTIME_VERSION_BYTES]; /* "" not known */
	bool is_asked;
	unsigned failures;
};

/* A name, and what it stands for now. */
struct pool_image {
	struct pool_image *next;
	struct pool *pool;
	char name[MONITOR_NAME_BYTES];
	const struct pool_manifest *now; /* NULL: not known */
	bool is_asked;
	uint64_t asked_ns, retry_ns;
	unsigned failures;
	struct error failure; /* of the last question */
};

/* Trying again later: doubled each time. */
uint64_t pool_backoff_ns(unsigned failures);

enum item_state {
	ITEM_CREATING, /* the monitor works */
	ITEM_STARTING, /* set-up, probe, prestart */
	ITEM_READY,
	ITEM_VERSION,  /* runs version_command */
};

enum item_purpose {
	ITEM_FOR_USE,
	ITEM_TO_MEASURE, /* finished when ready: its facts are what one costs */
	ITEM_TO_ASK,     /* finished when it has said its version */
};

struct pool_item {
	struct pool_item *next, **prev;
	struct pool_class *class;
	enum item_state state;
	enum item_purpose purpose;
	struct ready_sandbox s;
	bool is_plain;    /* made for somebody who waits: an interpreter that starts twice would keep him longer */
	bool is_dropped;  /* CREATING, and not wanted any more */
	bool is_up;       /* READY came */
	bool is_probed;   /* the probe's report came and is good */
	bool is_waiting;  /* prestart: its byte came */
	uint32_t report_seq, process_seq;
	struct fd_watch *out[2]; /* prestart: stdout; version_command: both */
	struct buf *said;        /* version_command */
	struct pool_version *version;
	uint64_t deadline_ns;
};

struct pool_wait {
	struct pool_wait *next, **prev;
	struct pool *pool;
	struct pool_class *class; /* NULL: its image is being looked up */
	struct sandbox_class wanted;
	pool_ready_fn *fn;
	void *arg;
};

struct pool_class {
	struct pool_class *next;
	struct pool *pool;
	char key[POOL_KEY_BYTES]; /* the fingerprint */
	const struct runtime_def *runtime;
	const struct pool_manifest *manifest;
	struct pool_version *version;
	struct sandbox_class what;
	char policy_digest[MONITOR_DIGEST_BYTES]; /* of the latest; another one: the policy has changed */
	bool is_old;     /* flushed: nothing is added; freed when nobody holds it */
	bool is_default; /* of a runtime */
	bool is_plain;   /* prestart was given up */
	struct pool_item *items;
	struct pool_wait *waits, **waits_end;
	unsigned n_ready, n_starting, n_spare; /* starting for use; those of them nobody waits for: not known, counted by pool_want */
	unsigned n_claimed;
	unsigned at_once[2]; /* the most claimed at once: this minute, the one before */
	uint64_t used_ns;
	uint64_t cost_bytes; /* 0: not measured */
	bool is_measuring;
	uint64_t hits, misses, made, failed;
	unsigned failures, prestart_failures;
	uint64_t retry_ns;
};

struct pool {
	uv_loop_t *loop;
	struct monitor_client *monitor;
	const struct settings *settings;
	const struct runtime_set *runtimes;
	struct pool_class *classes;
	struct pool_image *images;
	struct pool_manifest *manifests;
	struct pool_version *versions;
	struct pool_wait *waits; /* for an image */
	uv_timer_t *refill, *tick;
	bool is_drained, is_freed;
	uint64_t minute_ns;
	unsigned n_pending; /* questions to the monitor whose answers hold pointers of ours */
	unsigned n_asking;  /* version_commands at work */
	char prefix[24];
	uint64_t n_ids;
};

/* ---- pool.c ---- */

/* One of n_pending has come. The last one frees a pool that is_freed. */
void pool_answered(struct pool *p);

/* Make what is wanted now. */
void pool_pump(struct pool *p);
void pool_pump_later(struct pool *p, uint64_t ms);
/* A sandbox is ready for use: somebody waits, or it stands there. */
void pool_item_ready(struct pool_item *item);
void pool_class_failed(struct pool_class *class, const struct error *e);
void pool_image_known(struct pool_image *image, const struct error *e);
struct pool_class *pool_class_find(struct pool *p, const struct sandbox_class *wanted,
				   const struct pool_manifest *manifest);

/* ---- pool_image.c ---- */

struct pool_image *pool_image_find(struct pool *p, const char *name); /* made when missing; NULL: out of memory */
/* Ask the monitor, unless that is going on or is too early. */
void pool_image_ask(struct pool_image *image);
struct pool_version *pool_version_find(struct pool *p, const struct runtime_def *runtime,
				       const struct pool_manifest *manifest);
void pool_images_free(struct pool *p);

/* ---- pool_make.c ---- */

/* is_plain: no waiting interpreter, whatever the class */
int pool_make(struct pool_class *class, enum item_purpose purpose, bool is_plain, struct error *err);
/* Take it out of its class, with or without an end of the sandbox. */
void pool_item_finish(struct pool_item *item);
void pool_item_free(struct pool_item *item);
void pool_items_check(struct pool *p, uint64_t now_ns); /* deadlines */
