/* Who calls, and what they may do: life and quotas. See auth.h; the gate is gate.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "supervisor/auth/auth_impl.h"

#include "runtime/base/error.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/http/http.h"

struct auth *(*auth_of)(struct http_request *rq);

/* ---- works and the end ---------------------------------------------------------------------------------------- */

static void destroy(struct auth *a)
{
	key_table_done(&a->keys);
	usage_table_done(&a->usage);
	ticket_table_done(&a->sessions);
	ticket_table_done(&a->logins);
	ticket_table_done(&a->tickets);
	peer_table_free(a->peers);
	free(a);
}

static void on_gone(struct http_request *rq, void *data)
{
	struct auth_op *op = data;

	(void)rq;
	op->rq = NULL;
}

void auth_op_begin(struct auth_op *op, struct auth *a, struct http_request *rq)
{
	*op = (struct auth_op){ .a = a, .rq = rq };
	a->n_pending++;
	if (rq)
		http_on_gone(rq, on_gone, op);
}

void auth_op_end(struct auth_op *op)
{
	struct auth *a = op->a;

	a->n_pending--;
	if (a->is_closing && a->n_pending == 0)
		destroy(a);
}

int auth_open(struct db *db, const struct settings *settings, const char *admin_hash,
	      void (*ready)(const struct error *e, void *arg), void *arg, struct auth **ret, struct error *err)
{
	struct auth *a = alloc_zeroed(1, sizeof(*a));
	int r;

	a->db = db;
	a->settings = settings;
	a->ready = ready;
	a->ready_arg = arg;
	a->peers = peer_table_new();
	r = key_hash_parse(admin_hash, a->admin_hash, err);
	if (r < 0) {
		error_wrap(err, "CUBIT_ADMIN_HASH");
		destroy(a);
		return r;
	}
	ticket_table_init(&a->sessions, SESSIONS_MAX, SESSIONS_EACH, SESSION_S * NS_PER_S);
	ticket_table_init(&a->logins, LOGINS_MAX, LOGINS_EACH, LOGIN_S * NS_PER_S);
	ticket_table_init(&a->tickets, TICKETS_MAX, TICKETS_EACH, TICKET_S * NS_PER_S);
	if (auth_store_load(a) < 0) {
		destroy(a);
		return error_set(err, EAGAIN, "keys: the database does not accept work");
	}
	*ret = a;
	return 0;
}

void auth_on_revoked(struct auth *a, void (*fn)(const char *key_id, void *arg), void *arg)
{
	a->revoked = fn;
	a->revoked_arg = arg;
}

bool auth_is_valid(const struct auth *a, const struct caller *c)
{
	return strcmp(c->key_id, "admin") == 0 || strcmp(c->key_id, "unix") == 0 ||
	       key_table_find_id(&a->keys, c->key_id) != NULL;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	do { /* behind one that is under way: the database keeps the order */
		a->is_flushing = false;
	} while (auth_store_flush(a));
	a->is_closing = true;
	if (a->n_pending == 0)
		destroy(a);
}

/* ---- quotas --------------------------------------------------------------------------------------------------- */

/* Addresses are cheap: of guests, no more are counted than have room. */
static bool may_be_counted(struct auth *a, const char *owner, uint64_t day)
{
	if (usage_find(&a->usage, owner) || a->usage.n < GUESTS_MAX)
		return true;
	usage_forget(&a->usage, day);
	return a->usage.n < GUESTS_MAX;
}

int auth_job_begins(struct auth *a, const struct caller *c, unsigned *ret_retry_s, struct error *err)
{
	uint64_t now_ms = time_now_ms();
	struct usage *u;
	int r;

	if (c->is_guest && !may_be_counted(a, c->owner, usage_day(now_ms))) {
		*ret_retry_s = 60;
		return error_set(err, EDQUOT, "guests: too many of them were here today");
	}
	u = usage_get(&a->usage, c->owner, usage_day(now_ms));
	r = usage_check(u, &c->quota, now_ms, ret_retry_s, err);
	if (r == 0)
		u->jobs_now++;
	return r;
}

void auth_job_resumed(struct auth *a, const char *owner)
{
	usage_get(&a->usage, owner, usage_day(time_now_ms()))->jobs_now++;
}

void auth_job_ended(struct auth *a, const char *owner, uint64_t cpu_ms, uint64_t bytes)
{
	struct usage *u = usage_get(&a->usage, owner, usage_day(time_now_ms()));

	u->jobs_now -= u->jobs_now > 0; /* a job of an earlier front that nobody resumed */
	u->jobs++;
	u->cpu_ms += cpu_ms;
	u->bytes += bytes;
	u->is_dirty = true;
	(void)auth_store_flush(a); /* with the next commit */
}

void auth_request_done(struct auth *a, struct http_request *rq, const struct http_route *route, int status)
{
	const struct caller *c = http_caller(rq);
	struct usage *u;
	size_t size;

	if (route && (status == 401 || status == 403 || status == 429))
		audit_refused(a, rq, route, status);
	(void)http_body(rq, &size);
	if (!c || !c->owner[0] || size == 0 || (c->is_guest && !usage_find(&a->usage, c->owner)))
		return;
	u = usage_get(&a->usage, c->owner, usage_day(time_now_ms()));
	u->bytes += size;
	u->is_dirty = true; /* written with the next job: nobody waits for it */
}

void auth_counts(const struct auth *a, struct auth_counts *ret)
{
	*ret = a->counts;
	ret->keys = a->keys.n;
	ret->sessions = a->sessions.n;
}
