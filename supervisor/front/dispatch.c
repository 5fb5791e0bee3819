/* Slots, leases and what becomes of jobs: see dispatch.h. */
#include "supervisor/front/dispatch.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/front_metrics.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/our_id.h"
#include "supervisor/front/policies.h"
#include "supervisor/front/record.h"
#include "supervisor/front/sources.h"
#include "supervisor/front/views.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/settings.h"
#include "supervisor/share.h"
#include "supervisor/spec/spec.h"

enum { DIRECT_WAITING_PER_SLOT = 32 /* each costs its request only */ };

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

static char *result_text(const struct job_result *result, struct job *job)
{
	json_t *json = job_result_json(result, job_journal(job));
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;

	json_decref(json);
	return text;
}

/* ---- direct runs ---- */

static void direct_free(struct direct *d)
{
	job_spec_free(d->spec);
	free(d->text);
	free(d);
}

static void on_direct_recorded(enum recorded how, void *arg)
{
	struct dispatch *p = arg;

	p->counts.recorded += how == RECORDED;
	p->n_recording--;
	dispatch_check_drained(p);
}

/* Nothing of it ran: it is no result, whoever is to blame. */
static void direct_not_started(struct direct *d, struct job *job, const char *reason)
{
	struct dispatch *p = d->dispatch;
	bool is_image = job_trouble(job) == JOB_TROUBLE_IMAGE;
	struct job_name name = job_name(job);
	struct error e = ERROR_INIT;

	d->job = NULL;
	views_recorded(p->env->views, &name); /* nobody else will run it: what its journal says is final */
	if (is_image) {
		(void)error_set(&e, ENOMEDIUM, "%s", reason);
		dispatch_fail_direct(d, &e);
	} else if (d->fn) {
		able_doubt_direct(p->env->able, d, reason);
	} else {
		dispatch_fail_direct(d, NULL); /* its client left */
	}
	dispatch_poke(p);
	dispatch_check_drained(p);
}

static void on_direct_over(struct job *job, const struct job_result *result, void *arg)
{
	struct direct *d = arg;
	struct dispatch *p = d->dispatch;
	char *json, *copy;
	struct job_name name;
	struct error e = ERROR_INIT;

	p->n_direct--;
	if (result->verdict.status == VERDICT_INTERNAL_ERROR && job_trouble(job) != JOB_TROUBLE_NONE) {
		direct_not_started(d, job, result->verdict.reason);
		return;
	}
	json = result_text(result, job);
	copy = d->fn && json ? strdup(json) : NULL;
	front_metrics_job(p->env->metrics, result);
	if (d->fn && !copy)
		(void)error_set(&e, ENOMEM, "out of memory for the result");
	if (d->fn)
		d->fn(copy ? NULL : &e, copy, copy ? strlen(copy) : 0, d->arg);
	p->n_recording++;
	record_result(p->env->record, p->env->sources->home, job, result, 0, json, d->text, &d->who, on_direct_recorded,
		      p);
	name = job_name(job);
	views_recorded(p->env->views, &name); /* nobody else will run it: what its journal says is final */
	direct_free(d);
	dispatch_poke(p);
}

void dispatch_fail_direct(struct direct *d, const struct error *e)
{
	auth_job_ended(d->dispatch->env->auth, d->owner, 0, 0);
	if (d->fn)
		d->fn(e, NULL, 0, d->arg);
	direct_free(d);
}

static struct direct *direct_unlink(struct dispatch *d, struct direct **at)
{
	struct direct *one = *at;

	*at = one->next;
	if (!*at)
		d->last = at;
	d->n_waiting--;
	one->next = NULL;
	return one;
}

/* Owners in turn; of one owner the highest priority, then the oldest. */
static bool goes_before(const struct dispatch *d, const struct direct *a, const struct direct *b)
{
	if (strcmp(a->owner, b->owner) == 0)
		return a->spec->priority > b->spec->priority;
	return share_turn(&d->turns, a->owner) < share_turn(&d->turns, b->owner);
}

