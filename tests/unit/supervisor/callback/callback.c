/*
 * Callbacks against a receiver on loopback: signed, tried again, kept over a restart, given up; never to an address
 * that is not allowed, never after a redirect, and no secret in the log. # timeout: 60
 */
#include "supervisor/callback/callback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/callback/callback_impl.h"
#include "supervisor/callback/delivery.h"
#include "supervisor/queue/db.h"
#include "supervisor/settings.h"
#include "tests/tap.h"

enum { REQUESTS_MAX = 64 };

#define SECRET "s3cr3t-of-the-callback"
#define TOKEN  "t0ken-in-the-url"

/* ---- the receiver: a thread; what a path does is in its first word ---- */

struct request {
	char path[128], head[2048], body[4096];
};

static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	int listener;
	unsigned port;
	struct request requests[REQUESTS_MAX];
	size_t n;
	int fail; /* answer the next requests to /flaky with this many failures */
} receiver = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void answer(int fd, const struct request *r)
{
	const char *text = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
	char line[256];

	if (strncmp(r->path, "/flaky", 6) == 0 && receiver.fail > 0) {
		receiver.fail--;
		text = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	} else if (strncmp(r->path, "/later", 6) == 0 && receiver.fail > 0) {
		receiver.fail--;
		text = "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	} else if (strncmp(r->path, "/broken", 7) == 0) {
		text = "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	} else if (strncmp(r->path, "/gone", 5) == 0) {
		text = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	} else if (strncmp(r->path, "/cut", 4) == 0) {
		text = "";
	} else if (strncmp(r->path, "/redirect", 9) == 0) {
		(void)snprintf(line, sizeof(line),
			       "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%u/target\r\nContent-Length: 0\r\n"
			       "Connection: close\r\n\r\n",
			       receiver.port);
		text = line;
	} else if (strncmp(r->path, "/endless", 8) == 0) {
		text = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	}
	(void)!write(fd, text, strlen(text));
	if (strncmp(r->path, "/endless", 8) == 0) {
		static const char block[4096];

		while (write(fd, block, sizeof(block)) > 0)
			;
	}
}

static bool read_request(int fd, struct request *ret)
{
	static char text[65536];
	size_t n = 0, length = 0;
	char *end = NULL;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		const char *field;

		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
		field = end ? strstr(text, "Content-Length: ") : NULL;
		if (field)
			length = strtoul(field + 16, NULL, 10);
		if (end && n >= (size_t)(end + 4 - text) + length)
			break;
	}
	(void)sscanf(text, "POST %127s", ret->path);
	(void)snprintf(ret->head, sizeof(ret->head), "%.*s\r\n", (int)(end - text), text);
	(void)snprintf(ret->body, sizeof(ret->body), "%s", end + 4);
	return true;
}

static void *receive(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept4(receiver.listener, NULL, NULL, SOCK_CLOEXEC);
		struct request r;

		if (fd < 0)
			return NULL;
		if (read_request(fd, &r)) {
			pthread_mutex_lock(&receiver.lock);
			if (receiver.n < REQUESTS_MAX)
				receiver.requests[receiver.n++] = r;
			answer(fd, &r);
			pthread_mutex_unlock(&receiver.lock);
		}
		close(fd);
	}
}

static void start_receiver(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);

	receiver.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(bind(receiver.listener, (struct sockaddr *)&a, size) == 0 && listen(receiver.listener, 64) == 0 &&
		     getsockname(receiver.listener, (struct sockaddr *)&a, &size) == 0 &&
		     pthread_create(&receiver.thread, NULL, receive, NULL) == 0,
	     "a receiver listens on loopback");
	receiver.port = ntohs(a.sin_port);
}

/* How many requests to a path; the last one of them in ret. */
static size_t received(const char *path, struct request *ret)
{
	size_t n = 0;

	pthread_mutex_lock(&receiver.lock);
	for (size_t i = 0; i < receiver.n; i++) {
		if (strcmp(receiver.requests[i].path, path) != 0)
			continue;
		n++;
		if (ret)
			*ret = receiver.requests[i];
	}
	pthread_mutex_unlock(&receiver.lock);
	return n;
}

static void set_fail(int n)
{
	pthread_mutex_lock(&receiver.lock);
	receiver.fail = n;
	pthread_mutex_unlock(&receiver.lock);
}

/* ---- the front ---- */

