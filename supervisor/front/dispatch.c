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
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/front_metrics.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/our_id.h"
#include "supervisor/front/policies.h"
#include "supervisor/front/record.h"
#include "supervisor/front/views.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/queue/queue.h"
#include "supervisor/share.h"
#include "supervisor/spec/spec.h"

enum { DIRECT_WAITING_PER_SLOT = 32 /* each costs its request only */ };

static size_t slots_free(const struct front *f)
{
	const struct dispatch *d = f->dispatch;
	size_t used = d->n_direct + d->n_running + d->n_taking;

	return used < f->settings.slots ? (size_t)f->settings.slots - used : 0;
}

/* A source that is slow to answer keeps slots from other sources, never from a client that waits. */
static bool has_room_for_direct(const struct front *f)
{
	const struct dispatch *d = f->dispatch;

	return d->n_direct + d->n_running < f->settings.slots;
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
	struct front *f = arg;

	f->dispatch->counts.recorded += how == RECORDED;
	f->dispatch->n_recording--;
	dispatch_check_drained(f);
}

/* Nothing of it ran: it is no result, whoever is to blame. */
static void direct_not_started(struct direct *d, struct job *job, const char *reason)
{
	struct front *f = d->front;
	bool is_image = job_trouble(job) == JOB_TROUBLE_IMAGE;
	struct job_name name = job_name(job);
	struct error e = ERROR_INIT;

	d->job = NULL;
	views_recorded(f, &name); /* nobody else will run it: what its journal says is final */
	if (is_image) {
		(void)error_set(&e, ENOMEDIUM, "%s", reason);
		dispatch_fail_direct(d, &e);
	} else if (d->fn) {
		able_doubt_direct(f, d, reason);
	} else {
		dispatch_fail_direct(d, NULL); /* its client left */
	}
	dispatch_poke(f);
	dispatch_check_drained(f);
}

static void on_direct_over(struct job *job, const struct job_result *result, void *arg)
{
	struct direct *d = arg;
	struct front *f = d->front;
	char *json, *copy;
	struct job_name name;
	struct error e = ERROR_INIT;

	f->dispatch->n_direct--;
	if (result->verdict.status == VERDICT_INTERNAL_ERROR && job_trouble(job) != JOB_TROUBLE_NONE) {
		direct_not_started(d, job, result->verdict.reason);
		return;
	}
	json = result_text(result, job);
	copy = d->fn && json ? strdup(json) : NULL;
	front_metrics_job(f, result);
	if (d->fn && !copy)
		(void)error_set(&e, ENOMEM, "out of memory for the result");
	if (d->fn)
		d->fn(copy ? NULL : &e, copy, copy ? strlen(copy) : 0, d->arg);
	f->dispatch->n_recording++;
	record_result(&f->record, f->sources.home, job, result, 0, json, d->text, &d->who, on_direct_recorded, f);
	name = job_name(job);
	views_recorded(f, &name); /* nobody else will run it: what its journal says is final */
	direct_free(d);
	dispatch_poke(f);
}

void dispatch_fail_direct(struct direct *d, const struct error *e)
{
	auth_job_ended(d->front->auth, d->owner, 0, 0);
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

static void direct_start(struct front *f, struct direct *d)
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
	if (engine_start(f->engine, &order, &d->job, &e) < 0) {
		dispatch_fail_direct(d, &e);
		return;
	}
	f->dispatch->n_direct++;
	f->dispatch->counts.started++;
	views_started(f, d->job);
}

void dispatch_fail_waiting(struct front *f, const struct error *e)
{
	while (f->dispatch->first)
		dispatch_fail_direct(direct_unlink(f->dispatch, &f->dispatch->first), e);
}

static size_t waiting_of(const struct dispatch *d, const char *owner)
{
	size_t n = 0;

	for (const struct direct *i = d->first; i; i = i->next)
		n += strcmp(i->owner, owner) == 0;
	return n;
}

