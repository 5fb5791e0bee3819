/*
 * WebSockets over libwebsockets: see websocket.h.
 *
 * How it works: one context with one connection, served by lws_service() until a callback says that it is over. A
 * message is put together from what comes; one message at a time waits to be sent. A timer turns four times a second:
 * it sees signals, and deadlines that the library does not keep.
 */
#include "tools/cubit/websocket.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/utf8.h"
#include "runtime/base/version.h"
#include "supervisor/settings.h"
#include "tools/cubit/client.h"
#include "tools/cubit/proxy.h"

enum {
	MESSAGE_MAX_BYTES = 64 << 20,
	FRAMES_MAX = 4096, /* of one message; the daemon makes one */
	SEND_MAX_BYTES = 16 << 10,
	HEADERS_BYTES = 16 << 10, /* a key has up to 4 KiB */
	CONNECT_S = 10,
	OPEN_S = 20,     /* connection, TLS and handshake together */
	MESSAGE_S = 120, /* from the first byte of a message to its last */
	PING_S = 30,     /* without a word */
	SILENT_S = 45,
	TICK_MS = 250,
	FDS = 16,
	PORT_HTTPS = 443,
	PORT_HTTP = 80,
};

static const char our_ping[] = { 's', 'e', 'e', 'n' }; /* the library pings by itself as well */

struct websocket {
	struct client_peer peer;
	const struct websocket_calls *calls;
	void *arg;
	struct websocket_end *end;
	struct lws_context *context;
	struct lws *wsi;
	lws_sorted_usec_list_t tick;
	uint64_t open_until_ns;
	struct buf in;
	unsigned n_frames;         /* of the message that is coming in */
	uint64_t message_until_ns; /* 0: none is */
	char out[LWS_PRE + SEND_MAX_BYTES];
	size_t out_size;
	bool has_out, is_out_text, wants_ping;
	bool is_over;
	int result;
	struct error error;
	char words[200]; /* the library's, of a connection that failed */
};

/* ---- the end ---- */

static int over(struct websocket *ws, int result)
{
	if (!ws->is_over)
		ws->result = result;
	ws->is_over = true;
	lws_cancel_service(ws->context); /* lws_service() returns after an event on a descriptor, not after a timer */
	return -1;                       /* closes the connection, as the value of a callback */
}

static int fail(struct websocket *ws, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct websocket *ws, int code, const char *fmt, ...)
{
	char text[sizeof(ws->error.text)];
	va_list ap;

	if (ws->is_over)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return over(ws, error_set(&ws->error, code, "%s", text));
}

/*
 * Close codes after which there is no use in coming back: RFC 6455 7.4.1. The others are of a daemon that will be back.
 * 1002 is among those: libwebsockets puts it in the place of codes that it does not know, such as 1012, "service restart".
 */
