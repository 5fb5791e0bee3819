/* Leases go on or end: see redis_impl.h and source.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/text.h"
#include "supervisor/redis/call.h"
#include "supervisor/settings.h"

enum {
	BACKOFF_MS = 1000,
	LACK_AGAIN_MS = 5000, /* for so long other nodes alone may take a job whose image is not here */
	LEASED_WAIT_MS = 3000,
};

/* ---- extend ---- */

static void on_extended(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct error stale = ERROR_INIT;
	struct held *h = held_find(c->s, c->id, c->attempt);

	redis_note(c->s->r, e);
	if (!e && reply_integer(reply) == 0) {
		call_set_stale(&stale, c);
		call_let_go(c, true);
	} else if (!e && h) {
		h->until_ns = clock_deadline_ns(c->s->r->env.settings->lease_ns);
	}
	c->extended(stale.code ? &stale : e, c->id, c->attempt, c->arg);
	call_free(c);
}

/* A lease that nothing is known of here, after a give-back whose answer was lost for example, is not ours. */
int redis_extend(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct held *h = held_find(s, id, attempt);
	struct call *c;
	struct redis_args a;

	if (!h || !redis_link_is_up(s->r->jobs))
		return -EAGAIN;
	h->is_running = true; /* somebody cares for it */
	c = call_new(s, id, attempt, arg);
	c->extended = fn;
	args_init(&a, s->r);
	args_text(&a, id);
	args_number(&a, attempt);
	args_number(&a, s->r->lease_ms);
	args_number(&a, REDIS_ALIVE_MS);
	args_text(&a, h->owner);
	args_entry(&a, h, false);
	args_number(&a, h->queued_ms);
	return call_send(c, &a, &redis_lua_extend, on_extended);
}

/* ---- give back, bury ---- */

static void on_given_back(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct redis *r = c->s->r;
	struct error stale = ERROR_INIT;
	long long what = reply_integer(reply);

	redis_note(r, e);
	if (!e && what == 3 && redis_cancel_dead(c->s, c->id, c->attempt, c->queued_ms, c->done, c->arg) == 0) {
		call_let_go(c, false);
		call_free(c);
		return;
	}
	if (!e && what == 0)
		call_set_stale(&stale, c);
	r->stats.dead += !e && what == 2;
	call_let_go(c, stale.code != 0); /* also on failure: the caller forgets it, and nobody renews it */
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

static int give_back_or_bury(struct redis_source *s, const char *id, unsigned attempt, const char *reason,
			     enum queue_give how, bool is_bury, queue_done_fn *fn, void *arg)
{
	struct redis *r = s->r;
	struct held *h = held_find(s, id, attempt);
	struct call *c = call_new(s, id, attempt, arg);
	char *message = redis_message(id, "dead", "reason", reason, attempt);
	char *log = s->logs ? redis_log_message(id, reason, strlen(reason), "failed") : NULL;
	struct redis_args a;
	int rc = -EAGAIN;

	feed_stop(s, id, attempt);
	if (h) {
		c->done = fn;
		c->queued_ms = h->queued_ms;
		args_init(&a, r);
		args_text(&a, id);
		args_number(&a, attempt);
		args_text(&a, reason);
		if (!is_bury) {
			args_number(&a, how);
			args_number(&a, r->env.settings->attempts);
			args_number(&a, BACKOFF_MS);
		}
		args_number(&a, r->retention_ms * REDIS_DEAD_FACTOR);
		args_entry(&a, h, true);
		args_text(&a, message);
		args_text(&a, s->logs);
		args_text(&a, log);
		args_number(&a, r->env.settings->image_wait_ns / NS_PER_MS);
		args_number(&a, LACK_AGAIN_MS);
		args_text(&a, r->env.settings->redis_events ? "1" : "0");
		rc = args_eval(&a, r, is_bury ? &redis_lua_bury : &redis_lua_give_back, on_given_back, c);
	}
	if (rc < 0) {
		if (h)
			held_drop(h); /* the caller forgets it */
		if (c)
			call_free(c);
	}
	free(message);
	free(log);
	return rc;
}

int redis_give_back(void *self, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		    queue_done_fn *fn, void *arg)
{
	return give_back_or_bury(self, id, attempt, reason, how, false, fn, arg);
}

static void on_buried(const struct error *e, void *arg)
{
	struct call *c = arg;

	c->s->r->stats.dead += !e;
	c->done(e, c->arg);
	call_free(c);
}

int redis_bury(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, attempt, arg);
	int rc;

	c->done = fn;
	rc = give_back_or_bury(self, id, attempt, reason, QUEUE_FAILED, true, on_buried, c);
	if (rc < 0)
		call_free(c);
	return rc;
}

/* ---- leases of an earlier life ---- */

static void leased_over(struct call *c, const struct error *e, const struct queue_job *jobs, size_t n)
{
	c->recovered(e, jobs, n, c->arg);
	call_free(c);
}

static void on_leased(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	size_t n = !e && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0, found = 0;
	struct queue_job *jobs = alloc_zeroed(n, sizeof(*jobs));

	redis_note(c->s->r, e);
	for (size_t i = 0; i < n; i++) {
		const redisReply *row = reply->element[i], *token = reply_at(row, 6);
		struct queue_job *q = &jobs[found];
		struct held *h;

		reply_copy(row, 0, q->id, sizeof(q->id));
		reply_copy(row, 1, q->owner, sizeof(q->owner));
		q->attempt = (unsigned)reply_number(row, 2);
		q->failures = (unsigned)reply_number(row, 3);
		q->queued_ms = reply_number(row, 4);
		q->is_ending = strcmp(reply_text(row, 5), "1") == 0;
		q->state = QUEUE_LEASED;
		(void)text_copy(q->last_node, sizeof(q->last_node), c->s->r->node);
		h = token && q->id[0] ? held_add(c->s, q->id, q->attempt, token->str, token->len) : NULL;
		if (!h)
			continue;
		h->queued_ms = q->queued_ms;
		(void)text_copy(h->owner, sizeof(h->owner), q->owner);
		found++;
	}
	leased_over(c, e, jobs, found);
	free(jobs);
}

static void on_leased_closed(uv_handle_t *handle)
{
	struct call *c = handle->data;
	struct redis_args a;
	struct error e = ERROR_INIT;

	args_init(&a, c->s->r);
	args_text(&a, c->s->name);
	if (args_eval(&a, c->s->r, &redis_lua_leased, on_leased, c) == 0)
		return;
	(void)error_set(&e, EAGAIN, "Redis cannot be reached: the leases that this node has will run out");
	leased_over(c, &e, NULL, 0);
}

static void on_leased_timer(uv_timer_t *t)
{
	struct call *c = t->data;

	if (redis_link_is_up(c->s->r->jobs) || c->s->r->is_closing || clock_now_ns() > c->until_ns)
		uv_close((uv_handle_t *)t, on_leased_closed);
}

/* At the start, before there is a connection: a moment is given to it. */
int redis_leased(void *self, queue_recover_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct call *c = call_new(s, "", 0, arg);

	c->recovered = fn;
	c->until_ns = clock_deadline_ns(LEASED_WAIT_MS * NS_PER_MS);
	(void)uv_timer_init(s->r->env.loop, &c->timer); /* cannot fail */
	c->timer.data = c;
	(void)uv_timer_start(&c->timer, on_leased_timer, 0, 20); /* fails only without a function */
	return 0;
}
