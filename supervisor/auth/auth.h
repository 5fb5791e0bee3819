/*
 * Who calls, and what they may do: keys with scopes, owner, quotas and token bucket; peer credentials of the unix
 * socket; browser sessions from a one-time login link; the audit log. Every door goes through auth_admit().
 *
 *   key        "cubit_" and 43 characters of base64url (32 random bytes). Stored: its SHA-256 only. Compared in
 *              constant time (a lookup by hash prefix, then CRYPTO_memcmp).
 *   admin key  made by the monitor; the front knows only its hash (CUBIT_ADMIN_HASH).
 *   guest      who presents nothing, where CUBIT_GUESTS names a key: has its scope `run`, its quotas and its allow-list, as an
 *              owner of its own: GUEST_OWNER and the address, of IPv6 the /64. Each has its own bucket and quotas.
 *   unix peer  uid 0 is admin. Others need a key, the account of the front (CUBIT_USER) too. No bucket.
 *   session    cookie cubit_session, HttpOnly, SameSite=Strict, 12 h; made by GET /login?token=, where the token comes from
 *              POST /v1/login (admin or any key: the session has that key's rights) and works once, for 10 minutes.
 *              A request with a cookie that changes something must not be cross-origin.
 *
 * Keys live in the database (supervisor/queue/db.h) and, all of them (at most 10000), in memory: a check costs no disk.
 * Sessions and login links live in memory only: a restart of the front ends them. What owners used today is written with
 * the next commit after each job; a front that is killed forgets what came after its last one.
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth;
struct db;
struct error;
struct http_request;
struct http_route;
struct settings;

enum scope {
	SCOPE_RUN = 1,
	SCOPE_CUBES = 2,
	SCOPE_IMAGES = 4,
	SCOPE_POLICIES = 8,
	SCOPE_ADMIN = 16,
	SCOPE_STATUS = 32
};
extern const char *const auth_scopes[]; /* "run" ... "status", NULL-terminated, lowest bit first */

/* 0: no bound. */
struct auth_quota {
	uint64_t jobs;                   /* running and waiting at once */
	uint64_t cpu_ms_per_day;         /* used up by results */
	uint64_t bytes_per_day;          /* of bodies taken in and output handed out */
	uint64_t rate_per_s, rate_burst; /* 0: the settings' */
};

/* What a key that is given to many (a page, a course) may run; "" and 0: whatever its scopes allow. */
struct auth_allow {
	char runtimes[512], policies[256];                 /* names separated by blanks */
	uint64_t wall_ms, memory, processes, output, disk; /* the most that a job may ask for */
};

/* The caller of one request: http_caller(). Plain data, copied. */
struct caller {
	char owner[65];
	char key_id[33]; /* "admin", "unix", or the key's public id */
	unsigned scopes;
	struct auth_quota quota;
	bool is_session;
	bool is_guest; /* came without a key; owner is its address, key_id the key whose rights it has */
	bool is_root;  /* root on the unix socket, whatever its key: no rate holds it, and it may use reserves */
	char peer[64], request[80]; /* of the request that it made; for the audit log */
};
static inline bool caller_is_admin(const struct caller *c)
{
	return (c->scopes & SCOPE_ADMIN) != 0;
}

/*
 * settings    borrowed for life; rate_per_s and rate_burst may change
 * admin_hash  64 hex digits, "sha256:" in front or not
 * ret         auth_free(), before db_close()
 * Loads the keys: ready is called then, on the loop; before that every caller with a key is told to come back (503).
 */
int auth_open(struct db *db, const struct settings *settings, const char *admin_hash,
	      void (*ready)(const struct error *e, void *arg), void *arg, struct auth **ret, struct error *err);
void auth_free(struct auth *a);

/* Told when a key is gone: what runs on its rights (open streams) ends. Not told of requests, which are short. */
void auth_on_revoked(struct auth *a, void (*fn)(const char *key_id, void *arg), void *arg);
/* Is the key still there that this caller came with? For what was asked while it was being deleted. */
bool auth_is_valid(const struct auth *a, const struct caller *c);

/*
 * The gate of the HTTP server (http_gate): find the caller, check the route's scope, take from the bucket, set
 * RateLimit-Limit, -Remaining, -Reset, and http_set_caller(). Answers 401 (with WWW-Authenticate), 403 naming the
 * missing scope, 429 with Retry-After itself and returns false. Unknown callers are limited by peer address; after many
 * wrong keys from one address a further wrong one gets 429. A right one is never kept out by wrong ones.
 */
bool auth_admit(struct auth *a, struct http_request *rq, const struct http_route *route);

