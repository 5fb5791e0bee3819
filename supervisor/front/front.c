/*
 * The front process: see front.h.
 *
 * How it works, from the start:
 *
 *   settings from the environment (the monitor made it complete) -> confine -> database and keys
 *   monitor says WELCOME and ADOPT for each living sandbox      -> kept
 *   both there: leases of an earlier front taken over or given back -> HTTP doors opened, LISTENING
 *
 * and at the end (DRAIN): doors take no new work -> what runs ends or is given back -> everything closed -> exit 0. The
 * monitor going away ends us at once: its successor starts the next front, and the database has all that was promised.
 */
#include "supervisor/front/front.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/able.h"
#include "supervisor/front/api.h"
#include "supervisor/front/confine.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/front_metrics.h"
#include "supervisor/front/front_redis.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/policies.h"
#include "supervisor/front/views.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/pool/pool.h"
#include "supervisor/protocol/front_fds.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"
#include "supervisor/redis/redis.h"

static struct front the_front;
static unsigned waiting_for; /* what must be there before the doors open */

enum { WAIT_MONITOR = 1, WAIT_AUTH = 2, WAIT_POLICIES = 4 };

/* ---- what the parts ask ---- */

struct front *front_of(struct http_request *rq)
{
	return http_arg(rq);
}

static struct auth *find_auth(struct http_request *rq)
{
	return front_of(rq)->auth;
}

static bool gate(struct http_request *rq, const struct http_route *route, void *arg)
{
	const struct front *f = arg;

	return auth_admit(f->auth, rq, route);
}

/* ---- opening the doors ---- */

static void fatal(const struct error *e)
{
	log_error(LOG_NONE, "front: %s", e->text);
	exit(1);
}

