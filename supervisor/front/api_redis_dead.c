/* Dead letters of Redis: the same routes with ?source=redis. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_redis_dead.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/redis/redis.h"

enum { LIST_MAX = 200 };

struct letter {
	struct http_request *rq; /* NULL: its client left */
	bool is_replay;
};

static void on_gone(struct http_request *rq, void *data)
{
	struct letter *l = data;

	(void)rq;
	l->rq = NULL;
}

static void busy(struct http_request *rq)
{
	http_set_header(rq, "Retry-After", "2");
	http_error(rq, 503, "overloaded", NULL, "Redis cannot be asked at the moment");
}

static void on_list(const struct error *e, json_t *owned_list, void *arg)
{
	struct letter *l = arg;

	if (l->rq && e)
		busy(l->rq);
	else if (l->rq && json_object_set_new(owned_list, "next", json_string("")) == 0)
		http_reply_json(l->rq, 200, json_incref(owned_list));
	else if (l->rq)
		busy(l->rq);
	json_decref(owned_list);
	free(l);
}

static void on_done(const struct error *e, void *arg)
{
	struct letter *l = arg;
	struct http_request *rq = l->rq;
	bool is_replay = l->is_replay;

	free(l);
	if (!rq)
		return;
	if (e && e->code == ENOENT)
		http_error(rq, 404, "not_found", "id", "there is no dead letter '%s'", http_param(rq, "id"));
	else if (e)
		busy(rq);
	else if (is_replay)
		http_reply_json(rq, 202, json_pack("{s:s,s:s}", "id", http_param(rq, "id"), "state", "waiting"));
	else
		http_reply(rq, 204, NULL, NULL, 0);
}

static struct letter *letter_new(struct http_request *rq)
{
	struct letter *l = calloc(1, sizeof(*l));

	if (!l) {
		http_error(rq, 503, "overloaded", NULL, "out of memory");
		return NULL;
	}
	l->rq = rq;
	http_on_gone(rq, on_gone, l);
	return l;
}

bool redis_dead_asked(struct http_request *rq, enum redis_dead_question what)
{
	struct front *f = front_of(rq);
	const char *source = http_query(rq, "source"), *id = http_param(rq, "id");
	struct letter *l;
	int r;

	if (!source || strcmp(source, "redis") != 0)
		return false;
	if (!f->redis) {
		http_error(rq, 400, "invalid_request", "source", "source: this node has no Redis (REDIS_URL)");
		return true;
	}
	if (!caller_is_admin(front_caller(rq))) { /* a malformed letter has no owner that could be believed */
		http_error(rq, 403, "forbidden", "source", "source: dead letters of Redis are for administrators");
		return true;
	}
	l = letter_new(rq);
	if (!l)
		return true;
	l->is_replay = what == REDIS_DEAD_REPLAY;
	if (what == REDIS_DEAD_LIST)
		r = redis_dead_list(f->redis, LIST_MAX, on_list, l);
	else
		r = (what == REDIS_DEAD_REPLAY ? redis_dead_replay : redis_dead_delete)(f->redis, id, on_done, l);
	if (r < 0) {
		free(l);
		busy(rq);
	}
	return true;
}
