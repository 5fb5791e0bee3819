/*
 * Compile and run: one process to its end. See job.h; the same as a blocking function: runtime/run.c.
 *
 * STAGE goes to the monitor just before START to the agent. When it only sets clocks and counters, START follows at once:
 * both happen side by side, and what the program used before the monitor looked is not counted, some ten microseconds.
 * When it changes a limit, START waits for DONE. A waiting interpreter always does: it is handed its program then.
 *
 * Figures are those of the one process: when something is done in the sandbox after its end (what it made is read back,
 * the next stage begins), the monitor is asked before that what was used by now.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/prestart.h"
#include "supervisor/settings.h"

enum {
	AGENT_CPU_MAX_MS = 10,       /* more than pid 1 needs for a start and an end on a slow machine */
	MEMORY_NEAR_BYTES = 1 << 20, /* the kernel charges in batches */
};

bool job_may_prestart(const struct job *job)
{
	return prestart_fits(job->spec, job->def, job->engine->o.settings->memory_bytes);
}

/* The agent's clock reading is more exact than ours, but only believed between what we saw ourselves. */
static uint64_t believe(uint64_t claimed, uint64_t earliest)
{
	uint64_t now = clock_now_ns();

	return claimed < earliest ? earliest : claimed > now ? now : claimed;
}

void job_stage_clock(struct job *job)
{
	const struct job_process *p = &job->process;

	job_deadline(job, p->limits->wall_ns ? p->start_ns + p->limits->wall_ns : CLOCK_NEVER);
}

struct stop_limits job_stage_limits(const struct job *job)
{
	return (struct stop_limits){ .deadline_ns = job->deadline_ns,
				     .output_bytes = job->process.limits->output_bytes };
}

enum verdict_stop job_stage_cause(const struct job *job, const struct stop_seen *seen)
{
	const struct stop_limits limits = job_stage_limits(job);

	return stop_look(&limits, seen, NULL);
}

void job_stage_deadline(struct job *job)
{
	enum verdict_stop why = STOP_NONE;

	/* what it has said by now counts, when the loop was late */
	if (agent_link_drain(job->sandbox.link) && job_runs(job))
		why = job_stage_cause(job, &(const struct stop_seen){ .now_ns = clock_now_ns() });
	if (why != STOP_NONE)
		job_stop(job, why, NULL);
}

/* ---- starting ---- */

static void running(struct job *job, int fds[3])
{
	struct job_process *p = &job->process;
	struct error err = ERROR_INIT;

	if (job_stdio_open(job, fds, &err) < 0) {
		job_fail(job, &err);
		return;
	}
	job_stage_clock(job);
	if (!job->is_adopted) /* it was said by then */
		job_status(job, p->is_compile ? "{\"state\":\"compiling\"}" : "{\"state\":\"running\"}");
	job_input_push(job);
}

void job_stage_hand_over(struct job *job)
{
	int fds[3];

	prestart_message(job->spec, job->argv, job->env, &job->handover);
	for (int i = 0; i < 3; i++)
		fds[i] = fd_take(&job->sandbox.prestart_fds[i]);
	job->process.start_ns = clock_now_ns();
	running(job, fds);
}

/*
 * A runtime with a launcher always has a pipe as standard input, so that waiting and cold interpreters see the same. Others
 * are spared it when there is nothing to read.
 */
static enum agent_stdio stdio_of(const struct job *job)
{
	if (job->process.is_compile)
		return AGENT_STDIO_NO_STDIN;
	if (job->spec->has_tty)
		return AGENT_STDIO_PTY;
	if (job->spec->input_size || job->spec->is_interactive || prestart_is_there(job->def))
		return AGENT_STDIO_PIPES;
	return AGENT_STDIO_NO_STDIN;
}

