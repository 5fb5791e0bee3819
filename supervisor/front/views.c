/* Views of journals: see views.h. */
#include "supervisor/front/views.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/signals.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/journal.h"
#include "supervisor/jobs/result.h"
#include "supervisor/queue/queue.h"

enum {
	PER_ATTEMPT = 1000000, /* above JOURNAL_EVENTS_MAX: see views.h */
	QUEUED_MAX = 64 << 10, /* waiting for one client; the rest stays in the journal */
	KEEP_ALIVE_MS = 15000,
	TICK_MS = 500,
	WS_NORMAL = 1000, WS_POLICY = 1008, WS_INTERNAL = 1011,
};

enum form { FORM_SSE, FORM_NDJSON, FORM_WS };

struct view {
	struct view *next, **prev;
	struct front *front;
	enum form form;
	struct http_request *rq; /* SSE, NDJSON */
	struct ws *ws;
	char id[65];
	uint64_t seen; /* number of the last event the client has, over all attempts */
	unsigned attempt;
	struct journal *journal; /* NULL: it does not run yet, or we are asking */
	struct journal_reader reader;
	view_door_fn *door; /* NULL: our own words */
	struct view_memory memory;
	size_t n_sent;    /* messages of the next event that went out already */
	bool is_recorded; /* the exit event may be shown */
	bool is_asking;   /* the queue's answer is on its way */
	bool ask_again;
	bool is_over; /* ended by us, or the client is gone: nothing more is sent */
	bool is_pumping;
	unsigned references; /* the transport, whose callbacks name us; a question on its way; a pump under way */
};

struct views {
	struct view *first;
	unsigned count;
	uv_timer_t tick;
	unsigned ticks;
};

static void pump(struct view *v);
static void ask(struct view *v);

/* ---- life of a view ---- */

static void detach(struct view *v)
{
	if (v->journal) {
		journal_leave(&v->reader);
		journal_unref(v->journal);
		v->journal = NULL;
	}
}

static void unref(struct view *v)
{
	if (--v->references == 0)
		free(v);
}

/* No journal, no place in the list: only its transport may still know of it. */
static void view_over(struct view *v)
{
	detach(v);
	v->is_over = true;
	if (v->prev) {
		*v->prev = v->next;
		if (v->next)
			v->next->prev = v->prev;
		v->prev = NULL;
		v->front->views->count--;
	}
}

/* Everything was sent: end the answer. v may be gone afterwards. */
static void view_end(struct view *v, int ws_code, const char *reason)
{
	struct http_request *rq = v->rq;

	if (v->is_over)
		return;
	view_over(v);
	v->rq = NULL;
	if (rq) {
		http_stream_end(rq);
		unref(v);
	} else {
		ws_close(v->ws, ws_code, reason); /* its last call, closed(), gives our reference back */
	}
}

static void on_notify(struct journal_reader *r)
{
	pump(r->arg);
}

static void attach(struct view *v, struct journal *journal, unsigned attempt)
{
	detach(v);
	v->attempt = attempt ? attempt : 1;
	v->memory = (struct view_memory){ .n_cut = { 0 } };
	v->n_sent = 0;
	v->journal = journal_ref(journal);
	v->reader = (struct journal_reader){ .notify = on_notify, .arg = v };
	journal_join(journal, &v->reader);
	pump(v);
}

/* ---- sending ---- */

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
	int r = messages ? v->door(messages, v->id, e, &memory) : -ENOMEM;

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

static int send_event(struct view *v, const struct journal_event *e, uint64_t number)
{
	return v->door ? send_door(v, e) : send_json(v, journal_type_name(e->type), number, event_json(e, number));
}

/* What waits for the client to read it. */
static size_t queued(const struct view *v)
{
	return v->ws ? ws_queued(v->ws) : http_stream_queued(v->rq);
}

