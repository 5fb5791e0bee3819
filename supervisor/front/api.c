/* What all handlers share: see api.h. */
#include "supervisor/front/api.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/json_table.h"
#include "supervisor/auth/auth.h"
#include "supervisor/http/http.h"

enum { DEPTH_MAX = 32 };

/* Brackets outside of strings. jansson recurses, and its own bound of 2048 is far above what any of our documents needs. */
static bool is_flat(const char *text, size_t size)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > DEPTH_MAX)
				return false;
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return true;
}

json_t *api_json(const char *text, size_t size)
{
	json_t *value = is_flat(text, size) ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (value && json_whole_numbers(value) < 0) {
		json_decref(value);
		value = NULL;
	}
	return value;
}

const struct caller *front_caller(struct http_request *rq)
{
	return http_caller(rq);
}

bool front_may(const struct caller *caller, const char *owner)
{
	return caller_is_admin(caller) || strcmp(caller->owner, owner) == 0;
}

static void come_back(struct http_request *rq, const char *why)
{
	http_set_header(rq, "Retry-After", "1");
	http_error(rq, 503, "overloaded", NULL, "%s", why);
}

void api_busy(struct http_request *rq)
{
	come_back(rq, "the database is behind, try again in a second");
}

void api_fail(struct http_request *rq, const struct error *e)
{
	switch (e->code) {
	case EAGAIN: /* what is behind or away says so itself */
		if (e->text[0])
			come_back(rq, e->text);
		else
			api_busy(rq);
		return;
	case ECONNRESET: /* only Redis is behind a connection */
	case ENOTCONN:
	case ETIMEDOUT:
	case ECANCELED:
		come_back(rq, "Redis was lost before it answered, try again in a second");
		return;
	case ENOENT:
		http_error(rq, 404, "not_found", NULL, "%s", e->text);
		return;
	case EINVAL:
		http_error(rq, 400, "invalid_request", NULL, "%s", e->text);
		return;
	case EEXIST:
		http_error(rq, 409, "conflict", NULL, "%s", e->text);
		return;
	case ENOBUFS:
		http_set_header(rq, "Retry-After", "1");
		http_error(rq, 429, "queue_full", NULL, "%s", e->text);
		return;
	case ENOSPC:
		http_set_header(rq, "Retry-After", "30");
		http_error(rq, 507, "storage_full", NULL, "this node has no disk space left");
		return;
	default:
		http_error(rq, 500, "internal_error", NULL, "%s", e->text);
		return;
	}
}
