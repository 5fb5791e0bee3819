/* Results into the database: see record.h. */
#include "supervisor/front/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"
#include "supervisor/queue/queue.h"
#include "supervisor/queue/source.h"

enum { RETRY_MS = 2000, JOURNAL_BLOB_MAX = 512 << 20 };

struct record {
	const struct record_env *env;
	struct source *source;
	struct queue_result result; /* points into what follows */
	char id[65], owner[65];
	char *json, *spec;
	struct buf journal;
	uint64_t cpu_ms, bytes; /* for the owner's quota */
	uv_timer_t timer;
	record_fn *fn;
	void *arg;
};

static void attempt(struct record *r);

static void on_closed(uv_handle_t *h)
{
	struct record *r = h->data;

	free(r->json);
	free(r->spec);
	buf_done(&r->journal);
	free(r);
}

static void over(struct record *r, enum recorded how)
{
	auth_job_ended(r->env->auth, r->owner, r->cpu_ms, r->bytes);
	r->fn(how, r->arg);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

static void on_timer(uv_timer_t *t)
{
	attempt(t->data);
}

static void on_finished(const struct error *e, void *arg)
{
	struct record *r = arg;

	if (!e) {
		over(r, RECORDED);
	} else if (e->code == ESTALE) {
		log_warning(LOG_FACTS(LOG_STR("job", r->id), LOG_INT("attempt", r->result.attempt)),
			    "a later attempt owns this job, dropping the result of this one");
		over(r, RECORD_FENCED);
	} else if (r->result.is_direct) { /* its client has the answer */
		log_warning(LOG_FACTS(LOG_STR("job", r->id), LOG_STR("error", e->text)),
			    "cannot record a direct run, ignoring");
		over(r, RECORD_FAILED);
	} else {
		log_error(LOG_FACTS(LOG_STR("job", r->id), LOG_STR("error", e->text)),
			  "cannot record a result, retrying in 2 s");
		(void)uv_timer_start(&r->timer, on_timer, RETRY_MS, 0);
	}
}

static void attempt(struct record *r)
{
	if (r->source->ops->finish(r->source->self, &r->result, on_finished, r) < 0)
		(void)uv_timer_start(&r->timer, on_timer, RETRY_MS, 0);
}

static void fill(struct record *r, struct job *job, const struct job_result *result, unsigned number)
{
	struct journal *j = job_journal(job);

	text_copy(r->id, sizeof(r->id), result->id);
	text_copy(r->owner, sizeof(r->owner), job_owner(job));
	r->journal.max = JOURNAL_BLOB_MAX;
	if (journal_pack(j, &r->journal) < 0)
		buf_reset(&r->journal); /* the result has the output as well */
	r->cpu_ms = ((result->run.has_run ? result->run.cpu_ns : 0) +
		     (result->compile.has_run ? result->compile.cpu_ns : 0)) /
		    NS_PER_MS;
	r->bytes = journal_bytes(j, JOURNAL_STDOUT) + journal_bytes(j, JOURNAL_STDERR);
	r->result = (struct queue_result){
		.id = r->id,
		.attempt = number,
		.status = verdict_name(result->verdict.status),
		.json = r->json,
		.json_size = strlen(r->json),
		.journal = r->journal.data,
		.journal_size = r->journal.size,
		.is_direct = number == 0,
		.owner = r->owner,
		.spec = r->spec ? r->spec : "{}",
		.queued_ms = result->queued_ms,
	};
}

/* What came of it, and under which policy. */
static void audit(const struct record *r, const struct job_result *result, const struct audit_who *who)
{
	struct audit_who owner = { .owner = "" };
	char outcome[128];

	(void)text_copy(owner.owner, sizeof(owner.owner), r->owner);
	(void)snprintf(outcome, sizeof(outcome), "%s, policy %s", verdict_name(result->verdict.status),
		       result->policy ? result->policy : "");
	auth_audit_write_later(r->env->auth, who ? who : &owner, who ? "run" : "job.end", r->id, outcome);
}

/* Out of memory: the lease will run out, and another attempt gives the result. Said on the next turn of the loop. */
static void on_nothing(uv_timer_t *t)
{
	over(t->data, RECORD_FAILED);
}

void record_result(const struct record_env *env, struct source *source, struct job *job,
		   const struct job_result *result, unsigned number, char *json, const char *spec,
		   const struct audit_who *who, record_fn *fn, void *arg)
{
	struct record *r = alloc_zeroed(1, sizeof(*r));

	r->env = env;
	r->source = source;
	r->fn = fn;
	r->arg = arg;
	r->json = json;
	r->spec = spec ? alloc_text(spec) : NULL;
	(void)uv_timer_init(env->loop, &r->timer);
	r->timer.data = r;
	if (!json) {
		log_error(LOG_FACTS(LOG_STR("job", result->id)), "out of memory for a result");
		text_copy(r->owner, sizeof(r->owner), job_owner(job));
		(void)uv_timer_start(&r->timer, on_nothing, 0, 0);
		return;
	}
	fill(r, job, result, number);
	audit(r, result, who);
	attempt(r);
}
