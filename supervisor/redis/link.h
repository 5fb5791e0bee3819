/*
 * One connection to Redis on the libuv loop, that comes back by itself.
 *
 * hiredis 0.14.1 gives the reply parser (redisReader) and the command formatter; sockets, TLS, time-outs and
 * reconnecting are ours, because its libuv adapter never reports a refused connection and it knows neither TLS nor
 * time-outs. TLS is OpenSSL over memory buffers.
 *
 *   redis://[user:password@]host[:port][/database]     rediss://... with TLS      unix:///path[?db=N]
 *
 * After a connect: HELLO is not used (RESP2); AUTH, SELECT, CLIENT SETNAME, then `up`. A connection that fails, is closed, or
 * answers READONLY (a replica after a fail-over), LOADING, MASTERDOWN, NOAUTH or WRONGPASS is closed and made again
 * after a backoff with jitter (50 ms, doubled, at most 5 s); every command that waits is then answered with an error,
 * never silently repeated: the caller knows what is idempotent. Passwords are never logged.
 *
 * Runs in: front, on the loop. Callbacks come from the loop, never from inside the call that sent.
 */
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct error;
struct redis_link;

struct redis_options {
	const char *url;     /* copied */
	const char *ca_file; /* for rediss; NULL or "": the system's */
	const char *name;    /* CLIENT SETNAME, and in the log: "cubit:jobs" */
	unsigned connect_ms; /* 0: 5000 */
	unsigned command_ms; /* 0: 10000; no answer within: the connection is made again */
	/* On the loop: it can be used now, or not any more (why is a sentence without secrets). */
	void (*state)(struct redis_link *link, bool is_up, const char *why, void *arg);
	void *arg;
};

/* Returns 0, or -EINVAL with err naming what is wrong with the URL (never quoting a password). Starts to connect. */
int redis_link_new(uv_loop_t *loop, const struct redis_options *options, struct redis_link **ret, struct error *err);
/* Pending commands are answered with ECANCELED; done (may be NULL) when nothing is left. */
void redis_link_close(struct redis_link *link, void (*done)(void *arg), void *arg);

bool redis_link_is_up(const struct redis_link *link);
const char *redis_link_why(const struct redis_link *link); /* the last reason; "" when up */

/*
 * reply is NULL exactly when e is not: ECONNRESET, ETIMEDOUT, ECANCELED the connection; ENOSPC the server said OOM;
 * EROFS READONLY; EPROTO another error reply, its text in e. Borrowed for the call.
 */
typedef void redis_reply_fn(const struct error *e, const redisReply *reply, void *arg);

/*
 * Send one command. lengths NULL: C strings. Copied. timeout_ms 0: the link's; for blocking commands the longest that
 * the server may wait plus a reserve.
 * Returns 0, or without a callback: -ENOTCONN, -EAGAIN (more than 64 MiB or 65536 commands wait), -ENOMEM.
 */
int redis_send(struct redis_link *link, redis_reply_fn *fn, void *arg, unsigned timeout_ms, size_t argc,
	       const char *const *argv, const size_t *lengths);
#define REDIS_SEND(link, fn, arg, ...)                                                                                 \
	redis_send((link), (fn), (arg), 0, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *),              \
		   (const char *const[]){ __VA_ARGS__ }, NULL)

/* A Lua script, sent by its SHA-1 and, when the server does not know it, by its text. Static. */
struct redis_script {
	const char *text;
	char sha[41]; /* filled at the first use */
};
/* keys first, then arguments: argc of them, n_keys are keys. */
int redis_eval(struct redis_link *link, struct redis_script *script, redis_reply_fn *fn, void *arg, size_t n_keys,
	       size_t argc, const char *const *argv, const size_t *lengths);

struct redis_counts {
	uint64_t connects, failures, commands, errors, pending, bytes_in, bytes_out;
};
void redis_link_counts(const struct redis_link *link, struct redis_counts *ret);
