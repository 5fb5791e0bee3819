/*
 * tRPC v11 over HTTP, without a transformer, as httpLink and httpBatchLink speak it: one procedure, the mutation
 * runCode {language, source} -> {jobId}. The envelopes are those of @trpc/server in production:
 *
 *   POST /trpc/runCode                  INPUT                -> {"result": {"data": {"jobId"}}}
 *   POST /trpc/runCode,runCode?batch=1  {"0": INPUT, "1": …} -> [ENVELOPE, …], status 207 when theirs differ
 *   an error                            {"error": {"message", "code", "data": {"code", "httpStatus", "path"}}}
 *
 * Content types are not looked at: what is no JSON is refused as that. What the gate refuses has its own shape, which
 * tRPC's clients show as a failed request with that status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/log.h"
#include "runtime/base/utf8.h"
#include "supervisor/doors/doors.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_refusal.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"

struct batch;

struct call {
	struct batch *batch;
	char *path;
	json_t *answer; /* its envelope */
	int status;
};

struct batch {
	struct http_request *rq; /* NULL: its client left */
	bool is_batch;
	unsigned retry_s;
	size_t n, n_pending;
	struct call calls[];
};

/* ---- envelopes ---- */

/* clang-format off */
static const struct {
	int http, code;
	const char *name;
} codes[] = { /* the first is for what is in none of the others */
	{ 500, -32603, "INTERNAL_SERVER_ERROR" },
	{ 400, -32600, "BAD_REQUEST" },
	{ 403, -32003, "FORBIDDEN" },
	{ 404, -32004, "NOT_FOUND" },
	{ 405, -32005, "METHOD_NOT_SUPPORTED" },
	{ 409, -32009, "CONFLICT" },
	{ 413, -32013, "PAYLOAD_TOO_LARGE" },
	{ 429, -32029, "TOO_MANY_REQUESTS" },
	{ 503, -32603, "SERVICE_UNAVAILABLE" },
};
/* clang-format on */

/* path NULL: of the whole request. */
static json_t *error_envelope(int status, const char *path, const char *message, int *ret_status)
{
	json_t *data;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(codes) / sizeof(codes[0]); k++) {
		if (codes[k].http == status)
			i = k;
	}
	*ret_status = codes[i].http;
	data = json_pack("{s:s,s:i}", "code", codes[i].name, "httpStatus", codes[i].http);
	if (data && path)
		(void)json_object_set_new(data, "path", json_string(path));
	return json_pack("{s:{s:s,s:i,s:o}}", "error", "message", message, "code", codes[i].code, "data", data);
}

static void fail(struct call *c, int status, const char *message)
{
	c->answer = error_envelope(status, c->path, message, &c->status);
}

/* ---- a batch; of one, when it is none ---- */

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->calls[i].path);
		json_decref(b->calls[i].answer);
	}
	free(b);
}

static void answer(struct batch *b)
{
	json_t *all = b->is_batch ? json_array() : json_incref(b->calls[0].answer);
	int status = b->calls[0].status;

	for (size_t i = 0; i < b->n; i++) {
		if (b->is_batch)
			(void)json_array_append(all, b->calls[i].answer);
		if (b->calls[i].status != status)
			status = 207;
	}
	if (b->retry_s)
		http_set_header_f(b->rq, "Retry-After", "%u", b->retry_s);
	http_reply_json(b->rq, status, all);
}

/* One call has its answer, or all were begun. */
static void batch_went_on(struct batch *b)
{
	if (--b->n_pending > 0)
		return;
	if (b->rq)
		answer(b);
	batch_free(b);
}

static struct batch *batch_new(struct http_request *rq, const char *paths, bool is_batch)
{
	size_t n = 1;
	struct batch *b;

