/*
 * The HTTP edge: listeners, the bound on connections, time. See http.h.
 *
 * Handles on the loop: one uv_poll for each listening socket and each connection, one timer for every deadline of every
 * connection (deadline.h; it runs only while there are connections), one idle handle that runs only while a connection
 * waits to be looked at after something happened to it from outside its own callback.
 */
#include "supervisor/http/server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/http/admit.h"
#include "supervisor/http/request.h"
#include "supervisor/http/ws.h"

enum {
	ACCEPT_BATCH = 64,
	BACKLOG = 1024,
	KEEPALIVE_S = 60,
	KEEPALIVE_PROBES = 4,
	LINGER_MS = 2000,
	REST_LOG_MS = 10000
};

struct listener {
	uv_poll_t poll;
	struct http_server *server;
	struct link link;
	int fd;
	bool is_resting; /* no descriptors left: until the next tick */
};

void http_limits_defaults(struct http_limits *l)
{
	*l = (struct http_limits){
		.header_bytes = 16 << 10,
		.body_bytes = 16 << 20,
		.bodies_bytes = 256 << 20,
		.message_bytes = 1 << 20,
		.queue_bytes = 1 << 20,
		.connections = 4096,
		.header_ms = 10000,
		.body_ms = 30000,
		.idle_ms = 60000,
		.write_ms = 30000,
		.ping_ms = 30000,
		.silent_ms = 75000,
	};
}

/* ---- accepting ---- */

static void on_connection(uv_poll_t *handle, int status, int events);

static void rest(struct listener *l)
{
	l->is_resting = true;
	(void)uv_poll_stop(&l->poll); /* cannot fail */
	if (l->server->rest_logged_ms == 0 || uv_now(l->server->loop) - l->server->rest_logged_ms > REST_LOG_MS) {
		log_warning(LOG_NONE, "no descriptor is left for a connection, not accepting for %d ms",
			    DEADLINE_TICK_MS);
		l->server->rest_logged_ms = uv_now(l->server->loop);
	}
	server_tick_update(l->server);
}

static void end_rest(struct http_server *s)
{
	for (struct link *i = s->listeners.next; i != &s->listeners; i = i->next) {
		struct listener *l = LIST_ENTRY(struct listener, link, i);

		if (l->is_resting)
			(void)uv_poll_start(&l->poll, UV_READABLE, on_connection); /* as it was */
		l->is_resting = false;
	}
}

/* Too many: said in one write to a fresh socket, which takes it. */
static void turn_away(int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
				     "Content-Length: 65\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
				     "{\"error\":{\"code\":\"busy\",\"message\":\"too many connections are open\"}}";

	(void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* courtesy */
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;
	struct http_server *s = l->server;
	struct peer peer;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && status == 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
			rest(l);
		if (fd < 0)
			return; /* none is left, or it has gone already */
		if (peer_of_socket(fd, &peer) < 0) {
			(void)close(fd); /* it has gone already */
			continue;
		}
		if (!admit_peer(s, &peer)) {
			turn_away(fd);
			continue;
		}
		r = conn_new(s, fd, &peer);
		if (r < 0)
			log_debug(LOG_NONE, "connection not taken: %s", strerror(-r));
	}
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct http_server *s = l->server;

	free(l);
	server_handle_gone(s);
}

static void listener_close(struct listener *l)
{
	list_remove(&l->link);
	uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	fd_close(&l->fd);
}

