/* What is leased here: see redis_impl.h. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/text.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

struct held *held_add(struct redis_source *s, const char *id, unsigned attempt, const char *token, size_t token_size)
{
	struct held *h = alloc_zeroed(1, sizeof(*h));

	h->token = alloc_bytes(token_size + 1);
	memcpy(h->token, token, token_size);
	h->token[token_size] = '\0';
	h->token_size = token_size;
	(void)text_copy(h->id, sizeof(h->id), id); /* parse_id() bounds it */
	h->attempt = attempt;
	h->until_ns = clock_deadline_ns(s->r->env.settings->lease_ns);
	h->s = s;
	h->next = s->held;
	s->held = h;
	return h;
}

/* Take it out of where it is linked in, and free it. */
static void unlink_held(struct held **at)
{
	struct held *h = *at;

	*at = h->next;
	free(h->token);
	free(h);
}

void held_drop(struct held *h)
{
	struct held **at = &h->s->held;

	while (*at != h)
		at = &(*at)->next;
	unlink_held(at);
}

static void forget_old(struct redis_source *s)
{
	uint64_t now = clock_now_ns();

	for (struct held **at = &s->held; *at;) {
		if (!(*at)->is_running && now > (*at)->until_ns)
			unlink_held(at);
		else
			at = &(*at)->next;
	}
}

struct held *held_find(struct redis_source *s, const char *id, unsigned attempt)
{
	forget_old(s);
	for (struct held *h = s->held; h; h = h->next)
		if (strcmp(h->id, id) == 0 && (attempt == 0 || h->attempt == attempt))
			return h;
	return NULL;
}

struct held *held_token(struct redis_source *s, const char *token, size_t size)
{
	forget_old(s);
	for (struct held *h = s->held; h; h = h->next)
		if (h->token_size == size && memcmp(h->token, token, size) == 0)
			return h;
	return NULL;
}

void held_free_all(struct redis_source *s)
{
	while (s->held)
		unlink_held(&s->held);
}

void args_entry(struct redis_args *a, const struct held *h, bool with_field)
{
	const struct redis_source *s = h->s;

	args_text(a, s->is_list ? "list" : "stream");
	args_text(a, s->name);
	args_text(a, s->group);
	args_bytes(a, h->token, h->token_size);
	if (with_field)
		args_text(a, s->field);
}
