/* A strict reader on top of jansson: see strict_json.h. */
#include "policies/strict_json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"

/* ---- where we are, and saying no ---- */

static int refuse_code(struct strict_json *p, int code, const char *fmt, va_list ap)
{
	char reason[256];

	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	return error_set(p->err, code, "%s: %s%s%s", p->origin, p->path, p->path[0] ? ": " : "", reason);
}

int strict_refuse(struct strict_json *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = refuse_code(p, EINVAL, fmt, ap);
	va_end(ap);
	return r;
}

int strict_too_big(struct strict_json *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = refuse_code(p, E2BIG, fmt, ap);
	va_end(ap);
	return r;
}

int strict_no_memory(struct strict_json *p)
{
	return error_set(p->err, ENOMEM, "%s: out of memory", p->origin);
}

size_t strict_enter(struct strict_json *p, const char *fmt, ...)
{
	size_t before = strlen(p->path);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->path + before, sizeof(p->path) - before, fmt, ap); /* a cut path still helps */
	va_end(ap);
	return before;
}

void strict_leave(struct strict_json *p, size_t before)
{
	p->path[before] = '\0';
}

/* ---- objects and lists ---- */

static const char *type_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a truth value";
	case JSON_NULL:
		break;
	}
	return "null";
}

static int expect(struct strict_json *p, const json_t *value, json_type type)
{
	if (json_typeof(value) == type)
		return 0;
	return strict_refuse(p, "must be %s, is %s", type_name(type), type_name(json_typeof(value)));
}

static const struct strict_field *find_field(const struct strict_field *fields, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	}
	return NULL;
}

static int read_field(struct strict_json *p, const char *key, json_t *value, const struct strict_field *fields,
		      size_t n, void *target)
{
	const struct strict_field *field = find_field(fields, n, key);
	size_t before = strict_enter(p, "%s%.80s", p->path[0] ? "." : "", key);
	int r = 0;

	if (!field)
		return strict_refuse(p, "unknown field");
	if (!json_is_null(value)) { /* null is how encoders of this format write an absent list */
		r = expect(p, value, field->type);
		if (r == 0)
			r = field->parse(p, value, target);
	}
	if (r == 0)
		strict_leave(p, before);
	return r;
}

int strict_object(struct strict_json *p, json_t *object, const struct strict_field *fields, size_t n, void *target)
{
	const char *key;
	json_t *value;
	int r = expect(p, object, JSON_OBJECT);

	if (r < 0)
		return r;
	json_object_foreach(object, key, value)
	{
		r = read_field(p, key, value, fields, n, target);
		if (r < 0)
			return r;
	}
	return 0;
}

int strict_list(struct strict_json *p, json_t *list, json_type type, strict_fn *parse, void *target)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		size_t before = strict_enter(p, "[%zu]", i);
		int r = expect(p, item, type);

		if (r == 0)
			r = parse(p, item, target);
		if (r < 0)
			return r;
		strict_leave(p, before);
	}
	return 0;
}

/* ---- text ---- */

/*
 * One number of the text, at the offset given, into out. jansson keeps numbers as int64_t, and ours reach to
 * UINT64_MAX: one above INT64_MAX is written as the negative number with the same bits. Numbers that were negative in
 * the first place are refused before that. Returns the bytes read, or -ENOMEM.
 */
static ssize_t widen_number(const char *text, size_t size, struct buf *out)
{
	uint64_t v = 0;
	size_t n = 0;
	bool is_wide = true;

	for (; n < size && isdigit((unsigned char)text[n]); n++)
		is_wide = is_wide && !__builtin_mul_overflow(v, 10, &v) &&
			  !__builtin_add_overflow(v, (uint64_t)(text[n] - '0'), &v);
	is_wide = is_wide && v > INT64_MAX && text[0] != '0' &&
		  (n == size || (text[n] != '.' && text[n] != 'e' && text[n] != 'E'));
	if (is_wide)
		return buf_printf(out, "%" PRId64, (int64_t)v) < 0 ? -ENOMEM : (ssize_t)n;
	return buf_append(out, text, n) < 0 ? -ENOMEM : (ssize_t)n;
}

static int refuse_negative(struct strict_json *p, const char *text, size_t at)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++, column++) {
		if (text[i] == '\n') {
			line++;
			column = 0;
		}
	}
	return error_set(p->err, EINVAL, "%s: line %zu, column %zu: a negative number; there is no use for one here",
			 p->origin, line, column);
}

/* The whole text with wide numbers rewritten, strings untouched. */
static int widen(struct strict_json *p, const char *text, size_t size, struct buf *out)
{
	bool is_string = false;

	for (size_t i = 0; i < size;) {
		ssize_t n = 1;

		if (!is_string && text[i] == '-' && i + 1 < size && isdigit((unsigned char)text[i + 1]))
			return refuse_negative(p, text, i);
		if (!is_string && isdigit((unsigned char)text[i])) {
			n = widen_number(text + i, size - i, out);
		} else {
			if (is_string && text[i] == '\\' && i + 1 < size)
				n = 2;
			else if (text[i] == '"')
				is_string = !is_string;
			if (buf_append(out, text + i, (size_t)n) < 0)
				n = -ENOMEM;
		}
		if (n < 0)
			return strict_no_memory(p);
		i += (size_t)n;
	}
	return 0;
}

int strict_parse(struct strict_json *p, const char *text, size_t size, size_t max, json_t **ret)
{
	cleanup_buf struct buf wide = BUF_BOUNDED(2 * max + 64); /* a number grows by a sign at most */
	json_error_t where;
	json_t *document;
	int r;

	if (size > max)
		return strict_too_big(p, "%zu bytes, more than %zu", size, max);
	r = widen(p, text, size, &wide);
	if (r < 0)
		return r;
	document = json_loadb(buf_str(&wide), wide.size, JSON_REJECT_DUPLICATES, &where);
	if (!document)
		return error_set(p->err, EINVAL, "%s: line %d, column %d: %s", p->origin, where.line, where.column,
				 where.text);
	*ret = document;
	return 0;
}
