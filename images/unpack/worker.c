/*
 * How it works: the main thread parses tar and writes; two more read, inflate and hash (pipeline.h).
 *
 *   START ─> memory and digests set up ─> confine_process ─> threads ─> confine_calls ─> the first byte of the archive is read
 *
 * After a failure nothing is tidied up: the message is sent and the process ends, threads and all.
 */
#include "images/unpack/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "images/unpack/confine.h"
#include "images/unpack/messages.h"
#include "images/unpack/pipeline.h"
#include "images/unpack/quote.h"
#include "images/unpack/tar.h"
#include "images/unpack/writer.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { PROGRESS_MS = 100, SECONDS_OF_CPU_PER_S = 3 /* threads */ };

struct job {
	int control, input, root;
	struct unpack_budget budget;
	bool skip_compressed, has_below;
	struct pipeline *pipeline;
	struct tar_reader *tar;
	struct writer *writer;
	uint64_t deadline_ns, next_progress_ns;
	uint64_t entries;
	char last[QUOTE_BYTES]; /* entry, quoted; for damage between entries */
	struct unpack_result result;
};

static int ask_opaque(void *arg, int dir_fd, struct error *err)
{
	const struct job *j = arg;
	const struct unpack_message m = { .type = UNPACK_OPAQUE };

	return unpack_send(j->control, &m, &dir_fd, 1, 0, err);
}

static int ask_below(void *arg, struct error *err)
{
	const struct job *j = arg;
	struct unpack_message m = { .type = UNPACK_BELOW };
	size_t n_fds = 1;
	int fd = -1, r = unpack_send(j->control, &m, NULL, 0, 0, err);

	if (r == 0)
		r = unpack_receive(j->control, &m, &fd, &n_fds, err);
	if (r == 1 && m.type == UNPACK_BELOW && n_fds == 1)
		return fd;
	return r < 0 ? r : error_set(err, EPROTO, "the layers below were not given");
}

/* The clock, once every block of data and every entry. */
static int tick(void *arg, struct error *err)
{
	struct job *j = arg;
	struct unpack_message m = { .type = UNPACK_PROGRESS };
	uint64_t now = clock_now_ns();

	if (now > j->deadline_ns)
		return error_set(err, ETIMEDOUT, "unpacking took longer than %llu ms",
				 (unsigned long long)j->budget.wall_ms);
	if (now < j->next_progress_ns)
		return 0;
	j->next_progress_ns = now + PROGRESS_MS * NS_PER_MS;
	m.progress.in_bytes = pipeline_in_bytes(j->pipeline);
	m.progress.entries = j->entries;
	(void)unpack_send(j->control, &m, NULL, 0, MSG_DONTWAIT, NULL); /* a parent that is busy misses one */
	return 0;
}

static int receive_start(struct job *j, struct error *err)
{
	struct unpack_message m;
	size_t n_fds = 0;
	int r = unpack_receive(j->control, &m, NULL, &n_fds, err);

	if (r == 1 && m.type == UNPACK_START) {
		j->budget = m.start.budget;
		j->skip_compressed = m.start.skip_compressed;
		j->has_below = m.start.has_below;
		j->deadline_ns = clock_deadline_ns(j->budget.wall_ms * NS_PER_MS);
		return 0;
	}
	return r < 0 ? r : error_set(err, EPROTO, "no budget was given");
}

static int prepare(struct job *j, struct error *err)
{
	const struct unpack_budget *b = &j->budget;
	const struct pipeline_limits p = { b->in_bytes, b->out_bytes, b->ratio, b->ratio_floor, j->skip_compressed };
	const struct tar_limits t = { (size_t)b->path_bytes, (size_t)b->xattr_entry };
	const struct writer_limits w = { b->out_bytes, b->entries, b->xattr_bytes, (size_t)b->path_bytes };
	const struct confine_limits c = { b->out_bytes, b->memory_bytes,
					  b->wall_ms / 1000 * SECONDS_OF_CPU_PER_S + 10 };
	int r = pipeline_new(j->input, &p, &j->pipeline, err);

	if (r == 0)
		r = writer_new(j->root, &w, ask_opaque, j->has_below ? ask_below : NULL, tick, j, &j->writer, err);
	if (r < 0)
		return r;
	j->tar = tar_reader_new(pipeline_fill, j->pipeline, &t);
	if (!j->tar)
		return error_errno(err, ENOMEM, "tar reader");
	if ((r = confine_process(j->root, &c, err)) < 0 || (r = pipeline_start(j->pipeline, err)) < 0)
		return r;
	return confine_calls(err);
}

static int unpack(struct job *j, struct error *err)
{
	struct writer_counts counts;
	struct pipeline_result p;
	struct tar_entry e;
	int r;

	pipeline_go(j->pipeline);
	while ((r = tar_next(j->tar, &e, err)) == 1) {
		j->entries++;
		(void)quote_name(e.path, j->last);
		r = writer_entry(j->writer, &e, j->tar, err);
		if (r < 0)
			return r;
	}
	if (r < 0) {
		if (j->entries > 0 && strncmp(err->text, "entry ", 6) != 0)
			(void)error_wrap(err, "after entry %s", j->last);
		return r;
	}
	if ((r = pipeline_finish(j->pipeline, &p, err)) < 0 || (r = writer_finish(j->writer, &counts, err)) < 0)
		return r;
	j->result = (struct unpack_result){
		.diff_id = p.diff_id,
		.compressed = p.compressed,
		.in_bytes = p.in_bytes,
		.out_bytes = p.out_bytes,
		.file_bytes = counts.bytes,
		.entries = counts.entries,
		.parents = counts.parents,
		.xattrs_dropped = counts.xattrs_dropped,
		.devices_skipped = counts.devices_skipped,
		.depends = counts.depends,
		.format = p.format,
	};
	return 0;
}

void unpack_worker_run(int control, int input, int dir)
{
	struct job j = { .control = control, .input = input, .root = dir };
	struct unpack_message m = { .type = UNPACK_DONE };
	struct error err = ERROR_INIT;
	int r = receive_start(&j, &err);

	if (r == 0)
		r = prepare(&j, &err);
	if (r == 0)
		r = unpack(&j, &err);
	if (r == 0) {
		m.done = j.result;
	} else {
		m.type = UNPACK_FAILED;
		m.failed.code = (uint32_t)-r;
		(void)snprintf(m.failed.text, sizeof(m.failed.text), "%s", err.text);
	}
	r = unpack_send(control, &m, NULL, 0, 0, NULL);
	_exit(r < 0 ? 1 : 0); /* threads may still wait for what will not come */
}
