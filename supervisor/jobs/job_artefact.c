/*
 * What a compiler made: out of the sandbox once it was successful, and into the next one with the same source. See job.h.
 *
 * Only what RUNTIME_OUT names is kept: one file, or a small tree of plain files. Anything else there (a link, say) and
 * nothing is. What comes out was made by the owner's own source, and only the same owner gets it again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/digest.h"
#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "supervisor/jobs/artefacts.h"
#include "supervisor/jobs/job.h"
#include "supervisor/jobs/paths.h"

enum { TREE_DEPTH = 16, TREE_RECORDS = 2 * ARTEFACT_FILES_MAX, TREE_BYTES = 4 << 20 };

#define OUT_PATH "/work/program" /* RUNTIME_OUT in /work */
#define OUT_NAME "program"

/* ---- the name ---- */

/* Each text with its length in front, so that no two lists look the same. */
static void add_text(struct digest_hasher *h, const char *text, size_t size)
{
	char length[24];
	int n = snprintf(length, sizeof(length), "%zu:", size);

	digest_hasher_add(h, length, (size_t)n);
	digest_hasher_add(h, text, size);
}

static void add_list(struct digest_hasher *h, char *const *list)
{
	for (; list && *list; list++)
		add_text(h, *list, strlen(*list));
	add_text(h, "", 0);
}

static void add_limits(struct digest_hasher *h, const struct job_limits *l)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu32
			 " %" PRIu64 " %" PRIu64,
			 l->cpu_ns, l->wall_ns, l->memory_bytes, l->output_bytes, l->disk_bytes, l->processes,
			 l->open_files, l->cpus_milli, l->stack_bytes, l->file_bytes);

	add_text(h, text, (size_t)n);
}

static int make_key(struct job *job, char *const *argv, char *const *env)
{
	struct digest_hasher *h = digest_hasher_new();
	const char *own = job->sandbox.compile_policy_digest, *policy = own[0] ? own : job->sandbox.policy_digest;
	struct digest d = { "" };

	if (!h)
		return -ENOMEM;
	add_text(h, job->owner, strlen(job->owner));
	add_text(h, job->sandbox.manifest, strlen(job->sandbox.manifest));
	add_text(h, policy, strlen(policy)); /* it decides what a compiler may do */
	add_list(h, argv);
	add_list(h, env);
	add_limits(h, &job->spec->compile_limits);
	for (size_t i = 0; i < job->spec->n_files - job->spec->n_case_files; i++) {
		const struct job_file *f = &job->spec->files[i];
		char mode[16];
		int n = snprintf(mode, sizeof(mode), "%o", (unsigned)f->mode);

		add_text(h, f->path, strlen(f->path));
		add_text(h, mode, (size_t)n);
		add_text(h, f->data, f->size);
	}
	digest_hasher_end(h, &d);
	digest_hasher_free(h);
	(void)snprintf(job->artefact_key, sizeof(job->artefact_key), "%s", digest_hex(&d));
	return 0;
}

/* ---- in ---- */

static void on_found(struct artefact *a, void *arg)
{
	struct job *job = arg;

	job->n_pending--;
	if (job_ignores(job, JOB_EV_FOUND)) { /* stopped meanwhile */
		artefact_unref(a);
		job_free_if_alone(job);
		return;
	}
	job->artefact = a;
	job->result.compile.is_cached = a != NULL;
	if (!a && job->parent && !job->spec->is_compile_only)
		job->artefact_key[0] = '\0'; /* files of a case lie beside its source: not for other cases */
	if (a) {                             /* it was compiled, if not now */
		job->result.compile.has_run = true;
		job->result.compile.verdict = (struct verdict){ .status = VERDICT_OK, .exit_code = 0 };
		job->result.compile.memory_peak_bytes = job->result.compile.processes_peak =
			job->result.compile.disk_bytes = UINT64_MAX;
	}
	job_event(job, JOB_EV_FOUND, NULL);
}