/* Port 0 is any: what is said from here on is the one that it became. */
static void say_port(struct front *f, int fd)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);
	char host[64], port[16], *text = NULL;

	if (getsockname(fd, (struct sockaddr *)&a, &size) < 0 ||
	    getnameinfo((struct sockaddr *)&a, size, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	if (asprintf(&text, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port) < 0)
		return;
	free(f->settings.listen);
	f->settings.listen = text;
}

static int listen_all(struct front *f, struct error *err)
{
	const char *n = getenv("CUBIT_FRONT_TCP");
	uint64_t count = 0;
	int r = n ? parse_u64(n, 0, 64, &count, err) : 0;

	if (r == 0)
		r = http_server_listen(f->http, FRONT_FD_UNIX, err);
	if (r == 0 && count > 0)
		say_port(f, FRONT_FD_TCP);
	for (uint64_t i = 0; r == 0 && i < count; i++)
		r = http_server_listen(f->http, FRONT_FD_TCP + (int)i, err);
	return r;
}

static void open_doors(void *arg)
{
	struct front *f = arg;
	struct http_options o = {
		.routes = f->routes,
		.gate = gate,
		.done = front_metrics_http,
		.origins = f->settings.origins,
		.trusted_proxies = f->settings.trusted_proxies,
		.near_networks = f->settings.status_networks,
		.arg = f,
	};
	struct error e = ERROR_INIT;

	http_limits_defaults(&o.limits);
	o.limits.body_bytes = (size_t)f->settings.max_body;
	if (http_server_new(&f->loop, &o, &f->http, &e) < 0 || listen_all(f, &e) < 0)
		fatal(&e);
	f->state.is_ready = true;
	(void)monitor_say_state(f->monitor, MONITOR_STATE_LISTENING, "serving");
	log_notice(LOG_FACTS(LOG_STR("listen", f->settings.listen), LOG_INT("front", f->front_number)), "serving");
	dispatch_poke(f->dispatch);
}

/* Everything that was waited for is there. */
static void arrived(struct front *f, unsigned what)
{
	struct error e = ERROR_INIT;

	waiting_for &= ~what;
	if (waiting_for == 0 && dispatch_recover(f->dispatch, open_doors, f, &e) < 0)
		fatal(&e);
}

static void on_auth_ready(const struct error *e, void *arg)
{
	if (e)
		fatal(e);
	arrived(arg, WAIT_AUTH);
}

/* ---- the monitor ---- */

static void on_policies(void *arg)
{
	arrived(arg, WAIT_POLICIES);
}

static void on_welcome(const struct monitor_welcome *m, void *arg)
{
	struct front *f = arg;

	f->front_number = m->front_number;
	f->is_hybrid = m->is_hybrid;
	text_copy(f->boot_id, sizeof(f->boot_id), m->boot_id);
	policies_ask(&f->catalog, f->monitor, on_policies, f);
}

static void on_adopt(const struct monitor_adopt *m, struct sandbox_fds *fds, void *arg)
{
	struct front *f = arg;

	if (!pool_adopt(f->pool, m, fds))
		dispatch_offer(f->dispatch, m, fds);
}

static void on_adopted(void *arg)
{
	arrived(arg, WAIT_MONITOR);
}

static void on_stopped(const struct monitor_stopped *m, void *arg)
{
	const struct front *f = arg;

	if (!engine_stopped(f->engine, m))
		(void)pool_stopped(f->pool, m->id);
}

static int load_runtimes(struct front *f, struct error *err)
{
	struct settings_runtimes where;
	struct runtime_set *set = NULL;
	int r;

	settings_runtimes(&f->settings, &where);
	r = runtime_set_load(where.dirs, &set, err);

	if (r < 0)
		return r;
	for (size_t i = 0; runtime_set_problem(set, i); i++)
		log_warning(LOG_FACTS(LOG_STR("problem", runtime_set_problem(set, i))), "a language is not usable");
	f->catalog.runtimes = set; /* an old one stays: jobs may point into it, and reloads are rare */
	return 0;
}

static void on_reload(void *arg)
{
	struct front *f = arg;
	struct error e = ERROR_INIT;

	policies_ask(&f->catalog, f->monitor, NULL, NULL);
	if (load_runtimes(f, &e) < 0) {
		log_error(LOG_FACTS(LOG_STR("error", e.text)), "cannot reload languages, going on with the old ones");
		return;
	}
	engine_set_runtimes(f->engine, f->catalog.runtimes);
	if (f->redis)
		redis_set_runtimes(f->redis, f->catalog.runtimes);
	pool_flush(f->pool, f->catalog.runtimes);
	log_notice(LOG_NONE, "reloaded languages and policies");
}

/* ---- the end ---- */

static void on_everything_closed(void *arg)
{
	struct front *f = arg;

	(void)monitor_say_state(f->monitor, MONITOR_STATE_DRAINED, "stopped");
	log_notice(LOG_NONE, "stopped");
	exit(0);
}

static void on_redis_closed(void *arg)
{
	struct front *f = arg;

	f->redis = NULL;
	queue_free(f->queue);
	auth_free(f->auth);
	f->auth = f->submit.auth = f->able_env.auth = f->dispatch_env.auth = NULL; /* the database still answers */
	db_close(f->db, on_everything_closed, f);
}

static void on_http_closed(void *arg)
{
	struct front *f = arg;

	f->http = NULL;
	if (f->redis)
		redis_close(f->redis, on_redis_closed, f);
	else
		on_redis_closed(f);
}

static void on_callbacks_closed(void *arg)
{
	struct front *f = arg;

	if (f->http)
		http_server_close(f->http, on_http_closed, f);
	else
		on_http_closed(f);
}

static void on_drained(void *arg)
{
	struct front *f = arg;

	pool_drain(f->pool);
	job_callbacks_close(&f->callbacks, on_callbacks_closed, f);
}

static void on_drain(void *arg)
{
	struct front *f = arg;

	if (f->state.is_draining)
		return;
	f->state.is_draining = true;
	log_notice(LOG_NONE, "stopping: taking no new work, waiting for running jobs");
	if (f->http)
		http_server_drain(f->http);
	dispatch_drain(f->dispatch, on_drained, f);
}

static void on_monitor_gone(void *arg)
{
	(void)arg;
	log_error(LOG_NONE, "the monitor is gone, exiting");
	_exit(1);
}

/* ---- life ---- */

static void on_revoked(const char *key_id, void *arg)
{
	struct front *f = arg;

	if (f->views)
		views_revoke(f->views, key_id);
}

static int start_store(struct front *f, struct error *err)
{
	struct queue_options o = {
		.max_waiting = f->settings.queue_max,
		.attempts = f->settings.attempts,
		.lack_ns = f->settings.image_wait_ns,
		.lease_ns = f->settings.lease_ns,
		.retention_ns = f->settings.retention_ns,
		.max_kept_bytes = f->settings.results_max,
		.cancelled = job_result_cancelled,
	};
	const char *hash = getenv("CUBIT_ADMIN_HASH");
	int r = db_open(&f->loop, FRONT_FD_STATE, &f->db, err);

	text_copy(o.node, sizeof(o.node), f->settings.node);
	if (r == 0)
		r = queue_open(f->db, &o, &f->queue, err);
	if (r == 0) {
		queue_source_init(&f->embedded, f->queue);
		f->sources.all[f->sources.n++] = &f->embedded;
		f->sources.home = &f->embedded;
	}
	if (r == 0)
		r = auth_open(f->db, &f->settings, hash ? hash : "", on_auth_ready, f, &f->auth, err);
	if (r == 0)
		auth_on_revoked(f->auth, on_revoked, f);
	if (r == 0)
		r = job_callbacks_open(&f->callbacks, &f->loop, f->db, &f->settings, &f->sources, err);
	return r;
}

static int start_work(struct front *f, struct error *err)
{
	const struct monitor_handlers handlers = {
		.welcome = on_welcome,
		.adopt = on_adopt,
		.adopted = on_adopted,
		.stopped = on_stopped,
		.reload = on_reload,
		.drain = on_drain,
		.gone = on_monitor_gone,
		.arg = f,
	};
	struct engine_options o = {
		.loop = &f->loop,
		.settings = &f->settings,
		.state_fd = FRONT_FD_STATE,
		.observe = front_metrics_stage,
		.arg = f->metrics,
	};
	int r = monitor_client_new(&f->loop, FRONT_FD_MONITOR, &handlers, &f->monitor, err);

	if (r < 0)
		return r;
	f->pool = pool_new(&f->loop, f->monitor, &f->settings, f->catalog.runtimes);
	o.runtimes = f->catalog.runtimes;
	o.monitor = f->monitor;
	o.pool = f->pool;
	f->engine = engine_new(&o);
	return 0;
}

/* ---- what the rooms are given ---- */

static int submit_here(void *self, const struct queue_job *job, queue_submit_fn *fn, void *arg)
{
	return queue_submit(self, job, fn, arg);
}

static int submit_shared(void *self, const struct queue_job *job, queue_submit_fn *fn, void *arg)
{
	return redis_submit(self, job, fn, arg);
}

static int get_named(void *self, const char *owner, const char *key, queue_get_fn *fn, void *arg)
{
	return queue_get_key(self, owner, key, fn, arg);
}

static void start_able(struct front *f)
{
	f->able_env = (struct able_env){
		.loop = &f->loop,
		.settings = &f->settings,
		.state = &f->state,
		.sources = &f->sources,
		.catalog = &f->catalog,
		.auth = f->auth,
		.pool = f->pool,
		.queue = f->queue,
		.db = f->db,
		.metrics = f->metrics,
		.monitor = f->monitor,
		.state_fd = FRONT_FD_STATE,
	};
	f->able = able_new(&f->able_env);
}

static void start_views(struct front *f)
{
	f->views_env = (struct views_env){
		.loop = &f->loop,
		.engine = f->engine,
		.auth = f->auth,
		.sources = &f->sources,
		.lookup = &f->lookup,
		.has_other_nodes = f->redis != NULL,
	};
	f->views = views_new(&f->views_env);
}

static void start_dispatch(struct front *f)
{
	f->dispatch_env = (struct dispatch_env){
		.loop = &f->loop,
		.settings = &f->settings,
		.state = &f->state,
		.sources = &f->sources,
		.catalog = &f->catalog,
		.auth = f->auth,
		.able = f->able,
		.engine = f->engine,
		.views = f->views,
		.metrics = f->metrics,
		.monitor = f->monitor,
		.lookup = &f->lookup,
		.record = &f->record,
		.callbacks = &f->callbacks,
	};
	f->dispatch = dispatch_new(&f->dispatch_env);
	f->able_env.dispatch = f->dispatch;
}

static void start_rooms(struct front *f)
{
	f->lookup = (struct lookup_env){ .sources = &f->sources, .get_named = get_named, .self = f->queue };
	f->record = (struct record_env){ .loop = &f->loop, .auth = f->auth };
	start_able(f);
	start_views(f);
	start_dispatch(f);
	f->submit = (struct submit_env){
		.settings = &f->settings,
		.state = &f->state,
		.catalog = &f->catalog,
		.auth = f->auth,
		.able = f->able,
		.callbacks = &f->callbacks,
		.metrics = f->metrics,
		.here = { submit_here, f->queue },
		.shared = { f->redis ? submit_shared : NULL, f->redis },
	};
}

/* While what fails with EINVAL is a setting that the table alone could not check. */
static bool is_about_settings = true;

static int start(struct front *f, struct error *err)
{
	enum log_level level = LOG_LEVEL_NOTICE;
	int r = settings_load(&f->settings, err);

	if (r < 0)
		return r;
	is_about_settings = false;
	(void)log_parse_level(f->settings.log_level, &level); /* checked by the settings */
	log_init(STDERR_FILENO, level, strcmp(f->settings.log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	(void)signal(SIGPIPE, SIG_IGN);
	f->state.started_ms = time_now_ms();
	auth_of = find_auth;
	waiting_for = WAIT_MONITOR | WAIT_AUTH | WAIT_POLICIES;
	if (fchdir(FRONT_FD_STATE) < 0) /* the database is opened from here, whatever lies above */
		return error_errno(err, errno, "enter CUBIT_STATE/front");
	r = confine_front(&f->settings, FRONT_FD_STATE, err);
	/*
	 * Not before: libuv 1.45 and later set up an io_uring here when they may, and abort when the filter, which forbids
	 * io_uring altogether, then refuses to enter it. Confined they find none, and use epoll alone.
	 */
	if (r == 0 && uv_loop_init(&f->loop) < 0)
		r = error_set(err, ENOMEM, "cannot make an event loop");
	if (r == 0)
		r = load_runtimes(f, err);
	if (r == 0)
		front_metrics_new(f);
	if (r == 0)
		r = start_store(f, err);
	if (r == 0) {
		is_about_settings = true;
		r = front_redis_start(f, err);
	}
	if (r == 0)
		is_about_settings = false;
	if (r == 0)
		r = start_work(f, err);
	if (r == 0)
		start_rooms(f);
	return r;
}

int front_check(const struct settings *settings, struct error *err)
{
	return redis_check(settings, err);
}

int front_main(const struct http_route *routes, const char *openapi)
{
	struct error e = ERROR_INIT;

	alloc_must(log_no_memory);               /* sandboxes live on, and the next front takes them over */
	json_set_alloc_funcs(alloc_bytes, free); /* NULL of jansson is no UTF-8, never want of memory */
	the_front.routes = routes;
	the_front.openapi = openapi;
	if (start(&the_front, &e) < 0) {
		log_error(LOG_NONE, "front: %s", e.text);
		return is_about_settings && e.code == EINVAL ? FRONT_EXIT_SETTINGS : 1;
	}
	uv_run(&the_front.loop, UV_RUN_DEFAULT);
	return 1; /* never without work: the monitor's socket alone keeps the loop alive */
}
