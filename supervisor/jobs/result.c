/* Results as JSON: see result.h. */
#include "supervisor/jobs/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/base64.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/json_bytes.h"
#include "runtime/base/json_field.h"
#include "runtime/base/utf8.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/journal/journal.h"
#include "supervisor/queue/queue.h"

void job_result_done(struct job_result *r)
{
	for (size_t i = 0; i < r->n_outputs; i++) {
		free(r->outputs[i].path);
		free(r->outputs[i].data);
	}
	free(r->outputs);
	r->outputs = NULL;
	r->n_outputs = 0;
	json_decref(r->cases);
	r->cases = NULL;
}

/* ---- values; all may return NULL, and setting that fails ---- */

/* Milliseconds with at most three decimals, and a whole number when it is one. */
static json_t *json_ms(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US + (ns % NS_PER_US >= NS_PER_US / 2);

	if (ns == UINT64_MAX)
		return json_null();
	return us % 1000 == 0 ? json_integer((json_int_t)(us / 1000)) : json_real((double)us / 1000);
}

static json_t *json_count(uint64_t n)
{
	return n > INT64_MAX ? json_null() : json_integer((json_int_t)n); /* UINT64_MAX: not known */
}

static json_t *json_time(uint64_t ms)
{
	char text[32];

	if (ms == 0)
		return json_null();
	time_text(ms, text, sizeof(text));
	return json_string(text);
}

/* "" and NULL alike are null: not known. Ours or the operator's, but never worth losing a result for. */
static json_t *json_name(const char *text)
{
	return text && *text && utf8_is_text(text, strlen(text)) ? json_string(text) : json_null();
}

static json_t *json_passed(int passed)
{
	return passed < 0 ? json_null() : json_boolean(passed);
}

/* ---- stages ---- */

/*
 * What was cut at the limit, or by the end of a program that did not end by itself, was cut between bytes: a character that
 * lost its end must not turn a text into base64.
 */
static int set_stream(json_t *o, int i, const struct stage_result *s, struct journal *journal)
{
	static const char *const names[] = { "stdout", "stderr" };
	cleanup_buf struct buf out = BUF_BOUNDED((size_t)1 << 40); /* the journal is bounded by the limit of output */
	const bool is_cut = s->is_cut[i] || s->verdict.exit_code < 0;
	char cut[32];
	int e = 0;

	if (journal && s->has_run)
		e = journal_part(journal, i == 0 ? JOURNAL_STDOUT : JOURNAL_STDERR, s->output_at[i], s->output_size[i],
				 &out);
	if (e == 0)
		e = json_set_bytes(o, names[i], buf_str(&out), is_cut ? utf8_whole(out.data, out.size) : out.size);
	(void)snprintf(cut, sizeof(cut), "%s_truncated", names[i]);
	if (e == 0 && json_object_set_new(o, cut, json_boolean(s->is_cut[i])) < 0)
		e = -ENOMEM;
	return e;
}

struct member {
	const char *key;
	json_t *value;
};

/* Takes the values, all of them in any case. */
static int set_all(json_t *o, const struct member *members, size_t n)
{
	int e = 0;

	for (size_t i = 0; i < n; i++) {
		if (json_object_set_new(o, members[i].key, members[i].value) < 0)
			e = -ENOMEM;
	}
	return e;
}

#define SET_ALL(o, ...)                                                                                                \
	set_all((o), (const struct member[]){ __VA_ARGS__ },                                                           \
		sizeof((const struct member[]){ __VA_ARGS__ }) / sizeof(struct member))

static int set_stage(json_t *o, const struct verdict *v, const struct stage_result *s, struct journal *journal)
{
	const struct member verdict[] = {
		{ "status", json_string(verdict_name(v->status)) },
		{ "reason", json_string(utf8_is_text(v->reason, strlen(v->reason)) ? v->reason : "") },
		{ "exit_code", v->exit_code < 0 ? json_null() : json_integer(v->exit_code) },
		{ "signal", v->signal ? json_integer(v->signal) : json_null() },
	};
	const struct member numbers[] = {
		{ "wall_ms", json_ms(s->has_run ? s->wall_ns : UINT64_MAX) },
		{ "cpu_ms", json_ms(s->has_run ? s->cpu_ns : UINT64_MAX) },
		{ "cpu_user_ms", json_ms(s->has_run ? s->user_ns : UINT64_MAX) },
		{ "cpu_system_ms", json_ms(s->has_run ? s->system_ns : UINT64_MAX) },
		{ "memory_peak", json_count(s->has_run ? s->memory_peak_bytes : UINT64_MAX) },
		{ "processes_peak", json_count(s->has_run ? s->processes_peak : UINT64_MAX) },
		{ "disk_bytes", json_count(s->has_run ? s->disk_bytes : UINT64_MAX) },
	};
	int e = set_all(o, verdict, sizeof(verdict) / sizeof(verdict[0]));
	int e2 = 0;

	for (int i = 0; i < 2 && e == 0; i++)
		e = set_stream(o, i, s, journal);
	e2 = set_all(o, numbers, sizeof(numbers) / sizeof(numbers[0])); /* always: it takes the values */
	return e < 0 ? e : e2;
}

