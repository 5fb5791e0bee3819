/*
 * What the parts of the database module share: db.c (thread and batches), db_file.c (the file), db_sql.c
 * (statements).
 *
 * Runs in: front, on the loop and on the database thread.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

/* ---- db_file.c ---- */

/* The file, open and locked. Storage of the caller. */
struct db_file {
	int dir_fd;  /* owned */
	int lock_fd; /* owned; cubit.db-lock, flock(2) held */
	sqlite3 *sql;
};

/* Lock, check, open, set aside what is damaged, bring up the schema. See db_open(). */
int db_file_open(struct db_file *ret, int dir_fd, struct error *err);

/* is_clean: everything is in the file and no damage was met; the next open need not look at every page. */
void db_file_close(struct db_file *f, bool is_clean);

/* ---- db_sql.c ---- */

/* The statements of one connection, by their text. */
struct db_cache;
struct db_cache *db_cache_new(sqlite3 *sql);
void db_cache_free(struct db_cache *cache);

/* Which cache db_prepare() uses in this thread. */
void db_cache_enter(struct db_cache *cache);

/* The work is over: reset and unbind what it used. */
void db_cache_rest(struct db_cache *cache);

/* What db_error() has met in this thread since the last call. */
struct db_trouble {
	bool is_full, is_damaged;
};
struct db_trouble db_trouble_take(void);
