/*
 * The pool and the engine against a monitor and agents that are none: what stands ready and why, what happens when
 * nothing can be made, and agents that do what no honest one does.
 *
 * # timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/verdict.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/pool/pool_impl.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"
#include "tests/support/fake_monitor.h"
#include "tests/support/settings.h"
#include "tests/tap.h"

#define MIB (UINT64_C(1) << 20)

static uv_loop_t loop;
static struct fake_monitor fake;
static struct monitor_client *client;
static struct runtime_set *runtimes;
static struct pool *pool;
static struct engine *engine;
static struct settings settings;
static char dir[] = "/tmp/cubit-pool.XXXXXX";

/* Every runtime that is built in is replaced by a file that is none, so that only these two are made. */
static const char plain_json[] =
	"{\"name\":\"plain\",\"image\":\"localhost/plain:latest\",\"file\":\"main\",\"version_command\":[\"version\"],"
	"\"run\":{\"argv\":[\"plain\",\"{file}\"]},\"test\":{\"hello\":\"x\",\"stdout\":\"x\",\"endless\":\"x\","
	"\"hog\":\"x\"}}";
static const char waits_json[] =
	"{\"name\":\"waits\",\"image\":\"localhost/plain:latest\",\"file\":\"main\",\"version_command\":[\"version\"],"
	"\"run\":{\"argv\":[\"waits\",\"{file}\",\"{args...}\"]},\"prestart\":{\"argv\":[\"launcher\"]},"
	"\"test\":{\"hello\":\"x\",\"stdout\":\"x\",\"endless\":\"x\",\"hog\":\"x\"}}";
static const char *const built_in[] = { "bash", "c",   "cpp",    "go",           "java", "lua",       "node",
					"perl", "php", "python", "python-numpy", "ruby", "typescript" };

static void write_file(const char *name, const char *text)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char file[64];

	(void)snprintf(file, sizeof(file), "%s.json", name);
	if (fd_replace_file(fd, file, text, strlen(text), 0644, NULL) < 0)
		abort();
	(void)close(fd);
}

/* ---- the loop ---- */

static void on_wake(uv_timer_t *t)
{
	(void)t;
}

static void on_closed(uv_handle_t *h)
{
	free(h);
}

static bool run_until(bool (*fn)(void), unsigned ms)
{
	uint64_t deadline = clock_deadline_ns(ms * NS_PER_MS);
	uv_timer_t *wake = calloc(1, sizeof(*wake));
	bool is = false;

	(void)uv_timer_init(&loop, wake);
	(void)uv_timer_start(wake, on_wake, 5, 5);
	while (!(is = fn && fn()) && clock_now_ns() < deadline)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)wake, on_closed);
	return is;
}

static struct pool_counts counts(void)
{
	struct pool_counts c;

	pool_counts(pool, &c);
	return c;
}

/* One of the plain language; of the other two, in which interpreters wait. */
static bool all_ready(void)
{
	return counts().ready >= 3 && counts().starting == 0;
}

/* ---- a front ---- */

static void on_stopped(const struct monitor_stopped *m, void *arg)
{
	(void)arg;
	if (!pool_stopped(pool, m->id))
		(void)engine_stopped(engine, m);
}

static void on_welcome(const struct monitor_welcome *m, void *arg)
{
	(void)m;
	(void)arg;
}

static void on_adopt(const struct monitor_adopt *m, struct sandbox_fds *fds, void *arg)
{
	(void)m;
	(void)fds;
	(void)arg;
}

static void on_other(void *arg)
{
	(void)arg;
}

static void open_front(void)
{
	static const struct monitor_handlers handlers = { on_welcome, on_adopt, on_other, on_stopped,
							  on_other,   on_other, on_other, NULL };
	const char *const dirs[] = { dir, NULL };
	struct engine_options o;
	struct error err = ERROR_INIT;
	int sock;

	need(uv_loop_init(&loop) == 0, "a loop");
	sock = fake_monitor_open(&fake, &loop);
	need(monitor_client_new(&loop, sock, &handlers, &client, &err) == 0, "a client %s", err.text);
	need(runtime_set_load(dirs, &runtimes, &err) == 0, "runtimes %s", err.text);
	pool = pool_new(&loop, client, &settings, runtimes);
	o = (struct engine_options){ .loop = &loop,
				     .settings = &settings,
				     .runtimes = runtimes,
				     .monitor = client,
				     .pool = pool,
				     .state_fd = -1 };
	engine = engine_new(&o);
}

