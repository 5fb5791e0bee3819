/* A spec as canonical JSON, which reads back to the same: see spec.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/digest.h"
#include "runtime/base/alloc.h"
#include "runtime/base/base64.h"
#include "runtime/base/json_field.h"
#include "runtime/base/utf8.h"
#include "supervisor/spec/spec_impl.h"

int spec_set(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) < 0 ? -ENOMEM : 0;
}

/* How long a text is between its quotes, as json_dumps() writes it. */
static size_t quoted_size(const char *data, size_t size)
{
	size_t n = size;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '"' || c == '\\' || (c < ' ' && strchr("\b\f\n\r\t", c)))
			n += 1;
		else if (c < ' ')
			n += 5;
	}
	return n;
}

/*
 * The shorter of both forms. So the text is not longer than what the request had there, whichever form it used, and
 * what came through the door's bound comes through it again.
 */
int spec_set_content(json_t *o, const char *key, const char *encoding_key, const char *data, size_t size)
{
	char *coded;
	size_t n = 0;
	int e;

	if (utf8_is_text(data, size) && quoted_size(data, size) <= (size + 2) / 3 * 4 + 20)
		return spec_set(o, key, json_stringn_nocheck(data, size));
	coded = base64_encode(data, size, &n);
	e = coded ? spec_set(o, key, json_stringn_nocheck(coded, n)) : -ENOMEM;
	free(coded);
	return e < 0 ? e : spec_set(o, encoding_key, json_string("base64"));
}

json_t *spec_files_json(const struct job_file *files, size_t n)
{
	cleanup_json json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++) {
		const struct job_file *f = &files[i];
		json_t *o = json_object();

		if (!o || json_array_append_new(list, o) < 0 || spec_set(o, "path", json_string(f->path)) < 0 ||
		    spec_set_content(o, "content", "encoding", f->data, f->size) < 0)
			return NULL;
		if (f->mode != 0644 && spec_set(o, "mode", json_string("0755")) < 0)
			return NULL;
	}
	return json_incref(list);
}

json_t *spec_strings_json(char *const *strings)
{
	cleanup_json json_t *list = json_array();

	for (; list && *strings; strings++) {
		if (json_array_append_new(list, json_string(*strings)) < 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *env_json(char *const *env)
{
	cleanup_json json_t *o = json_object();

	for (; o && *env; env++) {
		size_t name = strcspn(*env, "=");
		cleanup_json json_t *value = json_string(*env + name + 1);
		char *key = alloc_text_of(*env, name);
		int e = json_object_set(o, key, value);

		free(key);
		if (e < 0)
			return NULL;
	}
	return json_incref(o);
}

static json_t *callback_json(const struct job_spec *s)
{
	cleanup_json json_t *o = json_object();

	if (!o || spec_set(o, "url", json_string(s->callback_url)) < 0)
		return NULL;
	if (s->callback_secret && spec_set(o, "secret", json_string(s->callback_secret)) < 0)
		return NULL;
	return json_incref(o);
}

/* What is as it is without being said is left out, but limits: their defaults may be others when it is read. */
static int set_options(json_t *o, const struct job_spec *s)
{
	int e = 0;

	if (s->n_files > 1)
		e = spec_set(o, "main", json_string(s->files[s->main_file].path));
	if (e == 0 && s->args[0])
		e = spec_set(o, "args", spec_strings_json(s->args));
	if (e == 0 && s->env[0])
		e = spec_set(o, "env", env_json(s->env));
	if (e == 0 && s->outputs[0])
		e = spec_set(o, "outputs", spec_strings_json(s->outputs));
	if (e == 0 && s->input)
		e = spec_set_content(o, "stdin", "stdin_encoding", s->input, s->input_size);
	if (e == 0 && s->is_interactive)
		e = spec_set(o, "interactive", json_true());
	if (e == 0 && s->is_live != s->is_interactive)
		e = spec_set(o, "live", json_boolean(s->is_live));
	if (e == 0 && s->has_tty)
		e = spec_set(o, "tty", json_pack("{s:i, s:i}", "cols", (int)s->cols, "rows", (int)s->rows));
	if (e == 0 && s->priority)
		e = spec_set(o, "priority", json_integer(s->priority));
	if (e == 0 && s->delay_ms)
		e = spec_set(o, "delay_ms", json_integer((json_int_t)s->delay_ms));
	if (e == 0 && s->retention_ms)
		e = spec_set(o, "retention_ms", json_integer((json_int_t)s->retention_ms));
	if (e == 0 && s->callback_url)
		e = spec_set(o, "callback", callback_json(s));
	return e < 0 ? e : spec_set_cases(o, s);
}

char *job_spec_text(const struct job_spec *s, size_t *ret_size)
{
	cleanup_json json_t *o = json_object();
	char *text;

	if (!o || spec_set(o, "runtime", json_string(s->runtime)) < 0 ||
	    spec_set(o, "files", spec_files_json(s->files, s->n_files)) < 0 ||
	    spec_set(o, "policy", json_string(s->policy)) < 0 ||
	    (s->is_privileged && spec_set(o, "privileged", json_true()) < 0) ||
	    (s->is_one_policy && spec_set(o, "one_policy", json_true()) < 0) ||
	    spec_set(o, "network", json_string("none")) < 0 ||
	    spec_set(o, "limits", spec_limits_json(&s->limits)) < 0 ||
	    spec_set(o, "compile_limits", spec_limits_json(&s->compile_limits)) < 0 || set_options(o, s) < 0)
		return NULL;
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
	if (text && ret_size)
		*ret_size = strlen(text);
	return text;
}

void job_spec_fingerprint(const struct job_spec *s, char ret[65])
{
	struct digest digest = { .text = "" };
	size_t size = 0;
	char *text = job_spec_text(s, &size);

	ret[0] = '\0';
	if (text) {
		digest_of(text, size, &digest);
		(void)snprintf(ret, 65, "%s", digest_hex(&digest));
	}
	free(text);
}