/* Options that accepted sockets inherit, tcp(7): one system call for each listener instead of each connection. */
static void tune(int fd)
{
	int yes = 1, idle = KEEPALIVE_S, probes = KEEPALIVE_PROBES;

	/* on a unix socket they fail, and are not needed */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

int http_server_listen(struct http_server *s, int fd, struct error *err)
{
	struct listener *l = alloc_zeroed(1, sizeof(*l));
	int r = 0;

	tune(fd);
	if (listen(fd, BACKLOG) < 0) /* again, if it did already: only the backlog changes */
		r = -errno;
	if (r == 0)
		r = uv_poll_init(s->loop, &l->poll, fd);
	if (r < 0) {
		free(l);
		(void)close(fd);
		return error_errno(err, -r, "listen");
	}
	l->server = s;
	l->fd = fd;
	l->poll.data = l;
	list_append(&s->listeners, &l->link);
	s->n_handles++;
	r = uv_poll_start(&l->poll, UV_READABLE, on_connection);
	assert(r == 0);
	return 0;
}

int http_server_adopt(struct http_server *s, int fd, struct error *err)
{
	struct peer peer;
	int r = fd_set_nonblock(fd, 1);

	if (r == 0)
		r = peer_of_socket(fd, &peer);
	if (r < 0) {
		(void)close(fd);
		return error_errno(err, -r, "adopt a connection");
	}
	tune(fd);
	r = conn_new(s, fd, &peer);
	return r < 0 ? error_errno(err, -r, "adopt a connection") : 0;
}

/* ---- time, and what waits to be looked at ---- */

static void on_tick(uv_timer_t *timer)
{
	struct http_server *s = timer->data;
	struct deadline *d;

	end_rest(s);
	while (!s->is_closing && (d = deadlines_take(&s->deadlines, uv_now(s->loop)))) {
		enum deadline_class class = d->class;

		d->class = DEADLINE_NONE;
		conn_timeout(class == DEADLINE_WRITE ? LIST_ENTRY(struct conn, writing, d)
						     : LIST_ENTRY(struct conn, wait, d),
			     class);
	}
	server_tick_update(s);
}

static bool tick_is_needed(const struct http_server *s)
{
	if (s->is_closing)
		return false;
	for (const struct link *i = s->listeners.next; i != &s->listeners; i = i->next)
		if (LIST_ENTRY(struct listener, link, i)->is_resting)
			return true;
	return s->counts.connections > 0;
}

void server_tick_update(struct http_server *s)
{
	bool is_active = uv_is_active((uv_handle_t *)&s->tick);

	if (s->is_closing || tick_is_needed(s) == is_active)
		return;
	if (is_active)
		(void)uv_timer_stop(&s->tick); /* cannot fail */
	else
		(void)uv_timer_start(&s->tick, on_tick, DEADLINE_TICK_MS, DEADLINE_TICK_MS); /* cannot fail */
}

static void on_idle(uv_idle_t *idle)
{
	struct http_server *s = idle->data;
	struct link now, *l;

	/* those that are there now: what they put on the list again is for the next round */
	list_init(&now);
	while ((l = list_take(&s->ready)))
		list_append(&now, l);
	while ((l = list_take(&now)))
		conn_wake(LIST_ENTRY(struct conn, ready, l));
	if (list_is_empty(&s->ready) && !s->is_closing)
		(void)uv_idle_stop(idle); /* cannot fail */
}

void server_wake(struct http_server *s)
{
	if (!s->is_closing && !uv_is_active((uv_handle_t *)&s->idle))
		(void)uv_idle_start(&s->idle, on_idle); /* cannot fail */
}

/* ---- life ---- */

static void make_id_prefix(struct http_server *s)
{
	unsigned char random[8] = { 0 };

	if (getrandom(random, sizeof(random), 0) < 0) /* ids tell requests apart, they are no secret */
		log_debug(LOG_NONE, "no random prefix for request ids");
	for (size_t i = 0; i < sizeof(random); i++) {
		s->id_prefix[2 * i] = "0123456789abcdef"[random[i] >> 4];
		s->id_prefix[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
	}
}

static void set_deadlines(struct http_server *s)
{
	const struct http_limits *l = &s->options.limits;

	deadlines_init(&s->deadlines);
	s->deadlines.after_ms[DEADLINE_HEAD] = l->header_ms;
	s->deadlines.after_ms[DEADLINE_BODY] = l->body_ms;
	s->deadlines.after_ms[DEADLINE_IDLE] = l->idle_ms;
	s->deadlines.after_ms[DEADLINE_WRITE] = l->write_ms;
	s->deadlines.after_ms[DEADLINE_LINGER] = LINGER_MS;
	s->deadlines.after_ms[DEADLINE_PING] = l->ping_ms;
}

static void server_free(struct http_server *s)
{
	request_pool_done(s);
	routes_free(s->routes);
	buf_done(&s->scratch);
	free(s->chunk);
	free(s);
}

int http_server_new(uv_loop_t *loop, const struct http_options *options, struct http_server **ret, struct error *err)
{
	struct http_server *s = alloc_zeroed(1, sizeof(*s));
	int r;

	s->loop = loop;
	s->options = *options;
	if (s->options.limits.bodies_bytes < options->limits.body_bytes)
		s->options.limits.bodies_bytes = options->limits.body_bytes; /* one must have room */
	list_init(&s->conns);
	list_init(&s->ready);
	list_init(&s->listeners);
	list_init(&s->pool);
	set_deadlines(s);
	make_id_prefix(s);
	s->routes = routes_new(options->routes);
	s->chunk = alloc_bytes(CONN_READ_BYTES);
	r = peer_prefixes_parse(options->trusted_proxies, &s->trusted, err);
	if (r < 0)
		(void)error_wrap(err, "trusted proxies");
	if (r == 0) {
		r = peer_prefixes_parse(options->near_networks, &s->near, err);
		if (r < 0)
			(void)error_wrap(err, "near networks");
	}
	if (r < 0) {
		server_free(s);
		return r;
	}
	(void)uv_timer_init(loop, &s->tick); /* neither of them can fail */
	(void)uv_idle_init(loop, &s->idle);
	s->tick.data = s->idle.data = s;
	s->n_handles = 2;
	*ret = s;
	return 0;
}

void server_handle_gone(struct http_server *s)
{
	if (--s->n_handles > 0)
		return;
	if (s->closed)
		s->closed(s->closed_arg);
	server_free(s);
}

static void on_own_closed(uv_handle_t *handle)
{
	server_handle_gone(handle->data);
}

void http_server_drain(struct http_server *s)
{
	struct link *i;

	s->is_draining = true;
	for (i = s->conns.next; i != &s->conns; i = i->next)
		conn_settle_later(LIST_ENTRY(struct conn, all, i));
}

void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg)
{
	assert(!s->is_closing);
	http_server_drain(s);
	for (struct link *i; (i = s->listeners.next) != &s->listeners;)
		listener_close(LIST_ENTRY(struct listener, link, i));
	for (struct link *i; (i = s->conns.next) != &s->conns;) {
		struct conn *c = LIST_ENTRY(struct conn, all, i);

		if (c->ws)
			ws_going_away(c->ws);
		conn_abort(c);
	}
	s->is_closing = true;
	s->closed = done;
	s->closed_arg = arg;
	uv_close((uv_handle_t *)&s->tick, on_own_closed);
	uv_close((uv_handle_t *)&s->idle, on_own_closed);
}

void http_server_counts(const struct http_server *s, struct http_counts *ret)
{
	*ret = s->counts;
}
