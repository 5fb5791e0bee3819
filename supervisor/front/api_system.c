/* What operators and programs ask about the node itself. */
#include <jansson.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/version.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/policies.h"
#include "supervisor/http/http.h"
#include "supervisor/http/openapi.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/pool/pool.h"

void api_root(struct http_request *rq)
{
	static const char page[] =
		"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Cubit</title>"
		"<body style=\"font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em\">"
		"<h1>Cubit is running</h1><p>This node runs untrusted code in sandboxes of its own. Its API is "
		"described by "
		"<a href=\"/openapi.json\">/openapi.json</a>; <a href=\"/v1/runtimes\">/v1/runtimes</a> lists the "
		"languages, "
		"<a href=\"/readyz\">/readyz</a> says whether it takes work, <a href=\"/metrics\">/metrics</a> what it "
		"does."
		"</p></body></html>\n";

	http_reply(rq, 200, "text/html; charset=utf-8", page, sizeof(page) - 1);
}

void api_health(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("{s:s}", "status", "ok"));
}

static void add_reason(const char *text, void *reasons)
{
	(void)json_array_append_new(reasons, json_string(text));
}

/*
 * Reasons and figures name addresses, paths and what else runs here: for this machine, the networks that the operator
 * lists, and keys that are made for it. A session of a browser has its key's rights.
 */
static bool may_see_status(struct http_request *rq)
{
	const struct caller *c = http_caller(rq);

	return http_peer_is_near(rq) || (c && (c->scopes & (SCOPE_STATUS | SCOPE_ADMIN)) != 0);
}

/* A list that says something, or NULL. */
static json_t *some(json_t *list)
{
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return NULL;
}

void api_ready(struct http_request *rq)
{
	json_t *reasons = json_array(), *warnings = json_array();
	bool is_ready;

	able_reasons(front_of(rq)->able, add_reason, reasons);
	is_ready = json_array_size(reasons) == 0;
	if (!may_see_status(rq) && !is_ready) {
		(void)json_array_clear(reasons);
		add_reason("the reasons need a key with the scope 'status'; see CUBIT_STATUS_NETWORKS", reasons);
	}
	if (may_see_status(rq))
		policies_problems(&front_of(rq)->catalog, add_reason, warnings);
	http_reply_json(rq, is_ready ? 200 : 503,
			json_pack("{s:b,s:o,s:o*}", "ready", is_ready, "reasons", reasons, "warnings", some(warnings)));
}

void api_version(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("{s:s,s:s,s:s}", "name", "cubit", "version", CUBIT_VERSION, "api", "v1"));
}

void api_metrics(struct http_request *rq)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (!may_see_status(rq) && http_caller(rq) && ((const struct caller *)http_caller(rq))->scopes) {
		http_error(rq, 403, "forbidden", NULL, "this needs a key with the scope 'status'");
		return;
	}
	if (!may_see_status(rq)) {
		http_set_header(rq, "WWW-Authenticate", "Bearer realm=\"cubit\"");
		http_error(rq, 401, "unauthorized", NULL,
			   "this needs a key with the scope 'status': Authorization: Bearer KEY; see "
			   "CUBIT_STATUS_NETWORKS");
		return;
	}
	if (metrics_text(front_of(rq)->metrics, &text) < 0)
		http_error(rq, 503, "overloaded", NULL, "out of memory");
	else
		http_reply(rq, 200, METRICS_CONTENT_TYPE, text.data, text.size);
}

void api_openapi(struct http_request *rq)
{
	const struct front *f = front_of(rq);

	http_reply_json(rq, 200, openapi_document(f->routes, f->openapi, auth_scopes, CUBIT_VERSION));
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
	static const char *const images[] = {
		[POOL_IMAGE_UNKNOWN] = "unknown",
		[POOL_IMAGE_THERE] = "present",
		[POOL_IMAGE_MISSING] = "missing",
	};
	const char *version = pool_runtime_version(f->pool, d);
	json_t *aliases = json_array();

	for (char **a = d->aliases; a && *a; a++)
		(void)json_array_append_new(aliases, json_string(*a));
	return json_pack("{s:s,s:s,s:s*,s:o,s:s,s:s,s:s,s:b,s:b,s:o}", "name", d->name, "title", d->title, "version",
			 version && *version ? version : NULL, "aliases", aliases, "image", d->image, "image_state",
			 images[pool_runtime_image(f->pool, d)], "file", d->file, "compiled", d->compile.argv != NULL,
			 "prestart", d->prestart.argv != NULL, "limits", limits_json(f, &d->run.limits));
}

void api_runtimes(struct http_request *rq)
{
	struct front *f = front_of(rq);
	const struct runtime_def *d;
	json_t *list = json_array(), *problems = json_array();
	const char *problem;

	for (size_t i = 0; (d = runtime_set_at(f->catalog.runtimes, i)) != NULL; i++)
		(void)json_array_append_new(list, runtime_json(f, d));
	for (size_t i = 0; (problem = runtime_set_problem(f->catalog.runtimes, i)) != NULL; i++)
		(void)json_array_append_new(problems, json_string(problem));
	http_reply_json(rq, 200, json_pack("{s:o,s:o}", "runtimes", list, "problems", problems));
}

void api_pool(struct http_request *rq)
{
	http_reply_json(rq, 200, pool_json(front_of(rq)->pool));
}
