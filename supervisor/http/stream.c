/* Answers in pieces: chunks, RFC 9112 section 7.1, or everything until the end of the connection for HTTP/1.0. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/http/conn.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"

void http_stream_begin(struct http_request *rq, int status, const char *type)
{
	struct conn *c = rq->conn;
	const char *connection;
	struct iovec iov;

	assert(rq->phase == REQUEST_HANDLING);
	rq->phase = REQUEST_STREAM;
	rq->status = status;
	if (!c)
		return;
	if (rq->is_http10 || strcmp(rq->method, "HEAD") == 0)
		c->is_keep_alive = false;
	connection = reply_connection(rq);
	rq->is_chunked = !rq->is_http10;
	if (rq->is_chunked)
		http_set_header(rq, "Transfer-Encoding", "chunked");
	/* proxies that would collect the pieces: nginx and those that learned it from there */
	if (!strcasestr(buf_str(&rq->headers), "x-accel-buffering:"))
		http_set_header(rq, "X-Accel-Buffering", "no");
	if (reply_head(rq, status, type, -1, connection) < 0) {
		conn_doom(c);
		return;
	}
	iov = (struct iovec){ rq->server->scratch.data, rq->server->scratch.size };
	(void)conn_send(c, &iov, 1); /* doomed then, and the next write says so */
	if (strcmp(rq->method, "HEAD") == 0)
		conn_finish(c, false); /* it has what it wanted: the handler is told that it is gone */
	conn_settle_later(c);
}

int http_stream_write(struct http_request *rq, const void *data, size_t size)
{
	struct conn *c = rq->conn;
	struct iovec iov[3];
	char head[24];
	int n = 0, r;

	assert(rq->phase == REQUEST_STREAM);
	if (!c || c->is_doomed || c->state != CONN_ANSWER)
		return -EPIPE;
	if (size == 0)
		return 0; /* an empty chunk would be the end */
	if (conn_queued(c) > 0 && conn_queued(c) + size > rq->server->options.limits.queue_bytes)
		return -ENOBUFS;
	if (rq->is_chunked)
		iov[n++] = (struct iovec){ head, (size_t)snprintf(head, sizeof(head), "%zx\r\n", size) };
	iov[n++] = (struct iovec){ (void *)(uintptr_t)data, size };
	if (rq->is_chunked)
		iov[n++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
	r = conn_send(c, iov, n);
	conn_settle_later(c);
	return r;
}

size_t http_stream_queued(const struct http_request *rq)
{
	assert(rq->phase == REQUEST_STREAM);
	return rq->conn ? conn_queued(rq->conn) : 0;
}

void http_stream_on_drain(struct http_request *rq, void (*fn)(struct http_request *rq, void *data))
{
	assert(rq->phase != REQUEST_DEAD);
	rq->on_drain = fn;
}

void http_stream_end(struct http_request *rq)
{
	static const struct iovec last = { (char *)(uintptr_t) "0\r\n\r\n", 5 };

	assert(rq->phase == REQUEST_STREAM);
	if (rq->conn && rq->is_chunked && rq->conn->state == CONN_ANSWER)
		(void)conn_send(rq->conn, &last, 1); /* doomed then */
	request_end(rq, rq->status);
}
