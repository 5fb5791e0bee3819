/* The cases of a request: one program, many inputs. See spec.h. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/json_field.h"
#include "runtime/base/json_table.h"
#include "runtime/base/utf8.h"
#include "supervisor/spec/spec_impl.h"

#define TOLERANCE 1e-6 /* what judges use most */

static const char *const checkers[JOB_CHECKERS] = {
	[CHECK_LINES] = "lines",
	[CHECK_EXACT] = "exact",
	[CHECK_TOKENS] = "tokens",
	[CHECK_NUMBERS] = "numbers",
};

const char *job_checker_name(enum job_checker checker)
{
	return checkers[checker];
}

/* ---- of all cases ---- */

int spec_read_checker(struct json_reader *r, json_t *value, void *target)
{
	const char *text = json_string_value(value);

	(void)target;
	for (int i = 0; i < JOB_CHECKERS; i++) {
		if (strcmp(text, checkers[i]) == 0) {
			spec_reader_of(r)->spec->checker = (enum job_checker)i;
			spec_reader_of(r)->is_checker_said = true;
			return 0;
		}
	}
	return json_refuse(r, "'%.40s' does not exist; there are lines, exact, tokens, numbers", text);
}

int spec_read_tolerance(struct json_reader *r, json_t *value, void *target)
{
	double v = json_number_value(value);

	(void)target;
	if (!json_is_number(value))
		return json_refuse(r, "must be a number, is %s", json_kind(json_typeof(value)));
	if (!isfinite(v) || v < 0 || v > 1)
		return json_refuse(r, "%.15g is not between 0 and 1", v);
	spec_reader_of(r)->spec->tolerance = v;
	spec_reader_of(r)->is_tolerance_said = true;
	return 0;
}

/* ---- one case ---- */

/* What one says, before it is looked at as a whole; values borrowed from the document. */
struct case_form {
	const json_t *id, *input, *expected;
	json_t *args, *files;
	bool is_input_base64, is_expected_base64;
	struct limit_values limits;
};

#define FORM(member) offsetof(struct case_form, member)