static void close_front(void)
{
	int r = -1;

	pool_drain(pool);
	(void)run_until(NULL, 20);
	is_int(fake.n_open, 0, "drained: every sandbox is finished");
	engine_free(engine);
	monitor_client_free(client);
	pool_free(pool);
	fake_monitor_close(&fake);
	for (int i = 0; i < 100 && (r = uv_loop_close(&loop)) < 0; i++)
		(void)uv_run(&loop, UV_RUN_ONCE);
	is_int(r, 0, "and nothing is left on the loop");
	runtime_set_free(runtimes);
	fake = (struct fake_monitor){ .sock = -1 };
}

/* ---- taking ---- */

static struct ready_sandbox taken;
static struct error take_error;
static unsigned n_taken, n_refused;

static void on_taken(const struct error *e, struct ready_sandbox *s, void *arg)
{
	(void)arg;
	if (e) {
		take_error = *e;
		n_refused++;
		return;
	}
	taken = *s;
	n_taken++;
}

static bool is_answered(void)
{
	return n_taken + n_refused > 0;
}

static struct pool_wait *take(const char *runtime, uint64_t disk)
{
	struct sandbox_class what;

	n_taken = n_refused = 0;
	pool_class_of(pool, runtime_set_find(runtimes, runtime), &what);
	if (disk)
		what.disk_bytes = disk;
	return pool_take(pool, &what, on_taken, NULL);
}

static void on_finished(const struct error *e, const struct monitor_facts *f, void *arg)
{
	(void)e;
	(void)f;
	(void)arg;
}

static void give_back(void)
{
	(void)monitor_finish_sandbox(client, taken.id, on_finished, NULL);
	ready_sandbox_done(&taken);
}

static bool has_version(void)
{
	return strcmp(pool_runtime_version(pool, runtime_set_find(runtimes, "plain")), "9.8.7") == 0;
}

static bool is_measured(void)
{
	json_t *o = pool_json(pool), *class;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(o, "classes"), i, class) n +=
		json_is_true(json_object_get(class, "measured"));
	json_decref(o);
	return n == 2;
}

static void test_claims(void)
{
	unsigned before;

	open_front();
	ok(run_until(all_ready, 5000), "the default of each runtime stands ready");
	ok(run_until(has_version, 5000), "its version is asked");
	ok(run_until(is_measured, 8000), "and what one costs is measured");
	ok(take("plain", 0) == NULL && n_taken == 1, "a claim of what stands ready is answered at once");
	ok(taken.was_pooled && !taken.is_prestarted && taken.link && strcmp(taken.image_env[0], "MADE=by hand") == 0,
	   "with its link and the environment of its image");
	is_str(taken.version, "9.8.7", "and the version");
	before = fake.n_create;
	ok(run_until(all_ready, 2000) && fake.n_create == before + 1, "another one takes its place");
	give_back();
	ok(take("waits", 0) == NULL && taken.is_prestarted && taken.prestart_fds[0] >= 0 && taken.prestart_fds[2] >= 0,
	   "one with a waiting interpreter has its descriptors");
	give_back();
	ok(take("plain", 8 * MIB) != NULL, "one that is asked for otherwise is made");
	ok(run_until(is_answered, 2000) && n_taken == 1 && !taken.was_pooled, "and handed over");
	give_back();
	pool_forget(take("plain", 9 * MIB));
	(void)run_until(NULL, 100);
	is_int(n_taken, 0, "who has gone is not called");
	close_front();
}

