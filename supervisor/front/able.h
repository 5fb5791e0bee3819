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

struct direct;
struct error;
struct front;
struct leased;

int able_new(struct front *f, struct error *err); /* sets f->able, for the life of the process; after the pool */

/* May runs be started now? And may work be taken from the sources, which needs disk space for results as well? Cheap. */
bool able_starts(const struct front *f);
bool able_takes_work(const struct front *f);

/*
 * Why a run that a client waits for is not even accepted: 0 it is, -EHOSTDOWN with the reason in words. In doubt it is
 * accepted, and waits.
 */
int able_accepts(const struct front *f, struct error *err);
/* The same for a job that would be stored: -ENOSPC when the disk is too full. */
int able_stores(const struct front *f, struct error *err);

/* It could not be started: decided by and by. Owned from here on. */
void able_doubt_leased(struct front *f, struct leased *l, const char *reason);
void able_doubt_direct(struct front *f, struct direct *d, const char *reason);
bool able_forget_direct(struct front *f,
			struct direct *d);   /* its client left. True: it was in doubt, and is not any more */
size_t able_n_direct(const struct front *f); /* in doubt */
void able_settle(struct front *f);           /* the node is stopped: nobody's fault */

/* Each reason why this node takes no work, in words. None: it is ready. */
void able_reasons(struct front *f, void (*fn)(const char *text, void *arg), void *arg);

/* "serving", "unable", "draining": for lists of nodes. */
const char *able_word(const struct front *f);
