/* `cubit runtime test`: which languages, in which order, and the table that comes out. The work itself is trial.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tools/cubit/command.h"
#include "tools/cubit/runtime.h"
#include "tools/cubit/trial.h"
#include "tools/cubit/trial_host.h"

enum { US_PER_MS = 1000 };

struct session {
	const struct runtime_args *args;
	struct trial_host host;
	json_t *results; /* --json */
	size_t n_failed, n_missing;
};

static double ms(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;

	return (double)us / US_PER_MS;
}

/* How to get an image: ours are made, others are pulled. */
static void advise(const char *image, char *ret, size_t size)
{
	static const char ours[] = "localhost/", latest[] = ":latest";
	size_t n = strlen(image), tail = sizeof(latest) - 1;

	if (strncmp(image, ours, sizeof(ours) - 1) == 0 && n > tail && strcmp(image + n - tail, latest) == 0)
		(void)snprintf(ret, size, "image '%s' is missing: tools/mkimage %.*s", image,
			       (int)(n - tail - (sizeof(ours) - 1)), image + sizeof(ours) - 1);
	else
		(void)snprintf(ret, size, "image '%s' is missing: cubit image pull %s", image, image);
}

/* ---- what came out ---- */

static void print_header(const struct session *s)
{
	if (!s->args->is_json)
		printf("%-12s %-14s %-6s %10s %8s  %s\n", "LANGUAGE", "VERSION", "HELLO", "COMPILE_MS", "RUN_MS",
		       "LIMITS");
}

static const char *limits_word(const struct trial *t)
{
	if (t->is_time_held && t->is_memory_held)
		return "hold";
	return t->is_time_held ? "time only" : t->is_memory_held ? "memory only" : "NO";
}

static void print_row(const char *name, const struct trial *t)
{
	char compile[32] = "-", run[32] = "-";

	if (t->has_compile)
		(void)snprintf(compile, sizeof(compile), "%.1f", ms(t->compile_ns));
	if (t->run_ns)
		(void)snprintf(run, sizeof(run), "%.1f", ms(t->run_ns));
	printf("%-12s %-14s %-6s %10s %8s  %s\n", name, t->version[0] ? t->version : "-",
	       t->is_hello_ok ? "ok" : "FAILED", compile, run, limits_word(t));
	if (t->problem[0])
		printf("  %s\n", t->problem);
	(void)fflush(stdout); /* each takes seconds; main looks at errors */
}

static void add_result(struct session *s, const char *name, const struct trial *t)
{
	(void)json_array_append_new(
		s->results,
		json_pack("{s:s, s:b, s:s, s:b, s:o, s:f, s:b, s:b, s:o}", "name", name, "ok", trial_is_ok(t),
			  "version", t->version, "hello", t->is_hello_ok, "compile_ms",
			  t->has_compile ? json_real(ms(t->compile_ns)) : json_null(), "run_ms", ms(t->run_ns),
			  "time_limit", t->is_time_held, "memory_limit", t->is_memory_held, "problem",
			  t->problem[0] ? json_string(t->problem) : json_null())); /* out of memory: the dump fails */
}

static void missing(struct session *s, const struct runtime_def *def)
{
	char advice[1024];

	s->n_missing++;
	advise(def->image, advice, sizeof(advice));
	if (s->args->is_json)
		(void)json_array_append_new(
			s->results, json_pack("{s:s, s:b, s:s}", "name", def->name, "ok", 0, "problem", advice));
	else
		printf("%-12s -\n  %s\n", def->name, advice);
}

/* ---- one after the other ---- */

static int test_one(struct session *s, const struct runtime_def *def, struct error *err)
{
	struct trial t = { .version = "" };
	int r = trial_host_image(&s->host, def->image, err);

	if (r == -ENOENT && !s->args->rootfs) {
		missing(s, def);
		error_clear(err);
		return 0;
	}
	if (r == 0)
		r = trial_runtime(&s->host, def, &t, err);
	if (r < 0)
		return error_wrap(err, "%s", def->name);
	if (!trial_is_ok(&t))
		s->n_failed++;
	if (s->args->is_json)
		add_result(s, def->name, &t);
	else
		print_row(def->name, &t);
	return 0;
}

/* A name with a slash is the path of a definition that is not installed yet. */
static int test_file(struct session *s, const char *path, struct error *err)
{
	cleanup_runtime_def struct runtime_def *def = NULL;
	cleanup_buf struct buf text = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, path, RUNTIME_TEXT_MAX, &text, err);

	if (r == 0)
		r = runtime_def_parse(buf_str(&text), text.size, path, &def, err);
	return def ? test_one(s, def, err) : r;
}

static int test_all(struct session *s, const struct runtime_set *set, struct error *err)
{
	const struct runtime_def *def;
	int r = 0;

	for (size_t i = 0; s->args->is_all && r == 0 && (def = runtime_set_at(set, i)); i++)
		r = test_one(s, def, err);
	for (size_t i = 0; r == 0 && i < s->args->n_names; i++) {
		if (strchr(s->args->names[i], '/')) {
			r = test_file(s, s->args->names[i], err);
			continue;
		}
		def = runtime_set_find(set, s->args->names[i]);
		r = def ? test_one(s, def, err)
			: error_set(err, ENOENT, "no runtime '%.64s'; 'cubit runtime ls' lists them",
				    s->args->names[i]);
	}
	return r;
}

/* With --all, definitions that cannot be read have failed as well. */
static void count_problems(struct session *s, const struct runtime_set *set)
{
	const char *problem;

	for (size_t i = 0; s->args->is_all && (problem = runtime_set_problem(set, i)); i++) {
		(void)fprintf(stderr, "cubit runtime: %s\n", problem);
		s->n_failed++;
	}
}

static int print_results(struct session *s)
{
	json_t *all = json_pack("{s:o}", "results", s->results);
	int r = all ? json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : -1;

	putchar('\n');
	json_decref(all);
	return r;
}

int runtime_test(const struct runtime_set *set, const struct runtime_args *args)
{
	static struct session s; /* the host has many descriptors */
	struct error err = ERROR_INIT;
	int r;

	if (args->is_all ? args->n_names > 0 : args->n_names == 0) {
		(void)fprintf(stderr, "cubit runtime test: name the runtimes, or --all; try 'cubit runtime --help'\n");
		return EXIT_USAGE;
	}
	s = (struct session){ .args = args, .results = args->is_json ? json_array() : NULL };
	r = trial_host_open(&s.host, args->rootfs, &err);
	if (r == 0) {
		print_header(&s);
		r = test_all(&s, set, &err);
	}
	trial_host_close(&s.host);
	count_problems(&s, set);
	if (args->is_json && print_results(&s) < 0 && r == 0)
		r = error_set(&err, EIO, "cannot write the results");
	if (r < 0)
		(void)fprintf(stderr, "cubit runtime: %s\n", err.text);
	if (r < 0 || s.n_failed)
		return EXIT_NO;
	return s.n_missing ? RUNTIME_EXIT_NO_IMAGE : EXIT_YES;
}
