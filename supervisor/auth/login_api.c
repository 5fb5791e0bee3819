/* POST /v1/login, GET /login, POST /v1/logout: browsers come in with a link that works once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/auth/auth_impl.h"

#include "runtime/base/error.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/http/http.h"
#include "supervisor/settings.h"

/* ---- the link ------------------------------------------------------------------------------------------------- */

/* The hash that stands for a caller's rights. */
static int hash_of_caller(const struct auth *a, const struct caller *c, uint8_t ret[KEY_HASH_BYTES], struct error *err)
{
	const struct key *key = key_table_find_id(&a->keys, c->key_id);

	if (c->is_guest)
		return error_set(err, EPERM, "a guest has no key that this could stand for, and needs none");
	if (c->is_session)
		return error_set(err, EPERM, "a session cannot make another; use a key");
	if (key)
		memcpy(ret, key->hash, KEY_HASH_BYTES);
	else if (strcmp(c->key_id, "admin") == 0 || strcmp(c->key_id, "unix") == 0)
		memcpy(ret, a->admin_hash, KEY_HASH_BYTES);
	else
		return error_set(err, ENOENT, "the key '%s' does not exist any more", c->key_id);
	return 0;
}

int auth_login_token(struct auth *a, const struct caller *as, char ret[64], struct error *err)
{
	uint8_t holder[KEY_HASH_BYTES];
	int r = hash_of_caller(a, as, holder, err);

	return r < 0 ? r : ticket_make(&a->logins, holder, clock_now_ns(), ret, err);
}

/* Where browsers reach us: as this caller did, or the TCP door when that was the unix socket. */
static const char *host_of(struct http_request *rq)
{
	const char *host = http_header(rq, "host");
	uid_t uid;
	pid_t pid;

	if (!http_peer_cred(rq, &uid, &pid) && host && *host &&
	    !host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]")])
		return host;
	return auth_of(rq)->settings->listen;
}

/* An empty body, or an object without anything in it. */
static bool body_is_empty(struct http_request *rq)
{
	static const struct json_row rows[] = { { NULL, JSON_NULL, false, NULL, 0 } };
	struct error e = ERROR_INIT;
	struct json_reader r = { .origin = "body", .err = &e, .max_bytes = 1024 };
	json_t *document = NULL;
	size_t size;
	const char *body = http_body(rq, &size);
	int failed = size ? json_read_text(&r, body, size, &document) : 0;

	if (failed == 0 && document)
		failed = json_read_object(&r, document, rows, NULL);
	json_decref(document);
	if (failed)
		http_error(rq, 400, "invalid_request", r.path[0] ? r.path : NULL, "%s", e.text);
	return failed == 0;
}

void auth_make_login(struct http_request *rq)
{
	struct auth *a = auth_of(rq);
	char token[64], url[512], until[32];
	struct error e = ERROR_INIT;
	const char *host = host_of(rq);
	int r;

	if (!body_is_empty(rq))
		return;
	r = auth_login_token(a, http_caller(rq), token, &e);
	if (r < 0) {
		http_error(rq, r == -EPERM ? 403 : 503, r == -EPERM ? "forbidden" : "overloaded", NULL, "%s", e.text);
		return;
	}
	(void)snprintf(url, sizeof(url), "%s%.256s/login?token=%s", *host ? "http://" : "", host, token);
	time_text(time_now_ms() + LOGIN_S * UINT64_C(1000), until, sizeof(until));
	auth_audit(a, rq, "login.make", "", "ok");
	http_set_header(rq, "Cache-Control", "no-store");
	http_reply_json(rq, 201, json_pack("{s:s, s:s}", "url", url, "expires_at", until));
	explicit_bzero(token, sizeof(token));
	explicit_bzero(url, sizeof(url));
}

/* ---- tickets --------------------------------------------------------------------------------------------------- */

