/* Watching a job: see follow.h. */
#include "tools/cubit/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/base64.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/utf8.h"
#include "tools/cubit/client.h"
#include "tools/cubit/talk.h"
#include "tools/cubit/websocket.h"

enum {
	IDLE_MS = 500,       /* is_present: a running job that says nothing for so long has no more for now */
	WAIT_FIRST_MS = 100, /* before coming back; doubled */
	WAIT_MOST_MS = 2000,
	PATIENCE_S = 120, /* without a word of the daemon */
	WS_GOING_AWAY = 1001,
};

struct watch {
	struct follow *follow;
	bool is_heard;          /* an event came on this connection */
	bool is_alive;          /* it answered while nothing happened */
	bool is_away;           /* the daemon said that it goes away */
	unsigned retry_after_s; /* the daemon asks us to stay away for so long; 0: it does not */
};

/* ---- events ---- */

static int write_bytes(struct follow *f, int fd, const void *data, size_t size, struct error *err)
{
	struct error e = ERROR_INIT;

	if (fd_write_all(fd, data, size, &e) == 0)
		return 0;
	f->is_pipe_closed = e.code == EPIPE;
	return error_set(err, e.code, "standard %s: %s", fd == STDOUT_FILENO ? "output" : "error", e.text);
}

static int on_output(struct follow *f, int fd, const json_t *event, struct error *err)
{
	const json_t *data = json_object_get(event, "data");
	const char *encoding = json_string_value(json_object_get(event, "encoding"));
	cleanup_free char *decoded = NULL;
	const char *bytes = json_string_value(data);
	size_t size = json_string_length(data);

	if (f->is_silent || !bytes)
		return 0;
	if (encoding && strcmp(encoding, "base64") == 0) {
		decoded = base64_decode(bytes, size, &size);
		if (!decoded)
			return error_set(err, EPROTO, "the daemon sent output that is marked as base64 and is not");
		bytes = decoded;
	}
	return write_bytes(f, fd, bytes, size, err);
}

static void keep_text(char *ret, size_t room, const json_t *value)
{
	const char *text = json_string_value(value);

	(void)snprintf(ret, room, "%s", text ? text : "");
	utf8_clean(ret);
}

static void on_exit_event(struct follow *f, const json_t *event)
{
	const json_t *code = json_object_get(event, "exit_code"), *signal = json_object_get(event, "signal");

	keep_text(f->status, sizeof(f->status), json_object_get(event, "status"));
	keep_text(f->reason, sizeof(f->reason), json_object_get(event, "reason"));
	f->exit_code = json_is_integer(code) ? (int)json_integer_value(code) : -1;
	f->signal = json_is_integer(signal) ? (int)json_integer_value(signal) : 0;
	f->is_over = true;
}

/* One event, from either kind of connection. line[size] may be written to. */
static int on_event(char *line, size_t size, void *arg, struct error *err)
{
	struct watch *w = arg;
	struct follow *f = w->follow;
	cleanup_json json_t *event = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(event, "type"));
	json_int_t n = json_integer_value(json_object_get(event, "n"));
	int r = 0;

	if (f->talk && type && strcmp(type, "error") == 0) { /* about what we sent */
		const char *words = json_string_value(json_object_get(event, "message"));

		talk_refused(f->talk, words ? words : "");
		return 0;
	}
	if (!type || n <= 0)
		return error_set(err, EPROTO, "the daemon sent something that is not an event");
	if ((uint64_t)n <= f->seen)
		return 0;
	w->is_heard = true;
	if (f->talk)
		talk_live(f->talk);
	if (f->is_json) {
		line[size] = '\n'; /* where its end was */
		r = write_bytes(f, STDOUT_FILENO, line, size + 1, err);
	} else if (strcmp(type, "stdout") == 0) {
		r = on_output(f, STDOUT_FILENO, event, err);
	} else if (strcmp(type, "stderr") == 0) {
		r = on_output(f, STDERR_FILENO, event, err);
	}
	if (r < 0)
		return r;
	f->seen = (uint64_t)n;
	if (strcmp(type, "exit") != 0)
		return 0;
	on_exit_event(f, event);
	return 1;
}

/* ---- connections ---- */

static int events_path(const struct follow *f, const char *which, char *ret, size_t room, struct error *err)
{
	char more[64];

	(void)snprintf(more, sizeof(more), "/%s?from=%llu", which, (unsigned long long)f->seen + 1);
	return client_path(ret, room, "/v1/jobs/", f->id, more, err);
}

/* What there is now, in lines over HTTP. */
static int watch_present(struct watch *w, struct error *err)
{
	char path[192];
	int r = events_path(w->follow, "events", path, sizeof(path), err);

	return r < 0 ? r : client_stream(w->follow->client, path, "application/x-ndjson", IDLE_MS, on_event, w, err);
}

/*
 * No stream was opened. The daemon's words are in the body of its answer, which a WebSocket does not read, and libcurl
 * knows better than libwebsockets why something cannot be reached: so the job is asked for over HTTP. Returns the
 * failure of that, or r, with its words in err, when that works.
 */
