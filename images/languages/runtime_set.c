/* Finds the definitions of languages: see runtime_set.h. Those built in come by way of runtime_builtin.S. */
#include "images/languages/runtime_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* One after the other: a name, NUL, the definition, NUL; an empty name ends them. */
extern const char runtime_builtin[];

struct runtime_set {
	struct runtime_def *defs[RUNTIME_SET_MAX];
	size_t n_defs;
	char *problems[RUNTIME_SET_MAX];
	size_t n_problems;
};

void runtime_set_free(struct runtime_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_defs; i++)
		runtime_def_free(s->defs[i]);
	for (size_t i = 0; i < s->n_problems; i++)
		free(s->problems[i]);
	free(s);
}

const struct runtime_def *runtime_set_at(const struct runtime_set *s, size_t i)
{
	return i < s->n_defs ? s->defs[i] : NULL;
}

const char *runtime_set_problem(const struct runtime_set *s, size_t i)
{
	return i < s->n_problems ? s->problems[i] : NULL;
}

/* Bounded: the 257th problem is none the less one of many. */
static int add_problem(struct runtime_set *s, const char *text, struct error *err)
{
	if (s->n_problems == RUNTIME_SET_MAX)
		return 0;
	s->problems[s->n_problems] = strdup(text);
	if (!s->problems[s->n_problems])
		return error_set(err, ENOMEM, "out of memory");
	s->n_problems++;
	return 0;
}

/* ---- adding ---- */

static void drop(struct runtime_set *s, const char *name)
{
	for (size_t i = 0; i < s->n_defs; i++) {
		if (strcmp(s->defs[i]->name, name) != 0)
			continue;
		runtime_def_free(s->defs[i]);
		s->defs[i] = s->defs[--s->n_defs];
		return;
	}
}

/* name: what the file is called, and so which definition it is to replace. */
static int add(struct runtime_set *s, const char *name, const char *text, size_t size, const char *origin,
	       struct error *err)
{
	struct runtime_def *def = NULL;
	struct error why = ERROR_INIT;
	int e = runtime_def_parse(text, size, origin, &def, &why);

	if (e == -ENOMEM)
		return error_set(err, ENOMEM, "%s", why.text);
	if (e == 0 && strcmp(def->name, name) != 0)
		e = error_set(&why, EINVAL, "%s: name: '%s' is not that of the file", origin, def->name);
	drop(s, name);
	if (e < 0) {
		runtime_def_free(def);
		return add_problem(s, why.text, err);
	}
	if (s->n_defs == RUNTIME_SET_MAX) {
		runtime_def_free(def);
		return error_set(err, E2BIG, "more than %d runtimes", RUNTIME_SET_MAX);
	}
	s->defs[s->n_defs++] = def;
	return 0;
}

static int add_builtins(struct runtime_set *s, struct error *err)
{
	int e = 0;

	for (const char *name = runtime_builtin; e == 0 && *name;) {
		const char *text = name + strlen(name) + 1;
		char origin[64];

		(void)snprintf(origin, sizeof(origin), "builtin %s", name); /* our own short names */
		e = add(s, name, text, strlen(text), origin, err);
		name = text + strlen(text) + 1;
	}
	return e;
}

static int add_file(struct runtime_set *s, int dir_fd, const char *dir, const char *file, struct error *err)
{
	static const char ending[] = ".json";
	cleanup_buf struct buf text = BUF_INIT;
	struct error why = ERROR_INIT;
	size_t size = strlen(file), tail = sizeof(ending) - 1;
	char path[PATH_MAX], name[NAME_MAX + 1];

	if (file[0] == '.' || size <= tail || strcmp(file + size - tail, ending) != 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(size - tail), file);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, file); /* for messages */
	if (fd_read_file(dir_fd, file, RUNTIME_TEXT_MAX, &text, &why) < 0) {
		drop(s, name);
		(void)error_wrap(&why, "%s", path);
		return add_problem(s, why.text, err);
	}
	return add(s, name, buf_str(&text), text.size, path, err);
}

static int add_dir(struct runtime_set *s, const char *path, struct error *err)
{
	cleanup_free struct dirent **names = NULL;
	struct error why = ERROR_INIT;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n, e = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) {
		(void)error_errno(&why, errno, "open directory '%s'", path);
		return add_problem(s, why.text, err);
	}
	n = scandirat(fd, ".", &names, NULL, alphasort);
	if (n < 0)
		e = error_errno(err, errno, "read directory '%s'", path);
	for (int i = 0; i < n; i++) {
		if (e == 0)
			e = add_file(s, fd, path, names[i]->d_name, err);
		free(names[i]);
	}
	fd_close(&fd);
	return e;
}

/* ---- finding ---- */

static const struct runtime_def *find_name(const struct runtime_set *s, const char *name)
{
	for (size_t i = 0; i < s->n_defs; i++) {
		if (strcmp(s->defs[i]->name, name) == 0)
			return s->defs[i];
	}
	return NULL;
}

static int has_alias(const struct runtime_def *d, const char *alias)
{
	for (char **a = d->aliases; a && *a; a++) {
		if (strcmp(*a, alias) == 0)
			return 1;
	}
	return 0;
}

const struct runtime_def *runtime_set_find(const struct runtime_set *s, const char *name)
{
	const struct runtime_def *found = find_name(s, name);

	for (size_t i = 0; !found && i < s->n_defs; i++) {
		if (!has_alias(s->defs[i], name))
			continue;
		for (size_t j = i + 1; j < s->n_defs; j++) {
			if (has_alias(s->defs[j], name))
				return NULL; /* claimed twice; a problem says so */
		}
		found = s->defs[i];
	}
	return found;
}

/* Each pair once: the owner of the name, or the one that sorts first, is named as the other. */
static int check_aliases(struct runtime_set *s, struct error *err)
{
	char text[256];
	int e = 0;

	for (size_t i = 0; e == 0 && i < s->n_defs; i++) {
		const struct runtime_def *d = s->defs[i], *other;

		for (char **a = d->aliases; e == 0 && a && *a; a++) {
			other = find_name(s, *a);
			for (size_t j = 0; !other && j < i; j++)
				other = has_alias(s->defs[j], *a) ? s->defs[j] : NULL;
			if (!other || other == d)
				continue;
			(void)snprintf(text, sizeof(text), "%s: aliases: '%s' is also %s '%s'", d->origin, *a,
				       strcmp(other->name, *a) == 0 ? "the name of" : "an alias of", other->name);
			e = add_problem(s, text, err);
		}
	}
	return e;
}

static int by_name(const void *a, const void *b)
{
	const struct runtime_def *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

int runtime_set_load(const char *const *dirs, struct runtime_set **ret, struct error *err)
{
	struct runtime_set *s = calloc(1, sizeof(*s));
	int e;

	if (!s)
		return error_set(err, ENOMEM, "out of memory");
	e = add_builtins(s, err);
	for (size_t i = 0; e == 0 && dirs && dirs[i]; i++)
		e = add_dir(s, dirs[i], err);
	qsort(s->defs, s->n_defs, sizeof(void *), by_name);
	if (e == 0)
		e = check_aliases(s, err);
	if (e < 0)
		runtime_set_free(s);
	else
		*ret = s;
	return e;
}