static int may_wait(struct front *f, const struct caller *caller, unsigned *ret_retry_s, struct error *err)
{
	const struct dispatch *p = f->dispatch;
	size_t mine;

	if (f->state.is_draining)
		return error_set(err, ESHUTDOWN, "this node is being stopped");
	if (able_accepts(f, err) < 0)
		return -err->code;
	mine = waiting_of(p, caller->owner);
	if (!share_allows(f->settings.slots * DIRECT_WAITING_PER_SLOT, p->n_waiting, mine, caller->is_root))
		return error_set(err, EBUSY, "%zu runs are waiting already, %zu of them yours", p->n_waiting, mine);
	return auth_job_begins(f->auth, caller, ret_retry_s, err);
}

int dispatch_run(struct front *f, const struct caller *caller, struct job_spec *spec, direct_fn *fn, void *arg,
		 struct direct **ret, unsigned *ret_retry_s, struct error *err)
{
	struct dispatch *p = f->dispatch;
	struct direct *d = calloc(1, sizeof(*d));
	int r;

	*ret_retry_s = 1;
	r = d ? may_wait(f, caller, ret_retry_s, err) : error_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		free(d);
		job_spec_free(spec);
		return r;
	}
	d->front = f;
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
	struct dispatch *p = d->front->dispatch;

	d->fn = NULL;
	if (d->job) {
		job_cancel(d->job, "the client went away");
		return;
	}
	(void)able_forget_direct(d->front, d); /* or it waits */
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
	struct front *f = l->front;
	struct dispatch *d = f->dispatch;

	for (struct leased **p = &d->leased; *p; p = &(*p)->next) {
		if (*p != l)
			continue;
		*p = l->next;
		d->n_leased--;
		break;
	}
	free(l);
	dispatch_poke(f);
	dispatch_check_drained(f);
}

/* A job of Redis that another node has now: that one armed its callback as well. */
static void disarm(const struct leased *l)
{
	if (l->source->space == SPACE_REDIS && l->has_callback)
		job_callbacks_disarm(&l->front->callbacks, l->source->space, l->id);
}

static void on_settled(const struct error *e, const struct queue_record *r, void *arg)
{
	struct front *f = arg;
	bool is_over = !e && (r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED);

	if (is_over && r->space == SPACE_HERE) /* others count while they run here only */
		auth_job_ended(f->auth, r->job.owner, 0, 0);
	if (is_over)
		job_callbacks_fire(&f->callbacks, r->space, r->job.id);
	else if (!e && r->space == SPACE_REDIS) /* whoever takes it next arms it again */
		job_callbacks_disarm(&f->callbacks, r->space, r->job.id);
}

void dispatch_settle(struct front *f, const struct job_name *name)
{
	(void)lookup_again(&f->lookup, name, false, on_settled,
			   f); /* behind: an owner's count is too high until a restart */
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
	views_returned(l->front, &name, l->attempt);
	if (!l->source->ops->counts_at_submission)
		auth_job_ended(l->front->auth, l->owner, 0, 0);
	if (l->source->ops->counts_at_submission || l->has_callback)
		dispatch_settle(l->front, &name);
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
	struct front *f = l->front;

	log_notice(LOG_FACTS(LOG_STR("job", l->id), LOG_INT("attempt", l->attempt), LOG_STR("reason", reason)),
		   "gave a job back to the queue");
	f->dispatch->counts.returned++;
	metrics_add(f->metrics, METRIC_GIVEN_BACK_TOTAL, METRIC_LABELS(give_words[how]), 1);
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
	struct front *f = l->front;
	struct job_name name = name_of(l);

	f->dispatch->counts.recorded += how == RECORDED;
	f->dispatch->counts.fenced += how == RECORD_FENCED;
	views_recorded(f, &name);
	if (how == RECORDED && l->has_callback)
		job_callbacks_fire(&f->callbacks, name.space, l->id);
	else if (how == RECORD_FENCED)
		disarm(l);
	leased_free(l);
}

