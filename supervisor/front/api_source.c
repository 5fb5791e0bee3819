/* ?source= and what is said of one: see api_source.h. */
#include "supervisor/front/api_source.h"

#include <string.h>

#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"

static const struct {
	const char *name, *word;
} spaces[] = {
	[SPACE_HERE] = { "embedded", "the database" },
	[SPACE_REDIS] = { "redis", "Redis" },
};

bool source_is_chosen(const struct front *f, size_t i, const struct source_choice *choice)
{
	enum queue_space space = f->sources.all[i]->space;

	for (size_t k = 0; k < i; k++)
		if (f->sources.all[k]->space == space)
			return false;
	return !choice->is_said || choice->space == space;
}

size_t source_last(const struct front *f, const struct source_choice *choice)
{
	size_t last = 0;

	for (size_t i = 0; i < f->sources.n; i++)
		if (source_is_chosen(f, i, choice))
			last = i;
	return last;
}

static bool are_admins(const struct front *f, enum queue_space space)
{
	for (size_t i = 0; i < f->sources.n; i++)
		if (f->sources.all[i]->space == space)
			return f->sources.all[i]->ops->letters_are_admins;
	return false;
}

bool source_choose(struct http_request *rq, bool is_letters, struct source_choice *ret)
{
	const struct front *f = front_of(rq);
	const char *name = http_query(rq, "source");
	size_t i = 0;

	*ret = (struct source_choice){ .is_said = name != NULL };
	if (!name)
		return true;
	while (i < sizeof(spaces) / sizeof(spaces[0]) && strcmp(spaces[i].name, name) != 0)
		i++;
	ret->space = (enum queue_space)i;
	if (i == sizeof(spaces) / sizeof(spaces[0]))
		http_error(rq, 400, "invalid_request", "source", "source: '%s' is neither embedded nor redis", name);
	else if (ret->space == SPACE_REDIS && !f->redis)
		http_error(rq, 400, "invalid_request", "source", "source: this node has no Redis (REDIS_URL)");
	else if (is_letters && are_admins(f, ret->space) && !caller_is_admin(front_caller(rq)))
		http_error(rq, 403, "forbidden", "source", "source: dead letters of %s are for administrators",
			   spaces[i].word); /* a malformed one has no owner that could be believed */
	else
		return true;
	return false;
}

const char *source_word(const struct source *s)
{
	return spaces[s->space].word;
}

void source_away(struct http_request *rq, const struct source *s)
{
	if (s->space == SPACE_HERE) {
		api_busy(rq);
		return;
	}
	http_set_header(rq, "Retry-After", "2");
	http_error(rq, 503, "overloaded", NULL, "%s cannot be asked at the moment", spaces[s->space].word);
}