static uv_loop_t loop;
static struct db *db;
static struct callbacks *callbacks;
static int dir_fd, log_fd;
static bool is_over = true; /* what the result function says */
static bool is_silent;      /* it does not answer */
static bool is_later;       /* it answers from the loop, as a database does */
static char last_asked[64];
static const char *late_result; /* of this job: given while the callbacks close */

static void on_later(uv_timer_t *t)
{
	char json[128];

	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"status\":\"ok\"}", (char *)t->data);
	if (callbacks) /* an answer can come after they were closed */
		callbacks_result(callbacks, t->data, json);
	free(t->data);
	uv_close((uv_handle_t *)t, (uv_close_cb)free);
}

static void on_result(struct callbacks *c, const char *job_id, void *arg)
{
	char json[128];

	(void)arg;
	(void)snprintf(last_asked, sizeof(last_asked), "%s", job_id);
	if (is_silent)
		return;
	if (is_over && is_later) {
		uv_timer_t *t = calloc(1, sizeof(*t));

		uv_timer_init(&loop, t);
		t->data = strdup(job_id);
		uv_timer_start(t, on_later, 20, 0);
		return;
	}
	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"status\":\"ok\"}", job_id);
	callbacks_result(c, job_id, is_over ? json : NULL);
}

static const struct callback_times quick = { .first_ms = 20, .most_ms = 100, .most_asked_ms = 2000, .tries = 5 };

static void up(const char *networks)
{
	struct settings settings = { .callback_networks = (char *)(uintptr_t)networks };
	struct error err = ERROR_INIT;

	if (db_open(&loop, dir_fd, &db, &err) < 0 ||
	    callbacks_open(&loop, db, &settings, on_result, NULL, &callbacks, &err) < 0)
		need(false, "the front starts: %s", err.text);
	callbacks_set_times(callbacks, &quick);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void tick(uv_timer_t *t)
{
	(void)t;
}

/* Turn the loop until *flag, or the condition, or a time-out. */
static bool turn_until(bool (*is_met)(void *arg), void *arg)
{
	uint64_t deadline = clock_now_ns() + 15 * NS_PER_S;
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, tick, 5, 5);
	while (!is_met(arg) && clock_now_ns() < deadline)
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	return is_met(arg);
}

static bool is_set(void *arg)
{
	return *(bool *)arg;
}

static void on_callbacks_closed(void *arg)
{
	callbacks = NULL;
	set_true(arg);
}

static void down(void)
{
	bool is_closed = false, is_db_closed = false;

	callbacks_close(callbacks, on_callbacks_closed, &is_closed);
	if (late_result)
		callbacks_result(callbacks, late_result, "{\"id\":\"too late\"}");
	late_result = NULL;
	if (!turn_until(is_set, &is_closed))
		need(false, "the callbacks close");
	db_close(db, set_true, &is_db_closed);
	if (!turn_until(is_set, &is_db_closed))
		need(false, "the database closes");
	db = NULL;
}

static bool are_counts(void *arg)
{
	const struct callbacks_counts *want = arg;
	struct callbacks_counts c;

	callbacks_counts(callbacks, &c);
	return c.delivered >= want->delivered && c.failed >= want->failed && c.given_up >= want->given_up &&
	       (want->waiting == 0 ? c.waiting == 0 : true);
}

static bool wait_counts(uint64_t delivered, uint64_t failed, uint64_t given_up)
{
	return turn_until(are_counts, &(struct callbacks_counts){ 0, 0, delivered, failed, given_up });
}

struct armed {
	bool is_done;
	int code;
};

static void on_armed(const struct error *e, void *arg)
{
	*(struct armed *)arg = (struct armed){ .is_done = true, .code = e ? e->code : 0 };
}

/* path: of the receiver; or another host with its port. */
static int arm(const char *id, const char *path, const char *secret)
{
	struct armed a = { .is_done = false };
	char url[256];
	int r;

	if (path[0] == '/')
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", receiver.port, path);
	else
		(void)snprintf(url, sizeof(url), "http://%s:%u/refused", path, receiver.port);
	r = callbacks_arm(callbacks, id, url, secret, on_armed, &a);
	if (r < 0)
		return r;
	return turn_until(is_set, &a.is_done) ? -a.code : -ETIMEDOUT;
}

static bool header(const struct request *r, const char *name, char ret[256])
{
	char start[64];
	const char *at;

	(void)snprintf(start, sizeof(start), "\r\n%s: ", name);
	at = strstr(r->head, start);
	ret[0] = '\0';
	if (at)
		(void)snprintf(ret, 256, "%.*s", (int)strcspn(at + strlen(start), "\r"), at + strlen(start));
	return at != NULL;
}

