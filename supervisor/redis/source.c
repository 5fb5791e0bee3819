/* Redis as a source of jobs: see queue/source.h, and redis_impl.h for the parts. */
#include <stdio.h>

#include "supervisor/jobs/engine.h"
#include "supervisor/redis/redis_impl.h"

static void started(void *self, struct job *job)
{
	struct redis_source *s = self;
	struct held *h = held_find(s, job_id(job), job_attempt(job));

	if (h)
		h->is_running = true;
	feed_start(s, job);
}

static const char *trouble(void *self)
{
	struct redis_source *s = self;
	const struct redis *r = s->r;
	const char *words = s->trouble[0] ? s->trouble : r->trouble;

	if (!redis_link_is_up(r->jobs))
		(void)snprintf(s->shown, sizeof(s->shown), "Redis cannot be reached: %s", redis_link_why(r->jobs));
	else if (words[0])
		(void)snprintf(s->shown, sizeof(s->shown), "Redis refuses%s%s%s: %s",
			       s->trouble[0] ? " what is asked of '" : "", s->trouble[0] ? s->name : "",
			       s->trouble[0] ? "'" : "", words);
	else
		return NULL;
	return s->shown;
}

#define OPS(its_name)                                                                                                  \
	{                                                                                                              \
		.name = (its_name), .take = redis_take, .extend = redis_extend, .finish = redis_finish,                \
		.give_back = redis_give_back, .bury = redis_bury, .leased = redis_leased, .get = redis_get,            \
		.cancel = redis_cancel, .list = redis_list, .letters = redis_letters, .replay = redis_replay,          \
		.forget = redis_forget, .letters_are_admins = true, .started = started, .follow = redis_follow,        \
		.trouble = trouble                                                                                     \
	}

const struct source_ops redis_stream_ops = OPS("redis-streams"), redis_list_ops = OPS("redis-list");
