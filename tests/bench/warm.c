/*
 * Warm jobs side by side with the bare thing: a static program and a Python hello, each as fork, exec and wait on this
 * machine without any sandbox, and as a job from request to result (without HTTP), interleaved. Prints medians, p99 and
 * ratios; writes every sample as CSV. Not a test: it never fails because a machine is slow.
 *
 * usage: warm ROUNDS CSV [IMAGES]       with CUBIT_TEST_DIR (empty) and CUBIT_BUILD set
 *   IMAGES  an image store with localhost/python; without it only the static program is measured
 *
 * The bare interpreter is that of the image: its layers as root directory, nothing else around it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/store/store.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "supervisor/pool/pool.h"
#include "tests/support/works.h"

enum { ROUNDS_MAX = 10000, PAUSE_MS = 15 };

struct contender {
	const char *name;
	const char *bare[4]; /* argv, in `root` when it has one */
	const char *request; /* or a job */
	const char *runtime; /* whose pool must be ready */
	int against;         /* index of the bare one; -1: it is one */
	bool needs_python;
	bool wants_prestart;
	uint64_t *samples;
	size_t n;
	unsigned n_wrong;
};

static struct works w;
static char root[700];

static struct contender all[] = {
	{ .name = "bare: static true", .bare = { "/bin/payload", "true" }, .against = -1 },
	{ .name = "job: static true",
	  .request = "{\"runtime\":\"true\",\"source\":\"\"}",
	  .runtime = "true",
	  .against = 0 },
	{ .name = "job: the same, compiled before",
	  .request = "{\"runtime\":\"copied\",\"source\":\"cp /bin/payload $1\",\"args\":[\"true\"]}",
	  .runtime = "copied",
	  .against = 0 },
	{ .name = "bare: python3 -c",
	  .bare = { "/usr/bin/python3", "-c", "print('hello')" },
	  .against = -1,
	  .needs_python = true },
	{ .name = "job: python, cold interpreter",
	  .request = "{\"runtime\":\"python\",\"source\":\"print('hello')\",\"limits\":{\"open_files\":255}}",
	  .runtime = "python",
	  .against = 3,
	  .needs_python = true },
	{ .name = "job: python, waiting interpreter",
	  .request = "{\"runtime\":\"python\",\"source\":\"print('hello')\"}",
	  .runtime = "python",
	  .against = 3,
	  .needs_python = true,
	  .wants_prestart = true },
	{ .name = "bare: node -e",
	  .bare = { "/usr/bin/node", "-e", "console.log('hello')" },
	  .against = -1,
	  .needs_python = true },
	{ .name = "job: node, waiting interpreter",
	  .request = "{\"runtime\":\"node\",\"source\":\"console.log('hello')\"}",
	  .runtime = "node",
	  .against = 6,
	  .needs_python = true,
	  .wants_prestart = true },
};
enum { CONTENDERS = sizeof(all) / sizeof(all[0]) };

static uint64_t run_bare(const struct contender *c)
{
	uint64_t begin = clock_now_ns();
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, 1);
		if (c->needs_python && (chroot(root) < 0 || chdir("/") < 0))
			_exit(126);
		if (c->needs_python)
			(void)execv(c->bare[0], (char **)(uintptr_t)c->bare);
		else
			(void)execv(root, (char **)(uintptr_t)c->bare);
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
	if (status != 0)
		fprintf(stderr, "warm: %s ends with %#x\n", c->name, (unsigned)status);
	return clock_now_ns() - begin;
}

struct ready {
	const char *runtime;
	bool is_prestarted;
};

static bool is_ready(void *arg)
{
	const struct ready *want = arg;
	json_t *o = pool_json(w.pool), *class;
	bool is = false, is_quiet = true;
	size_t i;

	json_array_foreach(json_object_get(o, "classes"), i, class)
	{
		if (json_integer_value(json_object_get(class, "starting")) > 0)
			is_quiet = false;
		if (strcmp(json_string_value(json_object_get(class, "runtime")), want->runtime) == 0 &&
		    json_is_true(json_object_get(class, "prestart")) == want->is_prestarted &&
		    json_integer_value(json_object_get(class, "ready")) > 0)
			is = true;
	}
	json_decref(o);
	return is && is_quiet;
}

