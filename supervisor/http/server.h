/* The server as its connections see it. Runs in: front, on the loop. */
#pragma once

#include "supervisor/http/conn.h"
#include "supervisor/http/http.h"
#include "supervisor/http/route.h"

struct http_server {
	uv_loop_t *loop;
	struct http_options options;
	struct routes *routes;
	struct peer_prefixes trusted, near;
	struct deadlines deadlines;
	struct link conns, ready, listeners;
	struct link pool; /* of requests that ended, oldest first: see request.h */
	size_t n_pool;
	size_t bodies_bytes; /* of all requests */
	struct http_counts counts;
	uv_timer_t tick;
	uv_idle_t idle; /* runs while `ready` holds something */
	bool is_draining, is_closing;
	unsigned n_handles; /* open, ours; 0: nothing is left */
	void (*closed)(void *arg);
	void *closed_arg;
	char id_prefix[17]; /* of request ids */
	uint64_t n_ids;
	uint64_t logged_at, n_logged; /* failures, in this second */
	uint64_t rest_logged_ms;
	time_t date_at;
	char date[40];      /* "Date: ...\r\n", made once a second */
	struct buf scratch; /* a head being made */
	char *chunk;        /* CONN_READ_BYTES: what was just read */
};

/* One of our handles was closed; the last one ends the server. */
void server_handle_gone(struct http_server *s);

/* Something was put on `ready`: look at it in the next round. */
void server_wake(struct http_server *s);

/* Is the timer needed? After a connection came or went. */
void server_tick_update(struct http_server *s);
