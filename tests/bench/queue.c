/*
 * The queue's throughput on this disk: durable submits a second with 1, 16 and 256 calls in flight, and whole lives
 * (submit, take, finish) with 256. Beside it what the disk allows: fdatasync(2) of one appended page. Not a test: it
 * never fails because a machine is slow.
 *
 * usage: queue [DIRECTORY [SECONDS]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "supervisor/jobs/result.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"

static struct bench {
	uv_loop_t loop;
	struct db *db;
	struct queue *q;
	uint64_t until_ns;
	unsigned long n, ended;
	unsigned in_flight;
	uint64_t *took_ns; /* of each submit */
	size_t n_took, room_took;
} b;

static const char spec[] =
	"{\"runtime\":\"python\",\"source\":\"print(input())\",\"stdin\":\"hello\",\"limits\":{\"wall_ms\":5000,"
	"\"memory\":"
	"268435456},\"policy\":\"default\",\"network\":\"none\",\"args\":[],\"env\":{},\"outputs\":[]}";
static const char result[] =
	"{\"id\":\"0123456789abcdef\",\"status\":\"ok\",\"reason\":\"\",\"exit_code\":0,\"signal\":null,\"stdout\":"
	"\"hello\\n\","
	"\"stderr\":\"\",\"wall_ms\":14.2,\"cpu_ms\":11.9,\"memory_peak\":9437184,\"processes_peak\":1,\"attempt\":1}";

static void stop(const char *what, const struct error *e)
{
	fprintf(stderr, "%s: %s\n", what, e->text);
	exit(1);
}

/* ---- submits ---- */

static void submit_one(void);

static void on_submitted(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)how;
	(void)id;
	if (e)
		stop("submit", e);
	b.ended++;
	b.in_flight--;
	if (b.n_took < b.room_took)
		b.took_ns[b.n_took++] = clock_now_ns() - (uint64_t)(uintptr_t)arg;
	if (clock_now_ns() < b.until_ns)
		submit_one();
}

static void submit_one(void)
{
	struct queue_job j = { .queued_ms = 1, .spec = spec, .spec_size = sizeof(spec) - 1 };
	unsigned long n = b.n++;

	/* ids as they are made: without order */
	(void)snprintf(j.id, sizeof(j.id), "%016llx", (unsigned long long)(n * 0x9e3779b97f4a7c15ULL));
	(void)snprintf(j.owner, sizeof(j.owner), "owner%lu", n % 20);
	if (queue_submit(b.q, &j, on_submitted, (void *)(uintptr_t)clock_now_ns()) == 0)
		b.in_flight++;
}

/* ---- whole lives ---- */

static void on_finished(const struct error *e, void *arg)
{
	(void)arg;
	if (e)
		stop("finish", e);
	b.ended++;
}

static void take_more(void);

static void on_taken(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	(void)arg;
	if (e)
		stop("take", e);
	b.in_flight--;
	for (size_t i = 0; i < n; i++) {
		struct queue_result r = { .id = jobs[i].id,
					  .attempt = jobs[i].attempt,
					  .status = "ok",
					  .json = result,
					  .json_size = sizeof(result) - 1,
					  .journal = spec,
					  .journal_size = 200 };

		if (queue_finish(b.q, &r, on_finished, NULL) < 0)
			exit(1);
	}
	if (clock_now_ns() < b.until_ns)
		take_more();
}

static void on_life_submitted(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)how;
	(void)id;
	(void)arg;
	if (e)
		stop("submit", e);
}

static void take_more(void)
{
	for (int i = 0; i < 64; i++) {
		struct queue_job j = { .queued_ms = 1, .spec = spec, .spec_size = sizeof(spec) - 1 };
		unsigned long n = b.n++;

		(void)snprintf(j.id, sizeof(j.id), "%016llx", (unsigned long long)(n * 0x9e3779b97f4a7c15ULL));
		(void)snprintf(j.owner, sizeof(j.owner), "owner%lu", n % 20);
		if (queue_submit(b.q, &j, on_life_submitted, NULL) < 0)
			exit(1);
	}
	if (queue_take(b.q, 64, on_taken, NULL) == 0)
		b.in_flight++;
}

