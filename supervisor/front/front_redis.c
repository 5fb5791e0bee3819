/* What Redis asks of this node, and its start: see front_redis.h. */
#include "supervisor/front/front_redis.h"

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/policies.h"
#include "supervisor/redis/redis.h"

static size_t free_slots(void *arg)
{
	const struct front *f = arg;
	struct dispatch_counts d;

	if (!f->dispatch)
		return 0;
	dispatch_counts(f->dispatch, &d);
	return d.running < f->settings.slots ? (size_t)f->settings.slots - d.running : 0;
}

/* "serving" or why not, for its heartbeat; what is not serving fetches nothing. */
static const char *node_word(void *arg)
{
	const struct front *f = arg;

	return f->able ? able_word(f->able) : "serving";
}

static void on_redis_drain(bool on, void *arg)
{
	struct front *f = arg;

	if (f->state.is_paused == on)
		return;
	f->state.is_paused = on;
	log_notice(LOG_NONE, on ? "drained by an operator: taking no more work" : "taking work again");
	if (f->state.is_ready)
		dispatch_poke(f->dispatch);
}

/* Somebody cancelled it on another node. */
static void cancel_here(const char *id, const char *reason, void *arg)
{
	const struct front *f = arg;

	dispatch_cancel_redis(f->dispatch, id, reason);
}

static bool has_policy(const char *name, void *arg)
{
	struct front *f = arg;

	return policies_have(name, &f->catalog);
}

static const char *policy_error(const char *name, void *arg)
{
	struct front *f = arg;

	return policies_error(name, &f->catalog);
}

int front_redis_start(struct front *f, struct error *err)
{
	const struct redis_env env = {
		.loop = &f->loop,
		.settings = &f->settings,
		.runtimes = f->catalog.runtimes,
		.has_policy = has_policy,
		.policy_error = policy_error,
		.free_slots = free_slots,
		.word = node_word,
		.cancel = cancel_here,
		.arg = f,
	};
	struct source *more[REDIS_SOURCES_MAX];
	size_t n;
	int r;

	if (!*f->settings.redis_url)
		return 0;
	r = redis_open(&env, &f->redis, err);
	if (r < 0)
		return error_wrap(err, "REDIS_URL");
	redis_on_drain(f->redis, on_redis_drain, f);
	n = redis_sources(f->redis, more);
	for (size_t i = 0; i < n && f->sources.n < SOURCES_MAX; i++)
		f->sources.all[f->sources.n++] = more[i];
	return 0;
}
