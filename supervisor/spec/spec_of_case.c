/* Specs made of the parts of one with cases: see spec.h. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/spec/spec_impl.h"

static char *copy_text(const char *text)
{
	return text ? alloc_text(text) : NULL;
}

static void copy_bytes(const char *data, size_t size, char **ret, size_t *ret_size)
{
	if (!data)
		return;
	*ret = alloc_bytes(size + 1);
	memcpy(*ret, data, size);
	(*ret)[size] = '\0';
	*ret_size = size;
}

static char **copy_list(char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list[n])
		n++;
	copy = alloc_zeroed(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = alloc_text(list[i]);
	return copy;
}

static void add_files(struct job_spec *to, const struct job_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct job_file *f = &to->files[to->n_files++];

		f->mode = files[i].mode;
		f->path = copy_text(files[i].path);
		copy_bytes(files[i].data, files[i].size, &f->data, &f->size);
	}
}

static struct job_spec *copy_common(const struct job_spec *s, char *const *args, size_t more_files)
{
	struct job_spec *to = alloc_zeroed(1, sizeof(*to));

	to->main_file = s->main_file;
	to->is_privileged = s->is_privileged;
	to->is_one_policy = s->is_one_policy;
	to->limits = s->limits;
	to->compile_limits = s->compile_limits;
	to->is_live = s->is_live;
	to->files = alloc_zeroed(s->n_files + more_files, sizeof(*to->files));
	add_files(to, s->files, s->n_files);
	to->runtime = copy_text(s->runtime);
	to->policy = copy_text(s->policy);
	to->args = copy_list(args);
	to->env = copy_list(s->env);
	to->outputs = copy_list(s->outputs);
	return to;
}

struct job_spec *job_spec_of_case(const struct job_spec *s, size_t number)
{
	const struct job_case *c = &s->cases[number];
	const char *input = c->has_input ? c->input : s->input;
	size_t size = c->has_input ? c->input_size : s->input_size;
	struct job_spec *to = copy_common(s, c->args ? c->args : s->args, c->n_files);

	add_files(to, c->files, c->n_files);
	copy_bytes(size ? input : NULL, size, &to->input, &to->input_size);
	to->n_case_files = c->n_files;
	to->limits = c->limits;
	return to;
}

struct job_spec *job_spec_of_compile(const struct job_spec *s)
{
	struct job_spec *to = copy_common(s, s->args, 0);

	to->is_compile_only = true;
	return to;
}
