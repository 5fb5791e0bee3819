/* The rules on the rows of the queue, on the database thread: see queue_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

enum {
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	LACK_MS = 10 * 60 * 1000,
	LACK_AGAIN_MIN_MS = 1000, /* a quarter of how long it has been so, within these */
	LACK_AGAIN_MAX_MS = 15000,
};

static const char *column_text(sqlite3_stmt *st, int i)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text ? text : ""; /* out of memory only: the columns are NOT NULL */
}

/* ---- finding ---- */

int row_find(sqlite3 *sql, const char *id, const char *owner, struct row *ret, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql,
				    "SELECT seq, owner, priority, state, is_ready, is_ending, attempt, failures, "
				    "queued_ms, unstarted, lacked_ms FROM job WHERE id = ?1",
				    DB_VALUES(DB_TEXT(id)), &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	if (rc == 0 || (owner && strcmp(owner, column_text(st, 1)) != 0))
		return error_set(err, ENOENT, "no job '%s'", id);
	*ret = (struct row){
		.seq = sqlite3_column_int64(st, 0),
		.priority = sqlite3_column_int(st, 2),
		.state = (enum queue_state)sqlite3_column_int(st, 3),
		.is_ready = sqlite3_column_int(st, 4),
		.is_ending = sqlite3_column_int(st, 5),
		.attempt = (unsigned)sqlite3_column_int64(st, 6),
		.failures = (unsigned)sqlite3_column_int64(st, 7),
		.queued_ms = (uint64_t)sqlite3_column_int64(st, 8),
		.unstarted = (unsigned)sqlite3_column_int64(st, 9),
		.lacked_ms = (uint64_t)sqlite3_column_int64(st, 10),
	};
	(void)text_copy(ret->owner, sizeof(ret->owner), column_text(st, 1)); /* as long as it was when it came in */
	return 0;
}

int row_find_leased(sqlite3 *sql, const char *id, unsigned attempt, struct row *ret, struct error *err)
{
	struct row row;
	int rc = row_find(sql, id, NULL, &row, err);

	if (rc == -ENOENT)
		return error_set(err, ESTALE, "job '%s' is not there any more", id);
	if (rc < 0)
		return rc;
	if (row.state != QUEUE_LEASED)
		return error_set(err, ESTALE, "job '%s' is not leased: it is %s", id, queue_state_name(row.state));
	if (row.attempt != attempt)
		return error_set(err, ESTALE, "job '%s' is leased as attempt %u, not %u", id, row.attempt, attempt);
	*ret = row;
	return 0;
}

/* ---- reading ---- */

