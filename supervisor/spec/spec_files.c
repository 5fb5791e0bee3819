/* Files and other contents of a request: see spec.h. Paths become files inside a sandbox, and a key of the cache. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/base64.h"
#include "runtime/base/json_table.h"
#include "supervisor/spec/spec_impl.h"

enum { MODE_PLAIN = 0644, MODE_PROGRAM = 0755 };

/* ---- contents ---- */

int spec_read_encoding(struct json_reader *r, json_t *value, void *target)
{
	const char *text = json_string_value(value);
	bool is_base64 = strcmp(text, "base64") == 0;

	if (!is_base64 && strcmp(text, "utf-8") != 0)
		return json_refuse(r, "'%.40s' is neither utf-8 nor base64", text);
	*(bool *)target = is_base64;
	return 0;
}

int spec_read_content(struct json_reader *r, const json_t *value, bool is_base64, char **ret, size_t *ret_size)
{
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);

	if (is_base64) {
		*ret = base64_decode(text, size, ret_size);
		return *ret ? 0 : json_refuse(r, "is not base64 (A-Z a-z 0-9 + /, padded with =, without blanks)");
	}
	*ret = alloc_bytes(size + 1);
	memcpy(*ret, text, size + 1);
	*ret_size = size;
	return 0;
}

/* ---- paths ---- */

static const char *fault_of_component(const char *at, size_t size)
{
	if (size == 0)
		return "has an empty component";
	if ((size == 1 && at[0] == '.') || (size == 2 && at[0] == '.' && at[1] == '.'))
		return "has a component '.' or '..'";
	return size > NAME_MAX ? "has a component longer than 255 bytes" : NULL;
}

int spec_check_path(struct json_reader *r, const json_t *value)
{
	const char *path = json_string_value(value), *at = path;

	if (!*path)
		return json_refuse(r, "is empty");
	if (json_string_length(value) > JOB_PATH_MAX)
		return json_refuse(r, "longer than %d bytes", JOB_PATH_MAX);
	if (*path == '/')
		return json_refuse(r, "'%.80s' is not relative to /work", path);
	for (const char *p = path; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return json_refuse(r, "has a control character in it");
	}
	for (;;) {
		size_t size = strcspn(at, "/");
		const char *fault = fault_of_component(at, size);

		if (fault)
			return json_refuse(r, "'%.80s' %s", path, fault);
		if (!at[size])
			return 0;
		at += size + 1;
	}
}

/* Is `inner` somewhere below `outer`? */
static bool is_below(const char *inner, const char *outer)
{
	size_t size = strlen(outer);

	return strncmp(inner, outer, size) == 0 && inner[size] == '/';
}

static int check_against(struct json_reader *r, const struct job_file *files, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		const char *other = files[i].path;

		if (strcmp(path, other) == 0)
			return json_refuse(r, "'%.80s' is given twice", path);
		if (is_below(path, other))
			return json_refuse(r, "'%.80s' lies in '%.80s', which is a file", path, other);
		if (is_below(other, path))
			return json_refuse(r, "'%.80s' is a file, and '%.80s' lies in it", path, other);
	}
	return 0;
}

/* A few hundred files at most: each is held against those before it, and those of a case against the job's. */
static int check_neighbours(struct json_reader *r, const struct spec_file_list *to, const char *path)
{
	int e = check_against(r, to->others, to->n_others, path);

	return e < 0 ? e : check_against(r, *to->files, *to->n, path);
}

/* ---- files ---- */

struct file_form {
	const struct spec_file_list *to;
	const json_t *path, *content;
	bool is_base64;
	uint32_t mode;
};

static int read_path(struct json_reader *r, json_t *value, void *target)
{
	struct file_form *f = target;
	int e = spec_check_path(r, value);

	f->path = value;
	return e < 0 ? e : check_neighbours(r, f->to, json_string_value(value));
}

static int read_content(struct json_reader *r, json_t *value, void *target)
{
	(void)r;
	*(const json_t **)target = value; /* how it is encoded may only come later */
	return 0;
}

/* As ls(1) shows it, in octal; or as numbers of a program are, in decimal. */
static int read_mode(struct json_reader *r, json_t *value, void *target)
{
	static const struct {
		const char *text;
		uint32_t mode;
	} modes[] = {
		{ "0644", MODE_PLAIN }, { "644", MODE_PLAIN }, { "0755", MODE_PROGRAM }, { "755", MODE_PROGRAM }
	};
	const char *text = json_string_value(value);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if ((text && strcmp(text, modes[i].text) == 0) ||
		    (json_is_integer(value) && json_integer_value(value) == (json_int_t)modes[i].mode)) {
			*(uint32_t *)target = modes[i].mode;
			return 0;
		}
	}
	return json_refuse(r, "is neither \"0644\" nor \"0755\"");
}

#define FORM(member) offsetof(struct file_form, member)

/* clang-format off */
static const struct json_row file_fields[] = {
	{ "path",     JSON_STRING, true,  read_path,          0 },
	{ "content",  JSON_STRING, true,  read_content,       FORM(content) },
	{ "encoding", JSON_STRING, false, spec_read_encoding, FORM(is_base64) },
	{ "mode",     JSON_NULL,   false, read_mode,          FORM(mode) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

static int read_file(struct json_reader *r, json_t *object, void *target)
{
	const struct spec_file_list *to = target;
	struct job_file *f = &(*to->files)[*to->n];
	struct file_form form = { .to = to, .mode = MODE_PLAIN };
	size_t before = strlen(r->path);
	int e = json_read_object(r, object, file_fields, &form);

	if (e < 0)
		return e;
	++*to->n; /* from here on job_spec_free() knows it */
	f->mode = form.mode;
	e = spec_keep(json_string_value(form.path), &f->path);
	if (e < 0)
		return e;
	(void)json_enter(r, ".content");
	e = spec_read_content(r, form.content, form.is_base64, &f->data, &f->size);
	if (e == 0)
		json_leave(r, before);
	return e;
}

int spec_read_files(struct json_reader *r, json_t *list, const struct spec_file_list *to)
{
	struct spec_file_list target = *to;
	size_t n = json_array_size(list);

	if (n > JOB_FILES_MAX)
		return spec_refuse_as(r, E2BIG, "%zu of them, more than %d", n, JOB_FILES_MAX);
	*to->files = alloc_zeroed(n, sizeof(**to->files));
	return json_read_list(r, list, JSON_OBJECT, read_file, &target);
}

int spec_set_source(struct json_reader *r, const json_t *source, const char *path, struct job_spec *s)
{
	s->files = alloc_zeroed(1, sizeof(*s->files));
	s->n_files = 1;
	s->files[0].mode = MODE_PLAIN;
	s->files[0].path = alloc_text(path);
	return spec_read_content(r, source, false, &s->files[0].data, &s->files[0].size);
}
