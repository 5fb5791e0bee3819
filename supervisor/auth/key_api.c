/* GET and POST /v1/keys, DELETE /v1/keys/{id}, GET /v1/usage. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/auth/auth_impl.h"

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/http/http.h"
#include "supervisor/settings.h"

enum { BODY_MAX = 16 << 10, PAGE_DEFAULT = 50, PAGE_MAX = 200 };

/* ---- as JSON -------------------------------------------------------------------------------------------------- */

json_t *auth_scopes_json(unsigned scopes)
{
	json_t *list = json_array();

	for (size_t i = 0; auth_scopes[i]; i++) {
		if (scopes & 1u << i)
			(void)json_array_append_new(list,
						    json_string(auth_scopes[i])); /* short of memory: a shorter list */
	}
	return list;
}

json_t *auth_quota_json(const struct auth_quota *q)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "jobs", (json_int_t)q->jobs, "cpu_ms_per_day",
			 (json_int_t)q->cpu_ms_per_day, "bytes_per_day", (json_int_t)q->bytes_per_day, "rate_per_s",
			 (json_int_t)q->rate_per_s, "rate_burst", (json_int_t)q->rate_burst);
}

static json_t *key_json(const struct key *k)
{
	char at[32], until[32] = "";

	time_text(k->created_ms, at, sizeof(at));
	if (k->expires_ms)
		time_text(k->expires_ms, until, sizeof(until));
	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:o*, s:s*}", "id", k->id, "owner", k->owner, "scopes",
			 auth_scopes_json(k->scopes), "note", k->note, "quota", auth_quota_json(&k->quota),
			 "created_at", at, "allow", k->is_restricted ? auth_allow_json(&k->allow) : NULL, "expires_at",
			 *until ? until : NULL);
}

bool auth_query_is_known(struct http_request *rq, const char *const *names)
{
	const char *name, *value;

	for (size_t i = 0; (name = http_query_at(rq, i, &value)); i++) {
		size_t k = 0;

		while (names[k] && strcmp(names[k], name) != 0)
			k++;
		if (names[k])
			continue;
		http_error(rq, 400, "invalid_request", name, "%.64s: unknown parameter", name);
		return false;
	}
	return true;
}

static bool admin_only(struct http_request *rq)
{
	if (caller_is_admin(http_caller(rq)))
		return true;
	http_error(rq, 403, "forbidden", NULL, "this needs a key with the scope 'admin'");
	return false;
}

/* ---- list ----------------------------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct key *x = *(struct key *const *)a, *y = *(struct key *const *)b;

	if (x->created_ms != y->created_ms)
		return x->created_ms < y->created_ms ? 1 : -1;
	return strcmp(x->id, y->id);
}

static size_t start_of_page(struct key *const *keys, size_t n, const char *cursor)
{
	size_t i = 0;

	if (!cursor || !*cursor)
		return 0;
	while (i < n && strcmp(keys[i]->id, cursor) != 0)
		i++;
	return i < n ? i + 1 : SIZE_MAX;
}

static void reply_page(struct http_request *rq, struct key *const *keys, size_t n, size_t start, uint64_t limit)
{
	json_t *list = json_array();
	size_t i = start;

	for (; i < n && i - start < limit; i++)
		(void)json_array_append_new(list, key_json(keys[i])); /* fails with the reply, for want of memory */
	http_reply_json(rq, 200, json_pack("{s:o, s:s}", "keys", list, "next", i < n ? keys[i - 1]->id : ""));
}

void auth_list_keys(struct http_request *rq)
{
	static const char *const names[] = { "cursor", "limit", NULL };
	const struct key_table *t = &auth_of(rq)->keys;
	const char *limit_text = http_query(rq, "limit");
	uint64_t limit = PAGE_DEFAULT;
	struct error e = ERROR_INIT;
	struct key **keys;
	size_t start;

	if (!admin_only(rq) || !auth_query_is_known(rq, names))
		return;
	if (limit_text && parse_u64(limit_text, 1, PAGE_MAX, &limit, &e) < 0) {
		http_error(rq, 400, "invalid_request", "limit", "limit: %s", e.text);
		return;
	}
	keys = alloc_zeroed(t->n, sizeof(struct key *));
	for (size_t i = 0; i < t->n; i++)
		keys[i] = t->keys[i];
	qsort((void *)keys, t->n, sizeof(struct key *), newest_first);
	start = start_of_page(keys, t->n, http_query(rq, "cursor"));
	if (start == SIZE_MAX)
		http_error(rq, 400, "invalid_request", "cursor", "cursor: that key is not there any more; begin again");
	else
		reply_page(rq, keys, t->n, start, limit);
	free((void *)keys);
}

