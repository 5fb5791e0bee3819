/*
 * Doors that exist already in the world: their old clients work here unchanged. Each is a thin view over the one core:
 * the same gate, the same submission as POST /v1/jobs, the same journals.
 *
 *   stream engine  POST /api/run {code, language} -> 202 {job_id, status}; WS /api/ws?job_id=
 *   code cell      POST /run {jobId?, language, source} -> {jobId}; WS /stream/{jobId}, /stream?jobId=
 *   tRPC v11       POST /trpc/runCode {language, source} -> {jobId}, or several; streams: the code cell's
 *
 * Fields that a door does not know are ignored. Languages are names and aliases of runtimes.
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "supervisor/front/submit.h"
#include "supervisor/front/views.h"

struct http_request;
struct journal_event;

/* ---- handlers ---- */

void stream_engine_run(struct http_request *rq);
void stream_engine_ws(struct http_request *rq);
void code_cell_run(struct http_request *rq);
void code_cell_ws(struct http_request *rq); /* by path or query */
void trpc_call(struct http_request *rq);

/* ---- messages; for tests ---- */

view_door_fn stream_engine_messages, code_cell_messages;

/* ---- what they share ---- */

enum {
	CODE_CELL_SOURCE_MAX = 32000, /* characters as JavaScript counts them: UTF-16 units */
	DOOR_BATCH_MAX = 100,         /* jobs of one request */
};

/* A foreign document, its depth and number of values bounded; NULL when it is no JSON object. Owned. */
json_t *door_object(const char *text, size_t size);

/* UTF-16 units of valid UTF-8. */
size_t door_utf16_length(const char *text, size_t size);

/* Why a door refuses a request itself: 400. field NULL: the whole. */
void door_refuse(struct refusal *ret, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A program as doors take them: two texts of `body`, by the names that the door has for them. */
struct door_program {
	const char *language_field, *source_field;
	size_t source_max; /* UTF-16 units; 0: only the body's bound */
	const char *name;  /* that the client gave; NULL none. Then names.key is made of it */
	struct submit_names names;
};

/* Checks and queues it: returns and calls fn as submit_job() does. */
int door_submit(const struct submit_env *env, const struct caller *caller, const json_t *body,
		const struct door_program *p, submit_fn *fn, void *arg, struct refusal *why);

/* For doors whose request is one program. reply: answers rq, when it is durable. Answers refusals itself. */
typedef void door_reply_fn(struct http_request *rq, const char *id);
void door_run(struct http_request *rq, const json_t *body, const struct door_program *p, door_reply_fn *reply);

/*
 * A piece of output as JSON text. What is no UTF-8 becomes U+FFFD; a character that was cut off waits in memory for its
 * rest, unless this is the end. stream: 0 stdout, 1 stderr. Returns 0 with ret owned, or NULL when there is nothing to
 * show (yet); -ENOMEM.
 */
int door_text(struct view_memory *memory, unsigned stream, const char *data, size_t size, bool is_end, json_t **ret);

/* Append a message that may be NULL for want of memory. Takes its reference. */
int door_say(json_t *messages, json_t *owned);
