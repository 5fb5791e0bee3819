/* Requests to run something: see spec.h. Read by tables, then what depends on several fields, then what is left. */
#include "supervisor/spec/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "policies/builtin.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec_impl.h"

enum {
	DEPTH_MAX = 16,     /* of lists and objects; ours needs four */
	VALUES_MAX = 32768, /* of the whole document; ours has room for some 1500, and a dozen for each of its cases */
	TEXT_SLACK = 16384, /* a canonical text may be that much longer than the body it was made of */
	PRIORITY_MAX = 100,
	DELAY_MAX_MS = 7 * 24 * 3600 * 1000,
	RETENTION_MIN_MS = 1000,
	TTY_MAX = 1000,
	TTY_COLS = 80,
	TTY_ROWS = 24,
};

static const char origin[] = "the request";

/* ---- words ---- */

int spec_refuse_as(struct json_reader *r, int code, const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	va_end(ap);
	(void)json_refuse(r, "%s", reason);
	r->err->code = code;
	return -code;
}

int spec_keep(const char *text, char **ret)
{
	*ret = alloc_text(text);
	return 0;
}

/*
 * Words for a client: the place first when there is one, nothing that a terminal would obey, and not what a library
 * calls its flags.
 */
static void polish(const struct json_reader *r, struct error *err)
{
	static const char no_nul[] = "\\u0000 is not allowed without JSON_ALLOW_NUL";
	size_t lead = strlen(origin) + 2;
	char *at = strstr(err->text, no_nul);

	if (r->path[0] && strncmp(err->text, origin, strlen(origin)) == 0)
		memmove(err->text, err->text + lead, strlen(err->text + lead) + 1);
	else if (at)
		(void)snprintf(at, sizeof(err->text) - (size_t)(at - err->text),
			       "\\u0000 cannot be in a text; contents with it go as base64");
	utf8_clean(err->text);
}

/* ---- the shape, before anything is allocated for it ---- */

/* Behind the quote that ends a string; at: behind the one that began it. NULL: there is none. */
static const char *end_of_string(const char *at, const char *end)
{
	for (const char *p = at; (p = memchr(p, '"', (size_t)(end - p))); p++) {
		size_t n = 0;

		while (p - n > at && p[-1 - (ptrdiff_t)n] == '\\')
			n++;
		if (n % 2 == 0)
			return p + 1;
	}
	return NULL;
}

/* The parser recurses as deep as a document goes and takes some forty bytes for each "0,": no document decides that. */
static int check_shape(struct json_reader *r, const char *text, size_t size)
{
	const char *end = text + size;
	size_t depth = 0, values = 1;

	for (const char *p = text; p && p < end;) {
		char c = *p++;

		if (c == '"')
			p = end_of_string(p, end);
		else if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		else if (c == ',')
			values++;
		if (depth > DEPTH_MAX)
			return json_refuse(r, "nested deeper than %d levels", DEPTH_MAX);
		if (values > VALUES_MAX)
			return json_too_big(r, "more than %d values", VALUES_MAX);
	}
	return 0;
}

/* ---- fields ---- */

int spec_read_value(struct json_reader *r, json_t *value, void *target)
{
	(void)r;
	*(const json_t **)target = value; /* looked at when all of them are there */
	return 0;
}

static int read_files(struct json_reader *r, json_t *value, void *target)
{
	struct job_spec *s = spec_reader_of(r)->spec;
	const struct spec_file_list to = { &s->files, &s->n_files, NULL, 0 };

	(void)target;
	if (json_array_size(value) == 0)
		return json_refuse(r, "is empty: there is nothing to run");
	return spec_read_files(r, value, &to);
}

static int read_argument(struct json_reader *r, json_t *item, char **ret)
{
	(void)r;
	return spec_keep(json_string_value(item), ret);
}

int spec_read_args(struct json_reader *r, json_t *list, char ***ret)
{
	return json_read_strings(r, list, JOB_ARGS_MAX, read_argument, ret);
}

static int read_args(struct json_reader *r, json_t *value, void *target)
{
	(void)target;
	return spec_read_args(r, value, &spec_reader_of(r)->spec->args);
}

static int read_output(struct json_reader *r, json_t *item, char **ret)
{
	int e = spec_check_path(r, item);

	return e < 0 ? e : spec_keep(json_string_value(item), ret);
}

