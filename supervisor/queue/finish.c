/* Leases end: results, returns, cancellations; and dead letters. See queue.h. */
#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

/* ---- finish ---- */

struct finish_op {
	struct op op;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES], status[QUEUE_STATUS_BYTES];
	unsigned attempt;
	bool is_direct;
	uint64_t queued_ms;
	size_t json_size, journal_size, spec_size;
	queue_done_fn *fn;
	void *arg;
	char data[]; /* json, journal, spec */
};

static int finish_leased(sqlite3 *sql, struct finish_op *o, enum queue_state state, sqlite3_int64 *ret_seq,
			 struct error *err)
{
	struct row row;
	int rc = row_find_leased(sql, o->id, o->attempt, &row, err);

	if (rc == 0)
		rc = db_run(sql,
			    "UPDATE job SET state = ?2, is_ending = 0, lease_ms = 0, finished_ms = ?3, status = ?4, "
			    "reason = '' WHERE seq = ?1",
			    DB_VALUES(DB_INT(row.seq), DB_INT(state), DB_INT(o->op.now_ms), DB_TEXT(o->status)), err);
	if (rc < 0)
		return rc;
	op_moved(&o->op, QUEUE_LEASED, state);
	*ret_seq = row.seq;
	return 0;
}

/* A run that was never queued: its row comes with its result. */
static int finish_direct(sqlite3 *sql, struct finish_op *o, enum queue_state state, sqlite3_int64 *ret_seq,
			 struct error *err)
{
	int rc;

	if (!o->id[0])
		return error_set(err, EINVAL, "a run needs an id");
	rc = db_run(sql,
		    "INSERT INTO job (id, owner, state, attempt, queued_ms, not_before_ms, finished_ms, node, status) "
		    "VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5, ?6, ?7)",
		    DB_VALUES(DB_TEXT(o->id), DB_TEXT(o->owner), DB_INT(state), DB_INT(o->queued_ms),
			      DB_INT(o->op.now_ms), DB_TEXT(o->op.q->options.node), DB_TEXT(o->status)),
		    err);
	if (rc == -EEXIST)
		return error_set(err, ESTALE, "the id '%s' is taken", o->id);
	if (rc < 0)
		return rc;
	*ret_seq = sqlite3_last_insert_rowid(sql);
	rc = db_run(sql, "INSERT INTO spec VALUES (?1, ?2)",
		    DB_VALUES(DB_INT(*ret_seq), DB_BLOB(o->data + o->json_size + o->journal_size, o->spec_size)), err);
	if (rc < 0)
		return rc;
	op_moved(&o->op, QUEUE_STATES, state);
	return 0;
}

static int finish_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct finish_op *o = arg;
	enum queue_state state = strcmp(o->status, "cancelled") == 0 ? QUEUE_CANCELLED : QUEUE_DONE;
	sqlite3_int64 seq = 0;
	int rc = o->is_direct ? finish_direct(sql, o, state, &seq, err) : finish_leased(sql, o, state, &seq, err);

	if (rc == 0)
		rc = db_run(sql, "INSERT INTO result (seq, json, journal) VALUES (?1, ?2, ?3)",
			    DB_VALUES(DB_INT(seq), DB_BLOB(o->data, o->json_size),
				      DB_BLOB(o->data + o->json_size, o->journal_size)),
			    err);
	return rc < 0 ? rc : 0;
}

static void finish_done(const struct error *e, void *arg)
{
	struct finish_op *o = arg;
	struct queue *q = o->op.q;

	op_end(&o->op, e);
	if (!e)
		q->counts.finished++;
	else if (e->code == ESTALE)
		q->counts.fenced++;
	if (!o->is_direct && (!e || e->code == ESTALE))
		queue_let_go(q, o->id, o->attempt);
	o->fn(e, o->arg);
	op_free(&o->op);
}

static void put(char **to, const void *data, size_t size)
{
	if (size)
		memcpy(*to, data, size);
	*to += size;
}

