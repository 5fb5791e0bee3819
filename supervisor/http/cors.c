/* CORS: see cors.h. */
#include "supervisor/http/cors.h"

#include <string.h>
#include <strings.h>

#include "supervisor/http/http.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"

/* What a page may send and what it may see, beyond what every page may. */
static const char request_fields[] =
	"Authorization, X-API-Key, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id";
static const char answer_fields[] = "Retry-After, Location, X-Request-Id, Idempotency-Replayed, RateLimit-Limit, "
				    "RateLimit-Remaining, RateLimit-Reset";
static const char seconds_kept[] = "600";

static const char *listed_origins(const struct http_request *rq)
{
	return rq->server->options.origins ? rq->server->options.origins : "";
}

bool cors_is_listed(const struct http_request *rq, const char *origin)
{
	size_t size = strlen(origin), n;

	for (const char *s = listed_origins(rq); *(s += strspn(s, " \t,")); s += n) {
		n = strcspn(s, " \t,");
		if (n == size && strncasecmp(s, origin, n) == 0)
			return true;
	}
	return false;
}

/* The origin that the request names, when it is listed. */
static const char *listed(const struct http_request *rq)
{
	const char *origin = http_header(rq, "origin");

	return origin && cors_is_listed(rq, origin) ? origin : NULL;
}

void cors_begin(struct http_request *rq)
{
	const char *origin;

	if (!*listed_origins(rq))
		return;
	http_set_header(rq, "Vary", "Origin"); /* also of those who get nothing: a cache must not mix them up */
	origin = listed(rq);
	if (!origin)
		return;
	http_set_header(rq, "Access-Control-Allow-Origin", origin);
	http_set_header(rq, "Access-Control-Expose-Headers", answer_fields);
}

void cors_preflight(struct http_request *rq, const char *allow)
{
	if (!http_header(rq, "access-control-request-method") || !listed(rq))
		return;
	http_set_header(rq, "Access-Control-Allow-Methods", allow);
	http_set_header(rq, "Access-Control-Allow-Headers", request_fields);
	http_set_header(rq, "Access-Control-Max-Age", seconds_kept);
}