/* ---- tests ---- */

static void test_signed(void)
{
	struct request r = { .path = "" };
	char value[256], timestamp[256], want[68];
	struct callbacks_counts c;

	is_int(arm("job-1", "/ok?key=" TOKEN, SECRET), 0, "a callback is armed, durably");
	callbacks_counts(callbacks, &c);
	ok(c.armed == 1 && c.waiting == 0, "and waits for its job");
	is_int(arm("job-1", "/ok", SECRET), -EEXIST, "a job has one");
	callbacks_fire(callbacks, "job-unknown");
	ok(received("/ok?key=" TOKEN, NULL) == 0, "nothing is sent before the job is over");
	callbacks_fire(callbacks, "job-1");
	ok(wait_counts(1, 0, 0), "when the job is over, it is delivered");
	is_int(received("/ok?key=" TOKEN, &r), 1, "once");
	is_str(r.body, "{\"id\":\"job-1\",\"status\":\"ok\"}", "with the result as it is");
	ok(header(&r, "Content-Type", value) && strcmp(value, "application/json") == 0, "as JSON");
	ok(header(&r, "Cubit-Job", value) && strcmp(value, "job-1") == 0, "with the job's id");
	ok(header(&r, "Cubit-Attempt", value) && strcmp(value, "1") == 0, "and the attempt");
	ok(header(&r, "Cubit-Timestamp", timestamp) && llabs(strtoll(timestamp, NULL, 10) - (long long)time(NULL)) < 30,
	   "the timestamp is now");
	(void)delivery_sign(SECRET, timestamp, r.body, strlen(r.body), want);
	ok(header(&r, "Cubit-Signature", value) && strcmp(value, want) == 0,
	   "the signature is that of timestamp and body");
	is_int(arm("job-2", "/ok2", NULL), 0, "a callback without a secret is armed");
	callbacks_fire(callbacks, "job-2");
	ok(wait_counts(2, 0, 0) && received("/ok2", &r) == 1, "and delivered");
	ok(!header(&r, "Cubit-Signature", value), "without a signature");
	callbacks_counts(callbacks, &c);
	ok(c.armed == 0 && c.waiting == 0, "nothing is left of either");
}

static void test_retry(void)
{
	struct request r = { .path = "" };
	uint64_t began;
	char value[256];

	set_fail(2);
	is_int(arm("job-3", "/flaky", SECRET), 0, "armed for a receiver that fails twice");
	callbacks_fire(callbacks, "job-3");
	ok(wait_counts(3, 2, 0), "it is delivered in the end");
	is_int(received("/flaky", &r), 3, "by the third try");
	ok(header(&r, "Cubit-Attempt", value) && strcmp(value, "3") == 0, "which says so");

	set_fail(1);
	is_int(arm("job-4", "/later", SECRET), 0, "armed for a receiver that asks for a second");
	callbacks_fire(callbacks, "job-4");
	began = clock_now_ns();
	ok(wait_counts(4, 3, 0), "it is delivered");
	ok(clock_now_ns() - began >= 900 * NS_PER_MS, "not before that second has passed");

	is_int(arm("job-5", "/broken", SECRET), 0, "armed for a receiver that is broken");
	is_int(arm("job-6", "/cut", SECRET), 0, "and for one that hangs up");
	callbacks_fire(callbacks, "job-5");
	callbacks_fire(callbacks, "job-6");
	ok(wait_counts(4, 3 + 5 + 5, 2), "both are given up after the maximum");
	is_int(received("/broken", NULL), 5, "which was tried, and no more");
	is_int(arm("job-7", "/gone", SECRET), 0, "armed for a receiver that is gone");
	callbacks_fire(callbacks, "job-7");
	ok(wait_counts(4, 14, 3) && received("/gone", NULL) == 1, "410 ends it at once");
	is_int(arm("job-8", "/endless", SECRET), 0, "armed for a receiver with an endless answer");
	callbacks_fire(callbacks, "job-8");
	ok(wait_counts(5, 14, 3) && received("/endless", NULL) == 1, "which counts as delivered, and is cut");
	is_int(arm("job-9", "/redirect", SECRET), 0, "armed for a receiver that redirects");
	callbacks_fire(callbacks, "job-9");
	ok(wait_counts(5, 15, 4), "a redirect ends it");
	is_int(received("/target", NULL), 0, "and is not followed");
}

