/*
 * Auth behind a real server and a real database: keys, login links, sessions, quotas, the audit log, what survives a
 * restart; and that nothing that was said or logged on the way holds a secret (SECURITY.md, row 31).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

#include "runtime/base/buf.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/auth/auth_impl.h"
#include "supervisor/queue/db.h"
#include "supervisor/settings.h"
#include "supervisor/settings_impl.h"
#include "tests/unit/supervisor/http/http_client.h"

#define ADMIN_KEY "planted-admin-key-0123456789"
#define ADMIN     "X-API-Key: " ADMIN_KEY "\r\n"
#define TCP_HOST  "Host: ide.test:7070\r\n"
#define ORIGIN    "Origin: http://ide.test:7070\r\n"
#define FOREIGN   "Origin: https://evil.example\r\n"

static struct edge edge;
static struct auth *auth;
static struct db *db;
static struct settings settings;
static int state_fd = -1;
static bool is_ready;

/* Everything that was answered, but for the two places where a secret is meant to be. */
static struct buf said = BUF_BOUNDED(32 << 20);
static char secrets[256][64]; /* that must appear nowhere */
static size_t n_secrets;

static void keep_secret(const char *text)
{
	need(n_secrets < 256 && strlen(text) < 64, "a secret is remembered");
	(void)snprintf(secrets[n_secrets++], sizeof(secrets[0]), "%s", text);
}

/* ---- the server ---- */

static void say_hello(struct http_request *rq)
{
	http_reply(rq, 200, "text/plain", "hello", 5);
}

static void take_body(struct http_request *rq)
{
	http_reply(rq, 204, NULL, NULL, 0);
}

/* clang-format off */
static const struct http_route routes[] = {
	{ "GET", "/open", 0, say_hello, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ "GET", "/run", SCOPE_RUN, say_hello, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ "POST", "/run", SCOPE_RUN, take_body, "", NULL, NULL, NULL, 204, NULL, 0 },
	{ "GET", "/v1/keys", SCOPE_ADMIN, auth_list_keys, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ "GET", "/loose/keys", SCOPE_RUN, auth_list_keys, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ "POST", "/loose/keys", SCOPE_RUN, auth_make_key, "", NULL, NULL, NULL, 201, NULL, 0 },
	{ "POST", "/v1/keys", SCOPE_ADMIN, auth_make_key, "", NULL, NULL, NULL, 201, NULL, 0 },
	{ "DELETE", "/v1/keys/{id}", SCOPE_ADMIN, auth_delete_key, "", NULL, NULL, NULL, 204, NULL, 0 },
	{ "POST", "/v1/login", SCOPE_RUN, auth_make_login, "", NULL, NULL, NULL, 201, NULL, 0 },
	{ "GET", "/login", 0, auth_login, "", NULL, NULL, NULL, 303, NULL, 0 },
	{ "POST", "/v1/logout", 0, auth_logout, "", NULL, NULL, NULL, 204, NULL, 0 },
	{ "GET", "/v1/audit", SCOPE_RUN, auth_list_audit, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ "GET", "/v1/usage", SCOPE_RUN, auth_show_usage, "", NULL, NULL, NULL, 200, NULL, 0 },
	{ .method = NULL },
};
/* clang-format on */

static bool gate(struct http_request *rq, const struct http_route *route, void *arg)
{
	(void)arg;
	if (auth)
		return auth_admit(auth, rq, route);
	http_error(rq, 503, "stopping", NULL, "it is over");
	return false;
}

static void request_done(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *arg)
{
	(void)ns;
	(void)arg;
	if (auth)
		auth_request_done(auth, rq, route, status);
}

static struct auth *find_auth(struct http_request *rq)
{
	(void)rq;
	return auth;
}

static void on_ready(const struct error *e, void *arg)
{
	need(!e, "keys are read %s", e ? e->text : "");
	*(bool *)arg = true;
}

static int hold[2] = { -1, -1 }; /* what is posted to the database waits until the writing end is closed */

static int work_hold(sqlite3 *sql, void *arg, struct error *err)
{
	char byte;

	(void)sql;
	(void)arg;
	(void)err;
	(void)!read(hold[0], &byte, 1);
	return 0;
}

