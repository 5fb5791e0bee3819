/*
 * One WebSocket to the daemon, over libwebsockets: on its unix socket, on TCP, or on TLS, there perhaps through an HTTP
 * proxy (proxy.h). The key goes as a header, and to nobody else: redirections are not followed.
 *
 * Everything that the other side may do has a bound: how long the handshake takes, how large a message grows and of how
 * many frames, how long it may say nothing (it is pinged). What it means to come back is not known here: follow.h.
 *
 * Works with libwebsockets 4.1.6 (Debian 12) and 4.3.5 (Debian 13).
 * Runs in: the cubit command, in one thread; websocket_wake() from any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct client;
struct error;
struct websocket;

struct websocket_calls {
	/* A whole text message, terminated; data[size] may be written to. Returns 0 to go on, 1 enough, or -errno. */
	int (*message)(char *data, size_t size, void *arg, struct error *err);
	/* Once it is open, after a wake-up, when there is room to send again, and now and then. NULL: nothing to send. As message. */
	int (*turn)(struct websocket *ws, void *arg, struct error *err);
	/* The answer to websocket_ping(): what was sent before it has been seen. NULL: of no interest. */
	void (*pong)(void *arg);
	/* It is over: ws is not to be named any more, also by other threads. NULL: nobody does. */
	void (*gone)(void *arg);
};

/* How it ended. */
struct websocket_end {
	bool is_open;    /* it was, for a while */
	bool is_alive;   /* the other side answered a ping */
	unsigned status; /* of an answer that was no upgrade; 0: none came */
	int code;        /* with which the other side closed; 0: it did not say */
	char reason[124];
};

/*
 * Connect, and serve it to its end. path: with its query.
 *
 * Returns 0 when `message` or `turn` said enough, or the daemon closed with 1000; otherwise what they returned, or
 * -ECONNREFUSED it was never open and no answer came; -EPROTO another answer than an upgrade (ret->status), a close
 * that says there is no use in coming back, or what is no WebSocket of ours; -ECONNRESET it broke off, or closed saying
 * that it will be back; -EINTR; -EINVAL what the environment or CUBIT_CA say cannot be used. ret is always filled.
 */
int websocket_run(const struct client *c, const char *path, const struct websocket_calls *calls, void *arg,
		  struct websocket_end *ret, struct error *err);

/* In `turn`: how many bytes may be sent now as one message; 0 none. */
size_t websocket_room(const struct websocket *ws);
/* At most websocket_room() bytes. Copied. */
void websocket_send(struct websocket *ws, bool is_text, const void *data, size_t size);

/* Ask for a sign, after what was sent; at most once at a time. */
void websocket_ping(struct websocket *ws);

/* Have `turn` called soon. */
void websocket_wake(struct websocket *ws);
