/* What the processes of a job get: argv, environment; and which of their files are handed back. See spec.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/runtime_argv.h"
#include "images/runtime_def.h"
#include "runtime/base/error.h"
#include "supervisor/jobs/glob.h"
#include "supervisor/jobs/spec_impl.h"

static const char *const common[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LANG=C.UTF-8",
	"HOME=/work",
	NULL,
};
static const char *const terminal[] = { "TERM=xterm-256color", NULL };

int job_argv(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char ***ret, struct error *err)
{
	const struct runtime_stage *stage = is_compile ? &def->compile : &def->run;
	const char *path = s->files[s->main_file].path;
	char file[JOB_PATH_MAX + 4];

	if (!stage->argv)
		return error_set(err, EINVAL, "runtime '%s' does not compile", def->name);
	/* no program shall take it for an option */
	(void)snprintf(file, sizeof(file), "%s%s", *path == '-' ? "./" : "", path); /* JOB_PATH_MAX at most */
	return runtime_argv_of_file(stage, file, is_compile ? NULL : (const char *const *)s->args, ret, err);
}

/* Replace the variable of that name, or append. What has no name is none. There is room. */
static size_t set_variable(char **list, size_t n, const char *item)
{
	size_t name = strcspn(item, "=") + 1;
	char *copy;

	if (name == 1 || !item[name - 1])
		return n;
	copy = strdup(item);
	if (!copy)
		return SIZE_MAX;
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

int job_environment(const struct job_spec *s, const struct runtime_def *def, bool is_compile, char *const *image_env,
		    char ***ret, struct error *err)
{
	const char *const *const sources[] = {
		common,
		s->has_tty ? terminal : NULL,
		(const char *const *)image_env,
		(const char *const *)(is_compile ? def->compile.env : def->run.env),
		(const char *const *)s->env,
	};
	enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };
	size_t room = 1, n = 0;
	char **list;

	for (int i = 0; i < SOURCES; i++) {
		for (const char *const *e = sources[i]; e && *e; e++)
			room++;
	}
	list = calloc(room, sizeof(*list));
	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	for (int i = 0; i < SOURCES; i++) {
		for (const char *const *e = sources[i]; e && *e; e++) {
			n = set_variable(list, n, *e);
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
