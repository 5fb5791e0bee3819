/* Tables: see listing.h. */
#include "tools/cubit/listing.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/parse.h"
#include "runtime/base/utf8.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/family.h"
#include "tools/cubit/progress.h"

enum { COLUMNS_MAX = 24, CELL_BYTES = 160, PAGE_ROWS = 200, LIMIT_DEFAULT = 50, LIMIT_MOST = 1000000 };

void listing_print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY); /* main checks the stream at the end */
	putchar('\n');
}

/* ---- cells ---- */

/* Shown in cells: how many places it takes. Good enough for what names are made of. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void scalar(const json_t *v, char ret[CELL_BYTES])
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		(void)snprintf(ret, CELL_BYTES, "%s", json_string_value(v));
		ret[utf8_whole(ret, strlen(ret))] = '\0';
		utf8_clean(ret);
		break;
	case JSON_INTEGER:
		(void)snprintf(ret, CELL_BYTES, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		(void)snprintf(ret, CELL_BYTES, "%.3f", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		(void)snprintf(ret, CELL_BYTES, "%s", json_is_true(v) ? "yes" : "no");
		break;
	default:
		ret[0] = '\0';
	}
}

static void add(char ret[CELL_BYTES], const char *between, const char *key, const char *text)
{
	size_t n = strlen(ret);

	(void)snprintf(ret + n, CELL_BYTES - n, "%s%s%s%s", n ? between : "", key, *key ? "=" : "",
		       text); /* may be cut */
}

static bool is_nothing(const json_t *v)
{
	return json_is_null(v) || (json_is_integer(v) && json_integer_value(v) == 0);
}

static void cell(const struct column *c, const json_t *row, char ret[CELL_BYTES])
{
	const json_t *v = json_object_get(row, c->key), *item;
	char text[CELL_BYTES], *t;
	const char *key;
	size_t i;

	ret[0] = '\0';
	if (!v)
		return;
	switch (c->kind) {
	case COLUMN_TIME:
		scalar(v, ret);
		t = strchr(ret, 'T');
		if (t && strlen(t) > 9) {
			*t = ' ';
			t[9] = '\0';
		}
		break;
	case COLUMN_BYTES:
		if (json_is_integer(v))
			progress_bytes((uint64_t)json_integer_value(v), ret);
		break;
	case COLUMN_LIST:
		json_array_foreach(v, i, item)
		{
			scalar(item, text);
			add(ret, ",", "", text);
		}
		break;
	case COLUMN_OBJECT:
		json_object_foreach((json_t *)(uintptr_t)v, key, item)
		{
			if (is_nothing(item))
				continue;
			scalar(item, text);
			add(ret, " ", key, text);
		}
		break;
	default:
		scalar(v, ret);
	}
}

/* ---- tables ---- */

void listing_print(const struct column *columns, const json_t *rows)
{
	size_t widths[COLUMNS_MAX] = { 0 }, n = 0, i, last = 0;
	char text[CELL_BYTES];
	const json_t *row;

	while (n < COLUMNS_MAX && columns[n].title)
		n++;
	json_array_foreach(rows, i, row)
	{
		for (size_t k = 0; k < n; k++) {
			size_t w;

			cell(&columns[k], row, text);
			w = width_of(text);
			if (w > widths[k])
				widths[k] = w;
		}
	}
	for (size_t k = 0; k < n; k++) {
		if (widths[k] == 0)
			continue;
		last = k;
		if (widths[k] < strlen(columns[k].title))
			widths[k] = strlen(columns[k].title);
	}
	for (size_t r = 0; r <= json_array_size(rows); r++) {
		for (size_t k = 0; k <= last; k++) {
			bool is_right = columns[k].kind == COLUMN_NUMBER || columns[k].kind == COLUMN_BYTES;
			size_t pad;

			if (widths[k] == 0)
				continue;
			if (r == 0)
				(void)snprintf(text, sizeof(text), "%s", columns[k].title);
			else
				cell(&columns[k], json_array_get(rows, r - 1), text);
			if (r > 0 && !text[0])
				(void)snprintf(text, sizeof(text), "-");
			pad = widths[k] - width_of(text);
			printf("%*s%s%*s", is_right ? (int)pad : 0, "", text, is_right || k == last ? 0 : (int)pad, "");
			(void)fputs(k == last ? "\n" : "  ", stdout);
		}
	}
}

/* ---- objects ---- */

static bool is_skipped(const char *key, const char *const *skip)
{
	for (; skip && *skip; skip++) {
		if (strcmp(*skip, key) == 0)
			return true;
	}
	return false;
}

