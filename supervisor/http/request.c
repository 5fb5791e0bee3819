/* A request, from its head to its answer: see request.h. */
#include "supervisor/http/request.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "supervisor/http/conn.h"
#include "supervisor/http/cors.h"
#include "supervisor/http/server.h"

enum { BODY_KEPT_ROOM = 16 << 10, DEADLINE_EACH_BYTES = 64 << 10 };

/* ---- life ---- */

static struct http_request *request_new(struct conn *c)
{
	struct http_server *s = c->server;
	struct http_request *rq;
	struct buf headers;

	if (s->n_pool > REQUEST_POOL) {
		rq = LIST_ENTRY(struct http_request, pool, list_take(&s->pool));
		s->n_pool--;
	} else {
		rq = alloc_bytes(sizeof(*rq));
		rq->headers = (struct buf)BUF_INIT;
		rq->memory.used = 0;
		rq->memory.blocks = NULL;
	}
	headers = rq->headers;
	memset(rq, 0, offsetof(struct http_request, uri));
	rq->headers = headers;
	rq->phase = REQUEST_BODY;
	rq->conn = c;
	rq->server = s;
	rq->from = c->peer;
	rq->method = "-";
	rq->target = (char *)(uintptr_t) "-"; /* until it is known; never written to */
	rq->target_size = 1;
	rq->uri.path = "-";
	rq->uri.n_segments = rq->uri.n_query = 0;
	rq->started_ns = clock_now_ns();
	c->rq = rq;
	return rq;
}

static void request_free(struct http_request *rq)
{
	struct http_server *s = rq->server;

	assert(rq->phase != REQUEST_DEAD);
	if (rq->free_caller)
		rq->free_caller(rq->caller);
	s->bodies_bytes -= rq->body.room;
	buf_done(&rq->body);
	if (rq->headers.room > BODY_KEPT_ROOM)
		buf_done(&rq->headers);
	buf_reset(&rq->headers);
	arena_reset(&rq->memory);
	rq->phase = REQUEST_DEAD;
	rq->conn = NULL;
	list_append(&s->pool, &rq->pool);
	s->n_pool++;
}

void request_pool_done(struct http_server *s)
{
	for (struct link *l = s->pool.next, *next; l != &s->pool; l = next) {
		struct http_request *rq = LIST_ENTRY(struct http_request, pool, l);

		next = l->next;
		buf_done(&rq->headers);
		free(rq);
	}
	list_init(&s->pool);
	s->n_pool = 0;
}

static void tell_done(struct http_request *rq, int status)
{
	if (rq->server->options.done)
		rq->server->options.done(rq, rq->match ? rq->match->row : NULL, status, clock_now_ns() - rq->started_ns,
					 rq->server->options.arg);
}

void request_end(struct http_request *rq, int status)
{
	struct conn *c = rq->conn;

	if (c)
		c->rq = NULL;
	tell_done(rq, !c || c->is_doomed ? 499 : status);
	if (c)
		conn_answered(c, rq->is_complete);
	request_free(rq);
}

void request_gone(struct http_request *rq)
{
	rq->conn = NULL;
	if (rq->on_gone) {
		rq->on_gone(rq, rq->data);
		assert(rq->phase != REQUEST_DEAD); /* who is told must not answer any more */
	} else if (rq->phase == REQUEST_STREAM) {
		return; /* its next write says so; its end frees it */
	}
	tell_done(rq, 499);
	request_free(rq);
}

/* ---- refusals ---- */

/* Refused before its framing can be trusted: the connection ends with it. */
static void refuse(struct http_request *rq, const struct request_refusal *r)
{
	rq->conn->is_keep_alive = false;
	http_error(rq, r->status, r->code, NULL, "%s", r->message);
}

void request_refuse(struct conn *c, int status, const char *code, const char *message)
{
	struct http_request *rq = request_new(c);

	c->state = CONN_ANSWER;
	refuse(rq, &(struct request_refusal){ status, code, message });
}

void request_timeout(struct http_request *rq)
{
	static const struct request_refusal r = { 408, "timeout", "the request's body did not arrive in time" };

	refuse(rq, &r);
}

/* ---- what is asked for ---- */

static void handle(struct http_request *rq)
{
	struct conn *c = rq->conn;

	c->state = CONN_ANSWER;
	rq->phase = REQUEST_HANDLING;
	rq->is_complete = true;
	deadline_clear(&c->wait);
	rq->match->row->handle(rq);
	/* answered, a stream, upgraded, or somebody is told when the client goes: nothing else lets a request end */
	assert(c->rq != rq || rq->phase != REQUEST_HANDLING || rq->on_gone || c->is_doomed);
}

static void answer_options(struct http_request *rq, const char *allow)
{
	http_set_header(rq, "Allow", allow);
	cors_preflight(rq, allow);
	http_reply(rq, 204, NULL, NULL, 0);
}

