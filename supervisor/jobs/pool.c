/*
 * Sandboxes that stand ready: claims, waits, classes and demand. See pool.h for the contract, pool_impl.h for the parts.
 *
 * How many of a class stand ready: as many as were claimed at once within the last two minutes, those in the making for
 * the next claim counted as well, so that claims faster than the making raise it. A class is worth it when it is a
 * runtime's default or was asked for twice. Nothing for a class that nobody asked for in five minutes.
 *
 * Nothing is made on the way of a claim: it moves what is there and asks for the next turn of the loop, or for the
 * time when the claimed sandbox has ended.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "images/digest.h"
#include "images/runtime_set.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/jobs/agent_link.h"
#include "supervisor/jobs/pool_impl.h"
#include "supervisor/jobs/prestart.h"

enum {
	REFILL_AFTER_CLAIM_MS = 10, /* unless the claimed sandbox ends before */
	REFILL_AFTER_END_MS = 1,
	TICK_MS = 1000,
	START_MS = 50, /* what an earlier front left comes first */
	DEFAULT_PROCESSES = 64,
	ASKING_MAX = 1, /* version_commands at once */
};
#define DEFAULT_DISK (UINT64_C(64) << 20)

void ready_sandbox_done(struct ready_sandbox *s)
{
	agent_link_free(&s->link);
	sandbox_fds_close(&s->fds);
	for (int i = 0; i < 3; i++)
		fd_close(&s->prestart_fds[i]);
	if (s->class) {
		s->class->n_claimed--;
		pool_pump_later(s->class->pool, REFILL_AFTER_END_MS);
	}
	s->class = NULL;
}

/* ---- classes ---- */

static void make_key(const struct sandbox_class *w, const struct pool_manifest *manifest, char ret[POOL_KEY_BYTES])
{
	struct digest launcher = { "" };

	/* the launcher and what it was started with are inputs too; a definition's text has both */
	if (w->may_prestart)
		digest_of(w->runtime->text, strlen(w->runtime->text), &launcher);
	(void)snprintf(ret, POOL_KEY_BYTES,
		       "runtime=%s image=%s policy=%s network=%u memory=%" PRIu64 " disk=%" PRIu64
		       " processes=%" PRIu32 " cpus=%" PRIu32 " prestart=%s",
		       w->runtime->name, manifest->manifest, w->policy, (unsigned)w->network, w->memory_bytes,
		       w->disk_bytes, w->processes, w->cpus_milli, launcher.text[0] ? launcher.text : "-");
}

static bool is_held(const struct pool_class *c)
{
	return c->items || c->waits || c->n_claimed || c->is_measuring;
}

static void forget_classes(struct pool *p)
{
	struct pool_class **at = &p->classes;

	while (*at) {
		struct pool_class *c = *at;

		if (c->is_old && !is_held(c)) {
			*at = c->next;
			free(c);
		} else {
			at = &c->next;
		}
	}
}

/* Room for another class: that which nobody has asked for the longest time has to go. */
static void make_room(struct pool *p)
{
	struct pool_class *oldest = NULL;
	unsigned n = 0;

	for (struct pool_class *c = p->classes; c; c = c->next) {
		n += !c->is_old;
		if (!c->is_old && !c->is_default && !c->waits && (!oldest || c->used_ns < oldest->used_ns))
			oldest = c;
	}
	if (n < POOL_CLASSES_MAX || !oldest)
		return;
	oldest->is_old = true;
	for (struct pool_item *i = oldest->items, *next; i; i = next) {
		next = i->next;
		pool_item_finish(i);
	}
}