void job_stage_start(struct job *job)
{
	struct job_process *p = &job->process;
	const struct process_limits limits = { p->limits->open_files, p->limits->stack_bytes, p->limits->file_bytes };
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX];
	struct process_spec process = {
		.argv = (const char *const *)job->argv,
		.env = (const char *const *)job->env,
		.cwd = "/work",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = stdio_of(job),
		.filter = p->is_compile && job->sandbox.compile_policy_digest[0] ? AGENT_FILTER_COMPILE
										 : AGENT_FILTER_RUN,
		.cols = job->spec->cols,
		.rows = job->spec->rows,
		.umask = 022,
		.rlimits = rlimits,
		.n_rlimits = process_rlimits(&limits, rlimits),
	};
	struct error err = ERROR_INIT;

	p->asked_ns = clock_now_ns();
	p->keeps_stdin = process.stdio == AGENT_STDIO_PIPES;
	if (agent_link_start(job->sandbox.link, p->seq, &process, &err) < 0)
		job_fail(job, &err);
	else
		job_silence(job);
}

static bool is_waiting_interpreter(const struct job *job)
{
	return job->sandbox.is_prestarted && job->process.seq == job->sandbox.prestart_seq;
}

/* Its limits could not be set. As long as nothing of it has run, that is as good as no sandbox. */
static void fail_limiting(struct job *job, const struct error *e)
{
	if ((job->state == JOB_COMPILE_LIMIT || job->state == JOB_RUN_LIMIT) && !job->is_adopted &&
	    (job->process.is_compile || !job->result.compile.has_run))
		job->trouble = JOB_TROUBLE_SANDBOX;
	job_fail(job, e);
}

static void limited(struct job *job)
{
	job_event(job, is_waiting_interpreter(job) ? JOB_EV_WARM : JOB_EV_LIMITED, NULL);
}

static void on_stage(const struct error *e, void *arg)
{
	struct job *job = arg;

	job->n_pending--;
	job->n_stages--;
	if (job->state == JOB_OVER)
		job_free_if_alone(job);
	else if (e)
		fail_limiting(job, e);
	else if (job->n_stages == 0) /* otherwise it was the compiler's */
		limited(job);
}

/* Returns whether it changes what the sandbox has. */
static int ask_stage(struct job *job, bool *ret_changes)
{
	const struct job_limits *l = job->process.limits;
	struct monitor_stage m = {
		.memory_bytes = l->memory_bytes,
		.disk_bytes = l->disk_bytes,
		.processes = l->processes,
		.cpus_milli = l->cpus_milli,
		.cpu_ns = l->cpu_ns,
		.wall_ns = l->wall_ns ? l->wall_ns + JOB_BACKSTOP_S * NS_PER_S : 0,
	};
	int r;

	(void)text_copy(m.id, sizeof(m.id), job->sandbox.id);
	r = monitor_set_stage(job->engine->o.monitor, &m, on_stage, job);
	if (r < 0)
		return r;
	job->n_pending++;
	job->n_stages++;
	*ret_changes = job->memory_bytes != l->memory_bytes || job->processes != l->processes ||
		       job->cpus_milli != l->cpus_milli || job->disk_bytes != l->disk_bytes;
	job->disk_bytes = l->disk_bytes;
	job->memory_bytes = l->memory_bytes;
	job->processes = l->processes;
	job->cpus_milli = l->cpus_milli;
	return 0;
}

static int make_lists(struct job *job, bool is_compile, struct error *err)
{
	int r;

	job_list_free(job->argv);
	job_list_free(job->env);
	job->argv = job->env = NULL;
	r = job_argv(job->spec, job->def, is_compile, &job->argv, err);
	if (r == 0)
		r = job_environment(job->spec, job->def, is_compile, job->sandbox.image_env, &job->env, err);
	return r;
}