static struct direct *direct_pop(struct dispatch *d)
{
	struct direct **best = &d->first;

	for (struct direct **at = &(*best)->next; *at; at = &(*at)->next) {
		if (goes_before(d, *at, *best))
			best = at;
	}
	share_serve(&d->turns, (*best)->owner);
	return direct_unlink(d, best);
}

static void direct_start(struct dispatch *p, struct direct *d)
{
	struct error e = ERROR_INIT;
	struct job_order order = {
		.id = d->id,
		.owner = d->owner,
		.space = SPACE_HERE,
		.attempt = 1,
		.is_direct = true,
		.queued_ms = d->queued_ms,
		.spec = d->spec,
		.over = on_direct_over,
		.arg = d,
	};

	d->spec = NULL;
	if (engine_start(p->env->engine, &order, &d->job, &e) < 0) {
		dispatch_fail_direct(d, &e);
		return;
	}
	p->n_direct++;
	p->counts.started++;
	views_started(p->env->views, d->job);
}

void dispatch_fail_waiting(struct dispatch *p, const struct error *e)
{
	while (p->first)
		dispatch_fail_direct(direct_unlink(p, &p->first), e);
}

static size_t waiting_of(const struct dispatch *d, const char *owner)
{
	size_t n = 0;

	for (const struct direct *i = d->first; i; i = i->next)
		n += strcmp(i->owner, owner) == 0;
	return n;
}

static int may_wait(struct dispatch *p, const struct caller *caller, unsigned *ret_retry_s, struct error *err)
{
	size_t mine;

	if (p->env->state->is_draining)
		return error_set(err, ESHUTDOWN, "this node is being stopped");
	if (able_accepts(p->env->able, err) < 0)
		return -err->code;
	mine = waiting_of(p, caller->owner);
	if (!share_allows(p->env->settings->slots * DIRECT_WAITING_PER_SLOT, p->n_waiting, mine, caller->is_root))
		return error_set(err, EBUSY, "%zu runs are waiting already, %zu of them yours", p->n_waiting, mine);
	return auth_job_begins(p->env->auth, caller, ret_retry_s, err);
}

int dispatch_run(struct dispatch *p, const struct caller *caller, struct job_spec *spec, direct_fn *fn, void *arg,
		 struct direct **ret, unsigned *ret_retry_s, struct error *err)
{
	struct direct *d = calloc(1, sizeof(*d));
	int r;

	*ret_retry_s = 1;
	r = d ? may_wait(p, caller, ret_retry_s, err) : error_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		free(d);
		job_spec_free(spec);
		return r;
	}
	d->dispatch = p;
	d->spec = spec;
	d->text = job_spec_text(spec, &(size_t){ 0 });
	d->fn = fn;
	d->arg = arg;
	d->queued_ms = time_now_ms();
	our_id_make(d->id);
	text_copy(d->owner, sizeof(d->owner), caller->owner);
	auth_audit_caller(caller, &d->who);
	*p->last = d;
	p->last = &d->next;
	p->n_waiting++;
	*ret = d;
	return 0;
}

void dispatch_abandon(struct direct *d)
{
	struct dispatch *p = d->dispatch;

	d->fn = NULL;
	if (d->job) {
		job_cancel(d->job, "the client went away");
		return;
	}
	(void)able_forget_direct(p->env->able, d); /* or it waits */
	for (struct direct **at = &p->first; *at; at = &(*at)->next) {
		if (*at != d)
			continue;
		(void)direct_unlink(p, at); /* it is d */
		break;
	}
	dispatch_fail_direct(d, NULL);
}

/* ---- leased jobs ---- */

static void leased_free(struct leased *l)
{
	struct dispatch *p = l->dispatch;

	for (struct leased **at = &p->leased; *at; at = &(*at)->next) {
		if (*at != l)
			continue;
		*at = l->next;
		p->n_leased--;
		break;
	}
	free(l);
	dispatch_poke(p);
	dispatch_check_drained(p);
}