static uint64_t run_job(struct contender *c)
{
	struct works_job j = { .works = NULL };
	uint64_t begin;

	begin = clock_now_ns();
	works_start(&w, &j, c->request);
	works_wait(&w, &j);
	if (strcmp(json_string_value(json_object_get(j.result, "status")), "ok") != 0 ||
	    !json_is_true(json_object_get(j.result, "pooled")) ||
	    json_is_true(json_object_get(j.result, "prestarted")) != c->wants_prestart) {
		if (c->n_wrong++ == 3)
			fprintf(stderr, "warm: %s\n", json_dumps(j.result, 0));
	}
	begin = j.over_ns - begin;
	works_job_done(&j);
	return begin;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double at(const struct contender *c, double part)
{
	return (double)c->samples[(size_t)(part * (double)(c->n - 1))] / 1e3;
}

static void mount_image(const char *images)
{
	static const char *const names[] = { "localhost/python:latest", "localhost/node:latest" };
	struct error err = ERROR_INIT;
	struct store *s = NULL;
	char options[4096] = "lowerdir=";

	if (store_open(images, &s, &err) < 0) {
		fprintf(stderr, "warm: %s\n", err.text);
		exit(1);
	}
	/* both in one: they have the same base, and the same number of files to look a name up in */
	for (size_t n = 0; n < 2; n++) {
		struct image_record *r = NULL;

		if (store_ref_get(s, names[n], &r, &err) < 0) {
			fprintf(stderr, "warm: %s\n", err.text);
			exit(1);
		}
		for (size_t i = r->n_layers; i-- > (n == 0 ? 1u : 0u);)
			(void)snprintf(options + strlen(options), sizeof(options) - strlen(options),
				       "%s/layers/%s/fs%s", images, digest_hex(&r->diff_ids[i]),
				       i || n == 0 ? ":" : "");
		image_record_free(r);
	}
	(void)snprintf(root, sizeof(root), "%s/bare", getenv("CUBIT_TEST_DIR"));
	(void)mkdir(root, 0755);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("overlay", root, "overlay", MS_RDONLY, options) < 0) {
		fprintf(stderr, "warm: mount %s: %s\n", options, strerror(errno));
		exit(1);
	}
	store_close(s);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 2 ? (size_t)strtoul(argv[1], NULL, 10) : 0;
	bool has_python = argc > 3;
	FILE *csv = argc > 2 ? fopen(argv[2], "we") : NULL;

	if (!rounds || rounds > ROUNDS_MAX || !csv || works_unfit()) {
		fprintf(stderr, "usage: warm ROUNDS CSV [IMAGES], as root, with CUBIT_TEST_DIR and CUBIT_BUILD\n");
		return 2;
	}
	works_open(&w, has_python ? argv[3] : NULL);
	works_begin(&w);
	if (has_python)
		mount_image(argv[3]); /* ours, not the monitor's: it has its own mounts */
	else
		(void)snprintf(root, sizeof(root), "%s/tests/payload", getenv("CUBIT_BUILD"));
	works_front(&w);
	for (size_t i = 0; i < CONTENDERS; i++)
		all[i].samples = calloc(rounds, sizeof(uint64_t));
	for (size_t n = 0; n < rounds + 2; n++) {
		for (size_t i = 0; i < CONTENDERS; i++) {
			struct contender *c = &all[i];
			struct ready want = { c->runtime, c->wants_prestart };
			uint64_t ns;

			if (c->needs_python != has_python)
				continue;
			if (c->request && n >= 2)
				works_until(&w, is_ready, &want);
			works_sleep(&w, PAUSE_MS);
			ns = c->request ? run_job(c) : run_bare(c);
			if (n >= 2)
				c->samples[c->n++] = ns;
			else
				c->n_wrong = 0;
			fprintf(csv, "%s,%zu,%llu\n", c->name, n, (unsigned long long)ns);
		}
	}
	printf("%-36s %10s %10s %8s\n", "us", "p50", "p99", "ratio");
	for (size_t i = 0; i < CONTENDERS; i++) {
		struct contender *c = &all[i];

		if (!c->n)
			continue;
		qsort(c->samples, c->n, sizeof(*c->samples), by_size);
		printf("%-36s %10.0f %10.0f", c->name, at(c, 0.5), at(c, 0.99));
		if (c->against >= 0)
			printf(" %8.2f", at(c, 0.5) / at(&all[c->against], 0.5));
		printf(c->n_wrong ? "   %u of them not as wanted\n" : "\n", c->n_wrong);
	}
	(void)fclose(csv);
	works_close(&w);
	return 0;
}
