/*
 * Inside of the pool, between its files. Others include pool.h.
 *
 *   pool.c         the life of the pool, the passing of time, what is told of it
 *   pool_claim.c   claims, and those who wait: who gets one
 *   pool_demand.c  how many stand ready
 *   pool_class.c   what makes one as good as another
 *   pool_image.c   names of images to manifests, configurations, versions of runtimes
 *   item_life.c    the life of one sandbox as a table
 *   pool_make.c    one sandbox from CREATE to ready, and its end: what the table says
 *   pool_process.c our processes in it: the waiting interpreter, the question for a version
 *   pool_prove.c   what became of them, and one more to see whether it can be done
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/error.h"
#include "supervisor/pool/item_life.h"
#include "supervisor/pool/pool.h"
#include "supervisor/settings.h"

struct agent_event;
struct agent_exited;
struct agent_link;
struct created;
struct fd_watch;
struct image_config;

enum {
	POOL_CLASSES_MAX = 64,
	POOL_STARTING_MAX = 8,   /* sandboxes in the making, for those who wait */
	POOL_STARTING_SPARE = 2, /* ... and when nobody does */
	POOL_READY_S = 30,       /* a sandbox that is not ready by then is given up */
	POOL_IDLE_S = 300,       /* a class nobody asked for keeps nothing */
	POOL_IMAGE_FRESH_S = 5,  /* then its name is looked up again, beside the use of what is known */
	POOL_IMAGE_ABSENT_S = 5, /* one that is not there is looked for again after that at the latest */
	POOL_RETRY_MIN_MS = 250, /* after a failure, doubled each time */
	POOL_RETRY_MAX_MS = 60000,
	POOL_PRESTART_TRIES = 3, /* then the class goes without */
	POOL_KEY_BYTES = 512,
	POOL_REFILL_AFTER_CLAIM_MS = 10, /* unless the claimed sandbox ends before */
	POOL_REFILL_AFTER_END_MS = 1,
};

/* What a ready sandbox takes, before the first was measured, and the reserve beside what was. */
#define POOL_COST_PLAIN      (UINT64_C(8) << 20)
#define POOL_COST_PRESTARTED (UINT64_C(48) << 20)
#define POOL_COST_RESERVE    (UINT64_C(1) << 20)

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

enum item_purpose {
	ITEM_FOR_USE,
	ITEM_TO_MEASURE, /* finished when ready: its facts are what one costs */
	ITEM_TO_ASK,     /* finished when it has said its version */
	ITEM_TO_PROVE,   /* finished when ready: that it can be done */
};

struct pool_item {
	struct pool_item *next, **prev;
	struct pool_class *class;
	enum item_state state;
	enum item_purpose purpose;
	struct ready_sandbox s;
	bool is_plain;   /* made for somebody who waits: an interpreter that starts twice would keep him longer */
	bool is_counted; /* among those that could be made */
	bool is_up;      /* READY came: it comes once */
	uint32_t report_seq, process_seq;
	struct fd_watch *out[2]; /* prestart: stdout; version_command: both */
	struct buf *said;        /* version_command */
	struct pool_version *version;
	uint64_t deadline_ns;
	/* what has just come, while item_event() is at work */
	const struct created *created;
	struct agent_event *said_event;
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
	/* of the latest; another one: the policy has changed */
	char policy_digest[MONITOR_DIGEST_BYTES], compile_policy_digest[MONITOR_DIGEST_BYTES];
	bool is_old;     /* flushed: nothing is added; freed when nobody holds it */
	bool is_default; /* of a runtime */
	bool is_plain;   /* prestart was given up */
	struct pool_item *items;
	struct pool_wait *waits, **waits_end;
	unsigned n_ready, n_parked, n_starting;
	unsigned n_claimed;
	unsigned at_once[2];        /* the most claimed at once: this minute, the one before */
	uint64_t used_ns, ended_ns; /* asked for; one that was claimed ended: the latest of each */
	uint64_t cost_bytes;        /* 0: not measured */
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
	pool_outcome_fn *outcome, *proved; /* proved: a proof is being made */
	void *outcome_arg, *proved_arg;
	char proof_image[MONITOR_NAME_BYTES],
		bad_image[MONITOR_NAME_BYTES]; /* of the latest proof; of the latest that failed */
};

