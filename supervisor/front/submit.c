/* Jobs into the queue: see submit.h. */
#include "supervisor/front/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/our_id.h"
#include "supervisor/front/policies.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/queue/queue.h"
#include "supervisor/spec/spec.h"

/* ---- what is asked for ---- */

/* Also settles what its compiler may: no more than the key. */
static int may_run(const struct auth_allow *a, struct job_spec *spec, struct refusal *why)
{
	const struct {
		const char *field, *list, *name;
	} rows[] = { { "runtime", a->runtimes, spec->runtime }, { "policy", a->policies, spec->policy } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!*rows[i].list || text_has_word(rows[i].list, rows[i].name))
			continue;
		*why = (struct refusal){ .kind = REFUSED_FORBIDDEN };
		(void)text_copy(why->field, sizeof(why->field), rows[i].field);
		(void)snprintf(why->text, sizeof(why->text), "%s: this key may not use '%.64s'; it may: %.120s",
			       rows[i].field, rows[i].name, rows[i].list);
		return -1;
	}
	spec->is_one_policy = *a->policies && !text_has_word(a->policies, JOB_COMPILE_POLICY);
	return 0;
}

static struct job_ceilings ceilings_of(const struct auth_allow *allow)
{
	if (!allow)
		return (struct job_ceilings){ .wall_ns = 0 };
	return (struct job_ceilings){
		.wall_ns = allow->wall_ms * NS_PER_MS,
		.memory_bytes = allow->memory,
		.processes = allow->processes,
		.output_bytes = allow->output,
		.disk_bytes = allow->disk,
	};
}

/* Somebody named a policy that is not there, or not theirs to name. */
static void note_policy(const struct submit_env *env, const struct caller *caller, const char *text)
{
	struct audit_who who;

	auth_audit_caller(caller, &who);
	auth_audit_write(env->auth, &who, "policy.refused", "", text);
	metrics_add(env->metrics, METRIC_POLICY_REFUSALS_TOTAL, METRIC_PLAIN, 1);
}

int submit_parse(const struct submit_env *env, const struct caller *caller, const char *text, size_t size,
		 bool is_queued, struct job_spec **ret, struct refusal *why)
{
	const struct auth_allow *allow = auth_allowed(env->auth, caller);
	const struct job_ceilings ceilings = ceilings_of(allow);
	const struct job_context context = {
		.settings = env->settings,
		.of_key = &ceilings,
		.runtimes = env->catalog->runtimes,
		.has_policy = policies_have,
		.policy_error = policies_error,
		.arg = env->catalog,
		.is_queued = is_queued,
		.is_watched = is_queued, /* who has to wait for the end anyway is not made to pay */
		.is_admin = caller_is_admin(caller),
	};
	struct error e = ERROR_INIT;
	char field[160] = "";
	int r = job_spec_parse(text, size, &context, ret, field, &e);

	if (r < 0) {
		refusal_of_spec(why, r, field, &e);
		if (env->auth && strcmp(field, "policy") == 0)
			note_policy(env, caller, e.text);
		return -1;
	}
	if (allow && may_run(allow, *ret, why) < 0) {
		job_spec_free(*ret);
		*ret = NULL;
		return -1;
	}
	return 0;
}

/* ---- one job on its way into the database ---- */

struct submission {
	const struct submit_env *env;
	struct queue_job job;
	char *text;
	char *callback_url, *callback_secret;
	bool is_shared; /* counted by the node that will run it */
	struct audit_who who;
	char policy[65];
	submit_fn *fn;
	void *arg;
};

static void submission_free(struct submission *s)
{
	free(s->text);
	free(s->callback_url);
	free(s->callback_secret);
	free(s);
}

static struct submission *submission_new(const struct submit_env *env, const char *owner, const struct job_spec *spec,
					 const struct submit_names *names)
{
	struct submission *s = alloc_zeroed(1, sizeof(*s));

	s->env = env;
	s->text = job_spec_text(spec, &s->job.spec_size);
	s->job.spec = s->text;
	our_id_make(s->job.id);
	(void)text_copy(s->job.key, sizeof(s->job.key), names->key ? names->key : "");
	(void)text_copy(s->job.owner, sizeof(s->job.owner), owner);
	job_spec_fingerprint(spec, s->job.fingerprint);
	s->job.priority = spec->priority;
	s->job.retention_ms = spec->retention_ms;
	s->job.queued_ms = time_now_ms();
	s->job.not_before_ms = spec->delay_ms ? s->job.queued_ms + spec->delay_ms : 0;
	if (spec->callback_url) {
		s->callback_url = alloc_text(spec->callback_url);
		s->callback_secret = spec->callback_secret ? alloc_text(spec->callback_secret) : NULL;
	}
	if (!s->text || !*s->job.fingerprint) {
		submission_free(s);
		return NULL;
	}
	return s;
}

