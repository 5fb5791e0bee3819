/* Tables and their versions: see schema.h. */
#include "supervisor/queue/schema.h"

#include <errno.h>

#include "runtime/base/error.h"
#include "supervisor/queue/db.h"

/*
 * job          one row a job, small: what lists, turns and sweeps look at. seq is the order of arrival.
 *   state      enum queue_state
 *   is_ready   of a waiting one: it is due. What is not yet due stands in job_delayed until its time has come.
 *   attempt    the number of the lease, the fence: never goes down, not even by a replay
 *   failures   the attempts that count against the bound
 *   is_ending  somebody cancelled it while it was leased: it must not run again
 * spec, result the large parts
 *   The partial indexes hold the few rows of one state each. The planner has no statistics and prefers the wide ones,
 *   so the statements name them (INDEXED BY).
 * turn         of each owner and priority the oldest row that is ready, so that taking one job costs a few look-ups
 *              however many wait: the owners are compared, not their jobs
 */
static const char *const queue_steps[] = {
	"CREATE TABLE job ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" id TEXT NOT NULL UNIQUE,"
	" owner TEXT NOT NULL,"
	" key TEXT NOT NULL DEFAULT '',"
	" fingerprint TEXT NOT NULL DEFAULT '',"
	" state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),"
	" is_ready INTEGER NOT NULL DEFAULT 0,"
	" is_ending INTEGER NOT NULL DEFAULT 0,"
	" priority INTEGER NOT NULL DEFAULT 0,"
	" attempt INTEGER NOT NULL DEFAULT 0,"
	" failures INTEGER NOT NULL DEFAULT 0,"
	" queued_ms INTEGER NOT NULL,"
	" not_before_ms INTEGER NOT NULL DEFAULT 0,"
	" lease_ms INTEGER NOT NULL DEFAULT 0,"
	" finished_ms INTEGER NOT NULL DEFAULT 0,"
	" node TEXT NOT NULL DEFAULT '',"
	" status TEXT NOT NULL DEFAULT '',"
	" reason TEXT NOT NULL DEFAULT '');"
	"CREATE UNIQUE INDEX job_key ON job (owner, key) WHERE key <> '';"
	"CREATE INDEX job_ready ON job (owner, priority, seq) WHERE state = 0 AND is_ready = 1;"
	"CREATE INDEX job_delayed ON job (not_before_ms) WHERE state = 0 AND is_ready = 0;"
	"CREATE INDEX job_leased ON job (owner) WHERE state = 1;"
	"CREATE INDEX job_state ON job (state, seq);"
	"CREATE INDEX job_owner ON job (owner, state, seq);"
	"CREATE INDEX job_finished ON job (state, finished_ms) WHERE state >= 2;"
	"CREATE TABLE spec ("
	" seq INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE,"
	" json BLOB NOT NULL);"
	"CREATE TABLE result ("
	" seq INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE,"
	" json BLOB NOT NULL,"
	" journal BLOB NOT NULL);"
	"CREATE TABLE turn ("
	" owner TEXT NOT NULL,"
	" priority INTEGER NOT NULL,"
	" seq INTEGER NOT NULL,"
	" PRIMARY KEY (owner, priority)) WITHOUT ROWID;"
	"CREATE INDEX turn_order ON turn (priority DESC, seq);",
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
