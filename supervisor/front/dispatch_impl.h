/*
 * Inside of the dispatcher, between its files and able.c. Others include dispatch.h.
 *
 *   dispatch.c   slots and turns: what is started next, and whom to ask for more; leases renewed; draining
 *   direct.c     runs that a client waits for
 *   leased.c     jobs that were leased from a source
 *   recover.c    what an earlier front left
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/auth/auth.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/queue/queue.h"
#include "supervisor/share.h"

struct error;
struct job_result;
struct job_spec;
struct source;

struct direct {
	struct direct *next;
	struct dispatch *dispatch;
	char id[65], owner[65];
	struct audit_who who;
	struct job_spec *spec; /* until it is started */
	char *text;            /* canonical spec, for the record */
	uint64_t queued_ms;
	direct_fn *fn; /* NULL: abandoned */
	void *arg;
	struct job *job;  /* NULL: waiting, or in doubt */
	char reason[256]; /* in doubt: why it could not be started */
};

/* A job that was leased from the queue, until its result is recorded or it was given back. */
struct leased {
	struct leased *next;
	struct dispatch *dispatch;
	struct source *source;
	char id[65], owner[65];
	unsigned attempt;
	struct job *job;    /* NULL: over */
	bool is_lost;       /* the lease went to somebody else: end it, record nothing */
	bool is_given_back; /* drain: cancelled by us, to run again */
	bool is_slow;       /* in doubt because its sandbox was not ready in time */
	bool has_callback;
	struct leased *next_in_doubt; /* able.c */
	char reason[256];
};

/* A living sandbox of an earlier front. */
struct offer {
	struct monitor_adopt m;
	struct sandbox_fds fds; /* sock -1: taken */
};

struct dispatch {
	const struct dispatch_env *env;
	struct direct *first, **last; /* waiting */
	size_t n_waiting, n_direct;   /* n_direct: running */
	struct leased *leased;
	size_t n_leased, n_running;
	size_t n_recording; /* direct ones */
	size_t n_taking;    /* slots kept for answers of take, all sources together */
	size_t turn;        /* the source that is looked at first */
	bool direct_had_turn;
	struct share_turns turns; /* of owners of direct runs */
	uv_timer_t renew, drain;
	struct offer *offers;
	size_t n_offers, n_recovering;
	void (*recovered)(void *arg);
	void *recovered_arg;
	void (*drained)(void *arg);
	void *drained_arg;
	struct dispatch_counts counts;
};

/* ---- dispatch.c ---- */

char *dispatch_result_text(const struct job_result *result, struct job *job); /* owned; NULL out of memory */
void dispatch_check_drained(struct dispatch *p);

/* ---- direct.c ---- */

/* The one whose turn it is; there is one. */
void dispatch_start_direct(struct dispatch *p);
/* Its client is told, and nothing is recorded. d is gone. */
void dispatch_fail_direct(struct direct *d, const struct error *e);
void dispatch_fail_waiting(struct dispatch *p, const struct error *e); /* all that wait for their turn */

/* ---- leased.c ---- */

/* Run a leased job, in the sandbox of offer if there is one (its descriptors are taken). */
void dispatch_start(struct dispatch *p, struct source *source, const struct queue_job *q, struct offer *offer);
/* The job is not at work here (any more): it may run again, or is dead. l is gone by and by. */
void dispatch_give_back(struct leased *l, const char *reason, enum queue_give how);
/* queue_extend_fn, arg is the dispatcher: a lease that was lost ends its run. */
void dispatch_extended(const struct error *e, const char *id, unsigned attempt, void *dispatch);

/* ---- recover.c ---- */

/* A sandbox that nobody wants. */
void dispatch_refuse_offer(struct dispatch *p, struct offer *offer);
