/* The audit log: one row a line, the oldest of each action go first. Every line is in the log of the process as well, at level info.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/auth/auth_impl.h"

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/http/http.h"
#include "supervisor/queue/db.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 200, FILTER_BYTES = 65 };

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct line {
	struct auth_op op;
	uint64_t at_ms;
	struct audit_who who;
	char action[65], object[AUDIT_TEXT_BYTES], outcome[AUDIT_TEXT_BYTES];
};

static int work_write(sqlite3 *sql, void *arg, struct error *err)
{
	const struct line *l = arg;
	int r = db_run(sql,
		       "INSERT INTO auth_audit (at_ms, owner, key_id, peer, request, action, object, outcome)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
		       DB_VALUES(DB_INT(l->at_ms), DB_TEXT(l->who.owner), DB_TEXT(l->who.key_id), DB_TEXT(l->who.peer),
				 DB_TEXT(l->who.request), DB_TEXT(l->action), DB_TEXT(l->object), DB_TEXT(l->outcome)),
		       err);

	if (r >= 0 && sqlite3_last_insert_rowid(sql) % AUDIT_TRIM_EVERY == 0)
		r = db_run(sql,
			   "DELETE FROM auth_audit WHERE action = ?1 AND seq <= (SELECT seq FROM auth_audit WHERE "
			   "action = ?1"
			   " ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
			   DB_VALUES(DB_TEXT(l->action), DB_INT(AUDIT_EACH)), err);
	return r < 0 ? r : 0;
}

static void on_written(const struct error *e, void *arg)
{
	struct line *l = arg;
	struct auth *a = l->op.a;

	if (e && a->counts.audit_lost++ == 0) /* once: the count tells of the others */
		log_warning(LOG_FACTS(LOG_STR("error", e->text)),
			    "cannot write a line of the audit log, it stands in this log only");
	auth_op_end(&l->op);
	free(l);
}

