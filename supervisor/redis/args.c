/* Calls of scripts and what they answer: see redis_impl.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

void args_init(struct redis_args *a, const struct redis *r)
{
	a->n = a->n_numbers = 0;
	args_text(a, r->env.settings->redis_prefix);
	args_text(a, r->node);
	args_text(a, r->run);
}

void args_bytes(struct redis_args *a, const void *data, size_t size)
{
	if (a->n < ARGS_MAX) {
		a->argv[a->n] = data ? data : "";
		a->lengths[a->n] = data ? size : 0;
	}
	a->n++;
}

void args_text(struct redis_args *a, const char *text)
{
	args_bytes(a, text, text ? strlen(text) : 0);
}

void args_number(struct redis_args *a, uint64_t n)
{
	char *to;

	if (a->n_numbers == ARGS_NUMBERS) {
		a->n = ARGS_MAX + 1;
		return;
	}
	to = a->numbers[a->n_numbers++];
	(void)snprintf(to, sizeof(a->numbers[0]), "%llu", (unsigned long long)n);
	args_text(a, to);
}

void args_signed(struct redis_args *a, int n)
{
	if (n >= 0) {
		args_number(a, (uint64_t)n);
		return;
	}
	args_number(a, (uint64_t) - (int64_t)n);
	if (a->n <= ARGS_MAX) { /* there is room for it: a number of an int is short */
		char *to = a->numbers[a->n_numbers - 1];

		a->lengths[a->n - 1] = (size_t)snprintf(to, sizeof(a->numbers[0]), "%d", n);
	}
}

int args_eval(const struct redis_args *a, struct redis *r, struct redis_script *script, redis_reply_fn *fn, void *arg)
{
	int rc;

	if (a->n > ARGS_MAX || r->is_closing)
		return -EAGAIN;
	rc = redis_eval(r->jobs, script, fn, arg, 0, a->n, a->argv, a->lengths);
	return rc == 0 || rc == -ENOMEM ? rc : -EAGAIN;
}

const redisReply *reply_at(const redisReply *reply, size_t i)
{
	return reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL;
}

const char *reply_text(const redisReply *reply, size_t i)
{
	const redisReply *e = reply_at(reply, i);

	return e && (e->type == REDIS_REPLY_STRING || e->type == REDIS_REPLY_STATUS) && e->str ? e->str : "";
}

uint64_t reply_number(const redisReply *reply, size_t i)
{
	const redisReply *e = reply_at(reply, i);

	if (e && e->type == REDIS_REPLY_INTEGER)
		return e->integer > 0 ? (uint64_t)e->integer : 0;
	return strtoull(reply_text(reply, i), NULL, 10); /* what is no number is 0 */
}

void reply_copy(const redisReply *reply, size_t i, char *ret, size_t room)
{
	if (text_copy(ret, room, reply_text(reply, i)) < 0)
		ret[0] = '\0'; /* longer than anything of ours: not ours */
}