static void open_store(void)
{
	struct error err = ERROR_INIT;
	uint8_t hash[KEY_HASH_BYTES];
	char hex[2 * KEY_HASH_BYTES + 1];

	key_hash(ADMIN_KEY, strlen(ADMIN_KEY), hash);
	for (size_t i = 0; i < KEY_HASH_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	is_ready = false;
	need(db_open(&edge.loop, state_fd, &db, &err) == 0, "a database %s", err.text);
	if (hold[0] >= 0)
		need(db_post(db, work_hold, NULL, NULL) == 0, "work before it");
	is_int(auth_open(db, &settings, "", on_ready, &is_ready, &auth, &err), -EINVAL,
	       "without an admin's hash there is no auth");
	has_str(err.text, "CUBIT_ADMIN_HASH", "and the message says what is missing");
	need(auth_open(db, &settings, hex, on_ready, &is_ready, &auth, &err) == 0, "auth %s", err.text);
}

static void close_store(void)
{
	bool is_closed = false;

	auth_free(auth);
	auth = NULL;
	db_close(db, edge_on_closed, &is_closed);
	while (!is_closed)
		edge_turn(&edge, 1);
}

static void wait_ready(void)
{
	for (int i = 0; i < 5000 && !is_ready; i++)
		edge_turn(&edge, 1);
	need(is_ready, "auth is ready");
}

/* ---- asking ---- */

struct answer {
	int status;
	char text[256 << 10]; /* head and body */
	const char *body;
	json_t *json; /* owned by this struct; NULL: none */
};

static struct answer got;

static void ask_on(int fd, const char *method, const char *path, const char *headers, const char *body, bool is_secret)
{
	char head[4096];
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\n%s%sConnection: close\r\nContent-Length: %zu\r\n\r\n",
			 method, path, strcasestr(headers, "host:") ? "" : TCP_HOST, headers, strlen(body));

	need(n > 0 && n < (int)sizeof(head), "a request");
	edge_say(&edge, fd, head);
	edge_say(&edge, fd, body);
	(void)edge_read(&edge, fd, got.text, sizeof(got.text), NULL, NULL);
	(void)close(fd);
	edge_turn(&edge, 2);
	got.status = strncmp(got.text, "HTTP/1.1 ", 9) == 0 ? atoi(got.text + 9) : 0;
	got.body = strstr(got.text, "\r\n\r\n");
	got.body = got.body ? got.body + 4 : "";
	json_decref(got.json);
	got.json = json_loads(got.body, 0, NULL);
	if (!is_secret)
		(void)buf_append_str(&said, got.text);
}

static int ask(const char *method, const char *path, const char *headers, const char *body)
{
	ask_on(edge_connect(&edge), method, path, headers, body, false);
	return got.status;
}

/* As root, or as the user who runs the tests: the front's own. */
static int ask_unix(const char *method, const char *path, const char *headers, const char *body)
{
	ask_on(edge_connect_unix(&edge), method, path, headers, body, false);
	return got.status;
}

/* Whose answer is meant to hold a secret. */
static int ask_secret(const char *method, const char *path, const char *headers, const char *body)
{
	ask_on(edge_connect(&edge), method, path, headers, body, true);
	return got.status;
}

static const char *member(const char *name)
{
	const char *text = json_string_value(json_object_get(got.json, name));

	return text ? text : "";
}

static const char *error_member(const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(got.json, "error"), name));

	return text ? text : "";
}

/* A member of the first of a list. */
static const char *first(const char *list, const char *name)
{
	const char *text = json_string_value(json_object_get(json_array_get(json_object_get(got.json, list), 0), name));

	return text ? text : "";
}

struct made {
	char id[64], key[64], header[128];
};

static void make_key(const char *body, struct made *ret)
{
	need(ask_secret("POST", "/v1/keys", ADMIN, body) == 201, "a key is made from %s", body);
	(void)snprintf(ret->id, sizeof(ret->id), "%s", member("id"));
	(void)snprintf(ret->key, sizeof(ret->key), "%s", member("key"));
	(void)snprintf(ret->header, sizeof(ret->header), "Authorization: Bearer %s\r\n", ret->key);
	keep_secret(ret->key);
}

/* ---- tests ---- */

static void test_starting(void)
{
	is_int(ask("GET", "/run", "X-API-Key: whatever\r\n", ""), 503,
	       "before the keys are read an unknown one is asked to come back");
	has_str(got.text, "Retry-After: 1\r\n", "in a second");
	(void)close(hold[1]);
}

