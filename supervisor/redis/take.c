/*
 * Entries become leased jobs: see redis_impl.h.
 *
 *   take      entries move into our pending list (or processing:<node>)         one script
 *   payload   each is read and checked                                         here; what is malformed: reject
 *   begin     each becomes a lease with an attempt number, or is left alone    one script each, sent at once
 *
 * An answer that got lost leaves an entry pending with nobody at work on it: after each connect, and after each
 * begin that failed, our own pending entries are looked through again (`mine`). What runs here is known (`held`) and
 * skipped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/redis/payload.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"

enum {
	WAIT_MS = 5000,    /* a blocking command at most */
	RESERVE_MS = 5000, /* and how much later its answer may come */
	RETRY_MS = 1000,   /* after a begin that failed */
	PAYLOAD_SLACK = 16384,
};

struct taking {
	struct redis_source *s;
	size_t n, pending;
	struct queue_job *jobs;
	size_t n_jobs;
	queue_take_fn *fn;
	void *arg;
};

/* One entry on its way. */
struct beginning {
	struct taking *t;
	struct redis_payload p;
	char *token;
	size_t token_size;
	bool is_derived; /* its id is that of the entry */
	bool is_again;   /* it may have been read before */
};

static void work_later(struct redis_source *s)
{
	(void)text_copy(s->mine, sizeof(s->mine), "-");
	s->retry_ns = clock_deadline_ns(RETRY_MS * NS_PER_MS);
}

static void beginning_free(struct beginning *b)
{
	redis_payload_done(&b->p);
	free(b->token);
	free(b);
}

static void release(struct taking *t, const struct error *e)
{
	struct redis_source *s = t->s;
	bool is_well = !e;

	if (--t->pending > 0)
		return;
	s->is_taking = false;
	t->fn(e, t->jobs, t->n_jobs, t->arg);
	for (size_t i = 0; i < t->n_jobs; i++)
		free((void *)t->jobs[i].spec);
	free(t->jobs);
	free(t);
	if (s->r->is_closing)
		return;
	if (is_well && (s->mine[0] || !s->last[0]) && clock_now_ns() >= s->retry_ns)
		redis_work(s); /* not all of them were looked at */
	redis_wait(s);
}

/* ---- what never runs ---- */

static void args_source(struct redis_args *a, const struct redis_source *s, const char *token, size_t size)
{
	args_text(a, s->is_list ? "list" : "stream");
	args_text(a, s->name);
	args_text(a, s->group);
	args_bytes(a, token, size);
}

static void on_rejected(const struct error *e, const redisReply *reply, void *arg)
{
	struct redis_source *s = arg;

	if (e)
		work_later(s);
	else if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
		s->r->stats.dead++;
	redis_note(s->r, e);
}

/* whose: "1" the id is this entry's, "0" it is another's, "2" the entry itself is gone. */
static void reject(struct redis_source *s, const char *token, size_t size, const char *id, const char *whose,
		   uint64_t attempts, const char *reason)
{
	struct redis *r = s->r;
	char *message = redis_message(id, "dead", "reason", reason, (unsigned)attempts);
	char *log = s->logs && id[0] ? redis_log_message(id, reason, strlen(reason), "failed") : NULL;
	struct redis_args a;

	log_warning(LOG_FACTS(LOG_STR("job", id), LOG_STR("source", s->name), LOG_STR("reason", reason)),
		    "a job goes to the dead letters");
	args_init(&a, r);
	args_source(&a, s, token, size);
	args_text(&a, s->field);
	args_text(&a, id);
	args_text(&a, reason);
	args_number(&a, r->retention_ms * REDIS_DEAD_FACTOR);
	args_text(&a, whose);
	args_number(&a, attempts);
	args_text(&a, message);
	args_text(&a, s->logs);
	args_text(&a, log);
	args_text(&a, r->env.settings->redis_events ? "1" : "0");
	if (args_eval(&a, r, &redis_lua_reject, on_rejected, s) < 0)
		work_later(s);
	free(message);
	free(log);
}

/* ---- begin ---- */