/* It is not in the queue, or not as this one: give back what was taken for it. */
static void undo(struct submission *s)
{
	if (s->env->auth)
		auth_job_ended(s->env->auth, s->job.owner, 0, 0);
	if (s->callback_url)
		job_callbacks_disarm(s->env->callbacks, SPACE_HERE, s->job.id);
}

/* outcome: a word, with the policy that the job is to run under. */
static void audit(const struct submission *s, const char *id, const char *outcome)
{
	char text[128];

	if (!s->env->auth)
		return;
	(void)snprintf(text, sizeof(text), "%s, policy %s", outcome, s->policy);
	auth_audit_write(s->env->auth, &s->who, "job.submit", id, text);
}

static void refuse(struct submission *s, const struct error *e)
{
	struct refusal why;

	undo(s);
	refusal_of_queue(&why, e, *s->job.key);
	audit(s, "", refusal_word(why.kind));
	s->fn(&why, "", false, s->arg);
	submission_free(s);
}

static void on_submitted(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	struct submission *s = arg;

	if (e) {
		refuse(s, e);
		return;
	}
	if (how == QUEUE_DUPLICATE || s->is_shared)
		undo(s);
	audit(s, id, how == QUEUE_DUPLICATE ? "repeated" : "accepted");
	s->fn(NULL, id, how == QUEUE_DUPLICATE, s->arg);
	submission_free(s);
}

/* To where it will be taken from. */
static int into_queue(struct submission *s)
{
	const struct submit_to *to = s->is_shared ? &s->env->shared : &s->env->here;

	return to->submit(to->self, &s->job, on_submitted, s);
}

/* What could not even be asked for, and of whom. */
static void not_now(const struct submission *s, int r, struct error *ret)
{
	if (r == -EAGAIN)
		(void)error_set(ret, EAGAIN, "%s",
				s->is_shared ? "Redis cannot be asked at the moment, try again in a second"
					     : "the database is behind, try again in a second");
	else
		(void)error_set(ret, -r, "there is a callback for this id already"); /* EEXIST; others say their own */
}

static void on_armed(const struct error *e, void *arg)
{
	struct submission *s = arg;
	struct error none = ERROR_INIT;
	int r = e ? -e->code : into_queue(s);

	if (r == 0)
		return;
	if (!e)
		not_now(s, r, &none);
	refuse(s, e ? e : &none);
}

/* May it be taken, as far as can be said at once? Then its quota is. */
static int begin(struct submission *s, const struct caller *caller, struct refusal *why)
{
	const struct submit_env *env = s->env;
	struct error e = ERROR_INIT;
	unsigned retry_s = 1;
	int r = env->state->is_draining ? error_set(&e, ESHUTDOWN, "this node is being stopped")
					: able_stores(env->able, &e);

	if (r == 0 && s->callback_url) {
		r = job_callbacks_check(env->callbacks, s->callback_url, &e);
		if (r < 0) {
			refusal_of_callback(why, r, &e);
			return -1;
		}
	}
	if (r == 0)
		r = auth_job_begins(env->auth, caller, &retry_s, &e);
	if (r < 0)
		refusal_of_work(why, r, retry_s, &e);
	return r < 0 ? -1 : 0;
}

int submit_job(const struct submit_env *env, const struct caller *caller, const struct job_spec *spec,
	       const struct submit_names *names, submit_fn *fn, void *arg, struct refusal *why)
{
	struct submission *s = submission_new(env, caller->owner, spec, names);
	struct error e = ERROR_INIT;
	int r;

	if (!s) {
		refusal_of_queue(why, &(struct error){ .code = ENOMEM }, false);
		return -1;
	}
	s->fn = fn;
	s->arg = arg;
	s->job.is_root = caller->is_root;
	auth_audit_caller(caller, &s->who);
	(void)text_copy(s->policy, sizeof(s->policy), spec->policy);
	/* a callback is armed where the job ends; a stream has no key of idempotency but the id */
	s->is_shared = names->is_shared && env->shared.submit && !s->callback_url && !names->key;
	if (begin(s, caller, why) < 0) {
		audit(s, "", refusal_word(why->kind));
		submission_free(s);
		return -1;
	}
	r = s->callback_url
		    ? job_callbacks_arm(env->callbacks, s->job.id, s->callback_url, s->callback_secret, on_armed, s)
		    : into_queue(s);
	if (r == 0)
		return 0;
	auth_job_ended(env->auth, s->job.owner, 0, 0);
	not_now(s, r, &e);
	refusal_of_queue(why, &e, false);
	audit(s, "", refusal_word(why->kind));
	submission_free(s);
	return -1;
}
