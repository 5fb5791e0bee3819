/* The registry client, its core: endpoints, one authenticated exchange, tries and words. See client.h. */
#include "images/registry/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "images/registry/client_impl.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

enum {
	REDIRECTS_MAX = 10,
	TRIES_MAX = 6,
	PAUSE_FIRST_MS = 200,
	PAUSE_MAX_MS = 10000,
	WAIT_ASKED_MAX_S = 60, /* a longer Retry-After is a refusal, and is said */
};

/* ---- endpoints ------------------------------------------------------------------------------------------------ */

static void add_endpoint(struct registry *g, const char *server, bool is_plain, bool is_mirror)
{
	struct endpoint *ep = &g->endpoints[g->n_endpoints++];

	ep->is_plain = is_plain;
	ep->is_mirror = is_mirror;
	(void)snprintf(ep->base, sizeof(ep->base), "%s://%s", is_plain ? "http" : "https", server);
}

int registry_new(const struct registry_spec *spec, const struct buf *ca, struct registry **ret, struct error *err)
{
	struct registry *g = calloc(1, sizeof(*g));

	if (!g)
		return error_set(err, ENOMEM, "out of memory");
	g->spec = *spec;
	if (buf_append(&g->ca, buf_str(ca), ca->size) < 0) {
		registry_free(g);
		return error_set(err, ENOMEM, "out of memory");
	}
	g->http = http_new(&(struct http_settings){ .timeout_s = spec->timeout_s,
						    .proxy = g->spec.proxy,
						    .no_proxy = g->spec.no_proxy,
						    .ca = buf_str(&g->ca),
						    .ca_bytes = g->ca.size,
						    .is_ca_only = spec->is_ca_only },
			   err);
	if (!g->http) {
		registry_free(g);
		return -ENOMEM;
	}
	for (size_t i = 0; !spec->is_push && i < spec->n_mirrors && i < REGISTRY_MIRRORS_MAX; i++)
		add_endpoint(g, spec->mirrors[i].server, spec->mirrors[i].is_plain, true);
	add_endpoint(g, spec->server, spec->is_plain, false);
	(void)snprintf(g->scope, sizeof(g->scope), "repository:%s:%s", spec->path,
		       spec->is_push ? "pull,push" : "pull");
	*ret = g;
	return 0;
}

void registry_free(struct registry *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n_endpoints; i++)
		auth_done(&g->endpoints[i]);
	http_free(g->http);
	explicit_bzero(&g->spec, sizeof(g->spec));
	buf_done(&g->ca);
	free(g);
}

int endpoint_url(const struct registry *g, const struct endpoint *ep, char ret[HTTP_URL_BYTES], struct error *err,
		 const char *fmt, ...)
{
	int n = snprintf(ret, HTTP_URL_BYTES, "%s/v2/%s", ep->base, g->spec.path);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret + n, HTTP_URL_BYTES - (size_t)n, fmt, ap); /* bounded parts: it fits */
	va_end(ap);
	/* a mirror may stand for several registries: the specification's "registry proxying" */
	return ep->is_mirror ? http_url_query(ret, "ns", g->spec.name, err) : 0;
}

/* ---- one exchange --------------------------------------------------------------------------------------------- */

static int follow(const struct http_reply *reply, unsigned *hops, char url[HTTP_URL_BYTES], struct error *err)
{
	char next[HTTP_URL_BYTES];
	int r;

	if (++*hops > REDIRECTS_MAX)
		return error_set(err, EPROTO, "more than %d redirects", REDIRECTS_MAX);
	r = http_url_resolve(url, reply->location, next, err);
	if (r < 0)
		return r;
	if (http_url_is_https(url) && !http_url_is_https(next))
		return error_set(err, EACCES, "it redirects from https to http");
	(void)text_copy(url, HTTP_URL_BYTES, next); /* same size */
	return 0;
}

static bool is_redirect(const struct http_request *req, const struct http_reply *reply)
{
	bool is_reading = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;

	return is_reading && reply->location[0] &&
	       (reply->status == 301 || reply->status == 302 || reply->status == 303 || reply->status == 307 ||
		reply->status == 308);
}

int registry_exchange(struct registry *g, struct endpoint *ep, const char *scope, const char *start,
		      struct http_request *req, struct http_reply *reply, struct error *err)
{
	char url[HTTP_URL_BYTES];
	bool has_answered = false;
	unsigned hops = 0;
	int r;

	(void)snprintf(url, sizeof(url), "%s", start);
	req->url = url;
	for (;;) {
		bool is_home = http_url_same_origin(url, ep->base);

		req->authorization = is_home ? auth_header(ep, scope) : NULL;
		req->is_public_only = !is_home && !ep->is_plain;
		r = http_perform(g->http, req, reply, err);
		if (r == 0 && reply->status == 401 && is_home && !has_answered) {
			has_answered = true;
			r = auth_answer(g, ep, scope, reply, err);
		} else if (r == 0 && is_redirect(req, reply)) {
			r = follow(reply, &hops, url, err);
		} else {
			break;
		}
		if (r < 0) {
			reply->status = 0; /* the failure is not in this answer */
			break;
		}
		http_reply_done(reply);
	}
	req->url = NULL;
	req->authorization = NULL;
	return r < 0 ? (error_wrap(err, "%s", ep->base), r) : 0;
}

/* ---- trying again --------------------------------------------------------------------------------------------- */

static bool is_passing(int r, const struct http_reply *reply)
{
	if (r < 0)
		return r == -ECONNREFUSED || r == -ECONNRESET || r == -ETIMEDOUT || r == -EHOSTUNREACH;
	return reply->status == 408 || reply->status == 429 ||
	       (reply->status >= 500 && reply->status <= 599 && reply->status != 501);
}

static void sleep_ms(uint64_t ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000) };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Seconds of a Retry-After: a number, or a date. 0 when there is none or it has passed. */
static uint64_t asked_wait_s(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	struct tm tm = { .tm_sec = 0 };
	time_t at;

	if (digits > 0 && digits < 10 && text[digits] == '\0')
		return strtoul(text, NULL, 10);
	if (!text[0] || !strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		return 0;
	at = timegm(&tm) - time(NULL);
	return at > 0 ? (uint64_t)at : 0;
}

bool retry_again(struct retry *t, int *r, const struct http_reply *reply, struct error *err)
{
	uint64_t pause_ms = (uint64_t)PAUSE_FIRST_MS << t->tries,
		 asked_s = *r == 0 ? asked_wait_s(reply->retry_after) : 0;
	uint16_t dice;

	if (!is_passing(*r, reply) || ++t->tries >= TRIES_MAX)
		return false;
	if (asked_s > WAIT_ASKED_MAX_S) {
		*r = error_set(err, EBUSY, "the registry asks to come back in %llu s (status %ld)",
			       (unsigned long long)asked_s, reply->status);
		return false;
	}
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
		dice = 0;                     /* no jitter then */
	pause_ms += pause_ms * dice / 131072; /* up to half as much again: many clients part ways */
	sleep_ms(asked_s * 1000 > pause_ms ? asked_s * 1000 : pause_ms);
	error_clear(err);
	return true;
}

/* ---- words ---------------------------------------------------------------------------------------------------- */
