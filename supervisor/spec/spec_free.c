/* The end of a spec: see spec.h. */
#include <stdlib.h>
#include <string.h>

#include "supervisor/spec/spec_impl.h"

void spec_files_free(struct job_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(files[i].path);
		free(files[i].data);
	}
	free(files);
}

void spec_cases_free(struct job_spec *s)
{
	for (size_t i = 0; i < s->n_cases; i++) {
		struct job_case *c = &s->cases[i];

		free(c->id);
		free(c->input);
		free(c->expected);
		job_list_free(c->args);
		spec_files_free(c->files, c->n_files);
	}
	free(s->cases);
}

void job_list_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void job_spec_free(struct job_spec *s)
{
	if (!s)
		return;
	spec_files_free(s->files, s->n_files);
	spec_cases_free(s);
	job_list_free(s->args);
	job_list_free(s->env);
	job_list_free(s->outputs);
	free(s->runtime);
	free(s->input);
	free(s->policy);
	free(s->callback_url);
	if (s->callback_secret)
		explicit_bzero(s->callback_secret, strlen(s->callback_secret));
	free(s->callback_secret);
	free(s);
}