void job_stage_result(struct job *job, struct stage_result *r)
{
	r->has_run = true;
	r->memory_peak_bytes = r->processes_peak = r->disk_bytes = CGROUP_UNKNOWN;
	r->cpu_ns = r->user_ns = r->system_ns = CGROUP_UNKNOWN;
	r->verdict.exit_code = -1;
	r->output_at[0] = journal_bytes(job->journal, JOURNAL_STDOUT);
	r->output_at[1] = journal_bytes(job->journal, JOURNAL_STDERR);
}

void job_stage_begin(struct job *job, bool is_compile)
{
	struct job_process *p = &job->process;
	bool is_waiting = !is_compile && job->sandbox.is_prestarted, changes = false;
	struct error err = ERROR_INIT;

	job_stdio_close(job); /* what the compiler's descendants may still hold */
	*p = (struct job_process){
		.is_compile = is_compile,
		.limits = is_compile ? &job->spec->compile_limits : &job->spec->limits,
		.result = is_compile ? &job->result.compile : &job->result.run,
		.seq = is_waiting ? job->sandbox.prestart_seq : agent_link_seq(job->sandbox.link),
		.keeps_stdin = is_waiting,
	};
	job_stage_result(job, p->result);
	job_silence(job);
	job_tag_send(job);
	if (make_lists(job, is_compile, &err) < 0) {
		job_fail(job, &err);
	} else if (ask_stage(job, &changes) < 0) {
		(void)error_set(&err, EAGAIN, "too much is waiting for the monitor");
		job_fail(job, &err);
	} else if (!changes && !is_waiting) {
		limited(job);
	}
}

/* ---- what the agent says of it ---- */

void job_stage_started(struct job *job, struct agent_event *e)
{
	struct job_process *p = &job->process;
	int fds[3] = { -1, -1, -1 };
	bool is_tty = !p->is_compile && job->spec->has_tty, has_stdin = p->keeps_stdin;
	struct error err = ERROR_INIT;
	size_t n = 0;

	/* one that was adopted may have had its input closed by now */
	if (job->is_adopted && has_stdin && e->n_fds == 2)
		has_stdin = p->keeps_stdin = false;
	if (e->n_fds != (is_tty ? 1u : has_stdin ? 3u : 2u)) {
		(void)error_set(&err, EPROTO, "the agent sent %zu descriptors", e->n_fds);
		job_fail(job, &err);
		return;
	}
	for (int i = has_stdin ? 0 : 1; n < e->n_fds; i++) {
		fds[i] = fd_take(&e->fds[n++]);
		(void)fd_set_nonblock(fds[i], 1);
	}
	p->start_ns = believe(e->any.started.at_ns, p->asked_ns);
	running(job, fds);
}

/* What comes of it. */
static enum job_event outcome(const struct job *job)
{
	const struct job_process *p = &job->process;
	int status = p->facts.wait_status;