static void test_changes(void)
{
	char id[MONITOR_ID_BYTES];
	unsigned finished;

	open_front();
	ok(run_until(all_ready, 5000), "three stand ready");
	finished = fake.n_finish;
	(void)snprintf(fake.manifest, sizeof(fake.manifest), "sha256:%064d", 2);
	(void)run_until(NULL, 5500);
	(void)take("plain", 0);
	give_back();
	(void)run_until(NULL, 300);
	ok(fake.n_finish >= finished + 2,
	   "another image under the name: what stands ready with the old one is finished");
	ok(run_until(all_ready, 2000), "and made anew");
	(void)take("plain", 0);
	ok(strcmp(taken.manifest, fake.manifest) == 0, "of the new one");
	give_back();
	(void)snprintf(fake.policy_digest, sizeof(fake.policy_digest), "sha256:%064d", 8);
	pool_flush(pool, runtimes);
	is_int(counts().ready, 0, "a flush leaves none");
	ok(run_until(all_ready, 3000), "and others come");
	(void)take("plain", 0);
	is_str(taken.policy_digest, fake.policy_digest, "with the policy of now");
	give_back();
	(void)run_until(all_ready, 2000);
	finished = fake.n_finish;
	for (struct fake_agent *a = fake.agents; a; a = a->next) {
		if (!a->is_finished)
			memcpy(id, a->id, sizeof(id));
	}
	fake_monitor_stopped(&fake, id, STOP_NONE);
	(void)run_until(NULL, 50);
	ok(fake.n_finish == finished + 1 && run_until(all_ready, 2000), "one that dies is replaced");
	close_front();
}

/* ---- interpreters only when there is time for them ---- */