/* What JSON can hold: a text that is not UTF-8, also because it was cut, keeps its ASCII. */
static void copy_text(char *to, size_t room, const char *text)
{
	int n = snprintf(to, room, "%s", text ? text : "");
	json_t *valid;

	if (n >= (int)room)
		memcpy(to + room - 4, "...", 4);
	valid = json_string(to);
	for (char *p = to; !valid && *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	json_decref(valid);
}

void auth_audit_who(struct http_request *rq, struct audit_who *ret)
{
	const struct caller *caller = http_caller(rq);

	copy_text(ret->owner, sizeof(ret->owner), caller ? caller->owner : "");
	copy_text(ret->key_id, sizeof(ret->key_id), caller ? caller->key_id : "");
	copy_text(ret->peer, sizeof(ret->peer), http_peer(rq));
	copy_text(ret->request, sizeof(ret->request), http_id(rq));
}

void auth_audit_caller(const struct caller *caller, struct audit_who *ret)
{
	copy_text(ret->owner, sizeof(ret->owner), caller->owner);
	copy_text(ret->key_id, sizeof(ret->key_id), caller->key_id);
	copy_text(ret->peer, sizeof(ret->peer), caller->peer);
	copy_text(ret->request, sizeof(ret->request), caller->request);
}

typedef int post_fn(struct db *db, db_work *work, db_done *done, void *arg);

static void write_line(struct auth *a, post_fn *post, const struct audit_who *who, const char *action,
		       const char *object, const char *outcome)
{
	struct line *l = alloc_zeroed(1, sizeof(*l));

	l->at_ms = time_now_ms();
	l->who = *who;
	copy_text(l->action, sizeof(l->action), action);
	copy_text(l->object, sizeof(l->object), object);
	copy_text(l->outcome, sizeof(l->outcome), outcome);
	log_info(LOG_FACTS(LOG_STR("action", l->action), LOG_STR("object", l->object), LOG_STR("outcome", l->outcome),
			   LOG_STR("owner", who->owner), LOG_STR("key", who->key_id), LOG_STR("peer", who->peer),
			   LOG_STR("request", who->request)),
		 "audit");
	auth_op_begin(&l->op, a, NULL);
	if (post(a->db, work_write, on_written, l) < 0)
		on_written(&(struct error){ .code = EAGAIN, .text = "the database is behind" }, l);
}

void auth_audit_write(struct auth *a, const struct audit_who *who, const char *action, const char *object,
		      const char *outcome)
{
	write_line(a, db_post, who, action, object, outcome);
}

void auth_audit_write_later(struct auth *a, const struct audit_who *who, const char *action, const char *object,
			    const char *outcome)
{
	write_line(a, db_post_later, who, action, object, outcome);
}

void auth_audit(struct auth *a, struct http_request *rq, const char *action, const char *object, const char *outcome)
{
	struct audit_who who;

	auth_audit_who(rq, &who);
	auth_audit_write(a, &who, action, object, outcome);
}

/* Strangers can cause these: a burst, then ten a second, and the next line says how many have none. */
static const struct bucket_rate refused_lines = { .interval_ns = NS_PER_S / 10, .depth = 100 };

void audit_refused(struct auth *a, struct http_request *rq, const struct http_route *route, int status)
{
	char object[AUDIT_TEXT_BYTES], outcome[64];

	if (!bucket_take(&a->refused_bucket, &refused_lines, clock_now_ns(), NULL)) {
		a->n_unsaid++;
		return;
	}
	(void)snprintf(object, sizeof(object), "%s %s", http_method(rq), route->path);
	if (a->n_unsaid)
		(void)snprintf(outcome, sizeof(outcome), "%d, and %u more were refused", status, a->n_unsaid);
	else
		(void)snprintf(outcome, sizeof(outcome), "%d", status);
	a->n_unsaid = 0;
	auth_audit(a, rq, "refused", object, outcome);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

struct page {
	struct auth_op op;
	char owner[FILTER_BYTES], action[FILTER_BYTES]; /* "": all */
	uint64_t before;                                /* seq */
	uint64_t limit;
	json_t *lines; /* owned */
	uint64_t last; /* seq of the last line; 0: there are no more */
};

static int add_row(sqlite3_stmt *st, struct page *p, struct error *err)
{
	static const char *const names[] = { "owner", "key_id", "peer", "request_id", "action", "object", "outcome" };
	json_t *line = json_object();
	char at[32];
	int r;

	time_text((uint64_t)sqlite3_column_int64(st, 1), at, sizeof(at));
	r = json_object_set_new(line, "at", json_string(at));
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		r = json_object_set_new(line, names[i], json_string((const char *)sqlite3_column_text(st, (int)i + 2)));
	if (r < 0) {
		json_decref(line);
		return error_set(err, ENOMEM, "out of memory");
	}
	return json_array_append_new(p->lines, line) == 0 ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* Four statements, so that each can use its index. */
static const char *select_of(const struct page *p)
{
#define COLUMNS                                                                                                        \
	"SELECT seq, at_ms, owner, key_id, peer, request, action, object, outcome FROM auth_audit WHERE seq < ?1"
#define ORDER " ORDER BY seq DESC LIMIT ?2"
	if (p->owner[0] && p->action[0])
		return COLUMNS " AND owner = ?3 AND action = ?4" ORDER;
	if (p->owner[0])
		return COLUMNS " AND owner = ?3" ORDER;
	return p->action[0] ? COLUMNS " AND action = ?4" ORDER : COLUMNS ORDER;
#undef COLUMNS
#undef ORDER
}

static int work_read(sqlite3 *sql, void *arg, struct error *err)
{
	struct page *p = arg;
	const char *text = select_of(p);
	sqlite3_stmt *st = db_query(sql, text, DB_VALUES(DB_INT(p->before), DB_INT(p->limit + 1)), err);
	int r = st ? 0 : -EIO;

	if (st && strstr(text, "?3"))
		r = sqlite3_bind_text(st, 3, p->owner, -1, SQLITE_STATIC);
	if (st && strstr(text, "?4"))
		r = r ? r : sqlite3_bind_text(st, 4, p->action, -1, SQLITE_STATIC);
	if (r > 0)
		return db_error(sql, r, "audit", err);
	p->lines = json_array();
	while (r == 0 && (r = db_step(sql, st, err)) > 0) {
		if (json_array_size(p->lines) == p->limit)
			return 0; /* the one more says that there are more */
		p->last = (uint64_t)sqlite3_column_int64(st, 0);
		r = add_row(st, p, err);
	}
	p->last = 0;
	return r;
}

static void on_read(const struct error *e, void *arg)
{
	struct page *p = arg;
	char next[24] = "";

	if (p->last)
		(void)snprintf(next, sizeof(next), "%" PRIu64, p->last);
	if (p->op.rq && e)
		http_error(p->op.rq, 503, "overloaded", NULL, "the audit log cannot be read: %s", e->text);
	else if (p->op.rq)
		http_reply_json(p->op.rq, 200, json_pack("{s:O, s:s}", "audit", p->lines, "next", next));
	json_decref(p->lines);
	auth_op_end(&p->op);
	free(p);
}

static bool refuse_query(struct http_request *rq, const char *name, const char *why)
{
	http_error(rq, 400, "invalid_request", name, "%s: %s", name, why);
	return false;
}

/* The query's parameters; false: answered. */
static bool read_query(struct http_request *rq, struct page *p)
{
	static const char *const names[] = { "owner", "action", "cursor", "limit", NULL };
	const char *owner = http_query(rq, "owner"), *action = http_query(rq, "action"),
		   *cursor = http_query(rq, "cursor"), *limit = http_query(rq, "limit");
	const struct caller *c = http_caller(rq);
	struct error e = ERROR_INIT;

	p->limit = PAGE_DEFAULT;
	p->before = INT64_MAX;
	if (!auth_query_is_known(rq, names))
		return false;
	if (limit && parse_u64(limit, 1, PAGE_MAX, &p->limit, &e) < 0)
		return refuse_query(rq, "limit", e.text);
	if (cursor && *cursor && parse_u64(cursor, 1, INT64_MAX, &p->before, NULL) < 0)
		return refuse_query(rq, "cursor", "this is not a cursor that the list returned");
	if (owner && (strlen(owner) >= FILTER_BYTES || (!caller_is_admin(c) && strcmp(owner, c->owner) != 0)))
		return refuse_query(rq, "owner", "there is no such owner, or it is not yours");
	if (action && strlen(action) >= FILTER_BYTES)
		return refuse_query(rq, "action", "this is longer than the name of any action");
	(void)snprintf(p->owner, sizeof(p->owner), "%s", caller_is_admin(c) ? (owner ? owner : "") : c->owner);
	(void)snprintf(p->action, sizeof(p->action), "%s", action ? action : "");
	return true;
}

void auth_list_audit(struct http_request *rq)
{
	struct page *p = alloc_zeroed(1, sizeof(*p));
	struct auth *a = auth_of(rq);

	if (!read_query(rq, p)) {
		free(p);
		return;
	}
	auth_op_begin(&p->op, a, rq);
	if (db_read(a->db, work_read, on_read, p) < 0)
		on_read(&(struct error){ .code = EAGAIN, .text = "the database is behind" }, p);
}
