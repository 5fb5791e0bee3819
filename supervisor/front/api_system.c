/* What operators and programs ask about the node itself. */
#include <jansson.h>
#include <string.h>

#include "images/runtime_def.h"
#include "images/runtime_set.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/version.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/http/openapi.h"
#include "supervisor/jobs/pool.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"

void api_root(struct http_request *rq)
{
	static const char page[] =
		"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Cubit</title>"
		"<body style=\"font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em\">"
		"<h1>Cubit is running</h1><p>This node runs untrusted code in sandboxes of its own. Its API is described by "
		"<a href=\"/openapi.json\">/openapi.json</a>; <a href=\"/v1/runtimes\">/v1/runtimes</a> lists the languages, "
		"<a href=\"/readyz\">/readyz</a> says whether it takes work, <a href=\"/metrics\">/metrics</a> what it does."
		"</p></body></html>\n";

	http_reply(rq, 200, "text/html; charset=utf-8", page, sizeof(page) - 1);
}

void api_health(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("{s:s}", "status", "ok"));
}

static void add_reason(json_t *reasons, const char *text)
{
	(void)json_array_append_new(reasons, json_string(text));
}

void api_ready(struct http_request *rq)
{
	struct front *f = front_of(rq);
	json_t *reasons = json_array();
	struct queue_counts q;
	struct db_counts d;
	const char *last = NULL;
	bool is_ready;

	queue_counts(f->queue, &q);
	db_counts(f->db, &d);
	if (f->is_draining)
		add_reason(reasons, "this node is being stopped");
	if (d.is_full)
		add_reason(reasons, "the disk of CUBIT_STATE is full: nothing can be accepted");
	if (q.waiting >= f->settings.queue_max)
		add_reason(reasons, "the queue is full");
	for (size_t i = 0; i < f->n_sources; i++) {
		const struct source *from = f->sources[i];
		const char *why = from->ops->trouble ? from->ops->trouble(from->self) : NULL;

		if (why && (!last || strcmp(why, last) != 0)) /* sources of one Redis have the same trouble */
			add_reason(reasons, why);
		last = why;
	}
	if (!runtime_set_at(f->runtimes, 0))
		add_reason(reasons, "no language is defined");
	is_ready = json_array_size(reasons) == 0;
	http_reply_json(rq, is_ready ? 200 : 503, json_pack("{s:b,s:o}", "ready", is_ready, "reasons", reasons));
}

void api_version(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("{s:s,s:s,s:s}", "name", "cubit", "version", CUBIT_VERSION, "api", "v1"));
}

void api_metrics(struct http_request *rq)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (metrics_text(front_of(rq)->metrics, &text) < 0)
		http_error(rq, 503, "overloaded", NULL, "out of memory");
	else
		http_reply(rq, 200, METRICS_CONTENT_TYPE, text.data, text.size);
}

void api_openapi(struct http_request *rq)
{
	http_reply_json(rq, 200, openapi_document(api_routes, api_schemas, auth_scopes, CUBIT_VERSION));
}

/* ---- languages ---- */

static json_t *limits_json(const struct front *f, const struct runtime_limits *l)
{
	uint64_t wall_ms = l->wall_ms ? l->wall_ms : f->settings.run_timeout_ns / NS_PER_MS;

	return json_pack("{s:I,s:I,s:I}", "wall_ms", (json_int_t)wall_ms, "cpu_ms",
			 (json_int_t)(l->cpu_ms ? l->cpu_ms : wall_ms), "memory",
			 (json_int_t)(l->memory_bytes ? l->memory_bytes : f->settings.memory_bytes));
}

static json_t *runtime_json(const struct front *f, const struct runtime_def *d)
{
	const char *version = pool_runtime_version(f->pool, d);
	json_t *aliases = json_array();

	for (char **a = d->aliases; a && *a; a++)
		(void)json_array_append_new(aliases, json_string(*a));
	return json_pack("{s:s,s:s,s:s*,s:o,s:s,s:s,s:b,s:b,s:o}", "name", d->name, "title", d->title, "version",
			 version && *version ? version : NULL, "aliases", aliases, "image", d->image, "file", d->file,
			 "compiled", d->compile.argv != NULL, "prestart", d->prestart.argv != NULL, "limits",
			 limits_json(f, &d->run.limits));
}

void api_runtimes(struct http_request *rq)
{
	struct front *f = front_of(rq);
	const struct runtime_def *d;
	json_t *list = json_array(), *problems = json_array();
	const char *problem;

	for (size_t i = 0; (d = runtime_set_at(f->runtimes, i)) != NULL; i++)
		(void)json_array_append_new(list, runtime_json(f, d));
	for (size_t i = 0; (problem = runtime_set_problem(f->runtimes, i)) != NULL; i++)
		(void)json_array_append_new(problems, json_string(problem));
	http_reply_json(rq, 200, json_pack("{s:o,s:o}", "runtimes", list, "problems", problems));
}

void api_pool(struct http_request *rq)
{
	http_reply_json(rq, 200, pool_json(front_of(rq)->pool));
}