static void test_quiet(void)
{
	static const struct {
		unsigned claimed;
		uint64_t used_ms, ended_ms, now_ms;
		bool is_quiet;
		const char *what;
	} rows[] = {
		{ 0, 1000, 0, 1000, true, "nobody has claimed one yet" },
		{ 1, 1000, 0, 1001, false, "one was just claimed" },
		{ 1, 1000, 0, 1099, false, "and runs" },
		{ 1, 1000, 0, 1100, true, "it runs for long" },
		{ 0, 1000, 1020, 1029, false, "it has just ended" },
		{ 0, 1000, 1020, 1030, true, "nothing has come since" },
		{ 1, 1020, 1019, 1032, false, "the next one came at once" },
		{ 0, 1000, 5000, 5001, true, "a long one ended" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pool_class c = { .n_claimed = rows[i].claimed,
					      .used_ns = rows[i].used_ms * NS_PER_MS,
					      .ended_ns = rows[i].ended_ms * NS_PER_MS };

		is_int(pool_class_is_quiet(&c, rows[i].now_ms * NS_PER_MS), rows[i].is_quiet, "%s", rows[i].what);
	}
}

static void test_back_to_back(void)
{
	unsigned n_answered = 0, n_warm = 0;

	open_front();
	ok(run_until(all_ready, 5000), "three stand ready");
	for (int i = 0; i < 20; i++) {
		if (take("waits", 0))
			(void)run_until(is_answered, 2000);
		n_answered += n_taken;
		n_warm += taken.is_prestarted;
		give_back();
	}
	is_int(n_answered, 20, "claims without a pause are answered");
	diag("%u of them by a waiting interpreter", n_warm);
	ok(n_warm >= 2, "by the interpreters that waited, first");
	ok(run_until(all_ready, 5000), "and when it is quiet there are interpreters again");
	ok(take("waits", 0) == NULL && taken.is_prestarted, "for the next claim");
	give_back();
	close_front();
}

static unsigned n_well, n_bad, n_proved;
static struct error outcome_error, proof_error;

static void on_outcome(const struct error *e, void *arg)
{
	(void)arg;
	if (e)
		outcome_error = *e;
	n_bad += e != NULL;
	n_well += e == NULL;
}

static void on_proved(const struct error *e, void *arg)
{
	(void)arg;
	n_proved++;
	proof_error = e ? *e : (struct error)ERROR_INIT;
}

static bool is_proved(void)
{
	return n_proved > 0;
}

static bool prove(void)
{
	n_proved = 0;
	return pool_prove(pool, on_proved, NULL, NULL) == 0;
}

/* What became of sandboxes is told, and one can be made to see whether it can be done. */
static void test_outcomes(void)
{
	const struct runtime_def *plain;
	struct error err = ERROR_INIT;
	unsigned made;

	open_front();
	plain = runtime_set_find(runtimes, "plain");
	pool_on_outcome(pool, on_outcome, NULL);
	is_int(pool_runtime_image(pool, plain), POOL_IMAGE_UNKNOWN, "at first nobody knows which images there are");
	ok(!pool_has_no_image(pool), "that is not to say that there is none");
	is_int(pool_prove(pool, on_proved, NULL, &err), -ENOMEDIUM, "without an image nothing can be proved");
	ok(run_until(all_ready, 3000), "two classes get ready");
	is_int(pool_runtime_image(pool, plain), POOL_IMAGE_THERE, "the image is there");
	ok(n_well >= 2 && n_bad == 0, "both were told of (%u made, %u failed)", n_well, n_bad);
	made = n_well;
	ok(prove(), "a proof is begun");
	is_int(pool_prove(pool, on_proved, NULL, &err), -EBUSY, "one at a time");
	ok(run_until(is_proved, 2000) && proof_error.code == 0, "it succeeds");
	is_int(n_well, made, "and is not told of as somebody's sandbox");
	(void)run_until(NULL, 50);
	is_int(counts().ready, 3, "nor kept");
	fake.create_error = EPERM;
	ok(prove() && run_until(is_proved, 2000) && proof_error.code == EPERM, "one that fails says why");
	is_int(n_bad, 0, "nobody else has failed");
	ok(take("plain", 1 << 20) != NULL && run_until(is_answered, 2000) && n_bad == 1 && outcome_error.code == EPERM,
	   "a sandbox that somebody wants and does not get is told of");
	fake.create_error = ENOMEDIUM;
	ok(take("plain", 2 << 20) != NULL && run_until(is_answered, 2000) && take_error.code == ENOMEDIUM && n_bad == 1,
	   "not for want of its image");
	fake.manifest[0] = '\0';
	(void)take("plain", 3 << 20);
	(void)run_until(NULL, 200);
	is_int(pool_runtime_image(pool, plain), POOL_IMAGE_MISSING,
	       "which is looked up again at once, and is not there");
	ok(pool_has_no_image(pool), "no image is");
	fake.create_error = 0;
	close_front();
}

static void test_failures(void)
{
	fake.manifest[0] = '\0';
	open_front();
	fake.manifest[0] = '\0';
	pool_flush(pool, runtimes);
	ok(take("plain", 0) != NULL && run_until(is_answered, 2000) && n_refused == 1 && take_error.code == ENOMEDIUM,
	   "an image that is not there: %s", take_error.text);
	(void)run_until(NULL, 1500);
	ok(fake.n_resolve < 12, "and it is not asked for all the time (%u)", fake.n_resolve);
	(void)snprintf(fake.manifest, sizeof(fake.manifest), "sha256:%064d", 3);
	fake.create_error = ENOSPC;
	ok(take("plain", 0) != NULL && run_until(is_answered, 2000) && n_refused == 1 && take_error.code == ENOSPC,
	   "a sandbox that cannot be made is told to who waits");
	(void)run_until(NULL, 1500);
	ok(fake.n_create < 20, "and not tried all the time (%u)", fake.n_create);
	fake.create_error = 0;
	fake.is_unrestricted = true;
	ok(take("plain", 0) != NULL && run_until(is_answered, 2000) && n_refused == 1,
	   "one whose filter is not in place is never handed out: %s", take_error.text);
	fake.is_unrestricted = false;
	close_front();
}

/* A monitor that ends up in every state while things are in the making. */
static void test_ends_early(void)
{
	for (unsigned ms = 0; ms < 60; ms += 4) {
		open_front();
		(void)run_until(NULL, 48 + ms / 4);
		engine_free(engine);
		monitor_client_free(client);
		pool_free(pool);
		fake_monitor_close(&fake);
		for (int i = 0; i < 100 && uv_loop_close(&loop) < 0; i++)
			(void)uv_run(&loop, UV_RUN_ONCE);
		runtime_set_free(runtimes);
		fake = (struct fake_monitor){ .sock = -1 };
	}
	ok(true, "a front may end at any time");
}

/* ---- hostile agents ---- */

static const char *over_status;
static char over_reason[200];
static enum job_trouble over_trouble;

static void on_over(struct job *job, const struct job_result *r, void *arg)
{
	(void)arg;
	over_trouble = job_trouble(job);
	over_status = verdict_name(r->verdict.status);
	(void)snprintf(over_reason, sizeof(over_reason), "%s", r->verdict.reason);
}

static bool is_over(void)
{
	return over_status != NULL;
}

static void run_job(const char *text)
{
	const struct job_context context = { .settings = &settings, .runtimes = runtimes };
	struct job_order o = { .id = "a-job", .owner = "tester", .attempt = 1, .over = on_over };
	struct error err = ERROR_INIT;
	struct job *job = NULL;

	over_status = NULL;
	if (job_spec_parse(text, strlen(text), &context, &o.spec, NULL, &err) < 0 ||
	    engine_start(engine, &o, &job, &err) < 0) {
		diag("%s", err.text);
		abort();
	}
	(void)run_until(is_over, 5000);
}

/* Whoever leases jobs asks it whether an attempt counts: a job of cases says what a job without says. */
static void test_cases(void)
{
	static const char *const jobs[] = {
		"{\"runtime\":\"plain\",\"source\":\"x\"}",
		"{\"runtime\":\"plain\",\"source\":\"x\",\"cases\":[{},{}]}",
	};

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		open_front();
		fake.create_error = ENOSPC;
		run_job(jobs[i]);
		is_str(over_status, "internal_error", "a sandbox that cannot be made: %s", jobs[i]);
		is_int(over_trouble, JOB_TROUBLE_SANDBOX, "is what kept it from starting");
		close_front();
		open_front();
		fake.manifest[0] = '\0';
		run_job(jobs[i]);
		is_int(over_trouble, JOB_TROUBLE_IMAGE, "and so is an image that is not there: %s", over_reason);
		close_front();
	}
}

