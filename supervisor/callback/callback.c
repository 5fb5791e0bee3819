/*
 * Callbacks as life cycles: see callback.h. What is kept is in rows.c, how one is sent in delivery.c, where none may go
 * in address.c.
 *
 *   ARMED -> DUE -> ASKED -> SENDING -> OVER (its row is being removed) -> gone
 *     ^       ^       |         |
 *     |       `-------|---------'   a try failed: due again, after the backoff
 *     `---------------'             at start every callback is DUE: perhaps its job ended while we were away
 *
 * Everything that is not ARMED stands in one list, in the order in which it became due, that a timer walks. All calls
 * out (of the result function, of libcurl) are made from that walk, on the loop, never from inside a call of ours.
 */
#include "supervisor/callback/callback.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/callback/address.h"
#include "supervisor/callback/callback_impl.h"
#include "supervisor/callback/delivery.h"
#include "supervisor/callback/rows.h"
#include "supervisor/settings.h"

enum {
	TRIES = 12,
	BACKOFF_FIRST_MS = 1000,
	BACKOFF_MOST_MS = 10 * 60 * 1000,
	RETRY_AFTER_MOST_MS = 60 * 60 * 1000,
	DELIVERY_TIMEOUT_MS = 20 * 1000,
	ASKED_MS = 30 * 1000, /* then a result that did not come is asked for again */
	UNSAVED_MS = 1000,    /* then the database is tried again */
	ASKED_MAX = 4,        /* results asked for at once; each may be tens of MB */
	SENDING_MAX = 16,
	SENDING_HOST_MAX = 4,      /* to one host: a slow receiver does not hold up the others */
	HELD_BYTES_MAX = 64 << 20, /* of results under way: above it no further one is asked for */
};

/* A job of which nothing is known at start, with a callback older than this, never comes back. */
static const uint64_t FORGOTTEN_MS = UINT64_C(30) * 24 * 3600 * 1000;

enum state { ARMED, DUE, ASKED, SENDING, OVER, STATES };
enum event { EV_FIRE, EV_TIME, EV_RESULT, EV_NO_RESULT, EV_DONE, EV_FAILED, EV_REFUSED, EV_DISARM, EVENTS };

struct callback {
	TAILQ_ENTRY(callback) link; /* in callbacks.active; not for ARMED */
	struct callbacks *owner;
	struct callback_row row;
	char host[DELIVERY_HOST_BYTES];
	enum state state;
	uint64_t due_ns;     /* DUE: then; ASKED: then it is asked for again; OVER: then its removal is tried again */
	bool is_job_over;    /* known to be */
	bool is_fired_asked; /* the job ended while it was ASKED: NULL may be an answer from before that */
	bool is_unwanted;    /* disarmed while SENDING */
	bool is_removing;    /* OVER: posted, not answered */
	size_t held;         /* SENDING: bytes of the result */
};

/* What an event brings with it. */
struct event_arg {
	const char *json;
	const struct delivery_report *report;
};

typedef void action_fn(struct callback *e, const struct event_arg *arg);

TAILQ_HEAD(callback_list, callback);

struct callbacks {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct db *db;
	struct address_list *allowed;
	struct courier *courier;
	callbacks_result_fn *result;
	void *arg;
	struct callback_times times;
	void *by_id; /* tsearch(3) of struct callback */
	struct callback_list active;
	size_t n_known, n_armed, n_asked, n_sending, held;
	struct callback *sending[SENDING_MAX];
	struct callbacks_counts counts;
	size_t n_posted; /* works whose answers will still touch us */
	size_t n_handles;
	bool is_closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- the set of them ------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct callback *)a)->row.job_id, ((const struct callback *)b)->row.job_id);
}

static struct callback *find(const struct callbacks *c, const char *job_id)
{
	struct callback key = { .row = { .job_id = (char *)(uintptr_t)job_id } };
	void *const node = tfind(&key, &c->by_id, compare);

	return node ? *(struct callback **)node : NULL;
}

static void callback_free(void *p)
{
	struct callback *e = p;

	callback_row_done(&e->row);
	free(e);
}

/* Takes over what row holds. NULL: there is one of that id. */
static struct callback *callback_new(struct callbacks *c, struct callback_row *row)
{
	struct callback *e = alloc_zeroed(1, sizeof(*e));
	void *node;

	e->row = *row;
	node = tsearch(e, &c->by_id, compare);
	if (!node || *(struct callback **)node != e) {
		free(e);
		return NULL;
	}
	*row = (struct callback_row){ .job_id = NULL };
	e->owner = c;
	e->state = ARMED;
	c->n_known++;
	c->n_armed++;
	return e;
}

