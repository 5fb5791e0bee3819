/* What is done with dead letters, and nodes: see queue/source.h and redis.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

struct asking {
	struct redis *r;
	char what[QUEUE_ID_BYTES];
	bool on;
	redis_nodes_fn *list;
	queue_done_fn *done;
	void *arg;
};

static int ask(struct redis *r, const struct asking *from, const struct redis_args *a, struct redis_script *script,
	       redis_reply_fn *fn)
{
	struct asking *q = alloc_bytes(sizeof(*q));
	int rc;

	*q = *from;
	q->r = r;
	rc = args_eval(a, r, script, fn, q);
	if (rc < 0)
		free(q);
	return rc;
}

/* One node as JSON; NULL: out of memory. */
typedef json_t *row_fn(const redisReply *row);

static void answer_list(const struct error *e, const redisReply *reply, struct asking *q, row_fn *fn)
{
	json_t *list = e ? NULL : json_array();
	struct error none = ERROR_INIT;

	redis_note(q->r, e);
	for (size_t i = 0; list && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		(void)json_array_append_new(list, fn(reply->element[i])); /* one that does not fit is left out */
	if (!e && !list)
		(void)error_set(&none, ENOMEM, "out of memory");
	q->list(none.code ? &none : e, list, q->arg);
	free(q);
}

/* ---- dead letters ---- */

static void on_done(const struct error *e, const redisReply *reply, void *arg)
{
	struct asking *q = arg;
	struct error none = ERROR_INIT;
	long long what = !e && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;

	redis_note(q->r, e);
	if (!e && what == 0)
		(void)error_set(&none, ENOENT, "there is no '%s'", q->what);
	else if (!e && what < 0)
		(void)error_set(&none, ENOBUFS, "the queue is full");
	q->done(none.code ? &none : e, q->arg);
	free(q);
}

static int do_letter(struct redis *r, struct redis_script *script, const char *id, bool is_replay, queue_done_fn *fn,
		     void *arg)
{
	struct asking q = { .done = fn, .arg = arg };
	struct redis_args a;

	(void)snprintf(q.what, sizeof(q.what), "%s", id); /* for words only: cut is fine */
	args_init(&a, r);
	args_text(&a, id);
	if (is_replay) {
		args_number(&a, r->env.settings->queue_max);
		args_number(&a, REDIS_ALIVE_MS);
	}
	return ask(r, &q, &a, script, on_done);
}

/* Letters are administrators': owner is not looked at (source.h, letters_are_admins). */
int redis_replay(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	(void)owner;
	return do_letter(((struct redis_source *)self)->r, &redis_lua_replay, id, true, fn, arg);
}

int redis_forget(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	(void)owner;
	return do_letter(((struct redis_source *)self)->r, &redis_lua_dead_delete, id, false, fn, arg);
}

/* ---- nodes ---- */

enum { SILENT_MS = 10000 }; /* five beats and more */

static json_t *node_json(const redisReply *row)
{
	uint64_t ago = reply_number(row, 6);
	bool is_draining = strcmp(reply_text(row, 7), "1") == 0;

	return json_pack("{ss ss sI sI ss ss sI sb}", "name", reply_text(row, 0), "version", reply_text(row, 1),
			 "slots", (json_int_t)reply_number(row, 2), "running", (json_int_t)reply_number(row, 3),
			 "state", ago > SILENT_MS ? "silent" : reply_text(row, 4), "sources", reply_text(row, 5),
			 "seen_ms_ago", (json_int_t)ago, "drain", (int)is_draining);
}

static void on_nodes(const struct error *e, const redisReply *reply, void *arg)
{
	answer_list(e, reply, arg, node_json);
}

int redis_nodes(struct redis *r, redis_nodes_fn *fn, void *arg)
{
	const struct asking q = { .list = fn, .arg = arg };
	struct redis_args a;

	args_init(&a, r);
	return ask(r, &q, &a, &redis_lua_nodes, on_nodes);
}

static void on_drain_set(const struct error *e, const redisReply *reply, void *arg)
{
	on_done(e, reply, arg); /* our own flag is seen with the next tick */
}

int redis_drain_node(struct redis *r, const char *name, bool on, queue_done_fn *fn, void *arg)
{
	struct asking q = { .done = fn, .arg = arg, .on = on };
	struct redis_args a;

	(void)snprintf(q.what, sizeof(q.what), "%s", name); /* for words only: cut is fine */
	args_init(&a, r);
	args_text(&a, name);
	args_text(&a, on ? "1" : "0");
	return ask(r, &q, &a, &redis_lua_drain, on_drain_set);
}
