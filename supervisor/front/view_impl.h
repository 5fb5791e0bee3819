/*
 * Inside of views, between their files. Others include views.h.
 *
 *   views.c        the life of a view: where its journal comes from, how far it is, all of them
 *   view_open.c    requests, until there is a view
 *   view_send.c    one event, in the form that was asked for
 *   view_input.c   what a WebSocket client says to its job
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/front/views.h"
#include "supervisor/journal/journal.h"
#include "supervisor/queue/queue.h"

struct http_request;
struct ws;

enum { PER_ATTEMPT = 1000000 }; /* above JOURNAL_EVENTS_MAX: see views.h */

enum form { FORM_SSE, FORM_NDJSON, FORM_WS };

/* The journal of an ended job, which its views share. It takes its blob and an index as large at most. */
struct kept {
	struct kept *next, **prev;
	struct journal *journal;
	char owner[QUEUE_OWNER_BYTES];
	size_t bytes;
	unsigned references;
};

struct view {
	struct view *next, **prev;
	struct views *all;
	enum form form;
	struct http_request *rq; /* SSE, NDJSON */
	struct ws *ws;
	char key_id[33];      /* whose right it is */
	struct job_name name; /* of its job, as it was when the caller might see it */
	uint64_t seen;        /* number of the last event the client has, over all attempts */
	unsigned attempt;
	struct journal *journal; /* NULL: it does not run yet, or we are asking */
	struct kept *kept;       /* where that is of an ended job */
	struct journal_reader reader;
	view_door_fn *door; /* NULL: our own words */
	struct view_memory memory;
	size_t n_sent;    /* messages of the next event that went out already */
	bool is_recorded; /* the exit event may be shown */
	bool is_asking;   /* the queue's answer is on its way */
	bool ask_again;
	bool must_wait; /* to ask: too many do */
	bool is_late; /* SSE of a job that is over, from its middle on: the answer begins with the first event, if any */
	bool is_full; /* its job does not read what was sent: neither do we */
	bool is_over; /* ended by us, or the client is gone: nothing more is sent */
	bool is_pumping;
	unsigned references; /* the transport, whose callbacks name us; a question on its way; a pump under way */
};

struct views {
	const struct views_env *env;
	struct view *first;
	struct kept *kept;
	unsigned n_asking;
	uv_timer_t tick;
	uv_timer_t input_tick; /* while one is_full */
	unsigned ticks;
};

/* ---- views.c ---- */

/* It is complete: into the list, and to its journal, or to the question where that is. */
void view_begin(struct view *v);
/* Send what there is and the client takes. v may be gone afterwards. */
void view_pump(struct view *v);
/* No journal, no place in the list: only its transport may still know of it. */
void view_over(struct view *v);
void view_unref(struct view *v);

/* ---- view_send.c ---- */

void view_begin_stream(struct view *v); /* the head of the answer: SSE, NDJSON */
/* 0, -ENOMEM, or what the transport says: full or gone. */
int view_send_event(struct view *v, const struct journal_event *e, uint64_t number);
size_t view_queued(const struct view *v); /* what waits for the client to read it */

/* ---- view_input.c ---- */

/* A message of its client, hostile: ws_handlers.message, arg is the view. */
void view_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg);
