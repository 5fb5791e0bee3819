/* What handlers ask of a request: see http.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "supervisor/http/cors.h"
#include "supervisor/http/request.h"
#include "supervisor/http/route.h"
#include "supervisor/http/server.h"

static void must_live(const struct http_request *rq)
{
	assert(rq->phase != REQUEST_DEAD);
}

const char *http_method(const struct http_request *rq)
{
	must_live(rq);
	return rq->method;
}

const char *http_path(const struct http_request *rq)
{
	must_live(rq);
	return rq->uri.path;
}

const char *http_target(const struct http_request *rq)
{
	must_live(rq);
	return rq->target;
}

const char *http_param(const struct http_request *rq, const char *name)
{
	must_live(rq);
	return rq->match ? route_param(rq->match, &rq->uri, name) : NULL;
}

const char *http_query_at(const struct http_request *rq, size_t i, const char **ret_value)
{
	must_live(rq);
	if (i >= rq->uri.n_query)
		return NULL;
	*ret_value = rq->uri.query[i].value;
	return rq->uri.query[i].name;
}

const char *http_query(const struct http_request *rq, const char *name)
{
	must_live(rq);
	for (size_t i = 0; i < rq->uri.n_query; i++)
		if (strcmp(rq->uri.query[i].name, name) == 0)
			return rq->uri.query[i].value;
	return NULL;
}

const char *http_header_at(const struct http_request *rq, size_t i, const char **ret_value)
{
	must_live(rq);
	if (i >= rq->n_fields)
		return NULL;
	*ret_value = rq->fields[i].value;
	return rq->fields[i].name;
}

static const struct request_field *next_field(const struct http_request *rq, const char *name,
					      const struct request_field *f)
{
	return request_field(rq, name, (size_t)(f - rq->fields) + 1);
}

/* Fields of one name are one list, RFC 9110 section 5.3. */
static const char *join_fields(struct http_request *rq, const char *name, const struct request_field *first)
{
	const char *between = strcmp(name, "cookie") == 0 ? "; " : ", ";
	size_t size = first->value_size;
	const struct request_field *f;
	char *all, *end;

	for (f = first; (f = next_field(rq, name, f));)
		size += 2 + f->value_size;
	all = arena_alloc(&rq->memory, size + 1);
	end = stpcpy(all, first->value);
	for (f = first; (f = next_field(rq, name, f));)
		end = stpcpy(stpcpy(end, between), f->value);
	return all;
}

const char *http_header(const struct http_request *rq, const char *lower_case_name)
{
	const struct request_field *f;

	must_live(rq);
	f = request_field(rq, lower_case_name, 0);
	if (!f)
		return NULL;
	if (!next_field(rq, lower_case_name, f))
		return f->value;
	return join_fields((struct http_request *)(uintptr_t)rq, lower_case_name, f); /* only its memory grows */
}

const char *http_cookie(const struct http_request *rq, const char *name)
{
	const char *s = http_header(rq, "cookie");
	size_t size = strlen(name);

	for (; s; s = strchr(s, ';') ? strchr(s, ';') + 1 : NULL) {
		s += strspn(s, " \t");
		if (strncmp(s, name, size) == 0 && s[size] == '=') {
			size_t n = strcspn(s + size + 1, "; \t");

			return arena_copy(&((struct http_request *)(uintptr_t)rq)->memory, s + size + 1, n);
		}
	}
	return NULL;
}

const char *http_body(const struct http_request *rq, size_t *ret_size)
{
	must_live(rq);
	*ret_size = rq->body.size;
	return buf_str(&rq->body);
}

bool request_has_token(const struct http_request *rq, const char *field, const char *token)
{
	const char *s = http_header(rq, field);
	size_t size = strlen(token), n;

	for (; s && *s; s += n + (s[n] == ',')) {
		const char *t = s + strspn(s, " \t");
		size_t k = strcspn(t, ", \t");

		n = strcspn(s, ",");
		if (k == size && strncasecmp(t, token, size) == 0)
			return true;
	}
	return false;
}