/* ---- make ----------------------------------------------------------------------------------------------------- */

static int read_owner(struct json_reader *r, json_t *value, void *target)
{
	if (parse_id(json_string_value(value), NULL) < 0)
		return json_refuse(r, "1 to 64 letters, digits, '-', '_', '.', the first a letter or digit");
	(void)text_copy(target, sizeof(((struct key *)0)->owner), json_string_value(value)); /* parse_id bounds it */
	return 0;
}

static int read_note(struct json_reader *r, json_t *value, void *target)
{
	const char *text = json_string_value(value);

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return json_refuse(r, "holds a control character");
	}
	if (text_copy(target, KEY_NOTE_BYTES, text) < 0)
		return json_refuse(r, "longer than %d bytes", KEY_NOTE_BYTES - 1);
	return 0;
}

static int read_scope(struct json_reader *r, json_t *value, void *target)
{
	for (size_t i = 0; auth_scopes[i]; i++) {
		if (strcmp(json_string_value(value), auth_scopes[i]) == 0) {
			*(unsigned *)target |= 1u << i;
			return 0;
		}
	}
	return json_refuse(r, "not one of run, cubes, images, policies, admin, status");
}

static int read_scopes(struct json_reader *r, json_t *value, void *target)
{
	*(unsigned *)target = 0;
	if (json_array_size(value) == 0)
		return json_refuse(r, "a key without any right is of no use");
	return json_read_list(r, value, JSON_STRING, read_scope, target);
}

static int read_number(struct json_reader *r, json_t *value, void *target, json_int_t max)
{
	json_int_t n = json_integer_value(value);

	if (n < 0 || n > max)
		return json_refuse(r, "must be 0 (no bound) to %" JSON_INTEGER_FORMAT, max);
	*(uint64_t *)target = (uint64_t)n;
	return 0;
}

static int read_amount(struct json_reader *r, json_t *value, void *target)
{
	return read_number(r, value, target, INT64_MAX);
}

static int read_rate(struct json_reader *r, json_t *value, void *target)
{
	return read_number(r, value, target, 1000000);
}

static int read_burst(struct json_reader *r, json_t *value, void *target)
{
	return read_number(r, value, target, 10000000);
}

static int read_quota(struct json_reader *r, json_t *value, void *target)
{
	static const struct json_row rows[] = {
		{ "jobs", JSON_INTEGER, false, read_amount, offsetof(struct auth_quota, jobs) },
		{ "cpu_ms_per_day", JSON_INTEGER, false, read_amount, offsetof(struct auth_quota, cpu_ms_per_day) },
		{ "bytes_per_day", JSON_INTEGER, false, read_amount, offsetof(struct auth_quota, bytes_per_day) },
		{ "rate_per_s", JSON_INTEGER, false, read_rate, offsetof(struct auth_quota, rate_per_s) },
		{ "rate_burst", JSON_INTEGER, false, read_burst, offsetof(struct auth_quota, rate_burst) },
		{ NULL, JSON_NULL, false, NULL, 0 },
	};

	return json_read_object(r, value, rows, target);
}

static int read_expiry(struct json_reader *r, json_t *value, void *target)
{
	uint64_t *ms = target;
	int e = read_number(r, value, target, INT64_C(3650) * 86400);

	if (e < 0)
		return e;
	if (*ms == 0)
		return json_refuse(r, "must be at least a second; a key without it does not expire");
	*ms = time_now_ms() + *ms * 1000;
	return 0;
}

