/* Jobs come in: see queue.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

struct submit_op {
	struct op op;
	struct queue_job job;
	uint64_t used; /* places of the queue, when it came */
	enum queue_submitted how;
	char id[QUEUE_ID_BYTES]; /* the answer's */
	queue_submit_fn *fn;
	void *arg;
	char spec[];
};

/* 1: the key is known, and the answer is in o. */
static int find_key(sqlite3 *sql, struct submit_op *o, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql, "SELECT id, fingerprint FROM job WHERE owner = ?1 AND key = ?2 AND key <> ''",
				    DB_VALUES(DB_TEXT(o->job.owner), DB_TEXT(o->job.key)), &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	if (rc == 0)
		return 0;
	if (strcmp((const char *)sqlite3_column_text(st, 1), o->job.fingerprint) != 0)
		return error_set(err, EEXIST, "the idempotency key was used with another request");
	o->how = QUEUE_DUPLICATE;
	(void)text_copy(o->id, sizeof(o->id), (const char *)sqlite3_column_text(st, 0));
	return 1;
}

static int insert(sqlite3 *sql, struct submit_op *o, struct error *err)
{
	const struct queue_job *j = &o->job;
	bool is_ready = j->not_before_ms <= o->op.now_ms;
	sqlite3_int64 seq;
	int rc = db_run(sql,
			"INSERT INTO job (id, owner, key, fingerprint, state, is_ready, priority, queued_ms, "
			"not_before_ms, retention_ms) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9)",
			DB_VALUES(DB_TEXT(j->id), DB_TEXT(j->owner), DB_TEXT(j->key), DB_TEXT(j->fingerprint),
				  DB_INT(is_ready), DB_INT(j->priority), DB_INT(j->queued_ms), DB_INT(j->not_before_ms),
				  DB_INT(j->retention_ms)),
			err);

	if (rc == -EEXIST)
		return error_set(err, EEXIST, "the id '%s' is taken", j->id);
	if (rc < 0)
		return rc;
	seq = sqlite3_last_insert_rowid(sql);
	rc = db_run(sql, "INSERT INTO spec VALUES (?1, ?2)", DB_VALUES(DB_INT(seq), DB_BLOB(o->spec, j->spec_size)),
		    err);
	if (rc < 0)
		return rc;
	op_moved(&o->op, QUEUE_STATES, QUEUE_WAITING);
	o->op.has_work = is_ready;
	o->op.due_ms = is_ready ? UINT64_MAX : j->not_before_ms;
	o->how = QUEUE_ACCEPTED;
	(void)text_copy(o->id, sizeof(o->id), j->id);
	return 0;
}

static int submit_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct submit_op *o = arg;
	const struct load_asks asks = { .owner = o->job.owner,
					.used = o->used,
					.is_root = o->job.is_root,
					.is_delayed = o->job.not_before_ms > o->op.now_ms };
	int rc;

	if (!o->job.id[0])
		return error_set(err, EINVAL, "a job needs an id");
	if (o->job.key[0]) {
		rc = find_key(sql, o, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	rc = load_room(sql, &o->op.q->options, &asks, err);
	return rc < 0 ? rc : insert(sql, o, err);
}

static void submit_done(const struct error *e, void *arg)
{
	struct submit_op *o = arg;
	struct queue *q = o->op.q;

	q->submitting--;
	op_end(&o->op, e);
	if (!e && o->how == QUEUE_ACCEPTED) {
		q->counts.submitted++;
		if (o->op.has_work && !q->oldest_ms)
			q->oldest_ms = o->op.now_ms;
	}
	o->fn(e, o->how, e ? "" : o->id, o->arg);
	op_free(&o->op);
}

int queue_submit(struct queue *q, const struct queue_job *job, queue_submit_fn *fn, void *arg)
{
	struct submit_op *o = op_new(q, sizeof(*o) + job->spec_size);
	int rc;

	o->job = *job;
	if (job->spec_size)
		memcpy(o->spec, job->spec, job->spec_size);
	o->job.spec = NULL; /* the caller's */
	o->fn = fn;
	o->arg = arg;
	/* counted here, with what is posted: the bound is never passed, whatever is done in which order on the thread
	 */
	o->used = q->counts.waiting + q->submitting;
	rc = op_post(&o->op, submit_work, submit_done);
	if (rc < 0)
		op_free(&o->op);
	else
		q->submitting++;
	return rc;
}
