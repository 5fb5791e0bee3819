/* What a WebSocket client says to its job: see view_impl.h. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/base64.h"
#include "supervisor/front/api.h"
#include "supervisor/front/signals.h"
#include "supervisor/front/view_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"

enum {
	INPUT_MOST = 256 << 10, /* waiting for a job to read it; above that its clients are not listened to */
	INPUT_TICK_MS = 10,
};

static int input_message(struct job *job, const json_t *m)
{
	const char *data = json_string_value(json_object_get(m, "data")),
		   *encoding = json_string_value(json_object_get(m, "encoding"));
	size_t size = json_string_length(json_object_get(m, "data"));
	char *decoded = NULL;
	int r;

	if (!data)
		return -EINVAL;
	if (encoding && strcmp(encoding, "base64") == 0) {
		decoded = base64_decode(data, size, &size);
		if (!decoded)
			return -EINVAL;
	}
	r = job_input(job, decoded ? decoded : data, size);
	free(decoded);
	return r;
}

static int signal_message(struct job *job, const json_t *m)
{
	const json_t *signal = json_object_get(m, "signal");
	int number =
		json_is_integer(signal) ? (int)json_integer_value(signal) : signal_number(json_string_value(signal));

	if (number <= 0 || number > SIGRTMAX)
		return -EINVAL;
	return job_signal(job, number);
}

static int resize_message(struct job *job, const json_t *m)
{
	json_int_t cols = json_integer_value(json_object_get(m, "cols")),
		   rows = json_integer_value(json_object_get(m, "rows"));

	if (cols < 1 || rows < 1 || cols > 10000 || rows > 10000)
		return -EINVAL;
	return job_resize(job, (uint16_t)cols, (uint16_t)rows);
}

static int end_message(struct job *job, const json_t *m)
{
	(void)m;
	return job_end_input(job);
}

static int cancel_message(struct job *job, const json_t *m)
{
	(void)m;
	job_cancel(job, "cancelled by its owner");
	return 0;
}

static const struct {
	const char *type;
	int (*act)(struct job *job, const json_t *m);
} messages[] = {
	{ "stdin", input_message },   { "stdin_end", end_message }, { "signal", signal_message },
	{ "resize", resize_message }, { "cancel", cancel_message },
};

static int act(struct job *job, const char *type, const json_t *m)
{
	for (size_t i = 0; type && i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (strcmp(messages[i].type, type) == 0)
			return messages[i].act(job, m);
	}
	return -EINVAL;
}

static const char *words_of(int r)
{
	switch (-r) {
	case EINVAL:
		return "not a message of this stream: "
		       "{\"type\":\"stdin\"|\"stdin_end\"|\"signal\"|\"resize\"|\"cancel\", ...}";
	case EPIPE:
		return "the job does not read its standard input, or is not interactive";
	case ENOBUFS:
		return "too much input is waiting for the job to read it";
	case ESRCH:
		return "the job is not running";
	default:
		return strerror(-r);
	}
}

/* What is not read yet stays with the client, which can tell when it is taken. */
static void on_input_tick(uv_timer_t *t)
{
	struct views *all = t->data;
	bool is_any = false;

	for (struct view *v = all->first; v; v = v->next) {
		struct job *job = v->is_full ? engine_find(all->env->engine, &v->name) : NULL;

		if (job && job_input_waiting(job) > INPUT_MOST / 2) {
			is_any = true;
		} else if (v->is_full) {
			v->is_full = false;
			ws_pause(v->ws, false);
		}
	}
	if (!is_any)
		uv_timer_stop(t);
}

static void pause_input(struct view *v)
{
	struct views *all = v->all;

	v->is_full = true;
	ws_pause(v->ws, true);
	if (!uv_is_active((uv_handle_t *)&all->input_tick))
		uv_timer_start(&all->input_tick, on_input_tick, INPUT_TICK_MS, INPUT_TICK_MS);
}

void view_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	struct view *v = arg;
	struct job *job = v->is_over ? NULL : engine_find(v->all->env->engine, &v->name);
	json_t *m = NULL, *answer;
	int r;

	if (!job) {
		r = -ESRCH;
	} else if (!is_text) {
		r = job_input(job, data, size);
	} else {
		m = api_json(data, size);
		r = json_is_object(m) ? act(job, json_string_value(json_object_get(m, "type")), m) : -EINVAL;
		json_decref(m);
	}
	if (job && r == 0 && job_input_waiting(job) > INPUT_MOST)
		pause_input(v);
	if (r < 0) {
		char *text;

		answer = json_pack("{s:s,s:s}", "type", "error", "message", words_of(r));
		text = answer ? json_dumps(answer, JOB_RESULT_DUMP) : NULL;
		if (text)
			(void)ws_send(ws, true, text, strlen(text)); /* a client that does not read has no use for it */
		free(text);
		json_decref(answer);
	}
}
