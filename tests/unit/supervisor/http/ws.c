/* The WebSocket side of the HTTP edge: handshake, origin, messages in pieces, control frames, bounds, the end. */
#include "tests/unit/supervisor/http/http_client.h"

static struct edge edge;
static struct ws *last;
static int messages, closed_calls, closed_code, drains, freed;
static size_t last_size;
static bool last_is_text, must_pause, must_close;

static void on_message(struct ws *ws, bool is_text, const void *data, size_t size, void *arg)
{
	(void)arg;
	messages++;
	last_size = size;
	last_is_text = is_text;
	if (must_pause)
		ws_pause(ws, true);
	if (must_close)
		ws_close(ws, 4001, "enough");
	else
		(void)ws_send(ws, is_text, data, size);
}

static void on_drain(struct ws *ws, void *arg)
{
	(void)ws;
	(void)arg;
	drains++;
}

static void on_closed(struct ws *ws, int code, void *arg)
{
	(void)arg;
	closed_calls++;
	closed_code = code;
	if (last == ws)
		last = NULL;
}

static const struct ws_handlers handlers = { .message = on_message, .drain = on_drain, .closed = on_closed };

static void free_caller(void *caller)
{
	(void)caller;
	freed++;
}

static void upgrade(struct http_request *rq)
{
	static int someone;

	http_set_caller(rq, &someone, free_caller);
	last = http_upgrade(rq, &handlers, NULL);
	if (last && !ws_caller(last))
		closed_calls = -1000;
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/ws", .handle = upgrade, .flags = HTTP_ROUTE_WS },
	{ .method = "POST", .path = "/ws", .handle = upgrade, .flags = HTTP_ROUTE_WS },
	{ 0 },
};

#define UPGRADE                                                                                                        \
	"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"                     \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* A masked frame behind what is in out; returns the new end. */
static char *frame(char *out, int first, const void *data, size_t size)
{
	static const char mask[4] = { 1, 2, 3, 4 };

	*out++ = (char)first;
	if (size < 126) {
		*out++ = (char)(0x80 | size);
	} else if (size <= 0xffff) {
		*out++ = (char)(0x80 | 126);
		*out++ = (char)(size >> 8);
		*out++ = (char)size;
	} else {
		*out++ = (char)(0x80 | 127);
		for (int i = 7; i >= 0; i--)
			*out++ = (char)((uint64_t)size >> (8 * i));
	}
	memcpy(out, mask, 4);
	out += 4;
	for (size_t i = 0; i < size; i++)
		out[i] = (char)(((const char *)data)[i] ^ mask[i & 3]);
	return out + size;
}

