/*
 * Where callbacks are kept: one row a job in the front's database, from before the job is acknowledged until its result
 * was delivered or given up. Holds secrets; the file is the front's alone (0600).
 *
 * The functions are posted to the database thread and answered on the loop, in order.
 *
 * Runs in: front.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct db;
struct error;

struct callback_row {
	char *job_id, *url, *secret; /* owned; secret "" for none */
	unsigned attempt;            /* tries that were made */
	uint64_t due_ms, armed_ms;   /* since 1970 */
};

void callback_row_done(struct callback_row *row);

/* Bring the table up, and read all of it. rows are borrowed, but what fn sets to NULL in one it keeps. */
typedef void callback_load_fn(const struct error *e, struct callback_row *rows, size_t n, void *arg);
int callback_rows_load(struct db *db, callback_load_fn *fn, void *arg);

/* row is copied. Each returns 0, or -EAGAIN, -ENOMEM; then fn is not called. fn gets the id of the row, borrowed. */
typedef void callback_row_fn(const struct error *e, const char *job_id, void *arg);
int callback_row_add(struct db *db, const struct callback_row *row, callback_row_fn *fn, void *arg);
int callback_row_set_due(struct db *db, const struct callback_row *row, callback_row_fn *fn,
			 void *arg); /* attempt and due_ms */
int callback_row_remove(struct db *db, const struct callback_row *row, callback_row_fn *fn, void *arg);