/* clang-format off */
static const struct json_row case_fields[] = {
	{ "id",                JSON_STRING, false, spec_read_value,    FORM(id) },
	{ "stdin",             JSON_STRING, false, spec_read_value,    FORM(input) },
	{ "stdin_encoding",    JSON_STRING, false, spec_read_encoding, FORM(is_input_base64) },
	{ "args",              JSON_ARRAY,  false, spec_read_value,    FORM(args) },
	{ "files",             JSON_ARRAY,  false, spec_read_value,    FORM(files) },
	{ "expected",          JSON_STRING, false, spec_read_value,    FORM(expected) },
	{ "expected_encoding", JSON_STRING, false, spec_read_encoding, FORM(is_expected_base64) },
	{ "limits",            JSON_OBJECT, false, spec_read_limits_row, FORM(limits) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

/* Its number, counted from 1, where it has no name. */
static int settle_id(struct json_reader *r, const struct case_form *f, struct job_case *c, size_t number)
{
	const struct job_spec *s = spec_reader_of(r)->spec;
	size_t before = json_enter(r, ".id");
	const char *id = json_string_value(f->id);
	char counted[24];

	(void)snprintf(counted, sizeof(counted), "%zu", number + 1);
	id = id ? id : counted;
	if (!*id || strlen(id) > JOB_CASE_ID_MAX)
		return json_refuse(r, "must have 1 to %d bytes", JOB_CASE_ID_MAX);
	for (const char *p = id; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return json_refuse(r, "has a control character in it");
	}
	for (size_t i = 0; i < number; i++) {
		if (strcmp(s->cases[i].id, id) == 0)
			return json_refuse(r, "'%s' is the name of case %zu already", id, i + 1);
	}
	json_leave(r, before);
	return spec_keep(id, &c->id);
}

static int settle_content(struct json_reader *r, const char *key, const json_t *value, bool is_base64, char **ret,
			  size_t *ret_size)
{
	size_t before = json_enter(r, ".%s", key);
	int e = value ? spec_read_content(r, value, is_base64, ret, ret_size) : 0;

	if (e == 0)
		json_leave(r, before);
	return e;
}

static int settle_lists(struct json_reader *r, const struct case_form *f, struct job_case *c)
{
	const struct job_spec *s = spec_reader_of(r)->spec;
	const struct spec_file_list to = { &c->files, &c->n_files, s->files, s->n_files };
	size_t before = json_enter(r, ".args");
	int e = f->args ? spec_read_args(r, f->args, &c->args) : 0;

	if (e < 0)
		return e;
	json_leave(r, before);
	(void)json_enter(r, ".files");
	e = f->files ? spec_read_files(r, f->files, &to) : 0;
	if (e == 0 && s->n_files + c->n_files > JOB_FILES_MAX)
		e = json_too_big(r, "with those of the job they are more than %d", JOB_FILES_MAX);
	if (e == 0)
		json_leave(r, before);
	return e;
}

/* As for the whole: what was accepted can be run. */
static int check_sizes(struct json_reader *r, const struct job_case *c)
{
	const struct job_spec *s = spec_reader_of(r)->spec;
	const uint64_t files = spec_bytes_of_files(s->files, s->n_files) + spec_bytes_of_files(c->files, c->n_files);
	int e = spec_check_words(r, c->args ? c->args : s->args, ".args");
	size_t before;

	if (e < 0)
		return e;
	before = json_enter(r, ".files");
	if (files > c->limits.disk_bytes)
		return json_too_big(
			r, "with those of the job they have %" PRIu64 " bytes, more than limits.disk: %" PRIu64, files,
			c->limits.disk_bytes);
	json_leave(r, before);
	return 0;
}

static int read_case(struct json_reader *r, json_t *object, const struct runtime_def *def, size_t number)
{
	struct spec_reader *in = spec_reader_of(r);
	struct job_case *c = &in->spec->cases[number];
	struct case_form f = { 0 };
	int e = json_read_object(r, object, case_fields, &f);

	in->spec->n_cases = number + 1; /* from here on job_spec_free() knows it */
	if (e == 0)
		e = settle_id(r, &f, c, number);
	if (e == 0)
		e = settle_content(r, "stdin", f.input, f.is_input_base64, &c->input, &c->input_size);
	if (e == 0)
		e = settle_content(r, "expected", f.expected, f.is_expected_base64, &c->expected, &c->expected_size);
	if (e == 0)
		e = settle_lists(r, &f, c);
	if (e < 0)
		return e;
	c->has_input = f.input != NULL;
	spec_fill_case_limits(in, def, &f.limits, &c->limits);
	return check_sizes(r, c);
}

/* A case that nobody is to speak to: its input is all there. */
static int refuse_with(struct json_reader *r, const char *key, bool is_said, const char *why)
{
	if (!is_said)
		return 0;
	(void)json_enter(r, "%s", key);
	return json_refuse(r, "%s", why);
}

int spec_settle_cases(struct json_reader *r, const struct runtime_def *def)
{
	struct spec_reader *in = spec_reader_of(r);
	struct job_spec *s = in->spec;
	size_t n = json_array_size(in->cases), before;
	int e;

	if (!in->cases) {
		e = refuse_with(r, "checker", in->is_checker_said, "only a request with cases has one");
		if (e == 0)
			e = refuse_with(r, "tolerance", in->is_tolerance_said, "only a request with cases has one");
		return e < 0 ? e
			     : refuse_with(r, "stop_at_first_failure", s->stops_at_failure,
					   "only a request with cases has one");
	}
	e = refuse_with(r, "interactive", s->is_interactive, "cases are not interactive");
	if (e == 0)
		e = refuse_with(r, "tty", s->has_tty, "cases have no terminal");
	if (e == 0)
		e = refuse_with(r, "tolerance", in->is_tolerance_said && s->checker != CHECK_NUMBERS,
				"only the checker \"numbers\" has one");
	if (e < 0)
		return e;
	if (!in->is_tolerance_said)
		s->tolerance = TOLERANCE;
	before = json_enter(r, "cases");
	if (n == 0)
		return json_refuse(r, "is empty: there is nothing to run");
	if (n > JOB_CASES_MAX)
		return spec_refuse_as(r, E2BIG, "%zu of them, more than %d", n, JOB_CASES_MAX);
	s->cases = alloc_zeroed(n, sizeof(*s->cases));
	for (size_t i = 0; i < n; i++) {
		json_t *object = json_array_get(in->cases, i);
		size_t at = json_enter(r, "[%zu]", i);

		e = json_expect(r, object, JSON_OBJECT);
		if (e == 0)
			e = read_case(r, object, def, i);
		if (e < 0)
			return e;
		json_leave(r, at);
	}
	json_leave(r, before);
	return 0;
}

/* ---- as text ---- */

static int set_case(json_t *o, const struct job_spec *s, size_t number)
{
	const struct job_case *c = &s->cases[number];
	char counted[24];
	int e = 0;

	(void)snprintf(counted, sizeof(counted), "%zu", number + 1);
	if (strcmp(c->id, counted) != 0)
		e = spec_set(o, "id", json_string(c->id));
	if (e == 0 && c->has_input)
		e = spec_set_content(o, "stdin", "stdin_encoding", c->input, c->input_size);
	if (e == 0 && c->args)
		e = spec_set(o, "args", spec_strings_json(c->args));
	if (e == 0 && c->n_files)
		e = spec_set(o, "files", spec_files_json(c->files, c->n_files));
	if (e == 0 && c->expected)
		e = spec_set_content(o, "expected", "expected_encoding", c->expected, c->expected_size);
	if (e == 0 && !spec_limits_equal(&c->limits, &s->limits))
		e = spec_set(o, "limits", spec_limits_json(&c->limits));
	return e;
}

int spec_set_cases(json_t *o, const struct job_spec *s)
{
	json_t *list = s->n_cases ? json_array() : NULL;
	int e;

	if (!s->n_cases)
		return 0;
	e = spec_set(o, "cases", list); /* takes it */
	for (size_t i = 0; e == 0 && i < s->n_cases; i++) {
		json_t *item = json_object();

		e = json_array_append_new(list, item) < 0 ? -ENOMEM : set_case(item, s, i);
	}
	if (e == 0 && s->checker != CHECK_LINES)
		e = spec_set(o, "checker", json_string(checkers[s->checker]));
	if (e == 0 && s->checker == CHECK_NUMBERS)
		e = spec_set(o, "tolerance", json_real(s->tolerance));
	if (e == 0 && s->stops_at_failure)
		e = spec_set(o, "stop_at_first_failure", json_true());
	return e;
}
