/* The life of one job: see job.h. */
#include "supervisor/jobs/job.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/runtime_def.h"
#include "images/runtime_set.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/agent_link.h"
#include "supervisor/jobs/artefacts.h"
#include "supervisor/jobs/fd_watch.h"
#include "supervisor/settings.h"

enum { ASK_AGAIN_MS = 50, FACTS_S = 60 };

static void on_timer(uv_timer_t *timer);

/* ---- made, and freed ---- */

struct job *job_new(struct engine *e, const struct job_order *o, struct error *err)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job)
		job->owner = strdup(o->owner);
	if (!job || !job->owner || text_copy(job->id, sizeof(job->id), o->id) < 0) {
		if (job)
			free(job->owner);
		free(job);
		job_spec_free(o->spec);
		(void)error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	job->engine = e;
	job->attempt = o->attempt;
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
	job->result.attempt = o->attempt;
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
	e->n_jobs++;
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
	job->engine->n_jobs--;
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
		(void)uv_timer_start(&job->timer, on_timer, at_ns > now ? (at_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0, 0);
}

void job_silence(struct job *job)
{
	/* moved on with each answer without a call: the timer looks how long it really was */
	job_deadline(job, clock_deadline_ns(JOB_SILENCE_S * NS_PER_S));
}

static void observe(struct job *job, const char *stage, uint64_t ns)
{
	if (job->engine->o.observe)
		job->engine->o.observe(stage, ns, job->engine->o.arg);
}

/* ---- the journal ---- */

/* Before there is a sandbox: files of our own, whose numbers we keep. */
static int open_own_journal(struct job *job, struct error *err)
{
	static const char *const names[] = { "cubit-stdout", "cubit-stderr", "cubit-index" };

	for (int i = 0; i < 3; i++) {
		job->journal_fds[i] = memfd_create(names[i], MFD_CLOEXEC);
		if (job->journal_fds[i] >= 0)
			continue;
		(void)error_errno(err, errno, "memfd");
		while (i >= 0)
			fd_close(&job->journal_fds[i--]);
		return -err->code;
	}
	return journal_open(job->journal_fds, &job->journal, err);
}

static int copy_file(int from, int to)
{
	char data[4096];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(from, data, sizeof(data), at);

		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (pwrite(to, data, (size_t)n, at) != n)
			return -EIO;
		at += n;
	}
}

/*
 * From now on in the sandbox's files, which the monitor holds as well: what is there already (little: nothing has run) is
 * copied, and then each of the journal's numbers stands for the other file. The journal does not notice.
 */
static int move_journal(struct job *job, struct error *err)
{
	int fds[3] = { fd_take(&job->sandbox.fds.out), fd_take(&job->sandbox.fds.err), fd_take(&job->sandbox.fds.index) };
	int r = 0;

	if (!job->journal)
		return journal_open(fds, &job->journal, err);
	for (int i = 0; i < 3; i++) {
		if (r == 0)
			r = copy_file(job->journal_fds[i], fds[i]);
		if (r == 0 && dup3(fds[i], job->journal_fds[i], O_CLOEXEC) < 0)
			r = -errno;
		fd_close(&fds[i]);
		job->journal_fds[i] = -1; /* a number of the journal's only */
	}
	return r < 0 ? error_errno(err, -r, "move the journal") : 0;
}

void job_status(struct job *job, const char *json)
{
	/* an index that is full or a file that cannot grow costs a status, not the job */
	(void)journal_add(job->journal, JOURNAL_STATUS, json, NULL);
}

/* ---- a sandbox ---- */

static void on_ready(const struct error *e, struct ready_sandbox *s, void *arg)
{
	struct job *job = arg;

	job->wait = NULL;
	if (e) {
		job_fail(job, e);
		return;
	}
	observe(job, "sandbox", clock_now_ns() - job->state_ns);
	job_take_sandbox(job, s);
}

static void take_sandbox(struct job *job)
{
	struct sandbox_class what;
	const struct job_spec *spec = job->spec;
	struct pool_wait *wait;

	pool_class_of(job->engine->o.pool, job->def, &what);
	(void)text_copy(what.policy, sizeof(what.policy), spec->policy);
	what.disk_bytes = spec->limits.disk_bytes;
	what.may_prestart = what.may_prestart && job_may_prestart(job);
	/* STAGE sets the rest before anything of the job runs */
	job->memory_bytes = what.memory_bytes;
	job->processes = what.processes;
	job->cpus_milli = what.cpus_milli;
	wait = pool_take(job->engine->o.pool, &what, on_ready, job);
	if (wait)
		job->wait = wait;
}

int engine_start(struct engine *e, const struct job_order *order, struct job **ret, struct error *err)
{
	const struct runtime_def *def = runtime_set_find(e->o.runtimes, order->spec->runtime);
	struct job *job;
	int r;

	if (!def) {
		r = error_set(err, ENOENT, "no runtime '%s'", order->spec->runtime);
		job_spec_free(order->spec);
		return r;
	}
	job = job_new(e, order, err);
	if (!job)
		return -ENOMEM;
	job->def = def;
	if (order->queued_ms)
		observe(job, "queue", (time_now_ms() - order->queued_ms) * NS_PER_MS);
	take_sandbox(job);
	r = job->journal ? 0 : open_own_journal(job, err);
	if (r < 0) {
		let_go(job);
		return r;
	}
	*ret = job;
	return 0;
}

