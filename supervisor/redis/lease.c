/* Leases end or go on, and what is known of a job: see redis_impl.h and source.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/jobs/utf8.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

enum {
	RESULT_BYTES = 48 << 20, /* of one result in all its forms: what a link sends at once has a bound */
	RESULT_CUT = 1 << 20,    /* of a stream in a result that has more than that even alone */
	FIELDS_MAX = 96,
	BACKOFF_MS = 1000,
	LEASED_WAIT_MS = 3000,
	CANCEL_TRIES = 5,
};

/* ---- what is leased here ---- */

struct held *held_add(struct redis_source *s, const char *id, unsigned attempt, const char *token, size_t token_size)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->token = malloc(token_size + 1);
	if (!h->token) {
		free(h);
		return NULL;
	}
	memcpy(h->token, token, token_size);
	h->token[token_size] = '\0';
	h->token_size = token_size;
	(void)text_copy(h->id, sizeof(h->id), id); /* parse_id() bounds it */
	h->attempt = attempt;
	h->until_ns = clock_deadline_ns(s->r->env.settings->lease_ns);
	h->s = s;
	h->next = s->held;
	s->held = h;
	return h;
}

/* Take it out of where it is linked in, and free it. */
static void unlink_held(struct held **at)
{
	struct held *h = *at;

	*at = h->next;
	free(h->token);
	free(h);
}

void held_drop(struct held *h)
{
	struct held **at = &h->s->held;

	while (*at != h)
		at = &(*at)->next;
	unlink_held(at);
}

static void forget_old(struct redis_source *s)
{
	uint64_t now = clock_now_ns();

	for (struct held **at = &s->held; *at;) {
		if (!(*at)->is_running && now > (*at)->until_ns)
			unlink_held(at);
		else
			at = &(*at)->next;
	}
}

struct held *held_find(struct redis_source *s, const char *id, unsigned attempt)
{
	forget_old(s);
	for (struct held *h = s->held; h; h = h->next)
		if (strcmp(h->id, id) == 0 && (attempt == 0 || h->attempt == attempt))
			return h;
	return NULL;
}

struct held *held_token(struct redis_source *s, const char *token, size_t size)
{
	forget_old(s);
	for (struct held *h = s->held; h; h = h->next)
		if (h->token_size == size && memcmp(h->token, token, size) == 0)
			return h;
	return NULL;
}

void held_free_all(struct redis_source *s)
{
	while (s->held)
		unlink_held(&s->held);
}

void args_entry(struct redis_args *a, const struct held *h, bool with_field)
{
	const struct redis_source *s = h->s;

	args_text(a, s->is_list ? "list" : "stream");
	args_text(a, s->name);
	args_text(a, s->group);
	args_bytes(a, h->token, h->token_size);
	if (with_field)
		args_text(a, s->field);
}

/* ---- one call on its way ---- */

struct call {
	struct redis_source *s;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	bool has_owner;
	unsigned attempt, tries;
	uint64_t queued_ms;
	queue_done_fn *done;
	queue_extend_fn *extended;
	queue_cancel_fn *cancelled;
	queue_get_fn *got;
	queue_recover_fn *recovered;
	void *arg;
	/* finish */
	char *json, *journal;
	size_t json_size, journal_size;
	char status[QUEUE_STATUS_BYTES];
	/* leased: until there is a connection */
	uv_timer_t timer;
	uint64_t until_ns;
};

static struct call *call_new(struct redis_source *s, const char *id, unsigned attempt, void *arg)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->s = s;
	(void)text_copy(c->id, sizeof(c->id), id); /* too long: "", which no job is called */
	c->attempt = attempt;
	c->arg = arg;
	return c;
}

static void call_free(struct call *c)
{
	free(c->json);
	free(c->journal);
	free(c);
}

static int call_send(struct call *c, const struct redis_args *a, struct redis_script *script, redis_reply_fn *fn)
{
	int rc = args_eval(a, c->s->r, script, fn, c);

	if (rc < 0)
		call_free(c);
	return rc;
}

