/*
 * The HTTP edge: HTTP/1.1 and WebSocket on TCP and unix sockets, on the libuv loop of the front.
 *
 * Why not libwebsockets for this: the 4.1.6 of Debian 12 was tried. It takes frames without a mask, two requests on one
 * connection make it use memory that it has freed, `Upgrade: h2c` cannot be switched off, its deflate on libuv ends the
 * process, and it never sees chunked request bodies, so that they can smuggle requests. It does not notice a client that
 * hangs up while its answer is pending, and keeps all timers in one list that idle connections lengthen
 * (docs/architecture.md). Of 39 conformance rows for WebSockets it passed 25, and wslay 36; ws.c adds the other three. So: llhttp parses heads (behind a strict scan; both Content-Length and
 * Transfer-Encoding refused), wslay frames WebSocket messages, and this folder owns sockets, bounds, time-outs and
 * back-pressure for both. No HTTP/2, no compression: a proxy in front can add them.
 *
 * Bounds, each answered by a 4xx with a sentence or by closing, each with a test: http_limits. A connection that sends
 * slowly, or reads slowly, is closed after a time-out; what waits for a slow reader is bounded per connection.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

struct error;
struct http_server;
struct http_request; /* one request and its answer; lives until both are done or the client is gone */
struct ws;           /* one WebSocket, after http_upgrade() */

struct http_limits {
	size_t header_bytes;  /* request line and headers together: 16 KiB; 431 */
	size_t body_bytes;    /* 413 */
	size_t bodies_bytes;  /* of all requests that are being received or handled; 503 */
	size_t message_bytes; /* one WebSocket message; close 1009 */
	size_t queue_bytes;   /* waiting for one reader of a stream or WebSocket: -ENOBUFS, http_stream_queued() */
	unsigned connections; /* 503 and close above */
	unsigned header_ms;   /* until a head is complete; 408 */
	unsigned body_ms;     /* until the next 64 KiB of a body, or its end, have come; 408 */
	unsigned idle_ms;     /* between requests */
	unsigned write_ms;    /* without progress in writing */
	unsigned ping_ms, silent_ms; /* of a WebSocket: how often we ask, and how long a peer may say nothing */
};
void http_limits_defaults(struct http_limits *l);

/* ---- routes ---- */

typedef void http_handler(struct http_request *rq);

/* Who may: the needed right, a bit of enum scope (auth/auth.h); 0: everybody. */
struct http_route {
	const char *method; /* "GET", which answers HEAD as well, without a body; "ANY" */
	const char *path;   /* "/v1/jobs/{id}/events"; {name} is one segment, {name...} the rest */
	unsigned scope;
	http_handler *handle;
	/* for /openapi.json */
	const char *summary;
	const char
		*parameters; /* query: "from integer: first event; ...", `name type: text` separated by ';', or NULL */
	const char *body;    /* name of a schema, or NULL */
	const char *answer;  /* the same for a success; a media type ("text/plain") for what is no JSON */
	int status;          /* of success: 200, 201, 202, 204, 101 for WebSocket */
	const char *also;    /* other answers with schemas of their own: "202 Accepted; 4XX OtherError", or NULL */
	unsigned flags;
};
enum {
	HTTP_ROUTE_WS = 1,
	HTTP_ROUTE_STREAM = 2, /* answers SSE or NDJSON */
	HTTP_ROUTE_DOOR = 4,   /* of another service */
};

/*
 * Called when a request's head is there and has a route, before its body is read: authenticate, count, limit. A stranger
 * thus cannot make us keep a body. Returns true to go on; false when it has answered itself.
 */
typedef bool http_gate(struct http_request *rq, const struct http_route *route, void *arg);
/*
 * Called when the answer is complete (or the client gone: status 499): for metrics and the access log. Once for every
 * request, also for those that were refused before they had a route (route NULL), or that were not HTTP (method "-").
 */
typedef void http_done_fn(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *arg);

struct http_options {
	struct http_limits limits;
	const struct http_route *routes; /* ends with a row without a method; borrowed for ever */
	http_gate *gate;
	http_done_fn *done;
	const char *origins;         /* further allowed WebSocket and cookie origins; own origin (Host) always is */
	const char *trusted_proxies; /* addresses or CIDR prefixes, blank separated */
	const char *near_networks;   /* the same: http_peer_is_near() */
	void *arg;
};

/* ret: http_server_close(). */
int http_server_new(uv_loop_t *loop, const struct http_options *options, struct http_server **ret, struct error *err);

/* Serve a listening socket (owned from here on): TCP or unix. */
int http_server_listen(struct http_server *s, int fd, struct error *err);

/* Stop accepting; requests under way are finished, idle connections closed. */
void http_server_drain(struct http_server *s);

/* Close everything: on_gone() and closed() are called from in here. done is called when nothing is left. */
void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg);

struct http_counts {
	uint64_t connections, requests, websockets; /* now, ever, now */
	uint64_t bytes_in, bytes_out;
};
void http_server_counts(const struct http_server *s, struct http_counts *ret);

/* ---- the request ---- */

const char *http_method(const struct http_request *rq);
const char *http_path(const struct http_request *rq);                    /* decoded, without the query */
const char *http_param(const struct http_request *rq, const char *name); /* of the path, decoded; NULL */
const char *http_query(const struct http_request *rq, const char *name); /* decoded; NULL when absent */
const char *http_query_at(const struct http_request *rq, size_t i,
			  const char **ret_value);      /* names in order; NULL past the last */