static void poke(struct callbacks *c);

/* The one place where a state changes: lists and numbers follow. */
static void go(struct callback *e, enum state state, uint64_t due_ns)
{
	struct callbacks *c = e->owner;

	if (e->state == ARMED)
		c->n_armed--;
	else
		TAILQ_REMOVE(&c->active, e, link);
	c->n_asked -= e->state == ASKED;
	if (e->state == SENDING) {
		c->held -= e->held;
		c->n_sending--;
		for (size_t i = 0; i < SENDING_MAX; i++) {
			if (c->sending[i] == e)
				c->sending[i] = NULL;
		}
	}
	e->state = state;
	e->due_ns = due_ns;
	if (state == ARMED)
		c->n_armed++;
	else
		TAILQ_INSERT_TAIL(&c->active, e, link);
	c->n_asked += state == ASKED;
	if (state == SENDING) {
		size_t i = 0;

		c->held += e->held;
		c->n_sending++;
		while (c->sending[i])
			i++;
		c->sending[i] = e;
	}
	poke(c);
}

static void callback_remove(struct callback *e)
{
	struct callbacks *c = e->owner;

	go(e, ARMED, 0); /* out of the list */
	c->n_armed--;
	c->n_known--;
	(void)tdelete(e, &c->by_id, compare);
	callback_free(e);
}

/* ---- the database --------------------------------------------------------------------------------------------- */

static void maybe_closed(struct callbacks *c)
{
	void (*closed)(void *arg) = c->closed;
	void *arg = c->closed_arg;

	if (!c->is_closing || c->n_posted > 0 || c->n_handles > 0)
		return;
	tdestroy(c->by_id, callback_free);
	address_list_free(c->allowed);
	free(c);
	if (closed)
		closed(arg);
}

static void on_due_kept(const struct error *e, const char *job_id, void *arg)
{
	struct callbacks *c = arg;

	if (e) /* what it costs: after a restart it is due earlier, with fewer tries counted */
		log_warning(LOG_FACTS(LOG_STR("job", job_id), LOG_STR("error", e->text)),
			    "cannot store when a callback is due next, ignoring");
	c->n_posted--;
	maybe_closed(c);
}

static void on_removed(const struct error *err, const char *job_id, void *arg)
{
	struct callbacks *c = arg;
	struct callback *e = find(c, job_id);

	c->n_posted--;
	if (e && e->state == OVER) {
		e->is_removing = false;
		if (!err)
			callback_remove(e);
		else
			go(e, OVER, clock_deadline_ns(UNSAVED_MS * NS_PER_MS));
	}
	maybe_closed(c);
}

/* Again, until the database has it: a row that stays would be delivered again after a restart. */
static void remove_row(struct callback *e, const struct event_arg *arg)
{
	struct callbacks *c = e->owner;

	(void)arg;
	if (e->is_removing)
		return;
	e->is_removing = callback_row_remove(c->db, &e->row, on_removed, c) == 0;
	c->n_posted += e->is_removing;
	go(e, OVER, e->is_removing ? CLOCK_NEVER : clock_deadline_ns(UNSAVED_MS * NS_PER_MS));
}

/* ---- what happens to one -------------------------------------------------------------------------------------- */

static void give_up(struct callback *e, const char *reason)
{
	e->owner->counts.given_up++;
	log_notice(LOG_FACTS(LOG_STR("job", e->row.job_id), LOG_STR("host", e->host), LOG_INT("tries", e->row.attempt),
			     LOG_STR("reason", reason)),
		   "callback given up");
	remove_row(e, NULL);
}

static void fire(struct callback *e, const struct event_arg *arg)
{
	(void)arg;
	e->is_job_over = true;
	go(e, DUE, clock_now_ns());
}

/* Its result is being read already, perhaps from before the job's end. */
static void fire_asked(struct callback *e, const struct event_arg *arg)
{
	(void)arg;
	e->is_fired_asked = !e->is_job_over;
	e->is_job_over = true;
}

static void ask(struct callback *e, const struct event_arg *arg)
{
	struct callbacks *c = e->owner;
	char job_id[128];

	(void)arg;
	(void)snprintf(job_id, sizeof(job_id), "%s",
		       e->row.job_id); /* e may be gone when the answer comes from inside */
	e->is_fired_asked = false;
	go(e, ASKED, clock_deadline_ns(ASKED_MS * NS_PER_MS));
	c->result(c, job_id, c->arg);
}