static void on_leased_over(struct job *job, const struct job_result *result, void *arg)
{
	struct leased *l = arg;
	struct front *f = l->front;

	enum job_trouble trouble =
		result->verdict.status == VERDICT_INTERNAL_ERROR ? job_trouble(job) : JOB_TROUBLE_NONE;

	l->job = NULL;
	f->dispatch->n_running--;
	if (trouble == JOB_TROUBLE_NONE)
		front_metrics_job(f, result);
	if (l->is_lost) {
		log_warning(LOG_FACTS(LOG_STR("job", l->id), LOG_INT("attempt", l->attempt)),
			    "the lease was lost while the job ran, dropping its result");
		f->dispatch->counts.fenced++;
		if (!l->source->ops->counts_at_submission)
			auth_job_ended(f->auth, l->owner, 0, 0);
		disarm(l);
		leased_free(l);
	} else if (l->is_given_back) {
		dispatch_give_back(l, "the node was stopped", QUEUE_FREE);
	} else if (trouble == JOB_TROUBLE_IMAGE) {
		dispatch_give_back(l, result->verdict.reason, QUEUE_LACKING);
	} else if (trouble != JOB_TROUBLE_NONE) {
		l->is_slow = trouble == JOB_TROUBLE_SLOW;
		able_doubt_leased(f, l, result->verdict.reason);
	} else if (result->verdict.status == VERDICT_INTERNAL_ERROR) {
		dispatch_give_back(l, result->verdict.reason, QUEUE_FAILED);
	} else {
		record_result(&f->record, l->source, job, result, l->attempt, result_text(result, job), NULL, NULL,
			      on_recorded, l);
	}
	dispatch_poke(f);
}

struct leased *dispatch_lease(struct front *f, struct source *source, const struct queue_job *q)
{
	struct leased *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL; /* the lease runs out */
	l->front = f;
	l->source = source;
	l->attempt = q->attempt;
	text_copy(l->id, sizeof(l->id), q->id);
	text_copy(l->owner, sizeof(l->owner), q->owner);
	if (!source->ops->counts_at_submission)
		auth_job_resumed(f->auth, l->owner);
	l->next = f->dispatch->leased;
	f->dispatch->leased = l;
	f->dispatch->n_leased++;
	return l;
}

static int spec_of(struct front *f, const struct source *source, const struct queue_job *q, struct job_spec **ret,
		   struct error *err)
{
	bool is_redis = source->space == SPACE_REDIS; /* anybody who writes there may have written this */
	const struct job_context context = {
		.settings = &f->settings,
		.runtimes = f->catalog.runtimes,
		.has_policy = policies_have,
		.policy_error = policies_error,
		.arg = &f->catalog,
		.is_queued = true,
		.is_stored = true,
		.is_admin = is_redis, /* and then the list is what counts */
		.policies = is_redis ? f->settings.redis_policies : NULL,
	};

	return job_spec_parse(q->spec, q->spec_size, &context, ret, NULL, err);
}

