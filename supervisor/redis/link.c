/* Commands and what was answered: see link.h. */
#include "supervisor/redis/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/redis/link_impl.h"
#include "supervisor/redis/tls.h"

/* ---- sending ---- */

static size_t wire_size(size_t argc, const char *const *argv, const size_t *lengths)
{
	size_t size = 0;

	for (size_t i = 0; i < argc; i++) {
		size_t n = lengths ? lengths[i] : strlen(argv[i]);

		if (n > LINK_OUT_MAX || size > LINK_OUT_MAX)
			return SIZE_MAX;
		size += n + 16; /* "$67108864\r\n" and "\r\n", more or less */
	}
	return size;
}

int link_push(struct redis_link *link, redis_reply_fn *fn, void *arg, unsigned timeout_ms, size_t argc,
	      const char *const *argv, const size_t *lengths)
{
	struct command *c;
	char *text = NULL;
	int size, r;

	assert(argc > 0);
	if (link->counts.pending >= LINK_PENDING_MAX ||
	    !link_socket_has_room(link->socket, wire_size(argc, argv, lengths)))
		return -EAGAIN;
	c = alloc_zeroed(1, sizeof(*c));
	size = redisFormatCommandArgv(&text, (int)argc, (const char **)(uintptr_t)argv, lengths); /* not written to */
	r = size < 0 ? -ENOMEM : link_socket_write(link->socket, text, (size_t)size);
	if (size >= 0)
		redisFreeCommand(text);
	if (r < 0) {
		free(c);
		return r;
	}
	c->fn = fn;
	c->arg = arg;
	c->deadline_ns = clock_deadline_ns((timeout_ms ? timeout_ms : link->command_ms) * NS_PER_MS);
	*link->last = c;
	link->last = &c->next;
	link->counts.pending++;
	link->counts.commands++;
	link_wake_at(link, c->deadline_ns);
	return 0;
}

int redis_send(struct redis_link *link, redis_reply_fn *fn, void *arg, unsigned timeout_ms, size_t argc,
	       const char *const *argv, const size_t *lengths)
{
	return link->state == LINK_UP ? link_push(link, fn, arg, timeout_ms, argc, argv, lengths) : -ENOTCONN;
}

/* ---- answers ---- */

/* What an error reply begins with, and what we make of it. */
static const struct refusal {
	const char *word;
	int code;
	bool is_fatal; /* the connection leads to the wrong server, or we are nobody to it */
} refusals[] = {
	{ "OOM", ENOSPC, false },       { "READONLY", EROFS, true }, { "LOADING", EPROTO, true },
	{ "MASTERDOWN", EPROTO, true }, { "NOAUTH", EPROTO, true },  { "WRONGPASS", EPROTO, true },
};

static bool begins_with(const char *text, const char *word)
{
	size_t n = strlen(word);

	return strncmp(text, word, n) == 0 && (text[n] == ' ' || text[n] == '\0');
}

/* Before Redis 7 an error inside a script was wrapped: "ERR Error running script ...: -READONLY You can't ..." */
static const struct refusal *refusal_of(const char *text)
{
	const char *inner =
		begins_with(text, "ERR") && strstr(text, "rror running script") ? strstr(text, ": -") : NULL;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (begins_with(text, refusals[i].word) || (inner && begins_with(inner + 3, refusals[i].word)))
			return &refusals[i];
	}
	return NULL;
}

static struct command *take_first(struct redis_link *link)
{
	struct command *c = link->first;

	link->first = c->next;
	if (!link->first)
		link->last = &link->first;
	link->counts.pending--;
	return c;
}

/* c is freed before its function runs: it may do anything. */
static void answer(struct command *c, const struct error *e, const redisReply *reply)
{
	redis_reply_fn *fn = c->fn;
	void *arg = c->arg;

	free(c);
	if (fn)
		fn(e, e ? NULL : reply, arg);
}

/* A server that echoes what it was sent must not bring the password into somebody's log. */
static void set_refusal(const struct redis_link *link, struct error *e, int code, const char *text)
{
	if (!text[0])
		text = "an error without a message";
	else if (link->url.password[0] && strstr(text, link->url.password))
		text = "the server's answer quotes our password";
	(void)error_set(e, code, "%s", text);
}

