/*
 * The parent's side: start the worker, serve it, judge its result.
 */
#include "images/unpack/unpack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "images/unpack/messages.h"
#include "images/worker_spawn.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { GRACE_MS = 5000 }; /* the worker watches the clock itself, and can name the entry */

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static uint64_t or_default(uint64_t value, uint64_t by_default)
{
	return value ? value : by_default;
}

static void complete(const struct unpack_budget *given, struct unpack_budget *ret)
{
	enum { PATH_MOST = 4096, WALL_MS = 30 * 60 * 1000, WALL_MS_MOST = 24 * 3600 * 1000 };

	*ret = (struct unpack_budget){
		.in_bytes = or_default(given->in_bytes, 16 * GIB),
		.out_bytes = or_default(given->out_bytes, 32 * GIB),
		.ratio = or_default(given->ratio, 1000),
		.ratio_floor = or_default(given->ratio_floor, 64 * MIB),
		.entries = or_default(given->entries, 1000000),
		.path_bytes = or_default(given->path_bytes, PATH_MOST),
		.xattr_entry = or_default(given->xattr_entry, UINT64_C(64) << 10),
		.xattr_bytes = or_default(given->xattr_bytes, 64 * MIB),
		.wall_ms = or_default(given->wall_ms, WALL_MS),
		.memory_bytes = or_default(given->memory_bytes, GIB),
	};
	if (ret->path_bytes > PATH_MOST)
		ret->path_bytes = PATH_MOST;
	if (ret->wall_ms > WALL_MS_MOST)
		ret->wall_ms = WALL_MS_MOST;
}

/* ---- serving ---- */

/* The worker is confined to directories of the layer, but who knows what speaks there: look at each. */
static int make_opaque(const struct stat *layer, const int *fds, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (fstat(fds[i], &st) < 0)
			return error_errno(err, errno, "look at an opaque directory");
		if (!S_ISDIR(st.st_mode) || st.st_dev != layer->st_dev)
			return error_set(err, EPROTO,
					 "the unpack worker sent something that is not a directory of the layer");
		if (fsetxattr(fds[i], "trusted.overlay.opaque", "y", 1, 0) < 0)
			return error_errno(err, errno, "make a directory opaque");
	}
	return 0;
}

/* At most once: a worker that asks for ever would keep us at it. */
static int tell_below(struct unpack_spec *spec, struct worker *w, struct error *err)
{
	const struct unpack_message m = { .type = UNPACK_BELOW };
	cleanup_fd int fd = spec->below
				    ? spec->below(spec->below_arg, err)
				    : error_set(err, EPROTO, "the unpack worker asked for layers that are not there");
	int r;

	if (fd < 0)
		return fd;
	spec->below = NULL;
	r = unpack_send(w->control, &m, &fd, 1, 0, err);
	if (r == -EPIPE) { /* dead: serving will find out of what */
		error_clear(err);
		r = 0;
	}
	return r;
}

/* One message: 1 go on, 0 the result is there, -errno. */
static int serve(struct unpack_spec *spec, struct worker *w, const struct stat *layer, struct unpack_result *ret,
		 struct error *err)
{
	struct unpack_message m;
	int fds[UNPACK_FDS_MAX];
	size_t n_fds = UNPACK_FDS_MAX;
	int r = unpack_receive(w->control, &m, fds, &n_fds, err);

	if (r == -ECONNRESET) { /* it died with our message unread */
		error_clear(err);
		r = 0;
	}
	if (r < 0)
		return r;
	if (r == 0) {
		char how[96];
		int status = 0;

		/* End of file comes before the exit, so give it the moment to die of what it is dying of. */
		(void)poll(&(struct pollfd){ .fd = w->pidfd, .events = POLLIN }, 1, GRACE_MS);
		worker_end(w, &status);
		worker_describe(status, how, sizeof(how));
		return error_set(err, EPROTO, "the unpack worker ended without a result: %s", how);
	}
	switch (m.type) {
	case UNPACK_PROGRESS:
		if (spec->progress)
			spec->progress(
				&(struct unpack_progress){ m.progress.in_bytes, spec->total_bytes, m.progress.entries },
				spec->progress_arg);
		return 1;
	case UNPACK_OPAQUE:
		r = make_opaque(layer, fds, n_fds, err);
		for (size_t i = 0; i < n_fds; i++)
			(void)close(fds[i]); /* directories: nothing to lose */
		return r < 0 ? r : 1;
	case UNPACK_BELOW:
		r = tell_below(spec, w, err);
		return r < 0 ? r : 1;
	case UNPACK_DONE:
		*ret = m.done;
		return 0;
	case UNPACK_FAILED:
		return error_set(err, m.failed.code > 0 && m.failed.code < 4096 ? (int)m.failed.code : EPROTO, "%s",
				 m.failed.text);
	case UNPACK_START:
		break;
	}
	return error_set(err, EPROTO, "the unpack worker sent a message that it may not send");
}

