/*
 * Auth in the database: tables, loading, changes of keys, what owners used. Works run on the database's thread and
 * touch nothing but what was posted with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/auth/auth_impl.h"

#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/schema.h"
#include "supervisor/settings.h"

enum { USAGE_DAYS = 400 }; /* kept, for whoever wants to look */

/* sql/N_SUBJECT.sql, embedded by schema_text.S */
extern const char auth_sql_keys[], auth_sql_allow[];

static const char *const steps[] = { auth_sql_keys, auth_sql_allow };

static const struct schema auth_schema = {
	.subject = "auth",
	.steps = steps,
	.n_steps = sizeof(steps) / sizeof(steps[0]),
};

/* ---- loading -------------------------------------------------------------------------------------------------- */

struct load {
	struct auth_op op;
	uint64_t day;
	struct key_table keys;
	struct usage_table usage;
};

static void copy_column(sqlite3_stmt *st, int i, char *to, size_t room)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	(void)text_copy(to, room, text ? text : ""); /* written by us: it fits */
}

static struct key *key_of_row(sqlite3_stmt *st)
{
	struct key *key = sqlite3_column_bytes(st, 1) == KEY_HASH_BYTES ? alloc_zeroed(1, sizeof(*key)) : NULL;
	const char *allow;

	if (!key)
		return NULL;
	copy_column(st, 0, key->id, sizeof(key->id));
	memcpy(key->hash, sqlite3_column_blob(st, 1), KEY_HASH_BYTES);
	copy_column(st, 2, key->owner, sizeof(key->owner));
	key->scopes = (unsigned)sqlite3_column_int64(st, 3);
	copy_column(st, 4, key->note, sizeof(key->note));
	key->quota = (struct auth_quota){
		.jobs = (uint64_t)sqlite3_column_int64(st, 5),
		.cpu_ms_per_day = (uint64_t)sqlite3_column_int64(st, 6),
		.bytes_per_day = (uint64_t)sqlite3_column_int64(st, 7),
		.rate_per_s = (uint64_t)sqlite3_column_int64(st, 8),
		.rate_burst = (uint64_t)sqlite3_column_int64(st, 9),
	};
	key->created_ms = (uint64_t)sqlite3_column_int64(st, 10);
	key->expires_ms = (uint64_t)sqlite3_column_int64(st, 11);
	allow = (const char *)sqlite3_column_text(st, 12);
	key->is_restricted = allow && *allow;
	if (key->is_restricted && auth_allow_read(allow, &key->allow, NULL) < 0) {
		free(key); /* a key without its bounds is worse than none */
		return NULL;
	}
	return key;
}

static int load_keys(sqlite3 *sql, struct load *l, struct error *err)
{
	sqlite3_stmt *st = db_query(sql,
				    "SELECT id, hash, owner, scopes, note, jobs, cpu_ms_per_day, bytes_per_day,"
				    " rate_per_s, rate_burst, created_ms, expires_ms, allow FROM auth_key",
				    NULL, err);
	int r = st ? db_step(sql, st, err) : -EIO;

	for (; r > 0; r = db_step(sql, st, err)) {
		struct key *key = key_of_row(st);

		if (key && key_table_add(&l->keys, key) == 0)
			continue;
		free(key);
		return error_set(err, EBADMSG, "keys: one that cannot be read, or more than %d", KEYS_MAX);
	}
	return r;
}

static int load_usage(sqlite3 *sql, struct load *l, struct error *err)
{
	sqlite3_stmt *st = db_query(sql, "SELECT owner, jobs, cpu_ms, bytes FROM auth_usage WHERE day = ?1",
				    DB_VALUES(DB_INT(l->day)), err);
	int r = st ? db_step(sql, st, err) : -EIO;

	for (; r > 0; r = db_step(sql, st, err)) {
		char owner[65];
		struct usage *u;

		copy_column(st, 0, owner, sizeof(owner));
		u = usage_get(&l->usage, owner, l->day);
		u->jobs = (uint64_t)sqlite3_column_int64(st, 1);
		u->cpu_ms = (uint64_t)sqlite3_column_int64(st, 2);
		u->bytes = (uint64_t)sqlite3_column_int64(st, 3);
	}
	return r;
}

static int work_load(sqlite3 *sql, void *arg, struct error *err)
{
	struct load *l = arg;
	int r = schema_bring_up(sql, &auth_schema, err);

	if (r == 0)
		r = db_run(sql, "DELETE FROM auth_usage WHERE day < ?1", DB_VALUES(DB_INT(l->day - USAGE_DAYS)), err);
	if (r >= 0)
		r = load_keys(sql, l, err);
	if (r == 0)
		r = load_usage(sql, l, err);
	return r;
}

static void on_loaded(const struct error *e, void *arg)
{
	struct load *l = arg;
	struct auth *a = l->op.a;

	if (!e && !a->is_closing) {
		a->keys = l->keys;
		a->usage = l->usage;
		l->keys = (struct key_table){ .n = 0 };
		l->usage = (struct usage_table){ .n = 0 };
		a->is_ready = true;
		if (*a->settings->guests && !key_table_find_id(&a->keys, a->settings->guests))
			log_warning(LOG_FACTS(LOG_STR("key", a->settings->guests)),
				    "CUBIT_GUESTS names no key that there is, letting nobody in without one");
	}
	key_table_done(&l->keys);
	usage_table_done(&l->usage);
	if (!a->is_closing)
		a->ready(e, a->ready_arg);
	auth_op_end(&l->op);
	free(l);
}