void job_take_sandbox(struct job *job, struct ready_sandbox *s)
{
	struct error err = ERROR_INIT;

	job->sandbox = *s;
	job->files.link = s->link;
	agent_link_hand_over(s->link, &job_agent_handlers, job);
	job->result.version = s->version;
	job->result.policy_digest = job->sandbox.policy_digest;
	job->result.was_pooled = s->was_pooled;
	job->result.was_prestarted = s->is_prestarted;
	job->result.started_ms = time_now_ms();
	/* before the agent gets anything of ours: from here on it is no sandbox of the pool, whatever becomes of us */
	job_enter(job, JOB_FILES);
	job_tag_send(job);
	if (move_journal(job, &err) < 0)
		job_fail(job, &err);
	else if (job->sandbox.is_prestarted)
		job_stage_begin(job, false);
	else
		job_artefact_look(job);
}

/* ---- from state to state ---- */

void job_enter(struct job *job, enum job_state state)
{
	static const char *const observed[] = {
		[JOB_FILES] = "files", [JOB_COMPILE] = "compile", [JOB_RUN] = "run", [JOB_OVER] = NULL,
	};
	uint64_t now = clock_now_ns();

	if (observed[job->state] && state != job->state)
		observe(job, observed[job->state], now - job->state_ns);
	job->state = state;
	job->state_ns = now;
}

static void after_compile(struct job *job)
{
	const struct agent_signal all = { .proc = 0, .signo = SIGKILL };

	/* what the compiler left running is not part of the run */
	(void)job_ask(job, AGENT_SIGNAL, agent_link_seq(job->sandbox.link), &all);
	(void)agent_link_send(job->sandbox.link, AGENT_ACK, job->process.seq, NULL, NULL);
	if (!job->artefact_key[0]) {
		job_stage_begin(job, false);
		return;
	}
	job_enter(job, JOB_KEEP);
	job_silence(job);
	job_artefact_keep(job);
}

void job_next(struct job *job)
{
	switch (job->state) {
	case JOB_FILES:
		job_stage_begin(job, job->def->compile.argv && !job->result.compile.is_cached);
		break;
	case JOB_COMPILE:
		if (job->process.facts.wait_status == 0 && job->process.facts.stop == STOP_NONE) {
			job_stage_judge(job);
			after_compile(job);
		} else {
			job_finish(job);
		}
		break;
	case JOB_KEEP:
		job_stage_begin(job, false);
		break;
	case JOB_RUN:
		if (job->spec->outputs && job->spec->outputs[0] && job->process.facts.stop == STOP_NONE &&
		    !(WIFSIGNALED(job->process.facts.wait_status) &&
		      WTERMSIG(job->process.facts.wait_status) == SIGKILL)) {
			job_enter(job, JOB_OUTPUTS);
			job_silence(job);
			job_outputs_begin(job);
			break;
		}
		job_finish(job);
		break;
	case JOB_OUTPUTS:
		job_finish(job);
		break;
	case JOB_SANDBOX:
	case JOB_FACTS:
	case JOB_OVER:
		break;
	}
}

void job_stop(struct job *job, enum verdict_stop why, const char *reason)
{
	if (job->state >= JOB_FACTS)
		return;
	if (job->state == JOB_OUTPUTS) { /* the program has ended; only its files are cut short */
		job->result.is_outputs_cut = true;
		job_finish(job);
		return;
	}
	job->stop = why;
	if (reason)
		(void)snprintf(job->stop_reason, sizeof(job->stop_reason), "%s", reason);
	if (job->process.phase == PROCESS_RUNNING) {
		job->process.end_ns = clock_now_ns();
		job->process.facts.stop = why;
	}
	if (job->state == JOB_SANDBOX) {
		if (job->wait)
			pool_forget(job->wait);
		job->wait = NULL;
		job_over_soon(job);
		return;
	}
	(void)monitor_kill_sandbox(job->engine->o.monitor, job->sandbox.id); /* FINISH ends it as well */
	job_finish(job);
}

void job_fail(struct job *job, const struct error *e)
{
	if (job->state >= JOB_FACTS)
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
	if (job->state >= JOB_FACTS)
		return;
	job->is_early = true;
	job->early = (struct verdict){ .status = status, .exit_code = -1 };
	(void)snprintf(job->early.reason, sizeof(job->early.reason), "%s", reason);
	job_finish(job);
}

int job_ask(struct job *job, uint32_t type, uint32_t seq, const void *message)
{
	int r = agent_link_send(job->sandbox.link, type, seq, message, NULL);

	if (r == 0)
		job->n_owed++;
	return r;
}

/* ---- the end ---- */

