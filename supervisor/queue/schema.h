/*
 * Tables and their versions. Each subject (the queue, keys, ...) has a list of steps: step i brings version i to
 * i + 1. A step that was released is never edited; a change is a new step at the end. What version a file has is in
 * its table `schema_version`.
 *
 * Pure SQL; runs where the connection is: at db_open(), or in a db_work.
 */
#pragma once

#include <sqlite3.h>
#include <stddef.h>

struct error;

struct schema {
	const char *subject;
	const char *const *steps; /* one or more statements each */
	size_t n_steps;
};

extern const struct schema queue_schema;

/*
 * Inside a transaction of the caller: make the tables, or bring them to the present version.
 * Returns 0, or -errno: -ENOTSUP the file is from a newer version.
 */
int schema_bring_up(sqlite3 *sql, const struct schema *schema, struct error *err);
