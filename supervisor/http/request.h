/*
 * A request: made when its head is complete, ended by its answer or by its client going away.
 *
 * A handler keeps a bare pointer to it. So that a stale one is noticed instead of answering somebody else, requests that
 * ended are marked dead and used again only after REQUEST_POOL others have ended; every public function asserts that
 * its request lives.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "supervisor/http/arena.h"
#include "supervisor/http/list.h"
#include "supervisor/http/peer.h"
#include "supervisor/http/uri.h"

struct conn;
struct http_server;
struct route_match;

enum { REQUEST_FIELDS_MAX = 100, REQUEST_POOL = 64, REQUEST_URI_BYTES = 8192 };

enum request_phase {
	REQUEST_DEAD,
	REQUEST_BODY,     /* not all here */
	REQUEST_HANDLING, /* the handler has it, nothing of the answer was said */
	REQUEST_STREAM,
};

struct request_field {
	char *name, *value; /* terminated; the name in lower case */
	size_t name_size, value_size;
};

struct http_request {
	enum request_phase phase;
	struct conn *conn; /* NULL: the client is gone and the handler does not know yet (a stream) */
	struct http_server *server;
	struct link pool;
	struct buf headers; /* of the answer, as set by the handler; its memory is kept for the next */
	struct peer from;
	size_t n_fields;
	const char *method;
	char *target;
	size_t target_size;
	const struct route_match *match; /* NULL: none */
	struct buf body;
	bool is_complete; /* the body is here */
	bool is_http10;
	bool is_chunked; /* its answer */
	uint64_t started_ns;
	int status; /* of a stream */
	bool has_cache_control, has_request_id;
	void *caller;
	void (*free_caller)(void *caller);
	void (*on_gone)(struct http_request *rq, void *data);
	void (*on_drain)(struct http_request *rq, void *data);
	void *data;
	char id[72], peer[PEER_TEXT_BYTES];
	/* from here on nothing is cleared for the next */
	struct uri uri;
	struct request_field fields[REQUEST_FIELDS_MAX];
	struct arena memory;
};

/*
 * Look for the end of a head in data, from *scanned on (kept between calls while more comes).
 * Returns its size; 0: not yet complete; -EINVAL: it has a bare CR or LF, a folded line, or a control character.
 */
ptrdiff_t request_scan_head(const char *data, size_t size, size_t *scanned);

/* An answer to what cannot be served: all texts static. */
struct request_refusal {
	int status;
	const char *code, *message;
};

/*
 * Everything about a head that can be wrong before somebody asks for something. memory is for the answer's.
 * Returns NULL when it is good: rq has its method, target and fields, and c->body knows where the body ends.
 */
const struct request_refusal *request_parse_head(struct conn *c, struct http_request *rq, const char *head, size_t size,
						 struct request_refusal *memory);

/* The first field of that name from an index on; NULL. */
const struct request_field *request_field(const struct http_request *rq, const char *name, size_t from);

/* A complete head: parse, find the route, ask the gate, and call the handler if no body is to come. */
void request_begin(struct conn *c, const char *head, size_t size);

/* Bytes of a body (BODY), or of one nobody wants (SKIP). Returns how many were used; the rest is the next request's. */
size_t request_feed(struct conn *c, const char *data, size_t size);

/* Refuse what is not even a request: answers with an error and closes. */
void request_refuse(struct conn *c, int status, const char *code, const char *message);

/* The body does not come: 408. */
void request_timeout(struct http_request *rq);

/* The answer was given: tell `done`, free. The connection goes on with conn_answered(). */
void request_end(struct http_request *rq, int status);

/* The client is gone: tell the handler. */
void request_gone(struct http_request *rq);

/* The client sends no more while its answer is pending. true: the answer is still wanted as far as we know. */
bool request_half_closed(struct http_request *rq);

/* A field's value holds a token, in a list separated by commas. */
bool request_has_token(const struct http_request *rq, const char *field, const char *token);

void request_pool_done(struct http_server *s);

/* For reply.c, stream.c, ws.c: status line and fields into server->scratch. size < 0: no Content-Length. */
int reply_head(struct http_request *rq, int status, const char *type, int64_t size, const char *connection);
const char *reply_reason(int status);
/* The end of every answer: keep the connection or not. */
const char *reply_connection(const struct http_request *rq);
