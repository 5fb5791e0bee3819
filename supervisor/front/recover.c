/* What an earlier front left: leases in the database, living sandboxes with the monitor. See dispatch.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/sources.h"
#include "supervisor/jobs/engine.h"

enum { OFFERS_MAX = 4096 };

static void ignore_facts(const struct error *e, const struct monitor_facts *m, void *arg)
{
	(void)e; /* it is the monitor that removes it, whatever the answer */
	(void)m;
	(void)arg;
}

void dispatch_refuse_offer(struct dispatch *p, struct offer *offer)
{
	(void)monitor_finish_sandbox(p->env->monitor, offer->m.id, ignore_facts, NULL);
	sandbox_fds_close(&offer->fds);
}

void dispatch_offer(struct dispatch *p, const struct monitor_adopt *m, struct sandbox_fds *fds)
{
	struct offer offer = { .m = *m, .fds = *fds };

	*fds = (struct sandbox_fds){ .sock = -1, .out = -1, .err = -1, .index = -1 };
	if (p->n_offers >= OFFERS_MAX) {
		dispatch_refuse_offer(p, &offer);
		return;
	}
	p->offers = alloc_again(p->offers, p->n_offers + 1, sizeof(*p->offers));
	p->offers[p->n_offers++] = offer;
}

static struct offer *offer_of(struct dispatch *p, enum queue_space space, const struct queue_job *q)
{
	for (size_t i = 0; i < p->n_offers; i++) {
		struct offer *o = &p->offers[i];
		enum queue_space at;
		unsigned attempt;
		bool is_direct;
		char id[65];

		if (o->fds.sock >= 0 && engine_tag_read(o->m.tag, o->m.tag_size, &at, id, &attempt, &is_direct) &&
		    !is_direct && at == space && attempt == q->attempt && strcmp(id, q->id) == 0)
			return o;
	}
	return NULL;
}

/* A lease and its sandbox, while we read what the job is. */
struct adoption {
	struct dispatch *dispatch;
	struct source *source;
	struct offer offer;
};

static void on_adopted(const struct error *e, const struct queue_record *r, void *arg)
{
	struct adoption *a = arg;

	if (e)
		dispatch_refuse_offer(a->dispatch, &a->offer);
	else
		dispatch_start(a->dispatch, a->source, &r->job, &a->offer);
	free(a);
}

static bool adopt(struct dispatch *p, struct source *s, const struct queue_job *q, struct offer *offer)
{
	struct adoption *a = alloc_bytes(sizeof(*a));

	*a = (struct adoption){ .dispatch = p, .source = s, .offer = *offer };
	if (s->ops->get(s->self, q->id, false, on_adopted, a) < 0) {
		free(a);
		return false;
	}
	offer->fds = (struct sandbox_fds){ .sock = -1, .out = -1, .err = -1, .index = -1 };
	return true;
}

static void on_given_back(const struct error *e, void *arg)
{
	(void)arg;
	if (e && e->code != ESTALE)
		log_warning(LOG_FACTS(LOG_STR("error", e->text)),
			    "cannot give back a job that was running, its lease will run out");
}

/* All sources have been asked: what is left is nobody's, a direct run or a job that has its result. */
static void recovered(struct dispatch *p)
{

	for (size_t i = 0; i < p->n_offers; i++) {
		if (p->offers[i].fds.sock >= 0)
			dispatch_refuse_offer(p, &p->offers[i]);
	}
	free(p->offers);
	p->offers = NULL;
	p->n_offers = 0;
	p->recovered(p->recovered_arg);
}

/* One source, while it is asked. */
struct recovery {
	struct dispatch *dispatch;
	struct source *source;
};

static void on_leases(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct recovery *r = arg;
	struct dispatch *p = r->dispatch;
	struct source *s = r->source;
	size_t taken = 0;

	free(r);
	if (e)
		log_warning(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_STR("error", e->text)),
			    "cannot read which jobs were running, their leases will run out");
	for (size_t i = 0; i < n; i++) {
		struct offer *offer = offer_of(p, s->space, &jobs[i]);

		if (s->ops->counts_at_submission)
			auth_job_resumed(p->env->auth, jobs[i].owner);
		if (offer && adopt(p, s, &jobs[i], offer))
			taken++;
		else
			(void)s->ops->give_back(s->self, jobs[i].id, jobs[i].attempt,
						"the supervisor was restarted while it ran", QUEUE_FAILED,
						on_given_back, NULL);
	}
	if (n)
		log_notice(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_INT("leases", n),
				     LOG_INT("sandboxes", p->n_offers), LOG_INT("taken", taken)),
			   "took over from an earlier front");
	if (--p->n_recovering == 0)
		recovered(p);
}

/* Those that wait count among the jobs of their owners as well: page by page, beside whatever else goes on. */
static void on_waiting(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg)
{
	struct dispatch *p = arg;
	const struct queue_filter filter = { .state = QUEUE_WAITING, .cursor = next, .limit = 200 };

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].queued_ms < p->env->state->started_ms)
			auth_job_resumed(p->env->auth, jobs[i].owner);
	}
	if (!e && *next)
		(void)p->env->sources->home->ops->list(p->env->sources->home->self, &filter, on_waiting,
						       p); /* behind: a quota is too lenient for a while */
}

static bool ask(struct dispatch *p, struct source *s)
{
	struct recovery *r = alloc_bytes(sizeof(*r));

	*r = (struct recovery){ .dispatch = p, .source = s };
	if (s->ops->leased(s->self, on_leases, r) == 0)
		return true;
	free(r);
	return false;
}

int dispatch_recover(struct dispatch *p, void (*done)(void *arg), void *arg, struct error *err)
{
	const struct queue_filter waiting = { .state = QUEUE_WAITING, .limit = 200 };

	p->recovered = done;
	p->recovered_arg = arg;
	p->n_recovering = 0;
	if (p->env->sources->home->ops->list(p->env->sources->home->self, &waiting, on_waiting, p) < 0)
		return error_set(err, EAGAIN, "the database is behind");
	for (size_t i = 0; i < p->env->sources->n; i++) {
		struct source *s = p->env->sources->all[i];
		bool is_asked = ask(p, s);

		if (!is_asked && s->ops->is_needed)
			return error_set(err, EAGAIN, "%s is behind", s->ops->name);
		p->n_recovering += is_asked; /* of others the leases run out, or their source keeps them itself */
	}
	return 0;
}
