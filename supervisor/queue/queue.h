/*
 * The durable queue of jobs and their results. Same semantics for every backend: at-least-once delivery, a lease with
 * the attempt number as its fence, exactly one recorded result an id, retry with backoff, dead letters with a reason,
 * idempotency key, priority within an owner, delay, owners in turn and each with a share of the room, bounded.
 *
 *   waiting -> leased -> done            (queue_finish: result recorded)
 *      ^  |      |-----> waiting again   (queue_return, a lease that ran out: attempt counted, not before a backoff)
 *      |  |      |-----> dead            (attempts used up; queue_bury: malformed)
 *      |  `------+-----> cancelled       (queue_cancel; of a leased one when its run ends)
 *      `---- queue_replay ---- dead
 *
 * Callbacks come on the loop, once, after the change is durable and in the order of the calls; e is NULL when it went
 * well. What is handed to a callback is borrowed for its duration, and what is handed to a call for the call. A call
 * returns 0, or -EAGAIN when the database is behind (then no callback). Besides the errors named below
 * every callback may get ENOSPC (the disk is full), EIO and ENOMEM.
 *
 * Sweep, every few seconds, by a timer of its own: leases that ran out are given back, and results past retention are
 * removed in small slices, earlier where the job asked for it; dead letters are kept 7 times as long. What is kept beyond max_kept_bytes goes earlier: the
 * oldest of the owner who has the most of it. An idempotency key lives as long as its job.
 *
 * Clocks: rows carry the wall clock. A lease of this living process is judged by the monotonic clock instead, so that a
 * jump of the wall clock ends no run. After a forward jump nothing is removed for one retention time.
 *
 * Runs in: front.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct db;
struct error;
struct queue;

enum {
	QUEUE_ID_BYTES = 65,
	QUEUE_OWNER_BYTES = 65,
	QUEUE_KEY_BYTES = 129,
	QUEUE_NODE_BYTES = 65,
	QUEUE_REASON_BYTES = 256,
	QUEUE_STATUS_BYTES = 33,
};

/*
 * Whose names an id belongs to: ids are unique within one of these, and nowhere else. In the embedded queue, where
 * direct runs are as well, each id is one of ours; in Redis it is what a producer chose.
 */
enum queue_space { SPACE_HERE, SPACE_REDIS };

/* Which job, beyond doubt. Whoever deals with one for longer than a call holds this, never an id alone. */
struct job_name {
	enum queue_space space;
	char owner[QUEUE_OWNER_BYTES], id[QUEUE_ID_BYTES];
};
/* Too long a text names no job. */
struct job_name job_name_make(enum queue_space space, const char *owner, const char *id);
bool job_name_equal(const struct job_name *a, const struct job_name *b);

enum queue_state { QUEUE_WAITING, QUEUE_LEASED, QUEUE_DONE, QUEUE_DEAD, QUEUE_CANCELLED, QUEUE_STATES };
const char *queue_state_name(enum queue_state state); /* "waiting" "running" "done" "dead" "cancelled" */

/*
 * A job that ended and has no result of a run: what is known of it. Texts are borrowed; spec NULL: not known here. The
 * maker of its result (jobs/result.h) is above this room, so it is given with the options.
 */
struct queue_unrun {
	const char *id, *node, *reason;
	const char *spec;
	size_t spec_size;
	unsigned attempt; /* as people are told */
	uint64_t queued_ms, finished_ms;
};
/* The result of a cancelled one as JSON; to be freed; NULL: out of memory. Runs on the database thread. */
typedef char *queue_cancelled_fn(const struct queue_unrun *u);

struct queue_options {
	char node[QUEUE_NODE_BYTES];
	uint64_t max_waiting, attempts, lease_ns, retention_ns;
	uint64_t max_kept_bytes; /* of what has ended; above, the oldest of who has most of it goes. 0: any */
	uint64_t backoff_ns;     /* of the first retry; doubled each time, at most 5 min; 0: 1 s */
	uint64_t lack_ns;        /* how long a job may be given back as QUEUE_LACKING; 0: 10 min */
	queue_cancelled_fn *cancelled;
};

