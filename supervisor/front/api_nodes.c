/* /v1/nodes: who serves, with what capacity, and asking one to take no more work. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/version.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/api.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/redis/redis.h"

static json_t *own_node(struct front *f)
{
	struct dispatch_counts d;
	char since[32];

	dispatch_counts(f->dispatch, &d);
	time_text(f->state.started_ms, since, sizeof(since));
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:I}", "name", f->settings.node, "version", CUBIT_VERSION, "state",
			 able_word(f->able), "slots", (json_int_t)f->settings.slots, "running", (json_int_t)d.running,
			 "since", since, "front_number", (json_int_t)f->front_number);
}

/* ---- the list ---- */

struct asking {
	struct front *front;
	struct http_request *rq; /* NULL: its client left */
	bool on;
	char name[65];
	struct audit_who who; /* drain, resume */
};

static void on_gone(struct http_request *rq, void *data)
{
	struct asking *a = data;

	(void)rq;
	a->rq = NULL;
}

static struct asking *asking_new(struct http_request *rq)
{
	struct asking *a = alloc_zeroed(1, sizeof(*a));

	a->front = front_of(rq);
	a->rq = rq;
	http_on_gone(rq, on_gone, a);
	return a;
}

/* What this node knows of itself is newer than what Redis has. */
static void replace_own(json_t *list, struct front *f)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *name = json_string_value(json_object_get(json_array_get(list, i), "name"));

		if (name && strcmp(name, f->settings.node) == 0)
			(void)json_array_remove(list, i);
	}
	(void)json_array_insert_new(list, 0, own_node(f));
}

static void on_nodes(const struct error *e, json_t *owned_list, void *arg)
{
	struct asking *a = arg;
	json_t *list = owned_list ? owned_list : json_array();

	replace_own(list, a->front);
	if (a->rq)
		http_reply_json(a->rq, 200, json_pack("{s:o,s:s*}", "nodes", list, "incomplete", e ? e->text : NULL));
	else
		json_decref(list);
	free(a);
}

void api_nodes(struct http_request *rq)
{
	struct front *f = front_of(rq);
	struct asking *a;

	if (!f->redis) {
		http_reply_json(rq, 200, json_pack("{s:[o]}", "nodes", own_node(f)));
		return;
	}
	a = asking_new(rq);
	if (redis_nodes(f->redis, on_nodes, a) < 0)
		on_nodes(&(struct error){ .code = EAGAIN, .text = "Redis cannot be asked at the moment" }, NULL, a);
}

/* ---- draining ---- */

static void answer(struct http_request *rq, const char *name, bool on)
{
	http_reply_json(rq, 202, json_pack("{s:s,s:s}", "name", name, "state", on ? "draining" : "serving"));
}

static void on_drained(const struct error *e, void *arg)
{
	struct asking *a = arg;

	auth_audit_write(a->front->auth, &a->who, a->on ? "node.drain" : "node.resume", a->name,
			 !e                  ? "done"
			 : e->code == ENOENT ? "not_found"
					     : "failed");
	if (a->rq && e && e->code == ENOENT)
		http_error(a->rq, 404, "not_found", "name", "there is no node '%s'", a->name);
	else if (a->rq && e)
		api_fail(a->rq, e);
	else if (a->rq)
		answer(a->rq, a->name, a->on);
	free(a);
}

static void drain(struct http_request *rq, bool on)
{
	struct front *f = front_of(rq);
	const char *name = http_param(rq, "name");
	struct asking *a;
	const char *action = on ? "node.drain" : "node.resume";

	if (strcmp(name, f->settings.node) == 0) {
		f->state.is_paused = on;
		dispatch_poke(f->dispatch);
	}
	if (!f->redis && strcmp(name, f->settings.node) != 0) {
		auth_audit(f->auth, rq, action, name, "not_found");
		http_error(rq, 404, "not_found", "name", "there is no node '%s'", name);
		return;
	}
	if (!f->redis) {
		auth_audit(f->auth, rq, action, name, "done");
		answer(rq, name, on);
		return;
	}
	a = asking_new(rq);
	a->on = on;
	auth_audit_who(rq, &a->who);
	text_copy(a->name, sizeof(a->name), name);
	if (redis_drain_node(f->redis, name, on, on_drained, a) < 0)
		on_drained(&(struct error){ .code = EAGAIN, .text = "Redis cannot be asked at the moment" }, a);
}

void api_drain_node(struct http_request *rq)
{
	drain(rq, true);
}

void api_resume_node(struct http_request *rq)
{
	drain(rq, false);
}
