/*
 * Is this node able to run jobs, and what does it say of itself? Holds the states of health.h together with what they
 * are about: outcomes and proofs of the pool, jobs and runs that could not be started, the free space of CUBIT_STATE,
 * and the words of /readyz and of the service's status.
 *
 * A job whose sandbox could not be made is kept, leased, until it is known whose fault that is: some ten milliseconds.
 * Then it is given back without an attempt (the node's), or with one (its own: another sandbox could be made).
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct able;
struct auth;
struct catalog;
struct db;
struct direct;
struct dispatch;
struct error;
struct leased;
struct metrics;
struct monitor_client;
struct node_state;
struct pool;
struct queue;
struct settings;
struct sources;

/* What is needed of the node. Borrowed, and so is what it names, for the life of the process. */
struct able_env {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct node_state *state;
	const struct sources *sources;
	const struct catalog *catalog;
	struct auth *auth; /* whose clock is ours; NULL: closed already */
	struct pool *pool;
	struct queue *queue;
	struct db *db;
	struct metrics *metrics;
	struct monitor_client *monitor;
	int state_fd;              /* a directory on the disk of CUBIT_STATE */
	struct dispatch *dispatch; /* NULL until it is made, before the loop turns: the two need each other */
};

/* For the life of the process. */
struct able *able_new(const struct able_env *env);

/* May runs be started now? And may work be taken from the sources, which needs disk space for results as well? Cheap. */
bool able_starts(const struct able *a);
bool able_takes_work(const struct able *a);

/*
 * Why a run that a client waits for is not even accepted: 0 it is, -EHOSTDOWN with the reason in words. In doubt it is
 * accepted, and waits.
 */
int able_accepts(const struct able *a, struct error *err);
/* The same for a job that would be stored: -ENOSPC when the disk is too full. */
int able_stores(const struct able *a, struct error *err);

/* It could not be started: decided by and by. Owned from here on. */
void able_doubt_leased(struct able *a, struct leased *l, const char *reason);
void able_doubt_direct(struct able *a, struct direct *d, const char *reason);
bool able_forget_direct(struct able *a,
			struct direct *d);  /* its client left. True: it was in doubt, and is not any more */
size_t able_n_direct(const struct able *a); /* in doubt */
void able_settle(struct able *a);           /* the node is stopped: nobody's fault */

/* Each reason why this node takes no work, in words. None: it is ready. */
void able_reasons(struct able *a, void (*fn)(const char *text, void *arg), void *arg);

/* "serving", "unable", "draining": for lists of nodes. */
const char *able_word(const struct able *a);