static void test_disarm(void)
{
	struct callbacks_counts c;

	is_int(arm("job-10", "/disarmed", SECRET), 0, "armed for a job that is not accepted");
	callbacks_disarm(callbacks, "job-10");
	callbacks_fire(callbacks, "job-10");
	ok(wait_counts(5, 15, 4), "disarmed, it goes away");
	callbacks_counts(callbacks, &c);
	ok(c.armed == 0 && received("/disarmed", NULL) == 0, "and is not made");

	is_silent = true;
	is_int(arm("job-11", "/ended-meanwhile", SECRET), 0, "armed for a job whose result takes a while to be read");
	callbacks_fire(callbacks, "job-11");
	(void)turn_until(are_counts, &(struct callbacks_counts){ .delivered = 5, .waiting = 1 });
	while (strcmp(last_asked, "job-11") != 0)
		uv_run(&loop, UV_RUN_ONCE);
	is_silent = false;
	callbacks_result(callbacks, "job-11", NULL);
	ok(wait_counts(5, 15, 5) && received("/ended-meanwhile", NULL) == 0, "a result that is gone ends it");
}

static bool is_armed(void *arg)
{
	struct callbacks_counts c;

	callbacks_counts(callbacks, &c);
	return c.armed == *(size_t *)arg && c.waiting == 0;
}

static bool wait_armed(size_t n)
{
	return turn_until(is_armed, &n);
}

static void test_restart(void)
{
	struct request r = { .path = "" };
	char value[256];
	uint64_t began;

	is_later = true;
	set_fail(1);
	callbacks_set_times(callbacks, &(struct callback_times){ 1500, 1500, 1500, 5 });
	is_int(arm("job-20", "/flaky?20", SECRET), 0, "armed; the receiver fails");
	is_int(arm("job-21", "/ok?21", SECRET), 0, "armed; its job ends while nobody is there");
	is_int(arm("job-22", "/ok?22", SECRET), 0, "armed; the front dies while its result is read");
	callbacks_fire(callbacks, "job-20");
	began = clock_now_ns();
	ok(turn_until(are_counts, &(struct callbacks_counts){ .delivered = 5, .failed = 16, .waiting = 1 }),
	   "a try fails");
	is_silent = true;
	callbacks_fire(callbacks, "job-22");
	while (strcmp(last_asked, "job-22") != 0)
		uv_run(&loop, UV_RUN_ONCE);
	late_result = "job-22"; /* the one of this life comes too late to be sent */
	down();
	is_silent = false;
	is_over = false;
	up("127.0.0.0/8");
	(void)turn_until(are_counts, &(struct callbacks_counts){ .waiting = 1 });
	down();
	is_over = true;
	up("127.0.0.0/8");
	ok(wait_counts(3, 0, 0), "after restarts all are delivered");
	is_int(received("/ok?21", NULL), 1, "the one whose job ended meanwhile");
	is_int(received("/ok?22", NULL), 1, "the one whose result was being read");
	is_int(received("/flaky?20", &r), 2, "and the one that had failed");
	ok(header(&r, "Cubit-Attempt", value) && strcmp(value, "2") == 0, "with its second attempt");
	ok(clock_now_ns() - began >= 1400 * NS_PER_MS, "at its time");
	ok(header(&r, "Cubit-Signature", value), "signed");
	down();

	up("127.0.0.0/8");
	ok(wait_armed(0), "after another restart there are none");
	is_int(arm("job-23", "/ok?23", SECRET), 0, "armed for a job that takes long");
	down();
	is_over = false;
	last_asked[0] = '\0';
	up("127.0.0.0/8");
	ok(wait_armed(1), "after a restart it waits for its job");
	is_str(last_asked, "job-23", "which was asked after");
	is_int(received("/ok?23", NULL), 0, "it is not made");
	is_over = true;
	callbacks_fire(callbacks, "job-23");
	ok(wait_counts(1, 0, 0) && received("/ok?23", NULL) == 1, "it is made when the job is over");
}