static long long integer(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}

static void set_stale(struct error *e, const struct call *c)
{
	(void)error_set(e, ESTALE, "job '%s' is not ours as attempt %u any more", c->id, c->attempt);
}

/* It is not leased here any more. */
static void let_go(struct call *c, bool is_lost)
{
	struct held *h = held_find(c->s, c->id, c->attempt);

	if (h)
		held_drop(h);
	if (is_lost) {
		c->s->r->stats.fenced++;
		feed_stop(c->s, c->id, c->attempt);
	}
}

/* ---- extend ---- */

static void on_extended(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct error stale = ERROR_INIT;
	struct held *h = held_find(c->s, c->id, c->attempt);

	redis_note(c->s->r, e);
	if (!e && integer(reply) == 0) {
		set_stale(&stale, c);
		let_go(c, true);
	} else if (!e && h) {
		h->until_ns = clock_deadline_ns(c->s->r->env.settings->lease_ns);
	}
	c->extended(stale.code ? &stale : e, c->id, c->attempt, c->arg);
	call_free(c);
}

/* A lease that nothing is known of here, after a give-back whose answer was lost for example, is not ours. */
static int extend(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct held *h = held_find(s, id, attempt);
	struct call *c;
	struct redis_args a;

	if (!h || !redis_link_is_up(s->r->jobs))
		return -EAGAIN;
	h->is_running = true; /* somebody cares for it */
	c = call_new(s, id, attempt, arg);
	if (!c)
		return -ENOMEM;
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

/* ---- results ---- */

/* Name and text of every field of a result, for HSET. */
struct fields {
	const char *names[FIELDS_MAX];
	char *owned[FIELDS_MAX];
	const char *texts[FIELDS_MAX];
	size_t sizes[FIELDS_MAX];
	size_t n;
};

static void fields_done(struct fields *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->owned[i]);
}

static void fields_add(struct fields *f, const char *name, const char *text, size_t size, char *owned)
{
	if (f->n == FIELDS_MAX) {
		free(owned);
		return;
	}
	f->names[f->n] = name;
	f->texts[f->n] = text;
	f->sizes[f->n] = size;
	f->owned[f->n++] = owned;
}

/* Texts as they are, null as nothing, the rest as JSON. large: leave out texts that are longer. */
static void fields_of(struct fields *f, json_t *o, size_t large)
{
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v)
	{
		char *text = NULL;

		if (json_is_string(v)) {
			if (json_string_length(v) <= large)
				fields_add(f, name, json_string_value(v), json_string_length(v), NULL);
		} else if (json_is_null(v)) {
			fields_add(f, name, "", 0, NULL);
		} else {
			text = json_dumps(v, JSON_ENCODE_ANY | JOB_RESULT_DUMP);
			if (text)
				fields_add(f, name, text, strlen(text), text);
		}
	}
}

static void args_fields(struct redis_args *a, const struct fields *f)
{
	args_number(a, f->n);
	for (size_t i = 0; i < f->n; i++) {
		args_text(a, f->names[i]);
		args_bytes(a, f->texts[i], f->sizes[i]);
	}
}

/* An output that no connection carries in one piece loses what is behind its first MiB, and says so. */
static int cut_streams(struct call *c, json_t *o)
{
	static const char *const streams[][3] = {
		{ "stdout", "stdout_truncated", "stdout_encoding" },
		{ "stderr", "stderr_truncated", "stderr_encoding" },
	};
	char *text;

	for (size_t i = 0; i < 2; i++) {
		json_t *v = json_object_get(o, streams[i][0]);
		size_t size = RESULT_CUT; /* whole groups of base64 */

		if (!json_is_string(v) || json_string_length(v) <= size)
			continue;
		if (!json_object_get(o, streams[i][2]))
			size = utf8_whole(json_string_value(v), size);
		if (json_object_set_new(o, streams[i][0], json_stringn(json_string_value(v), size)) < 0 ||
		    json_object_set_new(o, streams[i][1], json_true()) < 0)
			return -ENOMEM;
	}
	json_object_del(o, "outputs");
	text = json_dumps(o, JOB_RESULT_DUMP);
	if (!text)
		return -ENOMEM;
	free(c->json);
	c->json = text;
	c->json_size = strlen(text);
	log_warning(LOG_FACTS(LOG_STR("job", c->id)),
		    "a result is too large for Redis: kept the first MiB of its output");
	return 0;
}