static void print_members(const json_t *object, const char *prefix, const char *const *skip)
{
	char name[CELL_BYTES], text[CELL_BYTES];
	const json_t *v;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		if (is_skipped(key, skip) || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s", prefix, key);
		utf8_clean(name);
		if (json_is_object(v)) {
			(void)snprintf(text, sizeof(text), "%.*s.", (int)sizeof(text) - 2, name);
			print_members(v, text, skip);
		} else if (json_is_array(v)) {
			(void)printf("%-18s %zu of them\n", name, json_array_size(v));
		} else {
			scalar(v, text);
			(void)printf("%-18s %s\n", name, text);
		}
	}
}

void listing_print_object(const json_t *object, const char *const *skip)
{
	print_members(object, "", skip);
}

/* ---- pages ---- */

static int add_query(struct buf *path, const char *name, const char *value)
{
	char *coded = curl_easy_escape(NULL, value, 0);
	int r = coded ? buf_printf(path, "%c%s=%s", memchr(path->data, '?', path->size) ? '&' : '?', name, coded)
		      : -ENOMEM;

	curl_free(coded);
	return r;
}

/* One page into rows. Returns 0 and the cursor of the next, "" at the end. */
static int fetch(struct invocation *v, const char *path, const char *key, size_t want, char **cursor, json_t *rows,
		 struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	cleanup_buf struct buf full = BUF_INIT;
	const json_t *page;
	const char *next;
	char number[24];
	int r;

	(void)snprintf(number, sizeof(number), "%zu", want < PAGE_ROWS ? want : (size_t)PAGE_ROWS);
	r = buf_append_str(&full, path);
	if (r == 0)
		r = add_query(&full, "limit", number);
	if (r == 0 && **cursor)
		r = add_query(&full, "cursor", *cursor);
	if (r < 0)
		return error_set(err, -r, "out of memory");
	r = client_call(v->client, "GET", buf_str(&full), NULL, &reply, err);
	if (r < 0)
		return r;
	page = json_object_get(reply.json, key);
	next = json_string_value(json_object_get(reply.json, "next"));
	free(*cursor);
	*cursor = alloc_text(next ? next : "");
	if (!json_is_array(page))
		return error_set(err, EPROTO, "the daemon's answer has no list '%s'", key);
	return json_array_extend(rows, (json_t *)(uintptr_t)page) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int fetch_and_print(struct invocation *v, const char *path, const char *key, size_t limit,
			   const struct column *columns, const char *empty)
{
	cleanup_json json_t *rows = json_array();
	struct error err = ERROR_INIT;
	char *cursor = alloc_text("");
	bool is_cut;
	int r = rows ? 0 : error_set(&err, ENOMEM, "out of memory");

	do {
		if (r == 0)
			r = fetch(v, path, key, limit - json_array_size(rows), &cursor, rows, &err);
	} while (r == 0 && *cursor && json_array_size(rows) < limit);
	is_cut = r == 0 && *cursor;
	free(cursor);
	if (r < 0)
		return family_fail(v, &err);
	if (v->is_json) {
		json_t *whole = json_pack("{s:O}", key, rows);

		listing_print_json(whole);
		json_decref(whole);
	} else if (json_array_size(rows) == 0) {
		(void)fprintf(stderr, "%s\n", empty);
	} else {
		listing_print(columns, rows);
	}
	if (is_cut)
		(void)fprintf(stderr, "cubit %s: there are more; --limit %zu shows as many again\n", v->name,
			      limit * 2);
	return EXIT_YES;
}

int listing_run(struct invocation *v, const char *path, const char *const *queries, const char *limit, const char *key,
		const struct column *columns, const char *empty)
{
	cleanup_buf struct buf full = BUF_INIT;
	struct error err = ERROR_INIT;
	uint64_t n = LIMIT_DEFAULT;
	int r = buf_append_str(&full, path);

	for (; r == 0 && queries && queries[0]; queries += 2) {
		if (queries[1])
			r = add_query(&full, queries[0], queries[1]);
	}
	if (r < 0) {
		(void)error_set(&err, -r, "out of memory");
		return family_fail(v, &err);
	}
	if (limit && parse_u64(limit, 1, LIMIT_MOST, &n, &err) < 0) {
		(void)error_wrap(&err, "--limit");
		return family_fail(v, &err);
	}
	return fetch_and_print(v, buf_str(&full), key, (size_t)n, columns, empty);
}
