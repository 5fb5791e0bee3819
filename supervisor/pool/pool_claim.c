/* Claims, and those who wait: see pool.h for the contract, pool_impl.h for the parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/pool_impl.h"

void ready_sandbox_done(struct ready_sandbox *s)
{
	agent_link_free(&s->link);
	sandbox_fds_close(&s->fds);
	for (int i = 0; i < 3; i++)
		fd_close(&s->prestart_fds[i]);
	if (s->class) {
		s->class->n_claimed--;
		s->class->ended_ns = clock_now_ns();
		pool_pump_later(s->class->pool, POOL_REFILL_AFTER_END_MS);
	}
	s->class = NULL;
}

static void unlink_wait(struct pool_wait *w)
{
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else if (w->class)
		w->class->waits_end = w->prev;
}

static void give(struct pool_item *item, pool_ready_fn *fn, void *arg, bool was_pooled)
{
	struct pool_class *c = item->class;
	struct ready_sandbox s = item->s;

	item->s.link = NULL; /* moved */
	item->s.fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	for (int i = 0; i < 3; i++)
		item->s.prestart_fds[i] = -1;
	pool_item_free(item);
	s.was_pooled = was_pooled;
	s.class = c;
	c->n_claimed++;
	pool_class_demand(c);
	fn(NULL, &s, arg);
}

static void refuse(struct pool_wait *w, const struct error *e)
{
	struct pool_wait gone = *w;

	unlink_wait(w);
	free(w);
	gone.fn(e, NULL, gone.arg);
}

void pool_item_ready(struct pool_item *item)
{
	struct pool_class *c = item->class;
	struct pool *p = c->pool;
	struct pool_wait *w = c->waits;

	if (w) {
		struct pool_wait gone = *w;

		unlink_wait(w);
		free(w);
		give(item, gone.fn, gone.arg, false);
	} else if (c->is_old || p->is_drained) {
		pool_item_finish(item);
	}
	pool_pump_later(p, POOL_REFILL_AFTER_END_MS);
}

void pool_class_failed(struct pool_class *c, const struct error *e, bool is_sandbox)
{
	struct pool_wait *w;
	struct error none = ERROR_INIT;

	c->failed++;
	c->failures++;
	c->retry_ns = clock_now_ns() + pool_backoff_ns(c->failures);
	if (c->failures == 1 || (c->failures & (c->failures - 1)) == 0)
		log_warning(LOG_FACTS(LOG_STR("runtime", c->runtime->name), LOG_STR("policy", c->what.policy),
				      LOG_STR("reason", e->text), LOG_INT("failures", c->failures)),
			    "a sandbox could not be made ready");
	if (e->code == ENOMEDIUM) {
		pool_image_lost(c);
		pool_image_words(c->runtime, e, &none);
		e = &none;
	}
	/* those for whom nothing is in the making any more are told: they know whether it is worth another try */
	while (is_sandbox && (w = c->waits) && pool_class_waits(c) > c->n_starting)
		refuse(w, e); /* which takes it out of the list: NOLINT(clang-analyzer-unix.Malloc) */
	pool_pump_later(c->pool, POOL_REFILL_AFTER_CLAIM_MS);
}

/* One in which an interpreter waits is worth more. */
static struct pool_item *best_of(const struct pool_class *c)
{
	struct pool_item *best = NULL;

	for (struct pool_item *i = c->items; i; i = i->next) {
		if (i->purpose == ITEM_FOR_USE && item_is_claimable(i) && (!best || i->state > best->state))
			best = i;
	}
	return best;
}

/* Take it from those that stand ready. */
static bool claim(struct pool_class *c, pool_ready_fn *fn, void *arg)
{
	struct pool_item *i;

	while ((i = best_of(c)) != NULL) {
		/* it may have ended meanwhile: then it takes itself out of the list */
		if (!agent_link_drain(i->s.link))
			continue;
		c->hits++;
		give(i, fn, arg, true);
		return true;
	}
	return false;
}

static void wait_in_class(struct pool_wait *w, struct pool_class *c)
{
	w->class = c;
	w->next = NULL;
	w->prev = c->waits_end;
	*c->waits_end = w;
	c->waits_end = &w->next;
	c->misses++;
	pool_class_demand(c);
}

/* The image is known: to its class. w is consumed when there is one ready. */
static void enter_class(struct pool_wait *w, const struct pool_manifest *manifest)
{
	struct pool_class *c = pool_class_find(w->pool, &w->wanted, manifest);
	struct error err = ERROR_INIT;
	struct pool_item *ready;

	if (!c) {
		(void)error_set(&err, ENAMETOOLONG, "a name of an image that is too long");
		refuse(w, &err);
		return;
	}
	unlink_wait(w);
	wait_in_class(w, c);
	ready = best_of(c);
	if (ready)
		pool_item_ready(ready); /* takes the first who waits */
}

/* Whatever is wrong with it, other nodes may have it whole. */
static void refuse_for_image(struct pool_wait *w, const struct error *e)
{
	struct error none = ERROR_INIT;

	pool_image_words(w->wanted.runtime, e, &none);
	refuse(w, &none);
}

void pool_image_known(struct pool_image *image, const struct error *e)
{
	struct pool *p = image->pool;
	for (struct pool_wait *w = p->waits, *next; w; w = next) {
		next = w->next;
		if (strcmp(w->wanted.runtime->image, image->name) != 0)
			continue;
		if (e)
			refuse_for_image(w, e);
		else
			enter_class(w, image->now);
	}
	for (struct pool_class *c = p->classes; c; c = c->next) {
		if (!c->is_old && image->now && c->manifest != image->now &&
		    strcmp(c->runtime->image, image->name) == 0) {
			c->is_old = true; /* the name means something else now */
			for (struct pool_item *i = c->items, *next; i; i = next) {
				next = i->next;
				if (!c->waits)
					pool_item_drop(i);
			}
		}
	}
	pool_pump_later(p, POOL_REFILL_AFTER_END_MS);
}

struct pool_wait *pool_take(struct pool *p, const struct sandbox_class *class, pool_ready_fn *fn, void *arg)
{
	struct pool_image *image = pool_image_find(p, class->runtime->image);
	const struct pool_manifest *manifest = image ? image->now : NULL;
	struct error err = ERROR_INIT;
	struct pool_class *c = NULL;
	struct pool_wait *w;

	if (manifest && clock_now_ns() - image->asked_ns > POOL_IMAGE_FRESH_S * NS_PER_S)
		pool_image_ask(image);
	if (manifest)
		c = pool_class_find(p, class, manifest);
	if (c && claim(c, fn, arg)) {
		pool_pump_later(p, POOL_REFILL_AFTER_CLAIM_MS);
		return NULL;
	}
	w = image && (c || !manifest) ? alloc_zeroed(1, sizeof(*w)) : NULL;
	if (!w) {
		(void)error_set(&err, ENAMETOOLONG, "a name of an image that is too long");
		fn(&err, NULL, arg);
		return NULL;
	}
	*w = (struct pool_wait){ .pool = p, .wanted = *class, .fn = fn, .arg = arg };
	if (c) {
		wait_in_class(w, c);
		(void)pool_pump_waits(p);
		return w;
	}
	w->next = p->waits;
	w->prev = &p->waits;
	if (p->waits)
		p->waits->prev = &w->next;
	p->waits = w;
	pool_image_ask(image);
	return w;
}

void pool_forget(struct pool_wait *w)
{
	unlink_wait(w);
	free(w);
}
