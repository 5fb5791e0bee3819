/* Strict JSON by tables: see json_table.h. */
#include "runtime/base/json_table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"

/* ---- where we are, and saying no ---- */

static int refuse(struct json_reader *r, int code, const char *fmt, va_list ap)
{
	char reason[256];

	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	return error_set(r->err, code, "%s: %s%s%s", r->origin, r->path, r->path[0] ? ": " : "", reason);
}

int json_refuse(struct json_reader *r, const char *fmt, ...)
{
	va_list ap;
	int e;

	va_start(ap, fmt);
	e = refuse(r, EINVAL, fmt, ap);
	va_end(ap);
	return e;
}

int json_too_big(struct json_reader *r, const char *fmt, ...)
{
	va_list ap;
	int e;

	va_start(ap, fmt);
	e = refuse(r, E2BIG, fmt, ap);
	va_end(ap);
	return e;
}

int json_no_memory(struct json_reader *r)
{
	return error_set(r->err, ENOMEM, "%s: out of memory", r->origin);
}

size_t json_enter(struct json_reader *r, const char *fmt, ...)
{
	size_t before = strlen(r->path);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->path + before, sizeof(r->path) - before, fmt, ap); /* a cut path still helps */
	va_end(ap);
	return before;
}

/* Only after success: a message names the place by what is still there. */
void json_leave(struct json_reader *r, size_t before)
{
	r->path[before] = '\0';
}

const char *json_kind(json_type type)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "a whole number",
		[JSON_REAL] = "a number with a fraction",
		[JSON_TRUE] = "a boolean",
		[JSON_FALSE] = "a boolean",
		[JSON_NULL] = "null",
	};

	return names[type];
}

int json_expect(struct json_reader *r, const json_t *value, json_type type)
{
	if (type == JSON_NULL || json_typeof(value) == type)
		return 0;
	return json_refuse(r, "must be %s, is %s", json_kind(type), json_kind(json_typeof(value)));
}

/* ---- objects ---- */

static int read_member(struct json_reader *r, const char *key, json_t *value, const struct json_row *fields,
		       void *target)
{
	size_t before = json_enter(r, "%s%.80s", r->path[0] ? "." : "", key);
	const struct json_row *f = fields;
	int e;

	while (f->key && strcmp(f->key, key) != 0)
		f++;
	if (!f->key)
		return json_refuse(r, "unknown field");
	if (r->null_is_absent && json_is_null(value)) {
		json_leave(r, before);
		return 0;
	}
	e = json_expect(r, value, f->type);
	if (e == 0)
		e = f->read(r, value, (char *)target + f->offset);
	if (e == 0)
		json_leave(r, before);
	return e;
}

static bool is_there(const struct json_reader *r, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value && !(r->null_is_absent && json_is_null(value));
}

int json_read_object(struct json_reader *r, json_t *object, const struct json_row *fields, void *target)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		int e = read_member(r, key, value, fields, target);

		if (e < 0)
			return e;
	}
	for (const struct json_row *f = fields; f->key; f++) {
		if (f->is_needed && !is_there(r, object, f->key)) {
			(void)json_enter(r, "%s%s", r->path[0] ? "." : "", f->key);
			return json_refuse(r, "is missing");
		}
	}
	return 0;
}

/* ---- lists ---- */

int json_read_list(struct json_reader *r, json_t *list, json_type type, json_row_fn *read, void *target)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		size_t before = json_enter(r, "[%zu]", i);
		int e = json_expect(r, item, type);

		if (e == 0)
			e = read(r, item, target);
		if (e < 0)
			return e;
		json_leave(r, before);
	}
	return 0;
}

int json_read_strings(struct json_reader *r, json_t *list, size_t max, json_item_fn *read, char ***target)
{
	size_t n = json_array_size(list);

	if (n > max)
		return json_refuse(r, "%zu of them, more than %zu", n, max);
	*target = calloc(n + 1, sizeof(**target));
	if (!*target)
		return json_no_memory(r);
	for (size_t i = 0; i < n; i++) {
		size_t before = json_enter(r, "[%zu]", i);
		json_t *item = json_array_get(list, i);
		int e = json_expect(r, item, JSON_STRING);

		if (e == 0)
			e = read(r, item, *target + i);
		if (e < 0)
			return e;
		json_leave(r, before);
	}
	return 0;
}

/* ---- whole documents ---- */

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

static int refuse_negative(struct json_reader *r, const char *text, size_t at)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++, column++) {
		if (text[i] == '\n') {
			line++;
			column = 0;
		}
	}
	return error_set(r->err, EINVAL, "%s: line %zu, column %zu: a negative number; there is no use for one here",
			 r->origin, line, column);
}

/* The whole text with wide numbers rewritten, strings untouched. */
static int widen(struct json_reader *r, const char *text, size_t size, struct buf *out)
{
	bool is_string = false;

	for (size_t i = 0; i < size;) {
		ssize_t n = 1;

		if (!is_string && text[i] == '-' && i + 1 < size && isdigit((unsigned char)text[i + 1]))
			return refuse_negative(r, text, i);
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
			return json_no_memory(r);
		i += (size_t)n;
	}
	return 0;
}

/* The same number as an integer (owned), or NULL when it is none: up to 2^53 nothing is lost. */
static json_t *whole(const json_t *value)
{
	static const double most = 9007199254740992.0;
	double v = json_is_real(value) ? json_real_value(value) : 0.5;

	return v >= -most && v <= most && v == (double)(json_int_t)v ? json_integer((json_int_t)v) : NULL;
}

int json_whole_numbers(json_t *document)
{
	json_t *value, *number;
	const char *key;
	void *next;
	size_t i;
	int r = 0;

	json_object_foreach_safe(document, next, key, value)
	{
		number = whole(value);
		r |= number ? json_object_set_new(document, key, number) : json_whole_numbers(value);
	}
	json_array_foreach(document, i, value)
	{
		number = whole(value);
		r |= number ? json_array_set_new(document, i, number) : json_whole_numbers(value);
	}
	return r ? -ENOMEM : 0;
}

/* Where jansson stopped. */
static int refuse_syntax(struct json_reader *r, const json_error_t *where)
{
	return error_set(r->err, EINVAL, "%s: line %d, column %d: %s", r->origin, where->line, where->column,
			 where->text);
}

int json_read_text(struct json_reader *r, const char *text, size_t size, json_t **ret)
{
	cleanup_buf struct buf wide = BUF_BOUNDED(2 * size + 64); /* a number grows by a sign at most */
	json_error_t where;
	int e;

	*ret = NULL;
	if (r->max_bytes && size > r->max_bytes)
		return json_too_big(r, "%zu bytes, more than %zu", size, r->max_bytes);
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return error_set(r->err, EINVAL,
				 "%s: begins with a byte order mark; JSON has none, RFC 8259 section 8.1", r->origin);
	if (r->is_unsigned) {
		e = widen(r, text, size, &wide);
		if (e < 0)
			return e;
		text = buf_str(&wide);
		size = wide.size;
	}
	*ret = json_loadb(text ? text : "", size, JSON_REJECT_DUPLICATES, &where);
	if (!*ret)
		return refuse_syntax(r, &where);
	return json_whole_numbers(*ret) < 0 ? json_no_memory(r) : json_expect(r, *ret, JSON_OBJECT);
}
