/* One event of a journal in the form that a client asked for: see view_impl.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/json_bytes.h"
#include "supervisor/front/view_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"

static void on_rq_drain(struct http_request *rq, void *data)
{
	(void)rq;
	view_pump(data);
}

void view_begin_stream(struct view *v)
{
	v->is_late = false;
	http_set_header(v->rq, "Cache-Control", "no-store");
	http_set_header(v->rq, "X-Accel-Buffering", "no");
	http_stream_begin(v->rq, 200, v->form == FORM_SSE ? "text/event-stream" : "application/x-ndjson");
	http_stream_on_drain(v->rq, on_rq_drain);
}

static int send_text(struct view *v, const char *type, uint64_t number, const char *text, size_t size)
{
	cleanup_buf struct buf line = BUF_INIT;
	int r = 0;

	if (v->form == FORM_WS)
		return ws_send(v->ws, true, text, size);
	if (v->form == FORM_SSE)
		r = buf_printf(&line, "id: %llu\nevent: %s\ndata: ", (unsigned long long)number, type);
	if (r == 0)
		r = buf_append(&line, text, size);
	if (r == 0)
		r = buf_append_str(&line, v->form == FORM_SSE ? "\n\n" : "\n");
	if (r == 0 && v->is_late)
		view_begin_stream(v);
	return r < 0 ? r : http_stream_write(v->rq, line.data, line.size);
}

/* Takes the reference of json. */
static int send_json(struct view *v, const char *type, uint64_t number, json_t *json)
{
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;
	int r = text ? send_text(v, type, number, text, strlen(text)) : -ENOMEM;

	json_decref(json);
	free(text);
	return r;
}

static json_t *event_json(const struct journal_event *e, uint64_t number)
{
	json_t *json, *more = NULL;

	json = json_pack("{s:I,s:s,s:I}", "n", (json_int_t)number, "type", journal_type_name(e->type), "at_ms",
			 (json_int_t)e->at_ms);
	if (!json)
		return NULL;
	if (e->type == JOURNAL_STDOUT || e->type == JOURNAL_STDERR) {
		if (json_set_bytes(json, "data", e->data, e->size) == 0) {
			json_t *encoding = json_object_get(json, "data_encoding");

			if (encoding) { /* one field, so the short name */
				(void)json_object_set(json, "encoding", encoding);
				(void)json_object_del(json, "data_encoding");
			}
		}
		return json;
	}
	more = json_loadb(e->data, e->size, 0, NULL); /* of our own making */
	if (more)
		(void)json_object_update_missing(json, more);
	json_decref(more);
	return json;
}

/* Of several messages the first ones may have gone out when the client took no more: the others follow later. */
static int send_door(struct view *v, const struct journal_event *e)
{
	struct view_memory memory = v->memory;
	json_t *messages = json_array();
	int r = messages ? v->door(messages, v->name.id, e, &memory) : -ENOMEM;

	while (r == 0 && v->n_sent < json_array_size(messages)) {
		r = send_json(v, NULL, 0, json_incref(json_array_get(messages, v->n_sent)));
		v->n_sent += r == 0;
	}
	json_decref(messages);
	if (r < 0)
		return r;
	v->memory = memory;
	v->n_sent = 0;
	return 0;
}

int view_send_event(struct view *v, const struct journal_event *e, uint64_t number)
{
	return v->door ? send_door(v, e) : send_json(v, journal_type_name(e->type), number, event_json(e, number));
}

/* What waits for the client to read it. */
size_t view_queued(const struct view *v)
{
	if (v->is_late)
		return 0;
	return v->ws ? ws_queued(v->ws) : http_stream_queued(v->rq);
}
