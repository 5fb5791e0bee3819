/* Statements and errors of SQLite: see db.h. The cache belongs to the database thread, found through a thread-local. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/db_impl.h"

enum {
	CACHE_SLOTS = 256, /* open addressing: never quite full */
	CACHE_FULL = 224,
	CACHE_KEEP = 128, /* more between works: it is emptied, so that one work has the rest */
};

struct slot {
	sqlite3_stmt *st; /* its text is sqlite3_sql() */
	uint32_t hash;
	bool is_used; /* by the present work */
};

struct db_cache {
	sqlite3 *sql;
	struct slot slots[CACHE_SLOTS];
	size_t n;
	struct slot *used[CACHE_FULL];
	size_t n_used;
};

static _Thread_local struct db_cache *current;
static _Thread_local struct db_trouble trouble;

/* ---- the cache ---- */

struct db_cache *db_cache_new(sqlite3 *sql)
{
	struct db_cache *cache = alloc_zeroed(1, sizeof(*cache));

	cache->sql = sql;
	return cache;
}

static void drop_all(struct db_cache *cache)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		(void)sqlite3_finalize(cache->slots[i].st); /* repeats the error of its last step */
	memset(cache->slots, 0, sizeof(cache->slots));
	cache->n = cache->n_used = 0;
}

void db_cache_free(struct db_cache *cache)
{
	if (!cache)
		return;
	drop_all(cache);
	free(cache);
}

void db_cache_enter(struct db_cache *cache)
{
	current = cache;
}

void db_cache_rest(struct db_cache *cache)
{
	for (size_t i = 0; i < cache->n_used; i++) {
		(void)sqlite3_reset(cache->used[i]->st); /* repeats the error of its last step */
		(void)sqlite3_clear_bindings(cache->used[i]->st);
		cache->used[i]->is_used = false;
	}
	cache->n_used = 0;
	/* texts made at run time filled it: begin anew, now that nobody holds one */
	if (cache->n > CACHE_KEEP)
		drop_all(cache);
}

static uint32_t hash_text(const char *text)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* The slot that has the text, or the empty one where it belongs. */
static struct slot *find(struct db_cache *cache, const char *text)
{
	uint32_t hash = hash_text(text);

	for (size_t i = hash % CACHE_SLOTS;; i = (i + 1) % CACHE_SLOTS) {
		struct slot *s = &cache->slots[i];

		if (!s->st)
			s->hash = hash;
		if (!s->st || (s->hash == hash && strcmp(sqlite3_sql(s->st), text) == 0))
			return s;
	}
}

sqlite3_stmt *db_prepare(sqlite3 *sql, const char *text, struct error *err)
{
	struct slot *s;
	int rc;

	assert(current && current->sql == sql); /* only inside a work */
	s = find(current, text);
	if (!s->st) {
		if (current->n == CACHE_FULL) {
			(void)error_set(err, E2BIG, "one work uses more than %d statements", CACHE_FULL - CACHE_KEEP);
			return NULL;
		}
		rc = sqlite3_prepare_v3(sql, text, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL);
		if (rc != SQLITE_OK) {
			(void)db_error(sql, rc, text, err);
			return NULL;
		}
		current->n++;
	} else if (s->is_used) {
		(void)sqlite3_reset(s->st); /* repeats the error of its last step */
		(void)sqlite3_clear_bindings(s->st);
	}
	if (!s->is_used) {
		s->is_used = true;
		current->used[current->n_used++] = s;
	}
	return s->st;
}

static int bind_value(sqlite3_stmt *st, int i, const struct db_value *v)
{
	switch (v->kind) {
	case DB_INT_:
		return sqlite3_bind_int64(st, i, v->num);
	case DB_TEXT_:
		return sqlite3_bind_text(st, i, v->data, -1, SQLITE_STATIC); /* NULL binds the SQL NULL */
	case DB_BLOB_:
		/* no bytes are an empty blob, not the SQL NULL */
		return sqlite3_bind_blob64(st, i, v->data ? v->data : "", (sqlite3_uint64)v->num, SQLITE_STATIC);
	case DB_END_:
		break;
	}
	return SQLITE_MISUSE;
}

