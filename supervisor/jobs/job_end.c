/* What became of a job, in the end: its verdict, and the last event of its journal. See job.h. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/agent/agent_proto.h"
#include "runtime/base/clock.h"
#include "runtime/base/wall_clock.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/pool.h"

static void add_exit(struct job *job)
{
	const struct job_result *r = &job->result;
	const struct stage_result *s = r->run.has_run ? &r->run : &r->compile;
	const uint64_t wall_us = s->wall_ns / NS_PER_US;
	json_t *o =
		json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:f}", "status", verdict_name(r->verdict.status), "reason",
			  r->verdict.reason, "exit_code",
			  r->verdict.exit_code < 0 ? json_null() : json_integer(r->verdict.exit_code), "signal",
			  r->verdict.signal ? json_integer(r->verdict.signal) : json_null(), "stdout_truncated",
			  (int)s->is_cut[0], "stderr_truncated", (int)s->is_cut[1], "wall_ms", (double)wall_us / 1000);
	char *text = o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;

	/* without memory a plain one: there is an end in any case */
	(void)journal_add(job->journal, JOURNAL_EXIT, text ? text : "{\"status\":\"internal_error\"}", NULL);
	free(text);
	json_decref(o);
}

/* The program that was to be run is what the compiler should have made, and it cannot be executed. */
static bool is_nothing_made(const struct job *job)
{
	const struct verdict_facts *f = &job->process.facts;

	return job->def && job->def->compile.argv && strcmp(job->def->run.argv[0], "{out}") == 0 && f->is_refused &&
	       f->refused_stage == AGENT_STAGE_EXEC && job->result.run.verdict.status == VERDICT_RUNTIME_ERROR;
}

static void nothing_made(struct verdict *v)
{
	char why[sizeof(v->reason)];

	memcpy(why, v->reason, sizeof(why));
	*v = (struct verdict){ .status = VERDICT_COMPILE_ERROR, .exit_code = -1 };
	(void)snprintf(v->reason, sizeof(v->reason), "compile: it left nothing that can be run: %.120s", why);
}

/* What it is as a whole. */
static void judge(struct job *job)
{
	struct verdict *v = &job->result.verdict;

	job_stage_judge(job);
	if (job->cases && job->stop == STOP_NONE) {
		job_cases_judge(job);
	} else if (job->is_compiled && job->stop == STOP_NONE) {
		*v = (struct verdict){ .status = VERDICT_OK, .exit_code = 0 };
	} else if (job->is_early &&
		   !(job->has_facts && job->facts.oom_kills && job->facts.oom_kills != CGROUP_UNKNOWN)) {
		*v = job->early;
	} else if (job->is_early || !job->process.limits ||
		   (job->process.is_compile && job->result.compile.verdict.status == VERDICT_OK)) {
		/* no process was at work: what stopped us says it all */
		struct verdict_facts f = { .stop = job->stop,
					   .memory_limit_bytes = job->memory_bytes,
					   .oom_kills = job->has_facts ? job->facts.oom_kills : 0,
					   .oom_is_above = job->has_facts && job->facts.oom_is_above };

		verdict_decide(&f, v);
	} else if (job->process.is_compile) {
		*v = job->result.compile.verdict;
		if (v->status != VERDICT_INTERNAL_ERROR && v->status != VERDICT_CANCELLED) {
			v->status = VERDICT_COMPILE_ERROR;
			(void)snprintf(v->reason, sizeof(v->reason), "compile: %.180s",
				       job->result.compile.verdict.reason);
		}
	} else {
		*v = job->result.run.verdict;
		if (is_nothing_made(job))
			nothing_made(v);
	}
	if (job->stop_reason[0] && (v->status == VERDICT_CANCELLED || v->status == VERDICT_INTERNAL_ERROR))
		memcpy(v->reason, job->stop_reason, sizeof(v->reason));
}

void job_judge(struct job *job)
{
	if (job->sandbox.id[0])
		job_stdio_drain(job);
	judge(job);
	if (job->cases)
		job_cases_result(job);
	(void)uv_timer_stop(&job->timer);
	job->result.finished_ms = time_now_ms();
	if (!*job->result.version && job->def) /* it was not asked yet when the job began */
		job->result.version = pool_runtime_version(job->engine->o.pool, job->def);
	add_exit(job);
}