static void ask_again(struct callback *e, const struct event_arg *arg)
{
	(void)arg;
	go(e, DUE, clock_now_ns());
}

static void event(struct callback *e, enum event ev, const struct event_arg *arg);

static void on_report(const struct delivery_report *r, void *arg)
{
	static const enum event events[] = {
		[DELIVERY_DONE] = EV_DONE,
		[DELIVERY_FAILED] = EV_FAILED,
		[DELIVERY_REFUSED] = EV_REFUSED,
	};

	event(arg, events[r->outcome], &(struct event_arg){ .report = r });
}

static void send_it(struct callback *e, const struct event_arg *arg)
{
	struct callbacks *c = e->owner;
	size_t size = strlen(arg->json);
	char *body = alloc_text(arg->json);
	const char *space = strchr(e->row.job_id, ':');
	struct error err = ERROR_INIT;

	e->is_job_over = true;
	if (courier_send(c->courier, e->row.url, e->row.secret, space ? space + 1 : e->row.job_id, e->row.attempt + 1,
			 body, size, on_report, e, &err) < 0) {
		log_warning(LOG_FACTS(LOG_STR("job", e->row.job_id), LOG_STR("error", err.text)),
			    "cannot send a callback, retrying in %d s", UNSAVED_MS / 1000);
		go(e, DUE, clock_deadline_ns(UNSAVED_MS * NS_PER_MS));
		return;
	}
	e->row.attempt++;
	e->held = size;
	go(e, SENDING, CLOCK_NEVER);
}

static void no_result(struct callback *e, const struct event_arg *arg)
{
	(void)arg;
	if (e->is_fired_asked)
		go(e, DUE, clock_now_ns());
	else if (e->is_job_over)
		give_up(e, "its result is not known any more");
	else if (time_now_ms() > e->row.armed_ms + FORGOTTEN_MS)
		give_up(e, "its job is not known any more");
	else
		go(e, ARMED, 0);
}

static void delivered(struct callback *e, const struct event_arg *arg)
{
	e->owner->counts.delivered++;
	log_info(LOG_FACTS(LOG_STR("job", e->row.job_id), LOG_STR("host", e->host), LOG_INT("attempt", e->row.attempt)),
		 "callback delivered");
	remove_row(e, arg);
}

/* How long to wait after that many tries. */
static uint64_t backoff_ms(const struct callbacks *c, unsigned tries, unsigned asked_s)
{
	uint64_t ms = c->times.first_ms, asked_ms = (uint64_t)asked_s * 1000;

	for (unsigned i = 1; i < tries && ms < c->times.most_ms; i++)
		ms *= 2;
	if (ms > c->times.most_ms)
		ms = c->times.most_ms;
	if (asked_ms > c->times.most_asked_ms)
		asked_ms = c->times.most_asked_ms;
	return asked_ms > ms ? asked_ms : ms;
}

static void failed(struct callback *e, const struct event_arg *arg)
{
	struct callbacks *c = e->owner;
	uint64_t wait_ms = backoff_ms(c, e->row.attempt, arg->report->retry_after_s);

	c->counts.failed++;
	if (e->is_unwanted || e->row.attempt >= c->times.tries) {
		give_up(e, arg->report->reason);
		return;
	}
	log_info(LOG_FACTS(LOG_STR("job", e->row.job_id), LOG_STR("host", e->host), LOG_INT("attempt", e->row.attempt),
			   LOG_STR("reason", arg->report->reason)),
		 "callback failed, retrying in %llu ms", (unsigned long long)wait_ms);
	e->row.due_ms = time_now_ms() + wait_ms;
	go(e, DUE, clock_deadline_ns(wait_ms * NS_PER_MS));
	if (callback_row_set_due(c->db, &e->row, on_due_kept, c) == 0)
		c->n_posted++; /* otherwise: as in on_due_kept */
}

static void refused(struct callback *e, const struct event_arg *arg)
{
	e->owner->counts.failed++;
	give_up(e, arg->report->reason);
}

static void disarm_sending(struct callback *e, const struct event_arg *arg)
{
	(void)arg;
	e->is_unwanted = true;
}

/* clang-format off */
static action_fn *const actions[STATES][EVENTS] = {
	[ARMED]   = { [EV_FIRE] = fire, [EV_DISARM] = remove_row },
	[DUE]     = { [EV_FIRE] = fire, [EV_TIME] = ask, [EV_DISARM] = remove_row },
	[ASKED]   = { [EV_FIRE] = fire_asked, [EV_TIME] = ask_again, [EV_RESULT] = send_it, [EV_NO_RESULT] = no_result,
		      [EV_DISARM] = remove_row },
	[SENDING] = { [EV_DONE] = delivered, [EV_FAILED] = failed, [EV_REFUSED] = refused, [EV_DISARM] = disarm_sending },
	[OVER]    = { [EV_TIME] = remove_row },
}; /* an empty cell: nothing to do */
/* clang-format on */

