/* One call on its way: see call.h. */
#include "supervisor/redis/call.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/alloc.h"
#include "runtime/base/text.h"

struct call *call_new(struct redis_source *s, const char *id, unsigned attempt, void *arg)
{
	struct call *c = alloc_zeroed(1, sizeof(*c));

	c->s = s;
	(void)text_copy(c->id, sizeof(c->id), id); /* too long: "", which no job is called */
	c->attempt = attempt;
	c->arg = arg;
	return c;
}

void call_free(struct call *c)
{
	free(c->json);
	free(c->journal);
	free(c);
}

int call_send(struct call *c, const struct redis_args *a, struct redis_script *script, redis_reply_fn *fn)
{
	int rc = args_eval(a, c->s->r, script, fn, c);

	if (rc < 0)
		call_free(c);
	return rc;
}

long long reply_integer(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}

void call_set_stale(struct error *e, const struct call *c)
{
	(void)error_set(e, ESTALE, "job '%s' is not ours as attempt %u any more", c->id, c->attempt);
}

/* It is not leased here any more. */
void call_let_go(struct call *c, bool is_lost)
{
	struct held *h = held_find(c->s, c->id, c->attempt);

	if (h)
		held_drop(h);
	if (is_lost) {
		c->s->r->stats.fenced++;
		feed_stop(c->s, c->id, c->attempt);
	}
}
