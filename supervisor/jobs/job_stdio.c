/*
 * A process's output into the journal, and its standard input: see job.h.
 *
 * Output is taken as it comes, to the limit. Input comes from up to three places, one after the other: the message to a
 * waiting interpreter, the request, and whoever holds an interactive job.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/fd.h"
#include "supervisor/jobs/job.h"
#include "supervisor/pool/fd_watch.h"

enum { TAKES_A_TURN = 16 };

static const char end_of_input[] = "\004"; /* what a terminal takes as the end, termios(3) VEOF */

static void settle_later(struct job *job);

/* ---- output ---- */

static void over_limit(struct job *job, int i)
{
	struct job_process *p = &job->process;
	const struct stop_seen seen = { .output_bytes = p->result->output_size[i] + 1 };
	enum verdict_stop why = job_stage_cause(job, &seen);

	p->result->is_cut[i] = true;
	fd_watch_free(&p->out[i]);
	/* ended by itself with the rest still in the pipe: over the limit all the same */
	if (p->has_ended && p->facts.stop == STOP_NONE)
		p->facts.stop = why;
	else if (job_runs(job))
		job_stop(job, why, NULL);
}

/* The limit is reached: is there more? Returns false: nothing more now. */
static bool probe(struct job *job, int i)
{
	char byte;
	ssize_t n = read(fd_watch_fd(job->process.out[i]), &byte, 1);

	if (n == 1)
		over_limit(job, i);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		fd_watch_free(&job->process.out[i]);
	return false;
}

/* One piece. Returns false when nothing more is there now, or ever. */
static bool take(struct job *job, int i)
{
	struct job_process *p = &job->process;
	const struct stop_limits limits = job_stage_limits(job);
	uint64_t *seen = &p->result->output_size[i], room = stop_output_room(&limits, *seen);
	enum journal_type type = i == 0 ? JOURNAL_STDOUT : JOURNAL_STDERR;
	struct error err = ERROR_INIT;
	ssize_t n;

	if (room == 0)
		return probe(job, i);
	n = journal_take(job->journal, type, fd_watch_fd(p->out[i]), room, &err);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n == 0 || n == -EIO) { /* EIO: nobody holds the terminal any more */
		fd_watch_free(&p->out[i]);
		return false;
	}
	if (n < 0) {
		fd_watch_free(&p->out[i]);
		job_fail(job, &err);
		return false;
	}
	*seen += (uint64_t)n;
	return true;
}

static void on_output(struct fd_watch *w, int events, void *arg)
{
	struct job *job = arg;
	int i = w == job->process.out[0] ? 0 : 1;

	(void)events;
	for (int n = 0; n < TAKES_A_TURN && job->process.out[i] && take(job, i); n++)
		;
	settle_later(job);
}

static void on_settle(uv_timer_t *timer)
{
	settle_later(timer->data);
}

/* Bytes that the journal holds back get their event in time. */
static void settle_later(struct job *job)
{
	int ms = job->journal ? journal_settle(job->journal) : -1;

	if (ms >= 0 && job->state < JOB_OVER)
		(void)uv_timer_start(&job->settle, on_settle, (uint64_t)ms, 0);
}

void job_stdio_drain(struct job *job)
{
	for (int i = 0; i < 2; i++) {
		/* others may hold the pipe open and go on writing: what fits a pipe, not what they can make */
		for (int n = 0; n < 4 * TAKES_A_TURN && job->process.out[i] && take(job, i); n++)
			;
	}
}

/* ---- input ---- */

static void on_input(struct fd_watch *w, int events, void *arg)
{
	(void)w;
	(void)events;
	job_input_push(arg);
}

/* What is to be written next. */
static size_t pending(const struct job *job, const void **ret)
{
	if (job->handover.size) {
		*ret = job->handover.data;
		return job->handover.size;
	}
	if (job->process.is_compile)
		return 0;
	if (job->input_at < job->spec->input_size) {
		*ret = job->spec->input + job->input_at;
		return job->spec->input_size - job->input_at;
	}
	*ret = job->live_input.data;
	return job->live_input.size;
}

static void written(struct job *job, size_t n)
{
	if (job->handover.size)
		buf_consume(&job->handover, n);
	else if (job->input_at < job->spec->input_size)
		job->input_at += n;
	else
		buf_consume(&job->live_input, n);
}

/* Nobody reads it any more, which is the program's right. */
static void forget_input(struct job *job)
{
	job->input_at = job->spec->input_size;
	buf_reset(&job->handover);
	buf_reset(&job->live_input);
	job_input_close(job);
}

void job_input_push(struct job *job)
{
	struct job_process *p = &job->process;
	const void *data = NULL;
	size_t size;

	while (p->in && (size = pending(job, &data)) > 0) {
		ssize_t n = write(fd_watch_fd(p->in), data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			fd_watch_events(p->in, UV_WRITABLE);
			return;
		}
		if (n < 0) {
			forget_input(job);
			return;
		}
		written(job, (size_t)n);
	}
	if (!p->in)
		return;
	fd_watch_events(p->in, 0);
	if (!p->is_compile && !job->is_fed) {
		job->is_fed = true;
		if (job->spec->input_size || job->sandbox.is_prestarted)
			job_tag_send(job); /* a new front has nothing left to write */
	}
	if (p->is_compile || !job->spec->is_interactive || job->is_input_ended)
		job_input_close(job);
}

void job_input_close(struct job *job)
{
	struct job_process *p = &job->process;

	p->is_input_over = true;
	if (!p->in)
		return;
	if (!p->is_compile && job->spec->has_tty) {
		ssize_t ignored =
			write(fd_watch_fd(p->in), end_of_input, 1); /* full: it does not read, and need not know */

		(void)ignored;
	} else if (p->keeps_stdin) {
		(void)job_ask(job, AGENT_CLOSE_STDIN, p->seq, NULL);
	}
	fd_watch_free(&p->in);
}

/* ---- opening and closing ---- */

int job_stdio_open(struct job *job, int fds[3], struct error *err)
{
	struct job_process *p = &job->process;
	int r = 0;

	/* a terminal is one descriptor for both ways: two numbers of it, since the loop takes each only once */
	if (fds[2] < 0 && fds[0] < 0 && fds[1] >= 0) {
		fds[0] = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
		if (fds[0] < 0)
			r = error_errno(err, errno, "duplicate a terminal");
	}
	if (r == 0 && fds[0] >= 0)
		r = fd_watch_new(job->engine->o.loop, fd_take(&fds[0]), 0, on_input, job, &p->in, err);
	for (int i = 0; r == 0 && i < 2; i++) {
		if (fds[i + 1] >= 0)
			r = fd_watch_new(job->engine->o.loop, fd_take(&fds[i + 1]), UV_READABLE, on_output, job,
					 &p->out[i], err);
	}
	for (int i = 0; i < 3; i++)
		fd_close(&fds[i]);
	return r;
}

void job_stdio_close(struct job *job)
{
	fd_watch_free(&job->process.in);
	fd_watch_free(&job->process.out[0]);
	fd_watch_free(&job->process.out[1]);
}
