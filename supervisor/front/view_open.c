/* Requests for views, until there is one: see views.h and view_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/view_impl.h"
#include "supervisor/front/views.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/queue/queue.h"

static bool start_number(struct http_request *rq, uint64_t *ret)
{
	const char *from = http_query(rq, "from"), *last = http_header(rq, "last-event-id");
	struct error e = ERROR_INIT;

	*ret = 0;
	if (last && *last) {
		if (parse_u64(last, 0, UINT64_MAX / 2, ret, &e) == 0)
			return true;
		http_error(rq, 400, "invalid_request", "Last-Event-ID", "Last-Event-ID: %s", e.text);
		return false;
	}
	if (!from)
		return true;
	if (parse_u64(from, 0, UINT64_MAX / 2, ret, &e) < 0) {
		http_error(rq, 400, "invalid_request", "from", "from: %s", e.text);
		return false;
	}
	if (*ret > 0)
		*ret -= 1; /* from is the first one wanted, seen the last one not wanted */
	return true;
}

static void on_rq_gone(struct http_request *rq, void *data)
{
	struct view *v = data;

	(void)rq;
	v->rq = NULL;
	view_over(v);
	view_unref(v);
}

static void on_ws_drain(struct ws *ws, void *data)
{
	(void)ws;
	view_pump(data);
}

static void on_ws_closed(struct ws *ws, int code, void *data)
{
	struct view *v = data;

	(void)ws;
	(void)code;
	v->ws = NULL;
	view_over(v);
	view_unref(v);
}

static void on_door_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	(void)ws;
	(void)is_text;
	(void)data;
	(void)size;
	(void)arg;
}

static const struct ws_handlers ws_handlers = { view_message, on_ws_drain, on_ws_closed };
static const struct ws_handlers door_handlers = { on_door_message, on_ws_drain, on_ws_closed };

/* A request for a view, while we ask whose job it is. */
struct opening {
	struct views *all;
	struct http_request *rq;
	char id[65];
	uint64_t seen;
	bool is_ws;
	view_door_fn *door;
};

/* is_over: the job has ended, and what is kept of it will not change. */
static void open_view(struct opening *o, const struct job_name *name, bool is_over)
{
	struct view *v = NULL;
	struct http_request *rq = o->rq;

	if (!auth_is_valid(o->all->env->auth, front_caller(rq))) {
		http_error(rq, 401, "unauthorized", NULL, "the key was revoked");
		return;
	}
	v = alloc_zeroed(1, sizeof(*v));
	v->references = 1;
	v->all = o->all;
	v->seen = o->seen;
	v->door = o->door;
	v->name = *name;
	(void)text_copy(v->key_id, sizeof(v->key_id), front_caller(rq)->key_id); /* as long as it is */
	if (o->is_ws) {
		v->form = FORM_WS;
		v->ws = http_upgrade(rq, v->door ? &door_handlers : &ws_handlers, v);
		if (!v->ws) {
			free(v);
			return;
		}
	} else {
		v->form = http_accepts(rq, "application/x-ndjson") ? FORM_NDJSON : FORM_SSE;
		v->rq = rq;
		http_on_gone(rq, on_rq_gone, v);
		v->is_late = v->form == FORM_SSE && is_over && v->seen > 0;
		if (!v->is_late)
			view_begin_stream(v);
	}
	view_begin(v);
}

static void on_opening_gone(struct http_request *rq, void *data)
{
	struct opening *o = data;

	(void)rq;
	o->rq = NULL;
}

static void on_owner(const struct error *e, const struct queue_record *r, void *arg)
{
	struct opening *o = arg;
	const struct caller *c = o->rq ? front_caller(o->rq) : NULL;
	/* not kept anywhere yet, or nobody can say at the moment: what runs here is known here */
	struct job *job =
		c && e ? engine_find_id(o->all->env->engine, caller_is_admin(c) ? NULL : c->owner, o->id) : NULL;
	struct job_name name;

	if (job) {
		name = job_name(job);
		open_view(o, &name, false);
		free(o);
		return;
	}
	if (o->rq && e && e->code != ENOENT)
		api_fail(o->rq, e);
	else if (o->rq && (e || !front_may(front_caller(o->rq), r->job.owner)))
		http_error(o->rq, 404, "not_found", "id", "there is no job '%s'", o->id);
	else if (o->rq) {
		name = job_name_make(r->space, r->job.owner, r->job.id);
		open_view(o, &name,
			  r->job.state == QUEUE_DONE || r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED);
	}
	free(o);
}

static void open_request(struct views *all, struct http_request *rq, const struct opening *what)
{
	struct opening *o = alloc_bytes(sizeof(*o));

	*o = *what;
	o->all = all;
	o->rq = rq;
	http_on_gone(rq, on_opening_gone, o);
	if (lookup_job(all->env->lookup, front_caller(rq), o->id, on_owner, o) < 0) {
		api_busy(rq);
		free(o);
	}
}

static void open_own(struct views *all, struct http_request *rq, bool is_ws)
{
	struct opening o = { .is_ws = is_ws };

	if (!start_number(rq, &o.seen))
		return;
	text_copy(o.id, sizeof(o.id), http_param(rq, "id"));
	open_request(all, rq, &o);
}

void views_events(struct views *all, struct http_request *rq)
{
	open_own(all, rq, false);
}

void views_stream(struct views *all, struct http_request *rq)
{
	open_own(all, rq, true);
}

void views_door(struct views *all, struct http_request *rq, const char *id, view_door_fn *door)
{
	struct opening o = { .is_ws = true, .door = door };

	if (parse_id(id, NULL) < 0) {
		http_error(rq, 404, "not_found", "id", "there is no such job");
		return;
	}
	text_copy(o.id, sizeof(o.id), id);
	open_request(all, rq, &o);
}
