/* The life of the pool, the passing of time, and what is told of it: see pool.h for the contract, pool_impl.h for the parts. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/pool_impl.h"

enum {
	TICK_MS = 1000,
	START_MS = 50, /* what an earlier front left comes first */
};

/* ---- defaults, and the passing of time ---- */

static void ask_images(struct pool *p, uint64_t now_ns)
{
	const struct runtime_def *def;

	for (size_t i = 0; (def = runtime_set_at(p->runtimes, i)) != NULL; i++) {
		struct pool_image *image = pool_image_find(p, def->image);
		struct sandbox_class what;
		struct pool_class *c;

		if (!image)
			continue;
		if (!image->now) {
			if (now_ns >= image->retry_ns)
				pool_image_ask(image);
			continue;
		}
		pool_class_of(p, def, &what);
		c = pool_class_find(p, &what, image->now);
		if (c && !c->is_default) {
			c->is_default = true;
			c->used_ns = now_ns; /* at start as if it had just been used */
		}
	}
	for (struct pool_wait *w = p->waits; w; w = w->next) {
		struct pool_image *image = pool_image_find(p, w->wanted.runtime->image);

		if (image)
			pool_image_ask(image);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct pool *p = timer->data;
	uint64_t now = clock_now_ns();

	if (now - p->minute_ns > 60 * NS_PER_S) {
		p->minute_ns = now;
		for (struct pool_class *c = p->classes; c; c = c->next) {
			c->at_once[1] = c->at_once[0];
			c->at_once[0] = c->n_claimed;
		}
	}
	pool_items_check(p, now);
	if (!p->is_drained)
		ask_images(p, now);
	pool_shrink(p, now);
	pool_pump(p);
	pool_measure(p, now);
}

static uv_timer_t *timer_new(struct pool *p)
{
	uv_timer_t *t = alloc_zeroed(1, sizeof(*t));

	(void)uv_timer_init(p->loop, t); /* cannot fail */
	t->data = p;
	return t;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void timer_free(uv_timer_t **t)
{
	if (*t)
		uv_close((uv_handle_t *)*t, on_timer_closed);
	*t = NULL;
}

struct pool *pool_new(uv_loop_t *loop, struct monitor_client *monitor, const struct settings *settings,
		      const struct runtime_set *runtimes)
{
	struct pool *p = alloc_zeroed(1, sizeof(*p));
	uint64_t random = 0;

	p->loop = loop;
	p->monitor = monitor;
	p->settings = settings;
	p->runtimes = runtimes;
	p->minute_ns = clock_now_ns();
	/* names of sandboxes: no other front of this monitor has had them */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = clock_now_ns();
	(void)snprintf(p->prefix, sizeof(p->prefix), "s%08" PRIx32 "-", (uint32_t)(random ^ random >> 32));
	p->refill = timer_new(p);
	p->tick = timer_new(p);
	(void)uv_timer_start(p->tick, on_tick, START_MS, TICK_MS);
	return p;
}

static void finish_all(struct pool *p)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			/* what is in the making for somebody who waits is still wanted */
			if (i->purpose != ITEM_FOR_USE || item_is_claimable(i) || !c->waits)
				pool_item_drop(i);
		}
	}
}

void pool_flush(struct pool *p, const struct runtime_set *runtimes)
{
	/* from here on nothing looks at the runtime of an old class, but for a claimer that still waits: its set lives */
	finish_all(p);
	for (struct pool_class *c = p->classes; c; c = c->next)
		c->is_old = true;
	for (struct pool_image *i = p->images; i; i = i->next) {
		i->now = NULL; /* looked up again */
		i->retry_ns = 0;
		i->failures = 0;
	}
	p->runtimes = runtimes;
	pool_pump_later(p, 0);
	(void)uv_timer_start(p->tick, on_tick, 0, TICK_MS);
}

void pool_drain(struct pool *p)
{
	p->is_drained = true;
	finish_all(p);
}

