/*
 * WebSocket, RFC 6455. wslay reads: frames, masks, fragments, UTF-8, control frames and the answers to them. What we
 * send needs no mask, so a message of ours is its header and its data in one system call, without wslay's copies;
 * control frames are wslay's, and both kinds leave whole, so they never mix.
 *
 * Why fragments are counted: wslay keeps each in memory of its own, so that a megabyte in pieces of one byte would take
 * a hundred.
 */
#include "supervisor/http/ws.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "runtime/base/alloc.h"
#include "supervisor/http/conn.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"

enum { FRAGMENTS_MAX = 4096, KEY_CHARS = 24, ACCEPT_CHARS = 28, CLOSE_REASON_MAX = 123 };

struct ws {
	struct conn *conn;
	wslay_event_context_ptr frames;
	struct ws_handlers handlers;
	void *data;
	void *caller;
	void (*free_caller)(void *caller);
	const char *input; /* being fed to wslay */
	size_t input_size;
	unsigned n_fragments;
	uint64_t heard_ms;
	bool is_paused, is_closing, is_over, is_broken;
	int failed_code;            /* sent by fail() */
	unsigned char peer_code[2]; /* of a close frame that is coming in */
	size_t n_peer_code;
	bool is_peer_close, is_answered; /* by us, not by wslay */
};

/* ---- sending ---- */

