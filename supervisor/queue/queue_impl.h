/*
 * What the parts of the queue share: queue.c (life, counts, timers), submit.c, take.c, finish.c, look.c, sweep.c,
 * load.c (what owners hold, and turns) and row.c (the rules on the rows that more than one of them needs).
 *
 * Each call is one struct that begins with `struct op`: filled on the loop, worked on by the database thread, read on
 * the loop again when it is durable. Nothing of struct queue is touched on the thread but its options, which never
 * change. So there is no lock.
 *
 * Runs in: front, on the loop and on the database thread.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"

struct queue {
	struct db *db;
	struct queue_options options;
	struct queue_counts counts;
	uint64_t submitting; /* places that posted calls may take */
	uint64_t oldest_ms;  /* since when the oldest due one is due; 0: none */
	void *leases;        /* tsearch(3) tree of struct lease: of this living process */
	struct sweep *sweep; /* sweep.c */
	void (*on_work)(void *arg);
	void *on_work_arg;
	uv_timer_t wake_timer, due_timer;
	uint64_t due_ms; /* wall clock: when due_timer goes off; UINT64_MAX never */
	size_t n_refs;   /* open handles, posted ops, and the owner */
	bool is_freed;
};

/* The wall clock in milliseconds. Tests turn it. */
extern uint64_t (*queue_wall_ms)(void);

/* ---- queue.c: one call ---- */

struct op {
	struct queue *q;
	uint64_t now_ms; /* when it was posted */
	/* what the work did; counted when it is durable */
	int64_t delta[QUEUE_STATES];
	uint64_t due_ms; /* the earliest not_before of what it put off; UINT64_MAX nothing */
	bool has_work;   /* something became ready */
};

/* size of the whole struct, zeroed. */
void *op_new(struct queue *q, size_t size);
/* Hand it to the database. On failure (-EAGAIN) it is still the caller's: op_free(). */
int op_post(struct op *op, db_work *work, db_done *done);
int op_post_later(struct op *op, db_work *work, db_done *done); /* db_post_later() */
int op_read(struct op *op, db_work *work, db_done *done);
/* First thing in a db_done: take over the counts when e is NULL. */
void op_end(struct op *op, const struct error *e);
/* Last thing in a db_done. */
void op_free(struct op *op);

/* A row went from one state to another; QUEUE_STATES: none. */
static inline void op_moved(struct op *op, enum queue_state from, enum queue_state to)
{
	if (from < QUEUE_STATES)
		op->delta[from]--;
	if (to < QUEUE_STATES)
		op->delta[to]++;
}

void queue_release(struct queue *q); /* one reference less */
void queue_wake(struct queue *q);    /* on_work, soon */
void queue_note_due(struct queue *q, uint64_t due_ms);
void queue_rearm(struct queue *q); /* the wall clock may have been set: how long is it to due_ms now? */

/* ---- queue.c: leases of this living process ---- */

struct lease {
	char id[QUEUE_ID_BYTES];
	unsigned attempt;
	uint64_t deadline_ns; /* monotonic */
};

void queue_hold(struct queue *q, const char *id, unsigned attempt, uint64_t deadline_ns);
void queue_let_go(struct queue *q, const char *id, unsigned attempt);
const struct lease *queue_held(struct queue *q, const char *id, unsigned attempt);

/* ---- row.c: on the thread ---- */

/* The columns that row_read() wants, in its order; add ", spec.json" for with_spec. */
#define ROW_COLUMNS                                                                                                    \
	"job.id, job.owner, job.key, job.fingerprint, job.state, job.is_ending, job.priority, job.attempt, "           \
	"job.failures, job.queued_ms, job.not_before_ms, job.finished_ms, job.node, job.status, job.reason, "          \
	"job.unstarted"
enum { ROW_N_COLUMNS = 16 };

/* What a transition has to know. */
struct row {
	int64_t seq;
	char owner[QUEUE_OWNER_BYTES];
	int priority;
	enum queue_state state;
	bool is_ready, is_ending;
	unsigned attempt, failures, unstarted;
	uint64_t queued_ms, lacked_ms;
};

/* ENOENT; owner NULL: anybody's. */
int row_find(sqlite3 *sql, const char *id, const char *owner, struct row *ret, struct error *err);
/* The same of a lease: ESTALE when it is not leased with that attempt. */
int row_find_leased(sqlite3 *sql, const char *id, unsigned attempt, struct row *ret, struct error *err);

/* Fill a job from a row of ROW_COLUMNS. with_spec: the blob in the column after them, copied; free((void *)spec). */
int row_read(sqlite3_stmt *st, bool with_spec, struct queue_job *ret, struct error *err);

/* A growing array of jobs. */
struct jobs {
	struct queue_job *list;
	size_t n, room;
};
struct queue_job *jobs_add(struct jobs *jobs); /* zeroed */
void jobs_done(struct jobs *jobs);

/* A leased row is given back: waiting, dead or cancelled, as its attempts and its cancellation say. */
int row_give_back(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason,
		  enum queue_give how, struct error *err);
/* Waiting or leased to cancelled, with the result that says so. */
int row_cancel(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason,
	       struct error *err);
int row_bury(sqlite3 *sql, struct op *op, const struct row *row, unsigned failures, const char *reason,
	     struct error *err);

/* ---- load.c: on the thread, what owners hold and whose turn it is ---- */

/* What asks for a place. */
struct load_asks {
	const char *owner;
	uint64_t used; /* places of the queue that were taken when it came, those in flight as well */
	bool is_root, is_delayed;
};
/* 0; ENOBUFS: there is none for it, and err says whether it is the queue or the owner's share that is full. */
int load_room(sqlite3 *sql, const struct queue_options *options, const struct load_asks *asks, struct error *err);
/* The job that goes next. 1: *ret_seq is it; 0: nothing is due. That its owner had a turn is noted when it is leased. */
int load_next(sqlite3 *sql, int64_t *ret_seq, struct error *err);

/* ---- sweep.c ---- */

void sweep_start(struct queue *q);
void sweep_tick(struct queue *q); /* its timer goes off */
void sweep_stop(struct queue *q); /* its reference goes when the timer is closed */
