/* Specs made of the parts of one with cases: see spec.h. */
#include <stdlib.h>
#include <string.h>

#include "supervisor/spec/spec_impl.h"

/* Each makes ret its own; false: no memory, and what is there is freed with the spec. */

static bool copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return !text || *ret;
}

static bool copy_bytes(const char *data, size_t size, char **ret, size_t *ret_size)
{
	*ret = data ? malloc(size + 1) : NULL;
	if (!data)
		return true;
	if (!*ret)
		return false;
	memcpy(*ret, data, size);
	(*ret)[size] = '\0';
	*ret_size = size;
	return true;
}

static bool copy_list(char *const *list, char ***ret)
{
	size_t n = 0;

	while (list[n])
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	for (size_t i = 0; *ret && i < n; i++) {
		if (!copy_text(list[i], &(*ret)[i]))
			return false;
	}
	return *ret != NULL;
}

static bool add_files(struct job_spec *to, const struct job_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct job_file *f = &to->files[to->n_files++];

		f->mode = files[i].mode;
		if (!copy_text(files[i].path, &f->path) ||
		    !copy_bytes(files[i].data, files[i].size, &f->data, &f->size))
			return false;
	}
	return true;
}

static bool copy_common(struct job_spec *to, const struct job_spec *s, char *const *args, size_t more_files)
{
	to->main_file = s->main_file;
	to->is_privileged = s->is_privileged;
	to->is_one_policy = s->is_one_policy;
	to->limits = s->limits;
	to->compile_limits = s->compile_limits;
	to->is_live = s->is_live;
	to->files = calloc(s->n_files + more_files + 1, sizeof(*to->files));
	return to->files && add_files(to, s->files, s->n_files) && copy_text(s->runtime, &to->runtime) &&
	       copy_text(s->policy, &to->policy) && copy_list(args, &to->args) && copy_list(s->env, &to->env) &&
	       copy_list(s->outputs, &to->outputs);
}

struct job_spec *job_spec_of_case(const struct job_spec *s, size_t number)
{
	const struct job_case *c = &s->cases[number];
	const char *input = c->has_input ? c->input : s->input;
	size_t size = c->has_input ? c->input_size : s->input_size;
	struct job_spec *to = calloc(1, sizeof(*to));

	if (to && copy_common(to, s, c->args ? c->args : s->args, c->n_files) && add_files(to, c->files, c->n_files) &&
	    copy_bytes(size ? input : NULL, size, &to->input, &to->input_size)) {
		to->n_case_files = c->n_files;
		to->limits = c->limits;
		return to;
	}
	job_spec_free(to);
	return NULL;
}

struct job_spec *job_spec_of_compile(const struct job_spec *s)
{
	struct job_spec *to = calloc(1, sizeof(*to));

	if (to && copy_common(to, s, s->args, 0)) {
		to->is_compile_only = true;
		return to;
	}
	job_spec_free(to);
	return NULL;
}
