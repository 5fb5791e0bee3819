/* Looking: one job with its result, and lists. See queue.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

enum { LIST_MAX = 200, CURSOR_BYTES = 24 };

/* ---- get ---- */

struct get_op {
	struct op op;
	char id[QUEUE_ID_BYTES];
	char owner[QUEUE_OWNER_BYTES], key[QUEUE_KEY_BYTES]; /* instead of the id; "" not */
	bool with_journal;
	struct queue_record record; /* its pointers are owned */
	queue_get_fn *fn;
	void *arg;
};

/* A copy of a blob, with a NUL behind it; NULL is an error only when there is one. */
static int copy_blob(sqlite3_stmt *st, int column, char **ret, size_t *ret_size, struct error *err)
{
	const void *blob;
	size_t size;
	char *copy;

	if (sqlite3_column_type(st, column) == SQLITE_NULL)
		return 0; /* of the outer join: no result */
	blob = sqlite3_column_blob(st, column);
	size = (size_t)sqlite3_column_bytes(st, column);
	if (size && !blob) /* SQLite's own want */
		return error_set(err, ENOMEM, "no memory for a result of %zu bytes", size);
	copy = alloc_bytes(size + 1);
	if (size)
		memcpy(copy, blob, size);
	copy[size] = '\0';
	*ret = copy;
	*ret_size = size;
	return 0;
}

#define GET                                                                                                            \
	"SELECT " ROW_COLUMNS ", spec.json, result.json, result.journal FROM job JOIN spec USING (seq) "               \
	"LEFT JOIN result USING (seq) WHERE "

static sqlite3_stmt *select_job(sqlite3 *sql, const struct get_op *o, struct error *err)
{
	if (!*o->key)
		return db_query(sql, GET "job.id = ?1", DB_VALUES(DB_TEXT(o->id)), err);
	return db_query(sql, GET "job.owner = ?1 AND job.key = ?2 AND job.key <> ''",
			DB_VALUES(DB_TEXT(o->owner), DB_TEXT(o->key)), err);
}

static int get_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct get_op *o = arg;
	struct queue_record *r = &o->record;
	struct error e = ERROR_INIT;
	char *result = NULL, *journal = NULL;
	sqlite3_stmt *st = select_job(sql, o, &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc == 0)
		rc = error_set(&e, ENOENT, "no job '%s'", o->id);
	if (rc > 0)
		rc = row_read(st, true, &r->job, &e);
	if (rc == 0)
		rc = copy_blob(st, ROW_N_COLUMNS + 1, &result, &r->result_size, &e);
	if (rc == 0 && o->with_journal)
		rc = copy_blob(st, ROW_N_COLUMNS + 2, &journal, &r->journal_size, &e);
	r->result = result;
	r->journal = journal;
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
}

static void get_done(const struct error *e, void *arg)
{
	struct get_op *o = arg;

	op_end(&o->op, e);
	o->fn(e, e ? NULL : &o->record, o->arg);
	free((void *)o->record.job.spec);
	free((void *)o->record.result);
	free((void *)o->record.journal);
	op_free(&o->op);
}