void link_reply(struct redis_link *link, const redisReply *reply)
{
	const struct refusal *refusal = NULL;
	struct error e = ERROR_INIT;

	if (!link->first) {
		link_lost(link, ECONNRESET, "the server sent an answer that was not asked for");
		return;
	}
	if (reply->type != REDIS_REPLY_ERROR) {
		answer(take_first(link), NULL, reply);
		return;
	}
	link->counts.errors++;
	refusal = refusal_of(reply->str);
	set_refusal(link, &e, refusal ? refusal->code : EPROTO, reply->str);
	answer(take_first(link), &e, NULL);
	if (refusal && refusal->is_fatal && link->state == LINK_UP)
		link_lost(link, ECONNRESET, "%s", e.text);
}

void link_answer_all(struct redis_link *link, int code, const char *why)
{
	struct error e = ERROR_INIT;
	struct command *c = link->first;
	uint64_t now = clock_now_ns();

	/* nothing is sent from inside: the state says so to whoever tries */
	link->first = NULL;
	link->last = &link->first;
	link->counts.pending = 0;
	while (c) {
		struct command *next = c->next;
		bool had_time = code == ETIMEDOUT && c->deadline_ns > now;

		(void)error_set(&e, had_time ? ECONNRESET : code, "%s", why);
		answer(c, &e, NULL);
		c = next;
	}
}

uint64_t link_first_deadline(const struct redis_link *link)
{
	uint64_t first = CLOCK_NEVER;

	for (const struct command *c = link->first; c; c = c->next) {
		if (c->deadline_ns < first)
			first = c->deadline_ns;
	}
	return first;
}

/* ---- life ---- */

static void free_link(struct redis_link *link)
{
	redis_url_done(&link->url);
	free(link->ca_file);
	free(link->name);
	free(link);
}

/* Read the options; what can be wrong with them is said now rather than at every attempt. */
static int configure(struct redis_link *link, const struct redis_options *o, struct error *err)
{
	struct redis_tls *tls = NULL;
	int r = redis_url_parse(o->url, &link->url, err);

	if (r < 0)
		return r;
	r = log_redact(link->url.password);
	if (r < 0)
		return error_errno(err, -r, "keep the password of Redis out of the log");
	link->ca_file = alloc_text(o->ca_file ? o->ca_file : "");
	link->name = alloc_text(o->name ? o->name : "cubit");
	if (link->url.is_tls) {
		r = redis_tls_new(link->url.host, link->ca_file, &tls, err);
		redis_tls_free(tls);
	}
	return r;
}

int redis_link_new(uv_loop_t *loop, const struct redis_options *options, struct redis_link **ret, struct error *err)
{
	struct redis_link *link = alloc_zeroed(1, sizeof(*link));
	int r = configure(link, options, err);

	if (r < 0) {
		free_link(link);
		return r;
	}
	link->loop = loop;
	link->connect_ms = options->connect_ms ? options->connect_ms : 5000;
	link->command_ms = options->command_ms ? options->command_ms : 10000;
	link->idle_ms = LINK_IDLE_MS;
	link->on_state = options->state;
	link->arg = options->arg;
	link->last = &link->first;
	link_begin(link);
	*ret = link;
	return 0;
}

void link_release(struct redis_link *link)
{
	void (*done)(void *arg) = link->on_closed;
	void *arg = link->closed_arg;

	if (--link->n_holders > 0)
		return;
	assert(link->state == LINK_CLOSED && !link->first);
	free_link(link);
	if (done)
		done(arg);
}

void redis_link_close(struct redis_link *link, void (*done)(void *arg), void *arg)
{
	assert(link->state != LINK_CLOSED);
	link->on_closed = done;
	link->closed_arg = arg;
	link_stop(link);
}

bool redis_link_is_up(const struct redis_link *link)
{
	return link->state == LINK_UP;
}

const char *redis_link_why(const struct redis_link *link)
{
	return link->why;
}

void redis_link_counts(const struct redis_link *link, struct redis_counts *ret)
{
	*ret = link->counts;
}