	if (p->is_compile && status == 0 && p->facts.stop == STOP_NONE)
		return job->artefact_key[0] ? JOB_EV_MADE : JOB_EV_PROGRAM;
	if (!p->is_compile && job->spec->outputs && job->spec->outputs[0] && p->facts.stop == STOP_NONE &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		return JOB_EV_WANTED;
	return JOB_EV_ENDED;
}

/* What the compiler left running is not part of the run. */
static void clear_compiler(struct job *job)
{
	const struct agent_signal all = { .proc = 0, .signo = SIGKILL };

	job_stage_judge(job);
	(void)job_ask(job, AGENT_SIGNAL, agent_link_seq(job->sandbox.link), &all);
	(void)agent_link_send(job->sandbox.link, AGENT_ACK, job->process.seq, NULL, NULL);
}

static void on_measured(const struct error *e, const struct monitor_facts *f, void *arg)
{
	struct job *job = arg;
	struct job_process *p = &job->process;
	enum job_event next;

	job->n_pending--;
	if (job->state == JOB_OVER) {
		job_free_if_alone(job);
		return;
	}
	if (!job_state_runs(job->state)) /* stopped meanwhile */
		return;
	if (e) {
		job_fail(job, e);
		return;
	}
	p->is_measured = true;
	p->measured = *f;
	next = outcome(job);
	if (next != JOB_EV_WANTED)
		clear_compiler(job);
	job_event(job, next, NULL);
}

/* Before anything else is done in the sandbox. */
static int ask_measure(struct job *job, struct error *err)
{
	if (monitor_measure_sandbox(job->engine->o.monitor, job->sandbox.id, on_measured, job) < 0)
		return error_set(err, EAGAIN, "too much is waiting for the monitor");
	job->n_pending++;
	return 0;
}

void job_stage_exited(struct job *job, const struct agent_event *e)
{
	const struct agent_exited *exited = &e->any.exited;
	struct job_process *p = &job->process;
	struct error err = ERROR_INIT;

	p->facts.has_status = true;
	p->facts.wait_status = (int)exited->wait_status;
	p->facts.never_began = exited->never_began;
	p->end_ns = believe(exited->at_ns, p->start_ns);
	p->has_ended = true;
	p->max_rss_bytes = exited->max_rss_bytes;
	p->agent_ns = is_waiting_interpreter(job) ? 0 : exited->agent_ns; /* of long before its STAGE */
	p->tasks_made = exited->tasks_made;
	p->own_user_ns = is_waiting_interpreter(job) ? 0 : exited->user_ns;
	p->own_system_ns = is_waiting_interpreter(job) ? 0 : exited->system_ns;
	job_deadline(job, CLOCK_NEVER);
	job_stdio_drain(job);
	job_stdio_close(job);            /* descendants may hold them open: their output is not waited for */
	if (!job_state_runs(job->state)) /* its output could not be taken */
		return;
	if (outcome(job) == JOB_EV_ENDED)
		job_event(job, JOB_EV_ENDED, NULL); /* FINISH measures */
	else if (ask_measure(job, &err) < 0)
		job_fail(job, &err);
}

void job_stage_refused(struct job *job, const struct agent_event *e)
{
	const struct agent_failed *f = &e->any.failed;
	struct job_process *p = &job->process;

	p->facts.is_refused = true;
	p->facts.refused_stage = f->stage;
	p->facts.refused_code = f->code > 0 && f->code < 4096 ? (int)f->code : EPROTO;
	p->has_ended = true;
	job_event(job, JOB_EV_ENDED, NULL);
}

void job_stage_gone(struct job *job, const struct agent_event *e)
{
	struct error err = ERROR_INIT;

	if (is_waiting_interpreter(job))
		(void)error_set(&err, ECHILD, "the waiting interpreter has ended");
	else
		(void)error_set(&err, EPROTO, "the agent sent a message %u out of turn", e->header.type);
	job_fail(job, &err);
}

/* ---- the verdict of it ---- */

/* Without what pid 1 did meanwhile, which the group's counters contain. What it says is only believed as far as it is likely. */
static void take_cpu(const struct job_process *p, const struct monitor_facts *f, struct stage_result *r)
{
	const uint64_t most = AGENT_CPU_MAX_MS * NS_PER_MS, agent = p->agent_ns < most ? p->agent_ns : most;

	r->cpu_ns = f->cpu_ns == CGROUP_UNKNOWN || f->cpu_ns < agent ? f->cpu_ns : f->cpu_ns - agent;
	r->user_ns = f->user_ns;
	r->system_ns = f->system_ns == CGROUP_UNKNOWN || f->system_ns < agent ? f->system_ns : f->system_ns - agent;
	if (r->cpu_ns != CGROUP_UNKNOWN && r->cpu_ns < p->own_user_ns + p->own_system_ns) {
		/* the group's counters are behind: one process, and what the kernel says of it */
		r->user_ns = p->own_user_ns;
		r->system_ns = p->own_system_ns;
		r->cpu_ns = r->user_ns + r->system_ns;
	}
}

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
	return value > most ? most : value < least ? least : value;
}

