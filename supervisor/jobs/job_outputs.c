/*
 * Files handed back with the result: see job.h. The names come from the sandbox, so each is held against the form of a
 * path and against the globs of the request; reading happens inside, with the rights of the program.
 *
 * Bounded by the output limit in bytes, all of them together, and by JOB_OUTPUT_FILES_MAX.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent.h"
#include "supervisor/jobs/job.h"
#include "supervisor/jobs/paths.h"

#define WORK "/work"

static void read_next(struct job *job);

void job_outputs_done(struct job *job)
{
	for (size_t i = 0; i < job->n_output_paths; i++)
		free(job->output_paths[i]);
	free(job->output_paths);
	job->output_paths = NULL;
	job->n_output_paths = 0;
}

/* data: taken; NULL: too large to be handed back. */
static int add(struct job *job, const char *path, char *data, size_t size)
{
	struct job_result *r = &job->result;
	struct job_output *more = realloc(r->outputs, (r->n_outputs + 1) * sizeof(*more));
	char *copy = strdup(path);

	if (more)
		r->outputs = more;
	if (!more || !copy) {
		free(copy);
		free(data);
		return -ENOMEM;
	}
	r->outputs[r->n_outputs++] = (struct job_output){ .path = copy, .data = data, .size = size };
	return 0;
}

static void on_content(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;
	const char *path = job->output_paths[job->output_next++];
	size_t size = a->content->size;
	int r = 0;

	if (e) {
		job->result.is_outputs_cut = true; /* the program has ended well or not; that stays */
		job_next(job);
		return;
	}
	if (a->is_cut) {
		job->result.is_outputs_cut = true;
		r = add(job, path, NULL, size);
	} else if (a->code == 0) { /* otherwise gone meanwhile, or not readable for the program itself */
		job->outputs_left -= size;
		r = add(job, path, size ? buf_take(a->content) : strdup(""), size);
	}
	if (r < 0)
		job->result.is_outputs_cut = true;
	read_next(job);
}

static void read_next(struct job *job)
{
	char path[sizeof(WORK) + 4096 + 2];
	struct error err = ERROR_INIT;
	size_t room = job->outputs_left;

	if (job->output_next == job->n_output_paths) {
		job_next(job);
		return;
	}
	job_silence(job);
	(void)snprintf(path, sizeof(path), WORK "/%s", job->output_paths[job->output_next]);
	/* with nothing left one byte shows whether it is an empty file */
	if (file_read(&job->files, path, room ? room : 1, on_content, job, &err) < 0) {
		job->result.is_outputs_cut = true;
		job_next(job);
	}
}

static bool take_record(void *arg, const struct agent_file_record *r)
{
	struct job *job = arg;
	char **more, *copy;

	if (r->type != 'f' || !job_output_matches(job->spec, r->path))
		return true;
	if (job->n_output_paths == JOB_OUTPUT_FILES_MAX) {
		job->result.is_outputs_cut = true;
		return false;
	}
	more = realloc(job->output_paths, (job->n_output_paths + 1) * sizeof(*more));
	if (more)
		job->output_paths = more;
	copy = more ? strdup(r->path) : NULL;
	if (!copy)
		return false;
	job->output_paths[job->n_output_paths++] = copy;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_walk(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;

	if (e || a->code) {
		job->result.is_outputs_cut = true;
		job_next(job);
		return;
	}
	if (a->is_cut || paths_each(a->content->data, a->content->size, take_record, job) < 0)
		job->result.is_outputs_cut = true;
	if (job->n_output_paths)
		qsort(job->output_paths, job->n_output_paths, sizeof(*job->output_paths), by_name);
	read_next(job);
}

void job_outputs_begin(struct job *job)
{
	struct error err = ERROR_INIT;

	job->outputs_left = job->spec->limits.output_bytes;
	if (file_walk(&job->files, WORK, JOB_WALK_DEPTH, JOB_WALK_RECORDS, JOB_WALK_BYTES, on_walk, job, &err) < 0) {
		job->result.is_outputs_cut = true;
		job_next(job);
	}
}
