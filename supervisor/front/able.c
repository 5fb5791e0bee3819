/* Whether this node can work, and its words for it: see able.h. */
#include "supervisor/front/able.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <uv.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/health.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/sources.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/pool/pool.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"
#include "supervisor/settings.h"

enum {
	LOOK_MS = 1000, /* at the disk, and at what we say of ourselves */
};

struct able {
	const struct able_env *env;
	struct health health;
	unsigned todo; /* of health_happen(), for the next turn of the loop */
	struct leased *leased;
	struct direct *direct;
	size_t n_direct;
	struct health_disk disk;
	char said[256]; /* to the service manager */
	uv_timer_t act, due, look;
};

static void on_act(uv_timer_t *t);
static void on_due(uv_timer_t *t);
static void say_status(struct able *a);

/* ---- what is in doubt ---- */

static struct direct *pop_direct(struct able *a)
{
	struct direct *d = a->direct;

	a->direct = d->next;
	d->next = NULL;
	a->n_direct--;
	return d;
}

/* A sandbox that was not ready in time says nothing against its job, even when others were made meanwhile. */
static enum queue_give release_of(const struct leased *l, bool is_ours)
{
	if (is_ours)
		return QUEUE_UNSTARTED;
	return l->is_slow ? QUEUE_LACKING : QUEUE_FAILED;
}

static void let_go(struct able *a, bool is_ours)
{

	while (a->leased) {
		struct leased *l = a->leased;

		a->leased = l->next_in_doubt;
		dispatch_give_back(l, l->reason, release_of(l, is_ours));
	}
	while (a->direct) {
		struct direct *d = pop_direct(a);
		struct error e = ERROR_INIT;

		if (is_ours)
			(void)error_set(&e, EHOSTDOWN, "this node cannot make sandboxes: %s", d->reason);
		else
			(void)error_set(&e, EPROTO, "no sandbox could be made for this run, others could: %s",
					d->reason);
		dispatch_fail_direct(d, &e);
	}
}

void able_settle(struct able *a)
{
	let_go(a, true);
}

bool able_forget_direct(struct able *a, struct direct *d)
{

	for (struct direct **at = &a->direct; *at; at = &(*at)->next) {
		if (*at != d)
			continue;
		*at = d->next;
		d->next = NULL;
		a->n_direct--;
		return true;
	}
	return false;
}

/* ---- what happens ---- */

static void on_proved(const struct error *e, void *arg);

static void happen(struct able *a, enum health_event event, const struct error *why)
{
	struct health *h = &a->health;
	enum health_state before = h->state;

	if (why)
		metrics_add(a->env->metrics, METRIC_SANDBOX_FAILURES_TOTAL, METRIC_LABELS(health_kind(why->code)), 1);
	a->todo |= health_happen(h, event, clock_now_ns(), why);
	if (h->state == HEALTH_UNABLE && before == HEALTH_DOUBT)
		log_error(LOG_FACTS(LOG_STR("reason", h->why.text)),
			  "this node cannot make sandboxes: taking no work, trying again by and by");
	if (h->state == HEALTH_WELL && (before == HEALTH_UNABLE || before == HEALTH_PROBING))
		log_notice(LOG_NONE, "sandboxes can be made again: taking work");
	if (a->todo || h->state != before) /* not from in here: we may be in the middle of the pool's lists */
		(void)uv_timer_start(&a->act, on_act, 0, 0);
}

static void make_proof(struct able *a)
{
	struct error e = ERROR_INIT;
	int r = pool_prove(a->env->pool, on_proved, a, &e);

	if (r < 0 && r != -EBUSY) /* the one that is being made will do */
		happen(a, HEALTH_PROBE_FAILED, &e);
}

static void refuse_waiting(struct able *a)
{
	struct error e = ERROR_INIT;

	if (able_accepts(a, &e) < 0)
		dispatch_fail_waiting(a->env->dispatch, &e);
}

