/* Source files, and what was compiled before, on their way into the sandbox: see job.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "supervisor/jobs/artefacts.h"
#include "supervisor/jobs/job.h"

#define WORK "/work/"

static void ask_more(struct job *job);

static void on_written(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;
	char reason[160];

	job->file_left--;
	if (e && e->code == EIO) { /* the helper was killed: of memory, perhaps, which the facts tell */
		job_end_early(job, VERDICT_INTERNAL_ERROR, e->text);
	} else if (e) {
		job_fail(job, e);
	} else if (a->code == ENOSPC || a->code == EDQUOT || a->code == EFBIG) {
		job_end_early(job, VERDICT_DISK_LIMIT, "the files do not fit on the disk");
	} else if (a->code) {
		(void)snprintf(reason, sizeof(reason), "a file cannot be written: %s", strerror(a->code));
		job_end_early(job, VERDICT_RUNTIME_ERROR, reason);
	} else {
		ask_more(job);
	}
}

/* Is it among what the compiler made? That one wins. */
static bool is_made(const struct job *job, const char *path)
{
	for (size_t i = 0; job->artefact && i < job->artefact->n_files; i++) {
		if (strcmp(job->artefact->files[i].path, path) == 0)
			return true;
	}
	return false;
}

static int ask(struct job *job, const char *path, uint32_t mode, const void *data, size_t size, struct error *err)
{
	char full[sizeof(WORK) + JOB_PATH_MAX + 1];
	int r;

	if ((size_t)snprintf(full, sizeof(full), WORK "%s", path) >= sizeof(full))
		return error_set(err, ENAMETOOLONG, "a path that is too long");
	r = file_write(&job->files, full, mode, data, size, on_written, job, err);
	if (r == 0)
		job->file_left++;
	return r;
}

static void ask_more(struct job *job)
{
	size_t n_made = job->artefact ? job->artefact->n_files : 0;
	struct error err = ERROR_INIT;
	int r = 0;

	while (r == 0 && job->file_next < job->spec->n_files && job->file_left < JOB_FILES_AT_ONCE) {
		const struct job_file *f = &job->spec->files[job->file_next++];

		if (!is_made(job, f->path))
			r = ask(job, f->path, f->mode, f->data, f->size, &err);
	}
	while (r == 0 && job->artefact_next < n_made && job->file_left < JOB_FILES_AT_ONCE) {
		const struct artefact_file *f = &job->artefact->files[job->artefact_next++];

		r = ask(job, f->path, f->mode, f->data, f->size, &err);
	}
	if (r < 0) {
		job_fail(job, &err);
		return;
	}
	if (job->file_left == 0)
		job_event(job,
			  job->def->compile.argv && !job->result.compile.is_cached ? JOB_EV_SOURCE : JOB_EV_PROGRAM,
			  NULL);
	else
		job_silence(job);
}

void job_files_begin(struct job *job)
{
	ask_more(job);
}
