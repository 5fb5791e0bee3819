/*
 * One sandbox of the pool, from CREATE to ready, and its end: see pool_impl.h.
 *
 *   CREATED -> REPORT, at once: it is served when the agent is up
 *           <- READY, READY of the probe
 *           -> START of the waiting interpreter, when there is to be one
 *           <- STARTED, one byte on the interpreter's standard output
 *
 * Until somebody's program runs in it the agent is as we made it, so what it says of its own restrictions is worth
 * asking for. All the same it is checked like any other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/config.h"
#include "runtime/agent/agent.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/jobs/agent_link.h"
#include "supervisor/jobs/fd_watch.h"
#include "supervisor/jobs/pool_impl.h"
#include "supervisor/jobs/prestart.h"
#include "supervisor/jobs/spec.h"

enum { VERSION_SAYS_MAX = 4096, SECCOMP_FILTERED = 2, IDENTITY = 1000 };

/* ---- the end of one ---- */

static void unlink_item(struct pool_item *item)
{
	struct pool_class *c = item->class;

	*item->prev = item->next;
	if (item->next)
		item->next->prev = item->prev;
	if (item->purpose == ITEM_FOR_USE) {
		if (item->state == ITEM_READY)
			c->n_ready--;
		else
			c->n_starting--;
	} else if (item->purpose == ITEM_TO_MEASURE) {
		c->is_measuring = false;
	} else if (item->version) {
		c->pool->n_asking--;
		item->version->is_asked = item->version->text[0] != '\0'; /* otherwise again, a few times */
	}
}

void pool_item_free(struct pool_item *item)
{
	unlink_item(item);
	fd_watch_free(&item->out[0]);
	fd_watch_free(&item->out[1]);
	if (item->said) {
		buf_done(&item->said[0]);
		buf_done(&item->said[1]);
		free(item->said);
	}
	item->s.class = NULL; /* it was not claimed */
	ready_sandbox_done(&item->s);
	free(item);
}

static void on_finished(const struct error *e, const struct monitor_facts *f, void *arg)
{
	(void)e; /* gone already, or the monitor is: there is nothing more to do about it */
	(void)f;
	pool_answered(arg);
}

/* What one costs. The class may be gone by now: found again by its key. */
struct measured {
	struct pool *pool;
	char key[POOL_KEY_BYTES];
};

static void on_measured(const struct error *e, const struct monitor_facts *f, void *arg)
{
	struct measured *m = arg;
	struct pool_class *c = m->pool->classes;

	while (c && strcmp(c->key, m->key) != 0)
		c = c->next;
	if (c && !e && f->memory_peak_bytes != CGROUP_UNKNOWN && f->memory_peak_bytes > 0)
		c->cost_bytes = f->memory_peak_bytes + POOL_COST_RESERVE;
	else if (c)
		c->cost_bytes = c->what.may_prestart ? POOL_COST_PRESTARTED : POOL_COST_PLAIN;
	pool_answered(m->pool);
	free(m);
}

static int finish_measured(struct pool_item *item)
{
	struct measured *m = malloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->pool = item->class->pool;
	memcpy(m->key, item->class->key, sizeof(m->key));
	if (monitor_finish_sandbox(m->pool->monitor, item->s.id, on_measured, m) < 0) {
		free(m);
		return -EAGAIN;
	}
	return 0;
}

void pool_item_finish(struct pool_item *item)
{
	struct pool *p = item->class->pool;
	bool is_measured = item->purpose == ITEM_TO_MEASURE && item->state == ITEM_READY;

	if (item->state == ITEM_CREATING) {
		item->is_dropped = true; /* its CREATED comes, and it ends then */
		return;
	}
	/* when too much waits for the monitor, closing our end of the socket does not end it: it is finished by the next front */
	if ((is_measured ? finish_measured(item) : monitor_finish_sandbox(p->monitor, item->s.id, on_finished, p)) == 0)
		p->n_pending++;
	pool_item_free(item);
}

static void fail(struct pool_item *item, const struct error *e)
{
	struct pool_class *c = item->class;

	if (item->process_seq && item->purpose == ITEM_FOR_USE && ++c->prestart_failures == POOL_PRESTART_TRIES) {
		c->is_plain = true;
		log_warning(LOG_FACTS(LOG_STR("runtime", c->runtime->name), LOG_STR("reason", e->text)),
			    "the waiting interpreter does not start, going without");
	}
	if (item->version)
		item->version->failures++;
	pool_item_finish(item);
	pool_class_failed(c, e);
}

static void fail_text(struct pool_item *item, int code, const char *text)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "%s", text);
	fail(item, &e);
}

/* ---- processes of ours in it ---- */

/* Environment and resource limits as a job with nothing of its own gets them. */
static int start_process(struct pool_item *item, char *const *argv, char *const *more_env, enum agent_stdio stdio,
			 struct error *err)
{
	static struct job_spec nothing; /* a job that asks for nothing */
	const struct runtime_def *def = item->class->runtime;
	const struct process_limits limits = { .open_files = def->run.limits.open_files };
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
	const char **all;
	size_t n = 0, m = 0;
	int r = job_environment(&nothing, def, def->compile.argv && stdio == AGENT_STDIO_NO_STDIN, item->s.image_env, &env,
				err);

