/*
 * One job by its id, wherever it came from: the sources are asked in turn.
 *
 * Runs in: front, on the loop. Callbacks and their errors are those of queue.h; EAGAIN a source cannot say at the moment
 * and no other knows the job.
 */
#pragma once

#include <stdbool.h>

#include "supervisor/queue/queue.h"

struct front;

int lookup_job(struct front *f, const char *id, bool with_journal, queue_get_fn *fn, void *arg);
int lookup_cancel(struct front *f, const char *id, const char *owner, queue_cancel_fn *fn, void *arg);
