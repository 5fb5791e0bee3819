/*
 * What the parts of the auth module share: auth.c (life, quotas), gate.c, store.c, key_api.c, login_api.c, audit.c.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/auth/auth.h"
#include "supervisor/auth/key.h"
#include "supervisor/auth/peer_table.h"
#include "supervisor/auth/ticket.h"
#include "supervisor/auth/usage.h"

struct error;
struct http_request;

#define ADMIN_OWNER    "admin"
#define SESSION_COOKIE "cubit_session"
#define GUEST_OWNER    "guest-" /* what an address follows; keys have no such owner */

enum {
	SESSIONS_MAX = 4096,
	SESSIONS_EACH = 64,
	SESSION_S = 12 * 3600,
	LOGINS_MAX = 256,
	LOGINS_EACH = 8,
	LOGIN_S = 600,
	TICKETS_MAX = 8192,
	TICKETS_EACH = 1024,
	TICKET_S = 600,
	GUESTS_MAX = 20000, /* owners of whom something is counted, all kinds together, when one more guest comes */
	AUDIT_EACH = 20000, /* lines kept of each action */
	/* lines: finding the oldest of an action walks over all of its lines. A prime: actions that take turns, as a
	 * submission and its end do, each meet it */
	AUDIT_TRIM_EVERY = 61,
	AUDIT_TEXT_BYTES = 257,
};

struct auth {
	struct db *db;
	const struct settings *settings;
	uint8_t admin_hash[KEY_HASH_BYTES];
	struct key_table keys;
	struct peer_table *peers;
	struct bucket admin_bucket, log_bucket, refused_bucket;
	unsigned n_unsaid; /* refusals without a line in the audit log since the last that has one */
	struct ticket_table sessions, logins, tickets; /* tickets: for the streams of one job */
	struct usage_table usage;
	struct auth_counts counts;
	void (*ready)(const struct error *e, void *arg);
	void *ready_arg;
	void (*revoked)(const char *key_id, void *arg); /* may be NULL */
	void *revoked_arg;
	size_t n_pending; /* works at the database that will come back to us */
	bool is_ready, is_closing, is_flushing;
};

/*
 * One work at the database and, perhaps, the request that waits for it; the first member of what is posted. Counted, so
 * that the auth outlives its works; the request may go away in between.
 */
struct auth_op {
	struct auth *a;
	struct http_request *rq; /* NULL: nobody waits (any more) */
};
void auth_op_begin(struct auth_op *op, struct auth *a, struct http_request *rq);
/* Last thing to do with it; the memory stays the caller's. */
void auth_op_end(struct auth_op *op);

/* ---- gate.c ---- */

/* What a request says about who asks. */
struct ask {
	const char *authorization, *api_key, *session; /* header values, cookie; NULL: not there */
	const char *ticket, *job;                      /* ?ticket= of a stream, and whose stream; NULL: none */
	const char *peer;
	bool has_uid; /* unix socket */
	uid_t uid;
	bool is_changing; /* not just looking */
	bool is_foreign;  /* from a page of another origin */
	unsigned scope;   /* that the route needs */
	uint64_t now_ns;
};

/* The answer of the gate. */
struct admission {
	struct caller caller;
	int status; /* 0: go on; otherwise refuse with the four below */
	const char *code;
	char text[160];
	const char *challenge; /* WWW-Authenticate, or NULL */
	unsigned retry_s;      /* 0: none */
	bool has_limit;
	struct bucket_left left;
	uint64_t limit;
};
void gate_decide(struct auth *a, const struct ask *ask, struct admission *ret);

/* Count a wrong token against its address, like a wrong key. false: too many already. */
bool gate_count_wrong(struct auth *a, const char *peer, uint64_t now_ns);

/* ---- store.c ---- */

/* Bring up the tables, read keys and today's usage; a->ready is called. Returns 0 or -EAGAIN. */
int auth_store_load(struct auth *a);

/* Write what owners used, unless that is under way; again when more was used meanwhile. true: a write was posted. */
bool auth_store_flush(struct auth *a);

/* Post a change of one key. fn is called on the loop; frees op. Returns 0 or -EAGAIN. */
struct key_op {
	struct auth_op op;
	struct audit_who who;
	struct key *key; /* to add: owned */
	char id[KEY_ID_BYTES];
	char text[KEY_TEXT_BYTES]; /* shown once */
};
int auth_store_add_key(struct auth *a, struct key_op *op, void (*fn)(const struct error *e, void *op));
int auth_store_delete_key(struct auth *a, struct key_op *op, void (*fn)(const struct error *e, void *op)); /* -ENOENT */

/* ---- login_api.c ---- */

/* The rights that a key's hash stands for; false: the key is gone. */
bool auth_caller_of_hash(const struct auth *a, const uint8_t hash[KEY_HASH_BYTES], struct caller *ret,
			 struct key **ret_key);

/* ---- key_api.c ---- */

/* Refuse query parameters that are not in a list; false: answered. */
bool auth_query_is_known(struct http_request *rq, const char *const *names);
json_t *auth_scopes_json(unsigned scopes);
/* The text that is kept of an allow-list, and back. "" none. Returns 0 or -EINVAL. */
struct json_reader;
int auth_read_allow(struct json_reader *r, json_t *object, void *allow); /* a json_row_fn */
json_t *auth_allow_json(const struct auth_allow *allow);
int auth_allow_read(const char *text, struct auth_allow *ret, struct error *err);
json_t *auth_quota_json(const struct auth_quota *q);

/* ---- audit.c ---- */

/* A request that was answered with 401, 403 or 429. */
void audit_refused(struct auth *a, struct http_request *rq, const struct http_route *route, int status);
