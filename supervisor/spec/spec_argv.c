/* What the processes of a job get: argv, environment; and which of their files are handed back. See spec.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_argv.h"
#include "images/languages/runtime_def.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/spec/glob.h"
#include "supervisor/spec/spec_impl.h"

static const char *const common[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LANG=C.UTF-8",
	"HOME=/work",
	NULL,
};
static const char *const terminal[] = { "TERM=xterm-256color", NULL };

static uint64_t whole_cpus(const struct job_limits *limits)
{
	return (limits->cpus_milli + UINT64_C(999)) / 1000;
}

/*
 * How many threads make sense. sched_getaffinity(2) has the machine's processors: a share of them is no set of them, and to
 * pin sandboxes would leave others idle. So those who ask that call are told here: nproc and everything with OpenMP or
 * OpenBLAS by the one, Go by the other. Python and Node ask /proc and /sys, which have the sandbox's own; Java has it in its
 * argv. Ruby's Etc.nprocessors has no other way and is not told.
 */
struct sized {
	char openmp[40], go[40];
	const char *list[3]; /* NULL-terminated; empty when no limit is known: a sandbox that waits for its job */
};

static void size_environment(const struct job_limits *limits, struct sized *ret)
{
	unsigned long long cpus = whole_cpus(limits);

	(void)snprintf(ret->openmp, sizeof(ret->openmp), "OMP_NUM_THREADS=%llu", cpus);
	(void)snprintf(ret->go, sizeof(ret->go), "GOMAXPROCS=%llu", cpus);
	ret->list[0] = cpus ? ret->openmp : NULL;
	ret->list[1] = ret->go;
	ret->list[2] = NULL;
}

/* The main file, called file, and what is compiled with it. */
static const char **sources_of(const struct job_spec *s, const struct runtime_def *def, const char *file)
{
	const char **list = alloc_zeroed(s->n_files + 1, sizeof(*list));
	size_t n = 0;

	list[n++] = file;
	for (size_t i = 0; i < s->n_files - s->n_case_files; i++) {
		const char *path = s->files[i].path;

		if (i != s->main_file && runtime_is_source(def, path))
			list[n++] = path;
	}
	return list;
}

int job_argv(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char ***ret, struct error *err)
{
	const struct runtime_stage *stage = is_compile ? &def->compile : &def->run;
	const char *path = s->files[s->main_file].path;
	const struct job_limits *limits = is_compile ? &s->compile_limits : &s->limits;
	struct runtime_words words = { .args = is_compile ? NULL : (const char *const *)s->args,
				       .memory_mib = limits->memory_bytes >> 20,
				       .cpus = whole_cpus(limits) };
	const char **sources;
	char file[JOB_PATH_MAX + 4];
	int r;

	if (!stage->argv)
		return error_set(err, EINVAL, "runtime '%s' has no compile step", def->name);
	/* no program shall take it for an option */
	(void)snprintf(file, sizeof(file), "%s%s", *path == '-' ? "./" : "", path); /* JOB_PATH_MAX at most */
	sources = sources_of(s, def, file);
	words.file = file;
	words.sources = sources;
	r = runtime_argv_of(stage, &words, ret, err);
	free(sources);
	return r;
}

/* Replace the variable of that name, or append. What has no name is none. There is room. */
static size_t set_variable(char **list, size_t n, const char *item)
{
	size_t name = strcspn(item, "=") + 1;
	char *copy;

	if (name == 1 || !item[name - 1])
		return n;
	copy = alloc_text(item);
	for (size_t i = 0; i < n; i++) {
		if (strncmp(list[i], item, name) == 0) {
			free(list[i]);
			list[i] = copy;
			return n;
		}
	}
	list[n] = copy;
	return n + 1;
}

/* The environment of a stage is the definition's: sizes are put in. Otherwise as set_variable(). */
static size_t set_sized(char **list, size_t n, const char *item, const struct runtime_words *words)
{
	char *sized = runtime_env_of(item, words);

	n = sized ? set_variable(list, n, sized) : SIZE_MAX;
	free(sized);
	return n;
}

int job_environment(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char *const *image_env,
		    char ***ret, struct error *err)
{
	const struct job_limits *limits = is_compile ? &s->compile_limits : &s->limits;
	const struct runtime_words words = { .memory_mib = limits->memory_bytes >> 20, .cpus = whole_cpus(limits) };
	const char *const *of_stage = (const char *const *)(is_compile ? def->compile.env : def->run.env);
	struct sized sized;
	const char *const *const sources[] = {
		common,
		sized.list,
		s->has_tty ? terminal : NULL,
		(const char *const *)image_env,
		of_stage,
		is_compile || !s->is_live ? NULL : (const char *const *)def->live.env,
		(const char *const *)s->env,
	};
	enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };
	size_t room = 1, n = 0;
	char **list;

	size_environment(limits, &sized);
	for (int i = 0; i < SOURCES; i++) {
		for (const char *const *e = sources[i]; e && *e; e++)
			room++;
	}
	list = alloc_zeroed(room, sizeof(*list));
	for (int i = 0; i < SOURCES; i++) {
		for (const char *const *e = sources[i]; e && *e; e++) {
			n = of_stage && sources[i] == of_stage ? set_sized(list, n, *e, &words)
							       : set_variable(list, n, *e);
			if (n == SIZE_MAX) {
				job_list_free(list);
				return error_set(err, ENOMEM, "out of memory");
			}
		}
	}
	*ret = list;
	return 0;
}

bool job_output_matches(const struct job_spec *s, const char *path)
{
	for (size_t i = 0; s->outputs[i]; i++) {
		if (glob_match(s->outputs[i], path))
			return true;
	}
	return false;
}
