/* Jobs go out: leases and their renewal. See queue.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

/* ---- take ---- */

struct load {
	char owner[QUEUE_OWNER_BYTES];
	uint64_t n; /* leased */
};

struct take_op {
	struct op op;
	size_t max;
	struct jobs jobs;
	struct load *loads; /* of the owners that have something leased */
	size_t n_loads, room_loads;
	uint64_t deadline_ns;
	queue_take_fn *fn;
	void *arg;
};

static struct load *find_load(struct take_op *o, const char *owner)
{
	for (size_t i = 0; i < o->n_loads; i++)
		if (strcmp(o->loads[i].owner, owner) == 0)
			return &o->loads[i];
	return NULL;
}

static int add_load(struct take_op *o, const char *owner, uint64_t n, struct error *err)
{
	struct load *found = find_load(o, owner);

	if (!found && o->n_loads == o->room_loads) {
		size_t room = o->room_loads ? o->room_loads * 2 : 32;
		struct load *loads = reallocarray(o->loads, room, sizeof(*loads));

		if (!loads)
			return error_set(err, ENOMEM, "no memory for %zu owners", room);
		o->loads = loads;
		o->room_loads = room;
	}
	if (!found) {
		found = &o->loads[o->n_loads++];
		found->n = 0;
		(void)text_copy(found->owner, sizeof(found->owner), owner);
	}
	found->n += n;
	return 0;
}

/* As many rows as there are owners with leases, which is at most the leases. */
static int load_owners(sqlite3 *sql, struct take_op *o, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(
		sql, "SELECT owner, count(*) FROM job INDEXED BY job_leased WHERE state = 1 GROUP BY owner", NULL, &e);
	int rc = st ? 1 : -e.code;

	while (rc > 0) {
		rc = db_step(sql, st, &e);
		if (rc > 0 && add_load(o, (const char *)sqlite3_column_text(st, 0),
				       (uint64_t)sqlite3_column_int64(st, 1), &e) < 0)
			rc = -e.code;
	}
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
}

/*
 * Whose turn is it? The turns come highest priority first, then oldest: the first owner with nothing leased wins, so
 * at most as many are looked at as have leases. 1: *ret is the one; 0: nothing is due.
 */
static int choose(sqlite3 *sql, struct take_op *o, struct row *ret, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql, "SELECT priority, seq, owner FROM turn ORDER BY priority DESC, seq", NULL, &e);
	uint64_t fewest = UINT64_MAX;
	int rc = st ? 1 : -e.code;

	while (fewest > 0) {
		const struct load *load;

		if (rc > 0)
			rc = db_step(sql, st, &e);
		if (rc <= 0)
			break;
		if (fewest != UINT64_MAX && sqlite3_column_int(st, 0) != ret->priority)
			break;
		load = find_load(o, (const char *)sqlite3_column_text(st, 2));
		if (load && load->n >= fewest)
			continue;
		fewest = load ? load->n : 0;
		ret->priority = sqlite3_column_int(st, 0);
		ret->seq = sqlite3_column_int64(st, 1);
		(void)text_copy(ret->owner, sizeof(ret->owner), (const char *)sqlite3_column_text(st, 2));
	}
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	return fewest != UINT64_MAX;
}

static int lease(sqlite3 *sql, struct take_op *o, const struct row *row, struct error *err)
{
	const struct queue_options *opt = &o->op.q->options;
	struct error e = ERROR_INIT;
	struct queue_job *job;
	sqlite3_stmt *st;
	int rc = db_run(
		sql,
		"UPDATE job SET state = 1, is_ready = 0, attempt = attempt + 1, node = ?2, lease_ms = ?3 "
		"WHERE seq = ?1",
		DB_VALUES(DB_INT(row->seq), DB_TEXT(opt->node), DB_INT(o->op.now_ms + opt->lease_ns / NS_PER_MS)), err);

	if (rc >= 0)
		rc = row_update_turn(sql, row->owner, row->priority, err);
	if (rc >= 0)
		rc = add_load(o, row->owner, 1, err);
	if (rc < 0)
		return rc;
	st = db_query(sql, "SELECT " ROW_COLUMNS ", spec.json FROM job JOIN spec USING (seq) WHERE seq = ?1",
		      DB_VALUES(DB_INT(row->seq)), &e);
	rc = st ? db_step(sql, st, &e) : -e.code;
	if (rc == 0)
		rc = error_set(&e, EIO, "a job without its specification");
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	job = jobs_add(&o->jobs, err);
	if (!job)
		return -ENOMEM;
	op_moved(&o->op, QUEUE_WAITING, QUEUE_LEASED);
	return row_read(st, true, job, err);
}

static int take_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct take_op *o = arg;
	int rc = load_owners(sql, o, err);

	while (rc >= 0 && o->jobs.n < o->max) {
		struct row row = { .seq = 0 };

		rc = choose(sql, o, &row, err);
		if (rc <= 0)
			break;
		rc = lease(sql, o, &row, err);
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
	free(o->loads);
	op_free(&o->op);
}

int queue_take(struct queue *q, size_t n, queue_take_fn *fn, void *arg)
{
	struct take_op *o = op_new(q, sizeof(*o));
	int rc;

	if (!o)
		return -ENOMEM;
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

	if (!o)
		return -ENOMEM;
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
		struct queue_job *job;

		rc = db_step(sql, st, &e);
		if (rc <= 0)
			break;
		job = jobs_add(&o->jobs, &e);
		rc = job ? row_read(st, false, job, &e) : -e.code;
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

	if (!o)
		return -ENOMEM;
	o->fn = fn;
	o->arg = arg;
	rc = op_read(&o->op, leased_work, leased_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}