enum trick {
	TRICK_NONE,
	FILE_DONE_TWICE,
	FILE_ANSWERED_BY_DONE,
	FILE_WITHOUT_PIPE,
	FILE_GONE,
	START_WITHOUT_FDS,
	START_TOO_MANY_FDS,
	START_OTHER_NUMBER,
	START_EXITED_AT_ONCE,
	START_EXITED_TWICE,
	START_READY,
	START_FAILED,
	START_STRANGE_REFUSAL,
	START_GONE,
	WALK_NOT_RECORDS,
	WALK_WAY_OUT,
	TRICKS,
};

static enum trick trick;

static void start_with(struct fake_agent *a, uint32_t seq, size_t n)
{
	struct agent_started s = { .at_ns = UINT64_MAX };
	int fds[8] = { -1 };

	for (size_t i = 0; i < n; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fake_agent_say(a, AGENT_STARTED, seq, &s, fds, n);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
}

static bool walk_with(struct fake_agent *a, uint32_t seq, const char *path)
{
	static struct agent_file_record r;
	static uint8_t bytes[sizeof(r) + 64];
	struct agent_file_done done = { .code = 0 };
	size_t size = 64;
	int p[2];

	memset(bytes, 0xff, sizeof(bytes));
	if (path) {
		r = (struct agent_file_record){ .type = 'f', .mode = 0644 };
		(void)snprintf(r.path, sizeof(r.path), "%s", path);
		size = agent_record_encode(bytes, sizeof(bytes), &r);
	}
	if (pipe2(p, O_CLOEXEC) < 0 || write(p[1], bytes, size) < 0)
		abort();
	fake_agent_say(a, AGENT_FILE_OPEN, seq, NULL, &p[0], 1);
	(void)close(p[0]);
	(void)close(p[1]);
	fake_agent_say(a, AGENT_FILE_DONE, seq, &done, NULL, 0);
	return true;
}

static bool play(struct fake_agent *a, const struct frame_header *h, const union agent_any *m)
{
	struct agent_file_done done = { .code = 0 };
	struct agent_exited exited = { .at_ns = UINT64_MAX };
	struct agent_failed failed = { .stage = 9999, .code = UINT32_MAX, .object = "x" };
	struct agent_ready ready = { .is_probe = 1 };
	bool is_file = h->type == AGENT_DELIVER, is_start = h->type == AGENT_START;

	if (h->type == AGENT_FILE && m->file.op == AGENT_FILE_WALK)
		return trick == WALK_NOT_RECORDS ? walk_with(a, h->seq, NULL)
		       : trick == WALK_WAY_OUT   ? walk_with(a, h->seq, "../../etc/passwd")
						 : false;
	if (is_start && strcmp(m->start.argv.data, "plain") != 0)
		return false;
	switch (trick) {
	case FILE_DONE_TWICE:
		if (is_file)
			fake_agent_say(a, AGENT_FILE_DONE, h->seq, &done, NULL, 0);
		if (is_file)
			fake_agent_say(a, AGENT_FILE_DONE, h->seq, &done, NULL, 0);
		return is_file;
	case FILE_ANSWERED_BY_DONE:
		if (is_file)
			fake_agent_say(a, AGENT_DONE, h->seq, NULL, NULL, 0);
		return is_file;
	case FILE_WITHOUT_PIPE:
		if (is_file)
			fake_agent_say(a, AGENT_FILE_OPEN, h->seq, NULL, NULL, 0);
		return is_file;
	case FILE_GONE:
		if (is_file)
			fake_agent_gone(a);
		return is_file;
	case START_WITHOUT_FDS:
	case START_TOO_MANY_FDS:
		if (is_start)
			start_with(a, h->seq, trick == START_WITHOUT_FDS ? 0 : 7);
		return is_start;
	case START_OTHER_NUMBER:
		if (is_start)
			start_with(a, h->seq + 1, 2);
		return is_start;
	case START_EXITED_AT_ONCE:
		if (is_start)
			fake_agent_say(a, AGENT_EXITED, h->seq, &exited, NULL, 0);
		return is_start;
	case START_EXITED_TWICE:
		if (is_start) {
			start_with(a, h->seq, 2);
			start_with(a, h->seq, 2);
		}
		return is_start;
	case START_READY:
		if (is_start)
			fake_agent_say(a, AGENT_READY, h->seq, &ready, NULL, 0);
		return is_start;
	case START_FAILED:
	case START_STRANGE_REFUSAL:
		if (is_start)
			fake_agent_say(a, trick == START_FAILED ? AGENT_FAILED : AGENT_REFUSED, h->seq, &failed, NULL,
				       0);
		return is_start;
	case START_GONE:
		if (is_start)
			fake_agent_gone(a);
		return is_start;
	default:
		return false;
	}
}

static unsigned n_written;

/* The image has a file there, or a link on the way. */
static bool be_in_the_way(struct fake_agent *a, const struct frame_header *h, const union agent_any *m)
{
	struct agent_file_done done = { .code = h->seq % 2 ? EEXIST : ELOOP };

	n_written += h->type == AGENT_FILE && m->file.op == AGENT_FILE_WRITE;
	if (h->type == AGENT_DELIVER)
		fake_agent_say(a, AGENT_FILE_DONE, h->seq, &done, NULL, 0);
	return h->type == AGENT_DELIVER;
}

static void test_in_the_way(void)
{
	open_front();
	(void)run_until(all_ready, 5000);
	fake.hook = be_in_the_way;
	run_job("{\"runtime\":\"plain\",\"files\":[{\"path\":\"a\",\"content\":\"x\"},{\"path\":\"b\",\"content\":"
		"\"y\"}]}");
	is_str(over_status ? over_status : "", "ok", "files that cannot be delivered are written");
	is_int(n_written, 2, "each of them");
	fake.hook = NULL;
	close_front();
}

static void test_hostile(void)
{
	open_front();
	(void)run_until(all_ready, 5000);
	run_job("{\"runtime\":\"plain\",\"source\":\"x\"}");
	is_str(over_status ? over_status : "", "ok", "an honest agent");
	ok(strncmp(fake.tag, "j1 a-job 1 0 ", 13) == 0, "the sandbox has the tag of the job");
	ok(engine_tag_read("j1 a-job 1 0 4 5 1 2 3 4 5", 26, &(enum queue_space){ 0 }, (char[65]){ 0 },
			   &(unsigned){ 0 }, &(bool){ 0 }) &&
		   !engine_tag_read("j1 a-job 1 0 4 5 1 2 3 4 5x", 27, &(enum queue_space){ 0 }, (char[65]){ 0 },
				    &(unsigned){ 0 }, &(bool){ 0 }) &&
		   !engine_tag_read("j1 ../a 1 0 4 5 1 2 3 4 5", 25, &(enum queue_space){ 0 }, (char[65]){ 0 },
				    &(unsigned){ 0 }, &(bool){ 0 }) &&
		   !engine_tag_read("p", 1, &(enum queue_space){ 0 }, (char[65]){ 0 }, &(unsigned){ 0 }, &(bool){ 0 }),
	   "tags are read strictly");
	ok(engine_tag_read("j1 a-job 1 0 4 5 1 2 3 4 5 3.11.2", 33, &(enum queue_space){ 0 }, (char[65]){ 0 },
			   &(unsigned){ 0 }, &(bool){ 0 }) &&
		   !engine_tag_read("j1 a-job 1 0 4 5 1 2 3 4 5 3.11.2 x", 35, &(enum queue_space){ 0 },
				    (char[65]){ 0 }, &(unsigned){ 0 }, &(bool){ 0 }) &&
		   !engine_tag_read("j1 a-job 1 0 4 5 1 2 3 4 5 ", 27, &(enum queue_space){ 0 }, (char[65]){ 0 },
				    &(unsigned){ 0 }, &(bool){ 0 }),
	   "with the version of the language, one word, or without");
	fake.hook = play;
	for (trick = FILE_DONE_TWICE; trick < TRICKS; trick++) {
		unsigned finished = fake.n_finish;
		bool is_walk = trick >= WALK_NOT_RECORDS;

		(void)run_until(all_ready, 3000);
		run_job(is_walk ? "{\"runtime\":\"plain\",\"source\":\"x\",\"outputs\":[\"**\"]}"
				: "{\"runtime\":\"plain\",\"source\":\"x\"}");
		ok(over_status && strcmp(over_status, is_walk ? "ok" : "internal_error") == 0 &&
			   fake.n_finish > finished,
		   "trick %d: %s, %s; the sandbox is ended", (int)trick, over_status ? over_status : "nothing",
		   over_reason);
	}
	fake.hook = NULL;
	fake.facts.oom_kills = 1;
	trick = FILE_GONE;
	fake.hook = play;
	(void)run_until(all_ready, 3000);
	run_job("{\"runtime\":\"plain\",\"source\":\"x\"}");
	is_str(over_status ? over_status : "", "memory_limit",
	       "one that died of memory before it ran: the facts say so");
	fake.hook = NULL;
	close_front();
}

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	need(mkdtemp(dir) != NULL, "a directory");
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		write_file(built_in[i], "no runtime");
	write_file("plain", plain_json);
	write_file("waits", waits_json);
	test_settings(&settings, dir);
	test_claims();
	test_changes();
	test_quiet();
	test_back_to_back();
	test_outcomes();
	test_failures();
	test_in_the_way();
	test_hostile();
	test_ends_early();
	test_cases();
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]) + 2; i++) {
		const char *name = i < 12 ? built_in[i] : i == 12 ? "plain" : "waits";
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%s.json", dir, name);
		(void)unlink(path);
	}
	(void)rmdir(dir);
	return done_testing();
}
