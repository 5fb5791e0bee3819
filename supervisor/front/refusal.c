/* Errors as refusals: see refusal.h. */
#include "supervisor/front/refusal.h"

#include <assert.h>
#include <errno.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

/* Which refusal an errno is; those without a sentence of their own take the error's. */
struct reason {
	int code; /* 0: any other */
	enum refusal_kind kind;
	unsigned retry_s;
	const char *field, *text;
};

/* clang-format off */
static const char *const words[] = {
	[REFUSED_INVALID] =    "invalid_request",
	[REFUSED_RUNTIME] =    "unknown_runtime",
	[REFUSED_CEILING] =    "above_ceiling",
	[REFUSED_SIZE] =       "too_large",
	[REFUSED_FORBIDDEN] =  "forbidden",
	[REFUSED_KEY_TAKEN] =  "idempotency_conflict",
	[REFUSED_ID_TAKEN] =   "conflict",
	[REFUSED_QUOTA] =      "quota_exceeded",
	[REFUSED_BUSY] =       "busy",
	[REFUSED_QUEUE_FULL] = "queue_full",
	[REFUSED_OVERLOADED] = "overloaded",
	[REFUSED_STOPPING] =   "stopping",
	[REFUSED_UNABLE] =     "unable",
	[REFUSED_IMAGE] =      "image_missing",
	[REFUSED_STORAGE] =    "storage_full",
	[REFUSED_INTERNAL] =   "internal_error",
};
static const struct reason spec_reasons[] = {
	{ ENOENT,    REFUSED_RUNTIME,    0, NULL, NULL },
	{ ERANGE,    REFUSED_CEILING,    0, NULL, NULL },
	{ E2BIG,     REFUSED_SIZE,       0, NULL, NULL },
	{ EINVAL,    REFUSED_INVALID,    0, NULL, NULL },
	{ 0,         REFUSED_OVERLOADED, 1, NULL, NULL },
};
static const struct reason work_reasons[] = {
	{ ESHUTDOWN, REFUSED_STOPPING,   1, NULL, NULL },
	{ EDQUOT,    REFUSED_QUOTA,      1, NULL, NULL },
	{ EBUSY,     REFUSED_BUSY,       1, NULL, NULL },
	{ EHOSTDOWN, REFUSED_UNABLE,     5, NULL, NULL },
	{ ENOMEDIUM, REFUSED_IMAGE,     30, NULL, NULL },
	{ ENOSPC,    REFUSED_STORAGE,   30, NULL, NULL },
	{ 0,         REFUSED_OVERLOADED, 1, NULL, NULL },
};
static const struct reason callback_reasons[] = {
	{ EACCES,    REFUSED_FORBIDDEN,  0, "callback.url", NULL },
	{ 0,         REFUSED_INVALID,    0, "callback.url", NULL },
};
static const struct reason queue_reasons[] = {
	{ EAGAIN,    REFUSED_OVERLOADED, 1, NULL, NULL },
	{ ENOMEM,    REFUSED_OVERLOADED, 1, NULL, "out of memory" },
	{ ENOBUFS,   REFUSED_QUEUE_FULL, 1, NULL, NULL },
	{ ENOSPC,    REFUSED_STORAGE,   30, NULL, "this node has no disk space left" },
	{ 0,         REFUSED_INTERNAL,   0, NULL, NULL },
};
static const struct reason taken_key = { EEXIST, REFUSED_KEY_TAKEN, 0, NULL, NULL };
static const struct reason taken_id =  { EEXIST, REFUSED_ID_TAKEN,  0, "id", NULL };
/* clang-format on */

static_assert(sizeof(words) / sizeof(words[0]) == REFUSAL_KINDS, "each kind has a word");

const char *refusal_word(enum refusal_kind kind)
{
	return words[kind];
}

static void say(struct refusal *ret, const struct reason *r, unsigned retry_s, const char *field, const struct error *e)
{
	*ret = (struct refusal){ .kind = r->kind };
	ret->retry_s = r->retry_s && retry_s ? retry_s : r->retry_s;
	(void)text_copy(ret->field, sizeof(ret->field), field ? field : r->field ? r->field : "");
	(void)text_copy(ret->text, sizeof(ret->text), r->text ? r->text : e->text);
}

static const struct reason *find_reason(const struct reason *r, int code)
{
	while (r->code && r->code != code)
		r++;
	return r;
}

void refusal_of_work(struct refusal *ret, int r, unsigned retry_s, const struct error *e)
{
	say(ret, find_reason(work_reasons, -r), retry_s, NULL, e);
}

void refusal_of_spec(struct refusal *ret, int r, const char *field, const struct error *e)
{
	say(ret, find_reason(spec_reasons, -r), 0, *field || r != -ENOENT ? field : "runtime", e);
}

void refusal_of_callback(struct refusal *ret, int r, const struct error *e)
{
	say(ret, find_reason(callback_reasons, -r), 0, NULL, e);
}

void refusal_of_queue(struct refusal *ret, const struct error *e, bool has_key)
{
	const struct reason *r = find_reason(queue_reasons, e->code);

	if (e->code == EEXIST)
		r = has_key ? &taken_key : &taken_id;
	say(ret, r, 0, NULL, e);
}
