/* Jobs go out: leases and their renewal. See queue.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

/* ---- take ---- */

struct take_op {
	struct op op;
	size_t max;
	struct jobs jobs;
	uint64_t deadline_ns;
	queue_take_fn *fn;
	void *arg;
};

static int lease(sqlite3 *sql, struct take_op *o, int64_t seq, struct error *err)
{
	const struct queue_options *opt = &o->op.q->options;
	struct error e = ERROR_INIT;
	struct queue_job *job;
	sqlite3_stmt *st;
	int rc = db_run(sql,
			"UPDATE job SET state = 1, is_ready = 0, attempt = attempt + 1, node = ?2, lease_ms = ?3 "
			"WHERE seq = ?1",
			DB_VALUES(DB_INT(seq), DB_TEXT(opt->node), DB_INT(o->op.now_ms + opt->lease_ns / NS_PER_MS)),
			err);

	if (rc < 0)
		return rc;
	st = db_query(sql, "SELECT " ROW_COLUMNS ", spec.json FROM job JOIN spec USING (seq) WHERE seq = ?1",
		      DB_VALUES(DB_INT(seq)), &e);
	rc = st ? db_step(sql, st, &e) : -e.code;
	if (rc == 0)
		rc = error_set(&e, EIO, "a job without its specification");
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	job = jobs_add(&o->jobs);
	op_moved(&o->op, QUEUE_WAITING, QUEUE_LEASED);
	return row_read(st, true, job, err);
}

static int take_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct take_op *o = arg;
	int rc = 0;

	while (rc >= 0 && o->jobs.n < o->max) {
		int64_t seq = 0;

		rc = load_next(sql, &seq, err);
		if (rc <= 0)
			break;
		rc = lease(sql, o, seq, err);
	}
	return rc < 0 ? rc : 0;
}

static void take_done(const struct error *e, void *arg)
{
	struct take_op *o = arg;
	size_t n = e ? 0 : o->jobs.n;

	op_end(&o->op, e);
	for (size_t i = 0; i < n; i++)
		queue_hold(o->op.q, o->jobs.list[i].id, o->jobs.list[i].attempt, o->deadline_ns);
	o->fn(e, o->jobs.list, n, o->arg);
	jobs_done(&o->jobs);
	op_free(&o->op);
}

int queue_take(struct queue *q, size_t n, queue_take_fn *fn, void *arg)
{
	struct take_op *o = op_new(q, sizeof(*o));
	int rc;

	o->max = n;
	o->fn = fn;
	o->arg = arg;
	o->deadline_ns = clock_deadline_ns(q->options.lease_ns);
	rc = op_post(&o->op, take_work, take_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}

/* ---- extend ---- */

struct extend_op {
	struct op op;
	char id[QUEUE_ID_BYTES];
	unsigned attempt;
	uint64_t deadline_ns;
	queue_extend_fn *fn;
	void *arg;
};

static int extend_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct extend_op *o = arg;
	const struct queue_options *opt = &o->op.q->options;
	struct row row;
	int rc = row_find_leased(sql, o->id, o->attempt, &row, err);

	if (rc == 0)
		rc = db_run(sql, "UPDATE job SET lease_ms = ?2, node = ?3 WHERE seq = ?1",
			    DB_VALUES(DB_INT(row.seq), DB_INT(o->op.now_ms + opt->lease_ns / NS_PER_MS),
				      DB_TEXT(opt->node)),
			    err);
	return rc < 0 ? rc : 0;
}

static void extend_done(const struct error *e, void *arg)
{
	struct extend_op *o = arg;

	op_end(&o->op, e);
	if (!e)
		queue_hold(o->op.q, o->id, o->attempt, o->deadline_ns);
	else if (e->code == ESTALE)
		queue_let_go(o->op.q, o->id, o->attempt);
	o->fn(e, o->id, o->attempt, o->arg);
	op_free(&o->op);
}

int queue_extend(struct queue *q, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg)
{
	struct extend_op *o = op_new(q, sizeof(*o));
	int rc;

	(void)text_copy(o->id, sizeof(o->id), id); /* too long: "", which no job is called */
	o->attempt = attempt;
	o->fn = fn;
	o->arg = arg;
	o->deadline_ns = clock_deadline_ns(q->options.lease_ns);
	rc = op_post(&o->op, extend_work, extend_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}

/* ---- leases of an earlier life ---- */

struct leased_op {
	struct op op;
	struct jobs jobs;
	queue_recover_fn *fn;
	void *arg;
};

static int leased_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct leased_op *o = arg;
	struct error e = ERROR_INIT;
	sqlite3_stmt *st =
		db_query(sql, "SELECT " ROW_COLUMNS " FROM job INDEXED BY job_leased WHERE state = 1 AND node = ?1",
			 DB_VALUES(DB_TEXT(o->op.q->options.node)), &e);
	int rc = st ? 1 : -e.code;

	while (rc > 0) {
		rc = db_step(sql, st, &e);
		if (rc <= 0)
			break;
		rc = row_read(st, false, jobs_add(&o->jobs), &e);
		if (rc == 0)
			rc = 1;
	}
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
}

static void leased_done(const struct error *e, void *arg)
{
	struct leased_op *o = arg;

	op_end(&o->op, e);
	o->fn(e, o->jobs.list, e ? 0 : o->jobs.n, o->arg);
	jobs_done(&o->jobs);
	op_free(&o->op);
}

int queue_leased(struct queue *q, queue_recover_fn *fn, void *arg)
{
	struct leased_op *o = op_new(q, sizeof(*o));
	int rc;

	o->fn = fn;
	o->arg = arg;
	rc = op_read(&o->op, leased_work, leased_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}
