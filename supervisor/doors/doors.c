/* What the doors share: see doors.h. */
#include "supervisor/doors/doors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_refusal.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/result.h"
#include "supervisor/queue/queue.h"
#include "supervisor/spec/spec.h"

enum { VALUES_MAX = 8192 /* of one document; the parser takes some forty bytes for each "0," */ };

/* ---- what comes in ---- */

static bool has_few_values(const char *text, size_t size)
{
	bool in_string = false;
	size_t n = 1;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
		} else {
			in_string = c == '"';
			n += c == ',';
		}
	}
	return n <= VALUES_MAX;
}

json_t *door_object(const char *text, size_t size)
{
	json_t *o = text && has_few_values(text, size) ? api_json(text, size) : NULL;

	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

size_t door_utf16_length(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		n += (c & 0xc0) != 0x80; /* the first byte of a character */
		n += c >= 0xf0;          /* one of two surrogates */
	}
	return n;
}

void door_refuse(struct refusal *ret, const char *field, const char *fmt, ...)
{
	va_list ap;

	*ret = (struct refusal){ .kind = REFUSED_INVALID };
	(void)text_copy(ret->field, sizeof(ret->field), field ? field : "");
	va_start(ap, fmt);
	(void)vsnprintf(ret->text, sizeof(ret->text), fmt, ap); /* cut is fine */
	va_end(ap);
}

/* ---- a program ---- */

static const char *text_field(const json_t *body, const char *field, struct refusal *why)
{
	const json_t *v = json_object_get(body, field);

	if (json_is_string(v))
		return json_string_value(v);
	door_refuse(why, field, "%s: %s", field, v ? "must be a text" : "is missing");
	return NULL;
}

/* Our word for a field is not the client's. */
static void rename_field(struct refusal *why, const char *ours, const char *theirs)
{
	size_t n = strlen(ours);
	char text[sizeof(why->text)];

	if (strcmp(why->field, ours) != 0)
		return;
	(void)text_copy(why->field, sizeof(why->field), theirs);
	if (strncmp(why->text, ours, n) == 0 && why->text[n] == ':') {
		memcpy(text, why->text, sizeof(text));
		(void)snprintf(why->text, sizeof(why->text), "%s%s", theirs, text + n); /* cut is fine */
	}
}

static int parse(const struct submit_env *env, const struct caller *caller, const char *language, const char *source,
		 const struct door_program *p, struct job_spec **ret, struct refusal *why)
{
	json_t *o = json_pack("{s:s,s:s}", "runtime", language, "source", source);
	char *text = o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;
	int r = -1;

	json_decref(o);
	if (!text) {
		*why = (struct refusal){ .kind = REFUSED_OVERLOADED, .retry_s = 1, .text = "out of memory" };
		return -1;
	}
	r = submit_parse(env, caller, text, strlen(text), true, ret, why);
	free(text);
	if (r < 0) {
		rename_field(why, "runtime", p->language_field);
		rename_field(why, "source", p->source_field);
	}
	return r;
}

int door_submit(const struct submit_env *env, const struct caller *caller, const json_t *body,
		const struct door_program *p, submit_fn *fn, void *arg, struct refusal *why)
{
	const char *language = text_field(body, p->language_field, why), *source;
	struct job_spec *spec = NULL;
	size_t length;
	int r;

	source = language ? text_field(body, p->source_field, why) : NULL;
	if (!source)
		return -1;
	length = p->source_max ? door_utf16_length(source, strlen(source)) : 0;
	if (length > p->source_max) {
		door_refuse(why, p->source_field, "%s: %zu characters, more than %zu", p->source_field, length,
			    p->source_max);
		return -1;
	}
	if (parse(env, caller, language, source, p, &spec, why) < 0)
		return -1;
	r = submit_job(env, caller, spec, &p->names, fn, arg, why);
	job_spec_free(spec);
	return r;
}

/* ---- one program, one answer ---- */

struct waiting {
	struct http_request *rq; /* NULL: its client left */
	door_reply_fn *reply;
	char name[QUEUE_ID_BYTES]; /* that it gave; "" none */
};

static void on_gone(struct http_request *rq, void *data)
{
	struct waiting *w = data;

	(void)rq;
	w->rq = NULL;
}

static void on_submitted(const struct refusal *why, const char *id, bool is_repeat, void *arg)
{
	struct waiting *w = arg;
	struct refusal no;

	(void)is_repeat;
	if (*w->name && why && (why->kind == REFUSED_KEY_TAKEN || why->kind == REFUSED_ID_TAKEN)) {
		no = (struct refusal){ .kind = REFUSED_ID_TAKEN, .field = "jobId" };
		(void)snprintf(no.text, sizeof(no.text), "jobId: '%s' is taken by another program", w->name);
		why = &no;
	}
	if (w->rq && why)
		api_refuse(w->rq, why);
	else if (w->rq)
		w->reply(w->rq, *w->name ? w->name : id);
	free(w);
}

void door_run(struct http_request *rq, const json_t *body, const struct door_program *p, door_reply_fn *reply)
{
	struct waiting *w = alloc_zeroed(1, sizeof(*w));
	struct refusal why;

	w->rq = rq;
	w->reply = reply;
	if (p->name)
		(void)text_copy(w->name, sizeof(w->name), p->name);
	if (door_submit(&front_of(rq)->submit, front_caller(rq), body, p, on_submitted, w, &why) < 0) {
		free(w);
		api_refuse(rq, &why);
		return;
	}
	http_on_gone(rq, on_gone, w);
}

/* ---- what goes out ---- */

/* Bytes as text: whole characters as they are, of anything else each byte as U+FFFD. */
static int append_text(struct buf *out, const char *data, size_t size)
{
	size_t from = 0, at = 0;
	int r = 0;

	while (r == 0 && at < size) {
		size_t n = utf8_length(data + at, size - at);

		if (n > 0) {
			at += n;
			continue;
		}
		r = buf_append(out, data + from, at - from);
		if (r == 0)
			r = buf_append_str(out, "\xef\xbf\xbd");
		from = ++at;
	}
	return r < 0 ? r : buf_append(out, data + from, at - from);
}

int door_text(struct view_memory *memory, unsigned stream, const char *data, size_t size, bool is_end, json_t **ret)
{
	cleanup_buf struct buf bytes = BUF_INIT, text = BUF_INIT;
	size_t whole;
	int r = buf_append(&bytes, memory->cut[stream], memory->n_cut[stream]);

	if (r == 0 && size > 0)
		r = buf_append(&bytes, data, size);
	if (r < 0)
		return r;
	whole = is_end || bytes.size == 0 ? bytes.size : utf8_whole(bytes.data, bytes.size);
	if (bytes.size - whole >= sizeof(memory->cut[stream]))
		whole = bytes.size; /* no character is that long */
	memory->n_cut[stream] = (uint8_t)(bytes.size - whole);
	memcpy(memory->cut[stream], bytes.size ? bytes.data + whole : "", bytes.size - whole);
	*ret = NULL;
	if (whole == 0)
		return 0;
	r = append_text(&text, bytes.data, whole);
	if (r == 0)
		*ret = json_stringn(text.data, text.size);
	return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

int door_say(json_t *messages, json_t *owned)
{
	return owned && json_array_append_new(messages, owned) == 0 ? 0 : -ENOMEM;
}
