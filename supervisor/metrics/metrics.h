/*
 * What operators count and time, in the text format of Prometheus (version 0.0.4): one table of families, each a
 * counter, a gauge or a histogram with at most three labels.
 *
 * The label sets of a family are bounded, because some values come from requests: beyond a family's
 * bound, new ones are counted together in a series whose labels are all "other". Nothing here fails: for want of memory
 * a value is not counted.
 *
 * Runs in: front, on the loop. A call is a hash and a few comparisons.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#pragma once

#include <stdint.h>

struct buf;
struct error;
struct metrics;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Labels in the order of the comments. */
enum metric {
	METRIC_JOBS_TOTAL,    /* verdict, runtime */
	METRIC_JOBS_STATE,    /* state */
	METRIC_STAGE_SECONDS, /* stage: queue, sandbox, files, compile, run, total */
	METRIC_POOL,          /* class, state */
	METRIC_SANDBOXES,
	METRIC_SANDBOX_CREATES_TOTAL,
	METRIC_READY,
	METRIC_SANDBOX_FAILURES_TOTAL, /* reason: permission, space, memory, ... */
	METRIC_GIVEN_BACK_TOTAL,       /* reason: failed, stopped, node, image */
	METRIC_POLICY_DENIALS_TOTAL,   /* policy */
	METRIC_HTTP_REQUESTS_TOTAL,    /* route, method, status */
	METRIC_HTTP_SECONDS,           /* route */
	METRIC_CONNECTIONS,
	METRIC_WEBSOCKETS,
	METRIC_HTTP_BYTES_TOTAL, /* direction: in, out */
	METRIC_EVENTS_DROPPED_TOTAL,
	METRIC_AUTH_REFUSALS_TOTAL, /* reason */
	METRIC_QUEUE_JOBS,          /* state */
	METRIC_QUEUE_OLDEST_SECONDS,
	METRIC_QUEUE_SUBMITTED_TOTAL,
	METRIC_QUEUE_FINISHED_TOTAL,
	METRIC_QUEUE_RETURNED_TOTAL,
	METRIC_QUEUE_FENCED_TOTAL,
	METRIC_QUEUE_REPLAYED_TOTAL,
	METRIC_DB_COMMITS_TOTAL,
	METRIC_DB_COMMIT_SECONDS,
	METRIC_DB_WAITING,
	METRIC_DB_FAILURES_TOTAL,
	METRIC_REDIS_UP,
	METRIC_REDIS_JOBS_TOTAL, /* event: taken, claimed, finished, fenced, dead, duplicate */
	METRIC_REDIS_WAITING,
	METRIC_REDIS_CONNECTS_TOTAL,
	METRIC_REDIS_ERRORS_TOTAL,
	METRIC_CALLBACKS,       /* state: armed, waiting */
	METRIC_CALLBACKS_TOTAL, /* outcome: delivered, failed (a try), given_up */
	METRIC_FRONT_RESTARTS_TOTAL,
	METRIC_POLICY_REFUSALS_TOTAL,
	METRIC_RESIDENT_BYTES, /* these three are filled in here */
	METRIC_OPEN_FDS,
	METRIC_BUILD_INFO, /* version */
	METRICS,
};

/* Label values: as many as the family has. NULL for none. Borrowed; NULL among them is "". */
#define METRIC_LABELS(...) ((const char *const[]){ __VA_ARGS__ })
#define METRIC_PLAIN       ((const char *const *)0)

/* Owned: metrics_free(). */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* A counter goes up, or a gauge. */
void metrics_add(struct metrics *m, enum metric id, const char *const *labels, uint64_t n);
/* A gauge is; a counter that somebody else counts stands at. */
void metrics_set(struct metrics *m, enum metric id, const char *const *labels, double value);
/* A histogram: it took so long. */
void metrics_observe(struct metrics *m, enum metric id, const char *const *labels, uint64_t ns);
/* Forget all series of a family whose label values come and go; before setting those of now. */
void metrics_clear(struct metrics *m, enum metric id);

/* Called before each scrape, in the order of registering, at most 16: sets what is not kept up to date elsewhere. */
void metrics_on_scrape(struct metrics *m, void (*fn)(struct metrics *m, void *arg), void *arg);

/* The whole text, appended. Returns 0 or -ENOMEM, -ENOBUFS. */
int metrics_text(struct metrics *m, struct buf *out);
