/*
 * When to connect, when to give up, when to try again: see link_impl.h.
 *
 *   WAITING -> RESOLVING -> CONNECTING -> GREETING -> UP          each but UP has a deadline;
 *      ^            |            |            |         |         a failure leads back, after the backoff. CONNECTING
 *      +------------+------------+------------+---------+         tries the next address first.
 */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/redis/link_impl.h"

enum { LOG_AGAIN_S = 60 };

/* ---- the timer ---- */

static void on_timer(uv_timer_t *timer);

void link_wake_at(struct redis_link *link, uint64_t ns)
{
	if (ns >= link->armed_ns || link->state == LINK_CLOSED)
		return;
	link->armed_ns = ns;
	/* the loop's own idea of now may be older: then it fires early, and is armed again */
	(void)uv_timer_start(&link->timer, on_timer, (uint64_t)clock_poll_ms(ns), 0); /* the handle is open */
}

static void enter(struct redis_link *link, enum link_state state, uint64_t ms)
{
	link->state = state;
	link->deadline_ns = clock_deadline_ns(ms * NS_PER_MS);
	link_wake_at(link, link->deadline_ns);
}

/* ---- failing ---- */

static unsigned random_below(unsigned n)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = (uint32_t)clock_now_ns(); /* only so that many nodes do not come at the same moment */
	return n ? r % n : 0;
}

/* Half of it certain, half by chance. */
static unsigned next_wait(struct redis_link *link)
{
	unsigned ms = link->backoff_ms;

	link->backoff_ms = ms * 2 < LINK_BACKOFF_MAX_MS ? ms * 2 : LINK_BACKOFF_MAX_MS;
	return ms / 2 + random_below(ms / 2 + 1);
}

/* A server that stays away is one line a minute, unless the reason changes. */
static void log_failure(struct redis_link *link, bool was_up, unsigned wait_ms)
{
	uint64_t now = clock_now_ns();
	bool is_new = was_up || strcmp(link->why, link->logged) != 0 || now - link->logged_ns >= LOG_AGAIN_S * NS_PER_S;

	log_write(is_new ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, LOG_FACTS(LOG_STR("link", link->name)),
		  "%s: %s, trying again in %u ms",
		  was_up ? "the connection to Redis is lost" : "cannot connect to Redis", link->why, wait_ms);
	if (is_new) {
		link->logged_ns = now;
		(void)snprintf(link->logged, sizeof(link->logged), "%s", link->why);
	}
}

static void drop_attempt(struct redis_link *link)
{
	if (link->resolve) {
		link->resolve->is_wanted = false;
		(void)uv_cancel((uv_req_t *)&link->resolve->request); /* one at work ends by itself */
		link->resolve = NULL;
	}
	link_socket_close(link->socket);
	link->socket = NULL;
}

static void forget_addresses(struct redis_link *link)
{
	if (link->addresses)
		uv_freeaddrinfo(link->addresses);
	link->addresses = NULL;
	link->n_addresses = 0;
}

static void give_up(struct redis_link *link, int code, const char *why)
{
	bool was_up = link->state == LINK_UP;
	unsigned ms;

	drop_attempt(link);
	forget_addresses(link);
	if (was_up && clock_now_ns() - link->up_ns >= LINK_STABLE_MS * NS_PER_MS)
		link->backoff_ms = LINK_BACKOFF_MIN_MS;
	ms = next_wait(link);
	(void)snprintf(link->why, sizeof(link->why), "%s", why);
	link->counts.failures++;
	enter(link, LINK_WAITING, ms);
	log_failure(link, was_up, ms);
	link_answer_all(link, code, why);
	if (link->state != LINK_CLOSED && link->on_state && (was_up || link->counts.failures == 1))
		link->on_state(link, false, link->why, link->arg);
}

static void connect_next(struct redis_link *link, const char *why);

void link_lost(struct redis_link *link, int code, const char *fmt, ...)
{
	struct error e;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	if (link->state == LINK_CLOSED)
		return;
	if (link->state == LINK_CONNECTING)
		connect_next(link, e.text);
	else
		give_up(link, code, e.text);
}

/* ---- connecting ---- */