static void event(struct callback *e, enum event ev, const struct event_arg *arg)
{
	action_fn *action = actions[e->state][ev];

	if (action)
		action(e, arg);
}

/* ---- the walk ------------------------------------------------------------------------------------------------- */

static bool is_host_busy(const struct callbacks *c, const struct callback *e)
{
	size_t n = 0;

	for (size_t i = 0; i < SENDING_MAX; i++)
		n += c->sending[i] && strcmp(c->sending[i]->host, e->host) == 0;
	return n >= SENDING_HOST_MAX;
}

/* Is there room for one more result? Those asked for will be sent, so they count as well. */
static bool may_ask(const struct callbacks *c, const struct callback *e)
{
	return c->n_asked < ASKED_MAX && c->n_asked + c->n_sending < SENDING_MAX && c->held < HELD_BYTES_MAX &&
	       !is_host_busy(c, e);
}

/*
 * One event can change the list under us, also by an answer that comes from inside: so each round looks for the first
 * that is due, and a round is bounded by what was there when it began.
 */
static struct callback *first_due(const struct callbacks *c, uint64_t now_ns)
{
	struct callback *e = NULL;

	TAILQ_FOREACH(e, &c->active, link)
	{
		if (e->due_ns <= now_ns && (e->state != DUE || may_ask(c, e)))
			return e;
	}
	return NULL;
}

static void on_timer(uv_timer_t *t);

/* When what waits for room gets it, an entry leaves ASKED or SENDING, and go() pokes: no time is needed for those. */
static void start_timer(struct callbacks *c)
{
	uint64_t now_ns = clock_now_ns(), next_ns = CLOCK_NEVER;
	struct callback *e = NULL;

	TAILQ_FOREACH(e, &c->active, link)
	{
		if (e->due_ns > now_ns && e->due_ns < next_ns)
			next_ns = e->due_ns;
	}
	if (next_ns != CLOCK_NEVER)
		(void)uv_timer_start(&c->timer, on_timer, (uint64_t)clock_poll_ms(next_ns), 0);
}

static void on_timer(uv_timer_t *t)
{
	struct callbacks *c = t->data;
	uint64_t now_ns = clock_now_ns();
	struct callback *e;

	for (size_t n = c->n_known; n > 0 && (e = first_due(c, now_ns)); n--)
		event(e, EV_TIME, NULL);
	start_timer(c);
	if (first_due(c, now_ns))
		poke(c);
}

static void poke(struct callbacks *c)
{
	if (!c->is_closing)
		(void)uv_timer_start(&c->timer, on_timer, 0, 0);
}

/* ---- what others call ----------------------------------------------------------------------------------------- */

int callbacks_check_url(const struct callbacks *c, const char *url, struct error *err)
{
	char host[DELIVERY_HOST_BYTES];

	return delivery_check_url(url, c->allowed, host, err);
}

struct arming {
	struct callbacks *owner;
	void (*done)(const struct error *e, void *arg);
	void *arg;
};

static void on_armed(const struct error *err, const char *job_id, void *arg)
{
	struct arming a = *(struct arming *)arg;
	struct callback *e = find(a.owner, job_id);

	free(arg);
	a.owner->n_posted--;
	if (err && e)
		callback_remove(e);
	a.done(err, a.arg);
	maybe_closed(a.owner);
}

int callbacks_arm(struct callbacks *c, const char *job_id, const char *url, const char *secret,
		  void (*done)(const struct error *e, void *arg), void *arg)
{
	struct callback_row row = { .armed_ms = time_now_ms() };
	char host[DELIVERY_HOST_BYTES];
	struct arming *a;
	struct callback *e;
	int r = delivery_check_url(url, c->allowed, host, NULL);

	if (r < 0)
		return r;
	if (find(c, job_id))
		return -EEXIST;
	row.job_id = alloc_text(job_id);
	row.url = alloc_text(url);
	row.secret = alloc_text(secret ? secret : "");
	e = callback_new(c, &row);
	if (!e) { /* of tsearch(3) */
		callback_row_done(&row);
		return -ENOMEM;
	}
	a = alloc_bytes(sizeof(*a));
	(void)snprintf(e->host, sizeof(e->host), "%s", host);
	*a = (struct arming){ .owner = c, .done = done, .arg = arg };
	r = callback_row_add(c->db, &e->row, on_armed, a);
	if (r < 0) {
		callback_remove(e);
		free(a);
		return r;
	}
	c->n_posted++;
	return 0;
}

