/* The table of callbacks: see rows.h. */
#include "supervisor/callback/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/schema.h"

static const char *const steps[] = {
	"CREATE TABLE callback ("
	" job_id TEXT PRIMARY KEY,"
	" url TEXT NOT NULL,"
	" secret TEXT NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" due_ms INTEGER NOT NULL,"
	" armed_ms INTEGER NOT NULL) WITHOUT ROWID;",
};

static const struct schema callback_schema = {
	.subject = "callback",
	.steps = steps,
	.n_steps = sizeof(steps) / sizeof(steps[0]),
};

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void callback_row_done(struct callback_row *row)
{
	free(row->job_id);
	free(row->url);
	wipe(row->secret);
	*row = (struct callback_row){ .job_id = NULL };
}

/* ---- all of them ---- */

struct load {
	struct callback_row *rows;
	size_t n, room;
	callback_load_fn *fn;
	void *arg;
};

static char *column(sqlite3_stmt *st, int i)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text ? alloc_text(text) : NULL;
}

static int take_row(struct load *l, sqlite3_stmt *st, struct error *err)
{
	struct callback_row row = {
		.job_id = column(st, 0),
		.url = column(st, 1),
		.secret = column(st, 2),
		.attempt = (unsigned)sqlite3_column_int64(st, 3),
		.due_ms = (uint64_t)sqlite3_column_int64(st, 4),
		.armed_ms = (uint64_t)sqlite3_column_int64(st, 5),
	};

	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->rows = alloc_again(l->rows, l->room, sizeof(*l->rows));
	}
	if (!row.job_id || !row.url || !row.secret) {
		callback_row_done(&row);
		return error_set(err, ENOMEM, "out of memory");
	}
	l->rows[l->n++] = row;
	return 0;
}

static int work_load(sqlite3 *sql, void *arg, struct error *err)
{
	struct load *l = arg;
	sqlite3_stmt *st;
	int r = schema_bring_up(sql, &callback_schema, err);

	if (r < 0)
		return r;
	st = db_query(sql, "SELECT job_id, url, secret, attempt, due_ms, armed_ms FROM callback ORDER BY due_ms", NULL,
		      err);
	if (!st)
		return -EIO;
	while ((r = db_step(sql, st, err)) > 0) {
		r = take_row(l, st, err);
		if (r < 0)
			return r;
	}
	return r;
}

static void on_loaded(const struct error *e, void *arg)
{
	struct load *l = arg;

	l->fn(e, l->rows, e ? 0 : l->n, l->arg);
	for (size_t i = 0; i < l->n; i++)
		callback_row_done(&l->rows[i]);
	free(l->rows);
	free(l);
}

int callback_rows_load(struct db *db, callback_load_fn *fn, void *arg)
{
	struct load *l = alloc_zeroed(1, sizeof(*l));

	l->fn = fn;
	l->arg = arg;
	if (db_post(db, work_load, on_loaded, l) < 0) {
		free(l);
		return -EAGAIN;
	}
	return 0;
}

/* ---- one ---- */

struct change {
	struct callback_row row;
	callback_row_fn *fn;
	void *arg;
};

static int work_add(sqlite3 *sql, void *arg, struct error *err)
{
	const struct callback_row *row = &((struct change *)arg)->row;

	return db_run(
		sql,
		"INSERT INTO callback (job_id, url, secret, attempt, due_ms, armed_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		" ON CONFLICT (job_id) DO NOTHING", /* a job that was leased here in an earlier life */
		DB_VALUES(DB_TEXT(row->job_id), DB_TEXT(row->url), DB_TEXT(row->secret), DB_INT(row->attempt),
			  DB_INT(row->due_ms), DB_INT(row->armed_ms)),
		err);
}

static int work_set_due(sqlite3 *sql, void *arg, struct error *err)
{
	const struct callback_row *row = &((struct change *)arg)->row;

	return db_run(sql, "UPDATE callback SET attempt = ?2, due_ms = ?3 WHERE job_id = ?1",
		      DB_VALUES(DB_TEXT(row->job_id), DB_INT(row->attempt), DB_INT(row->due_ms)), err);
}

static int work_remove(sqlite3 *sql, void *arg, struct error *err)
{
	const struct callback_row *row = &((struct change *)arg)->row;

	return db_run(sql, "DELETE FROM callback WHERE job_id = ?1", DB_VALUES(DB_TEXT(row->job_id)), err);
}

static void change_free(struct change *c)
{
	callback_row_done(&c->row);
	free(c);
}

static void on_changed(const struct error *e, void *arg)
{
	struct change *c = arg;

	c->fn(e, c->row.job_id, c->arg);
	change_free(c);
}

static int post(struct db *db, db_work *work, const struct callback_row *row, callback_row_fn *fn, void *arg)
{
	struct change *c = alloc_bytes(sizeof(*c));

	*c = (struct change){ .row = *row, .fn = fn, .arg = arg };
	c->row.job_id = alloc_text(row->job_id);
	c->row.url = alloc_text(row->url);
	c->row.secret = alloc_text(row->secret);
	if (db_post(db, work, on_changed, c) < 0) {
		change_free(c);
		return -EAGAIN;
	}
	return 0;
}

int callback_row_add(struct db *db, const struct callback_row *row, callback_row_fn *fn, void *arg)
{
	return post(db, work_add, row, fn, arg);
}

int callback_row_set_due(struct db *db, const struct callback_row *row, callback_row_fn *fn, void *arg)
{
	return post(db, work_set_due, row, fn, arg);
}

int callback_row_remove(struct db *db, const struct callback_row *row, callback_row_fn *fn, void *arg)
{
	return post(db, work_remove, row, fn, arg);
}
