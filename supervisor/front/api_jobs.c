/* /v1/jobs: submit, look, follow, cancel. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_job_json.h"
#include "supervisor/front/api_refusal.h"
#include "supervisor/front/api_spec.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/submit.h"
#include "supervisor/front/views.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/queue/queue.h"
#include "supervisor/spec/spec.h"

/* ---- submitting ---- */

/* A client that waits until its job is durable. */
struct asker {
	struct http_request *rq; /* NULL: it left */
};

static void on_submitter_gone(struct http_request *rq, void *data)
{
	struct asker *a = data;

	(void)rq;
	a->rq = NULL;
}

static void on_submitted(const struct refusal *why, const char *id, bool is_repeat, void *arg)
{
	struct asker *a = arg;
	struct http_request *rq = a->rq;

	free(a);
	if (!rq)
		return;
	if (why) {
		api_refuse(rq, why);
		return;
	}
	if (is_repeat)
		http_set_header(rq, "Idempotency-Replayed", "true");
	http_set_header_f(rq, "Location", "/v1/jobs/%s", id);
	http_reply_json(rq, 202, json_pack("{s:s,s:s,s:s+}", "id", id, "state", "waiting", "url", "/v1/jobs/", id));
}

static bool take_key(struct http_request *rq, const char **ret)
{
	*ret = http_header(rq, "idempotency-key");
	if (!*ret || (**ret && strlen(*ret) < QUEUE_KEY_BYTES))
		return true;
	http_error(rq, 400, "invalid_request", "Idempotency-Key", "Idempotency-Key: 1 to %d characters",
		   QUEUE_KEY_BYTES - 1);
	return false;
}

void api_submit(struct http_request *rq)
{
	struct submit_names names = { .key = NULL };
	struct job_spec *spec = take_key(rq, &names.key) ? api_spec(rq, true) : NULL;
	struct asker *a;
	struct refusal why;
	int r;

	if (!spec)
		return;
	a = alloc_zeroed(1, sizeof(*a));
	a->rq = rq;
	r = submit_job(&front_of(rq)->submit, front_caller(rq), spec, &names, on_submitted, a, &why);
	job_spec_free(spec);
	if (r < 0) {
		free(a);
		api_refuse(rq, &why);
		return;
	}
	http_on_gone(rq, on_submitter_gone, a);
}

/* ---- questions about one job ---- */

/* A request that waits for an answer of the queue. */
struct question {
	struct front *front;
	struct http_request *rq;
	char id[65];          /* as it was asked for */
	struct job_name name; /* cancel: the job that is meant */
	struct audit_who who; /* cancel */
};

static void on_asker_gone(struct http_request *rq, void *data)
{
	struct question *q = data;

	(void)rq;
	q->rq = NULL;
}

static struct question *question_new(struct http_request *rq)
{
	struct question *q = alloc_zeroed(1, sizeof(*q));

	q->front = front_of(rq);
	q->rq = rq;
	if (http_param(rq, "id"))
		text_copy(q->id, sizeof(q->id), http_param(rq, "id"));
	http_on_gone(rq, on_asker_gone, q);
	return q;
}

/* Takes the request out; NULL when its client left. */
static struct http_request *question_done(struct question *q)
{
	struct http_request *rq = q->rq;

	free(q);
	return rq;
}

/* As the audit log has it. */
static const char *outcome_of(const struct error *e)
{
	return !e ? "done" : e->code == ENOENT ? "not_found" : e->code == EALREADY ? "already_over" : "failed";
}

static void no_such_job(struct http_request *rq, const char *id)
{
	http_error(rq, 404, "not_found", "id", "there is no job '%s'", id);
}

static void on_job(const struct error *e, const struct queue_record *r, void *arg)
{
	struct question *q = arg;
	struct http_request *rq;
	char id[65];

	text_copy(id, sizeof(id), q->id);
	rq = question_done(q);
	if (!rq)
		return;
	if (e && e->code != ENOENT)
		api_fail(rq, e);
	else if (e || !front_may(front_caller(rq), r->job.owner))
		no_such_job(rq, id);
	else
		http_reply_json(rq, 200, api_job_json(r));
}

void api_get_job(struct http_request *rq)
{
	struct front *f = front_of(rq);
	struct question *q = question_new(rq);

	if (lookup_job(&f->lookup, front_caller(rq), q->id, on_job, q) < 0) {
		free(q);
		api_busy(rq);
	}
}

static void on_cancelled(const struct error *e, bool was_leased, void *arg)
{
	struct question *q = arg;
	struct front *f = q->front;
	struct http_request *rq;
	struct job_name name = q->name;
	char id[65];

	text_copy(id, sizeof(id), q->id);
	auth_audit_write(f->auth, &q->who, "job.cancel", id, outcome_of(e));
	rq = question_done(q);
	if (!e && was_leased)
		dispatch_cancel(f->dispatch, &name,
				"cancelled by its owner"); /* over by itself in the meantime: its result stands */
	if (!e && !was_leased) {
		views_recorded(f->views, &name);
		dispatch_settle(f->dispatch, &name);
	}
	if (!rq)
		return;
	if (e && e->code == EALREADY)
		http_error(rq, 409, "already_over", "id", "job '%s' is over already", id);
	else if (e && e->code == ENOENT)
		no_such_job(rq, id);
	else if (e)
		api_fail(rq, e);
	else
		http_reply_json(rq, was_leased ? 202 : 200,
				json_pack("{s:s,s:s}", "id", id, "state", was_leased ? "running" : "cancelled"));
}

/* Which job that is is known: its owner is compared once more where it is cancelled. */
static void on_to_cancel(const struct error *e, const struct queue_record *r, void *arg)
{
	static const struct error behind = { .code = EAGAIN, .text = "" }, /* the database: api_fail() says so */
		away = { .code = EAGAIN, .text = "Redis cannot be asked at the moment, try again in a second" };
	struct question *q = arg;

	if (!e) {
		q->name = job_name_make(r->space, r->job.owner, r->job.id);
		if (lookup_cancel(&q->front->lookup, &q->name, on_cancelled, q) == 0)
			return;
		e = r->space == SPACE_REDIS ? &away : &behind;
	}
	on_cancelled(e, false, q);
}

void api_cancel_job(struct http_request *rq)
{
	struct question *q = question_new(rq);

	auth_audit_who(rq, &q->who);
	if (lookup_job(&q->front->lookup, front_caller(rq), q->id, on_to_cancel, q) < 0) {
		free(q);
		api_busy(rq);
	}
}

/* ---- following one ---- */

void api_events(struct http_request *rq)
{
	views_events(front_of(rq)->views, rq);
}

void api_stream(struct http_request *rq)
{
	views_stream(front_of(rq)->views, rq);
}
