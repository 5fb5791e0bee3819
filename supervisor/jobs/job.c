/* The life of one job: see job.h. */
#include "supervisor/jobs/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/jobs/artefacts.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/settings.h"

enum { ASK_AGAIN_MS = 50, FACTS_S = 60 };

static void on_timer(uv_timer_t *timer);

/* ---- made, and freed ---- */

struct job *job_new(struct engine *e, const struct job_order *o, struct error *err)
{
	struct job *job = alloc_zeroed(1, sizeof(*job));

	if (text_copy(job->id, sizeof(job->id), o->id) < 0) {
		free(job);
		job_spec_free(o->spec);
		(void)error_set(err, EINVAL, "the id of the job is longer than %zu bytes", sizeof(job->id) - 1);
		return NULL;
	}
	job->owner = alloc_text(o->owner);
	job->engine = e;
	job->attempt = o->attempt;
	job->space = o->space;
	job->is_direct = o->is_direct;
	job->spec = o->spec;
	job->over = o->over;
	job->arg = o->arg;
	job->begun_ns = job->state_ns = clock_now_ns();
	job->deadline_ns = CLOCK_NEVER;
	job->files.loop = e->o.loop;
	job->handover.max = SIZE_MAX / 2;
	job->live_input.max = JOB_INPUT_MAX;
	job->sandbox.fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	for (int i = 0; i < 3; i++)
		job->journal_fds[i] = job->sandbox.prestart_fds[i] = -1;
	(void)text_copy(job->result.id, sizeof(job->result.id), o->id);
	job->result.attempt = o->attempt - o->unstarted;
	job->result.queued_ms = o->queued_ms;
	job->result.runtime = o->spec->runtime;
	job->result.policy = o->spec->policy;
	job->result.node = e->o.settings->node;
	job->result.version = job->result.policy_digest = "";
	job->result.verdict = (struct verdict){ .exit_code = -1 };
	(void)uv_timer_init(e->o.loop, &job->timer); /* cannot fail, nor can the next */
	(void)uv_timer_init(e->o.loop, &job->settle);
	job->timer.data = job->settle.data = job;
	job->n_open_handles = 2;
	job->prev = &e->jobs;
	job->next = e->jobs;
	if (e->jobs)
		e->jobs->prev = &job->next;
	e->jobs = job;
	return job;
}

void job_free_if_alone(struct job *job)
{
	if (job->state != JOB_OVER || job->n_open_handles > 0 || job->n_pending > 0)
		return;
	job_spec_free(job->spec);
	job_result_done(&job->result);
	free(job->owner);
	free(job);
}

static void on_closed(uv_handle_t *handle)
{
	struct job *job = handle->data;

	job->n_open_handles--;
	job_free_if_alone(job);
}

/* What is not needed any more once over() was called; the rest goes with the last handle and the last answer. */
static void let_go(struct job *job)
{
	job->state = JOB_OVER;
	*job->prev = job->next;
	if (job->next)
		job->next->prev = job->prev;
	job_stdio_close(job);
	file_calls_done(&job->files);
	job_outputs_done(job);
	artefact_unref(job->artefact);
	job->artefact = NULL;
	if (job->wait)
		pool_forget(job->wait);
	job->wait = NULL;
	if (job->sandbox.id[0])
		ready_sandbox_done(&job->sandbox);
	buf_done(&job->handover);
	buf_done(&job->live_input);
	job_list_free(job->argv);
	job_list_free(job->env);
	job->argv = job->env = NULL;
	journal_unref(job->journal);
	job->journal = NULL;
	job_cases_free(job->cases);
	job->cases = NULL;
	uv_close((uv_handle_t *)&job->timer, on_closed);
	uv_close((uv_handle_t *)&job->settle, on_closed);
}

void job_discard(struct job *job)
{
	let_go(job);
}

/* ---- time ---- */

