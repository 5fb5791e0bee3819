/*
 * The journal of a job that runs on another node, built from its events: see source.h.
 *
 * Asked for again and again, quicker while something comes. Ends with the exit event; when that never came (its node
 * was cut off) with one that says what became of the job. A job that begins anew adds a status that says so: an event
 * that was read is not taken back. Bytes keep their order; their times are those of their arrival here.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/text.h"
#include "supervisor/journal/journal.h"
#include "supervisor/redis/redis_impl.h"

enum { QUICK_MS = 50, SLOW_MS = 400, SETTLED_TRIES = 3 };

struct follower {
	struct follower *next;
	struct redis *r;
	struct journal *journal;
	uv_timer_t timer;
	char id[QUEUE_ID_BYTES], last[64];
	unsigned n_settled; /* times that it was not at work any more, and nothing came */
	unsigned wait_ms;
	bool is_asking, is_over;
};

static void on_closed(uv_handle_t *handle)
{
	struct follower *f = handle->data;

	free(f);
}

static void end(struct follower *f)
{
	struct follower **at = &f->r->followers;

	if (f->is_over)
		return;
	f->is_over = true;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	journal_unref(f->journal);
	if (!f->is_asking)
		uv_close((uv_handle_t *)&f->timer, on_closed);
}

static void add_end(struct follower *f, const char *status)
{
	json_t *o = json_pack("{ss ss}", "status", status, "reason", "");
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	(void)journal_add(f->journal, JOURNAL_EXIT, text ? text : "{\"status\":\"internal_error\"}", NULL);
	free(text);
	json_decref(o);
}

/* One event as the script gives it: entry, n, type, data. What cannot be kept here is left out. */
static void add(struct follower *f, const redisReply *e)
{
	const char *type = reply_text(e, 2);
	const redisReply *data = reply_at(e, 3);

	reply_copy(e, 0, f->last, sizeof(f->last));
	if (!data || data->type != REDIS_REPLY_STRING || journal_is_ended(f->journal))
		return;
	if (strcmp(type, "stdout") == 0)
		(void)journal_put(f->journal, JOURNAL_STDOUT, data->str, data->len, NULL);
	else if (strcmp(type, "stderr") == 0)
		(void)journal_put(f->journal, JOURNAL_STDERR, data->str, data->len, NULL);
	else if (strcmp(type, "status") == 0)
		(void)journal_add(f->journal, JOURNAL_STATUS, data->str, NULL);
	else if (strcmp(type, "again") == 0)
		(void)journal_add(f->journal, JOURNAL_STATUS, "{\"state\":\"waiting\"}", NULL);
	else if (strcmp(type, "exit") == 0)
		(void)journal_add(f->journal, JOURNAL_EXIT, data->str, NULL);
	else if (strcmp(type, "end") == 0)
		add_end(f, data->str);
}

static void on_events(const struct error *e, const redisReply *reply, void *arg)
{
	struct follower *f = arg;
	const redisReply *list = reply_at(reply, 1);
	const char *state = reply_text(reply, 0);
	size_t n = list && list->type == REDIS_REPLY_ARRAY ? list->elements : 0;

	f->is_asking = false;
	if (f->is_over) {
		uv_close((uv_handle_t *)&f->timer, on_closed);
		return;
	}
	if (e)
		return;
	for (size_t i = 0; i < n; i++)
		add(f, list->element[i]);
	if (n > 0 || strcmp(state, "running") == 0 || strcmp(state, "waiting") == 0)
		f->n_settled = 0;
	else if (++f->n_settled >= SETTLED_TRIES)
		add_end(f, state[0] ? state : "internal_error");
	f->wait_ms = n > 0 ? QUICK_MS : f->wait_ms * 2 > SLOW_MS ? SLOW_MS : f->wait_ms * 2;
	if (journal_is_ended(f->journal))
		end(f);
}

static void on_timer(uv_timer_t *t)
{
	struct follower *f = t->data;
	struct redis_args a;

	(void)uv_timer_start(t, on_timer, f->wait_ms, 0); /* fails only without a function */
	if (f->is_asking || f->is_over)
		return;
	if (journal_is_alone(f->journal)) {
		end(f);
		return;
	}
	(void)journal_settle(f->journal); /* what was held back is due by the next time */
	args_init(&a, f->r);
	args_text(&a, f->id);
	args_text(&a, f->last);
	f->is_asking = args_eval(&a, f->r, &redis_lua_follow, on_events, f) == 0;
}

int redis_follow(void *self, const char *id, struct journal **ret)
{
	struct redis *r = ((struct redis_source *)self)->r;
	struct follower *f = alloc_zeroed(1, sizeof(*f));
	int rc = journal_open((const int[3]){ -1, -1, -1 }, &f->journal, NULL);

	if (rc < 0) {
		free(f);
		return rc;
	}
	f->r = r;
	(void)text_copy(f->id, sizeof(f->id), id);
	(void)text_copy(f->last, sizeof(f->last), "0-0");
	f->wait_ms = QUICK_MS;
	f->next = r->followers;
	r->followers = f;
	(void)uv_timer_init(r->env.loop, &f->timer); /* cannot fail */
	f->timer.data = f;
	(void)uv_timer_start(&f->timer, on_timer, 0, 0); /* fails only without a function */
	uv_unref((uv_handle_t *)&f->timer);
	*ret = journal_ref(f->journal);
	return 0;
}

void followers_free(struct redis *r)
{
	while (r->followers)
		end(r->followers);
}
