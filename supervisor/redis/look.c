/* What is known of a job: see redis_impl.h. */
#include <errno.h>
#include <string.h>

#include "runtime/base/text.h"
#include "supervisor/redis/call.h"
#include "supervisor/settings.h"

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
		.unstarted = (unsigned)reply_number(job, 13),
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

int redis_get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct call *c = call_new(self, id, 0, arg);
	int rc;

	if (!c)
		return -ENOMEM;
	c->got = fn;
	rc = call_look(c, with_journal, on_got);
	if (rc < 0)
		call_free(c);
	return rc;
}