/* ---- pool.c ---- */

/* One of n_pending has come. The last one frees a pool that is_freed. */
void pool_answered(struct pool *p);

/* ---- pool_class.c ---- */

/* Made when missing; NULL: out of memory. */
struct pool_class *pool_class_find(struct pool *p, const struct sandbox_class *wanted,
				   const struct pool_manifest *manifest);
void pool_classes_forget(struct pool *p);    /* old ones that nobody holds */
void pool_item_drop(struct pool_item *item); /* not wanted any more; a proof says by itself what became of it */

/* Interpreters wait in it, when there is time for that. */
static inline bool pool_class_prestarts(const struct pool_class *c)
{
	return c->what.may_prestart && !c->is_plain;
}

static inline bool item_is_claimable(const struct pool_item *item)
{
	return item->state == ITEM_READY || item->state == ITEM_PARKED;
}

/* ---- pool_demand.c ---- */

/* Nobody has claimed one just now, nor has one just ended: time to start an interpreter. */
bool pool_class_is_quiet(const struct pool_class *class, uint64_t now_ns);

/* Make what is wanted now. */
void pool_pump(struct pool *p);
void pool_pump_later(struct pool *p, uint64_t ms);
/* Those who wait come first. Returns how many wait for something that is not in the making yet. */
unsigned pool_pump_waits(struct pool *p);
void pool_shrink(struct pool *p, uint64_t now_ns);
void pool_measure(struct pool *p, uint64_t now_ns);
void pool_class_demand(struct pool_class *class);          /* one more was asked for */
unsigned pool_class_waits(const struct pool_class *class); /* how many wait */
uint64_t pool_class_cost(const struct pool_class *class);  /* of one */
uint64_t pool_cost(const struct pool *p);                  /* of all that stand ready or will */

/* ---- pool_claim.c ---- */

/* A sandbox is ready for use: somebody waits, or it stands there. */
void pool_item_ready(struct pool_item *item);
/* One was not made ready. is_sandbox: it was the sandbox and no launcher in it, without which those who wait can do. */
void pool_class_failed(struct pool_class *class, const struct error *e, bool is_sandbox);
void pool_image_known(struct pool_image *image, const struct error *e);

/* ---- pool_prove.c ---- */

/* Somebody's sandbox was made, or (e) was not before it was ready. */
void pool_outcome(struct pool *p, const struct error *e);
/* The image of this class is not what it was: look it up again. */
void pool_image_lost(struct pool_class *class);
/* Why its image cannot be used, with its name and what to do: ENOMEDIUM. */
void pool_image_words(const struct runtime_def *runtime, const struct error *e, struct error *ret);
void pool_proof_over(struct pool *p, const struct error *e);

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
/* Not wanted any more: it ends. pool_item_free(): it is taken out of its class, and the sandbox lives. */
void pool_item_finish(struct pool_item *item);
void pool_item_free(struct pool_item *item);
void pool_item_warm(struct pool_item *item);                        /* one that is parked: start its interpreter */
void pool_item_fail(struct pool_item *item, const struct error *e); /* end it, and tell those whom it concerns */
void pool_item_fail_text(struct pool_item *item, int code, const char *text);
void pool_items_check(struct pool *p, uint64_t now_ns); /* deadlines */
/* For what the table says. e: of a fault, or why it was not made. item may be gone after each of them. */
void pool_item_event(struct pool_item *item, enum item_event event, const struct error *e);
void pool_item_end(struct pool_item *item);
void pool_item_fail_now(struct pool_item *item, const struct error *e);

/* ---- pool_process.c ---- */

void pool_process_launch(struct pool_item *item);                      /* the interpreter that is to wait */
void pool_process_ask(struct pool_item *item);                         /* version_command */
void pool_process_take(struct pool_item *item, struct agent_event *e); /* STARTED: its descriptors */
void pool_process_answer(struct pool_item *item, const struct agent_exited *exited); /* of version_command */
void pool_process_lost(struct pool_item *item);                                      /* the interpreter ended */