void dispatch_start(struct front *f, struct source *source, const struct queue_job *q, struct offer *offer)
{
	struct leased *l = dispatch_lease(f, source, q);
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
	int r = l ? spec_of(f, source, q, &spec, &e) : error_set(&e, ENOMEM, "out of memory");

	if (r < 0) {
		log_warning(LOG_FACTS(LOG_STR("job", q->id), LOG_STR("error", e.text)), "this job can never run");
		if (offer)
			dispatch_refuse_offer(f, offer);
		if (l)
			bury(l, e.text);
		return;
	}
	order.spec = spec;
	if (!offer && !able_takes_work(f)) { /* it was on its way when we ceased to */
		job_spec_free(spec);
		dispatch_give_back(l, "the node cannot run jobs at the moment", QUEUE_UNSTARTED);
		return;
	}
	l->has_callback = spec->callback_url != NULL;
	r = job_callbacks_arm_leased(&f->callbacks, source->space, l->id, spec, &e);
	if (r < 0) {
		job_spec_free(spec);
		if (offer)
			dispatch_refuse_offer(f, offer);
		if (r == -EAGAIN)
			dispatch_give_back(l, e.text, QUEUE_UNSTARTED);
		else
			bury(l, e.text);
		return;
	}
	r = offer ? engine_adopt(f->engine, &offer->m, &offer->fds, &order, &l->job, &e)
		  : engine_start(f->engine, &order, &l->job, &e);
	if (r < 0) {
		dispatch_give_back(l, e.text, QUEUE_FAILED);
		return;
	}
	f->dispatch->n_running++;
	f->dispatch->counts.started++;
	f->dispatch->counts.adopted += offer != NULL;
	views_started(f, l->job);
	if (source->ops->started)
		source->ops->started(source->self, l->job);
	if (q->is_ending)
		job_cancel(l->job, "cancelled by its owner");
}

/* One question to one source. */
struct taking {
	struct front *front;
	struct source *source;
};

static void on_taken(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct taking *t = arg;
	struct front *f = t->front;
	struct source *s = t->source;

	free(t);
	f->dispatch->n_taking -= s->n_taking;
	s->n_taking = 0;
	if (e)
		log_error(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_STR("error", e->text)), "cannot take jobs");
	s->is_behind |= e != NULL;
	for (size_t i = 0; i < n; i++)
		dispatch_start(f, s, &jobs[i], NULL);
	s->may_have |= n > 0;
	dispatch_poke(f);
	dispatch_check_drained(f);
}

static void take(struct front *f, struct source *s)
{
	struct dispatch *d = f->dispatch;
	struct taking *t = malloc(sizeof(*t));
	size_t n = slots_free(f);

	if (n > 1 && d->first) /* leave the other half to those that wait in memory */
		n = (n + 1) / 2;
	s->may_have = false; /* set again by on_work, or when this take finds some */
	s->n_taking = n;
	d->n_taking += n;
	if (t)
		*t = (struct taking){ .front = f, .source = s };
	if (!t || s->ops->take(s->self, n, on_taken, t) < 0) {
		free(t);
		s->n_taking = 0;
		d->n_taking -= n;
		s->is_behind = true; /* with the next renewal */
	}
}

/* In turn, so that none starves the others. NULL: none may have work, or all that may are being asked. */
static struct source *next_source(struct front *f)
{
	struct dispatch *d = f->dispatch;

	for (size_t i = 0; !f->state.is_paused && able_takes_work(f) && i < f->sources.n; i++) {
		struct source *s = f->sources.all[(d->turn + i) % f->sources.n];

		if (s->may_have && s->n_taking == 0) {
			d->turn = (d->turn + i + 1) % f->sources.n;
			return s;
		}
	}
	return NULL;
}

void dispatch_poke(struct front *f)
{
	struct dispatch *d = f->dispatch;

	while (!f->state.is_draining && f->state.is_ready && able_starts(f)) {
		bool wants_direct = d->first && has_room_for_direct(f);
		struct source *s = slots_free(f) == 0 || (wants_direct && !d->direct_had_turn) ? NULL : next_source(f);

		if (s) {
			d->direct_had_turn = false;
			take(f, s);
		} else if (wants_direct) {
			d->direct_had_turn = true;
			direct_start(f, direct_pop(d));
		} else {
			return;
		}
	}
}

static void on_source_work(struct source *s)
{
	struct front *f = s->arg;

	s->may_have = true;
	dispatch_poke(f);
}

static void cancel_leased(struct front *f, enum queue_space space, const char *id, const char *owner,
			  const char *reason)
{
	for (struct leased *l = f->dispatch->leased; l; l = l->next) {
		if (!l->job || l->source->space != space || strcmp(l->id, id) != 0 ||
		    (owner && strcmp(l->owner, owner) != 0))
			continue;
		job_cancel(l->job, reason);
		return;
	}
}