static void test_gate(void)
{
	is_int(ask("GET", "/open", "", ""), 200, "nobody gets what is for everybody");
	has_str(got.text, "RateLimit-Limit: 200\r\n", "within limits");
	has_str(got.text, "RateLimit-Remaining: 1", "that are told");
	has_str(got.text, "RateLimit-Reset: 1\r\n", "with the time until they are back");
	is_int(ask("GET", "/run", "", ""), 401, "what needs a key needs one");
	has_str(got.text, "WWW-Authenticate: Bearer realm=\"cubit\"\r\n", "which the answer says");
	is_str(error_member("code"), "unauthorized", "with a code");
	is_int(ask("GET", "/run",
		   "Authorization: Bearer cubit_"
		   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n",
		   ""),
	       401, "a wrong key is refused");
	has_str(got.text, "error=\"invalid_token\"", "as such");
	is_int(ask("GET", "/run", ADMIN, ""), 200, "the admin key gets in");
	is_int(ask_unix("GET", "/v1/keys", "", ""), 200, "so does our own user on the unix socket");
	ok(!strstr(got.text, "RateLimit-"), "without limits");
}

/* clang-format off */
static const struct {
	const char *body;
	const char *field, *says;
} bad_keys[] = {
	{ "", "", "" },
	{ "[]", "", "must be an object" },
	{ "{\"scopes\":[\"run\"]}", "owner", "is missing" },
	{ "{\"owner\":\"a\",\"colour\":\"red\"}", "colour", "unknown field" },
	{ "{\"owner\":\"a b\"}", "owner", "letters, digits" },
	{ "{\"owner\":\"\"}", "owner", "letters, digits" },
	{ "{\"owner\":7}", "owner", "must be a string, is a whole number" },
	{ "{\"owner\":\"a\",\"owner\":\"b\"}", "", "duplicate" },
	{ "{\"owner\":\"admin\"}", "owner", "administrators" },
	{ "{\"owner\":\"a\",\"scopes\":[]}", "scopes", "without any right" },
	{ "{\"owner\":\"a\",\"scopes\":[\"run\",\"root\"]}", "scopes[1]", "not one of" },
	{ "{\"owner\":\"a\",\"scopes\":\"run\"}", "scopes", "must be a list" },
	{ "{\"owner\":\"a\",\"quota\":{\"jobs\":-1}}", "quota.jobs", "must be 0" },
	{ "{\"owner\":\"a\",\"quota\":{\"jobs\":1.5}}", "quota.jobs", "whole number" },
	{ "{\"owner\":\"a\",\"quota\":{\"cubes\":1}}", "quota.cubes", "unknown field" },
	{ "{\"owner\":\"a\",\"quota\":{\"rate_per_s\":1000001}}", "quota.rate_per_s", "1000000" },
	{ "{\"owner\":\"a\",\"note\":\"a\\nb\"}", "note", "control character" },
};
/* clang-format on */

static void test_bad_keys(void)
{
	char big[400];

	for (size_t i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++) {
		is_int(ask("POST", "/v1/keys", ADMIN, bad_keys[i].body), 400, "no key from %s", bad_keys[i].body);
		is_str(error_member("field"), bad_keys[i].field, "the field is named");
		has_str(error_member("message"), bad_keys[i].says, "with the reason");
	}
	(void)snprintf(big, sizeof(big), "{\"owner\":\"a\",\"note\":\"%0300d\"}", 0);
	is_int(ask("POST", "/v1/keys", ADMIN, big), 400, "nor with a note that is too long");
	is_int(ask("DELETE", "/v1/keys/knone", ADMIN, ""), 404, "what is not there cannot be deleted");
	is_int(ask("GET", "/v1/keys?page=2", ADMIN, ""), 400, "an unknown parameter is refused");
	is_str(error_member("field"), "page", "by name");
	is_int(ask("GET", "/v1/keys?cursor=knone", ADMIN, ""), 400, "so is a cursor of nothing");
	is_int(ask("GET", "/v1/keys?limit=201", ADMIN, ""), 400, "and a page that is too large");
}