int row_read(sqlite3_stmt *st, bool with_spec, struct queue_job *ret, struct error *err)
{
	const struct {
		char *to;
		size_t room;
		int column;
	} texts[] = {
		{ ret->id, sizeof(ret->id), 0 },
		{ ret->owner, sizeof(ret->owner), 1 },
		{ ret->key, sizeof(ret->key), 2 },
		{ ret->fingerprint, sizeof(ret->fingerprint), 3 },
		{ ret->last_node, sizeof(ret->last_node), 12 },
		{ ret->status, sizeof(ret->status), 13 },
		{ ret->reason, sizeof(ret->reason), 14 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		(void)text_copy(texts[i].to, texts[i].room, column_text(st, texts[i].column)); /* it came from there */
	ret->state = (enum queue_state)sqlite3_column_int(st, 4);
	ret->is_ending = sqlite3_column_int(st, 5);
	ret->priority = sqlite3_column_int(st, 6);
	ret->attempt = (unsigned)sqlite3_column_int64(st, 7);
	ret->failures = (unsigned)sqlite3_column_int64(st, 8);
	ret->queued_ms = (uint64_t)sqlite3_column_int64(st, 9);
	ret->not_before_ms = (uint64_t)sqlite3_column_int64(st, 10);
	ret->finished_ms = (uint64_t)sqlite3_column_int64(st, 11);
	ret->unstarted = (unsigned)sqlite3_column_int64(st, 15);
	if (with_spec) {
		const void *blob = sqlite3_column_blob(st, ROW_N_COLUMNS);
		size_t size = (size_t)sqlite3_column_bytes(st, ROW_N_COLUMNS);
		char *copy;

		if (size && !blob) /* SQLite's own want */
			return error_set(err, ENOMEM, "job '%s': no memory for its specification", ret->id);
		copy = alloc_bytes(size + 1);
		if (size)
			memcpy(copy, blob, size);
		copy[size] = '\0';
		ret->spec = copy;
		ret->spec_size = size;
	}
	return 0;
}

struct queue_job *jobs_add(struct jobs *jobs)
{
	if (jobs->n == jobs->room) {
		jobs->room = jobs->room ? jobs->room * 2 : 16;
		jobs->list = alloc_again(jobs->list, jobs->room, sizeof(*jobs->list));
	}
	memset(&jobs->list[jobs->n], 0, sizeof(jobs->list[0]));
	return &jobs->list[jobs->n++];
}

void jobs_done(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->n; i++)
		free((void *)jobs->list[i].spec);
	free(jobs->list);
	*jobs = (struct jobs){ .list = NULL };
}

/* ---- transitions ---- */

static uint64_t backoff_ms(const struct queue_options *o, unsigned failures)
{
	uint64_t ms = o->backoff_ns ? o->backoff_ns / 1000000 : 1000;

	for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

int row_bury(sqlite3 *sql, struct op *op, const struct row *row, unsigned failures, const char *reason,
	     struct error *err)
{
	int rc = db_run(sql,
			"UPDATE job SET state = 3, is_ready = 0, is_ending = 0, lease_ms = 0, failures = ?2, "
			"finished_ms = ?3, reason = ?4 WHERE seq = ?1",
			DB_VALUES(DB_INT(row->seq), DB_INT(failures), DB_INT(op->now_ms), DB_TEXT(reason)), err);

	if (rc < 0)
		return rc;
	op_moved(op, row->state, QUEUE_DEAD);
	return 0;
}

/* What becomes of a row that is given back. */
struct given {
	unsigned failures, unstarted;
	uint64_t due_ms, lacked_ms;
	bool is_dead;
};

static void give_failed(const struct queue_options *o, uint64_t now_ms, struct given *ret)
{
	ret->failures++;
	ret->lacked_ms = 0;
	ret->is_dead = ret->failures >= o->attempts;
	ret->due_ms = now_ms + backoff_ms(o, ret->failures);
}

/* A clock that was set back makes it new, which is the careful side. */
static void give_lacking(const struct queue_options *o, const struct row *row, uint64_t now_ms, struct given *ret)
{
	uint64_t since = row->lacked_ms && row->lacked_ms <= now_ms ? row->lacked_ms : now_ms,
		 again = (now_ms - since) / 4;

	again = again > LACK_AGAIN_MIN_MS ? again : LACK_AGAIN_MIN_MS;
	again = again < LACK_AGAIN_MAX_MS ? again : LACK_AGAIN_MAX_MS;
	ret->unstarted++;
	ret->lacked_ms = since;
	ret->is_dead = now_ms - since >= (o->lack_ns ? o->lack_ns / 1000000 : LACK_MS);
	ret->due_ms = now_ms + again;
}

static struct given give(const struct queue_options *o, const struct row *row, uint64_t now_ms, enum queue_give how)
{
	struct given g = {
		.failures = row->failures, .unstarted = row->unstarted, .due_ms = now_ms, .lacked_ms = row->lacked_ms
	};

	switch (how) {
	case QUEUE_FAILED:
		give_failed(o, now_ms, &g);
		break;
	case QUEUE_FREE:
		g.lacked_ms = 0; /* it ran */
		break;
	case QUEUE_UNSTARTED:
		g.unstarted++;
		break;
	case QUEUE_LACKING:
		give_lacking(o, row, now_ms, &g);
		break;
	}
	return g;
}

int row_give_back(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason,
		  enum queue_give how, struct error *err)
{
	const struct given g = give(&op->q->options, row, op->now_ms, how);
	bool is_ready = g.due_ms <= op->now_ms;
	int rc;

	if (row->is_ending)
		return row_cancel(sql, op, id, row, "cancelled", err);
	rc = db_run(sql, "UPDATE job SET unstarted = ?2, lacked_ms = ?3 WHERE seq = ?1",
		    DB_VALUES(DB_INT(row->seq), DB_INT(g.unstarted), DB_INT(g.lacked_ms)), err);
	if (rc >= 0 && g.is_dead)
		return row_bury(sql, op, row, g.failures, reason, err);
	if (rc >= 0)
		rc = db_run(sql,
			    "UPDATE job SET state = 0, is_ready = ?2, lease_ms = 0, failures = ?3, not_before_ms = ?4, "
			    "reason = ?5 WHERE seq = ?1",
			    DB_VALUES(DB_INT(row->seq), DB_INT(is_ready), DB_INT(g.failures), DB_INT(g.due_ms),
				      DB_TEXT(reason)),
			    err);
	if (rc < 0)
		return rc;
	op_moved(op, QUEUE_LEASED, QUEUE_WAITING);
	op->has_work |= is_ready;
	if (!is_ready && g.due_ms < op->due_ms)
		op->due_ms = g.due_ms;
	return 0;
}

/* The request is told as well: its language, its policy. */
static int cancelled_json(sqlite3 *sql, const struct op *op, const char *id, const struct row *row, const char *reason,
			  char **ret, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql, "SELECT json FROM spec WHERE seq = ?1", DB_VALUES(DB_INT(row->seq)), &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;
	struct queue_unrun u = { .id = id,
				 .node = op->q->options.node,
				 .reason = reason,
				 .attempt = row->attempt - row->unstarted,
				 .queued_ms = row->queued_ms,
				 .finished_ms = op->now_ms };

	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	if (rc > 0) {
		u.spec = sqlite3_column_blob(st, 0);
		u.spec_size = (size_t)sqlite3_column_bytes(st, 0);
	}
	*ret = op->q->options.cancelled(&u);
	return *ret ? 0 : error_set(err, ENOMEM, "job '%s': no memory for its result", id);
}

int row_cancel(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason,
	       struct error *err)
{
	cleanup_free char *json = NULL;
	int rc = cancelled_json(sql, op, id, row, reason, &json, err);

	if (rc < 0)
		return rc;
	rc = db_run(sql,
		    "UPDATE job SET state = 4, is_ready = 0, is_ending = 0, lease_ms = 0, finished_ms = ?2, "
		    "status = 'cancelled', reason = ?3 WHERE seq = ?1",
		    DB_VALUES(DB_INT(row->seq), DB_INT(op->now_ms), DB_TEXT(reason)), err);
	if (rc >= 0)
		rc = db_run(sql, "INSERT INTO result (seq, json, journal) VALUES (?1, ?2, x'')",
			    DB_VALUES(DB_INT(row->seq), DB_BLOB(json, strlen(json))), err);
	if (rc < 0)
		return rc;
	op_moved(op, row->state, QUEUE_CANCELLED);
	return 0;
}
