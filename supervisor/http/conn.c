/* One connection: see conn.h. */
#include "supervisor/http/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"
#include "supervisor/http/ws.h"

/* ---- writing ---- */

static void queue(struct conn *c, const char *data, size_t size)
{
	if (c->out.at + c->out.size + size > c->out.room) {
		size_t room = c->out.room ? c->out.room : 4096;

		if (c->out.at > 0) {
			memmove(c->out.data, c->out.data + c->out.at, c->out.size);
			c->out.at = 0;
		}
		while (room < c->out.size + size)
			room *= 2;
		if (room != c->out.room)
			c->out.data = alloc_again(c->out.data, room, 1);
		c->out.room = room;
	}
	memcpy(c->out.data + c->out.at + c->out.size, data, size);
	c->out.size += size;
}

static void drop_queue(struct conn *c)
{
	free(c->out.data);
	memset(&c->out, 0, sizeof(c->out));
	deadline_clear(&c->writing);
}

int conn_send(struct conn *c, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n }; /* not written to */
	bool was_empty = c->out.size == 0;
	size_t sent = 0;

	if (c->is_doomed || c->state == CONN_CLOSED)
		return -EPIPE;
	if (was_empty) {
		ssize_t r = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			conn_doom(c);
			return -EPIPE;
		}
		sent = r > 0 ? (size_t)r : 0;
		c->server->counts.bytes_out += sent;
	}
	for (int i = 0; i < n; i++) {
		size_t done = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		sent -= done;
		if (done < iov[i].iov_len)
			queue(c, (char *)iov[i].iov_base + done, iov[i].iov_len - done);
	}
	if (was_empty && c->out.size > 0)
		deadline_set(&c->server->deadlines, &c->writing, DEADLINE_WRITE, uv_now(c->server->loop));
	return 0;
}

/* Everything queued was written: whoever filled the queue may go on. */
static void drained(struct conn *c)
{
	drop_queue(c);
	if (c->ws)
		ws_drained(c->ws);
	else if (c->rq && c->rq->phase == REQUEST_STREAM && c->rq->on_drain)
		c->rq->on_drain(c->rq, c->rq->data);
}

static void flush(struct conn *c)
{
	ssize_t r;

	if (c->out.size == 0)
		return;
	r = send(c->fd, c->out.data + c->out.at, c->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			conn_doom(c);
		return;
	}
	c->server->counts.bytes_out += (uint64_t)r;
	c->out.at += (size_t)r;
	c->out.size -= (size_t)r;
	if (c->out.size == 0)
		drained(c);
	else
		deadline_set(&c->server->deadlines, &c->writing, DEADLINE_WRITE, uv_now(c->server->loop));
}

/* ---- reading ---- */

/* One head, if it is complete. Returns the bytes used. */
static size_t take_head(struct conn *c, const char *data, size_t size)
{
	size_t limit = c->server->options.limits.header_bytes;
	ptrdiff_t n;

	if (c->scanned == 0 && data[0] == '\r') { /* an empty line before a request is ignored, RFC 9112 section 2.2 */
		if (size < 2)
			return 0;
		if (data[1] == '\n')
			return 2;
	}
	n = request_scan_head(data, size < limit ? size : limit, &c->scanned);
	if (n == 0 && size < limit)
		return 0;
	c->scanned = 0;
	if (n < 0) {
		request_refuse(c, 400, "bad_request",
			       "the request's head has a bare CR or LF, a folded line, or a control character");
		return size;
	}
	if (n == 0) {
		bool is_line = !memchr(data, '\n', limit);

		request_refuse(c, is_line ? 414 : 431, is_line ? "uri_too_long" : "headers_too_large",
			       is_line ? "the request's target is too long"
				       : "the request's header fields are too large");
		return size;
	}
	c->server->counts.requests++;
	request_begin(c, data, (size_t)n);
	return (size_t)n;
}

