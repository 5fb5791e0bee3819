/* What producers write: see payload.h. Checked for its shape, put into the words of spec.h, and left to spec.c. */
#include "supervisor/redis/payload.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"

enum { DEPTH_MAX = 24, VALUES_MAX = 32768, SLACK = 16384 /* as for a canonical text in spec.c */ };

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define cleanup_json_t __attribute__((cleanup(cleanup_json)))

/* The parser recurses and allocates for every value: no document decides how much. */
static int check_shape(const char *text, size_t size, struct error *err)
{
	size_t depth = 0, values = 1;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > DEPTH_MAX)
				return error_set(err, EINVAL, "the payload: nested deeper than %d levels", DEPTH_MAX);
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		} else if (c == ',' && ++values > VALUES_MAX) {
			return error_set(err, E2BIG, "the payload: more than %d values", VALUES_MAX);
		}
	}
	return 0;
}

static int parse(const char *data, size_t size, const struct job_context *context, json_t **ret, struct error *err)
{
	json_error_t e;
	int r;

	if (size == 0)
		return error_set(err, EINVAL, "the payload is empty");
	if (size > context->settings->max_body + SLACK)
		return error_set(err, E2BIG, "the payload has %zu bytes, more than the %llu of CUBIT_MAX_BODY", size,
				 (unsigned long long)context->settings->max_body);
	r = check_shape(data, size, err);
	if (r < 0)
		return r;
	*ret = json_loadb(data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!*ret)
		return error_set(err, EINVAL, "the payload is not JSON: line %d: %s", e.line, e.text);
	if (!json_is_object(*ret))
		return error_set(err, EINVAL, "the payload is not a JSON object");
	return 0;
}

/* The one value that several names may have; NULL: none of them. Null is as if it were not there. */
static int one_of(json_t *o, const char *const *names, json_t **ret, const char **ret_name, struct error *err)
{
	json_t *found = NULL;

	for (size_t i = 0; names[i]; i++) {
		json_t *v = json_object_get(o, names[i]);

		if (!v || json_is_null(v))
			continue;
		if (found && !json_equal(found, v))
			return error_set(err, EINVAL, "%s and %s name the same thing and differ", *ret_name, names[i]);
		if (!found)
			*ret_name = names[i];
		found = v;
	}
	*ret = found;
	return 0;
}

static int read_id(json_t *o, const char *fallback, struct redis_payload *p, struct error *err)
{
	static const char *const names[] = { "id", "job_id", NULL };
	const char *name = "id";
	json_t *v = NULL;
	int r = one_of(o, names, &v, &name, err);

	if (r < 0)
		return r;
	if (!v && !fallback)
		return error_set(err, EINVAL, "id: is missing");
	if (v && !json_is_string(v))
		return error_set(err, EINVAL, "%s: must be a text", name);
	if (v && parse_id(json_string_value(v), NULL) < 0)
		return error_set(err, EINVAL,
				 "%s: is not an id (1 to 64 of A-Z a-z 0-9 - _ ., a letter or digit first)", name);
	(void)text_copy(p->id, sizeof(p->id), v ? json_string_value(v) : fallback); /* parse_id() bounds it */
	return 0;
}

