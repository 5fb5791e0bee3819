/* The end of a job that somebody does not want any more: see redis_impl.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/jobs/result.h"
#include "supervisor/redis/call.h"
#include "supervisor/settings.h"

enum { CANCEL_TRIES = 5 };

static int send_cancel(struct call *c, bool is_ours, redis_reply_fn *fn)
{
	struct redis_source *s = c->s;
	struct redis *r = s->r;
	char *message = redis_message(c->id, "result", "status", "cancelled", c->attempt);
	char *log = s->logs ? redis_log_message(c->id, "", 0, "failed") : NULL;
	const struct queue_unrun unrun = { .id = c->id,
					   .node = r->node,
					   .reason = "cancelled before it ran",
					   .attempt = c->attempt - c->unstarted,
					   .queued_ms = c->queued_ms,
					   .finished_ms = time_now_ms() };
	json_t *o = job_result_unrun_json(VERDICT_CANCELLED, &unrun);
	struct fields f = { .n = 0 };
	struct redis_args a;
	int rc = -ENOMEM;

	free(c->json);
	c->json = o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;
	c->json_size = c->json ? strlen(c->json) : 0;
	args_init(&a, r);
	args_text(&a, c->id);
	args_text(&a, c->has_owner ? "1" : "0");
	args_text(&a, c->owner);
	args_number(&a, c->attempt);
	args_text(&a, is_ours ? "1" : "0");
	args_number(&a, r->retention_ms);
	args_text(&a, r->env.settings->redis_events ? "1" : "0");
	args_text(&a, message);
	args_text(&a, s->logs);
	args_text(&a, log);
	if (c->json && args_result(&a, c, o, &f) == 0)
		rc = args_eval(&a, r, &redis_lua_cancel, fn, c);
	fields_done(&f);
	json_decref(o);
	free(message);
	free(log);
	return rc;
}

static void on_cancelled_dead(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct error stale = ERROR_INIT;

	redis_note(c->s->r, e);
	if (!e && reply_integer(reply) != 1)
		call_set_stale(&stale, c);
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

int redis_cancel_dead(struct redis_source *s, const char *id, unsigned attempt, uint64_t queued_ms, queue_done_fn *fn,
		      void *arg)
{
	struct call *c = call_new(s, id, attempt, arg);
	int rc;

	c->queued_ms = queued_ms;
	c->done = fn;
	rc = send_cancel(c, true, on_cancelled_dead);
	if (rc < 0)
		call_free(c);
	return rc;
}

static void cancel_over(struct call *c, const struct error *e, bool was_leased)
{
	c->cancelled(e, was_leased, c->arg);
	call_free(c);
}

static void cancel_failed(struct call *c, int code, const char *words)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "job '%s' %s", c->id, words);
	cancel_over(c, &e, false);
}

static void on_cancel_seen(const struct error *e, const redisReply *reply, void *arg);

static void on_cancelled(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	long long what = reply_integer(reply);

	redis_note(c->s->r, e);
	if (e)
		cancel_over(c, e, false);
	else if (what == 1 || what == 2)
		cancel_over(c, NULL, what == 2);
	else if (what == 3)
		cancel_failed(c, EALREADY, "has ended");
	else if (what == 0)
		cancel_failed(c, ENOENT, "is not there");
	else if (++c->tries >= CANCEL_TRIES || call_look(c, false, on_cancel_seen) < 0)
		cancel_failed(c, EAGAIN, "changes its node at the moment, try again");
}

/* The result that says so names the attempt, so that is looked up first. */
static void on_cancel_seen(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	const redisReply *job = reply_at(reply, 0);

	if (e) {
		cancel_over(c, e, false);
	} else if (!job) {
		cancel_failed(c, ENOENT, "is not there");
	} else {
		c->attempt = (unsigned)reply_number(job, 2);
		c->unstarted = (unsigned)reply_number(job, 13);
		c->queued_ms = reply_number(job, 4);
		if (send_cancel(c, false, on_cancelled) < 0)
			cancel_failed(c, EAGAIN, "cannot be cancelled: Redis cannot be reached");
	}
}

int redis_cancel(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, 0, arg);
	int rc;

	c->cancelled = fn;
	c->has_owner = owner != NULL;
	(void)text_copy(c->owner, sizeof(c->owner), owner ? owner : "");
	rc = call_look(c, false, on_cancel_seen);
	if (rc < 0)
		call_free(c);
	return rc;
}
