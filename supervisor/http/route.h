/*
 * The route table, made ready for matching: the most exact path wins, whatever the order of the rows. Compared from the
 * left, a literal segment goes before {name}, and that before {name...}.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct http_route;
struct uri;
struct routes;

enum { ROUTE_SEGMENTS_MAX = 16 };

struct route_match {
	const struct http_route *row;
	size_t n_segments;
	struct route_segment {
		enum route_kind { ROUTE_LITERAL, ROUTE_ONE, ROUTE_REST } kind;
		size_t size;
		char text[48]; /* the literal or the name */
	} segments[ROUTE_SEGMENTS_MAX];
};

/* rows: ends with one without a method; borrowed for ever. A row that cannot be is a broken invariant (assert). */
struct routes *routes_new(const struct http_route *rows);
void routes_free(struct routes *r);

/*
 * The row for a method and path; a row with method ANY takes every one, GET takes HEAD. NULL: none, and allow says
 * which methods the path has, "GET, HEAD, OPTIONS", or is empty when it has none at all.
 */
enum { ROUTES_ALLOW_BYTES = 160 };
const struct route_match *routes_match(const struct routes *r, const char *method, const struct uri *uri,
				       char allow[ROUTES_ALLOW_BYTES]);

/* What stands in the place of {name}, decoded; NULL when the route has no such name. Lives as long as uri. */
const char *route_param(const struct route_match *m, const struct uri *uri, const char *name);

/* The next segment of a pattern: *path stands at '/' and is moved on. false at the end. For the table's readers. */
bool route_next_segment(const char **path, struct route_segment *ret);
