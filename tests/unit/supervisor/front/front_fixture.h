/*
 * A front without doors: its rooms as front.c makes them, on a database of their own, with sources that are none
 * (fake_source.h) and a monitor that is none (tests/support/fake_monitor.h), whose sandboxes run a program until the test
 * ends it. For the tests of supervisor/front. One translation unit a test, so everything is static inline; all of it lives
 * until the process ends.
 */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth_impl.h"
#include "supervisor/callback/callback.h"
#include "supervisor/front/able.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/record.h"
#include "supervisor/front/sources.h"
#include "supervisor/front/views.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/pool/pool.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"
#include "supervisor/settings.h"
#include "supervisor/settings_impl.h"
#include "tests/support/fake_monitor.h"
#include "tests/tap.h"
#include "tests/unit/supervisor/front/fake_source.h"

enum { PATIENCE_MS = 5000 };

static struct {
	uv_loop_t loop;
	int dir_fd;
	struct settings settings;
	struct node_state state;
	struct catalog catalog;
	struct db *db;
	struct queue *queue;
	struct auth *auth;
	struct metrics *metrics;
	struct fake_source home, redis;
	struct sources sources;
	struct lookup_env lookup;
	struct record_env record;
	struct job_callbacks callbacks;
	struct fake_monitor monitor;
	struct monitor_client *client;
	struct pool *pool;
	struct engine *engine;
	struct able_env able_env;
	struct able *able;
	struct views_env views_env;
	struct views *views;
	struct dispatch_env dispatch_env;
	struct dispatch *dispatch;
} fix;

static const struct caller ann = { .owner = "ann", .scopes = SCOPE_RUN }, bob = { .owner = "bob", .scopes = SCOPE_RUN };

/* ---- the loop ---- */

static inline void fix_tick(uv_timer_t *t)
{
	(void)t;
}

static inline void fix_free(uv_handle_t *h)
{
	free(h);
}

/* Let the loop turn until fn says so, or for so long. */
static inline bool fix_until(bool (*fn)(void), unsigned ms)
{
	uint64_t deadline = clock_deadline_ns(ms * NS_PER_MS);
	uv_timer_t *tick = calloc(1, sizeof(*tick));
	bool is = false;

	if (!tick)
		abort();
	(void)uv_timer_init(&fix.loop, tick);
	(void)uv_timer_start(tick, fix_tick, 2, 2);
	while (!(is = fn && fn()) && clock_now_ns() < deadline)
		(void)uv_run(&fix.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)tick, fix_free);
	return is;
}

/* How many jobs of an owner count for its quota now. */
static inline unsigned fix_jobs_of(const char *owner)
{
	const struct usage *u = usage_find(&fix.auth->usage, owner);

	return u ? (unsigned)u->jobs_now : 0;
}

/* ---- sandboxes ---- */

enum { FIX_RUNNING_MAX = 64 };

/* Programs that run, in the order in which they were started. */
static struct {
	struct fake_agent *agent;
	uint32_t seq;
	char id[QUEUE_ID_BYTES]; /* of the job */
} fix_running[FIX_RUNNING_MAX];
static size_t fix_n_running;

static inline bool fix_on_agent(struct fake_agent *a, const struct frame_header *h, const union agent_any *m)
{
	if (h->type != AGENT_START || strcmp(m->start.argv.data, "plain") != 0)
		return false;
	if (fix_n_running == FIX_RUNNING_MAX)
		abort();
	fix_running[fix_n_running].agent = a;
	fix_running[fix_n_running++].seq = h->seq;
	return true;
}