bool http_accepts(const struct http_request *rq, const char *media_type)
{
	const char *s = http_header(rq, "accept");
	size_t size = strlen(media_type), n;

	for (; s && *s; s += n + (s[n] == ',')) {
		const char *t = s + strspn(s, " \t"), *q;
		size_t k = strcspn(t, ",; \t");

		n = strcspn(s, ",");
		if (k != size || strncasecmp(t, media_type, size) != 0)
			continue;
		q = memmem(t, (size_t)(s + n - t), "q=", 2);
		return !q || strtod(q + 2, NULL) > 0;
	}
	return false;
}

const char *http_peer(const struct http_request *rq)
{
	char *text = ((struct http_request *)(uintptr_t)rq)->peer; /* made when first asked for */

	must_live(rq);
	if (!text[0])
		peer_text(&rq->from, &rq->server->trusted, http_header(rq, "x-forwarded-for"), text);
	return text;
}

bool http_peer_is_near(const struct http_request *rq)
{
	const char *forwarded = http_header(rq, "x-forwarded-for");

	must_live(rq);
	if (!forwarded && !http_header(rq, "forwarded"))
		return rq->from.is_unix || peer_prefixes_hold(&rq->server->near, &rq->from.address);
	return peer_forwarded_is_in(&rq->from, &rq->server->trusted, forwarded, &rq->server->near);
}

bool http_peer_cred(const struct http_request *rq, uid_t *ret_uid, pid_t *ret_pid)
{
	must_live(rq);
	if (!rq->from.is_unix)
		return false;
	*ret_uid = rq->from.uid;
	*ret_pid = rq->from.pid;
	return true;
}

/* The size of "host[:port]" without the port that its scheme has anyway. */
static size_t without_default_port(const char *host, size_t size, const char *port)
{
	size_t n = strlen(port);

	return size > n && memcmp(host + size - n, port, n) == 0 ? size - n : size;
}

bool http_is_cross_origin(const struct http_request *rq)
{
	const char *origin = http_header(rq, "origin"), *host = http_header(rq, "host"), *of_origin, *port;
	size_t n, n_host;

	if (!origin || cors_is_listed(rq, origin))
		return false;
	of_origin = strstr(origin, "://");
	if (!of_origin || !host)
		return true;
	port = strncasecmp(origin, "https", 5) == 0 ? ":443" : ":80";
	of_origin += 3;
	n = without_default_port(of_origin, strlen(of_origin), port);
	n_host = without_default_port(host, strlen(host), port);
	return n != n_host || strncasecmp(of_origin, host, n) != 0;
}

static bool is_good_id(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

	return n > 0 && n <= 64 && !id[n];
}

const char *http_id(const struct http_request *rq)
{
	char *id = ((struct http_request *)(uintptr_t)rq)->id; /* made when first asked for */
	const char *given;

	must_live(rq);
	if (id[0])
		return id;
	given = http_header(rq, "x-request-id");
	if (given && is_good_id(given)) {
		memcpy(id, given, strlen(given) + 1); /* at most 64 bytes */
		return id;
	}
	memcpy(id, rq->server->id_prefix, 16);
	for (uint64_t n = ++rq->server->n_ids, i = 0; i < 8; i++, n >>= 4)
		id[23 - i] = "0123456789abcdef"[n & 15];
	return id;
}

void http_set_caller(struct http_request *rq, void *caller, void (*free_fn)(void *caller))
{
	must_live(rq);
	assert(!rq->caller);
	rq->caller = caller;
	rq->free_caller = free_fn;
}

void *http_caller(const struct http_request *rq)
{
	must_live(rq);
	return rq->caller;
}

void *http_arg(const struct http_request *rq)
{
	return rq->server->options.arg;
}

uv_loop_t *http_loop(const struct http_request *rq)
{
	return rq->server->loop;
}

void http_on_gone(struct http_request *rq, void (*fn)(struct http_request *rq, void *data), void *data)
{
	must_live(rq);
	rq->on_gone = fn;
	rq->data = data;
}

void *http_data(const struct http_request *rq)
{
	must_live(rq);
	return rq->data;
}