struct pool_class *pool_class_find(struct pool *p, const struct sandbox_class *wanted,
				   const struct pool_manifest *manifest)
{
	struct sandbox_class what = *wanted;
	char key[POOL_KEY_BYTES];
	struct pool_class *c;

	what.may_prestart = wanted->may_prestart && prestart_is_there(wanted->runtime);
	make_key(&what, manifest, key);
	for (c = p->classes; c; c = c->next) {
		if (!c->is_old && strcmp(c->key, key) == 0)
			return c;
	}
	make_room(p);
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	memcpy(c->key, key, sizeof(key));
	c->pool = p;
	c->what = what;
	c->runtime = wanted->runtime;
	c->manifest = manifest;
	c->version = pool_version_find(p, wanted->runtime, manifest);
	if (!c->version) {
		free(c);
		return NULL;
	}
	c->waits_end = &c->waits;
	c->next = p->classes;
	p->classes = c;
	return c;
}

void pool_class_of(const struct pool *p, const struct runtime_def *def, struct sandbox_class *ret)
{
	const struct runtime_limits *run = &def->run.limits, *compile = &def->compile.limits;
	uint64_t disk = run->disk_bytes > compile->disk_bytes ? run->disk_bytes : compile->disk_bytes;

	*ret = (struct sandbox_class){
		.runtime = def,
		.policy = "default",
		.network = MONITOR_NETWORK_NONE,
		.memory_bytes = run->memory_bytes ? run->memory_bytes : p->settings->memory_bytes,
		.disk_bytes = disk ? disk : DEFAULT_DISK,
		.processes = run->processes ? (uint32_t)run->processes : DEFAULT_PROCESSES,
		.cpus_milli = (uint32_t)(run->cpus_milli ? run->cpus_milli : p->settings->cpus_milli),
		.may_prestart = prestart_is_there(def),
	};
}

/* ---- demand ---- */

static uint64_t cost(const struct pool_class *c)
{
	if (c->cost_bytes)
		return c->cost_bytes;
	return c->what.may_prestart && !c->is_plain ? POOL_COST_PRESTARTED : POOL_COST_PLAIN;
}

static uint64_t total_cost(const struct pool *p)
{
	uint64_t total = 0;

	for (const struct pool_class *c = p->classes; c; c = c->next)
		total += cost(c) * (c->n_ready + c->n_starting);
	return total;
}

static unsigned n_waits(const struct pool_class *c)
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
	uint64_t most = c->pool->settings->pool_per_class;

	if (c->is_old || c->pool->is_drained || !c->pool->settings->pool_memory || !most)
		return 0;
	if (now_ns - c->used_ns > POOL_IDLE_S * NS_PER_S)
		return 0;
	if (!c->is_default && c->hits + c->misses < 2)
		return 0;
	n = n ? n : 1;
	return n < most ? n : (unsigned)most;
}

