/*
 * The gate: who asks, and may they. gate_decide() has no request and no clock, so that every case can be tested; what
 * surrounds it reads a request and gives the answer.
 *
 * In this order: a key or token that is presented counts and nothing else does, so a wrong one is refused even where
 * nobody is needed; then the peer of a unix socket; then the cookie of a session. Who has none of these is a guest, where
 * guests may come.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/alloc.h"
#include "supervisor/auth/auth_impl.h"

#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/http/http.h"
#include "supervisor/settings.h"

const char *const auth_scopes[] = { "run", "cubes", "images", "policies", "admin", "status", NULL };

const char *const auth_refusal_names[AUTH_REFUSALS] = {
	[AUTH_NO_KEY] = "no_key",
	[AUTH_WRONG_KEY] = "wrong_key",
	[AUTH_TOO_MANY_WRONG_KEYS] = "too_many_wrong_keys",
	[AUTH_NO_SCOPE] = "no_scope",
	[AUTH_CROSS_ORIGIN] = "cross_origin",
	[AUTH_TOO_MANY_REQUESTS] = "too_many_requests",
	[AUTH_STARTING] = "starting",
};

/* clang-format off */
static const struct {
	int status;
	const char *code, *challenge;
} refusals[AUTH_REFUSALS] = {
	[AUTH_NO_KEY]              = { 401, "unauthorized", "Bearer realm=\"cubit\"" },
	[AUTH_WRONG_KEY]           = { 401, "unauthorized", "Bearer realm=\"cubit\", error=\"invalid_token\"" },
	[AUTH_TOO_MANY_WRONG_KEYS] = { 429, "rate_limited", NULL },
	[AUTH_NO_SCOPE]            = { 403, "forbidden", NULL },
	[AUTH_CROSS_ORIGIN]        = { 403, "cross_origin", NULL },
	[AUTH_TOO_MANY_REQUESTS]   = { 429, "rate_limited", NULL },
	[AUTH_STARTING]            = { 503, "starting", NULL },
};
/* clang-format on */

/* Twenty wrong keys from one address, then one each three seconds. */
static const struct bucket_rate wrong_keys = { .interval_ns = 3 * NS_PER_S, .depth = 20 };
static const struct bucket_rate log_lines = { .interval_ns = NS_PER_S, .depth = 10 };

__attribute__((format(printf, 4, 5))) static void refuse(struct auth *a, struct admission *ret, enum auth_refusal why,
							 const char *fmt, ...)
{
	va_list ap;

	ret->status = refusals[why].status;
	ret->code = refusals[why].code;
	ret->challenge = refusals[why].challenge;
	va_start(ap, fmt);
	(void)vsnprintf(ret->text, sizeof(ret->text), fmt, ap); /* fits */
	va_end(ap);
	a->counts.refusals[why]++;
}

/* ---- wrong keys ----------------------------------------------------------------------------------------------- */

bool gate_count_wrong(struct auth *a, const char *peer, uint64_t now_ns)
{
	if (!bucket_take(&peer_table_get(a->peers, peer)->wrong_keys, &wrong_keys, now_ns, NULL))
		return false;
	if (bucket_take(&a->log_bucket, &log_lines, now_ns, NULL))
		log_warning(LOG_FACTS(LOG_STR("peer", peer)), "a wrong key was presented");
	return true;
}

/* ---- who asks ------------------------------------------------------------------------------------------------- */

/* "Bearer KEY", any case, RFC 9110 §11.1. NULL: no key; another scheme is somebody else's. */
static const char *bearer(const char *authorization)
{
	if (!authorization || strncasecmp(authorization, "Bearer", 6) != 0 || authorization[6] != ' ')
		return NULL;
	return authorization + 6 + strspn(authorization + 6, " ");
}

static void set_admin(struct caller *c, const char *key_id)
{
	*c = (struct caller){ .scopes = SCOPE_ADMIN };
	(void)text_copy(c->owner, sizeof(c->owner), ADMIN_OWNER);
	(void)text_copy(c->key_id, sizeof(c->key_id), key_id);
}