static const struct {
	int code;
	const char *words;
} final_codes[] = {
	{ LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "the daemon does not take what was sent" },
	{ LWS_CLOSE_STATUS_INVALID_PAYLOAD, "the daemon does not take what was sent" },
	{ LWS_CLOSE_STATUS_POLICY_VIOLATION, "the daemon ended the stream" },
	{ LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the daemon says that a message of ours is too large" },
	{ LWS_CLOSE_STATUS_EXTENSION_REQUIRED, "the daemon wants an extension" },
};

static int closed(struct websocket *ws)
{
	const struct websocket_end *end = ws->end;

	if (end->code == LWS_CLOSE_STATUS_NORMAL)
		return over(ws, 0);
	for (size_t i = 0; i < sizeof(final_codes) / sizeof(final_codes[0]); i++) {
		if (final_codes[i].code == end->code)
			return fail(ws, EPROTO, "%s%s%s", final_codes[i].words, end->reason[0] ? ": " : "",
				    end->reason);
	}
	if (!end->code)
		return fail(ws, ECONNRESET, "the connection to the daemon broke off");
	return fail(ws, ECONNRESET, "the daemon closed the stream (%d%s%s)", end->code, end->reason[0] ? ": " : "",
		    end->reason);
}

/* Two bytes of the code, then the reason. */
static void keep_close(struct websocket *ws, const unsigned char *data, size_t size)
{
	if (size < 2)
		return;
	ws->end->code = data[0] << 8 | data[1];
	(void)snprintf(ws->end->reason, sizeof(ws->end->reason), "%.*s", (int)(size - 2), (const char *)data + 2);
	utf8_clean(ws->end->reason);
}

static int not_opened(struct websocket *ws, const char *words, size_t size)
{
	ws->end->status = lws_http_client_http_response(ws->wsi);
	(void)snprintf(ws->words, sizeof(ws->words), "%.*s", (int)size, words ? words : "");
	utf8_clean(ws->words);
	if (ws->end->status)
		return fail(ws, EPROTO, "what answers at %s with status %u does not open a stream", ws->peer.where,
			    ws->end->status);
	return fail(ws, ECONNREFUSED, "the daemon cannot be reached at %s: %s", ws->peer.where,
		    ws->words[0] ? ws->words : "the connection was closed");
}

/* ---- sending and receiving ---- */

size_t websocket_room(const struct websocket *ws)
{
	return ws->end->is_open && !ws->has_out ? SEND_MAX_BYTES : 0;
}

void websocket_send(struct websocket *ws, bool is_text, const void *data, size_t size)
{
	memcpy(ws->out + LWS_PRE, data, size);
	ws->out_size = size;
	ws->is_out_text = is_text;
	ws->has_out = true;
	(void)lws_callback_on_writable(ws->wsi);
}

void websocket_ping(struct websocket *ws)
{
	ws->wants_ping = true;
	(void)lws_callback_on_writable(ws->wsi);
}

void websocket_wake(struct websocket *ws)
{
	lws_cancel_service(ws->context);
}

static int turn(struct websocket *ws)
{
	int r = 0;

	if (ws->is_over)
		return -1;
	if (ws->end->is_open && !ws->has_out && ws->calls->turn)
		r = ws->calls->turn(ws, ws->arg, &ws->error);
	return r == 0 ? 0 : over(ws, r < 0 ? r : 0);
}

static int writable(struct websocket *ws)
{
	unsigned char ping[LWS_PRE + sizeof(our_ping)];
	int n;

	if (!ws->has_out && ws->wants_ping) {
		ws->wants_ping = false;
		memcpy(ping + LWS_PRE, our_ping, sizeof(our_ping));
		if (lws_write(ws->wsi, ping + LWS_PRE, sizeof(our_ping), LWS_WRITE_PING) < 0)
			return closed(ws);
	}
	if (!ws->has_out)
		return turn(ws);
	n = lws_write(ws->wsi, (unsigned char *)ws->out + LWS_PRE, ws->out_size,
		      ws->is_out_text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);
	ws->has_out = false;
	if (n < (int)ws->out_size)
		return closed(ws);
	if (ws->wants_ping)
		(void)lws_callback_on_writable(ws->wsi);
	return turn(ws);
}

static int received(struct websocket *ws, const char *data, size_t size)
{
	int r;

	if (lws_is_first_fragment(ws->wsi)) {
		ws->n_frames = 0;
		ws->in.size = 0;
		ws->message_until_ns = clock_deadline_ns(MESSAGE_S * NS_PER_S);
	}
	if (lws_frame_is_binary(ws->wsi))
		return fail(ws, EPROTO, "the daemon sent something that is not an event");
	if (buf_append(&ws->in, data, size) < 0)
		return fail(ws, EPROTO, "the daemon sent a message of more than %d MiB", MESSAGE_MAX_BYTES >> 20);
	if (lws_remaining_packet_payload(ws->wsi) > 0)
		return 0;
	if (++ws->n_frames > FRAMES_MAX)
		return fail(ws, EPROTO, "the daemon sent a message in more than %d pieces", FRAMES_MAX);
	if (!lws_is_final_fragment(ws->wsi))
		return 0;
	ws->message_until_ns = 0;
	(void)buf_str(&ws->in); /* terminates it */
	r = ws->calls->message(ws->in.size ? ws->in.data : (char[1]){ "" }, ws->in.size, ws->arg, &ws->error);
	return r == 0 ? 0 : over(ws, r < 0 ? r : 0);
}

static void pong(struct websocket *ws, const void *data, size_t size)
{
	ws->end->is_alive = true;
	if (size == sizeof(our_ping) && memcmp(data, our_ping, size) == 0 && ws->calls->pong)
		ws->calls->pong(ws->arg);
}

/* ---- what the library says ---- */

static int add_headers(struct websocket *ws, unsigned char **at, size_t room)
{
	unsigned char *end = *at + room;
	static const char agent[] = "cubit/" CUBIT_VERSION;

	if (lws_add_http_header_by_token(ws->wsi, WSI_TOKEN_HTTP_USER_AGENT, (const unsigned char *)agent,
					 sizeof(agent) - 1, at, end))
		return fail(ws, ENOBUFS, "the headers of the request are too long");
	if (ws->peer.authorization && lws_add_http_header_by_token(ws->wsi, WSI_TOKEN_HTTP_AUTHORIZATION,
								   (const unsigned char *)ws->peer.authorization,
								   (int)strlen(ws->peer.authorization), at, end))
		return fail(ws, ENOBUFS, "the key is too long");
	return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
	struct websocket *ws = lws_context_user(lws_get_context(wsi));

	(void)user;
	switch ((int)reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		ws->wsi = wsi;
		return add_headers(ws, in, size);
	case LWS_CALLBACK_CLIENT_HTTP_REDIRECT: /* a key goes to whom it was meant for */
		ws->wsi = wsi;
		return -1;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		ws->wsi = wsi;
		(void)not_opened(ws, in, in ? size : 0);
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		ws->wsi = wsi;
		ws->end->is_open = true;
		return turn(ws);
	case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
		pong(ws, in, size);
		return ws->is_over ? -1 : turn(ws);
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return ws->is_over ? -1 : received(ws, in, size);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return ws->is_over ? -1 : writable(ws);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		keep_close(ws, in, size);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		(void)closed(ws);
		return 0;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		(void)turn(ws);
		return 0;
	default:
		return 0;
	}
}

static void on_tick(lws_sorted_usec_list_t *tick)
{
	struct websocket *ws = lws_container_of(tick, struct websocket, tick);

	if (ws->peer.interrupt && *ws->peer.interrupt)
		(void)fail(ws, EINTR, "interrupted");
	else if (!ws->end->is_open && clock_now_ns() > ws->open_until_ns)
		(void)fail(ws, ECONNREFUSED, "the daemon cannot be reached at %s: no answer within %d s",
			   ws->peer.where, OPEN_S);
	else if (ws->message_until_ns && clock_now_ns() > ws->message_until_ns)
		(void)fail(ws, EPROTO, "the daemon sent no whole message within %d s", MESSAGE_S);
	else
		(void)turn(ws);
	if (!ws->is_over)
		lws_sul_schedule(ws->context, 0, &ws->tick, on_tick, TICK_MS * LWS_US_PER_MS);
}

/* ---- opening ---- */

static const struct lws_protocols protocols[] = {
	{ .name = "cubit", .callback = on_event, .rx_buffer_size = 64 << 10 },
	{ .name = NULL },
};

static const lws_retry_bo_t idle = { .secs_since_valid_ping = PING_S, .secs_since_valid_hangup = SILENT_S };

/*
 * The library takes http_proxy of the environment for everything, a key in clear text too. Which proxy is meant is said
 * by proxy_find(), so that variable is taken away; requests over libcurl do not look at it either.
 */
static int set_proxy(const struct client_peer *peer, struct lws_context_creation_info *info, char *text, size_t room,
		     struct error *err)
{
	struct url url;
	int r;

	(void)unsetenv("http_proxy");
	if (peer->socket || !peer->is_tls)
		return 0;
	r = proxy_find(peer->host, &url, err);
	if (r <= 0)
		return r;
	if (*url.user || *url.password)
		(void)snprintf(text, room, "%s:%s@%s", url.user, url.password, url.host);
	else
		(void)snprintf(text, room, "%s", url.host);
	info->http_proxy_address = text;
	info->http_proxy_port = url.port;
	return 0;
}

static int open_context(struct websocket *ws, struct error *err)
{
	char proxy[sizeof(struct url)];
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.user = ws,
		.fd_limit_per_thread = FDS,
		.pt_serv_buf_size = HEADERS_BYTES,
		.timeout_secs = CONNECT_S,
		.connect_timeout_secs = CONNECT_S,
		.alpn = "http/1.1", /* the library's HTTP/2 is not for us, and WebSockets do not need it */
		.options = ws->peer.is_tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
	};
	const char *ca = settings_used()->ca;
	int r = set_proxy(&ws->peer, &info, proxy, sizeof(proxy), err);

	if (r < 0)
		return r;
	if (ws->peer.is_tls && *ca) {
		info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
		info.client_ssl_ca_filepath = ca;
	}
	lws_set_log_level(0, NULL);
	ws->context = lws_create_context(&info);
	if (!ws->context)
		return error_set(err, EINVAL, "no WebSocket can be made%s%s",
				 *ca ? ": CUBIT_CA may not be a file of certificates: " : "", ca);
	return 0;
}

