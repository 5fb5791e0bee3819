/* Slots, leases and what becomes of jobs: see dispatch.h. */
#include "supervisor/front/dispatch.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/front/able.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/sources.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/settings.h"

static size_t slots_free(const struct dispatch *p)
{
	size_t used = p->n_direct + p->n_running + p->n_taking;

	return used < p->env->settings->slots ? (size_t)p->env->settings->slots - used : 0;
}

/* A source that is slow to answer keeps slots from other sources, never from a client that waits. */
static bool has_room_for_direct(const struct dispatch *p)
{
	return p->n_direct + p->n_running < p->env->settings->slots;
}

char *dispatch_result_text(const struct job_result *result, struct job *job)
{
	json_t *json = job_result_json(result, job_journal(job));
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;

	json_decref(json);
	return text;
}

/* One question to one source. */
struct taking {
	struct dispatch *dispatch;
	struct source *source;
};

static void on_taken(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct taking *t = arg;
	struct dispatch *p = t->dispatch;
	struct source *s = t->source;

	free(t);
	p->n_taking -= s->n_taking;
	s->n_taking = 0;
	if (e)
		log_error(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_STR("error", e->text)), "cannot take jobs");
	s->is_behind |= e != NULL;
	for (size_t i = 0; i < n; i++)
		dispatch_start(p, s, &jobs[i], NULL);
	s->may_have |= n > 0;
	dispatch_poke(p);
	dispatch_check_drained(p);
}

static void take(struct dispatch *p, struct source *s)
{
	struct taking *t = alloc_bytes(sizeof(*t));
	size_t n = slots_free(p);

	if (n > 1 && p->first) /* leave the other half to those that wait in memory */
		n = (n + 1) / 2;
	s->may_have = false; /* set again by on_work, or when this take finds some */
	s->n_taking = n;
	p->n_taking += n;
	*t = (struct taking){ .dispatch = p, .source = s };
	if (s->ops->take(s->self, n, on_taken, t) < 0) {
		free(t);
		s->n_taking = 0;
		p->n_taking -= n;
		s->is_behind = true; /* with the next renewal */
	}
}

/* In turn, so that none starves the others. NULL: none may have work, or all that may are being asked. */
static struct source *next_source(struct dispatch *p)
{
	const struct sources *from = p->env->sources;

	for (size_t i = 0; !p->env->state->is_paused && able_takes_work(p->env->able) && i < from->n; i++) {
		struct source *s = from->all[(p->turn + i) % from->n];

		if (s->may_have && s->n_taking == 0) {
			p->turn = (p->turn + i + 1) % from->n;
			return s;
		}
	}
	return NULL;
}

void dispatch_poke(struct dispatch *p)
{
	const struct node_state *state = p->env->state;

	while (!state->is_draining && state->is_ready && able_starts(p->env->able)) {
		bool wants_direct = p->first && has_room_for_direct(p);
		struct source *s = slots_free(p) == 0 || (wants_direct && !p->direct_had_turn) ? NULL : next_source(p);

		if (s) {
			p->direct_had_turn = false;
			take(p, s);
		} else if (wants_direct) {
			p->direct_had_turn = true;
			dispatch_start_direct(p);
		} else {
			return;
		}
	}
}

static void on_source_work(struct source *s)
{
	struct dispatch *p = s->arg;

	s->may_have = true;
	dispatch_poke(p);
}

/* ---- leases ---- */

static void on_renew(uv_timer_t *t)
{
	struct dispatch *p = t->data;
	const struct sources *from = p->env->sources;

	for (struct leased *l = p->leased; l; l = l->next)
		(void)l->source->ops->extend(l->source->self, l->id, l->attempt, dispatch_extended,
					     p); /* behind: the next round */
	for (size_t i = 0; i < from->n; i++) {
		from->all[i]->may_have |= from->all[i]->is_behind;
		from->all[i]->is_behind = false;
	}
	dispatch_poke(p);
}

/* ---- draining ---- */

void dispatch_check_drained(struct dispatch *p)
{
	void (*done)(void *arg) = p->drained;

	if (!done || p->n_direct || p->n_leased || p->n_recording || p->n_taking)
		return;
	p->drained = NULL;
	uv_timer_stop(&p->drain);
	done(p->drained_arg);
}

static void cancel_one(struct job *job, void *arg)
{
	(void)arg;
	job_cancel(job, "the node was stopped");
}

static void on_drain_over(uv_timer_t *t)
{
	struct dispatch *p = t->data;

	for (struct leased *l = p->leased; l; l = l->next)
		l->is_given_back = l->job != NULL;
	engine_each(p->env->engine, cancel_one, NULL);
}

void dispatch_drain(struct dispatch *p, void (*done)(void *arg), void *arg)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, ESHUTDOWN, "this node is being stopped");
	dispatch_fail_waiting(p, &e);
	able_settle(p->env->able);
	p->drained = done;
	p->drained_arg = arg;
	(void)uv_timer_start(&p->drain, on_drain_over, p->env->settings->drain_ns / NS_PER_MS, 0);
	dispatch_check_drained(p);
}

/* ---- life ---- */

struct dispatch *dispatch_new(const struct dispatch_env *env)
{
	struct dispatch *p = alloc_zeroed(1, sizeof(*p));
	uint64_t every_ms = env->settings->lease_ns / 3 / NS_PER_MS;

	p->env = env;
	p->last = &p->first;
	(void)uv_timer_init(env->loop, &p->renew);
	(void)uv_timer_init(env->loop, &p->drain);
	p->renew.data = p->drain.data = p;
	(void)uv_timer_start(&p->renew, on_renew, every_ms, every_ms);
	for (size_t i = 0; i < env->sources->n; i++) {
		struct source *s = env->sources->all[i];

		s->arg = p;
		s->on_work = on_source_work;
		s->may_have = true;
	}
	return p;
}

void dispatch_counts(const struct dispatch *p, struct dispatch_counts *ret)
{
	*ret = p->counts;
	ret->running = p->n_direct + p->n_running;
	ret->direct_waiting = p->n_waiting;
	ret->recording = p->n_recording + p->n_leased - p->n_running;
}