bool auth_caller_of_hash(const struct auth *a, const uint8_t hash[KEY_HASH_BYTES], struct caller *ret,
			 struct key **ret_key)
{
	struct key *key = key_table_find(&a->keys, hash);

	*ret_key = NULL;
	if (key && key_is_over(key, time_now_ms()))
		return false;
	*ret_key = key;
	if (key) {
		*ret = (struct caller){ .scopes = key->scopes, .quota = key->quota };
		(void)text_copy(ret->owner, sizeof(ret->owner), key->owner);
		(void)text_copy(ret->key_id, sizeof(ret->key_id), key->id);
		return true;
	}
	if (!key_hash_equal(hash, a->admin_hash))
		return false;
	set_admin(ret, "admin");
	return true;
}

/*
 * A key that was presented. A right one always gets in, however many wrong ones came from its address: that may be a
 * proxy's, and nobody shall lock others out. What bounds guessing is the length of the keys.
 */
static void decide_key(struct auth *a, const struct ask *ask, const char *text, struct admission *ret,
		       struct key **ret_key)
{
	size_t size = strnlen(text, KEY_TEXT_MAX + 1);
	uint8_t hash[KEY_HASH_BYTES];

	if (size <= KEY_TEXT_MAX) {
		key_hash(text, size, hash);
		if (auth_caller_of_hash(a, hash, &ret->caller, ret_key))
			return;
	}
	ret->caller = (struct caller){ .scopes = 0 };
	if (!a->is_ready) {
		ret->retry_s = 1;
		refuse(a, ret, AUTH_STARTING, "the keys are still being read");
	} else if (!gate_count_wrong(a, ask->peer, ask->now_ns)) {
		ret->retry_s = (unsigned)(wrong_keys.interval_ns / NS_PER_S);
		refuse(a, ret, AUTH_TOO_MANY_WRONG_KEYS, "too many wrong keys came from this address");
	} else {
		refuse(a, ret, AUTH_WRONG_KEY, "%s",
		       size <= KEY_TEXT_MAX && key_table_find(&a->keys, hash) ? "this key has expired"
									      : "this key is not known");
	}
}

/* A cookie that is not known is none: its session is over. */
static void decide_session(struct auth *a, const struct ask *ask, struct admission *ret, struct key **ret_key)
{
	const struct ticket *t = ticket_find(&a->sessions, ask->session, ask->now_ns);

	if (!t || !auth_caller_of_hash(a, t->holder, &ret->caller, ret_key))
		return;
	ret->caller.is_session = true;
	if (ask->is_changing && ask->is_foreign) {
		ret->caller = (struct caller){ .scopes = 0 };
		*ret_key = NULL;
		refuse(a, ret, AUTH_CROSS_ORIGIN,
		       "a page of another origin may not use this session; see CUBIT_ORIGINS");
	}
}

/* A ticket opens the streams of its job and nothing else. Like a key, what is presented counts. */
static void decide_ticket(struct auth *a, const struct ask *ask, struct admission *ret, struct key **ret_key)
{
	const struct ticket *t = ticket_find(&a->tickets, ask->ticket, ask->now_ns);

	if (t && t->subject[0] && ask->job && strcmp(t->subject, ask->job) == 0 &&
	    auth_caller_of_hash(a, t->holder, &ret->caller, ret_key)) {
		ret->caller.is_session = true;
		return;
	}
	ret->caller = (struct caller){ .scopes = 0 };
	*ret_key = NULL;
	if (gate_count_wrong(a, ask->peer, ask->now_ns)) {
		refuse(a, ret, AUTH_WRONG_KEY,
		       "this ticket is not known, is older than ten minutes, or is for another job");
		return;
	}
	ret->retry_s = (unsigned)(wrong_keys.interval_ns / NS_PER_S);
	refuse(a, ret, AUTH_TOO_MANY_WRONG_KEYS, "too many wrong keys came from this address");
}