	for (const char *p = paths; is_batch && *p; p++)
		n += *p == ',';
	b = alloc_zeroed(1, sizeof(*b) + n * sizeof(b->calls[0])); /* n: no more than the head of a request has bytes */
	b->rq = rq;
	b->is_batch = is_batch;
	b->n = n;
	for (size_t i = 0; i < n; i++) {
		size_t size = is_batch ? strcspn(paths, ",") : strlen(paths);

		b->calls[i].batch = b;
		b->calls[i].path = alloc_text_of(paths, size);
		paths += size + (i + 1 < n);
		utf8_clean(b->calls[i].path);
	}
	return b;
}

/* ---- calls ---- */

static void on_submitted(const struct refusal *why, const char *id, bool is_repeat, void *arg)
{
	struct call *c = arg;

	(void)is_repeat;
	if (why) {
		int status = api_refusal_status(why->kind);

		if (status == 500) /* what broke inside is the log's business */
			log_error(LOG_FACTS(LOG_STR("error", why->text)), "a call of tRPC failed");
		fail(c, status, status == 500 ? "this node failed; its log says why" : why->text);
		if (why->retry_s > c->batch->retry_s)
			c->batch->retry_s = why->retry_s;
	} else {
		c->status = 200;
		c->answer = json_pack("{s:{s:{s:s}}}", "result", "data", "jobId", id);
	}
	batch_went_on(c->batch);
}

static void run_code(struct call *c, const json_t *input)
{
	const struct door_program program = {
		.language_field = "language",
		.source_field = "source",
		.source_max = CODE_CELL_SOURCE_MAX,
	};
	struct batch *b = c->batch;
	struct refusal why;

	if (!json_is_object(input))
		door_refuse(&why, NULL, "the input must be an object: {\"language\", \"source\"}");
	b->n_pending++;
	if (!json_is_object(input) ||
	    door_submit(&front_of(b->rq)->submit, front_caller(b->rq), input, &program, on_submitted, c, &why) < 0)
		on_submitted(&why, NULL, false, c);
}

static void call(struct call *c, bool is_post, const json_t *body, const json_t *input)
{
	char text[256];

	if (strcmp(c->path, "runCode") != 0) {
		(void)snprintf(text, sizeof(text), "No procedure found on path \"%.200s\"", c->path);
		utf8_clean(text); /* it may have been cut within a character */
		fail(c, 404, text);
	} else if (!is_post) {
		http_set_header(c->batch->rq, "Allow", "POST");
		fail(c, 405, "Unsupported GET-request to mutation procedure at path \"runCode\"");
	} else if (!body) {
		fail(c, 400,
		     c->batch->is_batch ? "\"input\" needs to be an object when doing a batch call"
					: "the input must be an object: {\"language\", \"source\"}");
	} else {
		run_code(c, input);
	}
}

static void on_gone(struct http_request *rq, void *data)
{
	struct batch *b = data;

	(void)rq;
	b->rq = NULL;
}

static void begin_all(struct batch *b, const json_t *body)
{
	bool is_post = strcmp(http_method(b->rq), "POST") == 0;

	http_on_gone(b->rq, on_gone, b);
	b->n_pending = 1; /* until all of them are begun */
	for (size_t i = 0; i < b->n; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		call(&b->calls[i], is_post, body, b->is_batch ? json_object_get(body, index) : body);
	}
	batch_went_on(b);
}

void trpc_call(struct http_request *rq)
{
	const char *paths = http_param(rq, "procedures"), *flag = http_query(rq, "batch");
	struct batch *b = batch_new(rq, paths, flag && strcmp(flag, "1") == 0);
	const char *text;
	size_t size;
	json_t *body;
	int status;

	if (b->n > DOOR_BATCH_MAX) {
		http_reply_json(rq, 400, error_envelope(400, NULL, "Batch call exceeds maximum size", &status));
		batch_free(b);
		return;
	}
	text = http_body(rq, &size);
	body = door_object(text, size);
	begin_all(b, body);
	json_decref(body);
}