static const char *log_status(const char *status)
{
	return strcmp(status, "ok") == 0 ? "completed" : "failed";
}

static void on_finished(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct error stale = ERROR_INIT;

	redis_note(c->s->r, e);
	if (!e && integer(reply) == 0)
		set_stale(&stale, c);
	if (!e) {
		let_go(c, stale.code != 0);
		c->s->r->stats.finished += !stale.code;
	}
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

static int args_result(struct redis_args *a, struct call *c, json_t *o, struct fields *f)
{
	size_t large = SIZE_MAX;

	if (c->json_size > RESULT_BYTES && cut_streams(c, o) < 0)
		return -ENOMEM;
	if (2 * c->json_size + c->journal_size > RESULT_BYTES)
		c->journal_size = 0; /* the result has the output as well */
	if (2 * c->json_size > RESULT_BYTES)
		large = 64 << 10;
	fields_of(f, o, large);
	fields_add(f, "json", c->json, c->json_size, NULL);
	fields_add(f, "journal", c->journal, c->journal_size, NULL);
	args_fields(a, f);
	return 0;
}

static int send_finish(struct call *c)
{
	struct redis_source *s = c->s;
	struct redis *r = s->r;
	struct held *h = held_find(s, c->id, c->attempt), none = { .s = s, .token = (char *)"" };
	char *message = redis_message(c->id, "result", "status", c->status, c->attempt);
	char *log = s->logs ? redis_log_message(c->id, "", 0, log_status(c->status)) : NULL;
	json_t *o = json_loadb(c->json, c->json_size, 0, NULL);
	struct fields f = { .n = 0 };
	struct redis_args a;
	int rc;

	if (!h)
		h = &none;
	args_init(&a, r);
	args_text(&a, c->id);
	args_number(&a, c->attempt);
	args_text(&a, c->status);
	args_text(&a, strcmp(c->status, "cancelled") == 0 ? "cancelled" : "done");
	args_number(&a, r->retention_ms);
	args_text(&a, h->owner);
	args_entry(&a, h, false);
	args_number(&a, h->queued_ms);
	args_text(&a, r->env.settings->redis_events ? "1" : "0");
	args_text(&a, message);
	args_text(&a, s->logs);
	args_text(&a, log);
	rc = args_result(&a, c, o, &f);
	if (rc == 0)
		rc = args_eval(&a, r, &redis_lua_finish, on_finished, c);
	fields_done(&f);
	json_decref(o);
	free(message);
	free(log);
	return rc;
}

/* Its events come first, so that whoever reads them to the end has all of them. */
static void on_flushed(void *arg)
{
	struct call *c = arg;
	struct error e = ERROR_INIT;

	if (send_finish(c) == 0)
		return;
	(void)error_set(&e, EAGAIN, "Redis is not there");
	c->done(&e, c->arg);
	call_free(c);
}

static int finish(void *self, const struct queue_result *q, queue_done_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct call *c;

	if (q->is_direct || !redis_link_is_up(s->r->jobs))
		return -EAGAIN;
	c = call_new(s, q->id, q->attempt, arg);
	if (!c)
		return -ENOMEM;
	c->json = malloc(q->json_size + 1);
	c->journal = malloc(q->journal_size + 1);
	if (!c->json || !c->journal) {
		call_free(c);
		return -ENOMEM;
	}
	if (q->json_size)
		memcpy(c->json, q->json, q->json_size);
	if (q->journal_size)
		memcpy(c->journal, q->journal, q->journal_size);
	c->json_size = q->json_size;
	c->journal_size = q->journal_size;
	(void)text_copy(c->status, sizeof(c->status), q->status ? q->status : "");
	c->done = fn;
	feed_flush(s, c->id, c->attempt, on_flushed, c);
	return 0;
}

/* ---- cancel ---- */

/* The result of a job that has none of its own, as the embedded queue makes it. */
static json_t *cancelled_result(const struct redis *r, const char *id, unsigned attempt, uint64_t queued_ms)
{
	char queued[40], finished[40];

	time_text(queued_ms, queued, sizeof(queued));
	time_text(time_now_ms(), finished, sizeof(finished));
	return json_pack("{ss ss ss sn sn ss ss sb sb si si si si sn s[] sI ss ss sn ss}", /**/
			 "id", id, "status", "cancelled", "reason", "cancelled before it ran", "exit_code", "signal",
			 "stdout", "", "stderr", "", "stdout_truncated", 0, "stderr_truncated", 0, "wall_ms", 0,
			 "cpu_ms", 0, "memory_peak", 0, "processes_peak", 0, "compile", "outputs", "attempt",
			 (json_int_t)attempt, "node", r->node, "queued_at", queued, "started_at", "finished_at",
			 finished);
}

static int send_cancel(struct call *c, bool is_ours, redis_reply_fn *fn)
{
	struct redis_source *s = c->s;
	struct redis *r = s->r;
	char *message = redis_message(c->id, "result", "status", "cancelled", c->attempt);
	char *log = s->logs ? redis_log_message(c->id, "", 0, "failed") : NULL;
	json_t *o = cancelled_result(r, c->id, c->attempt, c->queued_ms);
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
	if (!e && integer(reply) != 1)
		set_stale(&stale, c);
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

int redis_cancel_dead(struct redis_source *s, const char *id, unsigned attempt, uint64_t queued_ms, queue_done_fn *fn,
		      void *arg)
{
	struct call *c = call_new(s, id, attempt, arg);
	int rc;

	if (!c)
		return -ENOMEM;
	c->queued_ms = queued_ms;
	c->done = fn;
	rc = send_cancel(c, true, on_cancelled_dead);
	if (rc < 0)
		call_free(c);
	return rc;
}

static int look(struct call *c, bool with_journal, redis_reply_fn *fn)
{
	struct redis_args a;

	args_init(&a, c->s->r);
	args_text(&a, c->id);
	args_text(&a, with_journal ? "1" : "0");
	return args_eval(&a, c->s->r, &redis_lua_get, fn, c);
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
	long long what = integer(reply);

	redis_note(c->s->r, e);
	if (e)
		cancel_over(c, e, false);
	else if (what == 1 || what == 2)
		cancel_over(c, NULL, what == 2);
	else if (what == 3)
		cancel_failed(c, EALREADY, "has ended");
	else if (what == 0)
		cancel_failed(c, ENOENT, "is not there");
	else if (++c->tries >= CANCEL_TRIES || look(c, false, on_cancel_seen) < 0)
		cancel_failed(c, EAGAIN, "is given from hand to hand");
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
		c->queued_ms = reply_number(job, 4);
		if (send_cancel(c, false, on_cancelled) < 0)
			cancel_failed(c, EAGAIN, "cannot be reached: Redis is not there");
	}
}

static int cancel(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, 0, arg);
	int rc;

	if (!c)
		return -ENOMEM;
	c->cancelled = fn;
	c->has_owner = owner != NULL;
	(void)text_copy(c->owner, sizeof(c->owner), owner ? owner : "");
	rc = look(c, false, on_cancel_seen);
	if (rc < 0)
		call_free(c);
	return rc;
}

