/* All jobs of a front: see engine.h. The jobs themselves: job.h. */
#include "supervisor/jobs/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/jobs/artefacts.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/agent_link.h"

#define ARTEFACTS_BYTES (UINT64_C(256) << 20)

struct engine *engine_new(const struct engine_options *o)
{
	struct engine *e = alloc_zeroed(1, sizeof(*e));
	struct error why = ERROR_INIT;

	e->o = *o;
	if (o->state_fd >= 0 && artefacts_open(o->loop, o->state_fd, ARTEFACTS_BYTES, &e->artefacts, &why) < 0)
		log_warning(LOG_FACTS(LOG_STR("reason", why.text)),
			    "cannot keep what is compiled, compiling each time");
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	artefacts_free(e->artefacts);
	free(e);
}

void engine_set_runtimes(struct engine *e, const struct runtime_set *runtimes)
{
	e->o.runtimes = runtimes;
}

struct job *engine_find(struct engine *e, const struct job_name *name)
{
	struct job *job = e->jobs;

	while (job && (job->parent || job->space != name->space || strcmp(job->id, name->id) != 0 ||
		       strcmp(job->owner, name->owner) != 0))
		job = job->next;
	return job;
}

size_t engine_running(const struct engine *e)
{
	size_t n = 0;

	for (const struct job *job = e->jobs; job; job = job->next)
		n += !job->cases; /* its cases have the sandboxes */
	return n;
}

void engine_each(struct engine *e, void (*fn)(struct job *job, void *arg), void *arg)
{
	for (struct job *job = e->jobs, *next; job; job = next) {
		next = job->next;
		if (!job->parent)
			fn(job, arg);
	}
}

bool engine_stopped(struct engine *e, const struct monitor_stopped *m)
{
	struct job *job = e->jobs;

	while (job && strcmp(job->sandbox.id, m->id) != 0)
		job = job->next;
	if (!job)
		return false;
	/* what the agent had said before it was ended comes first */
	if (job->state < JOB_ENDING && job->sandbox.link)
		(void)agent_link_drain(job->sandbox.link);
	job = engine_find_sandbox(e, m->id);
	if (!job)
		return true;
	if (m->stop == STOP_NONE || m->stop > STOP_INTERNAL)
		job_event(job, JOB_EV_ENDED, NULL); /* pid 1 ended by itself: the facts say why */
	else
		job_stop(job, (enum verdict_stop)m->stop, NULL);
	return true;
}

struct job *engine_find_sandbox(struct engine *e, const char *sandbox)
{
	struct job *job = e->jobs;

	while (job && strcmp(job->sandbox.id, sandbox) != 0)
		job = job->next;
	return job;
}

/* ---- what others ask of a job ---- */

struct job *engine_find_id(struct engine *e, const char *owner, const char *id)
{
	struct job *job = e->jobs;

	while (job && (job->parent || strcmp(job->id, id) != 0 || (owner && strcmp(job->owner, owner) != 0)))
		job = job->next;
	return job;
}

struct job_name job_name(const struct job *job)
{
	return job_name_make(job->space, job->owner, job->id);
}

const char *job_id(const struct job *job)
{
	return job->id;
}

const char *job_owner(const struct job *job)
{
	return job->owner;
}

unsigned job_attempt(const struct job *job)
{
	return job->attempt;
}

const char *job_state(const struct job *job)
{
	/* clang-format off */
	static const char *const names[JOB_STATES] = {
		[JOB_SANDBOX] = "starting", [JOB_FILES] = "starting",
		[JOB_COMPILE_LIMIT] = "compiling", [JOB_COMPILE_START] = "compiling", [JOB_COMPILE] = "compiling",
		[JOB_KEEP] = "compiling",
		[JOB_RUN_LIMIT] = "running", [JOB_RUN_START] = "running", [JOB_RUN] = "running",
		[JOB_CASES] = "running",
		[JOB_OUTPUTS] = "finishing", [JOB_ENDING] = "finishing", [JOB_FACTS] = "finishing",
		[JOB_OVER] = "finishing",
	};
	/* clang-format on */

	return names[job->state];
}

struct journal *job_journal(const struct job *job)
{
	return job->journal;
}

const struct job_spec *job_spec_of(const struct job *job)
{
	return job->spec;
}

enum job_trouble job_trouble(const struct job *job)
{
	return job->trouble;
}

void job_cancel(struct job *job, const char *reason)
{
	job_stop(job, STOP_CANCEL, reason);
}

int job_input(struct job *job, const void *data, size_t size)
{
	if (!job->spec->is_interactive || job->process.is_input_over || job->state > JOB_RUN ||
	    (job->state == JOB_RUN && job->process.has_ended))
		return -EPIPE;
	if (buf_append(&job->live_input, data, size) < 0)
		return -ENOBUFS;
	if (job->state == JOB_RUN && job_runs(job))
		job_input_push(job);
	return 0;
}

size_t job_input_waiting(const struct job *job)
{
	return job->live_input.size;
}

int job_end_input(struct job *job)
{
	if (!job->spec->is_interactive || job->state > JOB_RUN)
		return -EPIPE;
	job->is_input_ended = true;
	if (job->state == JOB_RUN && job_runs(job))
		job_input_push(job);
	return 0;
}

int job_signal(struct job *job, int signo)
{
	const struct agent_signal s = { .proc = job->process.seq, .signo = (uint32_t)signo };

	if (signo <= 0 || signo >= NSIG)
		return -EINVAL;
	if (!job_runs(job))
		return -ESRCH;
	return job_ask(job, AGENT_SIGNAL, agent_link_seq(job->sandbox.link), &s);
}

int job_resize(struct job *job, uint16_t cols, uint16_t rows)
{
	const struct agent_resize r = { .proc = job->process.seq, .cols = cols, .rows = rows };

	if (!job->spec->has_tty)
		return -ENOTTY;
	job->spec->cols = cols; /* for a start that is still to come */
	job->spec->rows = rows;
	if (!job_runs(job) || job->process.is_compile)
		return 0;
	return job_ask(job, AGENT_RESIZE, agent_link_seq(job->sandbox.link), &r);
}
