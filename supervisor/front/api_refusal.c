/* Refusals over HTTP: see api_refusal.h. */
#include "supervisor/front/api_refusal.h"

#include <assert.h>
#include <stddef.h>

#include "supervisor/http/http.h"

/* clang-format off */
static const int statuses[] = {
	[REFUSED_INVALID] =    400,
	[REFUSED_RUNTIME] =    400,
	[REFUSED_CEILING] =    400,
	[REFUSED_SIZE] =       413,
	[REFUSED_FORBIDDEN] =  403,
	[REFUSED_KEY_TAKEN] =  409,
	[REFUSED_ID_TAKEN] =   409,
	[REFUSED_QUOTA] =      429,
	[REFUSED_BUSY] =       429,
	[REFUSED_QUEUE_FULL] = 429,
	[REFUSED_OVERLOADED] = 503,
	[REFUSED_STOPPING] =   503,
	[REFUSED_UNABLE] =     503,
	[REFUSED_IMAGE] =      503,
	[REFUSED_STORAGE] =    507,
	[REFUSED_INTERNAL] =   500,
};
/* clang-format on */

static_assert(sizeof(statuses) / sizeof(statuses[0]) == REFUSAL_KINDS, "each kind has a status");

int api_refusal_status(enum refusal_kind kind)
{
	return statuses[kind];
}

void api_refuse(struct http_request *rq, const struct refusal *why)
{
	const char *field = why->kind == REFUSED_KEY_TAKEN ? "Idempotency-Key" : *why->field ? why->field : NULL;

	if (why->retry_s)
		http_set_header_f(rq, "Retry-After", "%u", why->retry_s);
	http_error(rq, statuses[why->kind], refusal_word(why->kind), field, "%s", why->text);
}