/* Without CUBIT_CALLBACK_NETWORKS nothing may reach the receiver, which listens on loopback. */
static void test_refused_addresses(void)
{
	static const char *const literal[] = { "127.0.0.1", "[::1]",           "[::ffff:127.0.0.1]",
					       "10.0.0.1",  "169.254.169.254", "0.0.0.0" };
	/* names and spellings, which only resolving tells */
	static const char *const spelt[] = { "localhost",  "2130706433",      "0x7f000001",      "127.1",
					     "0177.0.0.1", "%31%32%37.0.0.1", "[::ffff:7f00:1]", "0" };
	struct callbacks_counts before, after;

	down();
	up("");
	for (size_t i = 0; i < sizeof(literal) / sizeof(literal[0]); i++)
		is_int(arm("job-30", literal[i], SECRET), -EACCES, "%s cannot be armed", literal[i]);
	for (size_t i = 0; i < sizeof(spelt) / sizeof(spelt[0]); i++) {
		char id[32];
		int r;

		(void)snprintf(id, sizeof(id), "job-31-%zu", i);
		callbacks_counts(callbacks, &before);
		r = arm(id, spelt[i], SECRET);
		if (r == 0) {
			callbacks_fire(callbacks, id);
			ok(wait_counts(0, before.failed + 1, before.given_up + 1), "%s is given up at the first try",
			   spelt[i]);
			callbacks_counts(callbacks, &after);
			is_int(after.failed, before.failed + 1, "which is the only one");
		} else {
			ok(r == -EACCES || r == -EINVAL, "%s cannot be armed", spelt[i]);
		}
	}
	is_int(received("/refused", NULL), 0, "nothing of all this reached the receiver");
	/* a proxy would connect where we do not */
	(void)setenv("http_proxy", "http://127.0.0.1:9", 1);
	(void)setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	down();
	up("127.0.0.0/8");
	is_int(arm("job-32", "/ok?32", SECRET), 0, "armed, with a proxy in the environment");
	callbacks_fire(callbacks, "job-32");
	ok(wait_counts(1, 0, 0) && received("/ok?32", NULL) == 1, "delivered past it");
}

/* A receiver that takes no connection holds up nobody else, and closing does not wait for it. */
static void test_hanging(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char url[64], id[32];
	uint64_t began;

	need(bind(fd, (struct sockaddr *)&a, size) == 0 && listen(fd, 1) == 0 &&
		     getsockname(fd, (struct sockaddr *)&a, &size) == 0,
	     "a receiver that never answers");
	(void)snprintf(url, sizeof(url), "http://localhost:%u/", ntohs(a.sin_port));
	for (int i = 0; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "job-40-%d", i);
		if (arm(id, url, SECRET) < 0)
			need(false, "armed");
		callbacks_fire(callbacks, id);
	}
	is_int(arm("job-41", "/ok?41", SECRET), 0, "twenty wait for it, one more for another host");
	callbacks_fire(callbacks, "job-41");
	ok(turn_until(are_counts, &(struct callbacks_counts){ .delivered = 2, .waiting = 1 }), "that one is delivered");
	began = clock_now_ns();
	down();
	ok(clock_now_ns() - began < 2 * NS_PER_S, "closing cuts the others");
	close(fd);
}

static void test_log(void)
{
	cleanup_buf struct buf text = BUF_INIT;

	(void)lseek(log_fd, 0, SEEK_SET);
	need(fd_read_all(log_fd, 1 << 20, &text, NULL) == 0, "the log is read");
	has_str(buf_str(&text), "callback given up job=job-5 host=127.0.0.1 tries=5", "it says what was given up");
	has_str(buf_str(&text), "loopback address", "and which address was refused");
	ok(!strstr(buf_str(&text), SECRET), "no secret is in it");
	ok(!strstr(buf_str(&text), TOKEN) && !strstr(buf_str(&text), "/flaky"), "and no URL");
}

static void remove_files(const char *dir)
{
	static const char *const names[] = { "cubit.db", "cubit.db-wal", "cubit.db-shm", "cubit.db-lock" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(dir_fd, names[i], 0); /* may not be there */
	is_int(rmdir(dir), 0, "no other file was made");
}

int main(void)
{
	char dir[] = "/tmp/callback-test-XXXXXX";

	(void)signal(SIGPIPE, SIG_IGN);
	need(mkdtemp(dir) && (dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0, "a directory");
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_init(log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	need(uv_loop_init(&loop) == 0, "a loop");
	start_receiver();
	up("127.0.0.0/8");
	test_signed();
	test_retry();
	test_disarm();
	test_restart();
	test_refused_addresses();
	test_hanging();
	test_log();
	is_int(uv_run(&loop, UV_RUN_DEFAULT), 0, "nothing is left on the loop");
	is_int(uv_loop_close(&loop), 0, "which closes");
	remove_files(dir);
	return done_testing();
}