void job_deadline(struct job *job, uint64_t at_ns)
{
	uint64_t now = clock_now_ns();

	job->deadline_ns = at_ns;
	if (at_ns == CLOCK_NEVER)
		(void)uv_timer_stop(&job->timer);
	else
		(void)uv_timer_start(&job->timer, on_timer, at_ns > now ? (at_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0,
				     0);
}

void job_silence(struct job *job)
{
	/* moved on with each answer without a call: the timer looks how long it really was */
	job_deadline(job, clock_deadline_ns(JOB_SILENCE_S * NS_PER_S));
}

void job_observe(struct job *job, const char *stage, uint64_t ns)
{
	if (job->engine->o.observe)
		job->engine->o.observe(stage, ns, job->engine->o.arg);
}

void job_status(struct job *job, const char *json)
{
	/* an index that is full or a file that cannot grow costs a status, not the job */
	(void)journal_add(job->journal, JOURNAL_STATUS, json, NULL);
}

/* ---- from state to state ---- */

void job_enter(struct job *job, enum job_state state)
{
	/* steps of one stage are one measure */
	static const char *const observed[JOB_STATES] = {
		[JOB_FILES] = "files",     [JOB_COMPILE_LIMIT] = "compile", [JOB_COMPILE_START] = "compile",
		[JOB_COMPILE] = "compile", [JOB_RUN_LIMIT] = "run",         [JOB_RUN_START] = "run",
		[JOB_RUN] = "run",
	};
	uint64_t now = clock_now_ns();
	bool is_step = observed[job->state] && observed[state] && strcmp(observed[job->state], observed[state]) == 0;

	if (observed[job->state] && !is_step)
		job_observe(job, observed[job->state], now - job->state_ns);
	job->state = state;
	if (!is_step)
		job->state_ns = now;
}

/* Why it is stopped: what JOB_EV_STOP brings. */
struct stop {
	enum verdict_stop why;
	const char *reason;
};

static void note_stop(struct job *job, const struct stop *stop, bool was_running)
{
	job->stop = stop->why;
	if (stop->reason)
		(void)snprintf(job->stop_reason, sizeof(job->stop_reason), "%s", stop->reason);
	if (was_running) {
		job->process.end_ns = clock_now_ns();
		job->process.facts.stop = stop->why;
	}
}

/* ---- what the table does ---- */

/* from: the state in which the event came. */
typedef void job_action(struct job *job, enum job_state from, const void *arg);

static void act_take(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	job_take(job, arg);
}

static void act_files(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	if (job->spec->is_compile_only && job->artefact)
		job_event(job, JOB_EV_PROGRAM, NULL);
	else
		job_files_begin(job);
}

static void act_compile(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_stage_begin(job, true);
}

static void act_run(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	if (job->spec->is_compile_only) {
		job->is_compiled = true;
		job_event(job, JOB_EV_ENDED, NULL);
	} else {
		job_stage_begin(job, false);
	}
}

static void act_start(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_stage_start(job);
}

static void act_hand(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_stage_hand_over(job);
}

static void act_started(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	job_stage_started(job, (struct agent_event *)arg); /* whose descriptors are taken */
}

static void act_exited(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	job_stage_exited(job, arg);
}

static void act_refused(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	job_stage_refused(job, arg);
}

static void act_gone(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	job_stage_gone(job, arg);
}

static void act_keep(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_silence(job);
	job_artefact_keep(job);
}

static void act_outputs(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_silence(job);
	job_outputs_begin(job);
}

static void on_facts(const struct error *e, const struct monitor_facts *f, void *arg);

static void act_finish(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	file_calls_done(&job->files);
	if (monitor_finish_sandbox(job->engine->o.monitor, job->sandbox.id, on_facts, job) < 0) {
		/* too much waits there: the next turn is soon enough */
		job_deadline(job, clock_deadline_ns(ASK_AGAIN_MS * NS_PER_MS));
		return;
	}
	job->n_pending++;
	job_event(job, JOB_EV_SENT, NULL);
}

static void act_early(struct job *job, enum job_state from, const void *arg)
{
	job->is_early = true;
	job->early = *(const struct verdict *)arg;
	act_finish(job, from, NULL);
}

static void act_kill(struct job *job, enum job_state from, const void *arg)
{
	note_stop(job, arg, job_state_runs(from) && !job->process.has_ended);
	(void)monitor_kill_sandbox(job->engine->o.monitor, job->sandbox.id); /* FINISH ends it as well */
	act_finish(job, from, NULL);
}

static void act_cut(struct job *job, enum job_state from, const void *arg)
{
	(void)arg;
	job->result.is_outputs_cut = true;
	act_finish(job, from, NULL);
}

static void act_leave(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	note_stop(job, arg, false);
	if (job->wait)
		pool_forget(job->wait);
	job->wait = NULL;
	job_deadline(job, 0); /* over() comes at the next turn of the loop, never from inside a call */
}

static void act_end_cases(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	if (job->stop != STOP_NONE) /* the first cause stays */
		return;
	note_stop(job, arg, false);
	job_cases_stop(job);
}

static void act_no_facts(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_deadline(job, 0); /* as above: never from inside a call */
}

static void act_silent(struct job *job, enum job_state from, const void *arg)
{
	struct error e = ERROR_INIT;

	(void)from;
	(void)arg;
	(void)error_set(&e, ETIMEDOUT, "the sandbox does not answer");
	job_fail(job, &e);
}

static void act_clock(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_stage_deadline(job);
}

static void act_await(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_deadline(job, clock_deadline_ns(FACTS_S * NS_PER_S));
}

static void act_over(struct job *job, enum job_state from, const void *arg)
{
	(void)from;
	(void)arg;
	job_judge(job);
	if (!job->parent)
		job_observe(job, "total", clock_now_ns() - job->begun_ns);
	job->over(job, &job->result, job->arg);
	let_go(job);
}

static job_action *const actions[JOB_ACTS] = {
	[JOB_ACT_TAKE] = act_take,         [JOB_ACT_FILES] = act_files,   [JOB_ACT_COMPILE] = act_compile,
	[JOB_ACT_RUN] = act_run,           [JOB_ACT_START] = act_start,   [JOB_ACT_HAND] = act_hand,
	[JOB_ACT_STARTED] = act_started,   [JOB_ACT_EXITED] = act_exited, [JOB_ACT_REFUSED] = act_refused,
	[JOB_ACT_GONE] = act_gone,         [JOB_ACT_KEEP] = act_keep,     [JOB_ACT_OUTPUTS] = act_outputs,
	[JOB_ACT_FINISH] = act_finish,     [JOB_ACT_EARLY] = act_early,   [JOB_ACT_KILL] = act_kill,
	[JOB_ACT_CUT] = act_cut,           [JOB_ACT_LEAVE] = act_leave,   [JOB_ACT_END_CASES] = act_end_cases,
	[JOB_ACT_NO_FACTS] = act_no_facts, [JOB_ACT_SILENT] = act_silent, [JOB_ACT_CLOCK] = act_clock,
	[JOB_ACT_AWAIT] = act_await,       [JOB_ACT_OVER] = act_over,
};

void job_event(struct job *job, enum job_event event, const void *arg)
{
	const enum job_state from = job->state;
	const struct job_cell cell = job_life(from, event);
	struct error e = ERROR_INIT;

	if (cell.act == JOB_ACT_IGNORE)
		return;
	if (cell.act == JOB_ACT_ODD) {
		(void)error_set(&e, EPROTO, "%s came out of turn, at '%s'", job_event_word(event),
				job_state_word(from));
		job_fail(job, &e);
		return;
	}
	if (cell.next != from)
		job_enter(job, cell.next);
	actions[cell.act](job, from, arg);
}

/* ---- what others say ---- */

void job_stop(struct job *job, enum verdict_stop why, const char *reason)
{
	const struct stop stop = { why, reason };

	job_event(job, JOB_EV_STOP, &stop);
}

void job_fail(struct job *job, const struct error *e)
{
	if (job_ignores(job, JOB_EV_STOP))
		return;
	job->internal = *e;
	if (job->state != JOB_OUTPUTS)
		log_warning(LOG_FACTS(LOG_STR("job", job->id), LOG_STR("sandbox", job->sandbox.id),
				      LOG_STR("reason", e->text)),
			    "a job cannot go on");
	job_stop(job, STOP_INTERNAL, e->text);
}

void job_end_early(struct job *job, enum verdict_status status, const char *reason)
{
	struct verdict v = { .status = status, .exit_code = -1 };

	(void)snprintf(v.reason, sizeof(v.reason), "%s", reason);
	job_event(job, JOB_EV_EARLY, &v);
}

int job_ask(struct job *job, uint32_t type, uint32_t seq, const void *message)
{
	int r = agent_link_send(job->sandbox.link, type, seq, message, NULL);

	if (r == 0)
		job->n_owed++;
	return r;
}

/* ---- facts, and time ---- */

static void on_facts(const struct error *e, const struct monitor_facts *f, void *arg)
{
	struct job *job = arg;

	job->n_pending--;
	if (job->state == JOB_OVER) { /* it took too long */
		job_free_if_alone(job);
		return;
	}
	if (e) {
		job->internal = *e;
	} else {
		job->has_facts = true;
		job->facts = *f;
	}
	job_event(job, JOB_EV_FACTS, NULL);
}

static void on_timer(uv_timer_t *timer)
{
	struct job *job = timer->data;

	if (clock_now_ns() < job->deadline_ns) /* the loop's clock is coarser than ours */
		job_deadline(job, job->deadline_ns);
	else
		job_event(job, JOB_EV_TIME, NULL);
}

/* ---- what the agent says ---- */

static void on_event(struct agent_event *e, void *arg)
{
	struct job *job = arg;
	struct error err = ERROR_INIT;
	bool is_process = job->process.limits && e->header.seq == job->process.seq;

	if (job->state >= JOB_ENDING)
		return; /* it is on its way out, whatever it says */
	if (job->attach_seq) {
		if (e->header.type == AGENT_READY && e->header.seq == job->attach_seq)
			job->attach_seq = 0;
		return;
	}
	if (file_calls_event(&job->files, e))
		return;
	switch (e->header.type) {
	case AGENT_DONE:
		if (!job->n_owed)
			break;
		job->n_owed--;
		return;
	case AGENT_REFUSED:
		if (is_process && !job_ignores(job, JOB_EV_REFUSED) &&
		    job_life(job->state, JOB_EV_REFUSED).act != JOB_ACT_ODD) {
			job_event(job, JOB_EV_REFUSED, e);
			return;
		}
		if (!job->n_owed) /* such as a signal to a process that has just ended */
			break;
		job->n_owed--;
		return;
	case AGENT_STARTED:
	case AGENT_EXITED:
		if (!is_process)
			break;
		job_event(job, e->header.type == AGENT_STARTED ? JOB_EV_STARTED : JOB_EV_EXITED, e);
		return;
	default:
		break;
	}
	(void)error_set(&err, EPROTO, "the agent sent a message %u that was not asked for", e->header.type);
	job_fail(job, &err);
}

static void on_gone(const struct error *e, void *arg)
{
	struct job *job = arg;

	if (e)
		job_fail(job, e);
	else
		job_event(job, JOB_EV_ENDED, NULL); /* pid 1 is dead: the facts say of what */
}

const struct agent_handlers job_agent_handlers = { on_event, on_gone };