/* Send what there is and the client takes. v may be gone afterwards. */
static void pump(struct view *v)
{
	struct journal_event e;
	bool is_over = false;

	if (v->is_pumping || v->is_over)
		return;
	v->is_pumping = true;
	v->references++;
	while (v->journal && !v->is_over && !is_over && queued(v) < QUEUED_MAX) {
		uint64_t base = (uint64_t)(v->attempt - 1) * PER_ATTEMPT, next = v->seen > base ? v->seen - base : 0;

		if (!journal_get(v->journal, next + 1, &e)) {
			is_over = v->is_recorded && journal_is_ended(v->journal);
			break;
		}
		if (e.type == JOURNAL_EXIT && !v->is_recorded)
			break;
		if (send_event(v, &e, base + e.n) < 0)
			break; /* full: on_drain goes on; gone: told by its own call */
		v->seen = base + e.n;
		is_over = e.type == JOURNAL_EXIT;
	}
	v->is_pumping = false;
	if (is_over)
		view_end(v, WS_NORMAL, "over");
	unref(v);
}

/* A job that never ran has no journal: say its end in one event. */
static void send_end(struct view *v, const char *status, const char *reason)
{
	json_t *json = json_pack("{s:s,s:s,s:n,s:n}", "status", status, "reason", reason, "exit_code", "signal");
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;
	struct journal_event e = { .n = v->seen + 1, .type = JOURNAL_EXIT, .data = text };

	json_decref(json);
	if (text) {
		e.size = strlen(text);
		(void)send_event(v, &e, e.n);
	}
	free(text);
	view_end(v, WS_NORMAL, "over");
}

/* ---- where a journal comes from ---- */

static void attach_record(struct view *v, const struct queue_record *r)
{
	struct journal *journal = NULL;

	v->is_recorded = true;
	if (r->journal_size > 0 && journal_unpack(r->journal, r->journal_size, &journal, NULL) == 0) {
		attach(v, journal, r->job.attempt);
		journal_unref(journal);
		return;
	}
	send_end(v, *r->job.status ? r->job.status : queue_state_name(r->job.state), r->job.reason);
}

/* It runs on another node: a source may have its events. */
static void follow(struct view *v)
{
	struct front *f = v->front;
	struct journal *journal = NULL;

	for (size_t i = 0; i < f->n_sources && !journal; i++) {
		struct source *s = f->sources[i];

		if (s->ops->follow && s->ops->follow(s->self, v->id, &journal) < 0)
			journal = NULL;
	}
	if (!journal)
		return;
	v->is_recorded = true; /* the other node shows its end only when it is */
	attach(v, journal, 1);
	journal_unref(journal);
}

static void on_record(const struct error *e, const struct queue_record *r, void *arg)
{
	struct view *v = arg;
	bool again = v->ask_again;

	v->is_asking = v->ask_again = false;
	if (v->is_over || v->journal)
		; /* it left, or the job began meanwhile */
	else if (again)
		ask(v);
	else if (e && e->code == ENOENT)
		view_end(v, WS_POLICY, "there is no such job any more");
	else if (!e && r->job.state == QUEUE_LEASED)
		follow(v); /* on another node; if it ran here, we had been told */
	else if (!e && (r->job.state == QUEUE_DONE || r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED))
		attach_record(v, r); /* any other failure: the next sign of life asks again */
	unref(v);
}

/* What does the queue say of it? */
static void ask(struct view *v)
{
	if (v->is_asking) {
		v->ask_again = true;
		return;
	}
	if (lookup_job(v->front, v->id, true, on_record, v) == 0) {
		v->is_asking = true;
		v->references++;
	}
}

void views_started(struct front *f, struct job *job)
{
	for (struct view *v = f->views->first, *next; v; v = next) {
		next = v->next;
		if (!v->journal && strcmp(v->id, job_id(job)) == 0)
			attach(v, job_journal(job), job_attempt(job));
	}
}

void views_recorded(struct front *f, const char *id)
{
	for (struct view *v = f->views->first, *next; v; v = next) {
		next = v->next;
		if (strcmp(v->id, id) != 0)
			continue;
		v->is_recorded = true;
		if (v->journal)
			pump(v);
		else
			ask(v);
	}
}

