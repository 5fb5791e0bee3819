/*
 * Answers of the daemon as tables: rows of JSON objects under columns as wide as what is in them. Whatever came from
 * others is cleaned of what a terminal would obey.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct invocation;

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER, /* to the right */
	COLUMN_TIME,   /* "2026-01-31T12:00:00.123Z" as "2026-01-31 12:00:00" */
	COLUMN_BYTES,
	COLUMN_LIST,   /* of strings: "a,b" */
	COLUMN_OBJECT, /* what is not 0 in it: "a=1 b=2" */
};

/* A table of them ends with a row without a title. */
struct column {
	const char *title, *key;
	enum column_kind kind;
};

/* rows: an array of objects, borrowed. A column in which no row has anything is left out. */
void listing_print(const struct column *columns, const json_t *rows);

/* An object as lines "key  value"; nested ones below, with their keys in front; skip: keys to leave out,
 * NULL-terminated. */
void listing_print_object(const json_t *object, const char *const *skip);

/*
 * Fetch pages until enough rows are there or no more come, and print them: as a table, or with --json as one object
 * {KEY: [...]}, where KEY is what the daemon calls the list.
 *
 * queries  pairs of name and value (a NULL value is left out), ending with a NULL name; may be NULL
 * limit    as it was typed; NULL: 50
 * empty    what to say when there are none
 * Returns the exit status.
 */
int listing_run(struct invocation *v, const char *path, const char *const *queries, const char *limit, const char *key,
		const struct column *columns, const char *empty);

/* One JSON document on a line. Takes no reference. */
void listing_print_json(const json_t *value);
