/*
 * Processes of ours in a sandbox of the pool: the interpreter that waits in it, or the question for a version. See
 * pool_impl.h; what comes of them is in the table of item_life.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/languages/runtime_argv.h"
#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/fd_watch.h"
#include "supervisor/pool/pool_impl.h"
#include "supervisor/pool/prestart.h"
#include "supervisor/spec/spec.h"

enum { VERSION_SAYS_MAX = 4096 };

/* ---- any ---- */

/* The launcher's variables, with the sizes of a job that does not say any. */
static int size_launcher(const struct pool_item *item, char *const *env, struct job_spec *job, struct error *err)
{
	const struct runtime_def *def = item->class->runtime;
	struct runtime_words words = { .memory_mib = 0 };
	size_t n = 0;

	job->limits.memory_bytes = prestart_memory(def, item->class->pool->settings->memory_bytes);
	words.memory_mib = job->limits.memory_bytes >> 20;
	while (env && env[n])
		n++;
	job->env = alloc_zeroed(n + 1, sizeof(*job->env));
	for (size_t i = 0; i < n; i++) {
		job->env[i] = runtime_env_of(env[i], &words);
		if (!job->env[i])
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

/* Environment and resource limits as a job with nothing of its own gets them. */
static int start_process(struct pool_item *item, char *const *argv, char *const *more_env, enum agent_stdio stdio,
			 struct error *err)
{
	struct job_spec nothing = { .env = NULL }; /* a job that asks for nothing but what the launcher needs */
	const struct runtime_def *def = item->class->runtime;
	const struct process_limits limits = prestart_limits(def);
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX];
	struct process_spec process = {
		.argv = (const char *const *)argv,
		.cwd = "/work",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = stdio,
		.umask = 022,
		.rlimits = rlimits,
		.n_rlimits = process_rlimits(&limits, rlimits),
	};
	char **env = NULL;
	int r = size_launcher(item, more_env, &nothing, err);

	if (r == 0)
		r = job_environment(&nothing, def, def->compile.argv && stdio == AGENT_STDIO_NO_STDIN,
				    item->s.image_env, &env, err);
	job_list_free(nothing.env);
	if (r < 0)
		return r;
	process.env = (const char *const *)env;
	item->process_seq = agent_link_seq(item->s.link);
	r = agent_link_start(item->s.link, item->process_seq, &process, err);
	job_list_free(env);
	return r;
}

/* ---- the waiting interpreter ---- */

void pool_process_launch(struct pool_item *item)
{
	const struct runtime_stage *launcher = &item->class->runtime->prestart;
	struct error err = ERROR_INIT;

	item->deadline_ns = clock_deadline_ns(POOL_READY_S * NS_PER_S);
	if (start_process(item, launcher->argv, launcher->env, AGENT_STDIO_PIPES, &err) < 0)
		pool_item_fail(item, &err);
}

static void on_prestart_out(struct fd_watch *w, int events, void *arg)
{
	struct pool_item *item = arg;
	char said[PRESTART_READY_BYTES + 1];
	ssize_t n = read(fd_watch_fd(w), said, sizeof(said));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != PRESTART_READY_BYTES) {
		pool_item_fail_text(item, EPROTO, "the waiting interpreter did not say that it is ready, or has ended");
		return;
	}
	item->s.is_prestarted = true;
	item->s.prestart_seq = item->process_seq;
	item->s.prestart_fds[1] = fcntl(fd_watch_fd(w), F_DUPFD_CLOEXEC, 0);
	fd_watch_free(&item->out[0]);
	if (item->s.prestart_fds[1] < 0)
		pool_item_fail_text(item, errno, "the waiting interpreter's output");
	else
		pool_item_event(item, ITEM_EV_BYTE, NULL);
}

void pool_process_lost(struct pool_item *item)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, ECHILD, "the waiting interpreter ended with status %#x",
			item->said_event->any.exited.wait_status);
	pool_item_fail_now(item, &e);
}

/* ---- version_command ---- */

static void on_version_out(struct fd_watch *w, int events, void *arg)
{
	struct pool_item *item = arg;
	bool is_out = w == item->out[0];
	struct buf *said = &item->said[is_out ? 0 : 1];
	char *to = buf_reserve(said, VERSION_SAYS_MAX / 4);
	ssize_t n = to ? read(fd_watch_fd(w), to, VERSION_SAYS_MAX / 4) : 0;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_grown(said, (size_t)n);
	else
		fd_watch_free(&item->out[is_out ? 0 : 1]); /* its end, or enough */
}

void pool_process_answer(struct pool_item *item, const struct agent_exited *exited)
{
	struct pool_version *v = item->version;

	for (int i = 0; i < 2; i++) {
		for (size_t before = SIZE_MAX; item->out[i] && item->said[i].size != before;) {
			before = item->said[i].size;
			on_version_out(item->out[i], 0, item);
		}
	}
	if (exited->wait_status == 0) /* some print it to standard error */
		runtime_version_find(buf_str(&item->said[item->said[0].size ? 0 : 1]), v->text);
	if (!v->text[0])
		v->failures++;
	pool_item_end(item);
}

static int ask_version(struct pool_item *item, struct error *err)
{
	item->said = alloc_zeroed(2, sizeof(*item->said));
	item->said[0].max = item->said[1].max = VERSION_SAYS_MAX;
	return start_process(item, item->class->runtime->version_command, NULL, AGENT_STDIO_NO_STDIN, err);
}

void pool_process_ask(struct pool_item *item)
{
	struct error err = ERROR_INIT;

	if (ask_version(item, &err) < 0)
		pool_item_fail(item, &err);
}

/* ---- either ---- */

void pool_process_take(struct pool_item *item, struct agent_event *e)
{
	bool is_version = item->purpose == ITEM_TO_ASK;
	size_t first = is_version ? 0 : 1;
	struct error err = ERROR_INIT;
	int r = 0;

	if (e->n_fds != (is_version ? 2u : 3u)) {
		pool_item_fail_text(item, EPROTO, "the agent sent other descriptors than were asked for");
		return;
	}
	for (size_t i = 0; i < e->n_fds; i++)
		(void)fd_set_nonblock(e->fds[i], 1);
	if (!is_version) {
		item->s.prestart_fds[0] = fd_take(&e->fds[0]);
		item->s.prestart_fds[2] = fd_take(&e->fds[2]);
	}
	for (size_t i = first; r == 0 && i < 2; i++)
		r = fd_watch_new(item->class->pool->loop, fd_take(&e->fds[i]), UV_READABLE,
				 is_version ? on_version_out : on_prestart_out, item, &item->out[i - first], &err);
	if (r < 0)
		pool_item_fail(item, &err);
}