static void keep_job(struct beginning *b, const redisReply *reply)
{
	struct taking *t = b->t;
	unsigned attempt = (unsigned)reply_number(reply, 1);
	struct held *h;
	struct queue_job *q;

	if (held_find(t->s, b->p.id, 0)) /* it runs here: a copy in the list, that goes with it */
		return;
	h = t->n_jobs < t->n ? held_add(t->s, b->p.id, attempt, b->token, b->token_size) : NULL;
	if (!h) {
		work_later(t->s);
		return;
	}
	h->queued_ms = reply_number(reply, 3);
	(void)text_copy(h->owner, sizeof(h->owner), b->p.owner);
	q = &t->jobs[t->n_jobs++];
	*q = (struct queue_job){
		.attempt = attempt,
		.failures = (unsigned)reply_number(reply, 2),
		.queued_ms = h->queued_ms,
		.is_ending = strcmp(reply_text(reply, 4), "1") == 0,
		.unstarted = (unsigned)reply_number(reply, 5),
		.priority = b->p.priority,
		.state = QUEUE_LEASED,
		.spec = b->p.spec,
		.spec_size = b->p.spec_size,
	};
	(void)text_copy(q->id, sizeof(q->id), b->p.id);
	(void)text_copy(q->owner, sizeof(q->owner), b->p.owner);
	(void)text_copy(q->last_node, sizeof(q->last_node), t->s->r->node);
	b->p.spec = NULL;
	t->s->r->stats.taken++;
}

static int begin(struct beginning *b);

static void ignore_cancelled(const struct error *e, void *arg)
{
	(void)e; /* somebody else did, or the lease runs out once more */
	(void)arg;
}

/* Another entry has the id that we gave this one: a longer one. False: there is none left. */
static bool begin_as_other(struct beginning *b)
{
	struct redis_source *s = b->t->s;
	char id[sizeof(b->p.id)];
	size_t i = (size_t)(s - s->r->sources);

	if (!b->is_derived || snprintf(id, sizeof(id), "%s-%zu", b->p.id, i) >= (int)sizeof(id))
		return false;
	(void)text_copy(b->p.id, sizeof(b->p.id), id);
	b->is_derived = false;
	return begin(b) == 0;
}

static void on_begun(const struct error *e, const redisReply *reply, void *arg)
{
	struct beginning *b = arg;
	struct taking *t = b->t;
	struct redis_source *s = t->s;
	const char *what = reply_text(reply, 0);

	redis_note(s->r, e);
	if (e) {
		work_later(s);
	} else if (strcmp(what, "ok") == 0) {
		keep_job(b, reply);
	} else if (strcmp(what, "done") == 0 || strcmp(what, "same") == 0) {
		s->r->stats.duplicates++;
	} else if (strcmp(what, "duplicate") == 0) {
		reject(s, b->token, b->token_size, b->p.id, "0", 0,
		       "duplicate id: another job has it, of another owner or for another program");
	} else if (strcmp(what, "dead") == 0) {
		reject(s, b->token, b->token_size, b->p.id, "1", reply_number(reply, 1), reply_text(reply, 3));
	} else if (strcmp(what, "cancel") == 0) {
		(void)redis_cancel_dead(s, b->p.id, (unsigned)reply_number(reply, 1), reply_number(reply, 2),
					ignore_cancelled, NULL); /* not now: found again when it is idle */
	} else if (strcmp(what, "other") == 0 && begin_as_other(b)) {
		return;
	}
	beginning_free(b);
	release(t, NULL);
}

static int begin(struct beginning *b)
{
	struct redis_source *s = b->t->s;
	struct redis *r = s->r;
	struct redis_args a;

	args_init(&a, r);
	args_source(&a, s, b->token, b->token_size);
	args_text(&a, b->p.id);
	args_text(&a, b->p.owner);
	args_bytes(&a, b->p.spec, b->p.spec_size);
	args_number(&a, r->lease_ms);
	args_number(&a, r->env.settings->attempts);
	args_number(&a, b->p.delay_ms);
	args_text(&a, b->is_derived ? "1" : "0");
	args_number(&a, REDIS_ALIVE_MS);
	args_text(&a, b->is_again ? "1" : "0");
	args_number(&a, b->p.retention_ms);
	args_signed(&a, b->p.priority);
	return args_eval(&a, r, &redis_lua_begin, on_begun, b);
}

/* ---- a request for a cube ---- */

static void on_cube_kept(const struct error *e, const redisReply *reply, void *arg)
{
	struct beginning *b = arg;
	struct taking *t = b->t;

	redis_note(t->s->r, e);
	if (e)
		work_later(t->s);
	else if (reply->type == REDIS_REPLY_INTEGER && reply->integer < 0)
		reject(t->s, b->token, b->token_size, b->p.id, "0", 0, "duplicate id: a job has it");
	else
		log_info(LOG_FACTS(LOG_STR("cube", b->p.id), LOG_STR("type", b->p.cube_type)),
			 "kept a request for a cube");
	beginning_free(b);
	release(t, NULL);
}

