/* The life of one job: see job.h. */
#include "supervisor/jobs/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
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
	int fds[3] = { fd_take(&job->sandbox.fds.out), fd_take(&job->sandbox.fds.err),
		       fd_take(&job->sandbox.fds.index) };
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

static enum job_trouble trouble_of(const struct error *e)
{
	switch (e->code) {
	case ENOMEDIUM:
		return JOB_TROUBLE_IMAGE;
	case ETIMEDOUT:
		return JOB_TROUBLE_SLOW;
	default:
		return JOB_TROUBLE_SANDBOX;
	}
}

static void on_ready(const struct error *e, struct ready_sandbox *s, void *arg)
{
	struct job *job = arg;

	job->wait = NULL;
	if (e) {
		job->trouble = trouble_of(e);
		job_fail(job, e);
		return;
	}
	observe(job, "sandbox", clock_now_ns() - job->state_ns);
	job_event(job, JOB_EV_SANDBOX, s);
}

/*
 * The policy of a request is that of the program. Its compiler is the image's own and gets the default one, so that a
 * program can be held to less than its compiler needs. Where the operator has taken that from the node, from those who send
 * through Redis, or from the key, it is one for both.
 */
static const char *compile_policy(const struct job *job)
{
	const struct settings *s = job->engine->o.settings;
	bool may = !job->spec->is_one_policy &&
		   (!s->allow_policies[0] || text_has_word(s->allow_policies, JOB_COMPILE_POLICY));

	if (may && job->space == SPACE_REDIS)
		may = !s->redis_policies || text_has_word(s->redis_policies, JOB_COMPILE_POLICY);
	may = may && job->def->compile.argv && strcmp(job->spec->policy, JOB_COMPILE_POLICY) != 0;
	return may ? JOB_COMPILE_POLICY : "";
}

static void take_sandbox(struct job *job)
{
	struct sandbox_class what;
	const struct job_spec *spec = job->spec;
	struct pool_wait *wait;

	pool_class_of(job->engine->o.pool, job->def, &what);
	(void)text_copy(what.policy, sizeof(what.policy), spec->policy);
	(void)text_copy(what.compile_policy, sizeof(what.compile_policy), compile_policy(job));
	what.disk_bytes = spec->limits.disk_bytes; /* as large as any stage needs; each has its own bound */
	if (job->def->compile.argv && spec->compile_limits.disk_bytes > what.disk_bytes)
		what.disk_bytes = spec->compile_limits.disk_bytes;
	job->disk_bytes = what.disk_bytes;
	/* one that waits has its threads already, which a smaller limit could not refuse any more */
	what.may_prestart = what.may_prestart && job_may_prestart(job) && spec->limits.processes >= what.processes;
	/* STAGE sets the rest before anything of the job runs */
	job->memory_bytes = what.memory_bytes;
	job->processes = what.processes;
	job->cpus_milli = what.cpus_milli;
	wait = pool_take(job->engine->o.pool, &what, on_ready, job);
	if (wait)
		job->wait = wait;
}

static int start(struct engine *e, const struct job_order *order, struct job *parent, struct job **ret,
		 struct error *err)
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
	job->parent = parent;
	*ret = job;
	if (order->queued_ms)
		observe(job, "queue", (time_now_ms() - order->queued_ms) * NS_PER_MS);
	if (!job->spec->n_cases)
		take_sandbox(job);
	r = job->journal ? 0 : open_own_journal(job, err);
	if (r == 0 && job->spec->n_cases)
		r = job_cases_begin(job, err);
	if (r < 0) {
		*ret = NULL;
		let_go(job);
	}
	return r;
}

int engine_start(struct engine *e, const struct job_order *order, struct job **ret, struct error *err)
{
	return start(e, order, NULL, ret, err);
}

int engine_start_child(struct job *parent, const struct job_order *order, struct job **ret, struct error *err)
{
	return start(parent->engine, order, parent, ret, err);
}

static void take_ready(struct job *job, const struct ready_sandbox *s)
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
	job_tag_send(job);
	if (move_journal(job, &err) < 0)
		job_fail(job, &err);
	else if (job->sandbox.is_prestarted)
		job_event(job, JOB_EV_PROGRAM, NULL);
	else
		job_artefact_look(job);
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
		observe(job, observed[job->state], now - job->state_ns);
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
	take_ready(job, arg);
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
		observe(job, "total", clock_now_ns() - job->begun_ns);
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