/* A job as it waits: spec is the request, validated, as canonical JSON. Times: milliseconds since 1970, UTC. */
struct queue_job {
	char id[QUEUE_ID_BYTES];
	char owner[QUEUE_OWNER_BYTES];
	char key[QUEUE_KEY_BYTES]; /* Idempotency-Key of that owner; "" none */
	char fingerprint[65];      /* of the request: the same key with another request is refused */
	int priority;              /* -100..100, of one owner the higher first */
	bool is_root;              /* of a submission: it may use what is kept for root (supervisor/share.h) */
	uint64_t queued_ms, not_before_ms;
	uint64_t
		retention_ms; /* of a submission: its result is kept that long, if less than retention_ns; 0: that long */
	unsigned attempt;     /* number of the lease, its fence: only ever grows; 0 while it never ran */
	unsigned failures;    /* attempts that count against the bound: not those given back free, not those before a
			      replay */
	unsigned unstarted;   /* leases in which nothing of it ran: attempt - unstarted is what people are told */
	bool is_ending;       /* leased, and cancelled meanwhile: end the run, finish it with status "cancelled" */
	enum queue_state state;
	char reason[QUEUE_REASON_BYTES]; /* dead, returned: why */
	char last_node[QUEUE_NODE_BYTES];
	uint64_t finished_ms;
	char status[QUEUE_STATUS_BYTES]; /* verdict of the result; "" without one */
	const char *spec;
	size_t spec_size;
	const struct queue_letter *letter; /* of a dead one that is kept as it came; NULL: as a job */
};

/* A dead letter: what came, whether or not it could be read. Borrowed as the job is. */
struct queue_letter {
	const char *entry, *source; /* what it is called among letters; where it came from */
	const void *payload;        /* its first bytes */
	size_t payload_size;
	uint64_t payload_bytes; /* of all of it */
};

/*
 * db       borrowed; outlives the queue
 * options  copied
 * Returns 0, or -errno: -EINVAL options; what the database said. Blocks (it reads the counts): start-up only.
 */
int queue_open(struct db *db, const struct queue_options *options, struct queue **ret, struct error *err);

/* Before db_close(). No further calls; what was posted is still done and answered by the callbacks given with it. */
void queue_free(struct queue *q);

/*
 * Told on the loop when queue_take may have work: something was submitted, returned, replayed, a delay or a backoff
 * passed; and once after this call. However many of them there are in one round of the loop, fn is called once.
 */
void queue_on_work(struct queue *q, void (*fn)(void *arg), void *arg);

enum queue_submitted { QUEUE_ACCEPTED, QUEUE_DUPLICATE /* same key, same request: id is the first one's */ };
typedef void queue_submit_fn(const struct error *e, enum queue_submitted how, const char *id, void *arg);
/*
 * Of job are read: id, owner, key, fingerprint, priority, queued_ms, not_before_ms, retention_ms, is_root, spec.
 * Errors: ENOBUFS the queue is full, or the owner's share of it (supervisor/share.h), or that of delayed jobs, which
 * may fill a quarter of it; EEXIST same key with another request, or the id is taken.
 */
int queue_submit(struct queue *q, const struct queue_job *job, queue_submit_fn *fn, void *arg);

/*
 * Lease up to n jobs that are due. Owners take turns: the one with the fewest running, then the one that was served
 * the longest ago. Of one owner the highest priority goes first, then the oldest. Fewer or none when there are none.
 */
typedef void queue_take_fn(const struct error *e, const struct queue_job *jobs, size_t n, void *arg);
int queue_take(struct queue *q, size_t n, queue_take_fn *fn, void *arg);

/*
 * Renew a lease, well before options.lease_ns have passed. ESTALE: it is not ours any more, end that run. Also how a
 * lease of an earlier life is adopted.
 */
typedef void queue_done_fn(const struct error *e, void *arg);
typedef void queue_extend_fn(const struct error *e, const char *id, unsigned attempt, void *arg); /* e: ESTALE lost */
int queue_extend(struct queue *q, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg);

/*
 * Record the one result. Errors: ESTALE another attempt owns the job or it has a result already (nothing recorded).
 * result: JSON as docs/api.md has it; journal blobs as journal.h makes them (may be empty).
 */