static int get_post(struct get_op *o, queue_get_fn *fn, void *arg)
{
	int rc;

	o->fn = fn;
	o->arg = arg;
	rc = op_read(&o->op, get_work, get_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}

int queue_get(struct queue *q, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct get_op *o = op_new(q, sizeof(*o));

	(void)text_copy(o->id, sizeof(o->id), id); /* too long: "", which no job is called */
	o->with_journal = with_journal;
	return get_post(o, fn, arg);
}

int queue_get_key(struct queue *q, const char *owner, const char *key, queue_get_fn *fn, void *arg)
{
	struct get_op *o = op_new(q, sizeof(*o));

	(void)text_copy(o->owner, sizeof(o->owner), owner); /* too long: "", and then no job is found, as below */
	(void)text_copy(o->key, sizeof(o->key), key);
	return get_post(o, fn, arg);
}

/* ---- names ---- */

struct job_name job_name_make(enum queue_space space, const char *owner, const char *id)
{
	struct job_name n = { .space = space };

	(void)text_copy(n.owner, sizeof(n.owner), owner);
	(void)text_copy(n.id, sizeof(n.id), id);
	return n;
}

bool job_name_equal(const struct job_name *a, const struct job_name *b)
{
	return a->space == b->space && strcmp(a->id, b->id) == 0 && strcmp(a->owner, b->owner) == 0;
}

/* ---- list ---- */

struct list_op {
	struct op op;
	char owner[QUEUE_OWNER_BYTES], cursor[CURSOR_BYTES], next[CURSOR_BYTES];
	bool has_owner;
	int state;
	size_t limit;
	struct jobs jobs;
	queue_list_fn *fn;
	void *arg;
};

/*
 * ?1 below this seq, ?2 as many, ?3 state, ?4 owner. Each follows one index from its newest end. An owner's jobs of
 * all states are five such walks, of which the newest are kept.
 */
#define LIST(where) "SELECT " ROW_COLUMNS ", job.seq FROM job WHERE " where " ORDER BY job.seq DESC LIMIT ?2"
#define NEWEST(state)                                                                                                  \
	"SELECT seq FROM (SELECT seq FROM job WHERE owner = ?4 AND state = " #state                                    \
	" AND seq < ?1 ORDER BY seq DESC LIMIT ?2)"

static const char *const list_statements[2][2] = {
	/* [is there an owner][is there a state] */
	{ LIST("seq < ?1"), LIST("state = ?3 AND seq < ?1") },
	{ LIST("seq IN (" NEWEST(0) " UNION ALL " NEWEST(1) " UNION ALL " NEWEST(2) " UNION ALL " NEWEST(
		  3) " UNION ALL " NEWEST(4) ")"),
	  LIST("owner = ?4 AND state = ?3 AND seq < ?1") },
};

static int read_page(sqlite3 *sql, struct list_op *o, sqlite3_stmt *st, struct error *err)
{
	sqlite3_int64 last = 0;

	for (;;) {
		struct queue_job *job;
		int rc = db_step(sql, st, err);

		if (rc <= 0)
			return rc;
		if (o->jobs.n == o->limit) { /* one more: there is a next page */
			(void)snprintf(o->next, sizeof(o->next), "%lld", (long long)last);
			return 0;
		}
		job = jobs_add(&o->jobs);
		rc = row_read(st, false, job, err);
		if (rc < 0)
			return rc;
		last = sqlite3_column_int64(st, ROW_N_COLUMNS);
	}
}

static int list_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct list_op *o = arg;
	uint64_t below = INT64_MAX;
	struct error e = ERROR_INIT;
	sqlite3_stmt *st;

	if (o->cursor[0] && parse_u64(o->cursor, 1, INT64_MAX, &below, NULL) < 0)
		return error_set(err, EINVAL, "cursor: this is not a cursor that a list returned");
	if (o->state >= QUEUE_STATES || o->limit < 1 || o->limit > LIST_MAX)
		return error_set(err, EINVAL, "limit: 1 to %d", LIST_MAX);
	st = db_query(sql, list_statements[o->has_owner][o->state >= 0], DB_VALUES(DB_INT(below), DB_INT(o->limit + 1)),
		      &e);
	if (!st)
		return error_set(err, e.code, "%s", e.text);
	/* the statement may know fewer: those it does not know are out of range, which is no failure */
	(void)sqlite3_bind_int(st, 3, o->state);
	(void)sqlite3_bind_text(st, 4, o->owner, -1, SQLITE_STATIC);
	return read_page(sql, o, st, err);
}

static void list_done(const struct error *e, void *arg)
{
	struct list_op *o = arg;

	op_end(&o->op, e);
	o->fn(e, o->jobs.list, e ? 0 : o->jobs.n, e ? "" : o->next, o->arg);
	jobs_done(&o->jobs);
	op_free(&o->op);
}

int queue_list(struct queue *q, const struct queue_filter *f, queue_list_fn *fn, void *arg)
{
	struct list_op *o = op_new(q, sizeof(*o));
	int rc;

	o->has_owner = f->owner != NULL;
	if (f->owner)
		(void)text_copy(o->owner, sizeof(o->owner), f->owner); /* too long: "", which owns nothing */
	if (f->cursor && text_copy(o->cursor, sizeof(o->cursor), f->cursor) < 0)
		(void)text_copy(o->cursor, sizeof(o->cursor), "?"); /* too long: as wrong as any */
	o->state = f->state;
	o->limit = f->limit;
	o->fn = fn;
	o->arg = arg;
	rc = op_read(&o->op, list_work, list_done);
	if (rc < 0)
		op_free(&o->op);
	return rc;
}