	if (r < 0)
		return r;
	while (env[n])
		n++;
	while (more_env && more_env[m])
		m++;
	all = calloc(n + m + 1, sizeof(*all));
	if (all) {
		memcpy(all, env, n * sizeof(*all));
		if (m)
			memcpy(all + n, more_env, m * sizeof(*all));
		process.env = all;
		item->process_seq = agent_link_seq(item->s.link);
		r = agent_link_start(item->s.link, item->process_seq, &process, err);
	} else {
		r = error_set(err, ENOMEM, "out of memory");
	}
	free(all);
	job_list_free(env);
	return r;
}

/* ---- ready ---- */

static bool wants_interpreter(const struct pool_item *item)
{
	return item->purpose != ITEM_TO_ASK && item->class->what.may_prestart && !item->class->is_plain && !item->is_plain;
}

static void check_ready(struct pool_item *item)
{
	const struct runtime_stage *launcher = &item->class->runtime->prestart;
	struct error err = ERROR_INIT;

	if (item->purpose == ITEM_TO_ASK || !item->is_up || !item->is_probed || (item->process_seq && !item->is_waiting))
		return;
	if (wants_interpreter(item) && !item->process_seq) {
		if (start_process(item, launcher->argv, launcher->env, AGENT_STDIO_PIPES, &err) < 0)
			fail(item, &err);
		return;
	}
	item->s.ready_ns = clock_now_ns();
	item->class->failures = 0;
	item->class->made++;
	if (item->purpose == ITEM_TO_MEASURE) {
		item->state = ITEM_READY;
		pool_item_finish(item);
		return;
	}
	item->class->n_starting--;
	item->class->n_ready++;
	item->state = ITEM_READY;
	pool_item_ready(item);
}

/* What the kernel says of a process in it. */
static bool is_restricted(const struct agent_ready *r)
{
	return r->is_probe && r->seccomp == SECCOMP_FILTERED && r->no_new_privs == 1 && r->cap_eff == 0 && r->cap_prm == 0 &&
	       r->uid == IDENTITY && r->gid == IDENTITY;
}

/* ---- the waiting interpreter ---- */

static void on_prestart_out(struct fd_watch *w, int events, void *arg)
{
	struct pool_item *item = arg;
	char said[PRESTART_READY_BYTES + 1];
	ssize_t n = read(fd_watch_fd(w), said, sizeof(said));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != PRESTART_READY_BYTES || item->is_waiting) {
		fail_text(item, EPROTO, "the waiting interpreter says something else, or has ended");
		return;
	}
	item->is_waiting = true;
	item->s.is_prestarted = true;
	item->s.prestart_seq = item->process_seq;
	item->s.prestart_fds[1] = fcntl(fd_watch_fd(w), F_DUPFD_CLOEXEC, 0);
	fd_watch_free(&item->out[0]);
	if (item->s.prestart_fds[1] < 0)
		fail_text(item, errno, "the waiting interpreter's output");
	else
		check_ready(item);
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

static void take_version(struct pool_item *item, const struct agent_exited *exited)
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
	pool_item_finish(item);
}

static int ask_version(struct pool_item *item, struct error *err)
{
	item->said = calloc(2, sizeof(*item->said));
	if (!item->said)
		return error_set(err, ENOMEM, "out of memory");
	item->said[0].max = item->said[1].max = VERSION_SAYS_MAX;
	return start_process(item, item->class->runtime->version_command, NULL, AGENT_STDIO_NO_STDIN, err);
}

/* ---- what the agent says ---- */

static void take_descriptors(struct pool_item *item, struct agent_event *e)
{
	bool is_version = item->purpose == ITEM_TO_ASK;
	size_t first = is_version ? 0 : 1;
	struct error err = ERROR_INIT;
	int r = 0;

	if (e->n_fds != (is_version ? 2u : 3u)) {
		fail_text(item, EPROTO, "the agent sent other descriptors than were asked for");
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
		fail(item, &err);
}

static void on_event(struct agent_event *e, void *arg)
{
	struct pool_item *item = arg;
	struct error err = ERROR_INIT;
	uint32_t seq = e->header.seq;

	switch (e->header.type) {
	case AGENT_READY:
		if (seq == 0 && !item->is_up)
			item->is_up = true;
		else if (seq == item->report_seq && !item->is_probed && is_restricted(&e->any.ready))
			item->is_probed = true;
		else
			break;
		check_ready(item);
		return;
	case AGENT_STARTED:
		if (seq != item->process_seq || !seq || item->out[0] || item->is_waiting)
			break;
		take_descriptors(item, e);
		return;
	case AGENT_EXITED:
		if (seq != item->process_seq || !seq)
			break;
		if (item->purpose == ITEM_TO_ASK) {
			take_version(item, &e->any.exited);
			return;
		}
		(void)error_set(&err, ECHILD, "the waiting interpreter ended with status %#x", e->any.exited.wait_status);
		fail(item, &err);
		return;
	case AGENT_FAILED:
	case AGENT_REFUSED:
		(void)agent_failure(&e->any.failed, &err);
		fail(item, &err);
		return;
	default:
		break;
	}
	fail_text(item, EPROTO, "the agent says what nobody asked for, or its restrictions are not in place");
}

static void on_gone(const struct error *e, void *arg)
{
	if (e)
		fail(arg, e);
	else
		fail_text(arg, EPIPE, "the sandbox ended before anybody used it");
}

static const struct agent_handlers handlers = { on_event, on_gone };

/* ---- making ---- */

static int begin(struct pool_item *item, struct error *err)
{
	if (item->purpose == ITEM_TO_ASK) {
		item->is_probed = true; /* only our own program runs in it */
		return ask_version(item, err);
	}
	item->report_seq = agent_link_seq(item->s.link);
	return agent_link_send(item->s.link, AGENT_REPORT, item->report_seq, NULL, err);
}

/* Another policy under the same name: what stands ready with the old one is not what is asked for. */
static void check_policy(struct pool_item *item)
{
	struct pool_class *c = item->class;

	if (c->policy_digest[0] && strcmp(c->policy_digest, item->s.policy_digest) != 0) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			if (i->state == ITEM_READY && i->purpose == ITEM_FOR_USE)
				pool_item_finish(i);
		}
	}
	memcpy(c->policy_digest, item->s.policy_digest, sizeof(c->policy_digest));
}