/* wslay hands out control frames. */
static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t size, int flags, void *arg)
{
	const struct iovec iov = { (void *)(uintptr_t)data, size };
	struct ws *ws = arg;

	(void)flags;
	if (conn_send(ws->conn, &iov, 1) == 0)
		return (ssize_t)size;
	wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

/* Control frames out; the end, when both sides have said it or nothing more can be understood. */
void ws_settle(struct ws *ws)
{
	if (ws->conn->is_doomed || ws->is_over)
		return;
	if (wslay_event_want_write(ws->frames) && wslay_event_send(ws->frames) != 0) {
		conn_doom(ws->conn);
		return;
	}
	if (!wslay_event_want_read(ws->frames) && !wslay_event_want_write(ws->frames) && ws->conn->state == CONN_WS) {
		conn_finish(ws->conn, true);
		ws_ended(ws);
	}
}

static size_t frame_header(uint8_t header[10], bool is_text, size_t size)
{
	header[0] = 0x80 | (is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME);
	if (size < 126) {
		header[1] = (uint8_t)size;
		return 2;
	}
	if (size <= 0xffff) {
		header[1] = 126;
		header[2] = (uint8_t)(size >> 8);
		header[3] = (uint8_t)size;
		return 4;
	}
	header[1] = 127;
	for (int i = 0; i < 8; i++)
		header[2 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
	return 10;
}

int ws_send(struct ws *ws, bool is_text, const void *data, size_t size)
{
	struct conn *c = ws->conn;
	uint8_t header[10];
	struct iovec iov[2];
	int r;

	if (ws->is_over || ws->is_closing || c->is_doomed || c->state != CONN_WS)
		return -EPIPE;
	if (conn_queued(c) > 0 && conn_queued(c) + size > c->server->options.limits.queue_bytes)
		return -ENOBUFS;
	iov[0] = (struct iovec){ header, frame_header(header, is_text, size) };
	iov[1] = (struct iovec){ (void *)(uintptr_t)data, size };
	r = conn_send(c, iov, size > 0 ? 2 : 1);
	conn_settle_later(c);
	return r;
}

size_t ws_queued(const struct ws *ws)
{
	return conn_queued(ws->conn);
}

/* Start the closing handshake; without effect when it has begun. */
static void begin_close(struct ws *ws, int code, const char *reason)
{
	size_t size = reason ? strlen(reason) : 0;

	if (ws->is_closing || ws->is_over)
		return;
	ws->is_closing = true;
	while (size > CLOSE_REASON_MAX ||
	       (size > 0 && size < strlen(reason) && ((unsigned char)reason[size] & 0xc0) == 0x80))
		size--; /* not in the middle of a character */
	if (wslay_event_queue_close(ws->frames, (uint16_t)code, (const uint8_t *)reason, size) != 0)
		conn_doom(ws->conn);
}

void ws_close(struct ws *ws, int code, const char *reason)
{
	begin_close(ws, code, reason);
	conn_settle_later(ws->conn);
}

void ws_going_away(struct ws *ws)
{
	begin_close(ws, WSLAY_CODE_GOING_AWAY, "the server is stopping");
	ws_settle(ws);
}

void ws_drained(struct ws *ws)
{
	if (!ws->is_over && ws->handlers.drain)
		ws->handlers.drain(ws, ws->data);
}

/* ---- receiving ---- */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *buf, size_t size, int flags, void *arg)
{
	struct ws *ws = arg;

	(void)flags;
	if (ws->input_size == 0 || ws->is_paused) {
		wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	size = size < ws->input_size ? size : ws->input_size;
	memcpy(buf, ws->input, size);
	ws->input += size;
	ws->input_size -= size;
	return (ssize_t)size;
}

static void on_frame(wslay_event_context_ptr frames, const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	if (frame->opcode == WSLAY_CONTINUATION_FRAME)
		ws->n_fragments++;
	else if (!wslay_is_ctrl_frame(frame->opcode))
		ws->n_fragments = 0;
	if (ws->n_fragments > FRAGMENTS_MAX) {
		begin_close(ws, WSLAY_CODE_POLICY_VIOLATION, "a message in too many fragments");
		ws->is_broken = true;
	}
	ws->is_peer_close = frame->opcode == WSLAY_CONNECTION_CLOSE;
	ws->n_peer_code = 0;
	if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1) { /* half a code; wslay takes it */
		begin_close(ws, WSLAY_CODE_PROTOCOL_ERROR, NULL);
		ws->is_broken = true;
	}
}

static void on_frame_data(wslay_event_context_ptr frames, const struct wslay_event_on_frame_recv_chunk_arg *chunk,
			  void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	for (size_t i = 0; ws->is_peer_close && i < chunk->data_length && ws->n_peer_code < sizeof(ws->peer_code); i++)
		ws->peer_code[ws->n_peer_code++] = chunk->data[i];
}

/*
 * wslay knows the close codes of RFC 6455. 1012 to 1014 were registered with IANA after it: "service restart", "try
 * again later", "bad gateway". A peer that says one of these is answered with it here, before wslay calls it an error.
 */
static void on_frame_end(wslay_event_context_ptr frames, void *arg)
{
	struct ws *ws = arg;
	int code = ws->peer_code[0] << 8 | ws->peer_code[1];

	(void)frames;
	if (!ws->is_peer_close || ws->n_peer_code < 2 || code < 1012 || code > 1014)
		return;
	begin_close(ws, code, NULL);
	ws->is_answered = true;
	ws->is_broken = true; /* nothing follows */
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	if (ws->is_closing || ws->is_over || wslay_is_ctrl_frame(m->opcode))
		return;
	ws->handlers.message(ws, m->opcode == WSLAY_TEXT_FRAME, m->msg, m->msg_length, ws->data);
}

/*
 * What wslay cannot make a frame of. It would close without a code and lets nobody add one: this one frame is ours.
 */
static void fail(struct ws *ws, int code)
{
	const uint8_t frame[] = { 0x80 | WSLAY_CONNECTION_CLOSE, 2, (uint8_t)(code >> 8), (uint8_t)code };
	const struct iovec iov = { (void *)(uintptr_t)frame, sizeof(frame) };

	if (ws->is_over || ws->conn->is_doomed)
		return;
	if (!wslay_event_get_close_sent(ws->frames))
		(void)conn_send(ws->conn, &iov, 1); /* doomed then */
	ws->failed_code = code;
	conn_finish(ws->conn, true);
	ws_ended(ws);
}

size_t ws_feed(struct ws *ws, const char *data, size_t size)
{
	size_t left;
	int r = 0;

	if (ws->is_paused)
		return 0;
	ws->heard_ms = uv_now(ws->conn->server->loop);
	ws->input = data;
	ws->input_size = size;
	if (wslay_event_get_read_enabled(ws->frames))
		r = wslay_event_recv(ws->frames);
	if (ws->is_broken)
		wslay_event_shutdown_read(ws->frames);
	left = ws->is_paused && wslay_event_get_read_enabled(ws->frames) ? ws->input_size : 0;
	ws->input = NULL;
	ws->input_size = 0;
	if (r != 0 && !ws->is_answered)
		fail(ws, r == WSLAY_ERR_NOMEM ? WSLAY_CODE_INTERNAL_SERVER_ERROR : WSLAY_CODE_PROTOCOL_ERROR);
	else
		ws_settle(ws);
	return size - left;
}

/* A peer that asks for more than it takes (pings, mostly) is not listened to until it has taken it. */
bool ws_wants_to_read(const struct ws *ws)
{
	return !ws->is_paused && conn_queued(ws->conn) <= ws->conn->server->options.limits.queue_bytes;
}

void ws_pause(struct ws *ws, bool on)
{
	if (!on && ws->is_paused)
		ws->heard_ms = uv_now(ws->conn->server->loop); /* silence begins now */
	ws->is_paused = on;
	if (!ws->is_over)
		conn_settle_later(ws->conn);
}

enum deadline_class ws_deadline(const struct ws *ws)
{
	return ws->is_closing ? DEADLINE_LINGER : DEADLINE_PING;
}

void ws_tick(struct ws *ws)
{
	const struct http_limits *l = &ws->conn->server->options.limits;
	const struct wslay_event_msg ping = { .opcode = WSLAY_PING };

	if (!ws->is_paused && uv_now(ws->conn->server->loop) - ws->heard_ms >= l->silent_ms)
		conn_doom(ws->conn);
	else if (conn_queued(ws->conn) == 0 && wslay_event_queue_msg(ws->frames, &ping) == 0)
		ws_settle(ws); /* to a peer that does not read the queue asks already */
}

/* ---- the end ---- */

/* The peer's word, or ours, or that there was none. */
static int final_code(const struct ws *ws)
{
	if (wslay_event_get_close_received(ws->frames))
		return wslay_event_get_status_code_received(ws->frames);
	if (wslay_event_get_close_sent(ws->frames))
		return wslay_event_get_status_code_sent(ws->frames);
	return ws->failed_code ? ws->failed_code : WSLAY_CODE_ABNORMAL_CLOSURE;
}

void ws_ended(struct ws *ws)
{
	if (ws->is_over)
		return;
	ws->is_over = true;
	ws->conn->server->counts.websockets--;
	ws->handlers.closed(ws, final_code(ws), ws->data);
	if (ws->free_caller)
		ws->free_caller(ws->caller);
	ws->free_caller = NULL;
	ws->caller = NULL;
}

void ws_free(struct ws *ws)
{
	if (!ws)
		return;
	assert(ws->is_over);
	wslay_event_context_free(ws->frames);
	free(ws);
}

void *ws_caller(const struct ws *ws)
{
	return ws->caller;
}

/* ---- the handshake ---- */

/* 16 bytes in base64 are 22 characters and "==". */
static bool is_key(const char *key)
{
	return key && strlen(key) == KEY_CHARS && strcmp(key + 22, "==") == 0 &&
	       strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22;
}

static void accept_key(const char *key, char ret[ACCEPT_CHARS + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[KEY_CHARS + sizeof(guid)], digest[SHA_DIGEST_LENGTH];

	memcpy(text, key, KEY_CHARS);
	memcpy(text + KEY_CHARS, guid, sizeof(guid));
	(void)SHA1(text, KEY_CHARS + sizeof(guid) - 1, digest);              /* into our memory: cannot fail */
	(void)EVP_EncodeBlock((unsigned char *)ret, digest, sizeof(digest)); /* 28 characters */
}

/* false: answered. */
static bool is_acceptable(struct http_request *rq)
{
	const char *version = http_header(rq, "sec-websocket-version");

	if (strcmp(rq->method, "GET") != 0 || rq->is_http10 || !request_has_token(rq, "connection", "upgrade") ||
	    !request_has_token(rq, "upgrade", "websocket")) {
		http_set_header(rq, "Upgrade", "websocket");
		http_error(rq, 426, "upgrade_required", NULL, "this path is a WebSocket: ask for an upgrade");
		return false;
	}
	if (!version || strcmp(version, "13") != 0) {
		http_set_header(rq, "Sec-WebSocket-Version", "13");
		http_error(rq, 426, "upgrade_required", "Sec-WebSocket-Version", "the WebSocket version must be 13");
		return false;
	}
	if (!is_key(http_header(rq, "sec-websocket-key"))) {
		http_error(rq, 400, "bad_request", "Sec-WebSocket-Key", "Sec-WebSocket-Key is not 16 bytes in base64");
		return false;
	}
	if (http_is_cross_origin(rq)) {
		http_error(rq, 403, "foreign_origin", "Origin", "WebSockets are not served to pages of this origin");
		return false;
	}
	return true;
}

static struct ws *ws_new(struct conn *c, const struct ws_handlers *handlers, void *data)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame,
		.on_frame_recv_chunk_callback = on_frame_data,
		.on_frame_recv_end_callback = on_frame_end,
		.on_msg_recv_callback = on_message,
	};
	struct ws *ws = alloc_zeroed(1, sizeof(*ws));

	if (wslay_event_context_server_init(&ws->frames, &callbacks, ws) != 0) {
		free(ws);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(ws->frames, c->server->options.limits.message_bytes);
	ws->conn = c;
	ws->handlers = *handlers;
	ws->data = data;
	ws->heard_ms = uv_now(c->server->loop);
	return ws;
}

struct ws *http_upgrade(struct http_request *rq, const struct ws_handlers *handlers, void *data)
{
	struct conn *c = rq->conn;
	char accept[ACCEPT_CHARS + 1];
	struct iovec iov;
	struct ws *ws;

	assert(rq->phase == REQUEST_HANDLING && c);
	if (!is_acceptable(rq))
		return NULL;
	ws = ws_new(c, handlers, data);
	accept_key(http_header(rq, "sec-websocket-key"), accept);
	http_set_header(rq, "Upgrade", "websocket");
	http_set_header(rq, "Sec-WebSocket-Accept", accept);
	if (!ws || reply_head(rq, 101, NULL, -1, "Upgrade") < 0) {
		if (ws)
			wslay_event_context_free(ws->frames);
		free(ws);
		http_error(rq, 503, "busy", NULL, "out of memory");
		return NULL;
	}
	iov = (struct iovec){ rq->server->scratch.data, rq->server->scratch.size };
	(void)conn_send(c, &iov, 1); /* doomed then: closed() follows */
	ws->caller = rq->caller;
	ws->free_caller = rq->free_caller;
	rq->caller = NULL;
	rq->free_caller = NULL;
	c->server->counts.websockets++;
	c->is_keep_alive = true; /* so that the end of the request is not the end of the connection */
	request_end(rq, 101);
	assert(c->state != CONN_CLOSED); /* `done` counts and logs; it closes nothing */
	c->ws = ws;
	c->state = CONN_WS;
	if (c->is_half)
		conn_doom(c); /* the client is gone already, or can never say anything: closed() follows */
	return ws;
}
