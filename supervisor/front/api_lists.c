/*
 * Lists of jobs and of dead letters, from every source: one space of names after the other, each the newest first. A
 * source that cannot be asked leaves a word in the answer, unless the client asked for this one alone.
 *
 * The cursor is INDEX:CURSOR, of the source that goes on and what it said itself.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_job_json.h"
#include "supervisor/front/api_source.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/queue/queue.h"

enum { CURSOR_BYTES = 96, PAGE = 50, PAGE_MAX = 200 };

struct listing {
	struct http_request *rq; /* NULL: its client left */
	struct front *front;
	struct source_choice choice;
	char owner[QUEUE_OWNER_BYTES], cursor[CURSOR_BYTES];
	bool has_owner, is_letters;
	int state;
	size_t limit, at; /* at: the source that is asked */
	json_t *jobs;
	char away[200]; /* of whom something is missing */
};

static void on_list(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg);

static void on_gone(struct http_request *rq, void *data)
{
	struct listing *l = data;

	(void)rq;
	l->rq = NULL;
}

/* Out of it with the request; NULL when its client left. */
static struct http_request *done(struct listing *l)
{
	struct http_request *rq = l->rq;

	json_decref(l->jobs);
	free(l);
	return rq;
}

static void answer(struct listing *l, const char *next)
{
	json_t *o = json_pack("{s:O,s:s,s:s*}", "jobs", l->jobs, "next", next, "incomplete", *l->away ? l->away : NULL);
	struct http_request *rq = done(l);

	if (rq)
		http_reply_json(rq, 200, o);
	else
		json_decref(o);
}

static void bad_cursor(struct http_request *rq)
{
	http_error(rq, 400, "invalid_request", "cursor", "cursor: this is not a cursor that a list returned");
}

/* The list goes on without this one. True: it does not, and the client was told. */
static bool is_over(struct listing *l, int code)
{
	const struct source *s = l->front->sources.all[l->at];
	struct http_request *rq;

	if (code != EINVAL && !l->choice.is_said) {
		(void)snprintf(l->away, sizeof(l->away), "%s cannot be asked at the moment", source_word(s));
		return false;
	}
	rq = done(l);
	if (rq && code == EINVAL)
		bad_cursor(rq);
	else if (rq)
		source_away(rq, s);
	return true;
}

/* The next source that has a list of its own. It answers later, or nobody does any more: then the client was answered. */
static void ask(struct listing *l)
{
	struct front *f = l->front;

	for (; l->at < f->sources.n; l->at++, l->cursor[0] = '\0') {
		struct source *s = f->sources.all[l->at];
		const struct queue_filter filter = { .owner = l->has_owner ? l->owner : NULL,
						     .state = l->state,
						     .cursor = l->cursor,
						     .limit = l->limit - json_array_size(l->jobs) };
		int r;

		if (!source_is_chosen(f, l->at, &l->choice) ||
		    (l->is_letters && l->has_owner && s->ops->letters_are_admins))
			continue;
		r = (l->is_letters ? s->ops->letters : s->ops->list)(s->self, &filter, on_list, l);
		if (r == 0 || is_over(l, -r))
			return;
	}
	answer(l, "");
}

static void on_list(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg)
{
	struct listing *l = arg;
	char cursor[CURSOR_BYTES];

	if (e && is_over(l, e->code))
		return;
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(l->jobs, api_job_row(&jobs[i]));
	if (!e && *next) {
		(void)snprintf(cursor, sizeof(cursor), "%zu:%s", l->at, next);
		answer(l, cursor);
		return;
	}
	l->at++;
	l->cursor[0] = '\0';
	if (json_array_size(l->jobs) < l->limit || source_last(l->front, &l->choice) < l->at) {
		ask(l);
		return;
	}
	(void)snprintf(cursor, sizeof(cursor), "%zu:", l->at);
	answer(l, cursor);
}

/* ---- what is asked for ---- */

static bool read_cursor(struct http_request *rq, struct listing *l)
{
	const char *text = http_query(rq, "cursor"), *colon = text ? strchr(text, ':') : NULL;
	char index[8];
	uint64_t at = 0;

	if (!text || !*text)
		return true;
	if (colon && colon - text < (ptrdiff_t)sizeof(index)) {
		memcpy(index, text, (size_t)(colon - text));
		index[colon - text] = '\0';
		if (parse_u64(index, 0, SOURCES_MAX, &at, NULL) == 0 &&
		    text_copy(l->cursor, sizeof(l->cursor), colon + 1) == 0) {
			l->at = (size_t)at;
			return true;
		}
	}
	bad_cursor(rq);
	return false;
}

static bool read_state(struct http_request *rq, struct listing *l)
{
	const char *state = http_query(rq, "state");

	l->state = -1;
	for (int i = 0; state && i < QUEUE_STATES; i++) {
		if (strcmp(state, queue_state_name((enum queue_state)i)) == 0)
			l->state = i;
	}
	if (!state || l->state >= 0)
		return true;
	http_error(rq, 400, "invalid_request", "state",
		   "state: '%s' is not one of waiting, running, done, dead, cancelled", state);
	return false;
}

static bool read_limit(struct http_request *rq, struct listing *l)
{
	const char *limit = http_query(rq, "limit");
	struct error e = ERROR_INIT;
	uint64_t n = PAGE;

	if (limit && parse_u64(limit, 1, PAGE_MAX, &n, &e) < 0) {
		http_error(rq, 400, "invalid_request", "limit", "limit: %s", e.text);
		return false;
	}
	l->limit = (size_t)n;
	return true;
}

static void list(struct http_request *rq, bool is_letters)
{
	const struct caller *c = front_caller(rq);
	const char *owner = caller_is_admin(c) ? http_query(rq, "owner") : c->owner;
	struct listing *l = alloc_bytes(sizeof(*l)),
		       asked = { .rq = rq, .front = front_of(rq), .is_letters = is_letters };

	asked.has_owner = owner != NULL;
	if (owner)
		(void)text_copy(asked.owner, sizeof(asked.owner), owner); /* too long: "", which owns nothing */
	if (!source_choose(rq, is_letters, &asked.choice) || !read_limit(rq, &asked) || !read_state(rq, &asked) ||
	    !read_cursor(rq, &asked)) {
		free(l);
		return;
	}
	asked.jobs = json_array();
	*l = asked;
	http_on_gone(rq, on_gone, l);
	ask(l);
}

void api_list_jobs(struct http_request *rq)
{
	list(rq, false);
}

void api_list_dead(struct http_request *rq)
{
	list(rq, true);
}