/* As a URL's authority has it: without the port that goes without saying. */
static void host_header(const struct client_peer *peer, char *ret, size_t room)
{
	if (peer->socket)
		(void)snprintf(ret, room, "cubit");
	else if (peer->port == (peer->is_tls ? PORT_HTTPS : PORT_HTTP))
		(void)snprintf(ret, room, "%s", peer->host);
	else
		(void)snprintf(ret, room, "%s:%u", peer->host, peer->port);
}

/* Where to connect to: "+/path" is a unix socket; an IPv6 address is without its brackets. */
static void address(const struct client_peer *peer, char *ret, size_t room)
{
	size_t n;

	if (peer->socket) {
		(void)snprintf(ret, room, "+%s", peer->socket);
		return;
	}
	(void)snprintf(ret, room, "%s", peer->host + (peer->host[0] == '['));
	n = strlen(ret);
	if (n > 0 && ret[n - 1] == ']')
		ret[n - 1] = '\0';
}

static void connect_it(struct websocket *ws, const char *path)
{
	char host[300], where[300];
	const struct lws_client_connect_info info = {
		.context = ws->context,
		.address = where,
		.port = ws->peer.port,
		.ssl_connection = (ws->peer.is_tls ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
		.path = path,
		.host = host,
		.local_protocol_name = protocols[0].name,
		.alpn = "http/1.1",
		.retry_and_idle_policy = &idle,
		.pwsi = &ws->wsi,
	};

	host_header(&ws->peer, host, sizeof(host));
	address(&ws->peer, where, sizeof(where));
	if (!lws_client_connect_via_info(&info) && !ws->is_over)
		(void)not_opened(ws, NULL, 0);
}

int websocket_run(const struct client *c, const char *path, const struct websocket_calls *calls, void *arg,
		  struct websocket_end *ret, struct error *err)
{
	struct websocket *ws = alloc_zeroed(1, sizeof(*ws));
	int r;

	*ret = (struct websocket_end){ .is_open = false };
	ws->peer = client_peer(c);
	ws->calls = calls;
	ws->arg = arg;
	ws->end = ret;
	ws->in.max = MESSAGE_MAX_BYTES;
	ws->open_until_ns = clock_deadline_ns(OPEN_S * NS_PER_S);
	r = open_context(ws, err);
	if (r == 0) {
		connect_it(ws, path);
		on_tick(&ws->tick);
		while (!ws->is_over && lws_service(ws->context, 0) >= 0)
			;
		if (!ws->is_over)
			(void)fail(ws, ECONNRESET, "the connection to the daemon broke off");
		if (calls->gone)
			calls->gone(arg);
		lws_sul_cancel(&ws->tick);
		lws_context_destroy(ws->context);
		r = ws->result < 0 ? error_set(err, -ws->result, "%s", ws->error.text) : 0;
	}
	buf_done(&ws->in);
	free(ws);
	return r;
}