static int read_owner(json_t *o, struct redis_payload *p, struct error *err)
{
	static const char *const names[] = { "user_id", "owner", NULL };
	const char *name = "user_id";
	char text[32];
	const char *owner = "redis";
	json_t *v = NULL;
	int r = one_of(o, names, &v, &name, err);

	if (r < 0)
		return r;
	if (v && json_is_integer(v)) {
		(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		owner = text;
	} else if (v && !json_is_string(v)) {
		return error_set(err, EINVAL, "%s: must be a text", name);
	} else if (v) {
		owner = json_string_value(v);
	}
	if (parse_id(owner, NULL) < 0)
		return error_set(err, EINVAL,
				 "%s: is not an id (1 to 64 of A-Z a-z 0-9 - _ ., a letter or digit first)", name);
	(void)text_copy(p->owner, sizeof(p->owner), owner);
	return 0;
}

/* Nobody could type: streams and lists carry one thing in. Accepted, such a job would wait for its end of time. */
static int refuse_input(json_t *o, struct error *err)
{
	static const char *const names[] = { "interactive", "tty" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *v = json_object_get(o, names[i]);

		if (v && !json_is_null(v) && !json_is_false(v))
			return error_set(
				err, EINVAL,
				"%s: a job from Redis has no terminal and no input but stdin; POST /v1/jobs has",
				names[i]);
	}
	return 0;
}

/* ---- in the words of spec.h ---- */

static const char *const runtime_names[] = { "runtime", "language", "cube_type", NULL };
static const char *const source_names[] = { "source", "code", NULL };
static const char *const same_names[] = { "files",
					  "main",
					  "args",
					  "stdin",
					  "stdin_encoding",
					  "env",
					  "policy",
					  "network",
					  "limits",
					  "compile_limits",
					  "outputs",
					  "interactive",
					  "live",
					  "tty",
					  "priority",
					  "delay_ms",
					  "callback",
					  "retention_ms",
					  "cases",
					  "checker",
					  "tolerance",
					  "stop_at_first_failure",
					  NULL };

static int put(json_t *to, const char *name, json_t *v, struct error *err)
{
	return !v || json_object_set(to, name, v) == 0 ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int put_one_of(json_t *to, json_t *from, const char *const *names, struct error *err)
{
	const char *name = names[0];
	json_t *v = NULL;
	int r = one_of(from, names, &v, &name, err);

	return r < 0 ? r : put(to, names[0], v, err);
}

static int normalise(json_t *from, json_t **ret, struct error *err)
{
	json_t *to = json_object();
	int r = to ? put_one_of(to, from, runtime_names, err) : error_set(err, ENOMEM, "out of memory");

	*ret = to;
	if (r == 0)
		r = put_one_of(to, from, source_names, err);
	for (size_t i = 0; r == 0 && same_names[i]; i++)
		r = put(to, same_names[i], json_object_get(from, same_names[i]), err);
	return r;
}

static int read_spec(json_t *o, const struct job_context *context, struct redis_payload *p, struct error *err)
{
	struct job_context queued = *context;
	cleanup_json_t json_t *wanted = NULL;
	cleanup_free char *text = NULL;
	struct job_spec *spec = NULL;
	int r = refuse_input(o, err);

	if (r == 0)
		r = normalise(o, &wanted, err);
	if (r < 0)
		return r;
	text = json_dumps(wanted, JSON_COMPACT);
	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	queued.is_queued = true;
	r = job_spec_parse(text, strlen(text), &queued, &spec, NULL, err);
	if (r < 0)
		return r;
	p->delay_ms = spec->delay_ms;
	p->retention_ms = spec->retention_ms;
	p->priority = spec->priority;
	p->spec = job_spec_text(spec, &p->spec_size);
	job_spec_free(spec);
	return p->spec ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* ---- cubes ---- */

static bool has(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	return v && !json_is_null(v);
}

static bool is_cube(json_t *o)
{
	return has(o, "cube_type") && !has(o, "source") && !has(o, "code") && !has(o, "files");
}

static int read_word(json_t *o, const char *name, char *ret, size_t room, struct error *err)
{
	json_t *v = json_object_get(o, name);

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return error_set(err, EINVAL, "%s: must be a text", name);
	if (text_copy(ret, room, json_string_value(v)) < 0)
		return error_set(err, EINVAL, "%s: longer than %zu bytes", name, room - 1);
	return 0;
}

static int read_cube(json_t *o, struct redis_payload *p, struct error *err)
{
	int r = read_word(o, "name", p->name, sizeof(p->name), err);

	p->is_cube = true;
	if (r == 0)
		r = read_word(o, "cube_type", p->cube_type, sizeof(p->cube_type), err);
	if (r == 0 && parse_id(p->cube_type, NULL) < 0)
		r = error_set(err, EINVAL, "cube_type: is not a name");
	return r;
}

int redis_payload_read(const char *data, size_t size, const char *fallback_id, bool is_list,
		       const struct job_context *context, struct redis_payload *ret, struct error *err)
{
	cleanup_json_t json_t *o = NULL;
	int r;

	*ret = (struct redis_payload){ .spec = NULL };
	r = parse(data, size, context, &o, err);
	if (r == 0)
		r = read_id(o, fallback_id, ret, err);
	if (r == 0)
		r = read_owner(o, ret, err);
	if (r == 0)
		r = is_list && is_cube(o) ? read_cube(o, ret, err) : read_spec(o, context, ret, err);
	if (r < 0 && err)
		utf8_clean(err->text);
	return r;
}

void redis_payload_done(struct redis_payload *p)
{
	free(p->spec);
	p->spec = NULL;
}