static void arm_due(struct able *a)
{
	uint64_t now = clock_now_ns();

	if (a->health.state == HEALTH_UNABLE)
		(void)uv_timer_start(&a->due, on_due,
				     a->health.due_ns > now ? (a->health.due_ns - now) / NS_PER_MS + 1 : 0, 0);
	else
		(void)uv_timer_stop(&a->due);
}

static void act(struct able *a)
{

	while (a->todo) {
		unsigned todo = a->todo;

		a->todo = 0;
		if (todo & (HEALTH_BLAME | HEALTH_CLEAR))
			let_go(a, todo & HEALTH_BLAME);
		if (todo & HEALTH_PROBE)
			make_proof(a);
	}
	arm_due(a);
	refuse_waiting(a);
	say_status(a);
	dispatch_poke(a->env->dispatch);
}

static void on_act(uv_timer_t *t)
{
	act(t->data);
}

static void on_due(uv_timer_t *t)
{
	happen(t->data, HEALTH_DUE, NULL);
}

static void on_proved(const struct error *e, void *arg)
{
	happen(arg, e ? HEALTH_PROBE_FAILED : HEALTH_PROBE_MADE, e);
}

static void on_outcome(const struct error *e, void *arg)
{
	happen(arg, e ? HEALTH_FAILED : HEALTH_MADE, e);
}

/* Something could not be started. What was decided by now was not decided about it. */
static void begin_doubt(struct able *a, const char *reason)
{
	struct error e = ERROR_INIT;

	if (a->todo & (HEALTH_BLAME | HEALTH_CLEAR))
		act(a);
	(void)error_set(&e, EPROTO, "%s", reason);
	a->todo |= health_happen(&a->health, HEALTH_FAILED, clock_now_ns(), &e);
	(void)uv_timer_start(&a->act, on_act, 0, 0);
}

void able_doubt_leased(struct able *a, struct leased *l, const char *reason)
{
	if (a->env->state->is_draining) {
		dispatch_give_back(l, reason, QUEUE_UNSTARTED);
		return;
	}
	begin_doubt(a, reason);
	(void)text_copy(l->reason, sizeof(l->reason), reason); /* a verdict's, which is shorter */
	l->next_in_doubt = a->leased;
	a->leased = l;
}

void able_doubt_direct(struct able *a, struct direct *d, const char *reason)
{

	begin_doubt(a, reason);
	(void)text_copy(d->reason, sizeof(d->reason), reason);
	d->next = a->direct;
	a->direct = d;
	a->n_direct++;
	if (a->env->state->is_draining)
		able_settle(a);
}

size_t able_n_direct(const struct able *a)
{
	return a->n_direct;
}

/* ---- the disk ---- */

static bool look_at_disk(struct able *a)
{
	struct health_room room = { .largest_body = a->env->settings->max_body };
	struct db_counts counts;
	struct statvfs fs;

	db_counts(a->env->db, &counts);
	room.is_write_failing = counts.is_full;
	if (fstatvfs(a->env->state_fd, &fs) == 0) {
		room.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
		room.total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
		room.has_inodes = fs.f_files > 0;
		room.free_inodes = fs.f_favail;
	}
	return health_look_at_disk(&a->disk, &room, clock_now_ns());
}

static void on_look(uv_timer_t *t)
{
	struct able *a = t->data;
	bool was_low = a->disk.is_low, is_low = look_at_disk(a);

	if (is_low && !was_low)
		log_error(LOG_NONE, "the disk of CUBIT_STATE is full: taking no work until there is room");
	else if (!is_low && was_low)
		log_notice(LOG_NONE, "the disk of CUBIT_STATE has room again: taking work");
	if (a->env->auth)
		auth_tick(a->env->auth);
	say_status(a);
	if (is_low != was_low)
		act(a);
}

/* ---- answers ---- */

