/*
 * The stream engine: POST /api/run {code, language} -> 202 {job_id, status: "queued"}, then a WebSocket at
 * /api/ws?job_id=.
 *
 *   {"job_id", "output": "...", "type": "log"}                        stdout and stderr, as they come
 *   {"job_id", "output": "", "type": "status", "status": "running"}
 *   {"job_id", "output": "", "type": "status", "status": "completed"} it ended with status 0; otherwise "failed", and
 *                                                                     output is why
 */
#include <errno.h>
#include <string.h>

#include "supervisor/doors/doors.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/journal/journal.h"

static void reply(struct http_request *rq, const char *id)
{
	http_reply_json(rq, 202, json_pack("{s:s,s:s}", "job_id", id, "status", "queued"));
}

void stream_engine_run(struct http_request *rq)
{
	const struct door_program program = {
		.language_field = "language",
		.source_field = "code",
		.names = { .is_shared = true },
	};
	size_t size;
	const char *text = http_body(rq, &size);
	json_t *body = door_object(text, size);

	if (body)
		door_run(rq, body, &program, reply);
	else
		http_error(rq, 400, "invalid_request", NULL,
			   "the body must be a JSON object: {\"code\", \"language\"}");
	json_decref(body);
}

void stream_engine_ws(struct http_request *rq)
{
	const char *id = http_query(rq, "job_id");

	if (id)
		views_door(front_of(rq)->views, rq, id, stream_engine_messages);
	else
		http_error(rq, 400, "invalid_request", "job_id", "job_id: is missing");
}

/* ---- messages ---- */

static int say_log(json_t *messages, const char *id, unsigned stream, const char *data, size_t size, bool is_end,
		   struct view_memory *memory)
{
	json_t *text;
	int r = door_text(memory, stream, data, size, is_end, &text);

	if (r < 0 || !text)
		return r;
	return door_say(messages, json_pack("{s:s,s:o,s:s}", "job_id", id, "output", text, "type", "log"));
}

static int say_status(json_t *messages, const char *id, const char *status, const char *output)
{
	return door_say(messages, json_pack("{s:s,s:s,s:s,s:s}", "job_id", id, "output", output, "type", "status",
					    "status", status));
}

static int say_end(json_t *messages, const char *id, const struct journal_event *e)
{
	json_t *facts = json_loadb(e->data, e->size, 0, NULL); /* of our own making */
	const char *status = json_string_value(json_object_get(facts, "status")),
		   *reason = json_string_value(json_object_get(facts, "reason"));
	bool is_ok = status && strcmp(status, "ok") == 0;
	int r = say_status(messages, id, is_ok ? "completed" : "failed", is_ok || !reason ? "" : reason);

	json_decref(facts);
	return r;
}

int stream_engine_messages(json_t *messages, const char *id, const struct journal_event *e, struct view_memory *memory)
{
	bool was_running = memory->is_running;
	int r = 0;

	switch (e->type) {
	case JOURNAL_STDOUT:
	case JOURNAL_STDERR:
		return say_log(messages, id, e->type == JOURNAL_STDERR, e->data, e->size, false, memory);
	case JOURNAL_STATUS: /* its stages are one to these clients */
		memory->is_running = true;
		return was_running ? 0 : say_status(messages, id, "running", "");
	case JOURNAL_EXIT:
		for (unsigned stream = 0; r == 0 && stream < 2; stream++)
			r = say_log(messages, id, stream, NULL, 0, true, memory);
		return r < 0 ? r : say_end(messages, id, e);
	}
	return 0;
}
