/* The embedded queue as a source of jobs: see source.h. Its functions are queue.h's already. */
#include "supervisor/queue/source.h"

static int take(void *self, size_t n, queue_take_fn *fn, void *arg)
{
	return queue_take(self, n, fn, arg);
}

static int extend(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg)
{
	return queue_extend(self, id, attempt, fn, arg);
}

static int finish(void *self, const struct queue_result *r, queue_done_fn *fn, void *arg)
{
	return queue_finish(self, r, fn, arg);
}

static int give_back(void *self, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		     queue_done_fn *fn, void *arg)
{
	return queue_return(self, id, attempt, reason, how, fn, arg);
}

static int bury(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg)
{
	return queue_bury(self, id, attempt, reason, fn, arg);
}

static int leased(void *self, queue_recover_fn *fn, void *arg)
{
	return queue_leased(self, fn, arg);
}

static int get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	return queue_get(self, id, with_journal, fn, arg);
}

static int cancel(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	return queue_cancel(self, id, owner, fn, arg);
}

static int list(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg)
{
	return queue_list(self, f, fn, arg);
}

static int letters(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg)
{
	struct queue_filter dead = *f;

	dead.state = QUEUE_DEAD;
	return queue_list(self, &dead, fn, arg);
}

static int replay(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	return queue_replay(self, id, owner, fn, arg);
}

static int forget(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg)
{
	return queue_dead_delete(self, id, owner, fn, arg);
}

/* A full disk and the like come with the answers, one by one; the database has its own line in /readyz. */
static const char *trouble(void *self)
{
	(void)self;
	return NULL;
}

static const struct source_ops ops = {
	.name = "sqlite",
	.counts_at_submission = true,
	.is_needed = true,
	.take = take,
	.extend = extend,
	.finish = finish,
	.give_back = give_back,
	.bury = bury,
	.leased = leased,
	.get = get,
	.cancel = cancel,
	.list = list,
	.letters = letters,
	.replay = replay,
	.forget = forget,
	.trouble = trouble,
};

static void on_queue_work(void *arg)
{
	struct source *s = arg;

	if (s->on_work)
		s->on_work(s);
}

void queue_source_init(struct source *s, struct queue *q)
{
	*s = (struct source){ .ops = &ops, .self = q };
	queue_on_work(q, on_queue_work, s);
}