static void add_exit(struct job *job)
{
	const struct job_result *r = &job->result;
	const struct stage_result *s = r->run.has_run ? &r->run : &r->compile;
	const uint64_t wall_us = s->wall_ns / NS_PER_US;
	json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:f}", "status", verdict_name(r->verdict.status), "reason",
			      r->verdict.reason, "exit_code",
			      r->verdict.exit_code < 0 ? json_null() : json_integer(r->verdict.exit_code), "signal",
			      r->verdict.signal ? json_integer(r->verdict.signal) : json_null(), "stdout_truncated",
			      (int)s->is_cut[0], "stderr_truncated", (int)s->is_cut[1], "wall_ms",
			      (double)wall_us / 1000);
	char *text = o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;

	/* without memory a plain one: there is an end in any case */
	(void)journal_add(job->journal, JOURNAL_EXIT, text ? text : "{\"status\":\"internal_error\"}", NULL);
	free(text);
	json_decref(o);
}

/* What it is as a whole. */
static void judge(struct job *job)
{
	struct verdict *v = &job->result.verdict;

	job_stage_judge(job);
	if (job->is_early && !(job->has_facts && job->facts.oom_kills && job->facts.oom_kills != CGROUP_UNKNOWN)) {
		*v = job->early;
	} else if (job->is_early || job->process.phase == PROCESS_NONE ||
		   (job->process.is_compile && job->result.compile.verdict.status == VERDICT_OK)) {
		/* no process was at work: what stopped us says it all */
		struct verdict_facts f = { .stop = job->stop,
					   .memory_limit_bytes = job->memory_bytes,
					   .oom_kills = job->has_facts ? job->facts.oom_kills : 0 };

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
	}
	if (job->stop_reason[0] && (v->status == VERDICT_CANCELLED || v->status == VERDICT_INTERNAL_ERROR))
		memcpy(v->reason, job->stop_reason, sizeof(v->reason));
}

static void be_over(struct job *job)
{
	uint64_t now = clock_now_ns();

	if (job->state >= JOB_OVER)
		return;
	if (job->sandbox.id[0])
		job_stdio_drain(job);
	judge(job);
	job->state = JOB_OVER;
	(void)uv_timer_stop(&job->timer);
	job->result.finished_ms = time_now_ms();
	add_exit(job);
	observe(job, "total", now - job->begun_ns);
	job->over(job, &job->result, job->arg);
	let_go(job);
}

void job_over_soon(struct job *job)
{
	job->state = JOB_FACTS;
	job->has_facts = false;
	job->is_finishing = true;
	job_deadline(job, 0);
}

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
	be_over(job);
}

void job_finish(struct job *job)
{
	int r;

	if (job->state < JOB_FACTS)
		job_enter(job, JOB_FACTS);
	if (job->is_finishing)
		return;
	file_calls_done(&job->files);
	r = monitor_finish_sandbox(job->engine->o.monitor, job->sandbox.id, on_facts, job);
	if (r < 0) { /* too much waits there: the next turn is soon enough */
		job_deadline(job, clock_deadline_ns(ASK_AGAIN_MS * NS_PER_MS));
		return;
	}
	job->n_pending++;
	job->is_finishing = true;
	job_deadline(job, clock_deadline_ns(FACTS_S * NS_PER_S));
}

static void on_timer(uv_timer_t *timer)
{
	struct job *job = timer->data;
	struct error e = ERROR_INIT;

	if (clock_now_ns() < job->deadline_ns) { /* the loop's clock is coarser than ours */
		job_deadline(job, job->deadline_ns);
		return;
	}
	switch (job->state) {
	case JOB_FACTS:
		if (job->is_finishing)
			be_over(job);
		else
			job_finish(job);
		return;
	case JOB_COMPILE:
	case JOB_RUN:
		if (job->process.phase == PROCESS_RUNNING) {
			job_stage_deadline(job);
			return;
		}
		break;
	default:
		break;
	}
	(void)error_set(&e, ETIMEDOUT, "the sandbox does not answer");
	job_fail(job, &e);
}

/* ---- what the agent says ---- */

static void on_event(struct agent_event *e, void *arg)
{
	struct job *job = arg;
	struct error err = ERROR_INIT;
	bool is_process = job->process.phase != PROCESS_NONE && e->header.seq == job->process.seq;

	if (job->state >= JOB_FACTS)
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
		if (is_process && job->process.phase == PROCESS_ASKED) {
			job_stage_event(job, e);
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
		job_stage_event(job, e);
		return;
	default:
		break;
	}
	(void)error_set(&err, EPROTO, "the agent sent a message %u that nobody asked for", e->header.type);
	job_fail(job, &err);
}

static void on_gone(const struct error *e, void *arg)
{
	struct job *job = arg;

	if (job->state >= JOB_FACTS)
		return;
	if (e)
		job_fail(job, e);
	else
		job_finish(job); /* pid 1 is dead: the facts say of what */
}

const struct agent_handlers job_agent_handlers = { on_event, on_gone };