static void test_keys(void)
{
	struct made a = { .id = "" }, b = { .id = "" };
	char path[128];

	make_key("{\"owner\":\"ann\",\"scopes\":[\"run\",\"images\"],\"quota\":{\"jobs\":2,\"bytes_per_day\":"
		 "9007199254740993},"
		 "\"note\":\"caf\\u00e9\"}",
		 &a);
	has_str(got.text, "Cache-Control: no-store\r\n", "the answer is not to be kept");
	has_str(got.text, "Location: /v1/keys/k", "and says where the key is");
	ok(strlen(a.key) == 49 && strncmp(a.key, "cubit_", 6) == 0, "the key is shown");
	ok(json_object_get(got.json, "quota") &&
		   json_integer_value(json_object_get(json_object_get(got.json, "quota"), "bytes_per_day")) ==
			   9007199254740993,
	   "with its quota");
	make_key("{\"owner\":\"bob\"}", &b);
	is_int(json_array_size(json_object_get(got.json, "scopes")), 1, "without scopes a key may run");
	is_int(ask("GET", "/run", a.header, ""), 200, "a key gets in");
	is_int(ask("GET", "/v1/keys", a.header, ""), 403, "but not to admins' things");
	has_str(error_member("message"), "scope 'admin'", "and is told why");
	is_int(ask("GET", "/loose/keys", a.header, ""), 403, "not even through a route that forgot");
	is_int(ask("POST", "/loose/keys", a.header, "{\"owner\":\"x\",\"scopes\":[\"admin\"]}"), 403,
	       "nor does it make itself another");
	is_int(ask("GET", "/v1/keys?limit=1", ADMIN, ""), 200, "keys are listed");
	is_str(first("keys", "id"), b.id, "newest first");
	is_str(member("next"), b.id, "with a cursor");
	(void)snprintf(path, sizeof(path), "/v1/keys?limit=1&cursor=%s", b.id);
	is_int(ask("GET", path, ADMIN, ""), 200, "which leads on");
	is_str(first("keys", "id"), a.id, "to the next");
	is_str(first("keys", "note"), "caf\xc3\xa9", "with all there is");
	is_str(member("next"), "", "and then ends");
	(void)snprintf(path, sizeof(path), "/v1/keys/%s", b.id);
	is_int(ask("DELETE", path, ADMIN, ""), 204, "a key is deleted");
	is_int(ask("GET", "/run", b.header, ""), 401, "and gets in no more");
	is_int(ask("DELETE", path, ADMIN, ""), 404, "nor is deleted twice");

	close_store();
	open_store();
	wait_ready();
	is_int(ask("GET", "/run", a.header, ""), 200, "after a restart a key still gets in");
	is_int(ask("GET", "/run", b.header, ""), 401, "a deleted one does not");
	is_int(ask("GET", "/v1/keys", ADMIN, ""), 200, "what is known of it");
	is_str(first("keys", "note"), "caf\xc3\xa9", "is still known");
}

/* The token of a login link and the cookie of a session. */
static void make_link(const char *headers, char token[64])
{
	const char *at;

	need(ask_secret("POST", "/v1/login", headers, "") == 201, "a link is made");
	at = strstr(member("url"), "token=");
	need(at && strlen(at + 6) == 43, "with a token");
	(void)snprintf(token, 64, "%s", at + 6);
	keep_secret(token);
}

static int follow(const char *token, char cookie[128])
{
	char path[128];
	const char *at;

	(void)snprintf(path, sizeof(path), "/login?token=%s", token);
	ask_on(edge_connect(&edge), "GET", path, "", "", true);
	at = strstr(got.text, "Set-Cookie: ");
	if (got.status == 303 && at) {
		char session[64];

		(void)snprintf(session, sizeof(session), "%.43s", at + 12 + strlen(SESSION_COOKIE "="));
		(void)snprintf(cookie, 128, "Cookie: a=b; " SESSION_COOKIE "=%s\r\n", session);
		keep_secret(session);
	} else {
		(void)buf_append_str(&said, got.text);
	}
	return got.status;
}

