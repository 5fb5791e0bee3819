/* Strict JSON by tables: see json_table.h. */
#include "runtime/base/json_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

/* ---- where we are, and saying no ---- */

int json_refuse(struct json_reader *r, const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	va_end(ap);
	return error_set(r->err, EINVAL, "%s: %s%s%s", r->origin, r->path, r->path[0] ? ": " : "", reason);
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
		[JSON_TRUE] = "a truth value",
		[JSON_FALSE] = "a truth value",
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
	e = json_expect(r, value, f->type);
	if (e == 0)
		e = f->read(r, value, (char *)target + f->offset);
	if (e == 0)
		json_leave(r, before);
	return e;
}

/* Hand each member to its row; the table ends with a row without a key. */
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
		if (f->is_needed && !json_object_get(object, f->key)) {
			(void)json_enter(r, "%s%s", r->path[0] ? "." : "", f->key);
			return json_refuse(r, "is missing");
		}
	}
	return 0;
}

/* ---- lists of strings ---- */

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

int json_read_text(struct json_reader *r, const char *text, size_t size, json_t **ret)
{
	json_error_t where;

	*ret = json_loadb(text ? text : "", size, JSON_REJECT_DUPLICATES, &where);
	if (!*ret)
		return error_set(r->err, EINVAL, "%s: line %d, column %d: %s", r->origin, where.line, where.column,
				 where.text);
	return json_expect(r, *ret, JSON_OBJECT);
}
