/*
 * A server under test and raw clients of it, in one thread: the loop runs while a client waits. For tests/unit/http_*.c.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "supervisor/http/http.h"
#include "tests/tap.h"

struct edge {
	uv_loop_t loop;
	struct http_server *server;
	struct sockaddr_in at;
	bool is_closed;
};

enum { EDGE_WAIT_MS = 5000 };

static inline void edge_start(struct edge *e, const struct http_options *o)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct error err = ERROR_INIT;
	socklen_t n = sizeof(e->at);

	memset(e, 0, sizeof(*e));
	e->at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	need(fd >= 0 && bind(fd, (struct sockaddr *)&e->at, n) == 0 && listen(fd, 16) == 0, "a loopback port");
	need(getsockname(fd, (struct sockaddr *)&e->at, &n) == 0, "with a number");
	need(uv_loop_init(&e->loop) == 0, "a loop");
	need(http_server_new(&e->loop, o, &e->server, &err) == 0, "a server %s", err.text);
	need(http_server_listen(e->server, fd, &err) == 0, "that listens %s", err.text);
}

static inline void edge_on_closed(void *arg)
{
	*(bool *)arg = true;
}

static inline void edge_stop(struct edge *e)
{
	http_server_close(e->server, edge_on_closed, &e->is_closed);
	(void)uv_run(&e->loop, UV_RUN_DEFAULT); /* until nothing is left */
	ok(e->is_closed, "the server closes");
	is_int(uv_loop_close(&e->loop), 0, "and leaves nothing on the loop");
}

/* Run the loop for so long. */
static inline void edge_turn(struct edge *e, unsigned ms)
{
	uint64_t until = clock_now_ns() + ms * NS_PER_MS;

	do {
		(void)uv_run(&e->loop, UV_RUN_NOWAIT);
		(void)usleep(500);
	} while (clock_now_ns() < until);
}

static inline int edge_connect(struct edge *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	need(fd >= 0 && connect(fd, (struct sockaddr *)&e->at, sizeof(e->at)) == 0, "a client connects");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* The client's end of a socket pair. */
static inline int edge_connect_unix(struct edge *e)
{
	struct error err = ERROR_INIT;
	int sv[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0, "a socket pair");
	need(http_server_adopt(e->server, sv[0], &err) == 0, "one end is served %s", err.text);
	return sv[1];
}

static inline void edge_send(struct edge *e, int fd, const void *data, size_t size)
{
	uint64_t until = clock_now_ns() + EDGE_WAIT_MS * NS_PER_MS;

	while (size > 0 && clock_now_ns() < until) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return; /* the server has had enough: its answer says why */
		if (n > 0) {
			data = (const char *)data + n;
			size -= (size_t)n;
		}
		(void)uv_run(&e->loop, UV_RUN_NOWAIT);
	}
}

static inline void edge_say(struct edge *e, int fd, const char *text)
{
	edge_send(e, fd, text, strlen(text));
}

/*
 * Read until `until` stands in what came, or the end. Returns the bytes; they are terminated. until NULL: to the end.
 * *ret_end, if not NULL: did the server close?
 */
static inline size_t edge_read(struct edge *e, int fd, char *out, size_t room, const char *until, bool *ret_end)
{
	uint64_t deadline = clock_now_ns() + EDGE_WAIT_MS * NS_PER_MS;
	size_t size = 0;

	if (ret_end)
		*ret_end = false;
	out[0] = '\0';
	while (clock_now_ns() < deadline && size < room - 1) {
		ssize_t n;

		(void)uv_run(&e->loop, UV_RUN_NOWAIT);
		n = recv(fd, out + size, room - 1 - size, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			if (ret_end)
				*ret_end = true;
			break;
		}
		if (n > 0)
			size += (size_t)n;
		else
			(void)usleep(200);
		out[size] = '\0';
		if (until && memmem(out, size, until, strlen(until)))
			break;
	}
	return size;
}

/* One request on a connection of its own; everything the server says until it closes or has said `until`. */
static inline const char *edge_ask(struct edge *e, const char *request, const char *until)
{
	static char answer[1 << 20];
	int fd = edge_connect(e);

	edge_say(e, fd, request);
	(void)edge_read(e, fd, answer, sizeof(answer), until, NULL);
	(void)close(fd);
	edge_turn(e, 2);
	return answer;
}
