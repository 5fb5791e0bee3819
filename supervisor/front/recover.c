/* What an earlier front left: leases in the database, living sandboxes with the monitor. See dispatch.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/dispatch_impl.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/views.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/queue/queue.h"

enum { OFFERS_MAX = 4096 };

static void ignore_facts(const struct error *e, const struct monitor_facts *m, void *arg)
{
	(void)e; /* it is the monitor that removes it, whatever the answer */
	(void)m;
	(void)arg;
}

void dispatch_refuse_offer(struct front *f, struct offer *offer)
{
	(void)monitor_finish_sandbox(f->monitor, offer->m.id, ignore_facts, NULL);
	sandbox_fds_close(&offer->fds);
}

void dispatch_offer(struct front *f, const struct monitor_adopt *m, struct sandbox_fds *fds)
{
	struct dispatch *d = f->dispatch;
	struct offer offer = { .m = *m, .fds = *fds }, *more;

	*fds = (struct sandbox_fds){ .sock = -1, .out = -1, .err = -1, .index = -1 };
	more = d->n_offers < OFFERS_MAX ? realloc(d->offers, (d->n_offers + 1) * sizeof(*more)) : NULL;
	if (!more) {
		dispatch_refuse_offer(f, &offer);
		return;
	}
	d->offers = more;
	d->offers[d->n_offers++] = offer;
}

static struct offer *offer_of(struct dispatch *d, enum queue_space space, const struct queue_job *q)
{
	for (size_t i = 0; i < d->n_offers; i++) {
		struct offer *o = &d->offers[i];
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
	struct front *front;
	struct source *source;
	struct offer offer;
};

static void on_adopted(const struct error *e, const struct queue_record *r, void *arg)
{
	struct adoption *a = arg;

	if (e)
		dispatch_refuse_offer(a->front, &a->offer);
	else
		dispatch_start(a->front, a->source, &r->job, &a->offer);
	free(a);
}

static bool adopt(struct front *f, struct source *s, const struct queue_job *q, struct offer *offer)
{
	struct adoption *a = calloc(1, sizeof(*a));

	if (!a)
		return false;
	*a = (struct adoption){ .front = f, .source = s, .offer = *offer };
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
static void recovered(struct front *f)
{
	struct dispatch *d = f->dispatch;

	for (size_t i = 0; i < d->n_offers; i++) {
		if (d->offers[i].fds.sock >= 0)
			dispatch_refuse_offer(f, &d->offers[i]);
	}
	free(d->offers);
	d->offers = NULL;
	d->n_offers = 0;
	d->recovered(f);
}

/* One source, while it is asked. */
struct recovery {
	struct front *front;
	struct source *source;
};

static void on_leases(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct recovery *r = arg;
	struct front *f = r->front;
	struct source *s = r->source;
	struct dispatch *d = f->dispatch;
	size_t taken = 0;

	free(r);
	if (e)
		log_warning(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_STR("error", e->text)),
			    "cannot read which jobs were running, their leases will run out");
	for (size_t i = 0; i < n; i++) {
		struct offer *offer = offer_of(d, s->space, &jobs[i]);

		if (s->ops->counts_at_submission)
			auth_job_resumed(f->auth, jobs[i].owner);
		if (offer && adopt(f, s, &jobs[i], offer))
			taken++;
		else
			(void)s->ops->give_back(s->self, jobs[i].id, jobs[i].attempt,
						"the supervisor was restarted while it ran", QUEUE_FAILED,
						on_given_back, NULL);
	}
	if (n)
		log_notice(LOG_FACTS(LOG_STR("source", s->ops->name), LOG_INT("leases", n),
				     LOG_INT("sandboxes", d->n_offers), LOG_INT("taken", taken)),
			   "took over from an earlier front");
	if (--d->n_recovering == 0)
		recovered(f);
}

/* Those that wait count among the jobs of their owners as well: page by page, beside whatever else goes on. */
static void on_waiting(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg)
{
	struct front *f = arg;
	const struct queue_filter filter = { .state = QUEUE_WAITING, .cursor = next, .limit = 200 };

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].queued_ms < f->state.started_ms)
			auth_job_resumed(f->auth, jobs[i].owner);
	}
	if (!e && *next)
		(void)f->sources.home->ops->list(f->sources.home->self, &filter, on_waiting,
						 f); /* behind: a quota is too lenient for a while */
}

static bool ask(struct front *f, struct source *s)
{
	struct recovery *r = malloc(sizeof(*r));

	if (!r)
		return false;
	*r = (struct recovery){ .front = f, .source = s };
	if (s->ops->leased(s->self, on_leases, r) == 0)
		return true;
	free(r);
	return false;
}

int dispatch_recover(struct front *f, void (*done)(struct front *f), struct error *err)
{
	const struct queue_filter waiting = { .state = QUEUE_WAITING, .limit = 200 };
	struct dispatch *d = f->dispatch;

	d->recovered = done;
	d->n_recovering = 0;
	if (f->sources.home->ops->list(f->sources.home->self, &waiting, on_waiting, f) < 0)
		return error_set(err, EAGAIN, "the database is behind");
	for (size_t i = 0; i < f->sources.n; i++) {
		struct source *s = f->sources.all[i];
		bool is_asked = ask(f, s);

		if (!is_asked && s->ops->is_needed)
			return error_set(err, EAGAIN, "%s is behind", s->ops->name);
		d->n_recovering += is_asked; /* of others the leases run out, or their source keeps them itself */
	}
	return 0;
}
