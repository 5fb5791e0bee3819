/* What is known of a job: see redis_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/text.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"
#include "supervisor/redis/call.h"
#include "supervisor/settings.h"

enum { EVENTS_BLOB_MAX = 64 << 20 }; /* get.lua gives 48 MiB of events, and each has a record */

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

void call_read_job(const redisReply *job, const char *id, struct queue_job *q)
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
		.unstarted = (unsigned)reply_number(job, 13),
		.priority = (int)strtol(reply_text(job, 14), NULL, 10),
		.spec = has_spec ? spec->str : "{}",
		.spec_size = has_spec ? spec->len : 2,
	};
	(void)text_copy(q->id, sizeof(q->id), id);
	reply_copy(job, 1, q->owner, sizeof(q->owner));
	reply_copy(job, 7, q->last_node, sizeof(q->last_node));
	reply_copy(job, 8, q->status, sizeof(q->status));
	reply_copy(job, 9, q->reason, sizeof(q->reason));
}

int call_look(struct call *c, bool with_journal, redis_reply_fn *fn)
{
	struct redis_args a;

	args_init(&a, c->s->r);
	args_text(&a, c->id);
	args_text(&a, with_journal ? "1" : "0");
	args_number(&a, c->s->r->retention_ms * REDIS_DEAD_FACTOR);
	args_text(&a, c->s->r->env.settings->redis_events ? "1" : "0");
	return args_eval(&a, c->s->r, &redis_lua_get, fn, c);
}

/* ---- a result, whole again: result.c says what stands once ---- */

static json_t *once_value(const redisReply *v, bool is_text)
{
	if (is_text)
		return json_stringn(v->str, v->len);
	return v->len ? json_loadb(v->str, v->len, JSON_DECODE_ANY, NULL) : json_null();
}

/* The text of the whole. NULL: out of memory, or not what we wrote. */
static char *whole_result(const redisReply *rest, const redisReply *once)
{
	static const struct {
		const char *name;
		bool is_text;
	} rows[] = {
		{ "stdout", true }, { "stderr", true }, { "compile", false }, { "outputs", false }, { "cases", false }
	};
	json_t *o = json_loadb(rest->str, rest->len, 0, NULL);
	int e = o ? 0 : -1;
	char *text;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const redisReply *v = reply_at(once, i);

		if (e == 0 && v && v->type == REDIS_REPLY_STRING) /* null: as it never had one */
			e = json_object_set_new(o, rows[i].name, once_value(v, rows[i].is_text));
	}
	text = e == 0 ? json_dumps(o, JOB_RESULT_DUMP) : NULL;
	json_decref(o);
	return text;
}

/* The journal that these events were read from, packed. Nothing when they are none, or not what a journal has. */
static void pack_events(const redisReply *list, struct buf *out)
{
	size_t n = list && list->type == REDIS_REPLY_ARRAY ? list->elements : 0;
	struct journal_event *events = n ? alloc_zeroed(n, sizeof(*events)) : NULL;

	for (size_t i = 0; i < n; i++) {
		const redisReply *data = reply_at(list->element[i], 2);
		bool is_text = data && data->type == REDIS_REPLY_STRING;

		events[i] = (struct journal_event){
			.n = i + 1,
			.type = journal_type_of(reply_text(list->element[i], 0)),
			.at_ms = reply_number(list->element[i], 1),
			.data = is_text ? data->str : "",
			.size = is_text ? data->len : 0,
		};
	}
	if (events && journal_pack_list(events, n, out) < 0)
		buf_reset(out);
	free(events);
}

static void answer(struct call *c, const redisReply *reply)
{
	const redisReply *result = reply_at(reply, 1), *journal = reply_at(reply, 2);
	bool has_result = result && result->type == REDIS_REPLY_STRING;
	char *whole = has_result ? whole_result(result, reply_at(reply, 3)) : NULL;
	cleanup_buf struct buf packed = BUF_BOUNDED(EVENTS_BLOB_MAX);
	struct queue_record record = { .result = whole };
	struct error none = ERROR_INIT;

	if (has_result && !whole) {
		(void)error_set(&none, ENOMEM, "the result of job '%s' cannot be read", c->id);
		c->got(&none, NULL, c->arg);
		return;
	}
	call_read_job(reply_at(reply, 0), c->id, &record.job);
	record.result_size = whole ? strlen(whole) : 0;
	if (whole && journal && journal->type == REDIS_REPLY_STRING && journal->len > 0) {
		record.journal = journal->str;
		record.journal_size = journal->len;
	} else if (whole) {
		pack_events(reply_at(reply, 4), &packed);
		record.journal = packed.data;
		record.journal_size = packed.size;
	}
	c->got(NULL, &record, c->arg);
	free(whole);
}

static void on_got(const struct error *e, const redisReply *reply, void *arg)
{
	struct call *c = arg;
	struct error none = ERROR_INIT;

	redis_note(c->s->r, e);
	if (!e && reply_at(reply, 0)) {
		answer(c, reply);
	} else {
		(void)error_set(&none, ENOENT, "no job '%s'", c->id);
		c->got(e ? e : &none, NULL, c->arg);
	}
	call_free(c);
}

int redis_get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, 0, arg);
	int rc;

	c->got = fn;
	rc = call_look(c, with_journal, on_got);
	if (rc < 0)
		call_free(c);
	return rc;
}