sqlite3_stmt *db_query(sqlite3 *sql, const char *text, const struct db_value *values, struct error *err)
{
	sqlite3_stmt *st = db_prepare(sql, text, err);

	if (!st || !values)
		return st;
	for (int i = 0; values[i].kind != DB_END_; i++) {
		int rc = bind_value(st, i + 1, &values[i]);

		if (rc != SQLITE_OK) {
			(void)db_error(sql, rc, text, err);
			return NULL;
		}
	}
	return st;
}

int db_step(sqlite3 *sql, sqlite3_stmt *statement, struct error *err)
{
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return db_error(sql, rc, sqlite3_sql(statement), err);
}

int db_run(sqlite3 *sql, const char *text, const struct db_value *values, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql, text, values, &e);
	int rc = st ? 1 : -e.code;

	while (rc > 0)
		rc = db_step(sql, st, &e);
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	(void)sqlite3_reset(st); /* it ended well: so does this */
	return sqlite3_changes(sql);
}

/* ---- errors ---- */

static const struct {
	int code; /* extended or primary */
	int error;
} codes[] = {
	{ SQLITE_CONSTRAINT_UNIQUE, EEXIST },
	{ SQLITE_CONSTRAINT_PRIMARYKEY, EEXIST },
	{ SQLITE_CONSTRAINT_ROWID, EEXIST },
	{ SQLITE_CONSTRAINT, EINVAL },
	{ SQLITE_FULL, ENOSPC },
	{ SQLITE_BUSY, EBUSY },
	{ SQLITE_LOCKED, EBUSY },
	{ SQLITE_CORRUPT, EIO },
	{ SQLITE_NOTADB, EIO },
	{ SQLITE_IOERR, EIO },
	{ SQLITE_IOERR_NOMEM, ENOMEM },
	{ SQLITE_NOMEM, ENOMEM },
	{ SQLITE_READONLY, EROFS },
	{ SQLITE_PERM, EACCES },
	{ SQLITE_AUTH, EACCES },
	{ SQLITE_CANTOPEN, EIO },
	{ SQLITE_TOOBIG, E2BIG },
	{ SQLITE_INTERRUPT, EINTR },
	{ SQLITE_MISUSE, EINVAL },
	{ SQLITE_RANGE, EINVAL },
	{ SQLITE_MISMATCH, EINVAL },
	{ SQLITE_ERROR, EINVAL },
};

/* The errno of the last failure of the log or the file. sqlite3_system_errno() does not know it of a commit. */
static bool is_no_space(sqlite3 *sql)
{
	static const int files[] = { SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		sqlite3_file *f = NULL;
		int e = 0;

		if (sqlite3_file_control(sql, "main", files[i], &f) != SQLITE_OK || !f || !f->pMethods ||
		    f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &e) != SQLITE_OK)
			continue;
		/* a quota and RLIMIT_FSIZE are no space as well; SQLite itself only knows ENOSPC */
		if (e == ENOSPC || e == EDQUOT || e == EFBIG)
			return true;
	}
	return false;
}

static int errno_of(sqlite3 *sql, int code)
{
	int primary = code & 0xff;

	if (primary == SQLITE_IOERR && sql && is_no_space(sql))
		return ENOSPC;
	if (primary == SQLITE_CANTOPEN && sql && sqlite3_system_errno(sql) > 0)
		return sqlite3_system_errno(sql);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].error;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == primary)
			return codes[i].error;
	return EIO;
}

int db_error(sqlite3 *sql, int code, const char *what, struct error *err)
{
	/* the connection says more, when the code is of its last call */
	int extended =
		sql && (sqlite3_extended_errcode(sql) & 0xff) == (code & 0xff) ? sqlite3_extended_errcode(sql) : code;
	int e = errno_of(sql, extended);
	const char *text =
		sql && extended == sqlite3_extended_errcode(sql) ? sqlite3_errmsg(sql) : sqlite3_errstr(code);

	trouble.is_full |= e == ENOSPC;
	trouble.is_damaged |= (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
	return error_set(err, e, "%s: %s", what, text);
}

struct db_trouble db_trouble_take(void)
{
	struct db_trouble taken = trouble;

	trouble = (struct db_trouble){ .is_full = false };
	return taken;
}