static void on_created(const struct error *e, const struct monitor_created *m, struct sandbox_fds *fds, void *arg)
{
	struct pool_item *item = arg;
	struct pool *p = item->class->pool;
	struct error err = ERROR_INIT;
	int r;

	if (e || p->is_freed) { /* a pool that is gone: the front ends, and the next one finishes what is tagged 'p' */
		struct pool_class *c = item->class;
		bool is_wanted = !item->is_dropped && !p->is_freed;

		if (item->version)
			item->version->failures++;
		pool_item_free(item);
		if (is_wanted)
			pool_class_failed(c, e);
		pool_answered(p);
		return;
	}
	pool_answered(p);
	item->state = ITEM_STARTING;
	if (item->is_dropped || (item->class->is_old && !item->class->waits)) {
		pool_item_finish(item);
		return;
	}
	item->s.fds = *fds;
	*fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	(void)text_copy(item->s.policy_digest, sizeof(item->s.policy_digest), m->policy_digest);
	r = agent_link_new(p->loop, fd_take(&item->s.fds.sock), &handlers, item, &item->s.link, &err);
	if (r == 0)
		check_policy(item);
	if (r == 0)
		r = begin(item, &err);
	if (r < 0)
		fail(item, &err);
}

static void fill_create(const struct pool_item *item, struct monitor_create *m)
{
	const struct sandbox_class *w = &item->class->what;

	*m = (struct monitor_create){
		.network = w->network,
		.memory_bytes = w->memory_bytes,
		.disk_bytes = w->disk_bytes,
		.processes = w->processes,
		.cpus_milli = w->cpus_milli,
		.tag = "p",
		.tag_size = 1,
	};
	(void)text_copy(m->id, sizeof(m->id), item->s.id);
	(void)text_copy(m->manifest, sizeof(m->manifest), item->s.manifest);
	(void)text_copy(m->policy, sizeof(m->policy), w->policy);
}

int pool_make(struct pool_class *c, enum item_purpose purpose, bool is_plain, struct error *err)
{
	struct pool *p = c->pool;
	struct pool_item *item = calloc(1, sizeof(*item));
	struct monitor_create m;
	int r;

	if (!item)
		return error_set(err, ENOMEM, "out of memory");
	item->class = c;
	item->purpose = purpose;
	item->is_plain = is_plain;
	item->deadline_ns = clock_deadline_ns(POOL_READY_S * NS_PER_S);
	item->s.fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	for (int i = 0; i < 3; i++)
		item->s.prestart_fds[i] = -1;
	item->s.image_env = c->manifest->config->env.items;
	item->s.version = c->version->text;
	(void)snprintf(item->s.id, sizeof(item->s.id), "%s%" PRIu64, p->prefix, ++p->n_ids);
	memcpy(item->s.manifest, c->manifest->manifest, sizeof(item->s.manifest));
	fill_create(item, &m);
	r = monitor_create_sandbox(p->monitor, &m, on_created, item);
	if (r < 0) {
		free(item);
		return error_errno(err, -r, "ask for a sandbox");
	}
	p->n_pending++;
	item->next = c->items;
	item->prev = &c->items;
	if (c->items)
		c->items->prev = &item->next;
	c->items = item;
	if (purpose == ITEM_FOR_USE) {
		c->n_starting++;
	} else if (purpose == ITEM_TO_MEASURE) {
		c->is_measuring = true;
	} else {
		p->n_asking++;
		item->version = c->version;
		c->version->is_asked = true;
	}
	return 0;
}

void pool_items_check(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			if (i->state == ITEM_STARTING && now_ns > i->deadline_ns) {
				fail_text(i, ETIMEDOUT, "the sandbox does not become ready");
				return; /* the lists may have changed: the rest at the next turn */
			}
		}
	}
}
