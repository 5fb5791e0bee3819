/*
 * What a new front has to know of a job, and going on with it: see job.h.
 *
 * The tag is a line of text that the monitor keeps with the sandbox, written anew when a process is about to start:
 *
 *   j1 ID ATTEMPT ORIGIN STATE SEQ FLAGS STARTED_MS START_NS OUT_AT ERR_AT [VERSION]
 *
 * ORIGIN: 1 a direct run, and twice the number of the space of its id. VERSION: that of the language, when it is known and
 * one word: the pool of the next front may not have asked yet.
 *
 * A job is gone on with when it is at its run and nothing of its input is still in the front that died. One that was at
 * its files or its compiler has lost nothing but time: it ends as internal_error, and who ordered it runs it again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/agent_link.h"

enum { FLAG_FED = 1, FLAG_STDIN = 2, FLAG_POOLED = 4, FLAG_PRESTARTED = 8, FLAG_CACHED = 16 };

/* That many requests no front makes about one job after its tag: ours have other numbers. */
enum { SEQ_STEP = 1 << 24 };

enum { NUMBERS = 9 };

/* How states are written: older tags stay readable. */
enum { TAG_SANDBOX, TAG_FILES, TAG_COMPILE, TAG_KEEP, TAG_RUN, TAG_OUTPUTS, TAG_FACTS, TAG_OVER };
static const unsigned tag_states[JOB_STATES] = {
	[JOB_SANDBOX] = TAG_SANDBOX,       [JOB_FILES] = TAG_FILES,     [JOB_COMPILE_LIMIT] = TAG_COMPILE,
	[JOB_COMPILE_START] = TAG_COMPILE, [JOB_COMPILE] = TAG_COMPILE, [JOB_KEEP] = TAG_KEEP,
	[JOB_RUN_LIMIT] = TAG_RUN,         [JOB_RUN_START] = TAG_RUN,   [JOB_RUN] = TAG_RUN,
	[JOB_OUTPUTS] = TAG_OUTPUTS,       [JOB_CASES] = TAG_SANDBOX, /* never written: it has no sandbox */
	[JOB_ENDING] = TAG_FACTS,          [JOB_FACTS] = TAG_FACTS,     [JOB_OVER] = TAG_OVER,
};

struct tag {
	char id[65];
	unsigned attempt, flags;
	bool is_direct;
	enum queue_space space;
	unsigned state; /* TAG_... */
	uint32_t seq;
	uint64_t started_ms, start_ns, output_at[2];
	char version[JOB_VERSION_BYTES];
};

static bool is_one_word(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return *text != '\0' && strlen(text) < JOB_VERSION_BYTES;
}

void job_tag_send(struct job *job)
{
	const struct job_process *p = &job->process;
	bool has_version = job->result.version && is_one_word(job->result.version);
	unsigned flags = 0;
	char text[MONITOR_TAG_MAX];
	int n;

	if (job->is_fed || (!job->spec->input_size && !job->sandbox.is_prestarted))
		flags |= FLAG_FED;
	if (p->keeps_stdin)
		flags |= FLAG_STDIN;
	if (job->result.was_pooled)
		flags |= FLAG_POOLED;
	if (job->result.was_prestarted)
		flags |= FLAG_PRESTARTED;
	if (job->result.compile.is_cached)
		flags |= FLAG_CACHED;
	n = snprintf(text, sizeof(text),
		     "j1 %s %u %u %u %" PRIu32 " %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "%s%s", job->id,
		     job->attempt, job->is_direct + 2 * (unsigned)job->space, tag_states[job->state], p->seq, flags,
		     job->result.started_ms, job->sandbox.is_prestarted ? p->start_ns : 0, job->result.run.output_at[0],
		     job->result.run.output_at[1], has_version ? " " : "", has_version ? job->result.version : "");
	/* when too much waits there the older tag stays: then a new front knows less, and runs it again */
	(void)monitor_tag_sandbox(job->engine->o.monitor, job->sandbox.id, text, (size_t)n);
}

