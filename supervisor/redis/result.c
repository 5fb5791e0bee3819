/* Results into Redis: see redis_impl.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/jobs/result.h"
#include "supervisor/redis/call.h"
#include "supervisor/settings.h"

enum {
	RESULT_BYTES = 48 << 20, /* of one result and its journal: what a link sends at once has a bound */
	RESULT_CUT = 1 << 20, /* of a stream in a result that has more than that even alone; whole groups of base64 */
};

void fields_done(struct fields *f)
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

/* What stands in a field of its own only, and not in `json` as well: output, and what may hold output. */
static const char *const once[] = { "stdout", "stderr", "compile", "outputs", "cases", NULL };

/* Texts as they are, null as nothing, the rest as JSON. */
static void fields_of(struct fields *f, json_t *o)
{
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v)
	{
		char *text = NULL;

		if (json_is_string(v)) {
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

/* An output that no connection carries in one piece loses what is behind its first MiB, and says so; cases lose all of it. */
static int cut_streams(json_t *o, size_t most)
{
	static const char *const streams[][3] = {
		{ "stdout", "stdout_truncated", "stdout_encoding" },
		{ "stderr", "stderr_truncated", "stderr_encoding" },
	};
	json_t *of_case;
	size_t n;

	json_array_foreach(json_object_get(o, "cases"), n, of_case)
	{
		if (cut_streams(of_case, 0) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < 2; i++) {
		json_t *v = json_object_get(o, streams[i][0]);
		size_t size = most;

		if (!json_is_string(v) || json_string_length(v) <= size)
			continue;
		if (!json_object_get(o, streams[i][2]))
			size = utf8_whole(json_string_value(v), size);
		if (json_object_set_new(o, streams[i][0], json_stringn(json_string_value(v), size)) < 0 ||
		    json_object_set_new(o, streams[i][1], json_true()) < 0)
			return -ENOMEM;
	}
	json_object_del(o, "outputs");
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
	if (!e && reply_integer(reply) == 0)
		call_set_stale(&stale, c);
	if (!e) {
		call_let_go(c, stale.code != 0);
		c->s->r->stats.finished += !stale.code;
	}
	c->done(stale.code ? &stale : e, c->arg);
	call_free(c);
}

/* The whole but for what stands once. NULL: out of memory. */
static char *rest_of(json_t *o)
{
	json_t *rest = json_copy(o);
	char *text;

	for (size_t i = 0; rest && once[i]; i++)
		(void)json_object_del(rest, once[i]); /* it may not be there */
	text = rest ? json_dumps(rest, JOB_RESULT_DUMP) : NULL;
	json_decref(rest);
	return text;
}

int args_result(struct redis_args *a, struct call *c, json_t *o, struct fields *f)
{
	char *rest;
	size_t bytes = c->journal_size;

	if (c->json_size > RESULT_BYTES) {
		if (cut_streams(o, RESULT_CUT) < 0)
			return -ENOMEM;
		log_warning(LOG_FACTS(LOG_STR("job", c->id)),
			    "a result is too large for Redis: kept the first MiB of its output");
	}
	fields_of(f, o);
	rest = rest_of(o);
	if (!rest)
		return -ENOMEM;
	fields_add(f, "json", rest, strlen(rest), rest);
	for (size_t i = 0; i < f->n; i++)
		bytes += f->sizes[i];
	if (bytes > RESULT_BYTES)
		c->journal_size = 0; /* the result has the output as well */
	if (c->journal_size > 0)
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
	if (h->is_streamed)
		c->journal_size = 0; /* its events are there until the result goes */
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
	(void)error_set(&e, EAGAIN, "Redis cannot be reached");
	c->done(&e, c->arg);
	call_free(c);
}

int redis_finish(void *self, const struct queue_result *q, queue_done_fn *fn, void *arg)
{
	struct redis_source *s = self;
	struct call *c;

	if (q->is_direct || !redis_link_is_up(s->r->jobs))
		return -EAGAIN;
	c = call_new(s, q->id, q->attempt, arg);
	c->json = alloc_bytes(q->json_size + 1);
	c->journal = alloc_bytes(q->journal_size + 1);
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
