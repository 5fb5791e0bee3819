/* Life, counts, timers and leases in memory of the queue: see queue.h and queue_impl.h. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/queue/queue_impl.h"

enum { PROMOTE_SLICE = 500, RETRY_MS = 1000 };

uint64_t (*queue_wall_ms)(void) = time_now_ms;

const char *queue_state_name(enum queue_state state)
{
	static const char *const names[QUEUE_STATES] = {
		[QUEUE_WAITING] = "waiting", [QUEUE_LEASED] = "running",      [QUEUE_DONE] = "done",
		[QUEUE_DEAD] = "dead",       [QUEUE_CANCELLED] = "cancelled",
	};

	return (unsigned)state < QUEUE_STATES ? names[state] : "unknown";
}

/* ---- leases of this living process ---- */

static int compare_leases(const void *a, const void *b)
{
	return strcmp(((const struct lease *)a)->id, ((const struct lease *)b)->id);
}

static struct lease *find_lease(struct queue *q, const char *id)
{
	struct lease key = { .attempt = 0 };
	struct lease **found;

	if (text_copy(key.id, sizeof(key.id), id) < 0)
		return NULL;
	found = tfind(&key, &q->leases, compare_leases);
	return found ? *found : NULL;
}

void queue_hold(struct queue *q, const char *id, unsigned attempt, uint64_t deadline_ns)
{
	struct lease *lease = find_lease(q, id);

	if (!lease) {
		lease = alloc_zeroed(1, sizeof(*lease));
		if (text_copy(lease->id, sizeof(lease->id), id) < 0 || !tsearch(lease, &q->leases, compare_leases)) {
			free(lease);
			return;
		}
	}
	lease->attempt = attempt;
	lease->deadline_ns = deadline_ns;
}

void queue_let_go(struct queue *q, const char *id, unsigned attempt)
{
	struct lease *lease = find_lease(q, id);

	if (!lease || lease->attempt != attempt)
		return;
	(void)tdelete(lease, &q->leases, compare_leases); /* returns a parent, which is no use */
	free(lease);
}

const struct lease *queue_held(struct queue *q, const char *id, unsigned attempt)
{
	const struct lease *lease = find_lease(q, id);

	return lease && lease->attempt == attempt ? lease : NULL;
}

/* ---- one call ---- */

void *op_new(struct queue *q, size_t size)
{
	struct op *op = alloc_zeroed(1, size);

	op->q = q;
	op->now_ms = queue_wall_ms();
	op->due_ms = UINT64_MAX;
	q->n_refs++;
	return op;
}

void op_free(struct op *op)
{
	struct queue *q = op->q;

	free(op);
	queue_release(q);
}

int op_post(struct op *op, db_work *work, db_done *done)
{
	return db_post(op->q->db, work, done, op);
}

int op_post_later(struct op *op, db_work *work, db_done *done)
{
	return db_post_later(op->q->db, work, done, op);
}

int op_read(struct op *op, db_work *work, db_done *done)
{
	return db_read(op->q->db, work, done, op);
}

void op_end(struct op *op, const struct error *e)
{
	struct queue *q = op->q;
	uint64_t *const counts[QUEUE_STATES] = {
		[QUEUE_WAITING] = &q->counts.waiting,     [QUEUE_LEASED] = &q->counts.leased,
		[QUEUE_DONE] = &q->counts.done,           [QUEUE_DEAD] = &q->counts.dead,
		[QUEUE_CANCELLED] = &q->counts.cancelled,
	};

	if (e)
		return;
	for (int i = 0; i < QUEUE_STATES; i++)
		*counts[i] += (uint64_t)op->delta[i]; /* negative ones wrap around to the right value */
	if (op->has_work)
		queue_wake(q);
	queue_note_due(q, op->due_ms);
}

/* ---- timers ---- */

static void free_lease(void *lease)
{
	free(lease);
}

void queue_release(struct queue *q)
{
	if (--q->n_refs > 0)
		return;
	tdestroy(q->leases, free_lease);
	free(q);
}

static void handle_closed(uv_handle_t *h)
{
	queue_release(h->data);
}

static void wake(uv_timer_t *timer)
{
	struct queue *q = timer->data;

	if (q->on_work)
		q->on_work(q->on_work_arg);
}

void queue_wake(struct queue *q)
{
	if (!q->is_freed && q->on_work && !uv_is_active((uv_handle_t *)&q->wake_timer))
		(void)uv_timer_start(&q->wake_timer, wake, 0, 0); /* fails only without a function */
}

void queue_on_work(struct queue *q, void (*fn)(void *arg), void *arg)
{
	q->on_work = fn;
	q->on_work_arg = arg;
	queue_wake(q);
}

/* The earliest one that is still to come. */
static int next_due(sqlite3 *sql, uint64_t *ret, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql,
				    "SELECT not_before_ms FROM job INDEXED BY job_delayed WHERE state = 0 AND "
				    "is_ready = 0 ORDER BY not_before_ms LIMIT 1",
				    NULL, &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	*ret = rc > 0 ? (uint64_t)sqlite3_column_int64(st, 0) : UINT64_MAX;
	return 0;
}

