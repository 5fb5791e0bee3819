/*
 * How many of a class stand ready: see pool_impl.h.
 *
 * As many as were claimed at once within the last two minutes, those in the making for the next claim counted as well, so
 * that claims faster than the making raise it. A class is worth it when it is a runtime's default or was asked for twice.
 * Nothing for a class that nobody asked for in five minutes.
 *
 * An interpreter that waits costs two or three runs of it to start. Where claims come back to back, it would start beside
 * each run and be late for the next: such a class has its sandboxes without, and gets the interpreters when it is quiet.
 *
 * Nothing is made on the way of a claim: it moves what is there and asks for the next turn of the loop, or for the
 * time when the claimed sandbox has ended.
 */
#include "runtime/base/clock.h"
#include "supervisor/pool/pool_impl.h"

enum {
	ASKING_MAX = 1, /* version_commands at once */
	/* an interpreter is started when for so long ... */
	QUIET_AFTER_END_MS = 10,    /* ... nothing ran since the last run, or */
	QUIET_AFTER_CLAIM_MS = 100, /* ... nobody claimed one, whatever still runs */
	PRESTARTED_LEAST = 2,       /* they take longest to make: one for the next, one while its successor starts */
};

/* When it will be quiet if nothing happens until then. */
static uint64_t quiet_at(const struct pool_class *c)
{
	uint64_t after_claim = c->used_ns + QUIET_AFTER_CLAIM_MS * NS_PER_MS;
	uint64_t after_end = c->ended_ns + QUIET_AFTER_END_MS * NS_PER_MS;

	return c->n_claimed == 0 && !c->waits && after_end < after_claim ? after_end : after_claim;
}

bool pool_class_is_quiet(const struct pool_class *c, uint64_t now_ns)
{
	return now_ns >= quiet_at(c);
}

uint64_t pool_class_cost(const struct pool_class *c)
{
	if (c->cost_bytes)
		return c->cost_bytes;
	return pool_class_prestarts(c) ? POOL_COST_PRESTARTED : POOL_COST_PLAIN;
}

uint64_t pool_cost(const struct pool *p)
{
	uint64_t total = 0;

	for (const struct pool_class *c = p->classes; c; c = c->next)
		total += pool_class_cost(c) * (c->n_ready + c->n_parked + c->n_starting);
	return total;
}

unsigned pool_class_waits(const struct pool_class *c)
{
	unsigned n = 0;

	for (const struct pool_wait *w = c->waits; w; w = w->next)
		n++;
	return n;
}

/* How many should stand ready. */
static unsigned wanted(const struct pool_class *c, uint64_t now_ns)
{
	unsigned n = c->at_once[0] > c->at_once[1] ? c->at_once[0] : c->at_once[1];
	unsigned least = pool_class_prestarts(c) ? PRESTARTED_LEAST : 1;
	uint64_t most = c->pool->settings->pool_per_class;

	if (c->is_old || c->pool->is_drained || !c->pool->settings->pool_memory || !most)
		return 0;
	if (now_ns - c->used_ns > POOL_IDLE_S * NS_PER_S)
		return 0;
	if (!c->is_default && c->hits + c->misses < 2)
		return 0;
	n = n > least ? n : least;
	return n < most ? n : (unsigned)most;
}

void pool_class_demand(struct pool_class *c)
{
	unsigned n_waiting = pool_class_waits(c), spare = c->n_starting > n_waiting ? c->n_starting - n_waiting : 0;
	unsigned n = c->n_claimed + spare;

	c->used_ns = clock_now_ns();
	if (n > c->at_once[0])
		c->at_once[0] = n;
}

static unsigned all_starting(const struct pool *p)
{
	unsigned n = p->n_asking;

	for (const struct pool_class *c = p->classes; c; c = c->next)
		n += c->n_starting + c->is_measuring;
	return n;
}

/* Those who wait come first. Returns how many wait for something that is not in the making yet. */
unsigned pool_pump_waits(struct pool *p)
{
	unsigned left = 0;

	for (struct pool_class *c = p->classes; c; c = c->next) {
		unsigned n = pool_class_waits(c);

		while (n > c->n_starting && all_starting(p) < POOL_STARTING_MAX) {
			struct error err = ERROR_INIT;

			if (pool_make(c, ITEM_FOR_USE, true, &err) < 0) {
				pool_pump_later(p, POOL_REFILL_AFTER_CLAIM_MS);
				break;
			}
		}
		left += n > c->n_starting ? n - c->n_starting : 0;
	}
	return left;
}

/* Anything but spares is worth nothing when somebody has to wait for it. */
static bool pump_one_spare(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		if (now_ns < c->retry_ns)
			continue;
		if (!c->is_old && !c->version->is_asked && c->version->failures < POOL_PRESTART_TRIES &&
		    p->n_asking < ASKING_MAX && !p->is_drained)
			return pool_make(c, ITEM_TO_ASK, true, NULL) == 0;
		if (c->n_ready + c->n_parked + c->n_starting -
			    (c->n_starting < pool_class_waits(c) ? c->n_starting : pool_class_waits(c)) >=
		    wanted(c, now_ns))
			continue;
		if (pool_cost(p) + pool_class_cost(c) > p->settings->pool_memory)
			continue;
		return pool_make(c, ITEM_FOR_USE, false, NULL) == 0;
	}
	return false;
}

/* Start interpreters where it is quiet; where it is not yet, come back. */
static void warm_parked(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		struct pool_item *parked = NULL;

		if (!c->n_parked || !pool_class_prestarts(c) || now_ns < c->retry_ns)
			continue;
		if (!pool_class_is_quiet(c, now_ns)) {
			pool_pump_later(p, (quiet_at(c) - now_ns) / NS_PER_MS + 1);
			continue;
		}
		for (struct pool_item *i = c->items; i; i = i->next)
			parked = i->state == ITEM_PARKED ? i : parked;
		if (parked && all_starting(p) < POOL_STARTING_SPARE)
			pool_item_warm(parked); /* the next one when it is ready */
	}
}

/* When all is quiet: what a ready one costs. */
void pool_measure(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c && all_starting(p) == 0; c = c->next) {
		if (!c->cost_bytes && !c->is_measuring && c->n_ready > 0 && !c->is_old && now_ns >= c->retry_ns)
			(void)pool_make(c, ITEM_TO_MEASURE, false, NULL); /* or at another turn */
	}
}

void pool_pump(struct pool *p)
{
	uint64_t now = clock_now_ns();

	if (p->is_freed)
		return;
	pool_classes_forget(p);
	if (pool_pump_waits(p) > 0)
		return;
	while (all_starting(p) < POOL_STARTING_SPARE && pump_one_spare(p, now))
		;
	warm_parked(p, now);
}

static void on_refill(uv_timer_t *timer)
{
	pool_pump(timer->data);
}

void pool_pump_later(struct pool *p, uint64_t ms)
{
	if (p->is_freed || (uv_is_active((uv_handle_t *)p->refill) && uv_timer_get_due_in(p->refill) <= ms))
		return;
	(void)uv_timer_start(p->refill, on_refill, ms, 0); /* cannot fail with a callback */
}

/* What is too many goes one at a time: demand may come back. */
void pool_shrink(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		struct pool_item *last = NULL;

		if (c->n_ready + c->n_parked <= wanted(c, now_ns))
			continue;
		for (struct pool_item *i = c->items; i; i = i->next) {
			if (item_is_claimable(i) && i->purpose == ITEM_FOR_USE && (!last || i->state <= last->state))
				last = i;
		}
		if (last)
			pool_item_finish(last);
	}
}