/* An address as an owner: what cannot be in an id is a dash. */
static void guest_owner(const char *peer, char *ret, size_t room)
{
	char name[PEER_NAME_BYTES];

	peer_name(peer, name);
	for (char *p = name; *p; p++)
		if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || *p == '.'))
			*p = '-';
	(void)snprintf(ret, room, GUEST_OWNER "%s", name); /* fits */
}

/* Like a session, a page of another origin must not do things in the name of whoever looks at it. */
static void decide_guest(struct auth *a, const struct ask *ask, struct admission *ret)
{
	const struct key *key = *a->settings->guests ? key_table_find_id(&a->keys, a->settings->guests) : NULL;

	if (ask->has_uid || !key || key_is_over(key, time_now_ms()) || !(key->scopes & SCOPE_RUN))
		return;
	if (ask->is_changing && ask->is_foreign) {
		refuse(a, ret, AUTH_CROSS_ORIGIN,
		       "a page of another origin may not be used by guests; see CUBIT_ORIGINS");
		return;
	}
	ret->caller = (struct caller){ .scopes = SCOPE_RUN, .quota = key->quota, .is_guest = true };
	guest_owner(ask->peer, ret->caller.owner, sizeof(ret->caller.owner));
	(void)text_copy(ret->caller.key_id, sizeof(ret->caller.key_id), key->id);
}

static void decide_caller(struct auth *a, const struct ask *ask, struct admission *ret, struct key **ret_key)
{
	const char *text = bearer(ask->authorization);

	if (!text)
		text = ask->api_key;
	if (text)
		decide_key(a, ask, text, ret, ret_key);
	else if (ask->ticket)
		decide_ticket(a, ask, ret, ret_key);
	else if (ask->has_uid && ask->uid == 0)
		set_admin(&ret->caller, "unix");
	else if (ask->session)
		decide_session(a, ask, ret, ret_key);
	if (!text && !ask->ticket && ret->status == 0 && !*ret->caller.owner)
		decide_guest(a, ask, ret);
}

/* ---- how often ------------------------------------------------------------------------------------------------ */

static struct bucket *bucket_of(struct auth *a, const struct ask *ask, const struct admission *so_far, struct key *key)
{
	if (key)
		return &key->bucket;
	if (so_far->caller.scopes && !so_far->caller.is_guest)
		return &a->admin_bucket;
	return &peer_table_get(a->peers, ask->peer)->requests;
}

static void decide_rate(struct auth *a, const struct ask *ask, struct key *key, struct admission *ret)
{
	const struct auth_quota *q = &ret->caller.quota;
	uint64_t per_s = q->rate_per_s ? q->rate_per_s : a->settings->rate_per_s;
	uint64_t depth = q->rate_burst ? q->rate_burst : a->settings->rate_burst;
	struct bucket_rate rate = bucket_rate(per_s, depth);

	/* root on the unix socket is never held up, with whatever key it comes */
	if (per_s == 0 || strcmp(ret->caller.key_id, "unix") == 0 || ret->caller.is_root)
		return;
	ret->has_limit = true;
	ret->limit = rate.depth;
	if (bucket_take(bucket_of(a, ask, ret, key), &rate, ask->now_ns, &ret->left))
		return; /* otherwise also what was refused already is refused for this */
	ret->retry_s = (unsigned)ret->left.retry_s;
	refuse(a, ret, AUTH_TOO_MANY_REQUESTS, "more than %" PRIu64 " requests a second, or %" PRIu64 " at once", per_s,
	       rate.depth);
}

/* ---- for what ------------------------------------------------------------------------------------------------- */

static const char *scope_name(unsigned scope)
{
	for (size_t i = 0; auth_scopes[i]; i++) {
		if (scope & 1u << i)
			return auth_scopes[i];
	}
	return "?";
}

static void decide_scope(struct auth *a, const struct ask *ask, struct admission *ret)
{
	const struct caller *c = &ret->caller;

	if (ask->scope == 0 || (c->scopes & (ask->scope | SCOPE_ADMIN)))
		return;
	if (c->scopes && !c->is_guest)
		refuse(a, ret, AUTH_NO_SCOPE, "this needs a key with the scope '%s'", scope_name(ask->scope));
	else if (ask->has_uid)
		refuse(a, ret, AUTH_NO_KEY, "uid %u needs a key: Authorization: Bearer KEY", (unsigned)ask->uid);
	else
		refuse(a, ret, AUTH_NO_KEY, "this needs a key: Authorization: Bearer KEY");
}

