/*
 * The code cell: POST /run {jobId?, language, source} -> {jobId}, then a WebSocket at /stream/{jobId} or
 * /stream?jobId=.
 *
 *   {"type": "stdout" or "stderr", "data": "..."}   as it comes
 *   {"type": "exit", "data": 0}                     its status, or 128 and the number of the signal that ended it;
 *                                                   137 when a limit did, 1 when it could not be run
 *
 * A client may name its job, in a name space of its owner's own: nobody else finds a job by that name, and nobody is told
 * that there is one. The same name with the same program is the same job, so that a request can be repeated; with another
 * program it is refused. When a limit ended the program the last piece of
 * stderr says which: the status alone would not.
 */
#include <signal.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "supervisor/doors/doors.h"
#include "supervisor/front/api_refusal.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/our_id.h"
#include "supervisor/http/http.h"
#include "supervisor/journal/journal.h"
#include "supervisor/queue/queue.h"

static void reply(struct http_request *rq, const char *id)
{
	http_reply_json(rq, 200, json_pack("{s:s}", "jobId", id));
}

/* key: QUEUE_KEY_BYTES. */
static int take_name(const json_t *body, struct door_program *p, char *key, struct refusal *why)
{
	const json_t *v = json_object_get(body, "jobId");
	struct error e = ERROR_INIT;

	if (!v || json_is_null(v))
		return 0;
	p->name = json_string_value(v);
	if (!p->name)
		door_refuse(why, "jobId", "jobId: must be a text");
	else if (parse_id(p->name, &e) < 0)
		door_refuse(why, "jobId", "jobId: %s", e.text);
	else if (our_id_is(p->name))
		door_refuse(why, "jobId", "jobId: 'j' and 32 hexadecimal digits are names that this node gives");
	else {
		lookup_key(p->name, key);
		p->names.key = key;
		return 0;
	}
	return -1;
}

void code_cell_run(struct http_request *rq)
{
	struct door_program program = {
		.language_field = "language",
		.source_field = "source",
		.source_max = CODE_CELL_SOURCE_MAX,
	};
	char key[QUEUE_KEY_BYTES];
	struct refusal why;
	size_t size;
	const char *text = http_body(rq, &size);
	json_t *body = door_object(text, size);

	if (!body)
		http_error(rq, 400, "invalid_request", NULL,
			   "the body must be a JSON object: {\"jobId\", \"language\", \"source\"}");
	else if (take_name(body, &program, key, &why) < 0)
		api_refuse(rq, &why);
	else
		door_run(rq, body, &program, reply);
	json_decref(body);
}

void code_cell_ws(struct http_request *rq)
{
	const char *id = http_param(rq, "jobId");

	if (!id)
		id = http_query(rq, "jobId");
	if (id)
		views_door(front_of(rq)->views, rq, id, code_cell_messages);
	else
		http_error(rq, 400, "invalid_request", "jobId", "jobId: is missing");
}

/* ---- messages ---- */

static int say_text(json_t *messages, unsigned stream, json_t *text)
{
	return door_say(messages, json_pack("{s:s,s:o}", "type", stream ? "stderr" : "stdout", "data", text));
}

static int say_output(json_t *messages, unsigned stream, const char *data, size_t size, bool is_end,
		      struct view_memory *memory)
{
	json_t *text;
	int r = door_text(memory, stream, data, size, is_end, &text);

	return r < 0 || !text ? r : say_text(messages, stream, text);
}

/* The program, or its compiler, said itself what went wrong. */
static bool is_its_own_end(const char *status)
{
	static const char *const words[] = { "ok", "runtime_error", "signaled", "compile_error" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], status) == 0)
			return true;
	}
	return false;
}

static json_int_t exit_code(const json_t *facts, const char *status)
{
	const json_t *code = json_object_get(facts, "exit_code"), *signal = json_object_get(facts, "signal");

	if (json_is_integer(code))
		return json_integer_value(code);
	if (json_is_integer(signal))
		return 128 + json_integer_value(signal);
	if (strcmp(status, "ok") == 0)
		return 0;
	if (strcmp(status, "internal_error") == 0 || strcmp(status, "dead") == 0)
		return 1;
	return 128 + SIGKILL; /* whoever stops a program does it with that */
}

static int say_end(json_t *messages, const json_t *facts)
{
	const char *status = json_string_value(json_object_get(facts, "status")),
		   *reason = json_string_value(json_object_get(facts, "reason"));
	int r = 0;

	if (!status)
		status = "internal_error";
	if (!is_its_own_end(status))
		r = say_text(messages, 1, json_sprintf("[%s] %s\n", status, reason ? reason : ""));
	if (r < 0)
		return r;
	return door_say(messages, json_pack("{s:s,s:I}", "type", "exit", "data", exit_code(facts, status)));
}

int code_cell_messages(json_t *messages, const char *id, const struct journal_event *e, struct view_memory *memory)
{
	json_t *facts;
	int r = 0;

	(void)id;
	switch (e->type) {
	case JOURNAL_STDOUT:
	case JOURNAL_STDERR:
		return say_output(messages, e->type == JOURNAL_STDERR, e->data, e->size, false, memory);
	case JOURNAL_STATUS:
		return 0;
	case JOURNAL_EXIT:
		for (unsigned stream = 0; r == 0 && stream < 2; stream++)
			r = say_output(messages, stream, NULL, 0, true, memory);
		if (r < 0)
			return r;
		facts = json_loadb(e->data, e->size, 0, NULL); /* of our own making */
		r = say_end(messages, facts);
		json_decref(facts);
		return r;
	}
	return 0;
}