/* ---- give back, bury ---- */

static void on_given_back(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct redis *r = c->s->r;
	struct error stale = ERROR_INIT;
	long long what = integer(reply);

	redis_note(r, e);
	if (!e && what == 3 && redis_cancel_dead(c->s, c->id, c->attempt, c->queued_ms, c->done, c->arg) == 0) {
		let_go(c, false);
		call_free(c);
		return;
	}
	if (!e && what == 0)
		set_stale(&stale, c);
	r->stats.dead += !e && what == 2;
	let_go(c, stale.code != 0); /* also on failure: the caller forgets it, and nobody renews it */
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

static int give_back_or_bury(struct redis_source *s, const char *id, unsigned attempt, const char *reason, bool is_free,
			     bool is_bury, queue_done_fn *fn, void *arg)
{
	struct redis *r = s->r;
	struct held *h = held_find(s, id, attempt);
	struct call *c = call_new(s, id, attempt, arg);
	char *message = redis_message(id, "dead", "reason", reason, attempt);
	char *log = s->logs ? redis_log_message(id, reason, strlen(reason), "failed") : NULL;
	struct redis_args a;
	int rc = c ? -EAGAIN : -ENOMEM;

	feed_stop(s, id, attempt);
	if (c && h) {
		c->done = fn;
		c->queued_ms = h->queued_ms;
		args_init(&a, r);
		args_text(&a, id);
		args_number(&a, attempt);
		args_text(&a, reason);
		if (!is_bury) {
			args_text(&a, is_free ? "1" : "0");
			args_number(&a, r->env.settings->attempts);
			args_number(&a, BACKOFF_MS);
		}
		args_number(&a, r->retention_ms * REDIS_DEAD_FACTOR);
		args_entry(&a, h, true);
		args_text(&a, message);
		args_text(&a, s->logs);
		args_text(&a, log);
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

static int give_back(void *self, const char *id, unsigned attempt, const char *reason, bool is_free, queue_done_fn *fn,
		     void *arg)
{
	return give_back_or_bury(self, id, attempt, reason, is_free, false, fn, arg);
}

static void on_buried(const struct error *e, void *arg)
{
	struct call *c = arg;

	c->s->r->stats.dead += !e;
	c->done(e, c->arg);
	call_free(c);
}

static int bury(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, attempt, arg);
	int rc;

	if (!c)
		return -ENOMEM;
	c->done = fn;
	rc = give_back_or_bury(self, id, attempt, reason, false, true, on_buried, c);
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
	struct queue_job *jobs = calloc(n + 1, sizeof(*jobs));
	struct error none = ERROR_INIT;

	redis_note(c->s->r, e);
	if (!jobs) {
		(void)error_set(&none, ENOMEM, "out of memory");
		leased_over(c, &none, NULL, 0);
		return;
	}
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
	(void)error_set(&e, EAGAIN, "Redis is not there: what it has leased to us runs out");
	leased_over(c, &e, NULL, 0);
}

static void on_leased_timer(uv_timer_t *t)
{
	struct call *c = t->data;

	if (redis_link_is_up(c->s->r->jobs) || c->s->r->is_closing || clock_now_ns() > c->until_ns)
		uv_close((uv_handle_t *)t, on_leased_closed);
}

/* At the start, before there is a connection: a moment is given to it. */
static int leased(void *self, queue_recover_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct call *c = call_new(s, "", 0, arg);

	if (!c)
		return -ENOMEM;
	c->recovered = fn;
	c->until_ns = clock_deadline_ns(LEASED_WAIT_MS * NS_PER_MS);
	(void)uv_timer_init(s->r->env.loop, &c->timer); /* cannot fail */
	c->timer.data = c;
	(void)uv_timer_start(&c->timer, on_leased_timer, 0, 20); /* fails only without a function */
	return 0;
}

/* ---- looking ---- */

static const struct {
	const char *name;
	enum queue_state state;
} states[] = {
	{ "waiting", QUEUE_WAITING }, { "running", QUEUE_LEASED },      { "done", QUEUE_DONE },
	{ "dead", QUEUE_DEAD },       { "cancelled", QUEUE_CANCELLED }, { "pending", QUEUE_WAITING },
};

static enum queue_state state_of(const char *name)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(name, states[i].name) == 0)
			return states[i].state;
	return QUEUE_WAITING;
}