/* The program that was started first of those that still run ends with status 0. */
static inline void fix_end_first(void)
{
	struct agent_started started = { .pid_inside = 2, .at_ns = clock_now_ns() };
	struct agent_exited exited = { .wait_status = 0, .at_ns = clock_now_ns() };
	int out[2], err[2];

	if (fix_n_running == 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		need(false, "something runs");
	fake_agent_say(fix_running[0].agent, AGENT_STARTED, fix_running[0].seq, &started,
		       (const int[]){ out[0], err[0] }, 2);
	fake_agent_say(fix_running[0].agent, AGENT_EXITED, fix_running[0].seq, &exited, NULL, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(out[i]);
		(void)close(err[i]);
	}
	memmove(fix_running, fix_running + 1, --fix_n_running * sizeof(fix_running[0]));
}

/* ---- opening ---- */

static bool fix_is_ready;

static inline void fix_on_ready(const struct error *e, void *arg)
{
	(void)arg;
	fix_is_ready = !e;
}

static inline bool fix_has_keys(void)
{
	return fix_is_ready;
}

/* Loop, settings, database, accounts, two sources. */
static inline void fix_open_store(void)
{
	static char hash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	char *const environment[] = { NULL };
	const struct settings_sources from = { environment, "/nowhere/.env", "/nowhere/etc", false };
	const struct queue_options options = { .node = "here",
					       .max_waiting = 1000,
					       .attempts = 3,
					       .lease_ns = 30 * NS_PER_S,
					       .retention_ns = 3600 * NS_PER_S,
					       .cancelled = job_result_cancelled };
	const char *given = getenv("CUBIT_TEST_DIR");
	struct error e = ERROR_INIT;
	char path[4096];

	(void)signal(SIGPIPE, SIG_IGN); /* as front.c does */
	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	(void)snprintf(path, sizeof(path), "%s/front-XXXXXX", given ? given : "/tmp");
	need(mkdtemp(path), "a directory");
	fix.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(settings_load_from(&from, &fix.settings, &e) == 0, "settings %s", e.text);
	need(uv_loop_init(&fix.loop) == 0, "a loop");
	fix.metrics = metrics_new();
	need(db_open(&fix.loop, fix.dir_fd, &fix.db, &e) == 0, "a database %s", e.text);
	need(queue_open(fix.db, &options, &fix.queue, &e) == 0, "a queue %s", e.text);
	need(auth_open(fix.db, &fix.settings, hash, fix_on_ready, NULL, &fix.auth, &e) == 0, "accounts %s", e.text);
	need(fix_until(fix_has_keys, PATIENCE_MS), "they are read");
	fake_source_init(&fix.home, SPACE_HERE);
	fake_source_init(&fix.redis, SPACE_REDIS);
	fix.sources = (struct sources){ { &fix.home.source, &fix.redis.source }, 2, &fix.home.source };
	fix.record = (struct record_env){ &fix.loop, fix.auth };
}

static inline int fix_get_named(void *self, const char *owner, const char *key, queue_get_fn *fn, void *arg)
{
	return queue_get_key(self, owner, key, fn, arg);
}

static inline void fix_write_runtime(void)
{
	static const char text[] =
		"{\"name\":\"plain\",\"image\":\"localhost/plain:latest\",\"file\":\"main\",\"version_command\":["
		"\"version\"],\"run\":{\"argv\":[\"plain\",\"{file}\"]},\"test\":{\"hello\":\"x\",\"stdout\":\"x\","
		"\"endless\":\"x\",\"hog\":\"x\"}}";
	struct error e = ERROR_INIT;

	need(fd_replace_file(fix.dir_fd, "plain.json", text, strlen(text), 0644, &e) == 0, "a language %s", e.text);
}

static inline void fix_on_welcome(const struct monitor_welcome *m, void *arg)
{
	(void)m;
	(void)arg;
}

static inline void fix_on_adopt(const struct monitor_adopt *m, struct sandbox_fds *fds, void *arg)
{
	(void)m;
	(void)fds;
	(void)arg;
}

static inline void fix_on_stopped(const struct monitor_stopped *m, void *arg)
{
	(void)arg;
	if (!engine_stopped(fix.engine, m))
		(void)pool_stopped(fix.pool, m->id);
}

static inline void fix_on_other(void *arg)
{
	(void)arg;
}

/* What makes sandboxes, and whether it can. */
static inline void fix_open_work(void)
{
	static const struct monitor_handlers handlers = { fix_on_welcome, fix_on_adopt, fix_on_other, fix_on_stopped,
							  fix_on_other,   fix_on_other, fix_on_other, NULL };
	char path[64];
	const char *const dirs[] = { path, NULL };
	struct runtime_set *runtimes = NULL;
	struct error e = ERROR_INIT;
	struct engine_options o = { .loop = &fix.loop, .settings = &fix.settings, .state_fd = -1 };
	int sock;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fix.dir_fd);
	fix_write_runtime();
	need(runtime_set_load(dirs, &runtimes, &e) == 0, "languages %s", e.text);
	fix.catalog.runtimes = o.runtimes = runtimes;
	fix.catalog.policies = json_pack("{s:{s:s}}", "default", "state", "ready");
	fix.settings.pool_memory = 0; /* what is made is made for a job */
	fix.monitor.hook = fix_on_agent;
	sock = fake_monitor_open(&fix.monitor, &fix.loop);
	need(monitor_client_new(&fix.loop, sock, &handlers, &fix.client, &e) == 0, "a client %s", e.text);
	fix.pool = pool_new(&fix.loop, fix.client, &fix.settings, runtimes);
	o.monitor = fix.client;
	o.pool = fix.pool;
	fix.engine = engine_new(&o);
	need(job_callbacks_open(&fix.callbacks, &fix.loop, fix.db, &fix.settings, &fix.sources, &e) == 0,
	     "callbacks %s", e.text);
	fix.able_env = (struct able_env){ .loop = &fix.loop,
					  .settings = &fix.settings,
					  .state = &fix.state,
					  .sources = &fix.sources,
					  .catalog = &fix.catalog,
					  .auth = fix.auth,
					  .pool = fix.pool,
					  .queue = fix.queue,
					  .db = fix.db,
					  .metrics = fix.metrics,
					  .monitor = fix.client,
					  .state_fd = fix.dir_fd };
	fix.able = able_new(&fix.able_env);
}

static inline void fix_open_dispatch(void)
{
	fix.lookup = (struct lookup_env){ &fix.sources, fix_get_named, fix.queue };
	fix.views_env = (struct views_env){ .loop = &fix.loop,
					    .engine = fix.engine,
					    .auth = fix.auth,
					    .sources = &fix.sources,
					    .lookup = &fix.lookup };
	fix.views = views_new(&fix.views_env);
	fix.dispatch_env = (struct dispatch_env){ .loop = &fix.loop,
						  .settings = &fix.settings,
						  .state = &fix.state,
						  .sources = &fix.sources,
						  .catalog = &fix.catalog,
						  .auth = fix.auth,
						  .able = fix.able,
						  .engine = fix.engine,
						  .views = fix.views,
						  .metrics = fix.metrics,
						  .monitor = fix.client,
						  .lookup = &fix.lookup,
						  .record = &fix.record,
						  .callbacks = &fix.callbacks };
	fix.dispatch = dispatch_new(&fix.dispatch_env);
	fix.able_env.dispatch = fix.dispatch;
}