int auth_store_load(struct auth *a)
{
	struct load *l = alloc_zeroed(1, sizeof(*l));

	l->day = usage_day(time_now_ms());
	auth_op_begin(&l->op, a, NULL);
	if (db_post(a->db, work_load, on_loaded, l) == 0)
		return 0;
	auth_op_end(&l->op);
	free(l);
	return -EAGAIN;
}

/* ---- what owners used ----------------------------------------------------------------------------------------- */

/* Owners of one write: the rest follows with the next. */
enum { FLUSH_MAX = 256 };

struct flush {
	struct auth_op op;
	size_t n;
	struct usage rows[FLUSH_MAX];
};

static int work_flush(sqlite3 *sql, void *arg, struct error *err)
{
	const struct flush *f = arg;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < f->n; i++) {
		const struct usage *u = &f->rows[i];

		r = db_run(sql, "INSERT OR REPLACE INTO auth_usage VALUES (?1, ?2, ?3, ?4, ?5)",
			   DB_VALUES(DB_INT(u->day), DB_TEXT(u->owner), DB_INT(u->jobs), DB_INT(u->cpu_ms),
				     DB_INT(u->bytes)),
			   err);
	}
	return r < 0 ? r : 0;
}

static void on_flushed(const struct error *e, void *arg)
{
	struct flush *f = arg;
	struct auth *a = f->op.a;

	a->is_flushing = false;
	for (size_t i = 0; e && i < f->n; i++) /* with the next job */
		usage_get(&a->usage, f->rows[i].owner, f->rows[i].day)->is_dirty = true;
	if (e)
		log_warning(LOG_FACTS(LOG_STR("error", e->text)), "cannot write what owners used, trying again later");
	else if (!a->is_closing)
		(void)auth_store_flush(a); /* what was used meanwhile */
	auth_op_end(&f->op);
	free(f);
}

static void collect_dirty(struct auth *a, struct flush *f)
{
	for (size_t i = 0; i < a->usage.n && f->n < FLUSH_MAX; i++) {
		struct usage *u = a->usage.all[i];

		if (!u->is_dirty)
			continue;
		u->is_dirty = false;
		f->rows[f->n++] = *u;
	}
}

bool auth_store_flush(struct auth *a)
{
	struct flush *f;
	size_t n = 0;

	for (size_t i = 0; i < a->usage.n; i++)
		n += a->usage.all[i]->is_dirty;
	if (n == 0 || a->is_flushing)
		return false;
	f = alloc_zeroed(1, sizeof(*f));
	collect_dirty(a, f);
	auth_op_begin(&f->op, a, NULL);
	a->is_flushing = true;
	if (db_post_later(a->db, work_flush, on_flushed, f) == 0)
		return true;
	on_flushed(&(struct error){ .code = EAGAIN, .text = "the database is behind" }, f);
	return false;
}

/* ---- keys ----------------------------------------------------------------------------------------------------- */

static int work_add_key(sqlite3 *sql, void *arg, struct error *err)
{
	const struct key_op *op = arg;
	const struct key *k = op->key;
	json_t *allow = k->is_restricted ? auth_allow_json(&k->allow) : NULL;
	cleanup_free char *text = allow ? json_dumps(allow, JSON_COMPACT) : NULL;
	int r;

	json_decref(allow);
	if (k->is_restricted && !text)
		return error_set(err, ENOMEM, "out of memory");
	r = db_run(sql, "INSERT INTO auth_key VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
		   DB_VALUES(DB_TEXT(k->id), DB_BLOB(k->hash, KEY_HASH_BYTES), DB_TEXT(k->owner), DB_INT(k->scopes),
			     DB_TEXT(k->note), DB_INT(k->quota.jobs), DB_INT(k->quota.cpu_ms_per_day),
			     DB_INT(k->quota.bytes_per_day), DB_INT(k->quota.rate_per_s), DB_INT(k->quota.rate_burst),
			     DB_INT(k->created_ms), DB_INT(k->expires_ms), DB_TEXT(text ? text : "")),
		   err);

	return r < 0 ? r : 0;
}

static int work_delete_key(sqlite3 *sql, void *arg, struct error *err)
{
	const struct key_op *op = arg;
	int r = db_run(sql, "DELETE FROM auth_key WHERE id = ?1", DB_VALUES(DB_TEXT(op->id)), err);

	return r > 0 ? 0 : r < 0 ? r : error_set(err, ENOENT, "there is no key '%s'", op->id);
}

int auth_store_add_key(struct auth *a, struct key_op *op, void (*fn)(const struct error *e, void *op))
{
	return db_post(a->db, work_add_key, fn, op);
}

int auth_store_delete_key(struct auth *a, struct key_op *op, void (*fn)(const struct error *e, void *op))
{
	return db_post(a->db, work_delete_key, fn, op);
}