void job_artefact_look(struct job *job)
{
	char **argv = NULL, **env = NULL;
	int r = -ENOENT;

	if (job->def->compile.argv && job->engine->artefacts) {
		r = job_argv(job->spec, job->def, true, &argv, NULL);
		if (r == 0)
			r = job_environment(job->spec, job->def, true, job->sandbox.image_env, &env, NULL);
		if (r == 0)
			r = make_key(job, argv, env);
		job_list_free(argv);
		job_list_free(env);
	}
	if (r < 0) { /* nothing to look for; what is wrong with argv is said when it is compiled */
		job_event(job, JOB_EV_FOUND, NULL);
		return;
	}
	job->n_pending++;
	artefacts_get(job->engine->artefacts, job->artefact_key, on_found, job);
}

/* ---- out ---- */

/* Done with keeping, one way or the other. */
static void end(struct job *job, bool is_good)
{
	if (is_good && job->artefact->n_files > 0)
		artefacts_put(job->engine->artefacts, job->artefact_key, job->artefact, job_owner(job));
	artefact_unref(job->artefact);
	job->artefact = NULL;
	job_event(job, JOB_EV_PROGRAM, NULL);
}

static void read_next(struct job *job);

/* The content of files[artefact_next], whose name and mode are known. */
static void on_content(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;
	size_t size = a->content->size;

	if (e) {
		job_fail(job, e);
		return;
	}
	if (a->code || a->is_cut) {
		end(job, false);
		return;
	}
	artefact_set(job->artefact, job->artefact_next++, size ? buf_take(a->content) : NULL, size);
	read_next(job);
}

static void read_next(struct job *job)
{
	const struct artefact *a = job->artefact;
	char path[sizeof("/work/") + JOB_PATH_MAX];
	struct error err = ERROR_INIT;

	job_silence(job);
	if (job->artefact_next == a->n_files) {
		end(job, true);
		return;
	}
	(void)snprintf(path, sizeof(path), "/work/%s", a->files[job->artefact_next].path);
	if (a->bytes >= ARTEFACT_BYTES_MAX)
		end(job, false);
	else if (file_read(&job->files, path, ARTEFACT_BYTES_MAX - a->bytes, on_content, job, &err) < 0)
		job_fail(job, &err);
}

/* Names first: what a tree has, and whether it is plain. */
static bool take_record(void *arg, const struct agent_file_record *r)
{
	struct job *job = arg;
	char path[JOB_PATH_MAX];

	if (r->type == 'd')
		return true;
	if (r->type != 'f' || snprintf(path, sizeof(path), OUT_NAME "/%s", r->path) >= (int)sizeof(path))
		return false;
	return artefact_add(job->artefact, path, r->mode & 0111 ? 0755 : 0644, NULL, 0) == 0;
}

static void on_tree(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;

	if (e) {
		job_fail(job, e);
		return;
	}
	if (a->code || a->is_cut || paths_each(a->content->data, a->content->size, take_record, job) < 0) {
		end(job, false);
		return;
	}
	read_next(job);
}

static void on_file(const struct error *e, struct file_answer *a, void *arg)
{
	struct job *job = arg;
	struct error err = ERROR_INIT;
	size_t size = a->content->size;

	if (e) {
		job_fail(job, e);
	} else if (a->code == EISDIR) {
		if (file_walk(&job->files, OUT_PATH, TREE_DEPTH, TREE_RECORDS, TREE_BYTES, on_tree, job, &err) < 0)
			job_fail(job, &err);
	} else if (a->code || a->is_cut) {
		end(job, false);
	} else {
		end(job, artefact_add(job->artefact, OUT_NAME, 0755, buf_take(a->content), size) == 0);
	}
}

void job_artefact_keep(struct job *job)
{
	struct error err = ERROR_INIT;

	job->artefact_next = 0;
	job->artefact = artefact_new();
	if (file_read(&job->files, OUT_PATH, ARTEFACT_BYTES_MAX, on_file, job, &err) < 0)
		job_fail(job, &err);
}
