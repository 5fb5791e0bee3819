/*
 * One call of a source on its way to the server, between lease.c, result.c, cancel.c, look.c and list.c: what was asked, by whom
 * it wants to be told, and what is kept until then.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/redis/redis_impl.h"

enum { FIELDS_MAX = 96 };

struct call {
	struct redis_source *s;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	bool has_owner;
	unsigned attempt, tries, unstarted;
	uint64_t queued_ms;
	queue_done_fn *done;
	queue_extend_fn *extended;
	queue_cancel_fn *cancelled;
	queue_get_fn *got;
	queue_recover_fn *recovered;
	void *arg;
	/* finish */
	char *json, *journal;
	size_t json_size, journal_size;
	char status[QUEUE_STATUS_BYTES];
	/* leased: until there is a connection */
	uv_timer_t timer;
	uint64_t until_ns;
};

/* An id that is too long is "", which no job is called. */
struct call *call_new(struct redis_source *s, const char *id, unsigned attempt, void *arg);
void call_free(struct call *c);
/* Call the script; fn gets c. Frees it when that fails: 0, -EAGAIN not now, -ENOMEM. */
int call_send(struct call *c, const struct redis_args *a, struct redis_script *script, redis_reply_fn *fn);

long long reply_integer(const redisReply *reply); /* 0 when it is none */
void call_set_stale(struct error *e, const struct call *c);
/* It is not leased here any more. is_lost: another attempt has it, which the statistics and its feed are told. */
void call_let_go(struct call *c, bool is_lost);

/* ---- result.c ---- */

/* Name and text of every field of a result, for HSET. */
struct fields {
	const char *names[FIELDS_MAX];
	char *owned[FIELDS_MAX];
	const char *texts[FIELDS_MAX];
	size_t sizes[FIELDS_MAX];
	size_t n;
};
void fields_done(struct fields *f);
/*
 * The fields of a result, o as c->json says it, behind what a has already. What is too large is left out, or cut. f holds
 * the texts until the call is sent: fields_done(), also after a failure. Returns 0 or -ENOMEM.
 */
int args_result(struct redis_args *a, struct call *c, json_t *o, struct fields *f);

/* ---- look.c ---- */

/* A job's hash as get.lua and list.lua give it. What is text in q is copied, but the spec. */
void call_read_job(const redisReply *job, const char *id, struct queue_job *q);

/* Ask for everything that is known of its job; fn gets c, which stays the caller's when this fails. */
int call_look(struct call *c, bool with_journal, redis_reply_fn *fn);
