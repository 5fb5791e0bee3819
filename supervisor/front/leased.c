/* Jobs that were leased from a source, until their result is recorded or they were given back: see dispatch.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/front_metrics.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/policies.h"
#include "supervisor/front/record.h"
#include "supervisor/front/views.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/queue/source.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"

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
		record_result(p->env->record, l->source, job, result, l->attempt, dispatch_result_text(result, job),
			      NULL, NULL, on_recorded, l);
	}
	dispatch_poke(p);
}

static struct leased *lease(struct dispatch *p, struct source *source, const struct queue_job *q)
{
	struct leased *l = alloc_zeroed(1, sizeof(*l));

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

/*
 * All that is needed before it is run. is_alive: it runs already. ret: owned, on failure as well, when it is set.
 * Returns 0, -EAGAIN: not here and now; another -errno: it can never run.
 */
static int prepare(struct leased *l, const struct queue_job *q, bool is_alive, struct job_spec **ret, struct error *err)
{
	struct dispatch *p = l->dispatch;
	int r = spec_of(p, l->source, q, ret, err);

	if (r < 0) {
		log_warning(LOG_FACTS(LOG_STR("job", q->id), LOG_STR("error", err->text)), "this job can never run");
		return r;
	}
	if (!is_alive && !able_takes_work(p->env->able)) /* it was on its way when we ceased to */
		return error_set(err, EAGAIN, "the node cannot run jobs at the moment");
	l->has_callback = (*ret)->callback_url != NULL;
	return job_callbacks_arm_leased(p->env->callbacks, l->source->space, l->id, *ret, err);
}

static void refuse(struct leased *l, struct offer *offer, int r, const struct error *e)
{
	if (offer)
		dispatch_refuse_offer(l->dispatch, offer);
	if (r == -EAGAIN)
		dispatch_give_back(l, e->text, QUEUE_UNSTARTED);
	else
		bury(l, e->text);
}

static void note_start(struct leased *l, bool was_alive)
{
	struct dispatch *p = l->dispatch;

	p->n_running++;
	p->counts.started++;
	p->counts.adopted += was_alive;
	views_started(p->env->views, l->job);
	if (l->source->ops->started)
		l->source->ops->started(l->source->self, l->job);
}

void dispatch_start(struct dispatch *p, struct source *source, const struct queue_job *q, struct offer *offer)
{
	struct leased *l = lease(p, source, q);
	struct error e = ERROR_INIT;
	struct job_order order = { .id = q->id,
				   .owner = q->owner,
				   .space = source->space,
				   .attempt = q->attempt,
				   .unstarted = q->unstarted,
				   .queued_ms = q->queued_ms,
				   .over = on_leased_over,
				   .arg = l };
	int r;

	r = prepare(l, q, offer != NULL, &order.spec, &e);
	if (r < 0) {
		job_spec_free(order.spec);
		refuse(l, offer, r, &e);
		return;
	}
	r = offer ? engine_adopt(p->env->engine, &offer->m, &offer->fds, &order, &l->job, &e)
		  : engine_start(p->env->engine, &order, &l->job, &e);
	if (r < 0) {
		dispatch_give_back(l, e.text, QUEUE_FAILED);
		return;
	}
	note_start(l, offer != NULL);
	if (q->is_ending)
		job_cancel(l->job, "cancelled by its owner");
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

void dispatch_extended(const struct error *e, const char *id, unsigned attempt, void *arg)
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
