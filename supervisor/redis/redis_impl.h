/*
 * What the parts of Redis for the front share: redis.c (life, the tick), take.c (entries become leased jobs),
 * held.c (which are leased here), source.c (the table of what a source does), lease.c (leases go on or end), result.c,
 * cancel.c, look.c (what is known of a job), feed.c (events out), follow.c (events in), list.c (jobs and letters), dead.c (what is
 * done with letters; nodes),
 * submit.c, args.c; call.h is shared by some of these. Which keys: keys.h. What is asked of them: the scripts in lua/.
 *
 * Connections: `jobs` for everything that is answered at once, and one for each source that only waits (XREAD BLOCK,
 * BLMOVE). What a source has leased is in its list `held`, until the server has said that it ended.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/redis/keys.h"
#include "supervisor/redis/link.h"
#include "supervisor/redis/lua.h"
#include "supervisor/redis/redis.h"

struct feed;
struct follower;
struct job;

/* A job that is leased here. */
struct held {
	struct held *next;
	struct redis_source *s;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	unsigned attempt;
	uint64_t queued_ms;
	uint64_t until_ns; /* forgotten then, unless it runs: whoever took it did nothing with it */
	bool is_running;
	bool is_streamed; /* its stream of events has all of its journal: another copy is not kept */
	size_t token_size;
	char *token; /* owned; of its entry: keys.h */
};

/* One STREAM/GROUP/FIELD, or the list. */
struct redis_source {
	struct source source;
	struct redis *r;
	bool is_list;
	char *name, *group, *field,
		*processing; /* owned; of a list: group and field are "", of a stream processing NULL */
	char *logs;          /* channel of X:jobs; NULL none */
	struct redis_link *wait;
	bool is_waiting; /* it blocks */
	bool is_taking;
	char mine[64], stale[64]; /* from where pending entries are to be looked through; "" not */
	char last[64];            /* all up to this one were read; "" there may be more */
	char *fetched;            /* payload of the list that was moved to us while we waited; owned */
	size_t fetched_size;
	uint64_t fetched_ns, stale_ns; /* stale_ns: when to look for entries of dead nodes */
	uint64_t retry_ns;             /* not before: begin failed */
	struct held *held;
	uint64_t waiting;  /* as of the last tick */
	char trouble[512]; /* why its last take failed; "" it did not */
	char shown[700];   /* the words of it; each source its own, so that two troubles are two */
};