void views_returned(struct front *f, const char *id, unsigned attempt)
{
	for (struct view *v = f->views->first, *next; v; v = next) {
		next = v->next;
		if (strcmp(v->id, id) != 0 || (v->journal && v->attempt != attempt))
			continue;
		detach(v);
		ask(v); /* dead, or waiting for its next attempt */
	}
}

unsigned views_count(const struct front *f)
{
	return f->views->count;
}

/* ---- requests ---- */

static bool start_number(struct http_request *rq, uint64_t *ret)
{
	const char *from = http_query(rq, "from"), *last = http_header(rq, "last-event-id");
	struct error e = ERROR_INIT;

	*ret = 0;
	if (last && *last) {
		if (parse_u64(last, 0, UINT64_MAX / 2, ret, &e) == 0)
			return true;
		http_error(rq, 400, "invalid_request", "Last-Event-ID", "Last-Event-ID: %s", e.text);
		return false;
	}
	if (!from)
		return true;
	if (parse_u64(from, 0, UINT64_MAX / 2, ret, &e) < 0) {
		http_error(rq, 400, "invalid_request", "from", "from: %s", e.text);
		return false;
	}
	if (*ret > 0)
		*ret -= 1; /* from is the first one wanted, seen the last one not wanted */
	return true;
}

static void on_rq_gone(struct http_request *rq, void *data)
{
	struct view *v = data;

	(void)rq;
	v->rq = NULL;
	view_over(v);
	unref(v);
}

static void on_rq_drain(struct http_request *rq, void *data)
{
	(void)rq;
	pump(data);
}

static void on_ws_drain(struct ws *ws, void *data)
{
	(void)ws;
	pump(data);
}

static void on_ws_closed(struct ws *ws, int code, void *data)
{
	struct view *v = data;

	(void)ws;
	(void)code;
	v->ws = NULL;
	view_over(v);
	unref(v);
}

/* ---- what a WebSocket client says ---- */

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
	int number = json_is_integer(signal) ? (int)json_integer_value(signal) : signal_number(json_string_value(signal));

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
		return "not a message of this stream: {\"type\":\"stdin\"|\"stdin_end\"|\"signal\"|\"resize\"|\"cancel\", ...}";
	case EPIPE:
		return "the job does not read its standard input, or is not interactive";
	case ENOBUFS:
		return "too much input is waiting for the job to read it";
	case ESRCH:
		return "the job does not run now";
	default:
		return strerror(-r);
	}
}

static void on_ws_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	struct view *v = arg;
	struct job *job = v->is_over ? NULL : engine_find(v->front->engine, v->id);
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

static void on_door_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	(void)ws;
	(void)is_text;
	(void)data;
	(void)size;
	(void)arg;
}

static const struct ws_handlers ws_handlers = { on_ws_message, on_ws_drain, on_ws_closed };
static const struct ws_handlers door_handlers = { on_door_message, on_ws_drain, on_ws_closed };

/* ---- opening ---- */

static void view_begin(struct view *v)
{
	struct views *all = v->front->views;
	struct job *job = engine_find(v->front->engine, v->id);

	v->next = all->first;
	v->prev = &all->first;
	if (v->next)
		v->next->prev = &v->next;
	all->first = v;
	all->count++;
	if (job)
		attach(v, job_journal(job), job_attempt(job));
	else
		ask(v);
}

/* A request for a view, while we ask whose job it is. */
struct opening {
	struct front *front;
	struct http_request *rq;
	char id[65];
	uint64_t seen;
	bool is_ws;
	view_door_fn *door;
};

