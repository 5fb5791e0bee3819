/*
 * Views of a job's journal: SSE, NDJSON and WebSocket, all the same events with the same numbers.
 *
 *   number = (attempt - 1) * 1,000,000 + n: a second attempt goes on above the first, so that a client that comes back
 *   with the last number it saw gets what it has not seen.
 *
 * A view keeps a number, never a copy: a client that does not read costs its socket buffer. The exit event of a queued
 * job is shown only once its result is recorded, so what clients saw is what is kept.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdint.h>

struct error;
struct front;
struct http_request;
struct job;

int views_new(struct front *f, struct error *err); /* sets f->views */
void views_free(struct front *f);

/*
 * GET /v1/jobs/{id}/events and WS /v1/jobs/{id}/stream: answers rq, now or by and by.
 * kind by the request: Accept: application/x-ndjson, otherwise SSE; WebSocket by its route.
 */
void views_events(struct http_request *rq);
void views_stream(struct http_request *rq);

/* What happens to jobs. */
void views_started(struct front *f, struct job *job);
void views_recorded(struct front *f, const char *id);                   /* its result is durable */
void views_returned(struct front *f, const char *id, unsigned attempt); /* it will run again, or is dead */

unsigned views_count(const struct front *f);