static int serve_all(struct unpack_spec *spec, struct worker *w, uint64_t wall_ms, struct unpack_result *ret,
		     struct error *err)
{
	uint64_t deadline = clock_deadline_ns((wall_ms + GRACE_MS) * NS_PER_MS);
	struct stat layer;
	int r = 1;

	if (fstat(spec->dir_fd, &layer) < 0)
		return error_errno(err, errno, "look at the layer directory");
	while (r == 1) {
		struct pollfd p[2] = { { .fd = w->control, .events = POLLIN },
				       { .fd = spec->cancel_fd > 0 ? spec->cancel_fd : -1, .events = POLLIN } };
		int n = poll(p, 2, clock_poll_ms(deadline));

		if (n < 0 && errno != EINTR)
			return error_errno(err, errno, "poll");
		if (n == 0)
			return error_set(err, ETIMEDOUT, "unpacking took longer than %llu ms",
					 (unsigned long long)wall_ms);
		if (n > 0 && p[1].revents)
			return error_set(err, ECANCELED, "unpacking was cancelled");
		if (n > 0 && p[0].revents)
			r = serve(spec, w, &layer, ret, err);
	}
	return r;
}

/* ---- judging ---- */

static int compare(const struct digest *want, const struct digest *got, const char *what, struct error *err)
{
	if (!want || digest_equal(want, got))
		return 0;
	return error_set(err, EBADMSG, "the %s is %s, not %s as it should be", what, got->text, want->text);
}

/* ---- the whole ---- */

struct unpack_job {
	struct unpack_spec spec;
	struct worker worker;
	uint64_t wall_ms;
};

void unpack_cancel(struct unpack_job *j)
{
	if (!j)
		return;
	worker_end(&j->worker, NULL);
	free(j);
}

int unpack_begin(const struct unpack_spec *spec, struct unpack_job **ret, struct error *err)
{
	struct unpack_message start = { .type = UNPACK_START };
	const int fds[] = { spec->input_fd, spec->dir_fd };
	struct unpack_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return error_set(err, ENOMEM, "out of memory");
	j->spec = *spec;
	j->worker = (struct worker){ -1, -1, 0 };
	r = worker_spawn(spec->worker, "unpack", fds, 2, &j->worker, err);
	if (r < 0) {
		free(j);
		return r;
	}
	complete(&spec->budget, &start.start.budget);
	start.start.has_below = spec->below != NULL;
	start.start.skip_compressed = spec->skip_compressed && !spec->compressed;
	j->wall_ms = start.start.budget.wall_ms;
	r = unpack_send(j->worker.control, &start, NULL, 0, 0, err);
	if (r < 0 && r != -EPIPE) {
		unpack_cancel(j);
		return r;
	}
	if (r == -EPIPE) /* dead already: serving will find out of what */
		error_clear(err);
	*ret = j;
	return 0;
}

int unpack_end(struct unpack_job *j, struct unpack_result *ret, struct error *err)
{
	struct unpack_spec spec = j->spec;
	struct unpack_result result;
	int r;

	memset(&result, 0, sizeof(result));
	r = serve_all(&spec, &j->worker, j->wall_ms, &result, err);
	unpack_cancel(j);
	if (r == 0)
		r = compare(spec.compressed, &result.compressed, "digest of the layer", err);
	if (r == 0)
		r = compare(spec.diff_id, &result.diff_id, "diff id of the layer", err);
	if (r == 0)
		*ret = result;
	return r;
}

int unpack_layer(const struct unpack_spec *spec, struct unpack_result *ret, struct error *err)
{
	struct unpack_job *j = NULL;
	int r = unpack_begin(spec, &j, err);

	return r < 0 ? r : unpack_end(j, ret, err);
}
