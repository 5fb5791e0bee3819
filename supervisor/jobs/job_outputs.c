/*
 * Files handed back with the result: see job.h. The names come from the sandbox, so each is held against the form of a
 * path and against the globs of the request; reading happens inside, with the rights of the program.
 *
 * Bounded by the output limit in bytes, all of them together, and by JOB_OUTPUT_FILES_MAX. What a glob names and is not
 * handed back is named in the result all the same, with its size and the reason.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "supervisor/jobs/job.h"
#include "supervisor/jobs/paths.h"

#define WORK "/work"

enum { PAYLOAD_ID = 1000 };

/* What a glob names, by what the walk has seen of it. */
struct job_found {
	char *path;
	uint64_t size;
	const char *why; /* it is left out; NULL: it is read */
};

static void read_next(struct job *job);

void job_outputs_done(struct job *job)
{
	for (size_t i = 0; i < job->n_found; i++)
		free(job->found[i].path);
	free(job->found);
	job->found = NULL;
	job->n_found = 0;
}

/* The next one in the result. data: taken; NULL: it is left out. */
static void add(struct job *job, const char *path, char *data, uint64_t size, const char *why)
{
	struct job_result *r = &job->result;
	struct job_output *o;

	if (data)
		data = buf_fit(data, size); /* it was read into a buffer of 128 KiB */
	r->outputs = alloc_again(r->outputs, r->n_outputs + 1, sizeof(*r->outputs));
	o = &r->outputs[r->n_outputs++];
	*o = (struct job_output){ .path = alloc_text(path), .data = data, .size = size };
	if (!data)
		(void)snprintf(o->left_out, sizeof(o->left_out), "%s", why);
}

static void on_content(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;
	const struct job_found *f = &job->found[job->found_next++];
	size_t size = a->content->size;
	char why[sizeof(((struct job_output *)0)->left_out)];

	if (e) {
		job->result.is_outputs_cut = true; /* the program has ended well or not; that stays */
		job_event(job, JOB_EV_ENDED, NULL);
		return;
	}
	if (a->is_cut) {
		job->result.is_outputs_cut = true;
		(void)snprintf(why, sizeof(why), "more than the %" PRIu64 " bytes that are left of limits.output",
			       job->outputs_left);
		add(job, f->path, NULL, a->size > size ? a->size : f->size, why);
	} else if (a->code == ENOENT) {
		add(job, f->path, NULL, f->size, "it was removed meanwhile");
	} else if (a->code) {
		(void)snprintf(why, sizeof(why), "the program itself cannot read it: %s", strerror(a->code));
		add(job, f->path, NULL, f->size, why);
	} else {
		job->outputs_left -= size;
		add(job, f->path, size ? buf_take(a->content) : alloc_text(""), size, NULL);
	}
	read_next(job);
}

static void read_next(struct job *job)
{
	char path[sizeof(WORK) + 4096 + 2];
	struct error err = ERROR_INIT;
	size_t room = job->outputs_left;

	for (; job->found_next < job->n_found && job->found[job->found_next].why; job->found_next++) {
		const struct job_found *f = &job->found[job->found_next];

		add(job, f->path, NULL, f->size, f->why);
	}
	if (job->found_next == job->n_found) {
		job_event(job, JOB_EV_ENDED, NULL);
		return;
	}
	job_silence(job);
	(void)snprintf(path, sizeof(path), WORK "/%s", job->found[job->found_next].path);
	/* with nothing left one byte shows whether it is an empty file */
	if (file_read(&job->files, path, room ? room : 1, on_content, job, &err) < 0) {
		job->result.is_outputs_cut = true;
		job_event(job, JOB_EV_ENDED, NULL);
	}
}

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* A directory is nothing to hand back, but what is below it may be: said where nobody has looked. */
static const char *unseen(const struct agent_file_record *r)
{
	const uint32_t may = r->uid == PAYLOAD_ID ? 0500 : r->gid == PAYLOAD_ID ? 0050 : 0005;

	if (depth_of(r->path) >= JOB_WALK_DEPTH)
		return "a directory too deep to be looked into";
	return (r->mode & may) != may ? "a directory that the program itself cannot read" : NULL;
}

/* Is it to be named in the result? *ret_why: without its content, and why. */
static bool is_named(const struct job *job, const struct agent_file_record *r, const char **ret_why)
{
	*ret_why = NULL;
	if (r->type == 'd') {
		*ret_why = unseen(r);
		return *ret_why != NULL;
	}
	if (r->type == 'l')
		*ret_why = "a symbolic link";
	else if (r->type != 'f')
		*ret_why = "neither a file nor a directory";
	return job_output_matches(job->spec, r->path);
}

static bool take_record(void *arg, const struct agent_file_record *r)
{
	struct job *job = arg;
	const char *why;

	if (!is_named(job, r, &why))
		return true;
	if (job->n_found == JOB_OUTPUT_FILES_MAX) {
		job->result.is_outputs_cut = true;
		return false;
	}
	job->found = alloc_again(job->found, job->n_found + 1, sizeof(*job->found));
	job->found[job->n_found++] = (struct job_found){ .path = alloc_text(r->path), .size = r->size, .why = why };
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct job_found *)a)->path, ((const struct job_found *)b)->path);
}

static void on_walk(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;

	if (e || a->code) {
		job->result.is_outputs_cut = true;
		job_event(job, JOB_EV_ENDED, NULL);
		return;
	}
	if (a->is_cut || paths_each(a->content->data, a->content->size, take_record, job) < 0)
		job->result.is_outputs_cut = true;
	if (job->n_found)
		qsort(job->found, job->n_found, sizeof(*job->found), by_name);
	read_next(job);
}

void job_outputs_begin(struct job *job)
{
	struct error err = ERROR_INIT;

	job->outputs_left = job->spec->limits.output_bytes;
	if (file_walk(&job->files, WORK, JOB_WALK_DEPTH, JOB_WALK_RECORDS, JOB_WALK_BYTES, on_walk, job, &err) < 0) {
		job->result.is_outputs_cut = true;
		job_event(job, JOB_EV_ENDED, NULL);
	}
}