/* The route, or an answer: false. */
static bool find_route(struct http_request *rq)
{
	char allow[ROUTES_ALLOW_BYTES];
	bool is_options = strcmp(rq->method, "OPTIONS") == 0;

	if (is_options && rq->uri.n_segments == 0) {
		answer_options(rq, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
		return false;
	}
	rq->match = routes_match(rq->server->routes, rq->method, &rq->uri, allow);
	if (rq->match)
		return true;
	if (!allow[0]) {
		http_error(rq, 404, "not_found", NULL, "there is nothing at this path");
	} else if (is_options) {
		answer_options(rq, allow);
	} else {
		http_set_header(rq, "Allow", allow);
		http_error(rq, 405, "method_not_allowed", NULL, "this path takes %s", allow);
	}
	return false;
}

/* RFC 9110 section 15.5.16: which codings would do is said in Accept-Encoding. false: answered. */
static bool body_is_plain(struct http_request *rq)
{
	const char *coding = http_header(rq, "content-encoding");

	if (!coding || !*coding || strcasecmp(coding, "identity") == 0 || body_is_complete(&rq->conn->body))
		return true;
	rq->conn->is_keep_alive = false;
	http_set_header(rq, "Accept-Encoding", "identity");
	http_error(rq, 415, "unsupported_encoding", "Content-Encoding",
		   "Content-Encoding: bodies are taken as they are, not compressed");
	return false;
}

/* A body that is announced too large is refused before it is sent. false: answered. */
static bool body_is_welcome(struct http_request *rq)
{
	static const struct request_refusal expectation = { 417, "expectation_failed",
							    "Expect: only 100-continue is understood" };
	static const struct iovec go_on = { (char *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", 25 };
	struct conn *c = rq->conn;
	const char *expect = http_header(rq, "expect");

	if (body_is_complete(&c->body))
		return true;
	if (expect && strcasecmp(expect, "100-continue") != 0) {
		refuse(rq, &expectation);
		return false;
	}
	if (expect && !rq->is_http10)
		(void)conn_send(c, &go_on, 1); /* a failure has doomed the connection */
	return true;
}

static void refuse_large(struct http_request *rq)
{
	rq->conn->is_keep_alive = false;
	http_error(rq, 413, "body_too_large", NULL, "the request's body is larger than %zu bytes",
		   rq->server->options.limits.body_bytes);
}

void request_begin(struct conn *c, const char *head, size_t size)
{
	struct http_request *rq = request_new(c);
	const struct http_options *o = &c->server->options;
	const struct request_refusal *r;
	struct request_refusal memory;

	c->state = CONN_ANSWER;
	c->body_part = 0;
	body_begin_sized(&c->body, 0);
	r = request_parse_head(c, rq, head, size, &memory);
	if (r) {
		refuse(rq, r);
		return;
	}
	rq->is_complete = body_is_complete(&c->body);
	cors_begin(rq);
	if (c->body.at == BODY_DATA && c->body.left > o->limits.body_bytes) {
		refuse_large(rq);
		return;
	}
	if (!find_route(rq))
		return;
	if (o->gate && !o->gate(rq, rq->match->row, o->arg)) {
		assert(c->rq != rq); /* it has answered */
		return;
	}
	if (c->rq != rq || !body_is_plain(rq) || !body_is_welcome(rq)) /* everything was closed inside the gate */
		return;
	if (rq->is_complete) {
		handle(rq);
		return;
	}
	c->state = CONN_BODY;
}

/* ---- the body ---- */

/* Room for more, doubling, within the bound of all bodies together. */
static bool body_append(struct http_request *rq, const char *data, size_t size)
{
	struct http_server *s = rq->server;
	size_t before = rq->body.room;
	int r;

	rq->body.max = s->options.limits.body_bytes;
	if (s->bodies_bytes + size > s->options.limits.bodies_bytes) {
		rq->conn->is_keep_alive = false;
		http_set_header(rq, "Retry-After", "1");
		http_error(rq, 503, "busy", NULL, "the bodies of too many requests are being received");
		return false;
	}
	r = buf_append(&rq->body, data, size);
	s->bodies_bytes += rq->body.room - before;
	if (r < 0) /* its bound */
		refuse_large(rq);
	return r == 0;
}

size_t request_feed(struct conn *c, const char *data, size_t size)
{
	static const struct request_refusal chunk = { 400, "bad_request",
						      "a chunk of the request's body is not valid" };
	struct http_request *rq = c->rq;
	const char *piece;
	size_t n;
	ptrdiff_t used = body_next(&c->body, data, size, &piece, &n);

	if (used < 0) {
		if (rq)
			refuse(rq, &chunk);
		else
			conn_finish(c, true);
		return size;
	}
	c->body_part += n;
	if (rq && n > 0 && !body_append(rq, piece, n))
		return (size_t)used;
	if (rq && c->body_part > DEADLINE_EACH_BYTES) {
		c->body_part = 0;
		deadline_clear(&c->wait); /* set anew: so many bytes in each body_ms are asked for */
	}
	if (body_is_complete(&c->body)) {
		if (rq)
			handle(rq);
		else
			c->state = CONN_HEAD;
	} else if (!rq && c->body_part > CONN_SKIP_BYTES) {
		conn_finish(c, true);
	}
	return (size_t)used;
}

/* ---- a client that closed its sending side ---- */

/*
 * Gone or only done with sending? On TCP the same packet says both. A client that is gone resets the connection when
 * anything reaches it, so we say something that a waiting client must ignore: an interim answer, RFC 9110 section 15.2.
 * The reset arrives as an error of the socket. In the middle of an answer nothing can be said; then it counts as gone.
 */
bool request_half_closed(struct http_request *rq)
{
	static const struct iovec probe = { (char *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", 25 };

	if (rq->phase != REQUEST_HANDLING || rq->is_http10)
		return false;
	return conn_send(rq->conn, &probe, 1) == 0;
}