const char *http_target(const struct http_request *rq); /* path and query as they came */
const char *http_header(const struct http_request *rq, const char *lower_case_name); /* NULL; several: joined by ", " */
const char *http_header_at(const struct http_request *rq, size_t i, const char **ret_value); /* as http_query_at */
const char *http_cookie(const struct http_request *rq, const char *name);                    /* NULL */
const char *http_body(const struct http_request *rq, size_t *ret_size);
bool http_accepts(const struct http_request *rq, const char *media_type); /* Accept names it (not by a wildcard) */

/* The peer: address text as rate limits and audit use it (a trusted proxy's word followed); "unix:UID". */
const char *http_peer(const struct http_request *rq);
/*
 * Does it come from one of options.near_networks, or through a unix socket? A request that a proxy says it forwards does
 * only when that proxy is trusted and names such an address: otherwise everybody behind it would be near.
 */
bool http_peer_is_near(const struct http_request *rq);
/* Peer credentials of a unix socket. false on TCP. */
bool http_peer_cred(const struct http_request *rq, uid_t *ret_uid, pid_t *ret_pid);
bool http_is_cross_origin(const struct http_request *rq); /* an Origin header that is neither ours nor allowed */
const char *http_id(const struct http_request *rq);       /* X-Request-Id: given (checked) or made */

/* Storage for the gate: who calls. free_fn is called with the request's end. */
void http_set_caller(struct http_request *rq, void *caller, void (*free_fn)(void *caller));
void *http_caller(const struct http_request *rq);
void *http_arg(const struct http_request *rq); /* http_options.arg */
uv_loop_t *http_loop(const struct http_request *rq);

/*
 * When is a client gone? When its connection is reset or closed. On TCP a client that closes only its sending side and
 * waits (`nc -N`) looks the same as one that hung up, so it is sent an interim answer (100), which makes a client that
 * is gone reset the connection: gone is then known after one round trip, and a waiting one gets its answer. During a
 * stream, and for HTTP/1.0, where nothing can be said in between, the end of its sending counts as gone. Unix sockets
 * tell the two apart by themselves.
 *
 * A handler that does not answer before it returns must say whom to tell when the client goes away; after that
 * call, and after the answer is complete, rq must not be touched. A handler returns with: an answer given, a stream
 * begun, an upgrade, or this set.
 */
void http_on_gone(struct http_request *rq, void (*fn)(struct http_request *rq, void *data), void *data);
void *http_data(const struct http_request *rq);

/* ---- the answer ---- */

/* A header of the answer; before it. Values with control characters are dropped. */
void http_set_header(struct http_request *rq, const char *name, const char *value);
void http_set_header_f(struct http_request *rq, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Complete answers: rq is gone afterwards. Data is copied. type NULL: no body. */
void http_reply(struct http_request *rq, int status, const char *type, const void *data, size_t size);
void http_reply_json(struct http_request *rq, int status, json_t *owned);
/* {"error":{"code","message","field"}}; field may be NULL. A 5xx is logged with the request's id. */
void http_error(struct http_request *rq, int status, const char *code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* An in-memory file with ETag (If-None-Match: 304) and Range (206, 416). Data is copied. */
void http_reply_file(struct http_request *rq, const char *type, const void *data, size_t size, const char *etag);

/* An answer in pieces (SSE, NDJSON; chunked, or until close for HTTP/1.0). http_on_gone() should be set. */
void http_stream_begin(struct http_request *rq, int status, const char *type);
/*
 * Returns 0; -ENOBUFS when queue_bytes would be passed (nothing was queued: wait for drain); -EPIPE client gone. When
 * nothing waits, any size is taken. Never calls back: on_gone() and drain come from the loop.
 */
int http_stream_write(struct http_request *rq, const void *data, size_t size);
size_t http_stream_queued(const struct http_request *rq);
/* Called each time everything queued was written. */
void http_stream_on_drain(struct http_request *rq, void (*fn)(struct http_request *rq, void *data));
void http_stream_end(struct http_request *rq); /* rq is gone afterwards */

/* ---- WebSocket ---- */

struct ws_handlers {
	/* One whole message; data is borrowed and not terminated. Invalid UTF-8 in text closes with 1007 before this. */
	void (*message)(struct ws *ws, bool is_text, const void *data, size_t size, void *data_arg);
	void (*drain)(struct ws *ws, void *data_arg);            /* everything queued was written */
	void (*closed)(struct ws *ws, int code, void *data_arg); /* last call; ws is gone afterwards */
};

/*
 * Accept the upgrade: rq is gone afterwards (its caller lives on in the ws). NULL: it was answered with 400, 426 or 403
 * (a foreign Origin: SECURITY.md, row 25). Pings are answered, and sent each 30 s; a peer silent for 75 s is gone.
 */
struct ws *http_upgrade(struct http_request *rq, const struct ws_handlers *handlers, void *data);
int ws_send(struct ws *ws, bool is_text, const void *data, size_t size); /* as http_stream_write */
size_t ws_queued(const struct ws *ws);
void ws_pause(struct ws *ws, bool on); /* do not read for a while; messages in the 4 KiB read last may still come */
void ws_close(struct ws *ws, int code, const char *reason); /* closed() follows */
void *ws_caller(const struct ws *ws);

/* ---- for tests and fuzzing ---- */

/* Serve one already connected socket (owned). */
int http_server_adopt(struct http_server *s, int fd, struct error *err);
