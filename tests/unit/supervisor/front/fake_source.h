/*
 * A source of jobs that is none: it has one job at most, notes what it is asked, and answers when the test says so. For
 * the tests of supervisor/front. One translation unit a test, so everything is static inline.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"
#include "supervisor/queue/source.h"

struct fake_source {
	struct source source;
	const char *id, *owner; /* of the job that it has; NULL: none */
	bool is_behind;         /* it takes no question */
	unsigned n_get, n_cancel, n_take, n_finish, n_give_back, n_bury, n_started;
	size_t n_wanted; /* of the last take */
	char last[QUEUE_ID_BYTES], reason[QUEUE_REASON_BYTES];
	unsigned attempt;
	enum queue_give give;
	struct queue_result result; /* of the last finish; valid during that call, but for attempt and is_direct */
	char json[512];
	/* questions that wait for their answers; of finish, give_back and bury the oldest first */
	queue_get_fn *get;
	queue_cancel_fn *cancel;
	queue_take_fn *take;
	void *get_arg, *cancel_arg, *take_arg;
	struct {
		queue_done_fn *fn;
		void *arg;
	} done[16];
	size_t n_done;
};

static inline int fake_take(void *self, size_t n, queue_take_fn *fn, void *arg)
{
	struct fake_source *f = self;

	f->n_take++;
	f->n_wanted = n;
	if (f->is_behind)
		return -EAGAIN;
	f->take = fn;
	f->take_arg = arg;
	return 0;
}

static inline int fake_extend(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg)
{
	(void)self;
	(void)id;
	(void)attempt;
	(void)fn;
	(void)arg;
	return -EAGAIN;
}

static inline void fake_note(struct fake_source *f, const char *id, unsigned attempt, const char *reason)
{
	(void)snprintf(f->last, sizeof(f->last), "%s", id);
	(void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
	f->attempt = attempt;
}

static inline int fake_wait(struct fake_source *f, queue_done_fn *fn, void *arg)
{
	if (f->is_behind || f->n_done == sizeof(f->done) / sizeof(f->done[0]))
		return -EAGAIN;
	f->done[f->n_done].fn = fn;
	f->done[f->n_done++].arg = arg;
	return 0;
}

static inline int fake_finish(void *self, const struct queue_result *r, queue_done_fn *fn, void *arg)
{
	struct fake_source *f = self;

	f->n_finish++;
	f->result = *r;
	(void)snprintf(f->json, sizeof(f->json), "%s", r->json);
	fake_note(f, r->id, r->attempt, "");
	return fake_wait(f, fn, arg);
}

static inline int fake_give_back(void *self, const char *id, unsigned attempt, const char *reason, enum queue_give how,
				 queue_done_fn *fn, void *arg)
{
	struct fake_source *f = self;

	f->n_give_back++;
	f->give = how;
	fake_note(f, id, attempt, reason);
	return fake_wait(f, fn, arg);
}

static inline int fake_bury(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn,
			    void *arg)
{
	struct fake_source *f = self;

	f->n_bury++;
	fake_note(f, id, attempt, reason);
	return fake_wait(f, fn, arg);
}

static inline int fake_get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct fake_source *f = self;

	(void)with_journal;
	f->n_get++;
	fake_note(f, id, 0, "");
	if (f->is_behind)
		return -EAGAIN;
	f->get = fn;
	f->get_arg = arg;
	return 0;
}

static inline int fake_cancel(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	struct fake_source *f = self;

	(void)owner;
	f->n_cancel++;
	fake_note(f, id, 0, "");
	if (f->is_behind)
		return -EAGAIN;
	f->cancel = fn;
	f->cancel_arg = arg;
	return 0;
}

static inline void fake_started(void *self, struct job *job)
{
	struct fake_source *f = self;

	(void)job;
	f->n_started++;
}

static const struct source_ops fake_ops = {
	.name = "fake",
	.take = fake_take,
	.extend = fake_extend,
	.finish = fake_finish,
	.give_back = fake_give_back,
	.bury = fake_bury,
	.get = fake_get,
	.cancel = fake_cancel,
	.started = fake_started,
};

static inline void fake_source_init(struct fake_source *f, enum queue_space space)
{
	memset(f, 0, sizeof(*f));
	f->source = (struct source){ .ops = &fake_ops, .self = f, .space = space };
}

/* ---- answers ---- */

static inline struct error fake_error(int code)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "%s", strerror(code));
	return e;
}

/* To a get: the job, if it is the one that was asked for; code: it cannot say. False: nobody asked. */
static inline bool fake_answer_get(struct fake_source *f, int code)
{
	bool has = f->id && strcmp(f->id, f->last) == 0;
	struct error e = fake_error(code ? code : ENOENT);
	struct queue_record r = { .job = { .state = QUEUE_DONE } };
	queue_get_fn *fn = f->get;

	if (!fn)
		return false;
	f->get = NULL;
	(void)snprintf(r.job.id, sizeof(r.job.id), "%s", f->last);
	(void)snprintf(r.job.owner, sizeof(r.job.owner), "%s", has ? f->owner : "");
	fn(code || !has ? &e : NULL, code || !has ? NULL : &r, f->get_arg);
	return true;
}

static inline bool fake_answer_cancel(struct fake_source *f, int code)
{
	struct error e = fake_error(code);
	queue_cancel_fn *fn = f->cancel;

	if (!fn)
		return false;
	f->cancel = NULL;
	fn(code ? &e : NULL, false, f->cancel_arg);
	return true;
}

static inline bool fake_answer_take(struct fake_source *f, int code, const struct queue_job *jobs, size_t n)
{
	struct error e = fake_error(code);
	queue_take_fn *fn = f->take;

	if (!fn)
		return false;
	f->take = NULL;
	fn(code ? &e : NULL, jobs, n, f->take_arg);
	return true;
}

/* To the oldest finish, give_back or bury. */
static inline bool fake_answer_done(struct fake_source *f, int code)
{
	struct error e = fake_error(code);
	queue_done_fn *fn = f->n_done ? f->done[0].fn : NULL;
	void *arg = f->n_done ? f->done[0].arg : NULL;

	if (!fn)
		return false;
	memmove(f->done, f->done + 1, --f->n_done * sizeof(f->done[0]));
	fn(code ? &e : NULL, arg);
	return true;
}