static bool read_tag(const void *data, size_t size, struct tag *ret)
{
	const uint64_t most[NUMBERS] = { UINT32_MAX, 1 + 2 * SPACE_REDIS, TAG_OVER,   UINT32_MAX, UINT32_MAX,
					 UINT64_MAX, UINT64_MAX,          UINT64_MAX, UINT64_MAX };
	char text[MONITOR_TAG_MAX + 1], *rest = text, *word;
	uint64_t n[NUMBERS];

	if (size > MONITOR_TAG_MAX || memchr(data, '\0', size))
		return false;
	memcpy(text, data, size);
	text[size] = '\0';
	word = strsep(&rest, " ");
	if (strcmp(word, "j1") != 0)
		return false;
	word = strsep(&rest, " ");
	if (!word || parse_id(word, NULL) < 0 || text_copy(ret->id, sizeof(ret->id), word) < 0)
		return false;
	for (int i = 0; i < NUMBERS; i++) {
		word = strsep(&rest, " ");
		if (!word || parse_u64(word, 0, most[i], &n[i], NULL) < 0)
			return false;
	}
	ret->attempt = (unsigned)n[0];
	ret->is_direct = n[1] & 1;
	ret->space = n[1] & 2 ? SPACE_REDIS : SPACE_HERE;
	ret->state = (unsigned)n[2];
	ret->seq = (uint32_t)n[3];
	ret->flags = (unsigned)n[4];
	ret->started_ms = n[5];
	ret->start_ns = n[6];
	ret->output_at[0] = n[7];
	ret->output_at[1] = n[8];
	ret->version[0] = '\0';
	word = rest;
	return !word || (is_one_word(word) && text_copy(ret->version, sizeof(ret->version), word) == 0);
}

bool engine_tag_read(const void *tag, size_t size, enum queue_space *ret_space, char ret_id[65], unsigned *ret_attempt,
		     bool *ret_is_direct)
{
	struct tag t;

	if (!read_tag(tag, size, &t))
		return false;
	*ret_space = t.space;
	memcpy(ret_id, t.id, sizeof(t.id));
	*ret_attempt = t.attempt;
	*ret_is_direct = t.is_direct;
	return true;
}

/* ---- going on ---- */

static void take_tag(struct job *job, const struct tag *t)
{
	struct job_process *p = &job->process;

	job->result.started_ms = t->started_ms;
	job->result.was_pooled = t->flags & FLAG_POOLED;
	job->result.was_prestarted = t->flags & FLAG_PRESTARTED;
	if (t->state != TAG_RUN)
		return;
	job->result.compile.has_run = job->def->compile.argv != NULL;
	job->result.compile.is_cached = t->flags & FLAG_CACHED;
	job->result.compile.verdict = (struct verdict){ .status = VERDICT_OK, .exit_code = 0 };
	job->result.compile.cpu_ns = job->result.compile.user_ns = job->result.compile.system_ns = CGROUP_UNKNOWN;
	job->result.compile.memory_peak_bytes = job->result.compile.processes_peak = job->result.compile.disk_bytes =
		CGROUP_UNKNOWN;
	*p = (struct job_process){
		.seq = t->seq,
		.limits = &job->spec->limits,
		.result = &job->result.run,
		.keeps_stdin = t->flags & FLAG_STDIN,
		.asked_ns = t->start_ns,
	};
	job->sandbox.is_prestarted = t->flags & FLAG_PRESTARTED;
	job->sandbox.prestart_seq = t->seq;
	job->is_fed = true;
	job->input_at = job->spec->input_size; /* all of it was written, or we would not go on */
	job_stage_result(job, p->result);
	for (int i = 0; i < 2; i++) {
		enum journal_type type = i == 0 ? JOURNAL_STDOUT : JOURNAL_STDERR;
		uint64_t bytes = journal_bytes(job->journal, type);

		p->result->output_at[i] = t->output_at[i] < bytes ? t->output_at[i] : bytes;
		p->result->output_size[i] = bytes - p->result->output_at[i];
	}
}