struct redis {
	struct redis_env env;
	const struct runtime_set *runtimes;
	const char *node;
	char run[33]; /* of this process */
	struct redis_link *jobs;
	struct redis_source sources[REDIS_SOURCES_MAX];
	size_t n_sources, n_links; /* links that are not closed yet */
	uv_timer_t tick;
	bool is_ticking, is_draining, is_closing;
	char trouble[512];
	struct feed *feeds;
	struct follower *followers;
	struct redis_stats stats;
	uint64_t lease_ms, retention_ms;
	void (*drained)(bool on, void *arg);
	void *drained_arg;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- args.c: a call of a script ---- */

enum { ARGS_MAX = 512, ARGS_NUMBERS = 192 };
struct redis_args {
	size_t n, n_numbers;
	const char *argv[ARGS_MAX];
	size_t lengths[ARGS_MAX];
	char numbers[ARGS_NUMBERS][24];
};
/* Begins with prefix, node, run. Texts are borrowed until args_eval(). More than fit: args_eval() says -EAGAIN. */
void args_init(struct redis_args *a, const struct redis *r);
void args_bytes(struct redis_args *a, const void *data, size_t size);
void args_text(struct redis_args *a, const char *text); /* NULL is "" */
void args_number(struct redis_args *a, uint64_t n);
void args_signed(struct redis_args *a, int n);
/* 0, -EAGAIN not now, -ENOMEM. */
int args_eval(const struct redis_args *a, struct redis *r, struct redis_script *script, redis_reply_fn *fn, void *arg);

const redisReply *reply_at(const redisReply *reply, size_t i); /* NULL: there is none */
const char *reply_text(const redisReply *reply, size_t i);     /* "" when it is none */
uint64_t reply_number(const redisReply *reply, size_t i);      /* of a number or a text; 0 when it is none */
void reply_copy(const redisReply *reply, size_t i, char *ret, size_t room);

/* ---- redis.c ---- */

/* What a call was answered: keeps the words of a server that refuses, and forgets them when it does not. */
void redis_note(struct redis *r, const struct error *e);
void redis_note_take(struct redis_source *s, const struct error *e); /* the same for what only this source may have */
const char *redis_word(const struct redis *r);                       /* "serving", or what this node does instead */
void redis_work(struct redis_source *s);                             /* on_work */
/* Messages for those who listen; "" when nobody is to hear. Owned; NULL: out of memory, which costs the message. */
char *redis_message(const char *id, const char *type, const char *key, const char *value, unsigned attempt);
char *redis_log_message(const char *id, const char *output, size_t size, const char *status); /* status NULL: a log */

/* ---- take.c ---- */

int redis_take(void *self, size_t n, queue_take_fn *fn, void *arg);
void redis_wait(struct redis_source *s); /* for work, when nothing is known to be there */
void redis_wait_state(struct redis_link *link, bool is_up, const char *why, void *arg);
void redis_unfetch(struct redis_source *s); /* give back what nobody takes */

/* ---- held.c ---- */

struct held *held_add(struct redis_source *s, const char *id, unsigned attempt, const char *token, size_t token_size);
struct held *held_find(struct redis_source *s, const char *id, unsigned attempt); /* attempt 0: any */
struct held *held_token(struct redis_source *s, const char *token, size_t size);
void held_drop(struct held *h);
void held_free_all(struct redis_source *s);
void args_entry(struct redis_args *a, const struct held *h, bool with_field); /* kind, source, group, token[, field] */

/* ---- source.c: the functions in it are those of queue/source.h, self is a struct redis_source ---- */

extern const struct source_ops redis_stream_ops, redis_list_ops;

/* ---- lease.c ---- */

int redis_extend(void *self, const char *id, unsigned attempt, queue_extend_fn *fn, void *arg);
int redis_give_back(void *self, const char *id, unsigned attempt, const char *reason, enum queue_give how,
		    queue_done_fn *fn, void *arg);
int redis_bury(void *self, const char *id, unsigned attempt, const char *reason, queue_done_fn *fn, void *arg);
int redis_leased(void *self, queue_recover_fn *fn, void *arg);

/* ---- result.c ---- */

int redis_finish(void *self, const struct queue_result *q, queue_done_fn *fn, void *arg);

/* ---- cancel.c ---- */

int redis_cancel(void *self, const char *id, const char *owner, queue_cancel_fn *fn, void *arg);
/* Cancel what nobody runs: attempt must still be its number. fn as cancel's. */
int redis_cancel_dead(struct redis_source *s, const char *id, unsigned attempt, uint64_t queued_ms, queue_done_fn *fn,
		      void *arg);

/* ---- look.c ---- */

int redis_get(void *self, const char *id, bool with_journal, queue_get_fn *fn, void *arg);

/* ---- list.c: -EINVAL a cursor that is none of ours ---- */

int redis_list(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg);
int redis_letters(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg);

/* ---- dead.c ---- */

int redis_replay(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg);
int redis_forget(void *self, const char *id, const char *owner, queue_done_fn *fn, void *arg);

/* ---- feed.c ---- */

void feed_start(struct redis_source *s, struct job *job);
/* Call fn when all events of this job are with Redis, or will not get there; at once when it has no feed. */
void feed_flush(struct redis_source *s, const char *id, unsigned attempt, void (*fn)(void *arg), void *arg);
void feed_stop(struct redis_source *s, const char *id, unsigned attempt); /* another attempt owns it */
void feeds_go_on(struct redis *r); /* the connection is there (again); time passes */
void feeds_free(struct redis *r);

/* ---- follow.c ---- */

int redis_follow(void *self, const char *id, struct journal **ret);
void followers_free(struct redis *r);
