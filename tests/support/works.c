/* Monitor, pool and engine for tests: see works.h. */
#include "tests/support/works.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/languages/runtime_set.h"
#include "images/store/store.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/monitor/monitor_impl.h"
#include "supervisor/pool/pool.h"
#include "supervisor/spec/spec.h"
#include "tests/support/settings.h"

#define MIB (UINT64_C(1) << 20)

enum { TURN_MS = 20, WAIT_S = 180 };

__attribute__((noreturn, format(printf, 1, 2))) static void bail(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	(void)fflush(stdout);
	exit(1);
}

const char *works_unfit(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (!getenv("CUBIT_TEST_DIR") || !getenv("CUBIT_BUILD"))
		return "needs CUBIT_TEST_DIR and CUBIT_BUILD: start it with tests/run";
	return NULL;
}

/* ---- an image of our own ---- */

static const char *const applets[] = { "sh",    "cat",  "echo", "sleep", "cp", "mkdir", "ln",    "dd",
				       "head",  "kill", "env",  "pwd",   "ls", "true",  "false", "yes",
				       "chmod", "test", "rm",   "stty",  "wc", "touch" };

static void copy_file(const char *from, int dir, const char *to)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = openat(dir, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char chunk[65536];
	ssize_t n;

	while ((n = read(in, chunk, sizeof(chunk))) > 0) {
		if (fd_write_all(out, chunk, (size_t)n, NULL) < 0)
			bail("cannot copy %s", from);
	}
	if (in < 0 || out < 0 || n < 0)
		bail("cannot copy %s: %s", from, strerror(errno));
}

static void fill_layer(int dir)
{
	const char *build = getenv("CUBIT_BUILD");
	char path[600];

	if (mkdirat(dir, "bin", 0755) < 0)
		bail("mkdir: %s", strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/tests/payload", build);
	copy_file(path, dir, "bin/payload");
	copy_file("/bin/busybox", dir, "bin/busybox");
	for (size_t i = 0; i < sizeof(applets) / sizeof(applets[0]); i++) {
		(void)snprintf(path, sizeof(path), "bin/%s", applets[i]);
		if (symlinkat("busybox", dir, path) < 0)
			bail("symlink: %s", strerror(errno));
	}
}

static void make_image(const char *state)
{
	static const char form[] =
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Env\":[\"MADE=by hand\"]},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}";
	struct image_record r = { .name = "localhost/sh:latest", .n_layers = 1 };
	struct store_layer_writer *w = NULL;
	struct error err = ERROR_INIT;
	struct digest diff, blob;
	struct store *s = NULL;
	char root[700], config[400];
	int dir = -1;

	(void)snprintf(root, sizeof(root), "%s/images", state);
	digest_of(state, strlen(state), &diff);
	(void)snprintf(config, sizeof(config), form, diff.text);
	digest_of("a layer as it came", 18, &blob);
	digest_of("the manifest", 12, &r.manifest);
	if (store_open(root, &s, &err) < 0 || store_layer_begin(s, &diff, &w, &dir, &err) < 0)
		bail("store: %s", err.text);
	fill_layer(dir);
	if (store_layer_commit(w, NULL, &err) < 0 || store_blob_put(s, config, strlen(config), &r.config, &err) < 0)
		bail("store: %s", err.text);
	r.blobs = &blob;
	r.diff_ids = &diff;
	if (store_ref_set(s, &r, &err) < 0)
		bail("store: %s", err.text);
	store_close(s);
}

/* "copied": its compiler is cp, its program a script of the shell. */
static const char sh_json[] = "{\"name\":\"sh\",\"image\":\"localhost/"
			      "sh:latest\",\"file\":\"main.sh\",\"version_command\":[\"echo\",\"1.2.3\"],"
			      "\"run\":{\"argv\":[\"sh\",\"{file}\",\"{args...}\"]},"
			      "\"test\":{\"hello\":\"x\",\"stdout\":\"x\",\"endless\":\"x\",\"hog\":\"x\"}}";
static const char copied_json[] = "{\"name\":\"copied\",\"image\":\"localhost/"
				  "sh:latest\",\"file\":\"make.sh\",\"version_command\":[\"echo\",\"4.5\"],"
				  "\"compile\":{\"argv\":[\"sh\",\"{file}\",\"{out}\"],\"env\":{\"STAGE\":\"compile\"},"
				  "\"limits\":{\"memory\":\"96M\"}},"
				  "\"run\":{\"argv\":[\"{out}\",\"{args...}\"],\"env\":{\"STAGE\":\"run\"}},"
				  "\"test\":{\"hello\":\"x\",\"stdout\":\"x\",\"endless\":\"x\",\"hog\":\"x\"}}";

static const char true_json[] = "{\"name\":\"true\",\"image\":\"localhost/"
				"sh:latest\",\"file\":\"nothing\",\"version_command\":[\"echo\",\"1.0\"],"
				"\"run\":{\"argv\":[\"/bin/payload\",\"true\",\"{file}\"]},"
				"\"test\":{\"hello\":\"x\",\"stdout\":\"x\",\"endless\":\"x\",\"hog\":\"x\"}}";

static void write_text(const char *dir, const char *name, const char *text)
{
	cleanup_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd_replace_file(fd, name, text, strlen(text), 0644, NULL) < 0)
		bail("cannot write %s/%s", dir, name);
}