static void read_job(const redisReply *job, const char *id, struct queue_job *q)
{
	const redisReply *spec = reply_at(job, 11);
	bool has_spec = spec && spec->type == REDIS_REPLY_STRING;

	*q = (struct queue_job){
		.state = state_of(reply_text(job, 0)),
		.attempt = (unsigned)reply_number(job, 2),
		.failures = (unsigned)reply_number(job, 3),
		.queued_ms = reply_number(job, 4),
		.not_before_ms = reply_number(job, 5),
		.finished_ms = reply_number(job, 6),
		.is_ending = strcmp(reply_text(job, 10), "1") == 0,
		.spec = has_spec ? spec->str : "{}",
		.spec_size = has_spec ? spec->len : 2,
	};
	(void)text_copy(q->id, sizeof(q->id), id);
	reply_copy(job, 1, q->owner, sizeof(q->owner));
	reply_copy(job, 7, q->last_node, sizeof(q->last_node));
	reply_copy(job, 8, q->status, sizeof(q->status));
	reply_copy(job, 9, q->reason, sizeof(q->reason));
}

static void on_got(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	const redisReply *job = reply_at(reply, 0), *result = reply_at(reply, 1), *journal = reply_at(reply, 2);
	struct queue_record record = { .result = NULL };
	struct error none = ERROR_INIT;

	redis_note(c->s->r, e);
	if (e) {
		c->got(e, NULL, c->arg);
	} else if (!job) {
		(void)error_set(&none, ENOENT, "no job '%s'", c->id);
		c->got(&none, NULL, c->arg);
	} else {
		read_job(job, c->id, &record.job);
		if (result && result->type == REDIS_REPLY_STRING) {
			record.result = result->str;
			record.result_size = result->len;
		}
		if (record.result && journal && journal->type == REDIS_REPLY_STRING) {
			record.journal = journal->str;
			record.journal_size = journal->len;
		}
		c->got(NULL, &record, c->arg);
	}
	call_free(c);
}