static int read_key(const char *body, size_t size, struct json_reader *r, struct key *ret)
{
	static const struct json_row rows[] = {
		{ "owner", JSON_STRING, true, read_owner, offsetof(struct key, owner) },
		{ "scopes", JSON_ARRAY, false, read_scopes, offsetof(struct key, scopes) },
		{ "quota", JSON_OBJECT, false, read_quota, offsetof(struct key, quota) },
		{ "allow", JSON_OBJECT, false, auth_read_allow, offsetof(struct key, allow) },
		{ "expires_s", JSON_INTEGER, false, read_expiry, offsetof(struct key, expires_ms) },
		{ "note", JSON_STRING, false, read_note, offsetof(struct key, note) },
		{ NULL, JSON_NULL, false, NULL, 0 },
	};
	cleanup_json json_t *document = NULL;
	int e = json_read_text(r, body, size, &document);

	ret->scopes = SCOPE_RUN;
	if (e == 0)
		e = json_read_object(r, document, rows, ret);
	ret->is_restricted = memcmp(&ret->allow, &(struct auth_allow){ .runtimes = "" }, sizeof(ret->allow)) != 0;
	if (e == 0 && ret->is_restricted && (ret->scopes & ~(unsigned)(SCOPE_RUN | SCOPE_STATUS))) {
		(void)json_enter(r, "allow");
		e = json_refuse(r, "is for keys with the scope 'run' alone: others could make a key without it");
	}
	if (e == 0 && strcmp(ret->owner, ADMIN_OWNER) == 0 && !(ret->scopes & SCOPE_ADMIN)) {
		(void)json_enter(r, "owner");
		e = json_refuse(
			r, "'" ADMIN_OWNER
			   "' is the owner of what administrators make; a key with this owner would see all of it");
	}
	if (e == 0 && strncmp(ret->owner, GUEST_OWNER, strlen(GUEST_OWNER)) == 0) {
		(void)json_enter(r, "owner");
		e = json_refuse(r, "'" GUEST_OWNER "' is what owners begin with who come without a key (CUBIT_GUESTS)");
	}
	return e;
}

static void key_op_free(struct key_op *op)
{
	explicit_bzero(op->text, sizeof(op->text));
	free(op->key);
	free(op);
}

static void reply_made(struct http_request *rq, const struct key *key, const char *text)
{
	json_t *json = key_json(key);

	if (json_object_set_new(json, "key", json_string(text)) < 0) {
		json_decref(json);
		http_error(rq, 503, "overloaded", NULL, "out of memory");
		return;
	}
	http_set_header(rq, "Cache-Control", "no-store");
	http_set_header_f(rq, "Location", "/v1/keys/%s", key->id);
	http_reply_json(rq, 201, json);
}

static void on_made(const struct error *e, void *arg)
{
	struct key_op *op = arg;
	struct auth *a = op->op.a;
	const struct key *key = op->key;
	int r = e ? -e->code : key_table_add(&a->keys, op->key);

	if (r == 0)
		op->key = NULL; /* the table's now */
	auth_audit_write(a, &op->who, "key.make", key->id, r == 0 ? "ok" : "failed");
	if (op->op.rq && r == 0) {
		reply_made(op->op.rq, key, op->text);
	} else if (op->op.rq) {
		http_error(op->op.rq, 503, "overloaded", NULL, "the key could not be kept: %s",
			   e ? e->text : "out of memory");
	}
	auth_op_end(&op->op);
	key_op_free(op);
}

static int fill_key(struct http_request *rq, struct key_op *op)
{
	struct error e = ERROR_INIT;
	struct json_reader r = { .origin = "body", .err = &e, .max_bytes = BODY_MAX };
	size_t size;
	const char *body = http_body(rq, &size);

	if (read_key(body, size, &r, op->key) < 0) {
		http_error(rq, e.code == E2BIG ? 413 : 400, "invalid_request", r.path[0] ? r.path : NULL, "%s", e.text);
		return -1;
	}
	if (key_make_id(op->key->id, &e) < 0 || key_make_text(op->text, &e) < 0) {
		http_error(rq, 503, "overloaded", NULL, "%s", e.text);
		return -1;
	}
	key_hash(op->text, strlen(op->text), op->key->hash);
	op->key->created_ms = time_now_ms();
	return 0;
}

void auth_make_key(struct http_request *rq)
{
	struct auth *a = auth_of(rq);
	struct key_op *op;

	if (!admin_only(rq))
		return;
	if (a->keys.n >= KEYS_MAX) {
		http_error(rq, 409, "too_many_keys", NULL, "there are %d keys; delete some", KEYS_MAX);
		return;
	}
	op = alloc_zeroed(1, sizeof(*op));
	op->key = alloc_zeroed(1, sizeof(*op->key));
	if (fill_key(rq, op) < 0) {
		key_op_free(op);
		return;
	}
	auth_audit_who(rq, &op->who);
	auth_op_begin(&op->op, a, rq);
	if (auth_store_add_key(a, op, on_made) < 0)
		on_made(&(struct error){ .code = EAGAIN, .text = "the database is behind" }, op);
}