void dispatch_cancel(struct front *f, const struct job_name *name, const char *reason)
{
	cancel_leased(f, name->space, name->id, name->owner, reason);
}

void dispatch_cancel_redis(struct front *f, const char *id, const char *reason)
{
	cancel_leased(f, SPACE_REDIS, id, NULL, reason);
}

/* ---- leases ---- */

static void on_extended(const struct error *e, const char *id, unsigned attempt, void *arg)
{
	struct front *f = arg;

	if (!e || e->code != ESTALE || !f->dispatch)
		return;
	for (struct leased *l = f->dispatch->leased; l; l = l->next) {
		if (l->job && l->attempt == attempt && strcmp(l->id, id) == 0) {
			l->is_lost = true;
			job_cancel(l->job, "the lease was lost");
			return;
		}
	}
}

static void on_renew(uv_timer_t *t)
{
	struct front *f = t->data;
	struct dispatch *d = f->dispatch;

	for (struct leased *l = d->leased; l; l = l->next)
		(void)l->source->ops->extend(l->source->self, l->id, l->attempt, on_extended,
					     f); /* behind: the next round */
	for (size_t i = 0; i < f->sources.n; i++) {
		f->sources.all[i]->may_have |= f->sources.all[i]->is_behind;
		f->sources.all[i]->is_behind = false;
	}
	dispatch_poke(f);
}

/* ---- draining ---- */

void dispatch_check_drained(struct front *f)
{
	struct dispatch *d = f->dispatch;
	void (*done)(struct front * f) = d->drained;

	if (!done || d->n_direct || d->n_leased || d->n_recording || d->n_taking)
		return;
	d->drained = NULL;
	uv_timer_stop(&d->drain);
	done(f);
}

static void cancel_one(struct job *job, void *arg)
{
	(void)arg;
	job_cancel(job, "the node was stopped");
}

static void on_drain_over(uv_timer_t *t)
{
	struct front *f = t->data;

	for (struct leased *l = f->dispatch->leased; l; l = l->next)
		l->is_given_back = l->job != NULL;
	engine_each(f->engine, cancel_one, NULL);
}

void dispatch_drain(struct front *f, void (*done)(struct front *f))
{
	struct dispatch *d = f->dispatch;
	struct error e = ERROR_INIT;

	(void)error_set(&e, ESHUTDOWN, "this node is being stopped");
	dispatch_fail_waiting(f, &e);
	able_settle(f);
	d->drained = done;
	(void)uv_timer_start(&d->drain, on_drain_over, f->settings.drain_ns / NS_PER_MS, 0);
	dispatch_check_drained(f);
}

/* ---- life ---- */

int dispatch_new(struct front *f, struct error *err)
{
	struct dispatch *d = calloc(1, sizeof(*d));
	uint64_t every_ms = f->settings.lease_ns / 3 / NS_PER_MS;

	if (!d)
		return error_set(err, ENOMEM, "out of memory");
	d->last = &d->first;
	f->dispatch = d;
	(void)uv_timer_init(&f->loop, &d->renew);
	(void)uv_timer_init(&f->loop, &d->drain);
	d->renew.data = d->drain.data = f;
	(void)uv_timer_start(&d->renew, on_renew, every_ms, every_ms);
	for (size_t i = 0; i < f->sources.n; i++) {
		f->sources.all[i]->arg = f;
		f->sources.all[i]->on_work = on_source_work;
		f->sources.all[i]->may_have = true;
	}
	return 0;
}

void dispatch_counts(const struct front *f, struct dispatch_counts *ret)
{
	const struct dispatch *d = f->dispatch;

	*ret = d->counts;
	ret->running = d->n_direct + d->n_running;
	ret->direct_waiting = d->n_waiting;
	ret->recording = d->n_recording + d->n_leased - d->n_running;
}