static void open_view(struct opening *o)
{
	struct view *v = calloc(1, sizeof(*v));
	struct http_request *rq = o->rq;

	if (!v) {
		http_error(rq, 503, "overloaded", NULL, "out of memory");
		return;
	}
	v->references = 1;
	v->front = o->front;
	v->seen = o->seen;
	v->door = o->door;
	text_copy(v->id, sizeof(v->id), o->id);
	if (o->is_ws) {
		v->form = FORM_WS;
		v->ws = http_upgrade(rq, v->door ? &door_handlers : &ws_handlers, v);
		if (!v->ws) {
			free(v);
			return;
		}
	} else {
		v->form = http_accepts(rq, "application/x-ndjson") ? FORM_NDJSON : FORM_SSE;
		v->rq = rq;
		http_on_gone(rq, on_rq_gone, v);
		http_set_header(rq, "Cache-Control", "no-store");
		http_set_header(rq, "X-Accel-Buffering", "no");
		http_stream_begin(rq, 200, v->form == FORM_SSE ? "text/event-stream" : "application/x-ndjson");
		http_stream_on_drain(rq, on_rq_drain);
	}
	view_begin(v);
}

static void on_opening_gone(struct http_request *rq, void *data)
{
	struct opening *o = data;

	(void)rq;
	o->rq = NULL;
}

static void on_owner(const struct error *e, const struct queue_record *r, void *arg)
{
	struct opening *o = arg;

	if (o->rq && e && e->code != ENOENT)
		api_fail(o->rq, e);
	else if (o->rq && (e || !front_may(front_caller(o->rq), r->job.owner)))
		http_error(o->rq, 404, "not_found", "id", "there is no job '%s'", o->id);
	else if (o->rq)
		open_view(o);
	free(o);
}

static void open_request(struct http_request *rq, const struct opening *what)
{
	struct front *f = front_of(rq);
	struct job *job = engine_find(f->engine, what->id);
	struct opening *o = malloc(sizeof(*o));

	if (!o) {
		http_error(rq, 503, "overloaded", NULL, "out of memory");
		return;
	}
	*o = *what;
	o->front = f;
	o->rq = rq;
	if (job) {
		if (front_may(front_caller(rq), job_owner(job)))
			open_view(o);
		else
			http_error(rq, 404, "not_found", "id", "there is no job '%s'", o->id);
		free(o);
		return;
	}
	http_on_gone(rq, on_opening_gone, o);
	if (lookup_job(f, o->id, false, on_owner, o) < 0) {
		api_busy(rq);
		free(o);
	}
}

static void open_own(struct http_request *rq, bool is_ws)
{
	struct opening o = { .is_ws = is_ws };

	if (!start_number(rq, &o.seen))
		return;
	text_copy(o.id, sizeof(o.id), http_param(rq, "id"));
	open_request(rq, &o);
}

void views_events(struct http_request *rq)
{
	open_own(rq, false);
}

void views_stream(struct http_request *rq)
{
	open_own(rq, true);
}

void views_door(struct http_request *rq, const char *id, view_door_fn *door)
{
	struct opening o = { .is_ws = true, .door = door };

	if (parse_id(id, NULL) < 0) {
		http_error(rq, 404, "not_found", "id", "there is no such job");
		return;
	}
	text_copy(o.id, sizeof(o.id), id);
	open_request(rq, &o);
}

/* ---- all of them ---- */

/* With several nodes a job may begin, and end, where nobody tells us: ask for those that are waited for. */
static void on_tick(uv_timer_t *t)
{
	struct front *f = t->data;
	struct views *all = f->views;
	bool is_keep_alive = ++all->ticks % (KEEP_ALIVE_MS / TICK_MS) == 0;

	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (is_keep_alive && v->form == FORM_SSE && v->rq && queued(v) == 0)
			(void)http_stream_write(v->rq, ": still here\n\n", 14);
		if (!v->journal && (f->redis || is_keep_alive))
			ask(v);
	}
}

int views_new(struct front *f, struct error *err)
{
	struct views *all = calloc(1, sizeof(*all));

	if (!all)
		return error_set(err, ENOMEM, "out of memory");
	f->views = all;
	uv_timer_init(&f->loop, &all->tick);
	all->tick.data = f;
	uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS);
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void views_free(struct front *f)
{
	struct views *all = f->views;

	if (!all)
		return;
	f->views = NULL;
	all->tick.data = all;
	uv_close((uv_handle_t *)&all->tick, on_closed);
}
