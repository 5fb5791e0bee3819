/*
 * Fuzz target: whatever a server of Redis answers. The first byte says in which steps it comes and whether it begins in
 * the middle of the greeting or after it; then come the server's bytes. Four commands and a script wait for them. Each
 * is answered exactly once, and at the end nothing is left on the loop.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/redis/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMMANDS = 4 };

static uv_loop_t loop;
static int listener = -1, asked, answered;
static char url[64];
static bool is_done, was_down;

/* Look at all of it, so that a sanitizer sees what is not ours. */
static size_t look_at(const redisReply *r)
{
	size_t n = r->type == REDIS_REPLY_ARRAY ? 0 : (size_t)r->type;

	assert(r->type >= REDIS_REPLY_STRING && r->type <= REDIS_REPLY_ERROR);
	if (r->type == REDIS_REPLY_ARRAY) {
		for (size_t i = 0; i < r->elements; i++)
			n += look_at(r->element[i]);
	} else if (r->type != REDIS_REPLY_INTEGER && r->type != REDIS_REPLY_NIL) {
		for (size_t i = 0; i <= r->len; i++)
			n += (unsigned char)r->str[i];
	}
	return n;
}

static void on_reply(const struct error *e, const redisReply *reply, void *arg)
{
	static volatile size_t sum;

	(void)arg;
	answered++;
	assert(!e == !!reply);
	if (reply)
		sum += look_at(reply);
	else
		assert(e->code > 0 && e->text[0]);
}

static void on_state(struct redis_link *link, bool is_up, const char *why, void *arg)
{
	static struct redis_script script = { .text = "return 1" };

	(void)arg;
	assert(is_up == !why[0]);
	was_down |= !is_up;
	for (int i = 0; is_up && i < COMMANDS; i++)
		asked += REDIS_SEND(link, on_reply, NULL, "GET", "k") == 0;
	if (is_up)
		asked += redis_eval(link, &script, on_reply, NULL, 0, 0, NULL, NULL) == 0;
}

static void on_done(void *arg)
{
	(void)arg;
	is_done = true;
}

static void start(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);

	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert(bind(listener, (struct sockaddr *)&a, size) == 0 && listen(listener, 16) == 0);
	assert(getsockname(listener, (struct sockaddr *)&a, &size) == 0);
	(void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u", ntohs(a.sin_port));
	assert(uv_loop_init(&loop) == 0);
}

static int accept_link(void)
{
	struct linger now = { .l_onoff = 1 }; /* no TIME_WAIT: there are many of us */
	int fd;

	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			break;
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	return fd;
}

static void say(int fd, const void *data, size_t size)
{
	if (size > 0 && !was_down)
		(void)!send(fd, data, size, MSG_NOSIGNAL);
	for (int i = 0; i < 3; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 3, 16, 64, 1 << 20 };
	struct redis_options o = { .url = url, .state = on_state };
	struct redis_link *link = NULL;
	size_t step;
	int fd;

	if (listener < 0)
		start();
	if (size < 1 || size > 4096)
		return 0;
	step = steps[data[0] & 3];
	asked = answered = 0;
	is_done = was_down = false;
	if (redis_link_new(&loop, &o, &link, NULL) < 0)
		abort();
	fd = accept_link();
	say(fd, "+OK\r\n+PONG\r\n", data[0] & 4 ? 5 : 12);
	for (size_t at = 1; at < size; at += step)
		say(fd, data + at, size - at < step ? size - at : step);
	redis_link_close(link, on_done, NULL);
	while (!is_done)
		(void)uv_run(&loop, UV_RUN_ONCE);
	(void)close(fd);
	assert(asked == answered && !uv_loop_alive(&loop));
	/* it may have begun another attempt, which nobody takes */
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		(void)close(fd);
	return 0;
}