static void event_for(struct callbacks *c, const char *job_id, enum event ev, const struct event_arg *arg)
{
	struct callback *e = find(c, job_id);

	if (e)
		event(e, ev, arg);
}

void callbacks_disarm(struct callbacks *c, const char *job_id)
{
	event_for(c, job_id, EV_DISARM, NULL);
}

void callbacks_fire(struct callbacks *c, const char *job_id)
{
	event_for(c, job_id, EV_FIRE, NULL);
}

void callbacks_result(struct callbacks *c, const char *job_id, const char *json)
{
	if (c->is_closing)
		return; /* nothing can be sent any more: the row asks again in the next life */
	event_for(c, job_id, json ? EV_RESULT : EV_NO_RESULT, &(struct event_arg){ .json = json });
}

void callbacks_counts(const struct callbacks *c, struct callbacks_counts *ret)
{
	*ret = c->counts;
	ret->armed = c->n_armed;
	ret->waiting = c->n_known - c->n_armed;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

/* A row of an earlier life: due when it says, or now, if its job may have ended since. */
static void resume(struct callbacks *c, struct callback_row *row)
{
	uint64_t now = time_now_ms(), wait_ms = row->due_ms > now ? row->due_ms - now : 0;
	unsigned tried = row->attempt;
	char host[DELIVERY_HOST_BYTES] = "-";
	struct callback *e;

	if (wait_ms > c->times.most_asked_ms) /* the clock was set back */
		wait_ms = c->times.most_asked_ms;
	/* what may be called can have changed since; judged again when it is sent */
	(void)delivery_check_url(row->url, c->allowed, host, NULL);
	e = callback_new(c, row);
	if (!e)
		return; /* it was armed again in this life, or stays for the next */
	memcpy(e->host, host, sizeof(host));
	e->is_job_over = tried > 0;
	go(e, DUE, clock_deadline_ns(wait_ms * NS_PER_MS));
}

static void on_loaded(const struct error *e, struct callback_row *rows, size_t n, void *arg)
{
	struct callbacks *c = arg;

	c->n_posted--;
	if (e)
		log_error(LOG_FACTS(LOG_STR("error", e->text)),
			  "cannot read the callbacks of earlier jobs, they will not be sent");
	for (size_t i = 0; i < n && !c->is_closing; i++)
		resume(c, &rows[i]);
	maybe_closed(c);
}

void callbacks_set_times(struct callbacks *c, const struct callback_times *times)
{
	c->times = *times;
}

int callbacks_open(uv_loop_t *loop, struct db *db, const struct settings *settings, callbacks_result_fn *result,
		   void *arg, struct callbacks **ret, struct error *err)
{
	struct callbacks *c = alloc_bytes(sizeof(*c));
	int r;

	*c = (struct callbacks){ .loop = loop, .db = db, .result = result, .arg = arg };
	c->times = (struct callback_times){ BACKOFF_FIRST_MS, BACKOFF_MOST_MS, RETRY_AFTER_MOST_MS, TRIES };
	TAILQ_INIT(&c->active);
	r = address_list_parse(settings->callback_networks, &c->allowed, err);
	if (r < 0)
		(void)error_wrap(err, "CUBIT_CALLBACK_NETWORKS");
	if (r == 0)
		r = courier_new(loop, c->allowed, DELIVERY_TIMEOUT_MS, &c->courier, err);
	if (r == 0 && (r = callback_rows_load(db, on_loaded, c)) < 0)
		(void)error_set(err, -r, "callbacks: the database does not accept work");
	if (r < 0) {
		if (c->courier)
			courier_close(c->courier, NULL, NULL);
		address_list_free(c->allowed);
		free(c);
		return r;
	}
	c->n_posted = 1;
	(void)uv_timer_init(loop, &c->timer); /* cannot fail */
	c->timer.data = c;
	*ret = c;
	return 0;
}

static void on_part_closed(void *arg)
{
	struct callbacks *c = arg;

	c->n_handles--;
	maybe_closed(c);
}

static void on_timer_closed(uv_handle_t *h)
{
	on_part_closed(h->data);
}

void callbacks_close(struct callbacks *c, void (*done)(void *arg), void *arg)
{
	c->is_closing = true;
	c->closed = done;
	c->closed_arg = arg;
	c->n_handles = 2;
	courier_close(c->courier, on_part_closed, c);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
