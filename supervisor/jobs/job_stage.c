/*
 * Compile and run: one process to its end. See job.h; the same as a blocking function: runtime/run.c.
 *
 * STAGE goes to the monitor just before START to the agent. When it only sets clocks and counters, START follows at once:
 * both happen side by side, and what the program used before the monitor looked is not counted, some ten microseconds.
 * When it changes a limit, START waits for DONE. A waiting interpreter always does: it is handed its program then.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "images/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/agent_link.h"
#include "supervisor/jobs/job.h"
#include "supervisor/jobs/prestart.h"

enum { OPEN_FILES_DEFAULT = 256 };

bool job_may_prestart(const struct job *job)
{
	uint64_t open_files = job->def->run.limits.open_files;

	return prestart_fits(job->spec, job->def, open_files ? (unsigned)open_files : OPEN_FILES_DEFAULT);
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

void job_stage_deadline(struct job *job)
{
	/* what it has said by now counts, when the loop was late */
	if (agent_link_drain(job->sandbox.link) && job->process.phase == PROCESS_RUNNING && job->state < JOB_FACTS &&
	    clock_now_ns() >= job->deadline_ns)
		job_stop(job, STOP_WALL, NULL);
}

/* ---- starting ---- */

static void running(struct job *job, int fds[3])
{
	struct job_process *p = &job->process;
	struct error err = ERROR_INIT;

	p->phase = PROCESS_RUNNING;
	if (job_stdio_open(job, fds, &err) < 0) {
		job_fail(job, &err);
		return;
	}
	job_stage_clock(job);
	if (!job->is_adopted) /* it was said by then */
		job_status(job, p->is_compile ? "{\"state\":\"compiling\"}" : "{\"state\":\"running\"}");
	job_input_push(job);
}