/* What is due by now becomes ready: a slice of it. */
static int promote_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct op *op = arg;

	for (int i = 0; i < PROMOTE_SLICE; i++) {
		struct error e = ERROR_INIT;
		sqlite3_stmt *st =
			db_query(sql,
				 "SELECT seq FROM job INDEXED BY job_delayed WHERE "
				 "state = 0 AND is_ready = 0 AND not_before_ms <= ?1 ORDER BY not_before_ms LIMIT 1",
				 DB_VALUES(DB_INT(op->now_ms)), &e);
		int rc = st ? db_step(sql, st, &e) : -e.code;

		if (rc < 0)
			return error_set(err, e.code, "%s", e.text);
		if (rc == 0)
			break;
		rc = db_run(sql, "UPDATE job SET is_ready = 1 WHERE seq = ?1",
			    DB_VALUES(DB_INT(sqlite3_column_int64(st, 0))), err);
		if (rc < 0)
			return rc;
		op->has_work = true;
	}
	return next_due(sql, &op->due_ms, err);
}

static void promote_done(const struct error *e, void *arg)
{
	struct op *op = arg;

	op_end(op, e);
	if (e)
		queue_note_due(op->q, op->now_ms + RETRY_MS);
	op_free(op);
}

static void promote(uv_timer_t *timer)
{
	struct queue *q = timer->data;
	struct op *op = op_new(q, sizeof(*op));

	q->due_ms = UINT64_MAX;
	if (op_post(op, promote_work, promote_done) < 0) {
		op_free(op);
		op = NULL;
	}
	if (!op)
		queue_note_due(q, queue_wall_ms() + RETRY_MS);
}

void queue_note_due(struct queue *q, uint64_t due_ms)
{
	uint64_t now = queue_wall_ms(), wait;

	if (q->is_freed || due_ms >= q->due_ms)
		return;
	q->due_ms = due_ms;
	wait = due_ms > now ? due_ms - now : 0;
	(void)uv_timer_start(&q->due_timer, promote, wait, 0); /* fails only without a function */
}

void queue_rearm(struct queue *q)
{
	uint64_t due_ms = q->due_ms;

	q->due_ms = UINT64_MAX;
	queue_note_due(q, due_ms);
}

/* ---- open and free ---- */

struct load {
	uint64_t counts[QUEUE_STATES], due_ms;
};

static int load_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct load *load = arg;
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql, "SELECT state, count(*) FROM job GROUP BY state", NULL, &e);
	int rc = st ? 1 : -e.code;

	while (rc > 0) {
		rc = db_step(sql, st, &e);
		if (rc > 0 && sqlite3_column_int(st, 0) < QUEUE_STATES)
			load->counts[sqlite3_column_int(st, 0)] = (uint64_t)sqlite3_column_int64(st, 1);
	}
	if (rc == 0)
		rc = next_due(sql, &load->due_ms, &e);
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
}

static int check_options(const struct queue_options *o, struct error *err)
{
	if (!o->node[0])
		return error_set(err, EINVAL, "queue: the node has no name");
	if (!o->cancelled)
		return error_set(err, EINVAL, "queue: nobody makes results of cancelled jobs");
	if (!o->attempts || !o->max_waiting)
		return error_set(err, EINVAL, "queue: attempts and max_waiting must be at least 1");
	if (o->lease_ns < NS_PER_MS || o->retention_ns < NS_PER_MS)
		return error_set(err, EINVAL, "queue: lease and retention must be at least 1 ms");
	return 0;
}

int queue_open(struct db *db, const struct queue_options *options, struct queue **ret, struct error *err)
{
	struct load load = { .due_ms = UINT64_MAX };
	struct queue *q;
	int rc = check_options(options, err);

	if (rc == 0)
		rc = db_call(db, load_work, &load, err);
	if (rc < 0)
		return rc;
	q = alloc_zeroed(1, sizeof(*q));
	q->db = db;
	q->options = *options;
	q->counts = (struct queue_counts){
		.waiting = load.counts[QUEUE_WAITING],
		.leased = load.counts[QUEUE_LEASED],
		.done = load.counts[QUEUE_DONE],
		.dead = load.counts[QUEUE_DEAD],
		.cancelled = load.counts[QUEUE_CANCELLED],
	};
	sweep_start(q);
	/* a delay does not keep the loop alive; a wake-up that is owed does. uv_timer_init cannot fail, it returns an
	 * int for symmetry */
	(void)uv_timer_init(db_loop(db), &q->wake_timer);
	(void)uv_timer_init(db_loop(db), &q->due_timer);
	uv_unref((uv_handle_t *)&q->due_timer);
	q->wake_timer.data = q->due_timer.data = q;
	q->n_refs += 3; /* two handles and the caller */
	q->due_ms = UINT64_MAX;
	queue_note_due(q, load.due_ms);
	*ret = q;
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	q->is_freed = true;
	q->on_work = NULL;
	sweep_stop(q);
	uv_close((uv_handle_t *)&q->wake_timer, handle_closed);
	uv_close((uv_handle_t *)&q->due_timer, handle_closed);
	queue_release(q);
}

void queue_counts(const struct queue *q, struct queue_counts *ret)
{
	uint64_t now = queue_wall_ms();

	*ret = q->counts;
	ret->oldest_waiting_ms = q->counts.waiting && q->oldest_ms && q->oldest_ms < now ? now - q->oldest_ms : 0;
}