bool able_starts(const struct able *a)
{
	return health_takes_work(&a->health);
}

bool able_takes_work(const struct able *a)
{
	return able_starts(a) && !a->disk.is_low;
}

#define DISK_WORDS "the disk of CUBIT_STATE is full: nothing can be accepted until there is room"

int able_accepts(const struct able *a, struct error *err)
{

	if (health_is_unable(&a->health))
		return error_set(err, EHOSTDOWN, "this node cannot make sandboxes: %s", a->health.why.text);
	return 0; /* a full disk is no reason: such a run has its result in memory */
}

int able_stores(const struct able *a, struct error *err)
{
	return a->disk.is_low ? error_set(err, ENOSPC, DISK_WORDS) : 0;
}

static void say_sources(const struct able *a, void (*fn)(const char *text, void *arg), void *arg)
{
	const char *last = NULL;

	for (size_t i = 0; i < a->env->sources->n; i++) {
		const struct source *from = a->env->sources->all[i];
		const char *why = from->ops->trouble ? from->ops->trouble(from->self) : NULL;

		if (why && (!last || strcmp(why, last) != 0)) /* sources of one Redis have the same trouble */
			fn(why, arg);
		last = why;
	}
}

void able_reasons(struct able *a, void (*fn)(const char *text, void *arg), void *arg)
{
	const struct health *h = &a->health;
	struct queue_counts q;
	struct db_counts d;
	char text[sizeof(h->why.text) + 80];

	queue_counts(a->env->queue, &q);
	db_counts(a->env->db, &d);
	if (a->env->state->is_draining)
		fn("this node is being stopped", arg);
	if (!runtime_set_at(a->env->catalog->runtimes, 0))
		fn("no language is defined", arg);
	else if (pool_has_no_image(a->env->pool))
		fn("the store has no image of any language: run `cubit setup`, which makes the default images", arg);
	if (health_is_unable(h)) {
		(void)snprintf(text, sizeof(text), "this node cannot make sandboxes: %s; it tries again by itself",
			       h->why.text);
		fn(text, arg);
	}
	if (a->disk.is_low || d.is_full) /* the database finds out sooner than we look: the next look keeps it */
		fn(DISK_WORDS, arg);
	if (q.waiting >= a->env->settings->queue_max)
		fn("the queue is full", arg);
	say_sources(a, fn, arg);
}

const char *able_word(const struct able *a)
{
	return a->env->state->is_draining || a->env->state->is_paused ? "draining"
	       : able_takes_work(a)                                   ? "serving"
								      : "unable";
}

/* ---- to the service manager ---- */

struct status {
	char text[256];
};

static void add_words(const char *text, void *arg)
{
	struct status *s = arg;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s%s", n ? "; " : "not ready: ", text); /* cut is fine */
}

static void say_status(struct able *a)
{
	struct status s = { "" };

	if (!a->env->state->is_ready || a->env->state->is_draining) /* these two have words of their own */
		return;
	able_reasons(a, add_words, &s);
	if (!s.text[0])
		(void)text_copy(s.text, sizeof(s.text), "serving");
	if (strcmp(s.text, a->said) == 0 || monitor_say_state(a->env->monitor, MONITOR_STATE_WORDS, s.text) < 0)
		return;
	memcpy(a->said, s.text, sizeof(a->said));
}

/* ---- life ---- */

struct able *able_new(const struct able_env *env)
{
	struct able *a = alloc_zeroed(1, sizeof(*a));
	uv_timer_t *const timers[] = { &a->act, &a->due, &a->look };

	a->env = env;
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		(void)uv_timer_init(env->loop, timers[i]); /* cannot fail */
		timers[i]->data = a;
	}
	(void)uv_timer_start(&a->look, on_look, LOOK_MS, LOOK_MS);
	(void)look_at_disk(a);
	pool_on_outcome(env->pool, on_outcome, a);
	return a;
}
