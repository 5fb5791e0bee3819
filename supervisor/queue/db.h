/*
 * The front's database: SQLite in WAL mode, on a thread of its own. Work is posted from the loop, done on the thread
 * in batches (group commit: everything posted while one batch is committed goes into the next), and answered on the
 * loop after the commit, in the order of posting. What nobody waits for can wait for company (db_post_later). So "answered" means durable (synchronous=FULL), and a thousand
 * requests cost a few fsyncs.
 *
 * No space left: the batch fails, each work of it is answered with ENOSPC and db_counts().is_full is set; serving goes
 * on, and the thread tries once a second whether there is room again. Reads are answered all the time.
 *
 * Runs in: front. Only the functions of type db_work run on the thread; they may use nothing but the connection and
 * their own argument. https://sqlite.org/wal.html
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct error;
struct db;

/* On the thread, inside the batch's transaction and a savepoint of its own (a failure undoes only this). 0 or -errno.
 */
typedef int db_work(sqlite3 *sql, void *arg, struct error *err);
/* On the loop, once, after the commit: e is NULL when it is durable. Frees arg. */
typedef void db_done(const struct error *e, void *arg);

enum { DB_WAITING_MAX = 8192 }; /* posted and not yet answered */

/*
 * Open or create dir_fd/cubit.db (0600), bring its schema to the present version. A file that is damaged is set aside
 * (cubit.db.damaged-TIME) with an error in the log and a new one begun: serving goes on. Every page is looked at when
 * the last life did not end with db_close(); the file cubit.db-lock, there from db_open() to db_close(), says so. It
 * also keeps a second process away: -EBUSY, after 3 s of trying.
 *
 * loop    borrowed; kept alive only while something waits for its answer
 * dir_fd  borrowed for the call
 * ret     db_close()
 *
 * Blocks (start-up only). -ENOTSUP: a newer version made this file.
 */
int db_open(uv_loop_t *loop, int dir_fd, struct db **ret, struct error *err);

/* Finish what was posted, checkpoint, close. Then done (may be NULL) on the loop. Nothing may be posted any more. */
void db_close(struct db *db, void (*done)(void *arg), void *arg);

/* Returns 0, or -EAGAIN when too much is waiting or the database is closing: then neither function is called. */
int db_post(struct db *db, db_work *work, db_done *done, void *arg);

/*
 * The same for what nobody waits for: it goes into the commit of whatever is posted next, and has one of its own when
 * nothing comes within DB_LATER_MS. A process that dies, or a machine, loses it until then.
 */
enum { DB_LATER_MS = 50 };
int db_post_later(struct db *db, db_work *work, db_done *done, void *arg);

/*
 * The same without a transaction: reads only. Sees everything that was posted before it and is durable (and perhaps
 * what was posted shortly after it: reads of a batch run when its writes are committed).
 */
int db_read(struct db *db, db_work *work, db_done *done, void *arg);

/* Post a read and wait for it: for start-up, before the loop serves. 0 or what the work returned. */
int db_call(struct db *db, db_work *work, void *arg, struct error *err);

/* The loop that answers. */
uv_loop_t *db_loop(const struct db *db);

struct db_counts {
	uint64_t commits, works, waiting, failures; /* failures: batches that could not be committed */
	uint64_t last_commit_ns;                    /* how long the last commit took, its fsync included */
	bool is_full;                               /* no space left: /readyz says so */
	bool is_damaged;                            /* a damaged page was met: the next db_open looks at them all */
};
void db_counts(const struct db *db, struct db_counts *ret);

/* ---- for works ---- */

/* A value for a statement; the text or blob is borrowed until the work is over. DB_VALUES(DB_INT(1), DB_TEXT("x")) */
struct db_value {
	enum { DB_END_, DB_INT_, DB_TEXT_, DB_BLOB_ } kind;
	int64_t num; /* or the size of the blob */
	const void *data;
};
#define DB_INT(v)                                                                                                      \
	{                                                                                                              \
		.kind = DB_INT_, .num = (int64_t)(v)                                                                   \
	}
#define DB_TEXT(v)                                                                                                     \
	{                                                                                                              \
		.kind = DB_TEXT_, .data = (v)                                                                          \
	} /* NULL: the SQL NULL */
#define DB_BLOB(v, size)                                                                                               \
	{                                                                                                              \
		.kind = DB_BLOB_, .data = (v), .num = (int64_t)(size)                                                  \
	}
#define DB_VALUES(...) ((const struct db_value[]){ __VA_ARGS__, { .kind = DB_END_ } })

/*
 * A prepared statement, cached by its text for the life of the connection; reset and unbound. NULL with err filled.
 * Only inside a work; it belongs to that work until it ends or prepares the same text again.
 */
sqlite3_stmt *db_prepare(sqlite3 *sql, const char *text, struct error *err);

/* Prepare and bind ?1, ?2, ... values may be NULL. NULL with err filled. */
sqlite3_stmt *db_query(sqlite3 *sql, const char *text, const struct db_value *values, struct error *err);

/* 1 a row, 0 the end, or -errno. */
int db_step(sqlite3 *sql, sqlite3_stmt *statement, struct error *err);

/* Prepare, bind and run to the end. Returns how many rows were changed (of a SELECT: nothing of meaning), or -errno. */
int db_run(sqlite3 *sql, const char *text, const struct db_value *values, struct error *err);

/* SQLITE_* as -errno with err filled: FULL -ENOSPC, BUSY -EBUSY, CORRUPT -EIO, a UNIQUE CONSTRAINT -EEXIST, ... */
int db_error(sqlite3 *sql, int code, const char *what, struct error *err);