/* The allow-list of the caller's key; NULL: it has none. Borrowed until the loop goes on. */
const struct auth_allow *auth_allowed(const struct auth *a, const struct caller *c);

/* Once a second: keys whose time is over end, and what runs on their rights. */
void auth_tick(struct auth *a);

/* Quotas. Returns 0, or -EDQUOT with err "jobs: 5 of 5 ..." and ret_retry_s filled. Balanced by auth_job_ended. */
int auth_job_begins(struct auth *a, const struct caller *c, unsigned *ret_retry_s, struct error *err);
void auth_job_ended(struct auth *a, const char *owner, uint64_t cpu_ms, uint64_t bytes);
/* A job that an earlier front began waits or runs on: counts among `jobs` of its owner, whatever the quota says. */
void auth_job_resumed(struct auth *a, const char *owner);
/*
 * For http_done_fn: the body that was taken in counts for the caller; who was turned away (401, 403, 429), at the gate or
 * behind it, gets a line in the audit log, as far as these do not come too often. route NULL: there was none.
 */
void auth_request_done(struct auth *a, struct http_request *rq, const struct http_route *route, int status);

/* ---- handlers: GET/POST /v1/keys, DELETE /v1/keys/{id}, POST /v1/login, GET /login, GET /v1/audit, GET /v1/usage ---- */
/* http_arg() is not theirs to know: `auth_of` of the front gives them their struct. */
extern struct auth *(*auth_of)(struct http_request *rq);
void auth_list_keys(struct http_request *rq);
/* {owner, scopes[], quota{}, allow{}, expires_s, note} -> 201 {id, key (shown once), ...} */
void auth_make_key(struct http_request *rq);
void auth_delete_key(struct http_request *rq);
/*
 * POST /v1/jobs/{id}/ticket: 201 {ticket, expires_at}. Pages cannot set headers on an EventSource or a WebSocket: ?ticket=
 * opens the streams of this one job with the rights of the key that asked, for ten minutes, as often as it breaks.
 */
void auth_make_ticket(struct http_request *rq);
void auth_make_login(struct http_request *rq); /* 201 {url, expires_at} */
void auth_login(struct http_request *rq);      /* sets the cookie, 303 to / */
void auth_list_audit(struct http_request *rq); /* paged by cursor, newest first; ?owner= ?action= */
void auth_show_usage(struct http_request *rq); /* of the caller; admin: of ?owner= */
void auth_logout(struct http_request *rq);     /* POST /v1/logout, for everybody: ends the session, 204 */

/*
 * One line of the audit log: who did what to which object, from where, and how it ended. Written through the database;
 * of each action so many lines are kept, so that many runs do not push a key out. Secrets never.
 */
void auth_audit(struct auth *a, struct http_request *rq, const char *action, const char *object, const char *outcome);

/* By whom and from where, for what ends after its request did. */
struct audit_who {
	char owner[65], key_id[33], peer[64], request[80];
};
void auth_audit_who(struct http_request *rq, struct audit_who *ret);
void auth_audit_caller(const struct caller *caller, struct audit_who *ret);
/* Of what everybody does all the time: the line goes into the database with others, db_post_later(). */
void auth_audit_write_later(struct auth *a, const struct audit_who *who, const char *action, const char *object,
			    const char *outcome);
void auth_audit_write(struct auth *a, const struct audit_who *who, const char *action, const char *object,
		      const char *outcome);

/*
 * A one-time login token for the link that is printed at start. as: whose rights; key_id "admin" or "unix" is the admin.
 * Returns 0, or -ENOENT: that key is gone; -EPERM: a session makes no session.
 */
int auth_login_token(struct auth *a, const struct caller *as, char ret[64], struct error *err);

/* Who was turned away at the gate, and why. */
enum auth_refusal {
	AUTH_NO_KEY,
	AUTH_WRONG_KEY,
	AUTH_TOO_MANY_WRONG_KEYS,
	AUTH_NO_SCOPE,
	AUTH_CROSS_ORIGIN,
	AUTH_TOO_MANY_REQUESTS,
	AUTH_STARTING,
	AUTH_REFUSALS,
};
extern const char *const auth_refusal_names[AUTH_REFUSALS]; /* for METRIC_AUTH_REFUSALS_TOTAL */

struct auth_counts {
	uint64_t refusals[AUTH_REFUSALS]; /* ever */
	uint64_t keys, sessions;          /* now */
	uint64_t audit_lost;              /* lines that the database did not take; they are in the log */
};
void auth_counts(const struct auth *a, struct auth_counts *ret);