/* Make of data what the state says, one request after the other. Returns the bytes used; the rest is kept. */
static size_t consume(struct conn *c, const char *data, size_t size)
{
	size_t at = 0, n;

	while (at < size && !c->is_doomed) {
		switch (c->state) {
		case CONN_HEAD:
			if (c->out.size > 0)
				return at; /* the last answer first: what waits stays bounded by one answer */
			n = take_head(c, data + at, size - at);
			break;
		case CONN_BODY:
		case CONN_SKIP:
			n = request_feed(c, data + at, size - at);
			break;
		case CONN_WS:
			n = ws_feed(c->ws, data + at, size - at);
			break;
		case CONN_FLUSH:
		case CONN_LINGER:
			return size; /* nobody wants it */
		default:
			return at;
		}
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

static void consume_kept(struct conn *c)
{
	if (c->in.size == 0)
		return;
	buf_consume(&c->in, consume(c, c->in.data, c->in.size));
	if (c->in.size == 0)
		buf_done(&c->in);
}

static void keep(struct conn *c, const char *data, size_t size)
{
	if (size > 0 && buf_append(&c->in, data, size) < 0)
		conn_doom(c);
}

/*
 * The peer sends nothing any more. While an answer is pending that means, on TCP, a client that hung up far more often
 * than one that closed its sending side and waits (`nc -N`), and the packet is the same; request_half_closed() finds out
 * which. A unix socket tells the two apart: poll(2), POLLHUP.
 */
static void half_closed(struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	if (c->is_half)
		return;
	c->is_half = true;
	if (c->state == CONN_ANSWER && (poll(&p, 1, 0) > 0 || (!c->peer.is_unix && !request_half_closed(c->rq))))
		conn_doom(c);
}

/* And everything it sent was read. */
static void end_of_input(struct conn *c)
{
	c->is_eof = true;
	half_closed(c);
	switch (c->state) {
	case CONN_ANSWER:
	case CONN_HEAD:
	case CONN_FLUSH: /* what is queued is still written */
		break;
	case CONN_SKIP:
		conn_finish(c, false);
		break;
	default:
		conn_doom(c);
		break;
	}
}

static void read_some(struct conn *c)
{
	size_t room = CONN_READ_BYTES, used;
	char *chunk = c->server->chunk;
	ssize_t n;

	if (c->state == CONN_ANSWER)
		room = c->in.size < room ? room - c->in.size : 0;
	if (room == 0)
		return;
	n = recv(c->fd, chunk, room, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_doom(c);
		return;
	}
	if (n == 0) {
		end_of_input(c);
		return;
	}
	c->server->counts.bytes_in += (uint64_t)n;
	if (c->in.size > 0) {
		keep(c, chunk, (size_t)n);
		consume_kept(c);
		return;
	}
	used = consume(c, chunk, (size_t)n);
	keep(c, chunk + used, (size_t)n - used);
}

/* ---- the end of a round ---- */

static bool wants_to_read(const struct conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
		return c->out.size == 0;
	case CONN_ANSWER:
		return c->in.size < CONN_READ_BYTES;
	case CONN_WS:
		return ws_wants_to_read(c->ws);
	case CONN_BODY:
	case CONN_SKIP:
	case CONN_FLUSH:
	case CONN_LINGER:
		return true;
	default:
		return false;
	}
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void poll_update(struct conn *c)
{
	int want = c->out.size > 0 ? UV_WRITABLE : 0, r;

	if (!c->is_eof && wants_to_read(c))
		want |= UV_READABLE;
	else if (!c->is_half)
		want |= UV_DISCONNECT;
	if (!want)
		want = UV_PRIORITIZED; /* nothing but errors and hang-ups */
	if (want == c->polled)
		return;
	r = uv_poll_start(&c->poll, want, on_poll);
	assert(r == 0);
	c->polled = want;
}

static enum deadline_class wait_class(const struct conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
		if (c->out.size > 0)
			return DEADLINE_NONE; /* the one for writing runs */
		return c->was_answered && c->in.size == 0 ? DEADLINE_IDLE : DEADLINE_HEAD;
	case CONN_BODY:
	case CONN_SKIP:
		return DEADLINE_BODY;
	case CONN_WS:
		return ws_deadline(c->ws);
	case CONN_LINGER:
		return DEADLINE_LINGER;
	default:
		return DEADLINE_NONE;
	}
}

/* A deadline runs from when its class was entered; reaching the same class again starts it anew only where said. */
static void deadline_update(struct conn *c)
{
	enum deadline_class class = wait_class(c);

	if (class == DEADLINE_NONE)
		deadline_clear(&c->wait);
	else if (class != c->wait.class)
		deadline_set(&c->server->deadlines, &c->wait, class, uv_now(c->server->loop));
}

/* After anything happened: leave states that are over, then ask for the right events and deadlines. */
static void settle(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	if (c->state == CONN_WS)
		ws_settle(c->ws);
	if (c->state == CONN_FLUSH && c->out.size == 0 && !c->is_doomed) {
		if (!c->must_linger || c->is_half || shutdown(c->fd, SHUT_WR) < 0)
			conn_doom(c);
		else
			c->state = CONN_LINGER;
	}
	if (c->state == CONN_HEAD && c->out.size == 0 &&
	    (c->is_eof || (c->server->is_draining && c->in.size == 0 && c->was_answered)))
		conn_doom(c); /* nothing that could become a request is coming */
	if (c->is_doomed) {
		conn_abort(c);
		return;
	}
	deadline_update(c);
	poll_update(c);
}

/* Everything that happens to a connection happens in here. */
static void run(struct conn *c, int events)
{
	c->is_busy = true;
	list_remove(&c->ready);
	if (events & UV_PRIORITIZED)
		conn_doom(c); /* after the end of input: hung up; before it nobody asked for this */
	if (events & UV_WRITABLE && !c->is_doomed)
		flush(c);
	if (!c->is_doomed)
		consume_kept(c);
	if (events & UV_READABLE && !c->is_doomed && !c->is_eof && wants_to_read(c))
		read_some(c);
	else if (events & UV_DISCONNECT && !c->is_doomed && c->state != CONN_CLOSED)
		half_closed(c);
	c->is_busy = false;
	settle(c);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	run(handle->data, status < 0 ? UV_PRIORITIZED : events);
}

void conn_wake(struct conn *c)
{
	run(c, 0);
}

void conn_settle_later(struct conn *c)
{
	if (c->is_busy || c->state == CONN_CLOSED || list_holds(&c->ready))
		return;
	list_append(&c->server->ready, &c->ready);
	server_wake(c->server);
}

void conn_doom(struct conn *c)
{
	c->is_doomed = true;
	conn_settle_later(c);
}

void conn_answered(struct conn *c, bool was_body_complete)
{
	if (c->state == CONN_CLOSED)
		return;
	c->was_answered = true;
	deadline_clear(&c->wait);
	if (!c->is_keep_alive)
		conn_finish(c, !was_body_complete || c->in.size > 0);
	else
		c->state = was_body_complete ? CONN_HEAD : CONN_SKIP;
	c->body_part = 0;
	conn_settle_later(c);
}

void conn_finish(struct conn *c, bool must_linger)
{
	c->state = CONN_FLUSH;
	c->must_linger = must_linger;
	conn_settle_later(c);
}

/* ---- time ---- */

void conn_timeout(struct conn *c, enum deadline_class class)
{
	c->is_busy = true;
	if (class != DEADLINE_WRITE)
		deadline_clear(&c->wait);
	switch (class) {
	case DEADLINE_HEAD:
		if (c->in.size > 0)
			request_refuse(c, 408, "timeout", "the request did not arrive in time");
		else
			conn_doom(c);
		break;
	case DEADLINE_BODY:
		if (c->state == CONN_BODY)
			request_timeout(c->rq);
		else
			conn_doom(c);
		break;
	case DEADLINE_PING:
		ws_tick(c->ws);
		break;
	default: /* idle, or does not read, or does not close */
		conn_doom(c);
		break;
	}
	c->is_busy = false;
	settle(c);
}

/* ---- birth and death ---- */

int conn_new(struct http_server *s, int fd, const struct peer *peer)
{
	struct conn *c = alloc_zeroed(1, sizeof(*c));
	int r = uv_poll_init(s->loop, &c->poll, fd);

	if (r < 0) {
		free(c);
		(void)close(fd); /* the peer sees it */
		return r;
	}
	c->server = s;
	c->fd = fd;
	c->peer = *peer;
	c->poll.data = c;
	c->in.max = s->options.limits.header_bytes + (size_t)2 * CONN_READ_BYTES;
	c->wait.class = c->writing.class = DEADLINE_NONE;
	list_append(&s->conns, &c->all);
	s->counts.connections++;
	s->n_handles++;
	server_tick_update(s);
	settle(c);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;
	struct http_server *s = c->server;

	ws_free(c->ws);
	buf_done(&c->in);
	free(c);
	server_handle_gone(s);
}

void conn_abort(struct conn *c)
{
	struct http_request *rq = c->rq;

	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	list_remove(&c->ready);
	list_remove(&c->all);
	deadline_clear(&c->wait);
	drop_queue(c);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	(void)close(c->fd); /* after uv_close() has taken it out of the loop */
	c->fd = -1;
	c->server->counts.connections--;
	server_tick_update(c->server);
	c->rq = NULL;
	if (rq)
		request_gone(rq);
	if (c->ws)
		ws_ended(c->ws);
}