struct queue_result {
	const char *id;
	unsigned attempt;   /* 0 with `direct` */
	const char *status; /* verdict; "cancelled" makes the state QUEUE_CANCELLED */
	const char *json;
	size_t json_size;
	const void *journal;
	size_t journal_size;
	bool is_direct;     /* a run that was never queued (POST /v1/run): makes the row */
	const char *owner;  /* direct */
	const char *spec;   /* direct: canonical JSON, for GET */
	uint64_t queued_ms; /* direct */
};
int queue_finish(struct queue *q, const struct queue_result *r, queue_done_fn *fn, void *arg);

/*
 * Give a leased job back. Dead when its attempts are used up, cancelled when somebody asked for that meanwhile. ESTALE as
 * above.
 */
enum queue_give {
	QUEUE_FAILED,    /* a failure of ours: counts the attempt, not before a backoff */
	QUEUE_FREE,      /* it ran, and that it ended is nobody's fault (drain): at once */
	QUEUE_UNSTARTED, /* nothing of it ran, through the node's fault: at once, as if it had not been taken */
	QUEUE_LACKING,   /* the same, because this node has not what it needs (the image): not to this node again for a
			    while; dead when it has been so for lack_ns */
};
int queue_return(struct queue *q, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		 queue_done_fn *fn, void *arg);

/* To the dead letters at once: a leased job that can never run (malformed). ESTALE as above. */
int queue_bury(struct queue *q, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg);

/*
 * All leases of this node, without specs. For the start after a front that died: adopt what still runs by
 * queue_extend(), give the rest back by queue_return(); what is forgotten runs out and is given back by the sweep.
 */
typedef void queue_recover_fn(const struct error *e, const struct queue_job *jobs, size_t n, void *arg);
int queue_leased(struct queue *q, queue_recover_fn *fn, void *arg);

/*
 * A waiting job is cancelled at once and gets a result that says so (the fields of docs/api.md, nothing of a run). Of a
 * leased one was_leased is true and the caller ends the run; that it must not run again is recorded. ENOENT; EALREADY
 * it has ended.
 */
typedef void queue_cancel_fn(const struct error *e, bool was_leased, void *arg);
int queue_cancel(struct queue *q, const char *id, const char *owner, queue_cancel_fn *fn,
		 void *arg); /* owner NULL: any */

/* ---- looking ---- */

struct queue_record {
	struct queue_job job;
	enum queue_space space;
	const char *result; /* JSON; NULL: none yet */
	size_t result_size;
	const void *journal;
	size_t journal_size;
};
typedef void queue_get_fn(const struct error *e, const struct queue_record *r, void *arg); /* ENOENT */
int queue_get(struct queue *q, const char *id, bool with_journal, queue_get_fn *fn, void *arg);
/* By the key that this owner gave it; nobody else's is ever found. */
int queue_get_key(struct queue *q, const char *owner, const char *key, queue_get_fn *fn, void *arg);

struct queue_filter {
	const char *owner;  /* NULL: all */
	int state;          /* enum queue_state, -1: all */
	const char *cursor; /* from the last list; NULL or "": the newest */
	size_t limit;       /* 1..200 */
};
/* Newest first; without specs and results. next: cursor of the next page, "" at the end. EINVAL: a bad cursor. */
typedef void queue_list_fn(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg);
int queue_list(struct queue *q, const struct queue_filter *f, queue_list_fn *fn, void *arg);

/* Dead letters: state QUEUE_DEAD of queue_list. Replay: waiting again, all attempts anew. ENOENT; ENOBUFS. */
int queue_replay(struct queue *q, const char *id, const char *owner, queue_done_fn *fn, void *arg);
int queue_dead_delete(struct queue *q, const char *id, const char *owner, queue_done_fn *fn, void *arg);

struct queue_counts {
	uint64_t waiting, leased, done, dead, cancelled; /* rows now; kept up to date without asking the database */
	uint64_t submitted, finished, returned, fenced, replayed; /* ever, of this process */
	uint64_t oldest_waiting_ms; /* how long the oldest one that is due has been; as of the last sweep */
};
void queue_counts(const struct queue *q, struct queue_counts *ret);