static void note_demand(struct pool_class *c)
{
	unsigned n_waiting = n_waits(c), spare = c->n_starting > n_waiting ? c->n_starting - n_waiting : 0;
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
static unsigned pump_waits(struct pool *p)
{
	unsigned left = 0;

	for (struct pool_class *c = p->classes; c; c = c->next) {
		unsigned n = n_waits(c);

		while (n > c->n_starting && all_starting(p) < POOL_STARTING_MAX) {
			struct error err = ERROR_INIT;

			if (pool_make(c, ITEM_FOR_USE, true, &err) < 0) {
				pool_pump_later(p, REFILL_AFTER_CLAIM_MS);
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
		if (c->n_ready + c->n_starting - (c->n_starting < n_waits(c) ? c->n_starting : n_waits(c)) >=
		    wanted(c, now_ns))
			continue;
		if (total_cost(p) + cost(c) > p->settings->pool_memory)
			continue;
		return pool_make(c, ITEM_FOR_USE, false, NULL) == 0;
	}
	return false;
}

/* When all is quiet: what a ready one costs. */
static void measure(struct pool *p, uint64_t now_ns)
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
	forget_classes(p);
	if (pump_waits(p) > 0)
		return;
	while (all_starting(p) < POOL_STARTING_SPARE && pump_one_spare(p, now))
		;
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

/* ---- claims ---- */

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
	note_demand(c);
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
	} else if (c->is_old || p->is_drained || (item->is_plain && c->what.may_prestart && !c->is_plain)) {
		pool_item_finish(item); /* or it was made for somebody who is gone */
	}
	pool_pump_later(p, REFILL_AFTER_END_MS);
}

void pool_class_failed(struct pool_class *c, const struct error *e)
{
	struct pool_wait *w;

	c->failed++;
	c->failures++;
	c->retry_ns = clock_now_ns() + pool_backoff_ns(c->failures);
	if (c->failures == 1 || (c->failures & (c->failures - 1)) == 0)
		log_warning(LOG_FACTS(LOG_STR("runtime", c->runtime->name), LOG_STR("policy", c->what.policy),
				      LOG_STR("reason", e->text), LOG_INT("failures", c->failures)),
			    "a sandbox could not be made ready");
	/* those for whom nothing is in the making any more are told: they know whether it is worth another try */
	while ((w = c->waits) && n_waits(c) > c->n_starting)
		refuse(w, e); /* which takes it out of the list: NOLINT(clang-analyzer-unix.Malloc) */
	pool_pump_later(c->pool, REFILL_AFTER_CLAIM_MS);
}

/* Take it from those that stand ready. */
static bool claim(struct pool_class *c, pool_ready_fn *fn, void *arg)
{
	for (struct pool_item *i = c->items; i; i = i->next) {
		if (i->state != ITEM_READY || i->purpose != ITEM_FOR_USE)
			continue;
		/* it may have ended meanwhile: then it takes itself out of the list */
		if (!agent_link_drain(i->s.link))
			return claim(c, fn, arg);
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
	note_demand(c);
}

/* The image is known: to its class. w is consumed when there is one ready. */
static void enter_class(struct pool_wait *w, const struct pool_manifest *manifest)
{
	struct pool_class *c = pool_class_find(w->pool, &w->wanted, manifest);
	struct error err = ERROR_INIT;

	if (!c) {
		(void)error_set(&err, ENOMEM, "out of memory");
		refuse(w, &err);
		return;
	}
	unlink_wait(w);
	wait_in_class(w, c);
	for (struct pool_item *i = c->items; i; i = i->next) {
		if (i->state == ITEM_READY && i->purpose == ITEM_FOR_USE) {
			pool_item_ready(i); /* takes the first who waits */
			return;
		}
	}
}

void pool_image_known(struct pool_image *image, const struct error *e)
{
	struct pool *p = image->pool;

	for (struct pool_wait *w = p->waits, *next; w; w = next) {
		next = w->next;
		if (strcmp(w->wanted.runtime->image, image->name) != 0)
			continue;
		if (e)
			refuse(w, e);
		else
			enter_class(w, image->now);
	}
	for (struct pool_class *c = p->classes; c; c = c->next) {
		if (!c->is_old && image->now && c->manifest != image->now && strcmp(c->runtime->image, image->name) == 0) {
			c->is_old = true; /* the name means something else now */
			for (struct pool_item *i = c->items, *next; i; i = next) {
				next = i->next;
				if (!c->waits)
					pool_item_finish(i);
			}
		}
	}
	pool_pump_later(p, REFILL_AFTER_END_MS);
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
		pool_pump_later(p, REFILL_AFTER_CLAIM_MS);
		return NULL;
	}
	w = image && (c || !manifest) ? calloc(1, sizeof(*w)) : NULL;
	if (!w) {
		(void)error_set(&err, ENOMEM, "out of memory");
		fn(&err, NULL, arg);
		return NULL;
	}
	*w = (struct pool_wait){ .pool = p, .wanted = *class, .fn = fn, .arg = arg };
	if (c) {
		wait_in_class(w, c);
		(void)pump_waits(p);
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

/* What is too many goes one at a time: demand may come back. */
static void shrink(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		struct pool_item *last = NULL;

		if (c->n_ready <= wanted(c, now_ns))
			continue;
		for (struct pool_item *i = c->items; i; i = i->next) {
			if (i->state == ITEM_READY && i->purpose == ITEM_FOR_USE)
				last = i;
		}
		if (last)
			pool_item_finish(last);
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
	shrink(p, now);
	pool_pump(p);
	measure(p, now);
}

static int timer_new(struct pool *p, uv_timer_t **ret)
{
	uv_timer_t *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	(void)uv_timer_init(p->loop, t); /* cannot fail */
	t->data = p;
	*ret = t;
	return 0;
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

int pool_new(uv_loop_t *loop, struct monitor_client *monitor, const struct settings *settings,
	     const struct runtime_set *runtimes, struct pool **ret, struct error *err)
{
	struct pool *p = calloc(1, sizeof(*p));
	uint64_t random = 0;

	if (!p)
		return error_set(err, ENOMEM, "out of memory");
	p->loop = loop;
	p->monitor = monitor;
	p->settings = settings;
	p->runtimes = runtimes;
	p->minute_ns = clock_now_ns();
	/* names of sandboxes: no other front of this monitor has had them */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = clock_now_ns();
	(void)snprintf(p->prefix, sizeof(p->prefix), "s%08" PRIx32 "-", (uint32_t)(random ^ random >> 32));
	if (timer_new(p, &p->refill) < 0 || timer_new(p, &p->tick) < 0) {
		pool_free(p);
		return error_set(err, ENOMEM, "out of memory");
	}
	(void)uv_timer_start(p->tick, on_tick, START_MS, TICK_MS);
	*ret = p;
	return 0;
}

static void finish_all(struct pool *p)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			/* what is in the making for somebody who waits is still wanted */
			if (i->purpose != ITEM_FOR_USE || i->state == ITEM_READY || !c->waits)
				pool_item_finish(i);
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
			if (i->state != ITEM_CREATING) /* those go with their answer */
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

bool pool_stopped(struct pool *p, const char *id)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, EPIPE, "the sandbox ended before anybody used it");
	for (struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items; i; i = i->next) {
			if (i->state == ITEM_CREATING || strcmp(i->s.id, id) != 0)
				continue;
			pool_item_finish(i);
			pool_class_failed(c, &e);
			return true;
		}
	}
	return false;
}

const char *pool_runtime_version(struct pool *p, const struct runtime_def *runtime)
{
	const struct pool_image *image = pool_image_find(p, runtime->image);
	const struct pool_version *v = image && image->now ? pool_version_find(p, runtime, image->now) : NULL;

	return v ? v->text : "";
}

bool pool_runtime_is_there(struct pool *p, const struct runtime_def *runtime)
{
	const struct pool_image *image = pool_image_find(p, runtime->image);

	return image && image->now;
}

/* ---- telling ---- */

void pool_counts(const struct pool *p, struct pool_counts *ret)
{
	*ret = (struct pool_counts){ .ready = 0 };
	for (const struct pool_class *c = p->classes; c; c = c->next) {
		ret->ready += c->n_ready;
		ret->starting += c->n_starting;
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
		json_t *o = c->is_old ? NULL : json_pack(
			"{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:b}",
			"runtime", c->runtime->name, "image", c->runtime->image, "manifest", c->manifest->manifest, "policy",
			c->what.policy, "prestart", (int)(c->what.may_prestart && !c->is_plain), "default", (int)c->is_default,
			"memory", (json_int_t)c->what.memory_bytes, "disk", (json_int_t)c->what.disk_bytes, "processes",
			(json_int_t)c->what.processes, "cpus_milli", (json_int_t)c->what.cpus_milli, "ready", (int)c->n_ready,
			"starting", (int)c->n_starting, "claimed", (int)c->n_claimed, "waiting", (int)n_waits(c), "hits",
			(json_int_t)c->hits, "misses", (json_int_t)c->misses, "made", (json_int_t)c->made, "failed",
			(json_int_t)c->failed, "bytes_each", (json_int_t)cost(c), "measured", (int)(c->cost_bytes != 0));

		if (!c->is_old && json_array_append_new(list, o) < 0) { /* also for NULL */
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:o, s:I, s:I}", "classes", list, "bytes", (json_int_t)total_cost(p), "bytes_max",
			 (json_int_t)p->settings->pool_memory);
}
