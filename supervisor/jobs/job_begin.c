/* A job until it has a sandbox, and its journal on the way there: see job.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/settings.h"

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
	job_observe(job, "sandbox", clock_now_ns() - job->state_ns);
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
		return -EINVAL;
	job->def = def;
	job->parent = parent;
	*ret = job;
	if (order->queued_ms)
		job_observe(job, "queue", (time_now_ms() - order->queued_ms) * NS_PER_MS);
	if (!job->spec->n_cases)
		take_sandbox(job);
	r = job->journal ? 0 : open_own_journal(job, err);
	if (r == 0 && job->spec->n_cases)
		job_cases_begin(job);
	if (r < 0) {
		*ret = NULL;
		job_discard(job);
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

void job_take(struct job *job, const struct ready_sandbox *s)
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