static int keep_cube(struct beginning *b)
{
	struct redis_source *s = b->t->s;
	struct redis_args a;

	args_init(&a, s->r);
	args_text(&a, s->name);
	args_bytes(&a, b->token, b->token_size);
	args_text(&a, b->p.id);
	args_text(&a, b->p.owner);
	args_text(&a, b->p.name);
	args_text(&a, b->p.cube_type);
	return args_eval(&a, s->r, &redis_lua_cube, on_cube_kept, b);
}

/* ---- take ---- */

/* One entry as the script gives it. */
struct found {
	const char *token, *id, *data; /* id: given with the entry; "" none. data NULL: it has not the field */
	size_t token_size, size;
	bool is_gone, is_again;
};

static int read_payload(struct redis_source *s, const struct found *f, struct beginning *b, struct error *err)
{
	const struct redis *r = s->r;
	const struct job_context context = {
		.settings = r->env.settings,
		.runtimes = r->runtimes,
		.has_policy = r->env.has_policy,
		.policy_error = r->env.policy_error,
		.arg = r->env.arg,
		.is_admin = true, /* the list is what counts */
		.policies = r->env.settings->redis_policies,
	};
	const char *fallback = s->is_list ? NULL : f->id[0] ? f->id : f->token;
	int rc;

	if (f->is_gone)
		return error_set(err, ENOENT, "the entry was taken out of the stream (trimmed?) before it had run");
	if (!f->data)
		return error_set(err, EINVAL, "the entry has no field '%s'", s->field);
	rc = redis_payload_read(f->data, f->size, fallback, s->is_list, &context, &b->p, err);
	b->is_derived = rc == 0 && fallback == f->token && strcmp(b->p.id, f->token) == 0;
	return rc;
}

static void begin_entry(struct taking *t, const struct found *f)
{
	struct redis_source *s = t->s;
	struct beginning *b;
	struct error e = ERROR_INIT;
	int rc;

	if (held_token(s, f->token, f->token_size))
		return;
	b = alloc_zeroed(1, sizeof(*b));
	b->token = alloc_bytes(f->token_size + 1);
	b->is_again = f->is_again;
	memcpy(b->token, f->token, f->token_size);
	b->token[f->token_size] = '\0';
	b->token_size = f->token_size;
	b->t = t;
	rc = read_payload(s, f, b, &e);
	if (rc < 0 && rc != -ENOMEM)
		reject(s, b->token, b->token_size, b->p.id, f->is_gone ? "2" : "1", 0, e.text);
	else if (rc == 0)
		rc = b->p.is_cube ? keep_cube(b) : begin(b);
	if (rc == 0) {
		t->pending++;
		return;
	}
	if (rc == -ENOMEM || rc == -EAGAIN)
		work_later(s);
	beginning_free(b);
}

/* What was moved to us while we waited, before anything else. */
static void begin_fetched(struct taking *t)
{
	struct redis_source *s = t->s;
	char *data = s->fetched;
	const struct found f = {
		.token = data, .token_size = s->fetched_size, .id = "", .data = data, .size = s->fetched_size
	};

	s->fetched = NULL;
	if (data)
		begin_entry(t, &f);
	free(data);
}

static void begin_all(struct taking *t, const redisReply *list, bool is_again)
{
	for (size_t i = 0; list && list->type == REDIS_REPLY_ARRAY && i < list->elements; i++) {
		const redisReply *e = list->element[i], *data = reply_at(e, 2), *token = reply_at(e, 0);
		struct found f = { .id = reply_text(e, 1), .token = reply_text(e, 0), .is_again = is_again };

		if (!token || token->type != REDIS_REPLY_STRING)
			continue;
		if (t->pending > t->n) { /* of our own list there may be more than were asked for */
			(void)text_copy(t->s->mine, sizeof(t->s->mine), "-");
			break;
		}
		f.token_size = token->len;
		f.is_gone = reply_number(e, 3) == 1;
		if (data && data->type == REDIS_REPLY_STRING) {
			f.data = data->str;
			f.size = data->len;
		}
		begin_entry(t, &f);
	}
}

static void on_taken(const struct error *e, const redisReply *reply, void *arg)
{
	struct taking *t = arg;
	struct redis_source *s = t->s;

	redis_note_take(s, e);
	if (!e && reply->type == REDIS_REPLY_ARRAY) {
		bool is_again = s->is_list && s->mine[0];

		reply_copy(reply, 1, s->mine, sizeof(s->mine));
		reply_copy(reply, 2, s->stale, sizeof(s->stale));
		reply_copy(reply, 3, s->last, sizeof(s->last));
		s->r->stats.dead += reply_number(reply, 4);
		begin_fetched(t);
		begin_all(t, reply_at(reply, 0), is_again);
	} else {
		work_later(s); /* entries may be ours now */
	}
	release(t, e);
}

