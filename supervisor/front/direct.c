/* Runs that a client waits for, from the door to their result: see dispatch.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/front_metrics.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/our_id.h"
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
	json = dispatch_result_text(result, job);
	copy = d->fn && json ? alloc_text(json) : NULL;
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

static void start(struct dispatch *p, struct direct *d)
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

void dispatch_start_direct(struct dispatch *p)
{
	start(p, direct_pop(p));
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
	struct direct *d;
	int r;

	*ret_retry_s = 1;
	r = may_wait(p, caller, ret_retry_s, err);
	if (r < 0) {
		job_spec_free(spec);
		return r;
	}
	d = alloc_zeroed(1, sizeof(*d));
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