static int get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, 0, arg);
	int rc;

	if (!c)
		return -ENOMEM;
	c->got = fn;
	rc = look(c, with_journal, on_got);
	if (rc < 0)
		call_free(c);
	return rc;
}

static void started(void *self, struct job *job)
{
	struct redis_source *s = self;
	struct held *h = held_find(s, job_id(job), job_attempt(job));

	if (h)
		h->is_running = true;
	feed_start(s, job);
}

static const char *trouble(void *self)
{
	const struct redis_source *s = self;
	struct redis *r = s->r;
	const char *words = s->trouble[0] ? s->trouble : r->trouble;

	if (!redis_link_is_up(r->jobs))
		(void)snprintf(r->trouble_shown, sizeof(r->trouble_shown), "Redis is not there: %s",
			       redis_link_why(r->jobs));
	else if (words[0])
		(void)snprintf(r->trouble_shown, sizeof(r->trouble_shown), "Redis refuses: %s", words);
	else
		return NULL;
	return r->trouble_shown;
}

#define OPS(its_name)                                                                                                  \
	{                                                                                                              \
		.name = (its_name), .take = redis_take, .extend = extend, .finish = finish, .give_back = give_back,    \
		.bury = bury, .leased = leased, .get = get, .cancel = cancel, .started = started,                      \
		.follow = redis_follow, .trouble = trouble                                                             \
	}

const struct source_ops redis_stream_ops = OPS("redis-streams"), redis_list_ops = OPS("redis-list");
