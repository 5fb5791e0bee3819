/* Watching a job: see follow.h. */
#include "tools/cubit/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "supervisor/jobs/result.h"
#include "supervisor/jobs/utf8.h"
#include "tools/cubit/client.h"

enum {
	IDLE_MS = 500,       /* is_present: a running job that says nothing for so long has no more for now */
	WAIT_FIRST_MS = 100, /* before coming back; doubled */
	WAIT_MOST_MS = 2000,
	PATIENCE_S = 120, /* without a word of the daemon */
};

struct watch {
	struct follow *follow;
	bool is_heard; /* an event came on this connection */
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
			return error_set(err, EPROTO, "the daemon sends output that is not the base64 it is called");
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

static int on_event(char *line, size_t size, void *arg, struct error *err)
{
	struct watch *w = arg;
	struct follow *f = w->follow;
	cleanup_json json_t *event = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(event, "type"));
	json_int_t n = json_integer_value(json_object_get(event, "n"));
	int r = 0;

	if (!type || n <= 0)
		return error_set(err, EPROTO, "the daemon sends something that is no event");
	if ((uint64_t)n <= f->seen)
		return 0;
	w->is_heard = true;
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

static int watch_once(struct watch *w, struct error *err)
{
	struct follow *f = w->follow;
	char more[64], path[192];
	int r;

	(void)snprintf(more, sizeof(more), "/events?from=%llu", (unsigned long long)f->seen + 1);
	r = client_path(path, sizeof(path), "/v1/jobs/", f->id, more, err);
	return r < 0 ? r
		     : client_stream(f->client, path, "application/x-ndjson", f->is_present ? IDLE_MS : 0, on_event, w,
				     err);
}

/* Is it worth coming back? */
static bool is_passing(int r)
{
	return r == 0 || r == -ECONNREFUSED || r == -ECONNRESET || r == -EAGAIN;
}

int follow_job(struct follow *f, struct error *err)
{
	struct watch w = { .follow = f };
	uint64_t until_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S), wait_ms = WAIT_FIRST_MS;
	int r;

	for (;;) {
		struct error e = ERROR_INIT;

		w.is_heard = false;
		r = watch_once(&w, &e);
		if (f->is_over || (r == 0 && f->is_present))
			return 0;
		if (w.is_heard || r == 0) {
			f->is_patient = true;
			until_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);
		}
		if (w.is_heard)
			wait_ms = WAIT_FIRST_MS;
		if (!is_passing(r) || !f->is_patient || clock_now_ns() >= until_ns)
			return error_set(err, e.code ? e.code : ECONNRESET, "%s",
					 e.code ? e.text : "the daemon ends the events of a job that is not over");
		/* a signal ends it early, and the next try sees that */
		(void)nanosleep(&(struct timespec){ (time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000L },
				NULL);
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