static void test_sessions(void)
{
	struct made key = { .id = "" };
	char token[64], cookie[128], admin_cookie[128], both[300], path[128];

	make_key("{\"owner\":\"carl\"}", &key);
	make_link(key.header, token);
	has_str(member("url"), "http://ide.test:7070/login?token=", "that leads to where we were asked");
	ok(strlen(member("expires_at")) == 24, "with the time until when");
	(void)snprintf(path, sizeof(path), "/login?token=%s", token);
	is_int(ask("HEAD", path, "", ""), 204, "a preview does not use it up");
	is_int(follow(token, cookie), 303, "following it leads in");
	has_str(got.text, "Location: /\r\n", "to the start page");
	has_str(got.text, "; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200\r\n", "with a cookie for twelve hours");
	has_str(got.text, "Referrer-Policy: no-referrer\r\n", "and the token is not told on");
	is_int(follow(token, cookie), 401, "once");
	is_int(ask("GET", "/login", "", ""), 401, "a link without a token leads nowhere");
	is_int(ask("GET", "/run", cookie, ""), 200, "the cookie gets in");
	is_int(ask("GET", "/v1/keys", cookie, ""), 403, "with the rights of its key");
	(void)snprintf(both, sizeof(both), "%s" ORIGIN, cookie);
	is_int(ask("POST", "/run", both, "x"), 204, "our own page may change things");
	(void)snprintf(both, sizeof(both), "%s" FOREIGN, cookie);
	is_int(ask("POST", "/run", both, "x"), 403, "another's may not");
	is_str(error_member("code"), "cross_origin", "for that reason");
	(void)snprintf(both, sizeof(both), "%sOrigin: null\r\n", cookie);
	is_int(ask("POST", "/run", both, "x"), 403, "nor one that hides where it is from");
	(void)snprintf(both, sizeof(both), "%sSec-Fetch-Site: same-site\r\n", cookie);
	is_int(ask("POST", "/run", both, "x"), 403, "nor a neighbour's, which sends no Origin");
	(void)snprintf(both, sizeof(both), "%sSec-Fetch-Site: same-origin\r\n", cookie);
	is_int(ask("POST", "/run", both, "x"), 204, "our own need not either");
	(void)snprintf(both, sizeof(both), "%s" ORIGIN, cookie);
	is_int(ask("POST", "/v1/login", both, ""), 403, "a session makes no session");

	make_link(ADMIN, token);
	is_int(follow(token, admin_cookie), 303, "an admin may log in");
	is_int(ask("GET", "/v1/keys", admin_cookie, ""), 200, "and is one there");
	is_int(ask_unix("POST", "/v1/login?x=1", "", "{\"owner\":\"a\"}"), 400,
	       "a body that says something is refused");
	ask_on(edge_connect_unix(&edge), "POST", "/v1/login", "Host: localhost\r\n", "{}", true);
	has_str(member("url"),
		"http://127.0.0.1:7070/login?token=", "from the unix socket the link leads to the TCP door");
	keep_secret(strstr(member("url"), "token=") + 6);
	(void)snprintf(both, sizeof(both), "%s" ORIGIN, admin_cookie);
	is_int(ask("POST", "/v1/logout", both, ""), 204, "who logs out");
	has_str(got.text, "Max-Age=0", "loses the cookie");
	is_int(ask("GET", "/v1/keys", admin_cookie, ""), 401, "and the session");
	make_link(key.header, token);
	(void)snprintf(path, sizeof(path), "/v1/keys/%s", key.id);
	is_int(ask("DELETE", path, ADMIN, ""), 204, "when a key goes");
	is_int(ask("GET", "/run", cookie, ""), 401, "its sessions go with it");
	is_int(follow(token, cookie), 401, "and its links");
}

static void caller_from(const char *owner, const struct auth_quota *quota, struct caller *ret)
{
	*ret = (struct caller){ .scopes = SCOPE_RUN, .quota = *quota };
	(void)snprintf(ret->owner, sizeof(ret->owner), "%s", owner);
}

static long long usage_now(const char *name)
{
	json_t *n = json_object_get(got.json, name);

	return json_is_integer(n) ? json_integer_value(n) : -1;
}