/* A job of Redis that another node has now: that one armed its callback as well. */
static void disarm(const struct leased *l)
{
	if (l->source->space == SPACE_REDIS && l->has_callback)
		job_callbacks_disarm(l->dispatch->env->callbacks, l->source->space, l->id);
}

static void on_settled(const struct error *e, const struct queue_record *r, void *arg)
{
	struct dispatch *p = arg;
	bool is_over = !e && (r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED);

	if (is_over && r->space == SPACE_HERE && p->env->auth) /* others count while they run here only */
		auth_job_ended(p->env->auth, r->job.owner, 0, 0);
	if (is_over)
		job_callbacks_fire(p->env->callbacks, r->space, r->job.id);
	else if (!e && r->space == SPACE_REDIS) /* whoever takes it next arms it again */
		job_callbacks_disarm(p->env->callbacks, r->space, r->job.id);
}

void dispatch_settle(struct dispatch *p, const struct job_name *name)
{
	(void)lookup_again(p->env->lookup, name, false, on_settled,
			   p); /* behind: an owner's count is too high until a restart */
}

static struct job_name name_of(const struct leased *l)
{
	return job_name_make(l->source->space, l->owner, l->id);
}

static void on_returned(const struct error *e, void *arg)
{
	struct leased *l = arg;
	struct job_name name = name_of(l);

	if (e)
		log_warning(LOG_FACTS(LOG_STR("job", l->id), LOG_STR("error", e->text)),
			    "cannot give a job back, its lease will run out");
	views_returned(l->dispatch->env->views, &name, l->attempt);
	if (!l->source->ops->counts_at_submission)
		auth_job_ended(l->dispatch->env->auth, l->owner, 0, 0);
	if (l->source->ops->counts_at_submission || l->has_callback)
		dispatch_settle(l->dispatch, &name);
	leased_free(l);
}

static const char *const give_words[] = {
	[QUEUE_FAILED] = "failed",
	[QUEUE_FREE] = "stopped",
	[QUEUE_UNSTARTED] = "node",
	[QUEUE_LACKING] = "image",
};

static void source_is_behind(struct leased *l)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, EAGAIN, "%s cannot be asked at the moment", l->source->ops->name);
	on_returned(&e, l);
}

void dispatch_give_back(struct leased *l, const char *reason, enum queue_give how)
{
	struct dispatch *p = l->dispatch;

	log_notice(LOG_FACTS(LOG_STR("job", l->id), LOG_INT("attempt", l->attempt), LOG_STR("reason", reason)),
		   "gave a job back to the queue");
	p->counts.returned++;
	metrics_add(p->env->metrics, METRIC_GIVEN_BACK_TOTAL, METRIC_LABELS(give_words[how]), 1);
	if (l->source->ops->give_back(l->source->self, l->id, l->attempt, reason, how, on_returned, l) < 0)
		source_is_behind(l);
}

static void bury(struct leased *l, const char *reason)
{
	if (l->source->ops->bury(l->source->self, l->id, l->attempt, reason, on_returned, l) < 0)
		source_is_behind(l);
}

static void on_recorded(enum recorded how, void *arg)
{
	struct leased *l = arg;
	struct dispatch *p = l->dispatch;
	struct job_name name = name_of(l);

	p->counts.recorded += how == RECORDED;
	p->counts.fenced += how == RECORD_FENCED;
	views_recorded(p->env->views, &name);
	if (how == RECORDED && l->has_callback)
		job_callbacks_fire(p->env->callbacks, name.space, l->id);
	else if (how == RECORD_FENCED)
		disarm(l);
	leased_free(l);
}