int queue_finish(struct queue *q, const struct queue_result *r, queue_done_fn *fn, void *arg)
{
	size_t spec_size = r->is_direct && r->spec ? strlen(r->spec) : 0;
	struct finish_op *o = op_new(q, sizeof(*o) + r->json_size + r->journal_size + spec_size);
	char *to;
	int rc;

	to = o->data;
	put(&to, r->json, r->json_size);
	put(&to, r->journal, r->journal_size);
	put(&to, r->spec, spec_size);
	o->json_size = r->json_size;
	o->journal_size = r->journal_size;
	o->spec_size = spec_size;
	(void)text_copy(o->id, sizeof(o->id), r->id); /* too long: "", which no job is called */
	(void)text_copy(o->owner, sizeof(o->owner), r->owner ? r->owner : "");
	(void)text_copy(o->status, sizeof(o->status), r->status ? r->status : "");
	o->attempt = r->attempt;
	o->is_direct = r->is_direct;
	o->queued_ms = r->queued_ms ? r->queued_ms : o->op.now_ms;
	o->fn = fn;
	o->arg = arg;
	/* of a direct run its client has the answer */
	rc = o->is_direct ? op_post_later(&o->op, finish_work, finish_done) : op_post(&o->op, finish_work, finish_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}

/* ---- what names one job and is answered by yes or no ---- */

struct one_op {
	struct op op;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES], reason[QUEUE_REASON_BYTES];
	bool has_owner, was_leased;
	uint64_t used; /* places of the queue, when it came */
	enum queue_give how;
	unsigned attempt;
	queue_done_fn *fn;
	queue_cancel_fn *cancel_fn;
	void *arg;
};

static struct one_op *one_new(struct queue *q, const char *id, const char *owner, void *arg)
{
	struct one_op *o = op_new(q, sizeof(*o));

	(void)text_copy(o->id, sizeof(o->id), id); /* too long: "", which no job is called */
	o->has_owner = owner != NULL;
	(void)text_copy(o->owner, sizeof(o->owner), owner ? owner : "");
	o->arg = arg;
	return o;
}

static int one_post(struct one_op *o, db_work *work, db_done *done)
{
	int rc = op_post(&o->op, work, done);

	if (rc < 0)
		op_free(&o->op);
	return rc;
}

static void one_done(const struct error *e, void *arg)
{
	struct one_op *o = arg;

	op_end(&o->op, e);
	o->fn(e, o->arg);
	op_free(&o->op);
}

