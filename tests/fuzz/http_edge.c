/*
 * Fuzz target: whatever a stranger sends to the HTTP edge. The first byte says in which steps it arrives and whether the
 * client stops sending at the end; then come the bytes of the connection. Routes answer at once, later, in a stream, and
 * by upgrading. At the end the client goes away and nothing may be left: no connection, no request that somebody still
 * waits for, no byte counted as kept.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct http_server *server;
static struct http_request *waiting; /* one at a time on one connection */
static int sockets, gates, dones;

/* Ask for everything there is: each must hold its promise on whatever was accepted. */
static void look_at(struct http_request *rq)
{
	const char *value, *name;
	size_t size;

	assert(http_path(rq)[0] == '/' && http_method(rq)[0] && http_id(rq)[0] && http_peer(rq)[0]);
	assert(!strstr(http_path(rq), "/../"));
	for (size_t i = 0; (name = http_query_at(rq, i, &value)); i++)
		assert(value && http_query(rq, name));
	for (size_t i = 0; (name = http_header_at(rq, i, &value)); i++)
		assert(name[0] && value && http_header(rq, name) && !strpbrk(value, "\r\n"));
	assert(http_body(rq, &size) && size <= 4096);
	(void)http_cookie(rq, "sid");
	(void)http_accepts(rq, "text/event-stream");
	(void)http_is_cross_origin(rq);
}

static void now(struct http_request *rq)
{
	const char *id = http_param(rq, "id"), *body;
	size_t size;

	look_at(rq);
	body = http_body(rq, &size);
	http_set_header(rq, "X-Echo", id ? id : "none");
	http_reply(rq, 200, "text/plain", body, size);
}

static void on_gone(struct http_request *rq, void *data)
{
	(void)data;
	assert(rq == waiting);
	waiting = NULL;
}

static void later(struct http_request *rq)
{
	look_at(rq);
	waiting = rq;
	http_on_gone(rq, on_gone, NULL);
}

static void stream(struct http_request *rq)
{
	look_at(rq);
	waiting = rq;
	http_on_gone(rq, on_gone, NULL);
	http_stream_begin(rq, 200, "text/event-stream");
	(void)http_stream_write(rq, "data: 1\n\n", 9);
}

static void file(struct http_request *rq)
{
	look_at(rq);
	http_reply_file(rq, "text/plain", "0123456789", 10, "tag");
}

static void on_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	(void)arg;
	(void)ws_send(ws, is_text, data, size);
}

static void on_closed(struct ws *ws, int code, void *arg)
{
	(void)ws;
	(void)arg;
	assert(code >= 1000 && code < 5000);
	sockets--;
}

static void upgrade(struct http_request *rq)
{
	static const struct ws_handlers handlers = { .message = on_message, .closed = on_closed };

	look_at(rq);
	sockets += http_upgrade(rq, &handlers, NULL) != NULL;
}

static const struct http_route routes[] = {
	{ .method = "ANY", .path = "/n/{id}", .handle = now },
	{ .method = "GET", .path = "/l", .handle = later },
	{ .method = "POST", .path = "/l", .handle = later },
	{ .method = "GET", .path = "/s", .handle = stream },
	{ .method = "GET", .path = "/f/{rest...}", .handle = file },
	{ .method = "GET", .path = "/w", .handle = upgrade, .flags = HTTP_ROUTE_WS },
	{ 0 },
};

static bool gate(struct http_request *rq, const struct http_route *route, void *arg)
{
	(void)arg;
	assert(route->handle);
	gates++;
	if (!http_query(rq, "deny"))
		return true;
	http_error(rq, 401, "unauthorized", NULL, "no");
	return false;
}

static void done(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *arg)
{
	(void)ns;
	(void)arg;
	assert(http_method(rq) && status >= 101 && status < 600);
	dones += route != NULL;
}

static void start(void)
{
	struct http_options o = { .routes = routes, .gate = gate, .done = done };
	struct error err = ERROR_INIT;

	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	http_limits_defaults(&o.limits);
	o.limits.header_bytes = 1024;
	o.limits.body_bytes = 4096;
	o.limits.message_bytes = 4096;
	o.limits.queue_bytes = 16384;
	assert(uv_loop_init(&loop) == 0);
	assert(http_server_new(&loop, &o, &server, &err) == 0);
}

static void turn(int client)
{
	static char answer[1 << 16];

	for (int i = 0; i < 3; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		if (client >= 0)
			(void)!recv(client, answer, sizeof(answer), MSG_DONTWAIT);
	}
	if (waiting) { /* the second round after it asked */
		struct http_request *rq = waiting;

		waiting = NULL;
		if (strcmp(http_path(rq), "/s") == 0) {
			(void)http_stream_write(rq, "data: 2\n\n", 9);
			http_stream_end(rq);
		} else {
			http_reply(rq, 200, "text/plain", "late", 4);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 7, 64, 1 << 20 };
	struct http_counts counts;
	struct error err = ERROR_INIT;
	size_t step;
	bool is_half;
	int sv[2];

	if (!server)
		start();
	if (size < 1 || size > 16384)
		return 0;
	step = steps[data[0] & 3];
	is_half = data[0] & 4;
	gates = dones = 0;
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0);
	assert(http_server_adopt(server, sv[0], &err) == 0);
	for (size_t at = 1; at < size; at += step) {
		if (send(sv[1], data + at, size - at < step ? size - at : step, MSG_NOSIGNAL) < 0)
			break;
		turn(sv[1]);
	}
	if (is_half) {
		(void)shutdown(sv[1], SHUT_WR);
		turn(sv[1]);
	}
	(void)close(sv[1]);
	for (int i = 0; i < 1000; i++) {
		turn(-1);
		http_server_counts(server, &counts);
		if (counts.connections == 0)
			break;
	}
	assert(counts.connections == 0 && counts.websockets == 0 && sockets == 0 && !waiting);
	assert(gates <= dones); /* each that was let in has ended */
	return 0;
}