static const char *target(const struct redis_link *link, char *ret, size_t room)
{
	if (link->url.path)
		(void)snprintf(ret, room, "%s", link->url.path);
	else
		(void)snprintf(ret, room, strchr(link->url.host, ':') ? "[%s]:%s" : "%s:%s", link->url.host,
			       link->url.port);
	return ret;
}

/* Returns true when it is under way. */
static bool connect_to(struct redis_link *link, const struct sockaddr *address, socklen_t size, struct error *e)
{
	enter(link, LINK_CONNECTING, link->connect_ms);
	return link_socket_open(link, address, size, &link->socket, e) == 0;
}

static const struct addrinfo *address_at(const struct redis_link *link, size_t i)
{
	const struct addrinfo *a = link->addresses;

	while (i-- > 0)
		a = a->ai_next;
	return a;
}

/* The next address, or the end of this attempt. why: what became of the one before. */
static void connect_next(struct redis_link *link, const char *why)
{
	char where[300], last[512];
	struct error e = ERROR_INIT;

	(void)snprintf(last, sizeof(last), "%s", why); /* why may be in what is freed here */
	drop_attempt(link);
	while (link->tried < link->n_addresses) {
		const struct addrinfo *a = address_at(link, (link->address + link->tried++) % link->n_addresses);

		if (connect_to(link, a->ai_addr, a->ai_addrlen, &e))
			return;
		(void)snprintf(last, sizeof(last), "%s", e.text);
	}
	(void)error_set(&e, ECONNRESET, "'%s': %s", target(link, where, sizeof(where)), last);
	give_up(link, ECONNRESET, e.text);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct link_resolve *r = request->data;
	struct redis_link *link = r->link;

	if (!r->is_wanted || status < 0) {
		uv_freeaddrinfo(list);
		if (r->is_wanted) {
			link->resolve = NULL;
			link_lost(link, ECONNRESET, "the address of '%s': %s", link->url.host, uv_strerror(status));
		}
	} else {
		link->resolve = NULL;
		link->addresses = list;
		for (const struct addrinfo *a = list; a; a = a->ai_next)
			link->n_addresses++;
		link->tried = 0;
		connect_next(link, "it has no address");
	}
	free(r);
	link_release(link);
}

static void resolve(struct redis_link *link)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct link_resolve *r = alloc_zeroed(1, sizeof(*r));
	int e;

	enter(link, LINK_RESOLVING, link->connect_ms);
	r->link = link;
	r->is_wanted = true;
	r->request.data = r;
	e = uv_getaddrinfo(link->loop, &r->request, on_resolved, link->url.host, link->url.port, &hints);
	if (e < 0) {
		free(r);
		link_lost(link, ECONNRESET, "the address of '%s': %s", link->url.host, uv_strerror(e));
		return;
	}
	link->resolve = r;
	link->n_holders++;
}

static void attempt(struct redis_link *link)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct error e = ERROR_INIT;

	if (!link->url.path) {
		resolve(link);
		return;
	}
	memcpy(a.sun_path, link->url.path, strlen(link->url.path)); /* redis_url_parse() saw to its length */
	if (!connect_to(link, (const struct sockaddr *)&a, sizeof(a), &e))
		connect_next(link, e.text);
}

/* ---- greeting: every step is sent at once; the answers come in the same order ---- */

static void came_up(struct redis_link *link)
{
	link->state = LINK_UP;
	link->up_ns = link->active_ns = clock_now_ns();
	link->why[0] = link->logged[0] = '\0';
	link->counts.connects++;
	link_wake_at(link, link->up_ns + link->idle_ms * NS_PER_MS);
	log_notice(LOG_FACTS(LOG_STR("link", link->name)), "connected to Redis");
	if (link->on_state)
		link->on_state(link, true, "", link->arg);
}

static void on_needed(const struct error *e, const redisReply *reply, void *arg)
{
	struct redis_link *link = arg;

	(void)reply;
	if (e && link->state == LINK_GREETING)
		link_lost(link, ECONNRESET, "%s", e->text);
}

