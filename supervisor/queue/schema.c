/* Tables and their versions: see schema.h. */
#include "supervisor/queue/schema.h"

#include <assert.h>
#include <errno.h>

#include "runtime/base/error.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"

/*
 * job          one row a job, small: what lists, turns and sweeps look at. seq is the order of arrival.
 *   state      enum queue_state
 *   is_ready   of a waiting one: it is due. What is not yet due stands in job_delayed until its time has come.
 *   attempt    the number of the lease, the fence: never goes down, not even by a replay
 *   failures   the attempts that count against the bound
 *   unstarted  leases in which nothing of it ran: they are no attempts for those who look
 *   lacked_ms  since when it is given from hand to hand because nobody has its image; 0: it is not
 *   retention_ms  its result goes so long after its end, when that is before all others; 0: with all others
 *   is_ending  somebody cancelled it while it was leased: it must not run again
 * spec, result the large parts
 *   The partial indexes hold the few rows of one state each. The planner has no statistics and prefers the wide ones,
 *   so the statements name them (INDEXED BY).
 * load         one row for each owner who has something waiting or leased: how much of it, and whose turn it is. Kept by
 *              triggers on job, so no statement can forget it and both are always of one transaction. Admitting or taking a
 *              job costs a few look-ups however many jobs and owners there are.
 *   waiting    jobs in state 0; of these, ready are due, and delayed wait for a time that their client named. The
 *              others had a failure and wait for their next attempt.
 *   served     when the owner was served last, as an even number that grows with each service. Who comes anew gets
 *              the odd one just before the last: coming and going gives nobody an earlier turn.
 *   since      seq of the job with which the row came: the order of those who came at the same turn
 * load_all     delayed of all owners together, and bytes of all that has ended
 * kept         of each owner, the bytes of what has ended: request, result, journal (job.bytes), kept by triggers too
 */
/* The steps: sql/N_SUBJECT.sql, embedded by schema_text.S. They hold the numbers of states as files of users do. */
extern const char queue_sql_jobs[], queue_sql_unstarted[], queue_sql_load[], queue_sql_kept[], queue_sql_retention[];

static_assert(QUEUE_WAITING == 0 && QUEUE_LEASED == 1 && QUEUE_DONE == 2 && QUEUE_DEAD == 3 && QUEUE_CANCELLED == 4 &&
		      QUEUE_STATES == 5,
	      "the numbers in SQL, here and in the statements of this folder, are those of enum queue_state");

static const char *const queue_steps[] = {
	queue_sql_jobs, queue_sql_unstarted, queue_sql_load, queue_sql_kept, queue_sql_retention,
};

const struct schema queue_schema = {
	.subject = "queue",
	.steps = queue_steps,
	.n_steps = sizeof(queue_steps) / sizeof(queue_steps[0]),
};

/* No cached statements here: this also runs before the thread does. */
static int run(sqlite3 *sql, const char *text, const char *what, struct error *err)
{
	int rc = sqlite3_exec(sql, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_error(sql, rc, what, err);
}

static int version_of(sqlite3 *sql, const char *subject, size_t *ret, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(sql, "SELECT version FROM schema_version WHERE subject = ?1", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 1, subject, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (size_t)sqlite3_column_int64(st, 0);
	else if (rc == SQLITE_DONE)
		*ret = 0;
	else
		(void)db_error(sql, rc, "schema version", err);
	(void)sqlite3_finalize(st); /* its code is the one we have */
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int set_version(sqlite3 *sql, const char *subject, size_t version, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(sql, "INSERT OR REPLACE INTO schema_version VALUES (?1, ?2)", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 1, subject, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)version);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		(void)db_error(sql, rc, "schema version", err);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int schema_bring_up(sqlite3 *sql, const struct schema *schema, struct error *err)
{
	struct error e = ERROR_INIT;
	size_t version = 0;

	if (run(sql,
		"CREATE TABLE IF NOT EXISTS schema_version ("
		"subject TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
		"schema_version", &e) < 0 ||
	    version_of(sql, schema->subject, &version, &e) < 0)
		return error_set(err, e.code, "%s", e.text);
	if (version > schema->n_steps)
		return error_set(err, ENOTSUP,
				 "tables of '%s' have version %zu and this program knows %zu: a newer "
				 "cubitd made them",
				 schema->subject, version, schema->n_steps);
	for (; version < schema->n_steps; version++)
		if (run(sql, schema->steps[version], schema->subject, &e) < 0 ||
		    set_version(sql, schema->subject, version + 1, &e) < 0)
			return error_set(err, e.code, "tables of '%s', step %zu: %s", schema->subject, version, e.text);
	return 0;
}