/* ---- settings ---- */

static void make_directory(const char *path)
{
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		bail("mkdir %s: %s", path, strerror(errno));
}

static void make_settings(struct works *w)
{
	struct settings *s = &w->settings;

	test_settings(s, w->dir);
	s->max_memory = 1024 * MIB;
	s->max_processes = 512;
	s->max_disk = 512 * MIB;
	s->slots = 64;
	make_directory(s->run_dir);
	make_directory(s->state_dir);
	make_directory(s->runtimes_dir);
	make_directory(s->policies_dir);
}

void works_open(struct works *w, const char *images)
{
	char path[700];

	*w = (struct works){ .monitor = -1, .control = -1, .state_fd = -1 };
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	(void)snprintf(w->dir, sizeof(w->dir), "%s", getenv("CUBIT_TEST_DIR"));
	make_settings(w);
	if (!images) {
		make_image(w->settings.state_dir);
		write_text(w->settings.runtimes_dir, "sh.json", sh_json);
		write_text(w->settings.runtimes_dir, "copied.json", copied_json);
		write_text(w->settings.runtimes_dir, "true.json", true_json);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/images", w->settings.state_dir);
	if (symlink(images, path) < 0 && errno != EEXIST)
		bail("symlink %s: %s", path, strerror(errno));
}

/* ---- the monitor's process ---- */

static void monitor_process(struct works *w, int control)
{
	struct error err = ERROR_INIT;
	struct monitor *m = NULL;
	char byte = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || monitor_open(&w->settings, &m, &err) < 0) {
		fprintf(stderr, "monitor: %s\n", err.text);
		_exit(1);
	}
	(void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	(void)fd_send(control, &byte, 1, NULL, 0, 0, NULL);
	for (;;) {
		int fd = -1;
		size_t n = 1;
		ssize_t r = fd_recv(control, &byte, 1, &fd, &n, MSG_DONTWAIT, NULL);

		if (r > 0 && n == 1 && monitor_attach_front(m, fd, &err) < 0)
			fprintf(stderr, "monitor: front: %s\n", err.text);
		if (r == 0 || r == -ECONNRESET)
			break;
		if (monitor_turn(m, TURN_MS, &err) < 0) {
			fprintf(stderr, "monitor: %s\n", err.text);
			break;
		}
	}
	monitor_close(m);
	_exit(0);
}

void works_begin(struct works *w)
{
	int pair[2];
	char byte;
	size_t n = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		bail("socketpair: %s", strerror(errno));
	(void)fflush(stdout);
	w->monitor = fork();
	if (w->monitor == 0) {
		(void)close(pair[0]);
		monitor_process(w, pair[1]);
	}
	(void)close(pair[1]);
	w->control = pair[0];
	if (fd_recv(w->control, &byte, 1, NULL, &n, 0, NULL) != 1)
		bail("the monitor does not start");
}

/* ---- the front ---- */

static void on_welcome(const struct monitor_welcome *m, void *arg)
{
	(void)m;
	(void)arg;
}

static void on_adopt(const struct monitor_adopt *m, struct sandbox_fds *fds, void *arg)
{
	struct works *w = arg;

	if (pool_adopt(w->pool, m, fds))
		return;
	if (w->adopt)
		w->adopt(w, m, fds);
}

static void on_adopted(void *arg)
{
	struct works *w = arg;

	w->is_adopted = true;
}

static void on_stopped(const struct monitor_stopped *m, void *arg)
{
	struct works *w = arg;

	if (!pool_stopped(w->pool, m->id))
		(void)engine_stopped(w->engine, m);
}

static void on_other(void *arg)
{
	(void)arg;
}

static void on_monitor_gone(void *arg)
{
	(void)arg;
	bail("the monitor is gone");
}

static bool is_adopted(void *arg)
{
	return ((struct works *)arg)->is_adopted;
}

static const char *const no_dirs[] = { NULL };

void works_front(struct works *w)
{
	const struct monitor_handlers handlers = { on_welcome, on_adopt, on_adopted,      on_stopped,
						   on_other,   on_other, on_monitor_gone, w };
	const char *const dirs[] = { w->settings.runtimes_dir, NULL };
	struct error err = ERROR_INIT;
	struct engine_options o;
	char path[700], byte = 0;
	int pair[2];

	(void)no_dirs;
	(void)snprintf(path, sizeof(path), "%s/front", w->settings.state_dir);
	(void)mkdir(path, 0700);
	w->state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->is_adopted = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || uv_loop_init(&w->loop) < 0 ||
	    w->state_fd < 0)
		bail("front: %s", strerror(errno));
	if (fd_send(w->control, &byte, 1, &pair[1], 1, 0, &err) < 0)
		bail("front: %s", err.text);
	(void)close(pair[1]);
	if (runtime_set_load(dirs, &w->runtimes, &err) < 0 ||
	    monitor_client_new(&w->loop, pair[0], &handlers, &w->client, &err) < 0)
		bail("front: %s", err.text);
	w->pool = pool_new(&w->loop, w->client, &w->settings, w->runtimes);
	o = (struct engine_options){ .loop = &w->loop,
				     .settings = &w->settings,
				     .runtimes = w->runtimes,
				     .monitor = w->client,
				     .pool = w->pool,
				     .state_fd = w->state_fd };
	w->engine = engine_new(&o);
	works_until(w, is_adopted, w);
}