/* Words of others: cut where a character ends, so that the column stays UTF-8. */
static void set_reason(struct one_op *o, const char *reason)
{
	size_t n = strlen(reason);

	if (n >= sizeof(o->reason)) {
		n = sizeof(o->reason) - 1;
		while (n > 0 && ((unsigned char)reason[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(o->reason, reason, n);
	o->reason[n] = '\0';
}

/* ---- return, bury ---- */

static int return_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct one_op *o = arg;
	struct row row;
	int rc = row_find_leased(sql, o->id, o->attempt, &row, err);

	return rc < 0 ? rc : row_give_back(sql, &o->op, o->id, &row, o->reason, o->how, err);
}

static int bury_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct one_op *o = arg;
	struct row row;
	int rc = row_find_leased(sql, o->id, o->attempt, &row, err);

	return rc < 0 ? rc : row_bury(sql, &o->op, &row, row.failures + 1, o->reason, err);
}

static void return_done(const struct error *e, void *arg)
{
	struct one_op *o = arg;

	if (!e)
		o->op.q->counts.returned++;
	else if (e->code == ESTALE)
		o->op.q->counts.fenced++;
	if (!e || e->code == ESTALE)
		queue_let_go(o->op.q, o->id, o->attempt);
	one_done(e, arg);
}

static int give_back(struct queue *q, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		     db_work *work, queue_done_fn *fn, void *arg)
{
	struct one_op *o = one_new(q, id, NULL, arg);

	o->attempt = attempt;
	set_reason(o, reason);
	o->how = how;
	o->fn = fn;
	return one_post(o, work, return_done);
}

int queue_return(struct queue *q, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		 queue_done_fn *fn, void *arg)
{
	return give_back(q, id, attempt, reason, how, return_work, fn, arg);
}

int queue_bury(struct queue *q, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg)
{
	return give_back(q, id, attempt, reason, QUEUE_FAILED, bury_work, fn, arg);
}

/* ---- cancel ---- */

static int cancel_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct one_op *o = arg;
	struct row row;
	int rc = row_find(sql, o->id, o->has_owner ? o->owner : NULL, &row, err);

	if (rc < 0)
		return rc;
	if (row.state == QUEUE_WAITING)
		return row_cancel(sql, &o->op, o->id, &row, "cancelled before it ran", err);
	if (row.state != QUEUE_LEASED)
		return error_set(err, EALREADY, "job '%s' has ended: it is %s", o->id, queue_state_name(row.state));
	o->was_leased = true;
	rc = db_run(sql, "UPDATE job SET is_ending = 1 WHERE seq = ?1", DB_VALUES(DB_INT(row.seq)), err);
	return rc < 0 ? rc : 0;
}

static void cancel_done(const struct error *e, void *arg)
{
	struct one_op *o = arg;

	op_end(&o->op, e);
	o->cancel_fn(e, !e && o->was_leased, o->arg);
	op_free(&o->op);
}

int queue_cancel(struct queue *q, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	struct one_op *o = one_new(q, id, owner, arg);

	o->cancel_fn = fn;
	return one_post(o, cancel_work, cancel_done);
}

/* ---- dead letters ---- */

static int find_dead(sqlite3 *sql, const struct one_op *o, struct row *ret, struct error *err)
{
	int rc = row_find(sql, o->id, o->has_owner ? o->owner : NULL, ret, err);

	if (rc == 0 && ret->state != QUEUE_DEAD)
		rc = error_set(err, ENOENT, "job '%s' is not a dead letter: it is %s", o->id,
			       queue_state_name(ret->state));
	return rc;
}

static int replay_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct one_op *o = arg;
	struct row row;
	int rc = find_dead(sql, o, &row, err);

	if (rc == 0)
		rc = load_room(sql, &o->op.q->options, &(struct load_asks){ .owner = row.owner, .used = o->used }, err);
	if (rc == 0)
		rc = db_run(
			sql,
			"UPDATE job SET state = 0, is_ready = 1, failures = 0, not_before_ms = ?2, finished_ms = 0, "
			"lacked_ms = 0 "
			"WHERE seq = ?1",
			DB_VALUES(DB_INT(row.seq), DB_INT(o->op.now_ms)), err);
	if (rc < 0)
		return rc;
	op_moved(&o->op, QUEUE_DEAD, QUEUE_WAITING);
	o->op.has_work = true;
	return 0;
}

static void replay_done(const struct error *e, void *arg)
{
	struct one_op *o = arg;

	o->op.q->submitting--;
	o->op.q->counts.replayed += !e;
	one_done(e, arg);
}

int queue_replay(struct queue *q, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	struct one_op *o = one_new(q, id, owner, arg);
	int rc;

	o->fn = fn;
	o->used = q->counts.waiting + q->submitting;
	rc = one_post(o, replay_work, replay_done);
	q->submitting += rc == 0;
	return rc;
}

static int delete_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct one_op *o = arg;
	struct row row;
	int rc = find_dead(sql, o, &row, err);

	if (rc == 0)
		rc = db_run(sql, "DELETE FROM job WHERE seq = ?1", DB_VALUES(DB_INT(row.seq)), err);
	if (rc < 0)
		return rc;
	op_moved(&o->op, QUEUE_DEAD, QUEUE_STATES);
	return 0;
}

int queue_dead_delete(struct queue *q, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	struct one_op *o = one_new(q, id, owner, arg);

	o->fn = fn;
	return one_post(o, delete_work, one_done);
}