int redis_take(void *self, size_t n, queue_take_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct redis *r = s->r;
	struct taking *t;
	struct redis_args a;
	int rc;

	if (s->is_taking || n == 0 || n > ARGS_MAX)
		return -EAGAIN;
	t = alloc_bytes(sizeof(*t));
	*t = (struct taking){ .s = s, .n = n, .pending = 1, .fn = fn, .arg = arg };
	t->jobs = alloc_zeroed(n, sizeof(*t->jobs));
	args_init(&a, r);
	args_text(&a, s->name);
	if (s->is_list) {
		args_number(&a, n - (s->fetched != NULL));
		args_text(&a, s->mine[0] ? "1" : "0");
	} else {
		args_text(&a, s->group);
		args_text(&a, s->field);
		args_number(&a, n);
		args_number(&a, r->lease_ms);
		args_text(&a, s->mine);
		args_text(&a, s->stale);
	}
	args_number(&a, r->env.settings->max_body + PAYLOAD_SLACK);
	args_number(&a, r->retention_ms * REDIS_DEAD_FACTOR);
	rc = args_eval(&a, r, s->is_list ? &redis_lua_take_list : &redis_lua_take_stream, on_taken, t);
	if (rc < 0) {
		free(t->jobs);
		free(t);
		return rc;
	}
	s->is_taking = true;
	return 0;
}

/* ---- waiting ---- */

static bool may_wait(const struct redis_source *s)
{
	const struct redis *r = s->r;

	if (r->is_closing || s->is_waiting || s->is_taking || !s->last[0] || !redis_link_is_up(s->wait) ||
	    !redis_link_is_up(r->jobs))
		return false;
	return !s->is_list || (!s->fetched && !r->is_draining && strcmp(redis_word(r), "serving") == 0 &&
			       r->env.free_slots(r->env.arg) > 0);
}

static void keep_fetched(struct redis_source *s, const redisReply *reply)
{
	s->fetched = alloc_bytes(reply->len + 1);
	memcpy(s->fetched, reply->str, reply->len);
	s->fetched[reply->len] = '\0';
	s->fetched_size = reply->len;
	s->fetched_ns = clock_now_ns();
}

static void on_waited(const struct error *e, const redisReply *reply, void *arg)
{
	struct redis_source *s = arg;

	s->is_waiting = false;
	if (s->r->is_closing)
		return;
	if (e) {
		if (s->is_list)
			work_later(s); /* something may have been moved to us */
		return;                /* the next tick */
	}
	if (s->is_list && reply->type == REDIS_REPLY_STRING)
		keep_fetched(s, reply);
	if (reply->type != REDIS_REPLY_NIL) {
		s->last[0] = '\0';
		redis_work(s);
	}
	redis_wait(s);
}

void redis_wait(struct redis_source *s)
{
	char ms[24], seconds[24];
	const char *const stream[] = { "XREAD", "COUNT", "1", "BLOCK", ms, "STREAMS", s->name, s->last };
	const char *const list[] = { "BLMOVE", s->name, s->processing, "LEFT", "RIGHT", seconds };
	int rc;

	if (!may_wait(s))
		return;
	(void)snprintf(ms, sizeof(ms), "%d", WAIT_MS);
	(void)snprintf(seconds, sizeof(seconds), "%d", WAIT_MS / 1000);
	if (s->is_list)
		rc = redis_send(s->wait, on_waited, s, WAIT_MS + RESERVE_MS, sizeof(list) / sizeof(list[0]), list,
				NULL);
	else
		rc = redis_send(s->wait, on_waited, s, WAIT_MS + RESERVE_MS, sizeof(stream) / sizeof(stream[0]), stream,
				NULL);
	s->is_waiting = rc == 0;
}

void redis_wait_state(struct redis_link *link, bool is_up, const char *why, void *arg)
{
	struct redis_source *s = arg;

	(void)link;
	(void)why;
	if (is_up)
		redis_wait(s);
	else if (s->is_list && !s->r->is_closing)
		work_later(s);
}

static void on_unfetched(const struct error *e, const redisReply *reply, void *arg)
{
	(void)reply;
	if (e)
		work_later(arg);
}

void redis_unfetch(struct redis_source *s)
{
	struct redis_args a;

	if (!s->fetched || s->is_taking)
		return;
	args_init(&a, s->r);
	args_text(&a, s->name);
	args_bytes(&a, s->fetched, s->fetched_size);
	if (args_eval(&a, s->r, &redis_lua_unfetch, on_unfetched, s) < 0)
		return;
	free(s->fetched);
	s->fetched = NULL;
}