/* Can it be gone on with? NULL, or why not. */
static const char *is_lost(const struct tag *t, bool has_journal)
{
	if (t->is_direct)
		return NULL; /* ended, by the caller's reason below */
	if (!has_journal)
		return "the journal of an interrupted job cannot be read";
	if (t->state != TAG_RUN)
		return "interrupted before it ran";
	if (!(t->flags & FLAG_FED))
		return "interrupted while its input was written";
	return NULL;
}

int engine_adopt(struct engine *e, const struct monitor_adopt *m, struct sandbox_fds *fds,
		 const struct job_order *order, struct job **ret, struct error *err)
{
	const struct runtime_def *def = runtime_set_find(e->o.runtimes, order->spec->runtime);
	int files[3] = { fd_take(&fds->out), fd_take(&fds->err), fd_take(&fds->index) }, none[3] = { -1, -1, -1 };
	cleanup_fd int sock = fd_take(&fds->sock);
	const char *why = NULL;
	struct tag t = { .id = "" };
	struct job *job = NULL;
	int r = 0;

	if (!read_tag(m->tag, m->tag_size, &t) || strcmp(t.id, order->id) != 0 || t.space != order->space) {
		r = error_set(err, EINVAL, "the sandbox is not that of job '%s'", order->id);
		job_spec_free(order->spec);
	} else {
		job = job_new(e, order, err);
		r = job ? 0 : -EINVAL;
	}
	if (r < 0) {
		for (int i = 0; i < 3; i++)
			fd_close(&files[i]);
		return r;
	}
	job->def = def;
	job->is_adopted = true;
	(void)text_copy(job->sandbox.id, sizeof(job->sandbox.id), m->id);
	(void)text_copy(job->sandbox.policy_digest, sizeof(job->sandbox.policy_digest), m->policy_digest);
	(void)text_copy(job->sandbox.manifest, sizeof(job->sandbox.manifest), m->manifest);
	job->result.policy_digest = job->sandbox.policy_digest;
	(void)text_copy(job->version, sizeof(job->version), t.version); /* as long as it is */
	job->result.version = job->version;
	job->memory_bytes = m->memory_bytes;
	job->disk_bytes = m->disk_bytes;
	job->processes = m->processes;
	job->cpus_milli = m->cpus_milli;
	if (journal_open(files, &job->journal, NULL) < 0 && journal_open(none, &job->journal, err) < 0) {
		job_discard(job);
		return -ENOMEM;
	}
	if (!def)
		why = "its language is not defined any more";
	else
		why = is_lost(&t, journal_last(job->journal) > 0 || t.state != TAG_RUN);
	job_enter(job, JOB_FILES);
	if (def)
		take_tag(job, &t);
	r = agent_link_new(e->o.loop, fd_take(&sock), &job_agent_handlers, job, &job->sandbox.link, err);
	job->files.link = job->sandbox.link;
	if (r < 0) {
		job_fail(job, err);
	} else if (t.is_direct) {
		job_cancel(job, "the server was restarted");
	} else if (why) {
		struct error lost = ERROR_INIT;

		(void)error_set(&lost, EINTR, "%s", why);
		job_fail(job, &lost);
	} else {
		job_enter(job, JOB_RUN_START);
		agent_link_seq_from(job->sandbox.link, t.seq + SEQ_STEP);
		job->attach_seq = agent_link_seq(job->sandbox.link);
		r = agent_link_send(job->sandbox.link, AGENT_ATTACH, job->attach_seq, NULL, err);
		if (r < 0)
			job_fail(job, err);
		else
			job_silence(job);
	}
	*ret = job;
	return 0;
}