/* ---- delete --------------------------------------------------------------------------------------------------- */

static void forget(struct auth *a, const char *id)
{
	struct key *key = key_table_take(&a->keys, id);

	if (!key)
		return;
	ticket_drop(&a->sessions, key->hash);
	ticket_drop(&a->logins, key->hash);
	ticket_drop(&a->tickets, key->hash);
	free(key);
	if (a->revoked)
		a->revoked(id, a->revoked_arg);
}

static void on_deleted(const struct error *e, void *arg)
{
	struct key_op *op = arg;
	struct auth *a = op->op.a;

	if (!e)
		forget(a, op->id);
	auth_audit_write(a, &op->who, "key.delete", op->id, !e ? "ok" : e->code == ENOENT ? "not_found" : "failed");
	if (op->op.rq && !e) {
		http_reply(op->op.rq, 204, NULL, NULL, 0);
	} else if (op->op.rq && e->code == ENOENT) {
		http_error(op->op.rq, 404, "not_found", "id", "%s", e->text);
	} else if (op->op.rq) {
		http_error(op->op.rq, 503, "overloaded", NULL, "the key could not be deleted and still works: %s",
			   e->text);
	}
	auth_op_end(&op->op);
	key_op_free(op);
}

void auth_delete_key(struct http_request *rq)
{
	const char *id = http_param(rq, "id");
	struct auth *a = auth_of(rq);
	struct key_op *op;

	if (!admin_only(rq))
		return;
	if (!id || !key_table_find_id(&a->keys, id)) {
		auth_audit(a, rq, "key.delete", id ? id : "", "not_found");
		http_error(rq, 404, "not_found", "id", "there is no key '%.64s'", id ? id : "");
		return;
	}
	op = alloc_zeroed(1, sizeof(*op));
	(void)text_copy(op->id, sizeof(op->id), id); /* that of a key */
	auth_audit_who(rq, &op->who);
	auth_op_begin(&op->op, a, rq);
	if (auth_store_delete_key(a, op, on_deleted) < 0)
		on_deleted(&(struct error){ .code = EAGAIN, .text = "the database is behind" }, op);
}

/* ---- usage ---------------------------------------------------------------------------------------------------- */

static json_t *usage_json(const char *owner, const struct usage *u, uint64_t day)
{
	bool is_today = u && u->day == day;
	char from[32], until[32];

	time_text(day * 86400000, from, sizeof(from));
	time_text((day + 1) * 86400000, until, sizeof(until));
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "owner", owner, "since", from, "resets_at", until,
			 "jobs_now", (json_int_t)(u ? u->jobs_now : 0), "jobs", (json_int_t)(is_today ? u->jobs : 0),
			 "cpu_ms", (json_int_t)(is_today ? u->cpu_ms : 0), "bytes",
			 (json_int_t)(is_today ? u->bytes : 0));
}

void auth_show_usage(struct http_request *rq)
{
	static const char *const names[] = { "owner", NULL };
	const struct caller *c = http_caller(rq);
	const struct auth *a = auth_of(rq);
	const char *owner = http_query(rq, "owner");
	bool is_own = !owner || strcmp(owner, c->owner) == 0;
	json_t *json;

	if (!auth_query_is_known(rq, names))
		return;
	if (!is_own && !caller_is_admin(c)) {
		http_error(rq, 403, "forbidden", "owner",
			   "owner: only a key with the scope 'admin' may ask for another's");
		return;
	}
	if (!is_own && parse_id(owner, NULL) < 0) {
		http_error(rq, 400, "invalid_request", "owner", "owner: there is no owner of that name");
		return;
	}
	owner = is_own ? c->owner : owner;
	json = usage_json(owner, usage_find(&a->usage, owner), usage_day(time_now_ms()));
	if (is_own)
		(void)json_object_set_new(json, "quota", auth_quota_json(&c->quota)); /* short of memory: without */
	http_reply_json(rq, 200, json);
}
