/*
 * Views of a job's journal: SSE, NDJSON and WebSocket, all the same events with the same numbers.
 *
 *   number = (attempt - 1) * 1,000,000 + n: a second attempt goes on above the first, so that a client that comes back
 *   with the last number it saw gets what it has not seen.
 *
 * A view keeps a number, never a copy: a client that does not read costs its socket buffer. A finished job's journal is
 * read from the database once for all views of it, and at most two are being read at a time. The exit event of a queued
 * job is shown only once its result is recorded, so what clients saw is what is kept.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct auth;
struct engine;
struct error;
struct http_request;
struct job;
struct job_name;
struct journal_event;
struct lookup_env;
struct sources;
struct views;

/* What is needed of the node. Borrowed, and so is what it names, for the life of the process. */
struct views_env {
	uv_loop_t *loop;
	struct engine *engine;
	const struct auth *auth; /* asked while requests are served */
	const struct sources *sources;
	const struct lookup_env *lookup;
	bool has_other_nodes; /* a job may begin and end where nobody tells us */
};

/* For the life of the process. */
struct views *views_new(const struct views_env *env);

/*
 * GET /v1/jobs/{id}/events and WS /v1/jobs/{id}/stream: answers rq, now or by and by.
 * kind by the request: Accept: application/x-ndjson, otherwise SSE; WebSocket by its route.
 */
void views_events(struct views *all, struct http_request *rq);
void views_stream(struct views *all, struct http_request *rq);

/*
 * A WebSocket in the words of another door. From the first event on, one way: what the client says is ignored. Closed
 * with 1000 after the end, with 1008 when the job is gone.
 */
struct view_memory {    /* what a door keeps between the events of one attempt; zero before the first */
	char cut[2][4]; /* stdout, stderr: the beginning of a character whose rest has not come yet */
	uint8_t n_cut[2];
	bool is_running;
};
/*
 * Append the messages of one event to `messages`, as JSON objects and in order; none is fine. Pure: asked again for an
 * event whose messages could not all be sent. An exit event comes last, also for jobs that never ran (then with status
 * and reason only). Returns 0 or -ENOMEM.
 */
typedef int view_door_fn(json_t *messages, const char *job_id, const struct journal_event *e,
			 struct view_memory *memory);
/* id: from the request, hostile. Answers rq, now or by and by. */
void views_door(struct views *all, struct http_request *rq, const char *id, view_door_fn *door);

/* What happens to jobs. */
void views_started(struct views *all, struct job *job);
void views_recorded(struct views *all, const struct job_name *name); /* its result is durable */
void views_returned(struct views *all, const struct job_name *name,
		    unsigned attempt); /* it will run again, or is dead */

/* A key is gone: every view that was opened with it ends, and with it what it could say to the job. */
void views_revoke(struct views *all, const char *key_id);