static int connected(bool is_unix)
{
	char a[1024] = "";
	int fd = is_unix ? edge_connect_unix(&edge) : edge_connect(&edge);

	edge_say(&edge, fd, UPGRADE "\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), "\r\n\r\n", NULL);
	need(strstr(a, "HTTP/1.1 101 "), "upgraded");
	messages = closed_calls = drains = 0;
	closed_code = -1;
	return fd;
}

static void send_frame(int fd, int first, const void *data, size_t size)
{
	char *out = malloc(size + 14);

	if (!out)
		abort();
	edge_send(&edge, fd, out, (size_t)(frame(out, first, data, size) - out));
	free(out);
}

/* One frame of the server: its first byte in *ret_first; payload terminated; -1: the end. */
static ssize_t read_frame(int fd, int *ret_first, char *out, size_t room)
{
	uint64_t until = clock_now_ns() + 3 * NS_PER_S;
	uint8_t head[10] = { 0 };
	size_t have = 0, want = 2, size = 0;

	while (clock_now_ns() < until) {
		ssize_t n;

		(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
		n = recv(fd, head + have, want - have, MSG_DONTWAIT);
		if (n == 0)
			return -1;
		if (n > 0)
			have += (size_t)n;
		if (have < want)
			continue;
		if (want == 2) {
			size = head[1];
			want = size < 126 ? 2 : size == 126 ? 4 : 10;
			if (have < want)
				continue;
		}
		if (want == 4)
			size = (size_t)head[2] << 8 | head[3];
		if (want == 10)
			for (int i = 2; i < 10; i++)
				size = size << 8 | head[i];
		break;
	}
	*ret_first = head[0];
	size &= want == 10 ? 0xffffffff : 0xffff;
	need(size < room, "a frame that fits");
	for (have = 0; have < size && clock_now_ns() < until;) {
		ssize_t n = recv(fd, out + have, size - have, MSG_DONTWAIT);

		(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
		if (n == 0)
			return -1;
		have += n > 0 ? (size_t)n : 0;
	}
	out[have] = '\0';
	return (ssize_t)have;
}

static int close_code(const char *payload)
{
	return (uint8_t)payload[0] << 8 | (uint8_t)payload[1];
}

static void handshake(void)
{
	static const struct {
		const char *request, *status, *has, *title;
	} rows[] = {
		{ UPGRADE "\r\n", "101", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
		  "the sample of RFC 6455" },
		{ UPGRADE "Origin: http://x\r\n\r\n", "101", "\r\nConnection: Upgrade\r\n", "our own origin" },
		{ UPGRADE "Origin: https://ide.example\r\n\r\n", "101", "", "an allowed origin" },
		{ UPGRADE "Origin: http://evil.example\r\n\r\n", "403", "foreign_origin", "a foreign origin" },
		{ UPGRADE "Origin: null\r\n\r\n", "403", "foreign_origin", "the null origin" },
		{ UPGRADE "Origin: http://x.evil\r\n\r\n", "403", "foreign_origin", "an origin that begins like ours" },
		{ UPGRADE "Origin: http://evilx\r\n\r\n", "403", "foreign_origin", "one that ends like ours" },
		{ "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "426", "Upgrade: websocket\r\n", "no upgrade" },
		{ "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "426", "is a WebSocket",
		  "another protocol" },
		{ "POST /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "13\r\n"
		  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		  "426", "", "another method" },
		{ "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "8\r\n\r\n",
		  "426", "Sec-WebSocket-Version: 13\r\n", "another version" },
		{ "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "13\r\n"
		  "Sec-WebSocket-Key: short\r\n\r\n",
		  "400", "16 bytes in base64", "a bad key" },
		{ "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "13\r\n\r\n",
		  "400", "16 bytes in base64", "no key" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *a = edge_ask(&edge, rows[i].request, "\r\n\r\n");
		char want[32];

		(void)snprintf(want, sizeof(want), "HTTP/1.1 %s ", rows[i].status);
		ok(strncmp(a, want, strlen(want)) == 0 && strstr(a, rows[i].has), "%s: %s", rows[i].title,
		   rows[i].status) ||
			(diag("%s", a), 0);
	}
	edge_turn(&edge, 20);
}

static void echo(void)
{
	static char large[200000], a[300000];
	int fd = connected(false), first = 0;
	char *out;

	send_frame(fd, 0x81, "hello", 5);
	is_int(read_frame(fd, &first, a, sizeof(a)), 5, "a message comes back");
	ok(strcmp(a, "hello") == 0 && first == 0x81, "as the text it was");
	send_frame(fd, 0x82, "\0\1\377", 3);
	is_int(read_frame(fd, &first, a, sizeof(a)), 3, "bytes, too");
	is_int(first, 0x82, "as bytes");
	send_frame(fd, 0x81, "", 0);
	is_int(read_frame(fd, &first, a, sizeof(a)), 0, "and nothing at all");
	memset(large, 'x', sizeof(large));
	send_frame(fd, 0x82, large, 300);
	is_int(read_frame(fd, &first, a, sizeof(a)), 300, "300 bytes");
	send_frame(fd, 0x82, large, sizeof(large));
	is_int(read_frame(fd, &first, a, sizeof(a)), sizeof(large), "200000 bytes");
	ok(memcmp(a, large, sizeof(large)) == 0, "unchanged");

	out = frame(frame(frame(a, 0x01, "he", 2), 0x89, "ping", 4), 0x00, "l", 1);
	out = frame(out, 0x80, "lo", 2);
	for (char *s = a; s < out; s++)
		edge_send(&edge, fd, s, 1);
	is_int(read_frame(fd, &first, large, sizeof(large)), 4, "a ping between fragments, all byte by byte,");
	ok(first == 0x8a && strcmp(large, "ping") == 0, "is answered at once");
	is_int(read_frame(fd, &first, large, sizeof(large)), 5, "and the fragments are one message");
	is_str(large, "hello", "in order");

	freed = 0;
	send_frame(fd, 0x88,
		   "\x03\xe8"
		   "bye",
		   5);
	is_int(read_frame(fd, &first, a, sizeof(a)), 5, "a close is answered");
	ok(first == 0x88 && close_code(a) == 1000, "with its code");
	is_int(read_frame(fd, &first, a, sizeof(a)), -1, "and the connection ends");
	is_int(closed_calls, 1, "whoever uses it is told once");
	is_int(closed_code, 1000, "with the peer's code");
	is_int(freed, 1, "the caller is freed");
	(void)close(fd);
	edge_turn(&edge, 10);
}

/* Messages that came in one packet with the handshake. */
static void eager(void)
{
	char out[1024], a[2048];
	int fd = edge_connect(&edge);
	char *end = frame(frame(stpcpy(out, UPGRADE "\r\n"), 0x81, "one", 3), 0x81, "two", 3);

	edge_send(&edge, fd, out, (size_t)(end - out));
	(void)edge_read(&edge, fd, a, sizeof(a), "two", NULL);
	has_str(a, "\r\n\r\n\x81\x03one\x81\x03two", "messages right behind the handshake are not lost");
	(void)close(fd);
	edge_turn(&edge, 10);
	is_int(closed_code, 1006, "a peer that goes without a word: 1006");
}

static void violations(void)
{
	static const struct {
		const char *bytes;
		size_t size;
		int code;
		const char *title;
	} rows[] = {
		{ "\x81\x85\0\0\0\0he\xff\xfeo", 11, 1007, "text that is not UTF-8" },
		{ "\x81\x02hi", 4, 1002, "a frame without a mask" },
		{ "\xc1\x82\0\0\0\0hi", 8, 1002, "a reserved bit" },
		{ "\x83\x82\0\0\0\0hi", 8, 1002, "an unknown opcode" },
		{ "\x80\x82\0\0\0\0hi", 8, 1002, "a continuation of nothing" },
		{ "\x09\x80\0\0\0\0", 6, 1002, "a ping in fragments" },
		{ "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0x", 15, 1009, "a message of 2 GB" },
		{ "\x88\x81\0\0\0\0x", 7, 1002, "a close of one byte" },
		{ "\x88\x82\0\0\0\0\x03\xed", 8, 1002, "a close with a code that is never sent" },
	};
	char a[1024] = "";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = connected(i & 1), first = 0;

		edge_send(&edge, fd, rows[i].bytes, rows[i].size);
		ok(read_frame(fd, &first, a, sizeof(a)) >= 2 && first == 0x88, "%s closes", rows[i].title);
		is_int(close_code(a), rows[i].code, "with %d", rows[i].code);
		is_int(read_frame(fd, &first, a, sizeof(a)), -1, "for good");
		is_int(closed_calls, 1, "and is reported once");
		is_int(messages, 0, "nothing of it was delivered");
		(void)close(fd);
		edge_turn(&edge, 5);
	}
}

/* RFC 6455 7.4 and IANA's registry: which codes may come in a close frame. */
static void close_codes(void)
{
	static const struct {
		int code;
		bool is_valid;
	} rows[] = {
		{ 0, false },    { 999, false },  { 1000, true },  { 1001, true },   { 1002, true }, { 1003, true },
		{ 1004, false }, { 1005, false }, { 1006, false }, { 1007, true },   { 1008, true }, { 1009, true },
		{ 1010, true },  { 1011, true },  { 1012, true },  { 1013, true },   { 1014, true }, { 1015, false },
		{ 1016, false }, { 1100, false }, { 2000, false }, { 2999, false },  { 3000, true }, { 3999, true },
		{ 4000, true },  { 4999, true },  { 5000, false }, { 65535, false },
	};
	char a[1024] = "", bytes[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char body[] = { (char)(rows[i].code >> 8), (char)rows[i].code, 'b', 'y', 'e' };
		int fd = connected(i & 1), first = 0, want = rows[i].is_valid ? rows[i].code : 1002;
		char *end = frame(bytes, 0x88, body, i % 3 ? sizeof(body) : 2);

		for (char *p = bytes; p < end; p++) /* byte by byte: no part of it is special */
			edge_send(&edge, fd, p, 1);
		ok(read_frame(fd, &first, a, sizeof(a)) >= 2 && first == 0x88, "a close with %d is answered",
		   rows[i].code);
		is_int(close_code(a), want, "with %d", want);
		is_int(read_frame(fd, &first, a, sizeof(a)), -1, "once, and the connection ends");
		is_int(closed_calls, 1, "whoever uses it is told once");
		is_int(closed_code, want, "of %d", want);
		(void)close(fd);
		edge_turn(&edge, 5);
	}
}

static void bounds(void)
{
	static char large[300000], a[300000];
	int fd = connected(false), first = 0;

	send_frame(fd, 0x02, large, 200000);
	send_frame(fd, 0x80, large, 100000);
	(void)read_frame(fd, &first, a, sizeof(a));
	ok(first == 0x88 && close_code(a) == 1009, "fragments that grow beyond the bound: 1009");
	(void)close(fd);
	edge_turn(&edge, 5);

	fd = connected(false);
	send_frame(fd, 0x02, "x", 1);
	for (int i = 0; i < 5000; i++)
		send_frame(fd, 0x00, "x", 1);
	(void)read_frame(fd, &first, a, sizeof(a));
	ok(first == 0x88 && close_code(a) == 1008, "too many fragments: 1008");
	(void)close(fd);
	edge_turn(&edge, 5);
}

static void slow_reader(void)
{
	static char piece[10000], a[1 << 16];
	int fd = connected(true), r = 0;
	size_t n = 0;
	uint64_t until = clock_now_ns() + 5 * NS_PER_S;

	need(last, "a socket");
	while (n < 100000 && (r = ws_send(last, false, piece, sizeof(piece))) == 0)
		n++;
	is_int(r, -ENOBUFS, "a reader that does not read: at some point nothing more is taken");
	ok(ws_queued(last) <= 256 << 10, "what waits is bounded (%zu)", ws_queued(last));
	while (drains == 0 && clock_now_ns() < until) {
		(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
		(void)!recv(fd, a, sizeof(a), MSG_DONTWAIT);
	}
	is_int(drains, 1, "when it has read, the writer is told");
	while (ws_send(last, false, piece, sizeof(piece)) == 0)
		;
	for (int i = 0; i < 300 && closed_calls == 0; i++)
		edge_turn(&edge, 10);
	is_int(closed_calls, 1, "one that reads nothing for too long is gone");
	is_int(closed_code, 1006, "as 1006");
	(void)close(fd);

	/* pings to somebody who does not read the pongs */
	fd = connected(true);
	memset(piece, 'p', 125);
	for (int i = 0; i < 40000; i++) {
		char out[140];
		char *end = frame(out, 0x89, piece, 125);

		if (send(fd, out, (size_t)(end - out), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		if (i % 64 == 0)
			(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
	}
	ok(!last || ws_queued(last) <= (256 << 10) + (70 << 10), "pongs that nobody reads are bounded (%zu)",
	   last ? ws_queued(last) : 0);
	(void)close(fd);
	edge_turn(&edge, 10);
}

static void paused(void)
{
	char a[1024] = "";
	int fd = connected(false), first = 0, before;

	must_pause = true;
	send_frame(fd, 0x81, "one", 3);
	(void)read_frame(fd, &first, a, sizeof(a));
	must_pause = false;
	before = messages;
	for (int i = 0; i < 100; i++)
		send_frame(fd, 0x81, "more", 4);
	edge_turn(&edge, 30);
	is_int(messages, before, "a paused reader gets nothing");
	ws_pause(last, false);
	edge_turn(&edge, 30);
	is_int(messages, before + 100, "and everything when it goes on");
	(void)close(fd);
	edge_turn(&edge, 10);
	is_int(closed_calls, 1, "then it is closed");
}

static void our_close(void)
{
	char a[1024] = "";
	int fd = connected(false), first = 0;
	uint64_t began;

	(void)ws_send(last, true, "last words", 10);
	ws_close(last, 4000, "over");
	is_int(ws_send(last, true, "x", 1), -EPIPE, "after closing nothing is sent");
	is_int(read_frame(fd, &first, a, sizeof(a)), 10, "what was sent before is");
	is_int(read_frame(fd, &first, a, sizeof(a)), 6, "then the close");
	ok(close_code(a) == 4000 && strcmp(a + 2, "over") == 0, "with its code and reason");
	is_int(closed_calls, 0, "it is not over before the peer says so");
	send_frame(fd, 0x81, "late", 4);
	send_frame(fd, 0x88, "\x0f\xa0", 2);
	is_int(read_frame(fd, &first, a, sizeof(a)), -1, "which ends the connection");
	is_int(closed_calls, 1, "closed");
	is_int(closed_code, 4000, "with the code");
	is_int(messages, 0, "late messages are not delivered");
	(void)close(fd);

	fd = connected(false);
	began = clock_now_ns();
	ws_close(last, 4000, "over");
	for (int i = 0; i < 400 && closed_calls == 0; i++)
		edge_turn(&edge, 10);
	is_int(closed_calls, 1, "a peer that does not answer the close is not waited for");
	ok(clock_now_ns() - began < 3 * NS_PER_S, "for long");
	(void)close(fd);

	fd = connected(false);
	must_close = true;
	send_frame(fd, 0x81, "one", 3);
	send_frame(fd, 0x81, "two", 3);
	(void)read_frame(fd, &first, a, sizeof(a));
	ok(first == 0x88 && close_code(a) == 4001, "closing from within a message works");
	must_close = false;
	(void)close(fd);
	edge_turn(&edge, 10);
	is_int(closed_calls, 1, "as well");
	is_int(messages, 1, "and is the last");
}

static void pings(void)
{
	char a[1024] = "";
	int fd = connected(false), first = 0, pings_seen = 0;

	for (uint64_t until = clock_now_ns() + 4 * NS_PER_S; clock_now_ns() < until && closed_calls == 0;) {
		ssize_t n = recv(fd, a, sizeof(a), MSG_DONTWAIT);

		for (ssize_t i = 0; i + 1 < n; i += 2)
			pings_seen += (uint8_t)a[i] == 0x89;
		edge_turn(&edge, 10);
	}
	ok(pings_seen >= 2, "a silent peer is pinged (%d)", pings_seen);
	is_int(closed_calls, 1, "and given up");
	(void)close(fd);
	fd = connected(false);
	for (uint64_t until = clock_now_ns() + 2500 * NS_PER_MS; clock_now_ns() < until;) {
		if (recv(fd, a, 2, MSG_DONTWAIT) == 2 && (uint8_t)a[0] == 0x89)
			send_frame(fd, 0x8a, "", 0);
		edge_turn(&edge, 10);
	}
	is_int(closed_calls, 0, "one that answers is kept");
	(void)first;
	(void)close(fd);
	edge_turn(&edge, 10);
}

int main(void)
{
	struct http_options o = { .routes = routes, .origins = "https://ide.example" };
	struct http_counts counts;
	int fd;

	http_limits_defaults(&o.limits);
	o.limits.message_bytes = 250000;
	o.limits.queue_bytes = 256 << 10;
	o.limits.write_ms = 600;
	o.limits.ping_ms = 500;
	o.limits.silent_ms = 1500;
	edge_start(&edge, &o);
	handshake();
	echo();
	eager();
	violations();
	close_codes();
	bounds();
	slow_reader();
	paused();
	our_close();
	pings();
	http_server_counts(edge.server, &counts);
	is_int(counts.websockets, 0, "none is left");
	fd = connected(false);
	http_server_counts(edge.server, &counts);
	is_int(counts.websockets, 1, "one more");
	edge_stop(&edge);
	is_int(closed_calls, 1, "it is told that everything closes");
	is_int(closed_code, 1001, "because the server goes away");
	(void)close(fd);
	return done_testing();
}