static void test_quotas(void)
{
	const struct auth_quota quota = { .jobs = 2, .cpu_ms_per_day = 1000 };
	struct error err = ERROR_INIT;
	struct made dora = { .id = "" };
	struct caller c;
	unsigned retry_s = 0;

	make_key("{\"owner\":\"dora\",\"quota\":{\"jobs\":2,\"cpu_ms_per_day\":1000}}", &dora);
	caller_from("dora", &quota, &c);
	ok(auth_job_begins(auth, &c, &retry_s, &err) == 0 && auth_job_begins(auth, &c, &retry_s, &err) == 0,
	   "two jobs begin");
	is_int(auth_job_begins(auth, &c, &retry_s, &err), -EDQUOT, "the third does not");
	has_str(err.text, "jobs: 2 of 2", "and the message says why");
	auth_job_ended(auth, "dora", 400, 7000);
	is_int(auth_job_begins(auth, &c, &retry_s, &err), 0, "when one ended there is room");
	is_int(ask("POST", "/run", dora.header, "0123456789"), 204, "a body is taken in");
	is_int(ask("GET", "/v1/usage", dora.header, ""), 200, "what was used can be asked for");
	ok(usage_now("jobs_now") == 2 && usage_now("jobs") == 1 && usage_now("cpu_ms") == 400, "jobs and cpu time");
	is_int(usage_now("bytes"), 7010, "and bytes, those of bodies too");
	is_int(json_integer_value(json_object_get(json_object_get(got.json, "quota"), "cpu_ms_per_day")), 1000,
	       "with the quota");
	is_int(ask("GET", "/v1/usage?owner=ann", dora.header, ""), 403, "that of others is not told");
	is_int(ask("GET", "/v1/usage?owner=dora", ADMIN, ""), 200, "but to admins");
	is_int(usage_now("cpu_ms"), 400, "it is");
	is_int(ask("GET", "/v1/usage?owner=a/b", ADMIN, ""), 400, "an owner that cannot be is refused");
	auth_job_ended(auth, "dora", 600, 0);
	auth_job_ended(auth, "dora", 0, 0);
	auth_job_ended(auth, "dora", 0, 0);
	is_int(auth_job_begins(auth, &c, &retry_s, &err), -EDQUOT, "with its cpu time used up no job begins");
	has_str(err.text, "cpu_ms_per_day: 1000 of 1000", "until midnight");
	for (int i = 0; i < 600; i++) {
		char owner[16];

		(void)snprintf(owner, sizeof(owner), "many-%d", i);
		auth_job_ended(auth, owner, (uint64_t)i, 0);
	}

	close_store();
	open_store();
	wait_ready();
	is_int(auth_job_begins(auth, &c, &retry_s, &err), -EDQUOT, "a restart does not forget what was used");
	is_int(ask("GET", "/v1/usage", dora.header, ""), 200, "all of it");
	ok(usage_now("jobs_now") == 0 && usage_now("jobs") == 4 && usage_now("bytes") == 7010, "but for what ran");
	is_int(ask("GET", "/v1/usage?owner=many-599", ADMIN, ""), 200, "also when there was much to write");
	is_int(usage_now("cpu_ms"), 599, "to the last");
	auth_job_resumed(auth, "dora");
	is_int(ask("GET", "/v1/usage", dora.header, ""), 200, "a job that an earlier front began");
	is_int(usage_now("jobs_now"), 1, "counts when it is taken over");
}

static void test_audit(void)
{
	struct made eve = { .id = "" };
	char path[128];

	make_key("{\"owner\":\"eve\"}", &eve);
	is_int(ask("GET", "/v1/audit?action=key.make&limit=1", ADMIN, ""), 200, "the audit log can be read");
	is_str(first("audit", "object"), eve.id, "newest first");
	is_str(first("audit", "owner"), "admin", "by whom");
	is_str(first("audit", "peer"), "127.0.0.1", "from where");
	is_str(first("audit", "outcome"), "ok", "how it ended");
	ok(strlen(first("audit", "request_id")) > 0 && strlen(first("audit", "at")) == 24,
	   "in which request, and when");
	(void)snprintf(path, sizeof(path), "/v1/audit?action=key.make&limit=1&cursor=%s", member("next"));
	is_int(ask("GET", path, ADMIN, ""), 200, "page by page");
	ok(first("audit", "object")[0] && strcmp(first("audit", "object"), eve.id) != 0, "the one before");
	is_int(ask("GET", "/v1/audit", eve.header, ""), 200, "who is no admin");
	is_int(json_array_size(json_object_get(got.json, "audit")), 0, "sees only what is theirs");
	is_int(ask("GET", "/v1/audit?owner=admin", eve.header, ""), 400, "and cannot ask for more");
	is_int(ask("GET", "/v1/audit?owner=carl&action=login", ADMIN, ""), 200, "of one owner and one action");
	is_int(json_array_size(json_object_get(got.json, "audit")), 1, "there is one line");
	is_str(member("next"), "", "and no more");
	is_int(ask("GET", "/v1/audit?cursor=x", ADMIN, ""), 400, "a cursor that is none is refused");
	is_int(ask("GET", "/v1/audit?limit=0", ADMIN, ""), 400, "so is a page of nothing");
	is_int(ask("GET", "/v1/audit?ownr=a", ADMIN, ""), 400, "and a parameter that nobody knows");
}

