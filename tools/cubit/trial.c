/* Tests one language: see trial.h. */
#include "tools/cubit/trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"
#include "tools/cubit/trial_host.h"

enum { DESTROY_MS = 10000, OUTPUT_MAX = 2 << 20, ENDLESS_MS = 1000, HOG_MS = 20000, QUOTE_MAX = 300 };

/* One program in one sandbox of its own. */
struct attempt {
	struct trial_host *h;
	const struct runtime_def *def;
	struct trial *t;
	struct sandbox *s;
	struct buf out, errors;
	struct run_result result;
};

/* The first problem stays. Output of a program is quoted: it goes to a terminal. */
static void complain(struct attempt *a, const char *what, const char *text)
{
	char quoted[QUOTE_MAX + 1];
	size_t n = 0;

	for (; n < QUOTE_MAX && text[n]; n++) {
		quoted[n] = text[n];
		if ((unsigned char)text[n] < ' ' || text[n] == 0x7f)
			quoted[n] = ' ';
	}
	quoted[n] = '\0';
	if (!a->t->problem[0])
		(void)snprintf(a->t->problem, sizeof(a->t->problem), "%s: %s", what, quoted);
}

/* What a process had to say: its verdict and the beginning of its output. */
static void complain_verdict(struct attempt *a, const char *what)
{
	const struct verdict *v = &a->result.verdict;
	char text[sizeof(v->reason) + QUOTE_MAX + QUOTE_MAX];

	(void)snprintf(text, sizeof(text), "%s%s%s; %.200s %.200s", verdict_name(v->status), v->reason[0] ? ", " : "",
		       v->reason, buf_str(&a->errors), buf_str(&a->out));
	complain(a, what, text);
}

static int begin(struct attempt *a, const char *source, struct error *err)
{
	const struct runtime_limits *compile = &a->def->compile.limits, *run = &a->def->run.limits;
	uint64_t disk = compile->disk_bytes > run->disk_bytes ? compile->disk_bytes : run->disk_bytes;
	char path[128];
	int r;

	a->out = a->errors = (struct buf)BUF_BOUNDED(OUTPUT_MAX);
	r = trial_sandbox(a->h, a->def->compile.argv ? compile : run, disk, &a->s, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/work/%s", a->def->file);
	return trial_write(a->s, path, source, err);
}

/* Returns the failure of r, or that of the end. */
static int end(struct attempt *a, int r, struct error *err)
{
	int d = a->s ? sandbox_destroy(a->s, DESTROY_MS, r < 0 ? NULL : err) : 0;

	a->s = NULL;
	buf_done(&a->out);
	buf_done(&a->errors);
	return r < 0 ? r : d;
}

static int run(struct attempt *a, char *const *argv, char *const *env, const struct runtime_limits *limits,
	       struct error *err)
{
	buf_reset(&a->out);
	buf_reset(&a->errors);
	return trial_run(a->h, a->s, argv, env, limits, &a->out, &a->errors, &a->result, err);
}

static int run_stage(struct attempt *a, const struct runtime_stage *stage, const struct runtime_limits *limits,
		     struct error *err)
{
	char **argv = NULL;
	int r = runtime_argv(a->def, stage, NULL, &argv, err);

	if (r == 0)
		r = run(a, argv, stage->env, limits, err);
	runtime_argv_free(argv);
	return r;
}

/* Returns 1 when there is something to run now, 0 when the compiler refused it, or -errno. */
static int compile(struct attempt *a, const char *what, struct error *err)
{
	const struct runtime_def *d = a->def;
	int r;

	if (!d->compile.argv)
		return 1;
	r = run_stage(a, &d->compile, &d->compile.limits, err);
	if (r < 0)
		return r;
	if (a->result.verdict.status != VERDICT_OK) {
		complain_verdict(a, what);
		return 0;
	}
	r = trial_relimit(a->s, &d->run.limits, err);
	return r < 0 ? r : 1;
}

static int ask_version(struct attempt *a, struct error *err)
{
	const struct runtime_stage *first = a->def->compile.argv ? &a->def->compile : &a->def->run;
	int r = run(a, a->def->version_command, first->env, &first->limits, err);

	if (r < 0)
		return r;
	if (a->result.verdict.status == VERDICT_OK) /* some print it to standard error */
		runtime_version_find(a->out.size ? buf_str(&a->out) : buf_str(&a->errors), a->t->version);
	if (!a->t->version[0])
		complain_verdict(a, "version_command");
	return 0;
}

static int say_hello(struct attempt *a, struct error *err)
{
	int r = compile(a, "hello does not compile", err);

	if (r != 1)
		return r;
	a->t->has_compile = a->def->compile.argv != NULL;
	a->t->compile_ns = a->t->has_compile ? a->result.wall_ns : 0;
	r = run_stage(a, &a->def->run, &a->def->run.limits, err);
	if (r < 0)
		return r;
	a->t->run_ns = a->result.wall_ns;
	a->t->is_hello_ok =
		a->result.verdict.status == VERDICT_OK && strcmp(buf_str(&a->out), a->def->test.stdout_text) == 0;
	if (!a->t->is_hello_ok)
		complain_verdict(a, "hello");
	return 0;
}

static int try_hello(struct attempt *a, struct error *err)
{
	int r = begin(a, a->def->test.hello, err);

	if (r == 0)
		r = ask_version(a, err);
	if (r == 0)
		r = say_hello(a, err);
	return end(a, r, err);
}

/* A program that must be stopped by one limit. */
static int try_limit(struct attempt *a, const char *what, const char *source, uint64_t ms, enum verdict_status wanted,
		     bool *ret_held, struct error *err)
{
	struct runtime_limits limits = a->def->run.limits;
	int r = begin(a, source, err);

	limits.wall_ms = limits.cpu_ms = ms;
	if (r == 0)
		r = compile(a, what, err);
	if (r == 1) {
		r = run_stage(a, &a->def->run, &limits, err);
		*ret_held = r == 0 && a->result.verdict.status == wanted;
		if (r == 0 && !*ret_held)
			complain_verdict(a, what);
	}
	return end(a, r, err);
}

int trial_runtime(struct trial_host *h, const struct runtime_def *def, struct trial *ret, struct error *err)
{
	static struct attempt a; /* run_result is not small */
	int r;

	*ret = (struct trial){ .version = "" };
	a = (struct attempt){ .h = h, .def = def, .t = ret };
	r = try_hello(&a, err);
	if (r == 0)
		r = try_limit(&a, "endless does not end as time_limit", def->test.endless, ENDLESS_MS,
			      VERDICT_TIME_LIMIT, &ret->is_time_held, err);
	if (r == 0)
		r = try_limit(&a, "hog does not end as memory_limit", def->test.hog, HOG_MS, VERDICT_MEMORY_LIMIT,
			      &ret->is_memory_held, err);
	return r;
}
