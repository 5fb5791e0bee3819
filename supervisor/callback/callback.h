/*
 * Telling somebody that a job is over: POST of its result to the URL the job was submitted with, signed and retried.
 *
 *   Content-Type: application/json
 *   Cubit-Job: ID    Cubit-Attempt: of the delivery, from 1    Cubit-Timestamp: seconds since 1970
 *   Cubit-Signature: v1=HEX   HMAC-SHA256(secret, timestamp "." body); without a secret there is no such header
 *
 * Durable: armed in the database when the job is accepted, so that neither a crash of the front nor one of the receiver
 * loses it: at least once, the receiver tells repeats by Cubit-Job. A job of Redis is armed by the node that has leased
 * it, before it is run, under a name of its own (CALLBACK_REDIS and the id): ids there are another name space. Retried with backoff (1 s, doubled, at most 10 min,
 * 12 times) on connection errors, 408, 425, 429 (Retry-After is followed) and 5xx; anything else ends it.
 *
 * Never to this machine or a private network (loopback, link-local, RFC 1918, unique local, metadata addresses,
 * multicast, unspecified, IPv4-mapped forms of these), judged by the address that is really connected to, unless
 * settings.callback_networks has it. No redirects, no proxies from the environment, http and https only, bounded time
 * and answer.
 *
 * Runs in: front; libcurl's multi interface on the loop (its resolver thread is libcurl's own).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* In front of the id of a job from Redis; no id has a ':'. The receiver is told the id. */
#define CALLBACK_REDIS "redis:"

struct callbacks;
struct db;
struct error;
struct settings;

/*
 * May a job be submitted with this URL, as far as can be told without resolving its name? Returns 0, -EINVAL, or
 * -EACCES (an address that is refused) with err a sentence that does not quote the URL. Pure but for asking which
 * addresses are ours.
 */
int callbacks_check_url(const struct callbacks *c, const char *url, struct error *err);

/*
 * result: called for jobs that were armed and may have ended meanwhile (at start), and for each delivery: answer
 * through callbacks_result() with the result's JSON, or with NULL when the job is not over or not known any more. NULL
 * for a job that callbacks_fire() named ends its callback; no answer at all (the database is behind) is asked for again
 * after 30 s. Never called from inside another function of this file; callbacks_result() may be called from inside it.
 */
typedef void callbacks_result_fn(struct callbacks *c, const char *job_id, void *arg);

int callbacks_open(uv_loop_t *loop, struct db *db, const struct settings *settings, callbacks_result_fn *result,
		   void *arg, struct callbacks **ret, struct error *err);
/* Deliveries under way are cut; they are tried again in the next life. Nothing may be called any more once done is. */
void callbacks_close(struct callbacks *c, void (*done)(void *arg), void *arg);

/*
 * When a job with a callback is submitted, before it is acknowledged. secret NULL: no signature.
 * done comes on the loop when it is durable, or could not be made so. Returns 0, or, without done: what
 * callbacks_check_url() says, -EEXIST, -EAGAIN the database is behind, -ENOMEM.
 */
int callbacks_arm(struct callbacks *c, const char *job_id, const char *url, const char *secret,
		  void (*done)(const struct error *e, void *arg), void *arg);
/* The job was not accepted after all, or will never have a result (cancelled while it waited). Nothing happens when it
 * was never armed. */
void callbacks_disarm(struct callbacks *c, const char *job_id);
/* It is over and its result recorded. Nothing happens for a job without a callback. */
void callbacks_fire(struct callbacks *c, const char *job_id);
/* The answer to result. Nothing happens after callbacks_close(), which questions that are under way outlive. */
void callbacks_result(struct callbacks *c, const char *job_id, const char *json);

struct callbacks_counts {
	uint64_t armed, waiting; /* now: jobs that are not over; deliveries that are to be made or made again */
	uint64_t delivered, failed, given_up; /* ever, of this process; failed: tries */
};
void callbacks_counts(const struct callbacks *c, struct callbacks_counts *ret);
