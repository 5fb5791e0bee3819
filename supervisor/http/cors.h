/*
 * Pages of other origins: the fields of CORS, for the origins that http_options lists. A browser lets such a page read
 * answers then, also those that refuse. A page of ours needs none of it, and one of an unlisted origin gets none.
 *
 * No credentials: a page elsewhere brings a key of its own and does not act with the session of whoever looks at it.
 * Runs in: front.
 * The protocol: https://fetch.spec.whatwg.org, "HTTP-CORS-protocol".
 */
#pragma once

#include <stdbool.h>

struct http_request;

/* Is it one of the list of further origins? */
bool cors_is_listed(const struct http_request *rq, const char *origin);

/* Once the head is there: the fields of every answer. */
void cors_begin(struct http_request *rq);

/* An OPTIONS: the further fields of a preflight, if it is one. allow: the methods of its path. */
void cors_preflight(struct http_request *rq, const char *allow);
