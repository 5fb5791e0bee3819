/*
 * Fuzz target: what a WebSocket's peer sends after the handshake. With an even first byte the rest are its bytes as they
 * are; with an odd one they are a recipe: for each frame a byte for FIN, reserved bits and opcode, a byte for its length,
 * and the payload, which is masked here, so that the fuzzer need not find out how. Messages are echoed. Whatever comes,
 * the socket is closed exactly once, its queue stays bounded, and nothing invalid is delivered.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "supervisor/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 2048, QUEUE_MAX = 8192 };

static uv_loop_t loop;
static struct http_server *server;
static struct ws *current;
static int closed;
static unsigned n_messages;

/* As RFC 3629 has it, written for being obviously right. */
static bool is_utf8(const uint8_t *s, size_t n)
{
	while (n > 0) {
		size_t k = *s < 0x80                 ? 1
			   : *s >= 0xc2 && *s < 0xe0 ? 2
			   : (*s & 0xf0) == 0xe0     ? 3
			   : *s >= 0xf0 && *s < 0xf5 ? 4
						     : 0;

		if (k == 0 || k > n)
			return false;
		for (size_t i = 1; i < k; i++)
			if ((s[i] & 0xc0) != 0x80)
				return false;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		    (s[0] == 0xf4 && s[1] > 0x8f))
			return false;
		s += k;
		n -= k;
	}
	return true;
}

static void on_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	(void)arg;
	assert(ws == current && !closed && size <= MESSAGE_MAX);
	assert(!is_text || is_utf8(data, size));
	n_messages++;
	if (size == 1 && *(const char *)data == 'p')
		ws_pause(ws, true);
	if (size == 1 && *(const char *)data == 'c')
		ws_close(ws, 4000, "asked to");
	(void)ws_send(ws, is_text, data, size);
	assert(ws_queued(ws) <= QUEUE_MAX + MESSAGE_MAX + (1 << 17));
}

static void on_closed(struct ws *ws, int code, void *arg)
{
	(void)arg;
	assert(ws == current && code >= 1000 && code < 5000);
	closed++;
	current = NULL;
}

static void upgrade(struct http_request *rq)
{
	static const struct ws_handlers handlers = { .message = on_message, .closed = on_closed };

	current = http_upgrade(rq, &handlers, NULL);
	assert(current);
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/", .handle = upgrade, .flags = HTTP_ROUTE_WS },
	{ 0 },
};

static void start(void)
{
	struct http_options o = { .routes = routes };
	struct error err = ERROR_INIT;

	http_limits_defaults(&o.limits);
	o.limits.message_bytes = MESSAGE_MAX;
	o.limits.queue_bytes = QUEUE_MAX;
	assert(uv_loop_init(&loop) == 0);
	assert(http_server_new(&loop, &o, &server, &err) == 0);
}

/* A frame of the recipe at *data. Returns its size in out. */
static size_t cook(const uint8_t **data, const uint8_t *end, uint8_t out[8 + 256])
{
	static const uint8_t mask[4] = { 0x5a, 0, 0xff, 0x13 };
	size_t n = (*data)[1] & 0x7f, head = 2;

	out[0] = (*data)[0];
	*data += 2;
	n = n < 126 ? n : 126;
	n = (size_t)(end - *data) < n ? (size_t)(end - *data) : n;
	out[1] = (uint8_t)(0x80 | n);
	if (n == 126) {
		out[2] = 0;
		out[3] = 126;
		head = 4;
	}
	memcpy(out + head, mask, 4);
	for (size_t i = 0; i < n; i++)
		out[head + 4 + i] = (*data)[i] ^ mask[i & 3];
	*data += n;
	return head + 4 + n;
}

static void turn(int client)
{
	static char answer[1 << 16];

	for (int i = 0; i < 2; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		if (client >= 0)
			(void)!recv(client, answer, sizeof(answer), MSG_DONTWAIT);
	}
	if (current)
		ws_pause(current, false);
}

static void play(int client, const uint8_t *data, const uint8_t *end, bool is_recipe)
{
	uint8_t frame[8 + 256];

	while (end - data >= 2) {
		size_t n = is_recipe ? 0 : (size_t)(end - data) < 97 ? (size_t)(end - data) : 97;

		if (is_recipe)
			n = cook(&data, end, frame);
		if (send(client, is_recipe ? frame : data, n, MSG_NOSIGNAL) < 0)
			return;
		if (!is_recipe)
			data += n;
		turn(client);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char hello[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	struct http_counts counts;
	struct error err = ERROR_INIT;
	int sv[2];

	if (!server)
		start();
	if (size < 1 || size > 16384)
		return 0;
	closed = 0;
	n_messages = 0;
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0);
	assert(http_server_adopt(server, sv[0], &err) == 0);
	assert(send(sv[1], hello, sizeof(hello) - 1, 0) == sizeof(hello) - 1);
	turn(sv[1]);
	assert(current);
	play(sv[1], data + 1, data + size, data[0] & 1);
	(void)close(sv[1]);
	for (int i = 0; i < 1000; i++) {
		turn(-1);
		http_server_counts(server, &counts);
		if (counts.connections == 0)
			break;
	}
	assert(counts.connections == 0 && counts.websockets == 0 && !current && closed == 1);
	return 0;
}
