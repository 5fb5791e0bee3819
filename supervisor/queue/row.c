/* The rules on the rows of the queue, on the database thread: see queue_impl.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

enum { BACKOFF_MAX_MS = 5 * 60 * 1000 };

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
				    "queued_ms FROM job WHERE id = ?1",
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
	if (with_spec) {
		const void *blob = sqlite3_column_blob(st, ROW_N_COLUMNS);
		size_t size = (size_t)sqlite3_column_bytes(st, ROW_N_COLUMNS);
		char *copy = malloc(size + 1);

		if (!copy || (size && !blob)) {
			free(copy);
			return error_set(err, ENOMEM, "job '%s': no memory for its specification", ret->id);
		}
		if (size)
			memcpy(copy, blob, size);
		copy[size] = '\0';
		ret->spec = copy;
		ret->spec_size = size;
	}
	return 0;
}

struct queue_job *jobs_add(struct jobs *jobs, struct error *err)
{
	if (jobs->n == jobs->room) {
		size_t room = jobs->room ? jobs->room * 2 : 16;
		struct queue_job *list = reallocarray(jobs->list, room, sizeof(*list));

		if (!list) {
			(void)error_set(err, ENOMEM, "no memory for %zu jobs", room);
			return NULL;
		}
		jobs->list = list;
		jobs->room = room;
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

/* ---- turns ---- */

int row_update_turn(sqlite3 *sql, const char *owner, int priority, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql,
				    "SELECT seq FROM job INDEXED BY job_ready WHERE state = 0 AND is_ready = 1 AND "
				    "owner = ?1 AND priority = ?2 ORDER BY seq LIMIT 1",
				    DB_VALUES(DB_TEXT(owner), DB_INT(priority)), &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc > 0)
		rc = db_run(sql,
			    "INSERT INTO turn VALUES (?1, ?2, ?3) ON CONFLICT (owner, priority) "
			    "DO UPDATE SET seq = ?3 WHERE seq <> ?3",
			    DB_VALUES(DB_TEXT(owner), DB_INT(priority), DB_INT(sqlite3_column_int64(st, 0))), &e);
	else if (rc == 0)
		rc = db_run(sql, "DELETE FROM turn WHERE owner = ?1 AND priority = ?2",
			    DB_VALUES(DB_TEXT(owner), DB_INT(priority)), &e);
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
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

int row_give_back(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason, bool is_free,
		  struct error *err)
{
	const struct queue_options *o = &op->q->options;
	unsigned failures = row->failures + !is_free;
	uint64_t due_ms = is_free ? op->now_ms : op->now_ms + backoff_ms(o, failures);
	bool is_ready = due_ms <= op->now_ms;
	int rc;

	if (row->is_ending)
		return row_cancel(sql, op, id, row, "cancelled", err);
	if (failures >= o->attempts && !is_free)
		return row_bury(sql, op, row, failures, reason, err);
	rc = db_run(sql,
		    "UPDATE job SET state = 0, is_ready = ?2, lease_ms = 0, failures = ?3, not_before_ms = ?4, "
		    "reason = ?5 WHERE seq = ?1",
		    DB_VALUES(DB_INT(row->seq), DB_INT(is_ready), DB_INT(failures), DB_INT(due_ms), DB_TEXT(reason)),
		    err);
	if (rc >= 0 && is_ready)
		rc = row_update_turn(sql, row->owner, row->priority, err);
	if (rc < 0)
		return rc;
	op_moved(op, QUEUE_LEASED, QUEUE_WAITING);
	op->has_work |= is_ready;
	if (!is_ready && due_ms < op->due_ms)
		op->due_ms = due_ms;
	return 0;
}

static void print_time(char ret[40], uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&seconds, &tm);
	n = strftime(ret, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret + n, 40 - n, ".%03uZ", (unsigned)(ms % 1000));
}

/* The result of a job that has none of its own: the fields of API.md, as they are before anything ran. */
static char *cancelled_json(const struct op *op, const char *id, const struct row *row, const char *reason)
{
	char queued[40], finished[40];
	json_t *o;
	char *text;

	print_time(queued, row->queued_ms);
	print_time(finished, op->now_ms);
	o = json_pack("{ss ss ss sn sn ss ss sb sb si si si si sn s[] sI ss ss sn ss}", /**/
		      "id", id, "status", "cancelled", "reason", reason, "exit_code", "signal", "stdout", "", "stderr",
		      "", "stdout_truncated", 0, "stderr_truncated", 0, "wall_ms", 0, "cpu_ms", 0, "memory_peak", 0,
		      "processes_peak", 0, "compile", "outputs", "attempt", (json_int_t)row->attempt, "node",
		      op->q->options.node, "queued_at", queued, "started_at", "finished_at", finished);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

int row_cancel(sqlite3 *sql, struct op *op, const char *id, const struct row *row, const char *reason,
	       struct error *err)
{
	cleanup_free char *json = cancelled_json(op, id, row, reason);
	int rc;

	if (!json)
		return error_set(err, ENOMEM, "job '%s': no memory for its result", id);
	rc = db_run(sql,
		    "UPDATE job SET state = 4, is_ready = 0, is_ending = 0, lease_ms = 0, finished_ms = ?2, "
		    "status = 'cancelled', reason = ?3 WHERE seq = ?1",
		    DB_VALUES(DB_INT(row->seq), DB_INT(op->now_ms), DB_TEXT(reason)), err);
	if (rc >= 0)
		rc = db_run(sql, "INSERT INTO result (seq, json, journal) VALUES (?1, ?2, x'')",
			    DB_VALUES(DB_INT(row->seq), DB_BLOB(json, strlen(json))), err);
	if (rc >= 0 && row->is_ready)
		rc = row_update_turn(sql, row->owner, row->priority, err);
	if (rc < 0)
		return rc;
	op_moved(op, row->state, QUEUE_CANCELLED);
	return 0;
}