/* ---- figures ---- */

static int compare(const void *x, const void *y)
{
	uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;

	return p < q ? -1 : p > q;
}

static void measure_submits(unsigned in_flight, unsigned seconds)
{
	struct db_counts before, after;
	uint64_t start = clock_now_ns(), took;
	size_t half, most;

	b.ended = b.n_took = 0;
	b.until_ns = clock_deadline_ns(seconds * NS_PER_S);
	db_counts(b.db, &before);
	for (unsigned i = 0; i < in_flight; i++)
		submit_one();
	(void)uv_run(&b.loop, UV_RUN_DEFAULT);
	took = clock_now_ns() - start;
	db_counts(b.db, &after);
	half = b.n_took / 2;
	most = b.n_took * 99 / 100;
	qsort(b.took_ns, b.n_took, sizeof(*b.took_ns), compare);
	printf("submits, %3u in flight: %8.0f /s   p50 %7.3f ms   p99 %7.3f ms   %5.1f a commit\n", in_flight,
	       (double)b.ended / ((double)took / 1e9), (double)b.took_ns[half] / 1e6, (double)b.took_ns[most] / 1e6,
	       (double)b.ended / (double)(after.commits - before.commits));
}

static void measure_lives(unsigned seconds)
{
	uint64_t start = clock_now_ns(), took;

	b.ended = 0;
	b.until_ns = clock_deadline_ns(seconds * NS_PER_S);
	for (int i = 0; i < 4; i++)
		take_more();
	(void)uv_run(&b.loop, UV_RUN_DEFAULT);
	took = clock_now_ns() - start;
	printf("whole lives, 256 in flight: %6.0f /s\n", (double)b.ended / ((double)took / 1e9));
}

static void measure_disk(int dir_fd)
{
	static char page[4096];
	int fd = openat(dir_fd, "disk", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), n = 0;
	uint64_t start = clock_now_ns(), took;

	for (; n < 300 && clock_now_ns() - start < 3 * NS_PER_S; n++)
		if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page) || fdatasync(fd) < 0)
			exit(1);
	took = clock_now_ns() - start;
	(void)close(fd);
	(void)unlinkat(dir_fd, "disk", 0);
	printf("the disk: fdatasync of a page %.3f ms\n", (double)took / n / 1e6);
}

int main(int argc, char **argv)
{
	struct queue_options o = { .node = "bench",
				   .max_waiting = UINT64_MAX,
				   .attempts = 3,
				   .lease_ns = 3600 * NS_PER_S,
				   .retention_ns = 3600 * NS_PER_S,
				   .cancelled = job_result_cancelled };
	unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
	char path[4096];
	struct error e = ERROR_INIT;
	int dir_fd;

	(void)snprintf(path, sizeof(path), "%s/queue-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	if (!mkdtemp(path) || (dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    uv_loop_init(&b.loop) < 0)
		return 1;
	b.room_took = 1 << 20;
	b.took_ns = malloc(b.room_took * sizeof(*b.took_ns));
	if (!b.took_ns || db_open(&b.loop, dir_fd, &b.db, &e) < 0 || queue_open(b.db, &o, &b.q, &e) < 0)
		stop("open", &e);
	measure_disk(dir_fd);
	measure_submits(1, seconds);
	measure_submits(16, seconds);
	measure_submits(256, seconds);
	measure_lives(seconds);
	queue_free(b.q);
	db_close(b.db, NULL, NULL);
	(void)uv_run(&b.loop, UV_RUN_DEFAULT);
	free(b.took_ns);
	(void)uv_loop_close(&b.loop);
	(void)unlinkat(dir_fd, "cubit.db", 0);
	(void)close(dir_fd);
	return rmdir(path) == 0 ? 0 : 1;
}