static void free_all(struct pool *p)
{
	for (struct pool_class *c = p->classes, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	pool_images_free(p);
	free(p);
}

void pool_answered(struct pool *p)
{
	if (--p->n_pending == 0 && p->is_freed)
		free_all(p);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	p->is_freed = true;
	timer_free(&p->refill);
	timer_free(&p->tick);
	for (struct pool_class *c = p->classes; c; c = c->next) {
		while (c->waits)
			pool_forget(c->waits); /* NOLINT(clang-analyzer-unix.Malloc): the same */
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			if (item_state_is_made(i->state)) /* those go with their answer */
				pool_item_free(i);
		}
	}
	while (p->waits)
		pool_forget(p->waits); /* NOLINT(clang-analyzer-unix.Malloc): the same */
	if (p->n_pending == 0)
		free_all(p);
}

/* ---- what others say ---- */

static void on_adopted_finished(const struct error *e, const struct monitor_facts *f, void *arg)
{
	(void)e;
	(void)f;
	(void)arg;
}

bool pool_adopt(struct pool *p, const struct monitor_adopt *m, struct sandbox_fds *fds)
{
	if (m->tag_size < 1 || m->tag[0] != 'p')
		return false;
	sandbox_fds_close(fds);
	(void)monitor_finish_sandbox(p->monitor, m->id, on_adopted_finished, NULL); /* or the next front does it */
	return true;
}

static struct pool_item *find_item(const struct pool *p, const char *id)
{
	for (const struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items; i; i = i->next) {
			if (item_state_is_made(i->state) && strcmp(i->s.id, id) == 0)
				return i;
		}
	}
	return NULL;
}

bool pool_stopped(struct pool *p, const char *id)
{
	struct pool_item *item = find_item(p, id);
	struct error e = ERROR_INIT;

	if (!item)
		return false;
	/* what its agent said before it ended says more; then it has taken itself out of the list */
	if (item->s.link && !agent_link_drain(item->s.link))
		return true;
	(void)error_set(&e, EPIPE, "the sandbox ended before anybody used it");
	pool_item_fail(item, &e);
	return true;
}

const char *pool_runtime_version(struct pool *p, const struct runtime_def *runtime)
{
	const struct pool_image *image = pool_image_find(p, runtime->image);
	const struct pool_version *v = image && image->now ? pool_version_find(p, runtime, image->now) : NULL;

	return v ? v->text : "";
}

/* ---- telling ---- */

void pool_counts(const struct pool *p, struct pool_counts *ret)
{
	*ret = (struct pool_counts){ .ready = 0 };
	for (const struct pool_class *c = p->classes; c; c = c->next) {
		ret->ready += c->n_ready;
		ret->starting += c->n_starting + c->n_parked;
		ret->hits += c->hits;
		ret->misses += c->misses;
		ret->made += c->made;
		ret->failed += c->failed;
	}
}

json_t *pool_json(const struct pool *p)
{
	json_t *list = json_array();

	for (const struct pool_class *c = p->classes; list && c; c = c->next) {
		json_t *o =
			c->is_old
				? NULL
				: json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:i, s:i, s:i, "
					    "s:i, s:I, s:I, s:I, s:I, s:I, s:b}",
					    "runtime", c->runtime->name, "image", c->runtime->image, "manifest",
					    c->manifest->manifest, "policy", c->what.policy, "prestart",
					    (int)(c->what.may_prestart && !c->is_plain), "default", (int)c->is_default,
					    "memory", (json_int_t)c->what.memory_bytes, "disk",
					    (json_int_t)c->what.disk_bytes, "processes", (json_int_t)c->what.processes,
					    "cpus_milli", (json_int_t)c->what.cpus_milli, "ready", (int)c->n_ready,
					    "starting", (int)(c->n_starting + c->n_parked), "claimed",
					    (int)c->n_claimed, "waiting", (int)pool_class_waits(c), "hits",
					    (json_int_t)c->hits, "misses", (json_int_t)c->misses, "made",
					    (json_int_t)c->made, "failed", (json_int_t)c->failed, "bytes_each",
					    (json_int_t)pool_class_cost(c), "measured", (int)(c->cost_bytes != 0));

		if (!c->is_old && json_array_append_new(list, o) < 0) { /* also for NULL */
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:o, s:I, s:I}", "classes", list, "bytes", (json_int_t)pool_cost(p), "bytes_max",
			 (json_int_t)p->settings->pool_memory);
}
