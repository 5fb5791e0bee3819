/*
 * One connection: its socket, what was read and not yet understood, what waits to be written, and which of the states
 * below it is in. Everything about bytes is here; what they mean is request.c, reply.c, stream.c and ws.c.
 *
 *   HEAD -> BODY -> ANSWER -> HEAD ...        a request, its body, its handler; one at a time, in order
 *             \-> ANSWER -> SKIP -> HEAD      answered before its body was there: the rest of it is thrown away
 *   ANSWER -> WS                              upgraded
 *   any -> FLUSH -> LINGER -> CLOSED          the last answer is on its way; then we wait for the peer to close first,
 *                                             since closing with unread bytes would make the kernel drop the answer
 *
 * A connection is never freed inside a callback of its own: conn_doom() asks for it, the end of the round does it.
 * Whoever calls out (a handler, a WebSocket's message) looks at the state again afterwards.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "runtime/base/buf.h"
#include "supervisor/http/body.h"
#include "supervisor/http/deadline.h"
#include "supervisor/http/list.h"
#include "supervisor/http/peer.h"

struct http_request;
struct http_server;
struct ws;

enum conn_state { CONN_HEAD, CONN_BODY, CONN_ANSWER, CONN_SKIP, CONN_WS, CONN_FLUSH, CONN_LINGER, CONN_CLOSED };

enum {
	CONN_READ_BYTES = 64 << 10,  /* one read; also how much of the next requests is kept while one is answered */
	CONN_SKIP_BYTES = 256 << 10, /* of an unwanted body; with more to come the connection is closed instead */
};

struct conn {
	uv_poll_t poll;
	struct http_server *server;
	struct link all, ready; /* of the server */
	int fd;
	int polled; /* events asked for */
	enum conn_state state;
	bool is_busy;   /* inside conn_run(): its end settles everything */
	bool is_doomed; /* to be closed at the end of the round */
	bool is_half;   /* the peer sends nothing any more; what it sent may still be unread */
	bool is_eof;    /* and nothing is */
	bool is_keep_alive;
	bool must_linger;  /* the peer may still be sending */
	bool was_answered; /* at least once: waiting for a request is then idleness */
	struct deadline wait, writing;
	struct buf in;  /* not yet understood */
	size_t scanned; /* of the head at the front of it */
	struct {
		char *data;
		size_t at, size, room; /* data[at .. at + size) waits */
	} out;
	struct body_reader body;
	uint64_t body_part; /* bytes of it since its deadline was set; in SKIP: since that began */
	struct http_request *rq;
	struct ws *ws;
	struct peer peer;
};

/* fd: owned from here on, also on failure. peer: of peer_of_socket(). */
int conn_new(struct http_server *s, int fd, const struct peer *peer);

/*
 * Write, or queue what the socket does not take. Returns 0 or -EPIPE; the connection is then doomed.
 * conn_settle_later() is the caller's unless it runs inside conn_run().
 */
int conn_send(struct conn *c, const struct iovec *iov, int n);

/* How much waits. */
static inline size_t conn_queued(const struct conn *c)
{
	return c->out.size;
}

/* The state has changed from outside: look at the connection once, on the loop. */
void conn_settle_later(struct conn *c);

/* Close it at the end of this round; whoever waits for it is told then. */
void conn_doom(struct conn *c);

/* The request's answer is complete (handed to the connection, that is); was its body, too? */
void conn_answered(struct conn *c, bool was_body_complete);

/* No more input is looked at; what is queued is written, then the connection ends. */
void conn_finish(struct conn *c, bool must_linger);

/* Now: server.c when everything closes. */
void conn_abort(struct conn *c);

/* For server.c: called on the loop after conn_settle_later(), and when a deadline has passed. */
void conn_wake(struct conn *c);
void conn_timeout(struct conn *c, enum deadline_class class);