void works_front_close(struct works *w)
{
	engine_free(w->engine);
	pool_drain(w->pool);
	works_sleep(w, 100); /* what was ready is finished */
	monitor_client_free(w->client);
	pool_free(w->pool);
	(void)uv_run(&w->loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 100 && uv_loop_close(&w->loop) < 0; i++)
		(void)uv_run(&w->loop, UV_RUN_ONCE);
	runtime_set_free(w->runtimes);
	fd_close(&w->state_fd);
	w->engine = NULL;
}

void works_close(struct works *w)
{
	int status = 0;

	if (w->engine)
		works_front_close(w);
	fd_close(&w->control);
	if (w->monitor > 0)
		(void)waitpid(w->monitor, &status, 0);
	if (status != 0)
		bail("the monitor ended with %#x", (unsigned)status);
	settings_done(&w->settings);
}

/* ---- the loop ---- */

static void on_wake(uv_timer_t *timer)
{
	(void)timer;
}

static void on_wake_closed(uv_handle_t *handle)
{
	free(handle);
}

static void until(struct works *w, bool (*fn)(void *arg), void *arg, uint64_t ms, bool is_error)
{
	uint64_t deadline = clock_deadline_ns(ms * NS_PER_MS);
	uv_timer_t *wake = calloc(1, sizeof(*wake));

	(void)uv_timer_init(&w->loop, wake);
	(void)uv_timer_start(wake, on_wake, ms < 10 ? ms : 10, 10);
	while (!(fn && fn(arg))) {
		if (clock_now_ns() >= deadline) {
			if (is_error)
				bail("waited for too long");
			break;
		}
		(void)uv_run(&w->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)wake, on_wake_closed);
}

void works_until(struct works *w, bool (*fn)(void *arg), void *arg)
{
	until(w, fn, arg, WAIT_S * 1000, true);
}

void works_sleep(struct works *w, unsigned ms)
{
	until(w, NULL, NULL, ms, false);
}

struct wanted {
	struct works *w;
	unsigned n;
};

static bool is_ready(void *arg)
{
	const struct wanted *want = arg;
	struct pool_counts c;

	pool_counts(want->w->pool, &c);
	return c.ready >= want->n && c.starting == 0;
}

void works_ready(struct works *w, unsigned n)
{
	struct wanted want = { w, n };

	works_until(w, is_ready, &want);
}

/* ---- jobs ---- */

static void on_over(struct job *job, const struct job_result *result, void *arg)
{
	struct works_job *j = arg;
	struct journal *journal = job_journal(job);
	struct journal_event e;

	j->over_ns = clock_now_ns();
	j->is_over = true;
	j->result = job_result_json(result, journal);
	for (uint64_t n = 1; j->events && journal_get(journal, n, &e); n++)
		(void)buf_printf(j->events, "%s:%.*s\n", journal_type_name(e.type), (int)e.size, e.data);
	j->job = NULL;
}

struct job_order works_order(struct works *w, struct works_job *j, const char *id, const char *text)
{
	const struct job_context context = { .settings = &w->settings, .runtimes = w->runtimes };
	struct job_order o = { .id = id, .owner = "tester", .attempt = 1, .over = on_over, .arg = j };
	struct error err = ERROR_INIT;
	char field[160];

	j->works = w;
	if (job_spec_parse(text, strlen(text), &context, &o.spec, field, &err) < 0)
		bail("%s: %s in %s", field, err.text, text);
	return o;
}

void works_start(struct works *w, struct works_job *j, const char *text)
{
	static unsigned n;
	char id[64];
	struct job_order o;
	struct error err = ERROR_INIT;

	(void)snprintf(id, sizeof(id), "job-%d-%u", (int)getpid(), ++n);
	o = works_order(w, j, id, text);
	if (engine_start(w->engine, &o, &j->job, &err) < 0)
		bail("engine_start: %s", err.text);
}

static bool is_over(void *arg)
{
	return ((struct works_job *)arg)->is_over;
}

void works_wait(struct works *w, struct works_job *j)
{
	works_until(w, is_over, j);
}

void works_job_done(struct works_job *j)
{
	json_decref(j->result);
	if (j->events)
		buf_done(j->events);
	*j = (struct works_job){ .works = NULL };
}

json_t *works_run(struct works *w, const char *text)
{
	struct works_job j = { .works = NULL };

	works_start(w, &j, text);
	works_wait(w, &j);
	return j.result;
}
