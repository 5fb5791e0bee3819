/*
 * The connection of a command to the daemon: HTTP on its unix socket, where root is admin without a key, or on the
 * network with a key. Requests one after the other, on one connection; everything blocks.
 *
 * What the daemon says is foreign text: errors come cleaned of what a terminal would obey.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"

enum { EXIT_REFUSED = 3 }; /* beside those of command.h: the daemon cannot be reached, or said no */

struct client;
struct error;

/*
 * url  http://host[:port], https://..., unix:/path; NULL: CUBIT_URL, else unix:${CUBIT_RUN}/cubit.sock
 * key  a key, or @FILE that has one; NULL: CUBIT_KEY, else none. Copied
 * ret  owned: client_free()
 * Nothing is connected yet. Returns 0, -EINVAL, or what reading FILE failed with.
 */
int client_new(const char *url, const char *key, struct client **ret, struct error *err);
void client_free(struct client *c);

/* Once *flag is set (by a signal handler), what waits for the daemon ends with -EINTR. NULL: never. */
void client_set_interrupt(struct client *c, const volatile sig_atomic_t *flag);

/* Where the daemon is, for whoever connects by themselves. Borrowed from the client. */
struct client_peer {
	const char *socket; /* path; NULL: network */
	const char *host;   /* as in the URL, an IPv6 address in brackets */
	uint16_t port;
	bool is_tls;
	const char *authorization;              /* "Bearer KEY"; NULL: no key */
	const char *where;                      /* for words */
	const volatile sig_atomic_t *interrupt; /* may be NULL */
};
struct client_peer client_peer(const struct client *c);

/* A header for each request from now on: "Name: value". Returns 0 or -ENOMEM. */
int client_add_header(struct client *c, const char *line);

struct client_reply {
	long status;
	json_t *json;           /* NULL when it is not JSON */
	struct buf text;        /* as it came */
	unsigned retry_after_s; /* what the daemon asks for; 0: nothing */
};
void client_reply_done(struct client_reply *r);
#define cleanup_reply __attribute__((cleanup(client_reply_done)))
#define CLIENT_REPLY_INIT                                                                                              \
	{                                                                                                              \
		.json = NULL                                                                                           \
	}

/*
 * One request.
 *
 * body  borrowed; NULL for none
 * ret   filled when there was an answer, also one that is an error: client_reply_done()
 * Returns 0 for 2xx. Otherwise -errno and one sentence in err: -EPROTO the daemon refused (client_refusal() has its
 * words), -EAGAIN it does not take work for now (429, 503), -ECONNREFUSED it cannot be reached, -ECONNRESET the
 * connection was cut, -EINTR.
 */
int client_call(struct client *c, const char *method, const char *path, const json_t *body, struct client_reply *ret,
		struct error *err);

/* The daemon's last {"error": {...}} (borrowed), NULL when the failure was none of its words. */
const json_t *client_refusal(const struct client *c);

/* One line of an answer that comes in lines, without its end, terminated. Returns 0 to go on, 1 enough, or -errno. */
typedef int client_line_fn(char *line, size_t size, void *arg, struct error *err);

/*
 * GET an answer in lines as it comes. idle_ms: stop when nothing came for so long (after the headers); 0: never.
 * Returns 0 at its end, after `enough` and after idle_ms; otherwise as client_call, or what the function returned.
 */
int client_stream(struct client *c, const char *path, const char *accept, unsigned idle_ms, client_line_fn *fn,
		  void *arg, struct error *err);

/* "/v1/jobs/" and an id that somebody typed, as a path; more ("/events") may be "". -EINVAL: it can be no id. */
int client_path(char *ret, size_t room, const char *start, const char *id, const char *more, struct error *err);