void gate_decide(struct auth *a, const struct ask *ask, struct admission *ret)
{
	struct key *key = NULL;

	*ret = (struct admission){ .status = 0 };
	decide_caller(a, ask, ret, &key);
	ret->caller.is_root = ask->has_uid && ask->uid == 0;
	if (ret->status != 429)
		decide_rate(a, ask, key, ret);
	if (ret->status == 0)
		decide_scope(a, ask, ret);
}

/* ---- with a request ------------------------------------------------------------------------------------------- */

/* Browsers say where a request comes from even where they send no Origin. */
static bool is_foreign(struct http_request *rq)
{
	const char *site = http_header(rq, "sec-fetch-site");

	if (http_header(rq, "origin"))
		return http_is_cross_origin(rq);
	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

static bool is_changing(struct http_request *rq, const struct http_route *route)
{
	const char *m = http_method(rq);

	return (route->flags & HTTP_ROUTE_WS) || (strcmp(m, "GET") != 0 && strcmp(m, "HEAD") != 0);
}

static void set_limit_headers(struct http_request *rq, const struct admission *adm)
{
	if (!adm->has_limit)
		return;
	http_set_header_f(rq, "RateLimit-Limit", "%" PRIu64, adm->limit);
	http_set_header_f(rq, "RateLimit-Remaining", "%" PRIu64, adm->left.remaining);
	http_set_header_f(rq, "RateLimit-Reset", "%" PRIu64, adm->left.reset_s);
}

/*
 * Which job's stream a request is for, at every door that has streams; NULL when it says more than one: a door that reads
 * another name than we do would show a job that the ticket is not for.
 */
static const char *job_of(struct http_request *rq)
{
	static const char *const names[] = { "id", "jobId", "job_id" };
	const char *id = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *given[] = { http_param(rq, names[i]), http_query(rq, names[i]) };

		for (size_t k = 0; k < sizeof(given) / sizeof(given[0]); k++) {
			if (given[k] && id && strcmp(given[k], id) != 0)
				return NULL;
			id = given[k] ? given[k] : id;
		}
	}
	return id;
}

bool auth_admit(struct auth *a, struct http_request *rq, const struct http_route *route)
{
	struct ask ask = {
		.authorization = http_header(rq, "authorization"),
		.api_key = http_header(rq, "x-api-key"),
		.session = http_cookie(rq, SESSION_COOKIE),
		.peer = http_peer(rq),
		.is_changing = is_changing(rq, route),
		.is_foreign = is_foreign(rq),
		.scope = route->scope,
		.now_ns = clock_now_ns(),
	};
	struct admission adm;
	struct caller *caller;
	pid_t pid;

	if (route->flags & (HTTP_ROUTE_STREAM | HTTP_ROUTE_WS)) {
		ask.ticket = http_query(rq, "ticket");
		ask.job = job_of(rq);
	}

	ask.has_uid = http_peer_cred(rq, &ask.uid, &pid);
	gate_decide(a, &ask, &adm);
	set_limit_headers(rq, &adm);
	if (adm.challenge)
		http_set_header(rq, "WWW-Authenticate", adm.challenge);
	if (adm.retry_s)
		http_set_header_f(rq, "Retry-After", "%u", adm.retry_s);
	caller = adm.status && !adm.caller.owner[0] ? NULL : alloc_bytes(sizeof(*caller));
	if (caller) { /* also who is turned away: the audit log says who it was */
		*caller = adm.caller;
		(void)text_copy(caller->peer, sizeof(caller->peer), http_peer(rq)); /* what is too long is left out */
		(void)text_copy(caller->request, sizeof(caller->request), http_id(rq));
		http_set_caller(rq, caller, free);
	}
	if (adm.status)
		http_error(rq, adm.status, adm.code, NULL, "%s", adm.text);
	return adm.status == 0;
}