static json_t *compile_json(const struct job_result *r, struct journal *journal)
{
	json_t *o;

	if (!r->compile.has_run && !r->compile.is_cached)
		return json_null();
	o = json_object();
	if (o && set_stage(o, &r->compile.verdict, &r->compile, journal) == 0 &&
	    json_object_set_new(o, "cached", json_boolean(r->compile.is_cached)) == 0)
		return o;
	json_decref(o);
	return NULL;
}

/* ---- files handed back ---- */

/* The path comes out of a sandbox too. What was left out is named, without its content. */
static json_t *output_json(const struct job_output *f)
{
	cleanup_json json_t *o = json_object();
	bool is_text = f->data && utf8_is_text(f->data, f->size);
	char *coded = NULL;
	size_t n = f->data ? f->size : 0;
	int e;

	if (!o)
		return NULL;
	if (f->data && !is_text) {
		coded = base64_encode(f->data, f->size, &n);
		if (!coded)
			return NULL;
	}
	e = json_set_bytes(o, "path", f->path, strlen(f->path));
	if (SET_ALL(o, { "size", json_count(f->size) },
		    { "content", f->data ? json_stringn_nocheck(coded ? coded : f->data, n) : json_null() },
		    { "encoding", !f->data ? json_null() : json_string(coded ? "base64" : "utf-8") },
		    { "left_out", f->data ? json_null() : json_string(f->left_out) }) < 0)
		e = -ENOMEM;
	free(coded);
	return e < 0 ? NULL : json_incref(o);
}

static json_t *outputs_json(const struct job_result *r)
{
	cleanup_json json_t *list = json_array();

	for (size_t i = 0; list && i < r->n_outputs; i++) {
		if (json_array_append_new(list, output_json(&r->outputs[i])) < 0)
			return NULL;
	}
	return json_incref(list);
}

/* ---- the whole ---- */

json_t *job_result_json(const struct job_result *r, struct journal *journal)
{
	cleanup_json json_t *o = json_object();

	if (!o || SET_ALL(o, { "id", json_string(r->id) }) < 0 || set_stage(o, &r->verdict, &r->run, journal) < 0)
		return NULL;
	if (SET_ALL(o, { "compile", compile_json(r, journal) }, { "outputs", outputs_json(r) },
		    { "outputs_truncated", json_boolean(r->is_outputs_cut) }, { "runtime", json_name(r->runtime) },
		    { "version", json_name(r->version) }, { "policy", json_name(r->policy) },
		    { "policy_digest", json_name(r->policy_digest) },
		    { "attempt", json_integer((json_int_t)r->attempt) }, { "node", json_name(r->node) },
		    { "queued_at", json_time(r->queued_ms) }, { "started_at", json_time(r->started_ms) },
		    { "finished_at", json_time(r->finished_ms) }, { "pooled", json_boolean(r->was_pooled) },
		    { "prestarted", json_boolean(r->was_prestarted) }) < 0)
		return NULL;
	if (r->cases && SET_ALL(o, { "passed", json_passed(r->passed) }, { "cases", json_incref(r->cases) }) < 0)
		return NULL;
	return json_incref(o);
}

/* ---- one case ---- */

json_t *job_result_case_json(const char *id, const struct job_result *r, struct journal *journal, int passed,
			     const char *why)
{
	cleanup_json json_t *o = json_object();
	struct verdict v = r->verdict;

	if (!v.reason[0])
		(void)snprintf(v.reason, sizeof(v.reason), "%s", why);
	if (!o || SET_ALL(o, { "id", json_string(id) }, { "passed", json_passed(passed) }) < 0 ||
	    set_stage(o, &v, &r->run, journal) < 0)
		return NULL;
	if (SET_ALL(o, { "outputs", outputs_json(r) }, { "outputs_truncated", json_boolean(r->is_outputs_cut) },
		    { "sandbox", json_string("fresh") }) < 0)
		return NULL;
	return json_incref(o);
}

json_t *job_result_no_case_json(const char *id)
{
	const struct job_result none = { .verdict = { .exit_code = -1 } };
	cleanup_json json_t *o = job_result_case_json(id, &none, NULL, -1, "");

	if (!o || SET_ALL(o, { "status", json_null() }, { "sandbox", json_null() }) < 0)
		return NULL;
	return json_incref(o);
}

/* ---- without a run ---- */

json_t *job_result_unrun_json(enum verdict_status status, const struct queue_unrun *u)
{
	cleanup_json json_t *spec = u->spec ? json_loadb(u->spec, u->spec_size, 0, NULL) : NULL;
	struct job_result r = { .verdict = { .status = status, .exit_code = -1 },
				.runtime = json_string_value(json_object_get(spec, "runtime")),
				.policy = json_string_value(json_object_get(spec, "policy")),
				.node = u->node,
				.attempt = u->attempt,
				.queued_ms = u->queued_ms,
				.finished_ms = u->finished_ms };

	(void)snprintf(r.id, sizeof(r.id), "%s", u->id);
	(void)snprintf(r.verdict.reason, sizeof(r.verdict.reason), "%s", u->reason);
	return job_result_json(&r, NULL);
}

char *job_result_cancelled(const struct queue_unrun *u)
{
	cleanup_json json_t *o = job_result_unrun_json(VERDICT_CANCELLED, u);

	return o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;
}