static void on_leased_over(struct job *job, const struct job_result *result, void *arg)
{
	struct leased *l = arg;
	struct dispatch *p = l->dispatch;

	enum job_trouble trouble =
		result->verdict.status == VERDICT_INTERNAL_ERROR ? job_trouble(job) : JOB_TROUBLE_NONE;

	l->job = NULL;
	p->n_running--;
	if (trouble == JOB_TROUBLE_NONE)
		front_metrics_job(p->env->metrics, result);
	if (l->is_lost) {
		log_warning(LOG_FACTS(LOG_STR("job", l->id), LOG_INT("attempt", l->attempt)),
			    "the lease was lost while the job ran, dropping its result");
		p->counts.fenced++;
		if (!l->source->ops->counts_at_submission)
			auth_job_ended(p->env->auth, l->owner, 0, 0);
		disarm(l);
		leased_free(l);
	} else if (l->is_given_back) {
		dispatch_give_back(l, "the node was stopped", QUEUE_FREE);
	} else if (trouble == JOB_TROUBLE_IMAGE) {
		dispatch_give_back(l, result->verdict.reason, QUEUE_LACKING);
	} else if (trouble != JOB_TROUBLE_NONE) {
		l->is_slow = trouble == JOB_TROUBLE_SLOW;
		able_doubt_leased(p->env->able, l, result->verdict.reason);
	} else if (result->verdict.status == VERDICT_INTERNAL_ERROR) {
		dispatch_give_back(l, result->verdict.reason, QUEUE_FAILED);
	} else {
		record_result(p->env->record, l->source, job, result, l->attempt, result_text(result, job), NULL, NULL,
			      on_recorded, l);
	}
	dispatch_poke(p);
}

struct leased *dispatch_lease(struct dispatch *p, struct source *source, const struct queue_job *q)
{
	struct leased *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL; /* the lease runs out */
	l->dispatch = p;
	l->source = source;
	l->attempt = q->attempt;
	text_copy(l->id, sizeof(l->id), q->id);
	text_copy(l->owner, sizeof(l->owner), q->owner);
	if (!source->ops->counts_at_submission)
		auth_job_resumed(p->env->auth, l->owner);
	l->next = p->leased;
	p->leased = l;
	p->n_leased++;
	return l;
}

static int spec_of(struct dispatch *p, const struct source *source, const struct queue_job *q, struct job_spec **ret,
		   struct error *err)
{
	bool is_redis = source->space == SPACE_REDIS; /* anybody who writes there may have written this */
	const struct job_context context = {
		.settings = p->env->settings,
		.runtimes = p->env->catalog->runtimes,
		.has_policy = policies_have,
		.policy_error = policies_error,
		.arg = p->env->catalog,
		.is_queued = true,
		.is_stored = true,
		.is_admin = is_redis, /* and then the list is what counts */
		.policies = is_redis ? p->env->settings->redis_policies : NULL,
	};

	return job_spec_parse(q->spec, q->spec_size, &context, ret, NULL, err);
}