/* An account that may not ask this is as good as any other. */
static void on_pong(const struct error *e, const redisReply *reply, void *arg)
{
	struct redis_link *link = arg;

	(void)reply;
	if (link->state != LINK_GREETING)
		return;
	if (e && strncmp(e->text, "NOPERM", 6) != 0)
		link_lost(link, ECONNRESET, "%s", e->text);
	else
		came_up(link);
}

#define GREET(fn, ...)                                                                                                 \
	link_push(link, fn, link, link->connect_ms, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *),     \
		  (const char *const[]){ __VA_ARGS__ }, NULL)

static int greet(struct redis_link *link)
{
	const struct redis_url *u = &link->url;
	int r = 0;

	if (u->user[0])
		r = GREET(on_needed, "AUTH", u->user, u->password);
	else if (u->password[0])
		r = GREET(on_needed, "AUTH", u->password);
	if (r == 0 && strcmp(u->database, "0") != 0)
		r = GREET(on_needed, "SELECT", u->database);
	if (r == 0 && link->name[0])
		r = GREET(NULL, "CLIENT", "SETNAME", link->name);
	/* which says what is wrong: NOAUTH, LOADING, MASTERDOWN */
	return r == 0 ? GREET(on_pong, "PING") : r;
}

void link_connected(struct redis_link *link)
{
	enter(link, LINK_GREETING, link->connect_ms);
	link->address++; /* if this one is of no use after all, the next attempt begins with another */
	if (greet(link) < 0)
		link_lost(link, ECONNRESET, "out of memory");
}

/* ---- what is due ---- */

/* Lost for good, or only not read yet because the loop was busy? */
static void commands_due(struct redis_link *link, uint64_t now)
{
	if (link_first_deadline(link) > now)
		return;
	link_socket_read(link->socket);
	if (link->state == LINK_UP && link_first_deadline(link) <= now)
		link_lost(link, ETIMEDOUT, "the server did not answer in time");
}

static void idle_due(struct redis_link *link, uint64_t now)
{
	if (link->state != LINK_UP || link->first || now < link->active_ns + link->idle_ms * NS_PER_MS)
		return;
	link->active_ns = now;
	if (redis_send(link, NULL, NULL, 0, 1, (const char *const[]){ "PING" }, NULL) < 0)
		log_debug(LOG_FACTS(LOG_STR("link", link->name)), "no memory to look after Redis, trying again later");
}

static void state_due(struct redis_link *link)
{
	switch (link->state) {
	case LINK_WAITING:
		attempt(link);
		break;
	case LINK_RESOLVING:
		link_lost(link, ETIMEDOUT, "the address of '%s': no answer in time", link->url.host);
		break;
	case LINK_CONNECTING:
		link_lost(link, ETIMEDOUT, "no connection in time");
		break;
	default:
		link_lost(link, ETIMEDOUT, "the server did not answer in time");
		break;
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct redis_link *link = timer->data;
	uint64_t now = clock_now_ns();

	link->armed_ns = CLOCK_NEVER;
	if (link->state == LINK_UP) {
		commands_due(link, now);
		idle_due(link, now);
	} else if (link->deadline_ns <= now) {
		state_due(link);
	}
	if (link->state == LINK_UP) {
		link_wake_at(link, link_first_deadline(link));
		link_wake_at(link, link->active_ns + link->idle_ms * NS_PER_MS);
	} else {
		link_wake_at(link, link->deadline_ns);
	}
}

void link_begin(struct redis_link *link)
{
	(void)uv_timer_init(link->loop, &link->timer); /* cannot fail */
	link->timer.data = link;
	link->n_holders = 1;
	link->armed_ns = CLOCK_NEVER;
	link->backoff_ms = LINK_BACKOFF_MIN_MS;
	(void)snprintf(link->why, sizeof(link->why), "not connected yet");
	enter(link, LINK_WAITING, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct redis_link *link = handle->data;

	link_answer_all(link, ECANCELED, "the connection was closed");
	link_release(link);
}

void link_stop(struct redis_link *link)
{
	link->state = LINK_CLOSED;
	(void)snprintf(link->why, sizeof(link->why), "closed");
	drop_attempt(link);
	forget_addresses(link);
	uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}