static void hand_over(struct job *job)
{
	struct error err = ERROR_INIT;
	int fds[3];

	if (prestart_message(job->spec, job->argv, job->env, &job->handover) < 0) {
		(void)error_set(&err, ENOMEM, "out of memory");
		job_fail(job, &err);
		return;
	}
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

static void start(struct job *job)
{
	struct job_process *p = &job->process;
	const struct process_limits limits = { .open_files = p->limits->open_files };
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX];
	struct process_spec process = {
		.argv = (const char *const *)job->argv,
		.env = (const char *const *)job->env,
		.cwd = "/work",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = stdio_of(job),
		.cols = job->spec->cols,
		.rows = job->spec->rows,
		.umask = 022,
		.rlimits = rlimits,
		.n_rlimits = process_rlimits(&limits, rlimits),
	};
	struct error err = ERROR_INIT;

	p->phase = PROCESS_ASKED;
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

static void on_stage(const struct error *e, void *arg)
{
	struct job *job = arg;

	job->n_pending--;
	if (job->state == JOB_OVER)
		job_free_if_alone(job);
	else if (e)
		job_fail(job, e);
	else if (job->state >= JOB_FACTS || job->process.phase != PROCESS_LIMITING)
		;
	else if (is_waiting_interpreter(job))
		hand_over(job);
	else
		start(job);
}

/* Returns whether it changes what the sandbox has. */
static int ask_stage(struct job *job, bool *ret_changes)
{
	const struct job_limits *l = job->process.limits;
	struct monitor_stage m = {
		.memory_bytes = l->memory_bytes,
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
	*ret_changes = job->memory_bytes != l->memory_bytes || job->processes != l->processes ||
		       job->cpus_milli != l->cpus_milli;
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
		.phase = PROCESS_LIMITING,
		.is_compile = is_compile,
		.limits = is_compile ? &job->spec->compile_limits : &job->spec->limits,
		.result = is_compile ? &job->result.compile : &job->result.run,
		.seq = is_waiting ? job->sandbox.prestart_seq : agent_link_seq(job->sandbox.link),
		.keeps_stdin = is_waiting,
	};
	job_stage_result(job, p->result);
	job_enter(job, is_compile ? JOB_COMPILE : JOB_RUN);
	job_silence(job);
	job_tag_send(job);
	if (make_lists(job, is_compile, &err) < 0) {
		job_fail(job, &err);
	} else if (ask_stage(job, &changes) < 0) {
		(void)error_set(&err, EAGAIN, "too much is waiting for the monitor");
		job_fail(job, &err);
	} else if (!changes && !is_waiting) {
		start(job);
	}
}

/* ---- what the agent says of it ---- */

static void on_started(struct job *job, struct agent_event *e)
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

static void on_exited(struct job *job, const struct agent_exited *exited)
{
	struct job_process *p = &job->process;

	p->facts.has_status = true;
	p->facts.wait_status = (int)exited->wait_status;
	p->end_ns = believe(exited->at_ns, p->start_ns);
	p->phase = PROCESS_ENDED;
	p->result->user_ns = exited->user_ns;
	p->result->system_ns = exited->system_ns;
	p->result->cpu_ns = exited->user_ns + exited->system_ns;
	job_deadline(job, CLOCK_NEVER);
	job_stdio_drain(job);
	job_stdio_close(job); /* descendants may hold them open: their output is not waited for */
	if (job->state < JOB_FACTS)
		job_next(job);
}

static void on_refused(struct job *job, const struct agent_failed *f)
{
	struct job_process *p = &job->process;

	p->facts.is_refused = true;
	p->facts.refused_stage = f->stage;
	p->facts.refused_code = f->code > 0 && f->code < 4096 ? (int)f->code : EPROTO;
	p->phase = PROCESS_ENDED;
	job_finish(job);
}

void job_stage_event(struct job *job, struct agent_event *e)
{
	enum process_phase phase = job->process.phase;
	struct error err = ERROR_INIT;

	if (e->header.type == AGENT_STARTED && phase == PROCESS_ASKED)
		on_started(job, e);
	else if (e->header.type == AGENT_EXITED && phase == PROCESS_RUNNING)
		on_exited(job, &e->any.exited);
	else if (e->header.type == AGENT_EXITED && phase == PROCESS_LIMITING && is_waiting_interpreter(job))
		job_fail(job, (error_set(&err, ECHILD, "the waiting interpreter has ended"), &err));
	else if (e->header.type == AGENT_REFUSED && phase == PROCESS_ASKED)
		on_refused(job, &e->any.failed);
	else
		job_fail(job, (error_set(&err, EPROTO, "the agent sent a message %u out of turn", e->header.type), &err));
}

/* ---- the verdict of it ---- */

static void take_facts(struct job *job, struct verdict_facts *v, struct stage_result *r)
{
	const struct monitor_facts *f = &job->facts;
	bool was_killed = !v->has_status || (WIFSIGNALED(v->wait_status) && WTERMSIG(v->wait_status) == SIGKILL);

	/* the monitor's cause, unless the program had ended before it acted */
	if (v->stop == STOP_NONE && was_killed && !v->is_refused && f->stop < STOP_INTERNAL)
		v->stop = (enum verdict_stop)f->stop;
	v->oom_kills = f->oom_kills;
	v->pids_max_hits = f->pids_max_hits;
	v->disk_is_full = f->disk_is_full;
	r->cpu_ns = f->cpu_ns;
	r->user_ns = f->user_ns;
	r->system_ns = f->system_ns;
	r->memory_peak_bytes = f->memory_peak_bytes;
	/* without our pid 1; of the sandbox's life, so the helpers of file calls are among them */
	r->processes_peak = f->pids_peak == CGROUP_UNKNOWN || f->pids_peak < 2 ? f->pids_peak : f->pids_peak - 1;
	r->disk_bytes = f->disk_bytes;
}

void job_stage_judge(struct job *job)
{
	struct job_process *p = &job->process;
	struct verdict_facts *v = &p->facts;

	if (p->phase == PROCESS_NONE)
		return;
	if (v->stop == STOP_NONE && p->phase != PROCESS_ENDED)
		v->stop = job->stop;
	if (job->has_facts)
		take_facts(job, v, p->result);
	v->wall_limit_ns = p->limits->wall_ns;
	v->cpu_limit_ns = p->limits->cpu_ns;
	v->output_limit_bytes = p->limits->output_bytes;
	v->memory_limit_bytes = p->limits->memory_bytes;
	v->pids_limit = p->limits->processes;
	if (p->start_ns)
		p->result->wall_ns = (p->end_ns ? p->end_ns : clock_now_ns()) - p->start_ns;
	verdict_decide(v, &p->result->verdict);
}