void dispatch_start(struct dispatch *p, struct source *source, const struct queue_job *q, struct offer *offer)
{
	struct leased *l = dispatch_lease(p, source, q);
	struct job_spec *spec = NULL;
	struct error e = ERROR_INIT;
	struct job_order order = { .id = q->id,
				   .owner = q->owner,
				   .space = source->space,
				   .attempt = q->attempt,
				   .unstarted = q->unstarted,
				   .queued_ms = q->queued_ms,
				   .over = on_leased_over,
				   .arg = l };
	int r = l ? spec_of(p, source, q, &spec, &e) : error_set(&e, ENOMEM, "out of memory");

	if (r < 0) {
		log_warning(LOG_FACTS(LOG_STR("job", q->id), LOG_STR("error", e.text)), "this job can never run");
		if (offer)
			dispatch_refuse_offer(p, offer);
		if (l)
			bury(l, e.text);
		return;
	}
	order.spec = spec;
	if (!offer && !able_takes_work(p->env->able)) { /* it was on its way when we ceased to */
		job_spec_free(spec);
		dispatch_give_back(l, "the node cannot run jobs at the moment", QUEUE_UNSTARTED);
		return;
	}
	l->has_callback = spec->callback_url != NULL;
	r = job_callbacks_arm_leased(p->env->callbacks, source->space, l->id, spec, &e);
	if (r < 0) {
		job_spec_free(spec);
		if (offer)
			dispatch_refuse_offer(p, offer);
		if (r == -EAGAIN)
			dispatch_give_back(l, e.text, QUEUE_UNSTARTED);
		else
			bury(l, e.text);
		return;
	}
	r = offer ? engine_adopt(p->env->engine, &offer->m, &offer->fds, &order, &l->job, &e)
		  : engine_start(p->env->engine, &order, &l->job, &e);
	if (r < 0) {
		dispatch_give_back(l, e.text, QUEUE_FAILED);
		return;
	}
	p->n_running++;
	p->counts.started++;
	p->counts.adopted += offer != NULL;
	views_started(p->env->views, l->job);
	if (source->ops->started)
		source->ops->started(source->self, l->job);
	if (q->is_ending)
		job_cancel(l->job, "cancelled by its owner");
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
	struct taking *t = malloc(sizeof(*t));
	size_t n = slots_free(p);

	if (n > 1 && p->first) /* leave the other half to those that wait in memory */
		n = (n + 1) / 2;
	s->may_have = false; /* set again by on_work, or when this take finds some */
	s->n_taking = n;
	p->n_taking += n;
	if (t)
		*t = (struct taking){ .dispatch = p, .source = s };
	if (!t || s->ops->take(s->self, n, on_taken, t) < 0) {
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
			direct_start(p, direct_pop(p));
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

static void cancel_leased(struct dispatch *p, enum queue_space space, const char *id, const char *owner,
			  const char *reason)
{
	for (struct leased *l = p->leased; l; l = l->next) {
		if (!l->job || l->source->space != space || strcmp(l->id, id) != 0 ||
		    (owner && strcmp(l->owner, owner) != 0))
			continue;
		job_cancel(l->job, reason);
		return;
	}
}

void dispatch_cancel(struct dispatch *p, const struct job_name *name, const char *reason)
{
	cancel_leased(p, name->space, name->id, name->owner, reason);
}

void dispatch_cancel_redis(struct dispatch *p, const char *id, const char *reason)
{
	cancel_leased(p, SPACE_REDIS, id, NULL, reason);
}

/* ---- leases ---- */

static void on_extended(const struct error *e, const char *id, unsigned attempt, void *arg)
{
	struct dispatch *p = arg;

	if (!e || e->code != ESTALE)
		return;
	for (struct leased *l = p->leased; l; l = l->next) {
		if (l->job && l->attempt == attempt && strcmp(l->id, id) == 0) {
			l->is_lost = true;
			job_cancel(l->job, "the lease was lost");
			return;
		}
	}
}

static void on_renew(uv_timer_t *t)
{
	struct dispatch *p = t->data;
	const struct sources *from = p->env->sources;

	for (struct leased *l = p->leased; l; l = l->next)
		(void)l->source->ops->extend(l->source->self, l->id, l->attempt, on_extended,
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

int dispatch_new(const struct dispatch_env *env, struct dispatch **ret, struct error *err)
{
	struct dispatch *p = calloc(1, sizeof(*p));
	uint64_t every_ms = env->settings->lease_ns / 3 / NS_PER_MS;

	if (!p)
		return error_set(err, ENOMEM, "out of memory");
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
	*ret = p;
	return 0;
}

void dispatch_counts(const struct dispatch *p, struct dispatch_counts *ret)
{
	*ret = p->counts;
	ret->running = p->n_direct + p->n_running;
	ret->direct_waiting = p->n_waiting;
	ret->recording = p->n_recording + p->n_leased - p->n_running;
}
