/* What a key that many have may run: see auth.h. As JSON: {runtimes[], policies[], limits{}}. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/auth/auth_impl.h"

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"
#include "runtime/base/wall_clock.h"

/* ---- reading -------------------------------------------------------------------------------------------------- */

static int add_name(struct json_reader *r, json_t *value, char *list, size_t room)
{
	size_t n = strlen(list);

	if (parse_id(json_string_value(value), NULL) < 0)
		return json_refuse(r, "is not a name");
	if (n + json_string_length(value) + 2 > room)
		return json_refuse(r, "is one too many");
	(void)snprintf(list + n, room - n, "%s%s", n ? " " : "", json_string_value(value));
	return 0;
}

static int add_runtime(struct json_reader *r, json_t *value, void *allow)
{
	struct auth_allow *a = allow;

	return add_name(r, value, a->runtimes, sizeof(a->runtimes));
}

static int add_policy(struct json_reader *r, json_t *value, void *allow)
{
	struct auth_allow *a = allow;

	return add_name(r, value, a->policies, sizeof(a->policies));
}

static int read_names(struct json_reader *r, json_t *value, json_row_fn *add, void *allow)
{
	if (json_array_size(value) == 0)
		return json_refuse(r, "a list without a name would allow nothing");
	return json_read_list(r, value, JSON_STRING, add, allow);
}

static int read_runtimes(struct json_reader *r, json_t *value, void *allow)
{
	return read_names(r, value, add_runtime, allow);
}

static int read_policies(struct json_reader *r, json_t *value, void *allow)
{
	return read_names(r, value, add_policy, allow);
}

static int read_limit(struct json_reader *r, json_t *value, void *target)
{
	if (json_integer_value(value) < 1)
		return json_refuse(r, "must be at least 1");
	*(uint64_t *)target = (uint64_t)json_integer_value(value);
	return 0;
}

static const struct json_row limits[] = {
	{ "wall_ms", JSON_INTEGER, false, read_limit, offsetof(struct auth_allow, wall_ms) },
	{ "memory", JSON_INTEGER, false, read_limit, offsetof(struct auth_allow, memory) },
	{ "processes", JSON_INTEGER, false, read_limit, offsetof(struct auth_allow, processes) },
	{ "output", JSON_INTEGER, false, read_limit, offsetof(struct auth_allow, output) },
	{ "disk", JSON_INTEGER, false, read_limit, offsetof(struct auth_allow, disk) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int read_limits(struct json_reader *r, json_t *value, void *allow)
{
	return json_read_object(r, value, limits, allow);
}

int auth_read_allow(struct json_reader *r, json_t *object, void *allow)
{
	static const struct json_row rows[] = {
		{ "runtimes", JSON_ARRAY, false, read_runtimes, 0 },
		{ "policies", JSON_ARRAY, false, read_policies, 0 },
		{ "limits", JSON_OBJECT, false, read_limits, 0 },
		{ NULL, JSON_NULL, false, NULL, 0 },
	};

	memset(allow, 0, sizeof(struct auth_allow));
	return json_read_object(r, object, rows, allow);
}

int auth_allow_read(const char *text, struct auth_allow *ret, struct error *err)
{
	struct json_reader r = { .origin = "allow", .err = err };
	cleanup_json json_t *document = NULL;
	int e = json_read_text(&r, text, strlen(text), &document);

	return e < 0 ? e : auth_read_allow(&r, document, ret);
}

/* ---- writing: short of memory, with less ---------------------------------------------------------------------- */

static void put_names(json_t *to, const char *key, const char *names)
{
	json_t *list = json_array();

	for (const char *s = names; *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, " ");

		(void)json_array_append_new(list, json_stringn(s, n));
		s += n;
	}
	if (*names)
		(void)json_object_set(to, key, list);
	json_decref(list);
}

json_t *auth_allow_json(const struct auth_allow *allow)
{
	json_t *o = json_object(), *l = json_object();

	put_names(o, "runtimes", allow->runtimes);
	put_names(o, "policies", allow->policies);
	for (const struct json_row *row = limits; row->key; row++) {
		uint64_t n = *(const uint64_t *)((const char *)allow + row->offset);

		if (n)
			(void)json_object_set_new(l, row->key, json_integer((json_int_t)n));
	}
	if (json_object_size(l) > 0)
		(void)json_object_set(o, "limits", l);
	json_decref(l);
	return o;
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

const struct auth_allow *auth_allowed(const struct auth *a, const struct caller *c)
{
	const struct key *key = a && c ? key_table_find_id(&a->keys, c->key_id) : NULL;

	return key && key->is_restricted ? &key->allow : NULL;
}

void auth_tick(struct auth *a)
{
	uint64_t now_ms = time_now_ms();

	for (size_t i = 0; i < a->keys.n; i++) {
		struct key *k = a->keys.keys[i];

		if (k->is_over || !key_is_over(k, now_ms))
			continue;
		k->is_over = true;
		ticket_drop(&a->sessions, k->hash);
		ticket_drop(&a->logins, k->hash);
		ticket_drop(&a->tickets, k->hash);
		if (a->revoked)
			a->revoked(k->id, a->revoked_arg);
	}
}