/* Twenty thousand lines of one action more; the next line has a number at which what is too much is looked for. */
static int work_fill(sqlite3 *sql, void *arg, struct error *err)
{
	int r;

	(void)arg;
	r = db_run(sql,
		   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
		   " INSERT INTO auth_audit (at_ms, owner, key_id, peer, request, action, object, outcome)"
		   " SELECT 0, 'filler', '', '', '', 'key.make', '', '' FROM n",
		   NULL, err);
	if (r >= 0)
		r = db_run(sql, "UPDATE sqlite_sequence SET seq = 61 * 10492 - 1 WHERE name = 'auth_audit'", NULL, err);
	return r < 0 ? -EIO : 0;
}

static int work_count(sqlite3 *sql, void *arg, struct error *err)
{
	sqlite3_stmt *st = db_query(sql, "SELECT count(*) FROM auth_audit WHERE action = 'key.make'", NULL, err);
	int r = st ? db_step(sql, st, err) : -EIO;

	*(int *)arg = r > 0 ? sqlite3_column_int(st, 0) : -1;
	(void)sqlite3_reset(st);
	return r < 0 ? r : 0;
}

static void on_jumped(const struct error *e, void *arg)
{
	(void)e;
	*(bool *)arg = true;
}

static void test_audit_bound(void)
{
	struct made key = { .id = "" };
	bool is_done = false;
	int n = 0;

	need(db_post(db, work_fill, on_jumped, &is_done) == 0, "many lines later");
	while (!is_done)
		edge_turn(&edge, 1);
	make_key("{\"owner\":\"frank\"}", &key);
	is_int(ask("GET", "/v1/audit?action=key.make&limit=1", ADMIN, ""), 200, "the audit log");
	is_str(first("audit", "object"), key.id, "has the newest line");
	need(db_post(db, work_count, NULL, &n) == 0, "count the lines of that action");
	while (n == 0)
		edge_turn(&edge, 1);
	is_int(n, 20000, "its oldest are gone");
	for (int i = 0; i < 130; i++) { /* in turn with another action */
		char path[96];

		make_key("{\"owner\":\"frank\"}", &key);
		(void)snprintf(path, sizeof(path), "/v1/keys/%s", key.id);
		need(ask("DELETE", path, ADMIN, "") == 204, "the key is deleted");
	}
	n = 0;
	need(db_post(db, work_count, NULL, &n) == 0, "count them again");
	while (n == 0)
		edge_turn(&edge, 1);
	ok(n < 20000 + 70, "they go as well when each second line is of another action: %d", n);
	is_int(ask("GET", "/v1/audit?action=login", ADMIN, ""), 200, "of another action");
	ok(json_array_size(json_object_get(got.json, "audit")) > 0, "they stay: many of one push no other out");
}