static int ask_why(struct watch *w, const struct websocket_end *end, int r, struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error e = ERROR_INIT;
	char path[192];
	int asked = client_path(path, sizeof(path), "/v1/jobs/", w->follow->id, "", &e);

	if (asked == 0)
		asked = client_call(w->follow->client, "GET", path, NULL, &reply, &e);
	w->retry_after_s = reply.retry_after_s;
	if (asked < 0)
		return error_set(err, -asked, "%s", e.text);
	return end->status == 429 || end->status == 503
		       ? error_set(err, EAGAIN, "the daemon does not take more streams for now")
		       : r;
}

static int on_turn(struct websocket *ws, void *arg, struct error *err)
{
	struct follow *f = ((struct watch *)arg)->follow;

	(void)err;
	return f->talk ? talk_turn(f->talk, ws) : 0;
}

static void on_pong(void *arg)
{
	struct follow *f = ((struct watch *)arg)->follow;

	if (f->talk)
		talk_pong(f->talk);
}

static void on_gone(void *arg)
{
	struct follow *f = ((struct watch *)arg)->follow;

	if (f->talk)
		talk_gone(f->talk);
}

/* As they come, over a WebSocket. */
static int watch_stream(struct watch *w, struct error *err)
{
	static const struct websocket_calls calls = {
		.message = on_event, .turn = on_turn, .pong = on_pong, .gone = on_gone
	};
	struct websocket_end end;
	char path[192];
	int r = events_path(w->follow, "stream", path, sizeof(path), err);

	if (r < 0)
		return r;
	r = websocket_run(w->follow->client, path, &calls, w, &end, err);
	w->is_alive = end.is_alive;
	w->is_away = end.code == WS_GOING_AWAY;
	return r == -ECONNREFUSED || end.status ? ask_why(w, &end, r, err) : r;
}

static int watch_once(struct watch *w, struct error *err)
{
	return w->follow->is_present ? watch_present(w, err) : watch_stream(w, err);
}

/* Is it worth coming back? */
static bool is_passing(int r)
{
	return r == 0 || r == -ECONNREFUSED || r == -ECONNRESET || r == -EAGAIN;
}

/* A signal ends it early, and the next try sees that. */
static void pause_ms(uint64_t ms, uint64_t until_ns)
{
	uint64_t now_ns = clock_now_ns(), ns = ms * NS_PER_MS;

	if (now_ns + ns > until_ns)
		ns = until_ns > now_ns ? until_ns - now_ns : 0;
	(void)nanosleep(&(struct timespec){ (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) }, NULL);
}

int follow_job(struct follow *f, struct error *err)
{
	struct watch w = { .follow = f };
	uint64_t until_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S), wait_ms = WAIT_FIRST_MS;
	int r;

	for (;;) {
		struct error e = ERROR_INIT;

		w.is_heard = w.is_alive = w.is_away = false;
		w.retry_after_s = 0;
		r = watch_once(&w, &e);
		if (f->is_over || (r == 0 && f->is_present))
			return 0;
		f->is_patient |= w.is_heard || w.is_alive || w.is_away;
		if (w.is_heard || w.is_alive)
			until_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);
		if (w.is_heard)
			wait_ms = WAIT_FIRST_MS;
		if (!is_passing(r) || !f->is_patient || clock_now_ns() >= until_ns)
			return error_set(err, e.code ? e.code : ECONNRESET, "%s",
					 e.code ? e.text : "the daemon ended the events of a job that is not over");
		if (f->talk)
			talk_interrupted(f->talk);
		pause_ms(wait_ms > w.retry_after_s * 1000UL ? wait_ms : w.retry_after_s * 1000UL, until_ns);
		wait_ms = wait_ms * 2 < WAIT_MOST_MS ? wait_ms * 2 : WAIT_MOST_MS;
	}
}

/* ---- the end ---- */

static const struct {
	const char *status;
	int exit;      /* when there is no status of the program's own */
	bool is_fixed; /* this one, whatever the program's was */
} exits[] = {
	{ "ok", 0, true },
	{ "time_limit", EXIT_TIME_LIMIT, true },
	{ "compile_error", 1, true },
	{ "cancelled", EXIT_CANCELLED, true },
	{ "internal_error", EXIT_REFUSED, true },
	{ "dead", EXIT_REFUSED, true },
	{ "runtime_error", 1, false },
};

int follow_exit_status(const struct follow *f)
{
	int fallback = EXIT_LIMIT;

	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		if (strcmp(exits[i].status, f->status) != 0)
			continue;
		if (exits[i].is_fixed)
			return exits[i].exit;
		fallback = exits[i].exit;
	}
	if (f->exit_code > 0)
		return f->exit_code & 0xff;
	return f->signal > 0 ? EXIT_SIGNAL + f->signal : fallback;
}

void follow_print_verdict(const struct follow *f)
{
	if (f->is_quiet || strcmp(f->status, "ok") == 0)
		return;
	(void)fprintf(stderr, "cubit %s: %s%s%s (job %s)\n", f->name, f->status, f->reason[0] ? ": " : "", f->reason,
		      f->id);
}