static int read_outputs(struct json_reader *r, json_t *value, void *target)
{
	(void)target;
	return json_read_strings(r, value, JOB_OUTPUTS_MAX, read_output, &spec_reader_of(r)->spec->outputs);
}

static bool is_variable(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t n = strspn(name, letters);

	return n > 0 && !name[n + strspn(name + n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789")];
}

static int compare_variables(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_variable(struct json_reader *r, const char *name, const json_t *value, char **ret)
{
	int e = json_expect(r, value, JSON_STRING);

	if (e < 0)
		return e;
	if (!is_variable(name))
		return json_refuse(r, "is not the name of a variable (A-Z a-z 0-9 _, not a digit first)");
	if (asprintf(ret, "%s=%s", name, json_string_value(value)) < 0) {
		*ret = NULL;
		return json_no_memory(r);
	}
	return 0;
}

/* Sorted: two requests that differ in the order of a JSON object are the same. */
static int read_env(struct json_reader *r, json_t *value, void *target)
{
	struct job_spec *s = spec_reader_of(r)->spec;
	size_t n = 0;
	const char *key;
	json_t *item;

	(void)target;
	if (json_object_size(value) > JOB_ENV_MAX)
		return spec_refuse_as(r, E2BIG, "%zu of them, more than %d", json_object_size(value), JOB_ENV_MAX);
	s->env = alloc_zeroed(json_object_size(value) + 1, sizeof(*s->env));
	json_object_foreach(value, key, item)
	{
		size_t before = json_enter(r, ".%.80s", key);
		int e = read_variable(r, key, item, &s->env[n]);

		if (e < 0)
			return e;
		n++;
		json_leave(r, before);
	}
	qsort(s->env, n, sizeof(*s->env), compare_variables);
	return 0;
}

static int read_network(struct json_reader *r, json_t *value, void *target)
{
	(void)target;
	if (strcmp(json_string_value(value), "none") != 0)
		return json_refuse(r, "'%.40s' does not exist: a job has the network \"none\"",
				   json_string_value(value));
	return 0;
}

int spec_read_limits_row(struct json_reader *r, json_t *value, void *target)
{
	return spec_read_limits(r, value, spec_reader_of(r)->context, target);
}

static int read_main(struct json_reader *r, json_t *value, void *target)
{
	int e = spec_check_path(r, value);

	return e < 0 ? e : spec_read_value(r, value, target);
}

static int read_truth(struct json_reader *r, json_t *value, void *target)
{
	if (!json_is_boolean(value))
		return json_refuse(r, "must be true or false, is %s", json_kind(json_typeof(value)));
	*(bool *)target = json_is_true(value);
	return 0;
}

static int read_stop_first(struct json_reader *r, json_t *value, void *target)
{
	(void)target;
	return read_truth(r, value, &spec_reader_of(r)->spec->stops_at_failure);
}

static int read_live(struct json_reader *r, json_t *value, void *target)
{
	spec_reader_of(r)->is_live_said = true;
	return read_truth(r, value, target);
}

/* Output as it is printed: as said; else where somebody may look on, or answers it. */
static void settle_live(struct spec_reader *in)
{
	struct job_spec *s = in->spec;
	bool is_watched = in->context->is_watched && !in->context->is_stored; /* that was settled when it came */

	s->is_interactive = in->is_interactive;
	s->is_live = in->is_live_said ? in->is_live : s->is_interactive || is_watched;
}

static int read_between(struct json_reader *r, const json_t *value, json_int_t min, json_int_t max, json_int_t *ret)
{
	json_int_t n = json_integer_value(value);

	if (n < min || n > max)
		return json_refuse(
			r, "%" JSON_INTEGER_FORMAT " is not between %" JSON_INTEGER_FORMAT " and %" JSON_INTEGER_FORMAT,
			n, min, max);
	*ret = n;
	return 0;
}

static int read_cells(struct json_reader *r, json_t *value, void *target)
{
	json_int_t n = 0;
	int e = read_between(r, value, 1, TTY_MAX, &n);

	if (e == 0)
		*(uint16_t *)target = (uint16_t)n;
	return e;
}

/* clang-format off */
static const struct json_row tty_fields[] = {
	{ "cols", JSON_INTEGER, false, read_cells, offsetof(struct job_spec, cols) },
	{ "rows", JSON_INTEGER, false, read_cells, offsetof(struct job_spec, rows) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

static int read_tty(struct json_reader *r, json_t *value, void *target)
{
	struct job_spec *s = spec_reader_of(r)->spec;

	(void)target;
	s->has_tty = true;
	s->cols = TTY_COLS;
	s->rows = TTY_ROWS;
	return json_read_object(r, value, tty_fields, s);
}

static int check_queued(struct json_reader *r)
{
	return spec_reader_of(r)->context->is_queued ? 0 : json_refuse(r, "only a queued job has one (POST /v1/jobs)");
}

static int read_priority(struct json_reader *r, json_t *value, void *target)
{
	json_int_t n = 0;
	int e = check_queued(r);

	(void)target;
	if (e == 0)
		e = read_between(r, value, -PRIORITY_MAX, PRIORITY_MAX, &n);
	spec_reader_of(r)->spec->priority = (int)n;
	return e;
}

static int read_delay(struct json_reader *r, json_t *value, void *target)
{
	json_int_t n = 0;
	int e = check_queued(r);

	(void)target;
	if (e == 0)
		e = read_between(r, value, 0, DELAY_MAX_MS, &n);
	spec_reader_of(r)->spec->delay_ms = (uint64_t)n;
	return e;
}

/* Refused above what the node allows; what was granted holds, and is bounded once more where it ends. */
static int read_retention(struct json_reader *r, json_t *value, void *target)
{
	const struct job_context *c = spec_reader_of(r)->context;
	json_int_t n = json_integer_value(value), most = (json_int_t)(c->settings->retention_ns / NS_PER_MS);
	int e = check_queued(r);

	(void)target;
	if (e == 0 && n < RETENTION_MIN_MS)
		e = json_refuse(r, "%" JSON_INTEGER_FORMAT " is below the minimum of %d", n, RETENTION_MIN_MS);
	if (e == 0 && n > most && !c->is_stored)
		e = spec_refuse_as(r, ERANGE,
				   "%" JSON_INTEGER_FORMAT " is above the ceiling of %" JSON_INTEGER_FORMAT
				   " (CUBIT_RETENTION)",
				   n, most);
	spec_reader_of(r)->spec->retention_ms = (uint64_t)n;
	return e;
}

static int read_callback(struct json_reader *r, json_t *value, void *target)
{
	int e = check_queued(r);

	(void)target;
	return e < 0 ? e : spec_read_callback(r, value, spec_reader_of(r)->spec);
}

/* What was decided when the request came. */
static int read_decided(struct json_reader *r, json_t *value, void *target)
{
	if (!spec_reader_of(r)->context->is_stored)
		return json_refuse(r, "is no field of a request");
	*(bool *)target = json_is_true(value);
	return 0;
}

#define IN(member) offsetof(struct spec_reader, member)

/* clang-format off */
static const struct json_row fields[] = {
	{ "runtime",        JSON_STRING,  true,  spec_read_value,    IN(runtime) },
	{ "source",         JSON_STRING,  false, spec_read_value,    IN(source) },
	{ "files",          JSON_ARRAY,   false, read_files,         0 },
	{ "main",           JSON_STRING,  false, read_main,          IN(main) },
	{ "args",           JSON_ARRAY,   false, read_args,          0 },
	{ "stdin",          JSON_STRING,  false, spec_read_value,    IN(input) },
	{ "stdin_encoding", JSON_STRING,  false, spec_read_encoding, IN(is_input_base64) },
	{ "env",            JSON_OBJECT,  false, read_env,           0 },
	{ "policy",         JSON_STRING,  false, spec_read_value,    IN(policy) },
	{ "privileged",     JSON_NULL,    false, read_decided,       IN(is_privileged) },
	{ "one_policy",     JSON_NULL,    false, read_decided,       IN(is_one_policy) },
	{ "network",        JSON_STRING,  false, read_network,       0 },
	{ "limits",         JSON_OBJECT,  false, spec_read_limits_row,  IN(limits) },
	{ "compile_limits", JSON_OBJECT,  false, spec_read_limits_row,  IN(compile_limits) },
	{ "outputs",        JSON_ARRAY,   false, read_outputs,       0 },
	{ "cases",          JSON_ARRAY,   false, spec_read_value,    IN(cases) },
	{ "checker",        JSON_STRING,  false, spec_read_checker,  0 },
	{ "tolerance",      JSON_NULL,    false, spec_read_tolerance, 0 },
	{ "stop_at_first_failure", JSON_NULL, false, read_stop_first, 0 },
	{ "interactive",    JSON_NULL,    false, read_truth,         IN(is_interactive) },
	{ "live",           JSON_NULL,    false, read_live,          IN(is_live) },
	{ "tty",            JSON_OBJECT,  false, read_tty,           0 },
	{ "priority",       JSON_INTEGER, false, read_priority,      0 },
	{ "delay_ms",       JSON_INTEGER, false, read_delay,         0 },
	{ "retention_ms",   JSON_INTEGER, false, read_retention,     0 },
	{ "callback",       JSON_OBJECT,  false, read_callback,      0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

/* ---- what depends on more than one field; r->path is empty when each begins, and names the field when it fails ----
 */

static int find_runtime(struct json_reader *r, const struct runtime_def **ret)
{
	struct spec_reader *in = spec_reader_of(r);
	cleanup_buf struct buf names = BUF_BOUNDED(200);
	const char *name = json_string_value(in->runtime);
	size_t before = json_enter(r, "runtime");

	*ret = runtime_set_find(in->context->runtimes, name);
	if (*ret) {
		json_leave(r, before);
		return spec_keep((*ret)->name, &in->spec->runtime);
	}
	for (size_t i = 0; runtime_set_at(in->context->runtimes, i); i++) {
		if (buf_printf(&names, "%s%s", i ? ", " : "", runtime_set_at(in->context->runtimes, i)->name) < 0)
			break; /* the first of many will do */
	}
	return spec_refuse_as(r, ENOENT, "there is no '%.40s'; there are %s", name,
			      names.size ? buf_str(&names) : "none");
}

/* Of several files the one that `main` names is the main one; without it the one that is called as the runtime asks, or the first. */
static int find_main(struct json_reader *r, const char *usual)
{
	struct spec_reader *in = spec_reader_of(r);
	const char *wanted = in->main ? json_string_value(in->main) : usual;
	struct job_spec *s = in->spec;

	for (size_t i = 0; i < s->n_files; i++) {
		if (strcmp(s->files[i].path, wanted) == 0) {
			s->main_file = i;
			return 0;
		}
	}
	if (!in->main)
		return 0;
	(void)json_enter(r, "main");
	return json_refuse(r, "'%.80s' is none of the files", wanted);
}

/* `source` is the one file the runtime asks for. */
static int settle_files(struct json_reader *r, const struct runtime_def *def)
{
	struct spec_reader *in = spec_reader_of(r);
	struct job_spec *s = in->spec;
	size_t before = json_enter(r, "source");
	int e = 0;

	if (in->source && s->files)
		e = json_refuse(r, "source and files exclude each other");
	else if (!in->source && !s->files)
		e = json_refuse(r, "is missing: give source or files");
	else if (in->source)
		e = spec_set_source(r, in->source, in->main ? json_string_value(in->main) : def->file, s);
	if (e < 0)
		return e;
	json_leave(r, before);
	return find_main(r, def->file);
}

static int settle_input(struct json_reader *r)
{
	struct spec_reader *in = spec_reader_of(r);
	size_t before = json_enter(r, "stdin");
	int e;

	if (in->input && json_string_length(in->input) > 0) { /* an empty one is as none: it ends at once */
		e = spec_read_content(r, in->input, in->is_input_base64, &in->spec->input, &in->spec->input_size);
		if (e < 0)
			return e;
	}
	json_leave(r, before);
	return 0;
}

/* Who may name it. The node's own word is asked again by the monitor, whatever comes out here. */
static int check_right(struct json_reader *r, const char *name)
{
	const struct spec_reader *in = spec_reader_of(r);
	const struct job_context *c = in->context;
	const struct policy_builtin *policy = policy_builtin_find(name);

	if (c->policies && !text_has_word(c->policies, name))
		return json_refuse(r, "'%s' is not one that jobs from Redis may name (CUBIT_REDIS_POLICIES)", name);
	if (!policy || !policy->is_admins)
		return 0;
	if (!c->is_admin && !in->is_privileged)
		return json_refuse(r, "'%s' is for administrators: this needs a key with the scope 'admin'", name);
	if (!c->settings->allow_unconfined)
		return json_refuse(r, "'%s' is not to be had on this node (CUBIT_ALLOW_UNCONFINED)", name);
	in->spec->is_privileged = true;
	return 0;
}

static int settle_policy(struct json_reader *r)
{
	struct spec_reader *in = spec_reader_of(r);
	const char *name = in->policy ? json_string_value(in->policy) : "default";
	size_t before = json_enter(r, "policy");
	const char *why;
	bool is_there;
	int e;

	if (parse_id(name, NULL) < 0)
		return json_refuse(r, "'%.64s' is not a name", name);
	e = check_right(r, name);
	if (e < 0)
		return e;
	is_there = in->context->has_policy ? in->context->has_policy(name, in->context->arg)
					   : policy_builtin_find(name) != NULL;
	if (!is_there)
		return json_refuse(r, "there is no '%s'", name);
	why = in->context->policy_error ? in->context->policy_error(name, in->context->arg) : NULL;
	if (why)
		return json_refuse(r, "'%s' cannot be used: %s", name, why);
	json_leave(r, before);
	in->spec->is_one_policy = in->is_one_policy;
	return spec_keep(name, &in->spec->policy);
}

static size_t bytes_of(char *const *list)
{
	size_t n = 0;

	for (; list && *list; list++)
		n += strlen(*list) + 1;
	return n;
}

int spec_check_words(struct json_reader *r, char *const *args, const char *place)
{
	const struct job_spec *s = spec_reader_of(r)->spec;
	size_t words = bytes_of(args) + bytes_of(s->env), before = json_enter(r, "%s", place);

	if (words > JOB_ARGV_BYTES)
		return json_too_big(r, "args and env have %zu bytes together, more than %d", words, JOB_ARGV_BYTES);
	json_leave(r, before);
	return 0;
}

uint64_t spec_bytes_of_files(const struct job_file *files, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += files[i].size;
	return sum;
}

/* They must fit: what was accepted can be run. */
static int check_sizes(struct json_reader *r)
{
	const struct job_spec *s = spec_reader_of(r)->spec;
	const uint64_t files = spec_bytes_of_files(s->files, s->n_files);
	int e = spec_check_words(r, s->args, bytes_of(s->args) > bytes_of(s->env) ? "args" : "env");
	size_t before;

	if (e < 0)
		return e;
	before = json_enter(r, "limits.disk");
	if (files > s->limits.disk_bytes)
		return json_too_big(r, "the files of the request alone have %" PRIu64 " bytes, more than %" PRIu64,
				    files, s->limits.disk_bytes);
	json_leave(r, before);
	return 0;
}

static void need_list(char ***list)
{
	if (!*list)
		*list = alloc_zeroed(1, sizeof(**list));
}

static int read_request(struct json_reader *r, const char *text, size_t size, json_t **document)
{
	struct spec_reader *in = spec_reader_of(r);
	const struct runtime_def *def = NULL;
	struct job_spec *s = in->spec;
	int e = 0;

	if (size > in->context->settings->max_body + TEXT_SLACK) /* the door has looked at bodies; this is a net */
		e = json_too_big(r, "%zu bytes, more than %" PRIu64 " (CUBIT_MAX_BODY)", size,
				 in->context->settings->max_body);
	if (e == 0)
		e = check_shape(r, text, size);
	if (e == 0)
		e = json_read_text(r, text, size, document);
	if (e == 0)
		e = json_read_object(r, *document, fields, in);
	if (e == 0)
		e = find_runtime(r, &def);
	if (e == 0)
		e = settle_files(r, def);
	if (e == 0)
		e = settle_input(r);
	if (e == 0)
		e = settle_policy(r);
	if (e < 0)
		return e;
	settle_live(in);
	spec_fill_limits(in, def);
	e = check_sizes(r);
	need_list(&s->args);
	need_list(&s->env);
	need_list(&s->outputs);
	return e < 0 ? e : spec_settle_cases(r, def);
}

int job_spec_parse(const char *text, size_t size, const struct job_context *context, struct job_spec **ret,
		   char field[160], struct error *err)
{
	struct error why = ERROR_INIT;
	struct spec_reader in = { .spec = alloc_zeroed(1, sizeof(*in.spec)), .context = context };
	struct json_reader r = { .origin = origin, .err = err ? err : &why, .owner = &in, .null_is_absent = true };
	cleanup_json json_t *document = NULL;
	int e = read_request(&r, text, size, &document);

	if (e == 0) {
		*ret = in.spec;
		return 0;
	}
	job_spec_free(in.spec);
	polish(&r, r.err);
	if (field) {
		utf8_clean(r.path);
		(void)snprintf(field, 160, "%s", r.path);
	}
	return e;
}