/*
 * Between the monitor's bounds, what the agent says of the process itself. How many tasks were made is the most that can
 * have been there at once; what the group counts may have helpers of ours in it, which end when they end.
 */
static void take_peaks(const struct job_process *p, const struct monitor_facts *f, struct stage_result *r)
{
	const uint64_t init = 1, tasks = p->tasks_made ? p->tasks_made + init : UINT64_MAX;

	r->memory_peak_bytes = f->memory_grown_bytes == CGROUP_UNKNOWN
				       ? f->memory_peak_bytes
				       : within(p->max_rss_bytes, f->memory_grown_bytes, f->memory_peak_bytes);
	r->processes_peak = CGROUP_UNKNOWN;
	if (f->pids_peak != CGROUP_UNKNOWN)
		r->processes_peak = tasks < f->pids_peak ? tasks : f->pids_peak;
	else if (tasks == 1 + init)
		r->processes_peak = tasks;
	if (r->processes_peak != CGROUP_UNKNOWN)
		r->processes_peak -= r->processes_peak > init ? init : 0;
}

static void take_facts(struct job *job, const struct monitor_facts *f)
{
	struct job_process *p = &job->process;
	struct verdict_facts *v = &p->facts;
	bool was_killed = !v->has_status || (WIFSIGNALED(v->wait_status) && WTERMSIG(v->wait_status) == SIGKILL);

	/* the monitor's cause, unless the program had ended before it acted */
	if (v->stop == STOP_NONE && was_killed && !v->is_refused && f->stop < STOP_INTERNAL)
		v->stop = (enum verdict_stop)f->stop;
	v->oom_kills = f->oom_kills;
	v->pids_max_hits = f->pids_max_hits;
	v->oom_is_above = f->oom_is_above;
	v->forks_above = f->forks_above;
	v->memory_is_full = f->memory_peak_bytes != CGROUP_UNKNOWN &&
			    f->memory_peak_bytes + MEMORY_NEAR_BYTES >= p->limits->memory_bytes;
	v->disk_is_full = f->disk_is_full;
	take_cpu(p, f, p->result);
	take_peaks(p, f, p->result);
	p->result->disk_bytes = f->disk_bytes;
}

/* So many tasks in so much time cannot have used more: the rest was ours, on a machine that is slow or busy. */
static void bound_cpu(struct stage_result *r)
{
	uint64_t most, over;

	if (r->cpu_ns == CGROUP_UNKNOWN || r->processes_peak == CGROUP_UNKNOWN || r->processes_peak == 0 || !r->wall_ns)
		return;
	most = r->wall_ns * r->processes_peak;
	if (r->cpu_ns <= most)
		return;
	over = r->cpu_ns - most;
	r->cpu_ns = most;
	if (r->system_ns != CGROUP_UNKNOWN)
		r->system_ns -= over < r->system_ns ? over : r->system_ns;
}

void job_stage_judge(struct job *job)
{
	struct job_process *p = &job->process;
	struct verdict_facts *v = &p->facts;

	if (!p->limits)
		return;
	if (v->stop == STOP_NONE && !p->has_ended)
		v->stop = job->stop;
	if (p->is_measured)
		take_facts(job, &p->measured);
	else if (job->has_facts)
		take_facts(job, &job->facts);
	v->wall_limit_ns = p->limits->wall_ns;
	v->cpu_limit_ns = p->limits->cpu_ns;
	v->output_limit_bytes = p->limits->output_bytes;
	v->file_limit_bytes = p->limits->file_bytes;
	v->memory_limit_bytes = p->limits->memory_bytes;
	v->pids_limit = p->limits->processes;
	if (p->start_ns)
		p->result->wall_ns = (p->end_ns ? p->end_ns : clock_now_ns()) - p->start_ns;
	bound_cpu(p->result);
	verdict_decide(v, &p->result->verdict);
}