void auth_make_ticket(struct http_request *rq)
{
	struct auth *a = auth_of(rq);
	const char *job = http_param(rq, "id");
	uint8_t holder[KEY_HASH_BYTES];
	char token[KEY_TOKEN_BYTES], until[32];
	struct error e = ERROR_INIT;
	int r;

	if (!body_is_empty(rq))
		return;
	if (parse_id(job, NULL) < 0) {
		auth_audit(a, rq, "ticket.make", "-", "not_found");
		http_error(rq, 404, "not_found", "id", "there is no job of that name");
		return;
	}
	r = hash_of_caller(a, http_caller(rq), holder, &e);
	if (r == 0)
		r = ticket_make_for(&a->tickets, holder, job, clock_now_ns(), token, &e);
	auth_audit(a, rq, "ticket.make", job, r == 0 ? "ok" : "failed");
	if (r < 0) {
		http_error(rq, r == -EPERM ? 403 : 503, r == -EPERM ? "forbidden" : "overloaded", NULL, "%s", e.text);
		return;
	}
	time_text(time_now_ms() + TICKET_S * UINT64_C(1000), until, sizeof(until));
	http_set_header(rq, "Cache-Control", "no-store");
	http_reply_json(rq, 201, json_pack("{s:s, s:s}", "ticket", token, "expires_at", until));
	explicit_bzero(token, sizeof(token));
}

/* ---- following it --------------------------------------------------------------------------------------------- */

/* The gate saw nobody: the line in the audit log is that of whoever comes in. */
static void become(struct http_request *rq, const struct caller *c)
{
	struct caller *now = http_caller(rq);

	if (now)
		*now = *c;
}

static void refuse_token(struct auth *a, struct http_request *rq, uint64_t now_ns)
{
	if (gate_count_wrong(a, http_peer(rq), now_ns)) {
		http_error(rq, 401, "unauthorized", "token", "token: this link was used, or is older than ten minutes");
		return;
	}
	a->counts.refusals[AUTH_TOO_MANY_WRONG_KEYS]++;
	http_set_header(rq, "Retry-After", "3");
	http_error(rq, 429, "rate_limited", NULL, "too many wrong keys came from this address");
}

void auth_login(struct http_request *rq)
{
	static const char *const names[] = { "token", NULL };
	struct auth *a = auth_of(rq);
	const char *token = http_query(rq, "token");
	uint64_t now_ns = clock_now_ns();
	uint8_t holder[KEY_HASH_BYTES];
	char session[KEY_TOKEN_BYTES];
	struct error e = ERROR_INIT;
	struct caller caller;
	struct key *key;

	http_set_header(rq, "Cache-Control", "no-store");
	http_set_header(rq, "Referrer-Policy", "no-referrer");
	if (!auth_query_is_known(rq, names))
		return;
	if (strcmp(http_method(rq), "GET") != 0) { /* a preview of the link must not use it up */
		http_reply(rq, 204, NULL, NULL, 0);
		return;
	}
	if (!token || ticket_take(&a->logins, token, now_ns, holder) < 0 ||
	    !auth_caller_of_hash(a, holder, &caller, &key)) {
		refuse_token(a, rq, now_ns);
		return;
	}
	if (ticket_make(&a->sessions, holder, now_ns, session, &e) < 0) {
		http_error(rq, 503, "overloaded", NULL, "%s", e.text);
		return;
	}
	become(rq, &caller);
	auth_audit(a, rq, "login", "", "ok");
	http_set_header_f(rq, "Set-Cookie", SESSION_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d",
			  session, SESSION_S);
	http_set_header(rq, "Location", "/");
	http_reply(rq, 303, NULL, NULL, 0);
	explicit_bzero(session, sizeof(session));
}

void auth_logout(struct http_request *rq)
{
	struct auth *a = auth_of(rq);
	const char *session = http_cookie(rq, SESSION_COOKIE);
	uint8_t holder[KEY_HASH_BYTES];

	if (session && ticket_take(&a->sessions, session, clock_now_ns(), holder) == 0)
		auth_audit(a, rq, "logout", "", "ok");
	http_set_header(rq, "Set-Cookie", SESSION_COOKIE "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
	http_reply(rq, 204, NULL, NULL, 0);
}