/* Who is turned away has a line; of many, some have, and the next one counts the others. */
static void test_audit_refused(void)
{
	struct made key = { .id = "" };

	make_key("{\"owner\":\"hank\"}", &key);
	is_int(ask("POST", "/v1/keys", key.header, "{}"), 403, "a key without the scope is turned away");
	is_int(ask("GET", "/v1/audit?action=refused&limit=1", ADMIN, ""), 200, "and that is in the audit log");
	is_str(first("audit", "owner"), "hank", "with who it was");
	is_str(first("audit", "object"), "POST /v1/keys", "what it wanted");
	is_str(first("audit", "outcome"), "403", "and how it ended");
	is_int(ask("POST", "/v1/keys", "", "{}"), 401, "so is who has no key");
	is_int(ask("GET", "/v1/audit?action=refused&limit=1", ADMIN, ""), 200, "with a line");
	is_str(first("audit", "owner"), "", "of nobody");
	for (int i = 0; i < 300; i++)
		(void)ask("POST", "/v1/keys", "", "{}");
	(void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	(void)ask("POST", "/v1/keys", "", "{}");
	is_int(ask("GET", "/v1/audit?action=refused&limit=1", ADMIN, ""), 200, "after many");
	has_str(first("audit", "outcome"), " more were refused", "one line stands for those that came too fast");
}

static void test_gone(void)
{
	int fd = edge_connect(&edge);

	edge_say(&edge, fd,
		 "POST /v1/keys HTTP/1.1\r\n" TCP_HOST ADMIN "Content-Length: 15\r\n\r\n{\"owner\":\"gone\"}");
	(void)close(fd);
	edge_turn(&edge, 50);
	is_int(ask("GET", "/open", "", ""), 200, "a client that goes away while a key is made does no harm");
	fd = edge_connect(&edge);
	edge_say(&edge, fd, "GET /v1/audit HTTP/1.1\r\n" TCP_HOST ADMIN "\r\n");
	for (int i = 0; i < 3; i++)
		(void)uv_run(&edge.loop, UV_RUN_NOWAIT); /* the request is read, its answer is being looked for */
	close_store();
	(void)edge_read(&edge, fd, got.text, sizeof(got.text), "\r\n\r\n", NULL);
	has_str(got.text, "HTTP/1.1 ", "nor does an end while somebody waits");
	(void)close(fd);
	edge_turn(&edge, 10);
}

/* ---- secrets ---- */

static void look_for_secrets(const char *what, const struct buf *text)
{
	size_t found = 0;

	for (size_t i = 0; i < n_secrets; i++) {
		if (text->size && memmem(text->data, text->size, secrets[i], strlen(secrets[i]))) {
			found++;
			diag("%s holds secret %zu", what, i);
		}
	}
	is_int(found, 0, "%s: none of %zu secrets in %zu bytes", what, n_secrets, text->size);
	ok(text->size > 1000, "of which there are enough to look at");
}

static void print_settings(struct buf *out)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	need(f, "a stream");
	settings_print(&settings, false, f);
	settings_print(&settings, true, f);
	settings_help(f);
	(void)fclose(f);
	(void)buf_append(out, text, size);
	free(text);
}

static void test_secrets(int log_fd)
{
	cleanup_buf struct buf log = BUF_INIT, printed = BUF_INIT, file = BUF_INIT;

	need(lseek(log_fd, 0, SEEK_SET) == 0 && fd_read_all(log_fd, 16 << 20, &log, NULL) == 0, "the log is read");
	print_settings(&printed);
	need(fd_read_file(state_fd, "cubit.db", 64 << 20, &file, NULL) == 0, "the database is read");
	has_str(buf_str(&log), "action=key.make", "the log has the audit");
	has_str(buf_str(&log), "a wrong key was presented", "and wrong keys");
	look_for_secrets("the log", &log);
	look_for_secrets("answers", &said);
	look_for_secrets("printed settings", &printed);
	look_for_secrets("the database", &file);
}

int main(void)
{
	const char *dir = getenv("CUBIT_TEST_DIR");
	char *const env[] = { (char[]){ "CUBIT_ADMIN_KEY=" ADMIN_KEY }, (char[]){ "CUBIT_RATE=100000" }, NULL };
	const struct settings_sources from = { .environment = env, .dotenv = "/nowhere/.env", .etc = "/nowhere/etc" };
	struct http_options o = { .routes = routes, .gate = gate, .done = request_done };
	struct error err = ERROR_INIT;
	char made[] = "/tmp/cubit-test-XXXXXX", log_path[256];
	int log_fd;

	http_limits_defaults(&o.limits);
	if (!dir)
		dir = mkdtemp(made);
	need(dir, "a directory");
	(void)snprintf(log_path, sizeof(log_path), "%s/log", dir);
	log_fd = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(log_fd >= 0 && state_fd >= 0, "with a log");
	log_init(log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	keep_secret(ADMIN_KEY);
	need(settings_load_from(&from, &settings, &err) == 0, "settings %s", err.text);
	auth_of = find_auth;
	edge_start(&edge, &o);
	need(pipe2(hold, O_CLOEXEC) == 0, "a pipe");
	open_store();
	test_starting();
	wait_ready();
	(void)close(hold[0]);
	hold[0] = -1;
	test_gate();
	test_bad_keys();
	test_keys();
	test_sessions();
	test_quotas();
	test_audit();
	test_audit_refused();
	test_audit_bound();
	test_gone();
	edge_stop(&edge);
	test_secrets(log_fd);
	json_decref(got.json);
	buf_done(&said);
	settings_done(&settings);
	(void)close(log_fd);
	(void)close(state_fd);
	return done_testing();
}
