/*
 * Inside of the link: see link.h. Three files: link.c knows the commands and what was answered, link_life.c when to
 * connect and when to give up, link_socket.c one connection's bytes. Tests look in here for other times.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "runtime/base/error.h"
#include "supervisor/redis/link.h"
#include "supervisor/redis/url.h"

enum {
	LINK_PENDING_MAX = 65536,
	LINK_OUT_MAX = 64 << 20,   /* bytes that were not sent yet */
	LINK_REPLY_MAX = 64 << 20, /* memory that one reply may take */
	LINK_LINE_MAX = 64 << 10,  /* of what is not a bulk string: numbers, states, errors */
	LINK_BACKOFF_MIN_MS = 50,
	LINK_BACKOFF_MAX_MS = 5000,
	LINK_STABLE_MS = 5000, /* a connection that lived so long was a good one: the backoff begins anew */
	LINK_IDLE_MS = 10000,  /* then a PING */
};

enum link_state {
	LINK_WAITING,    /* for the next attempt */
	LINK_RESOLVING,  /* getaddrinfo(3) is at work */
	LINK_CONNECTING, /* TCP and TLS */
	LINK_GREETING,   /* AUTH, SELECT, CLIENT SETNAME, PING were sent */
	LINK_UP,
	LINK_CLOSED,
	LINK_STATES,
};

struct command {
	struct command *next;
	redis_reply_fn *fn; /* may be NULL */
	void *arg;
	uint64_t deadline_ns;
};

/* A getaddrinfo under way; it may outlive the attempt that asked. */
struct link_resolve {
	uv_getaddrinfo_t request;
	struct redis_link *link;
	bool is_wanted;
};

struct redis_link {
	uv_loop_t *loop;
	struct redis_url url;
	char *ca_file, *name;
	unsigned connect_ms, command_ms, idle_ms;
	void (*on_state)(struct redis_link *link, bool is_up, const char *why, void *arg);
	void *arg;

	enum link_state state;
	char why[sizeof(((struct error *)NULL)->text)];
	char logged[sizeof(((struct error *)NULL)->text)]; /* the reason that was logged last */
	uint64_t logged_ns;
	unsigned n_holders; /* timer, sockets, resolver: the last one frees us */
	void (*on_closed)(void *arg);
	void *closed_arg;

	/* one timer: the earliest of all that is due */
	uv_timer_t timer;
	uint64_t armed_ns;
	uint64_t deadline_ns; /* of the state, when it has one */
	uint64_t up_ns, active_ns;
	unsigned backoff_ms;

	struct link_resolve *resolve;
	struct addrinfo *addresses; /* owned; by uv_freeaddrinfo() */
	size_t n_addresses, address, tried;
	struct link_socket *socket;

	struct command *first, **last; /* sent, in the order of their answers */
	struct redis_counts counts;
};

/* ---- link.c ---- */

/* One command, whatever the state. */
int link_push(struct redis_link *link, redis_reply_fn *fn, void *arg, unsigned timeout_ms, size_t argc,
	      const char *const *argv, const size_t *lengths);
/* Answer all that waits with an error. ETIMEDOUT is for those whose time is over, ECONNRESET then for the rest. */
void link_answer_all(struct redis_link *link, int code, const char *why);
/* From the socket: a whole reply, borrowed. */
void link_reply(struct redis_link *link, const redisReply *reply);
/* The earliest deadline of what waits; CLOCK_NEVER when nothing does. */
uint64_t link_first_deadline(const struct redis_link *link);

/* ---- link_life.c ---- */

void link_begin(struct redis_link *link); /* once: the first attempt, from the loop */
/* From the socket: TCP and TLS are there. */
void link_connected(struct redis_link *link);
/* The connection is of no use any more: close it, answer what waits, try again later. Callbacks run inside. */
void link_lost(struct redis_link *link, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* See to it that the timer fires at that time, or before. */
void link_wake_at(struct redis_link *link, uint64_t ns);
/* Stop everything, without callbacks from inside. */
void link_stop(struct redis_link *link);
void link_release(struct redis_link *link); /* one holder less */

/* ---- link_socket.c ---- */

struct link_socket;

/* Starts to connect. Returns 0 or -errno with err. */
int link_socket_open(struct redis_link *link, const struct sockaddr *address, socklen_t size, struct link_socket **ret,
		     struct error *err);
/* No callback comes from it any more. It frees itself when the loop and whoever stands in one of its calls let go. */
void link_socket_close(struct link_socket *s);
/* Queue bytes; they are sent from the loop. Returns 0, -EAGAIN (LINK_OUT_MAX) or -ENOMEM. */
int link_socket_write(struct link_socket *s, const void *data, size_t size);
/* Is there room for this many? */
bool link_socket_has_room(const struct link_socket *s, size_t size);
/* Look for answers now: before a time-out is believed. */
void link_socket_read(struct link_socket *s);
