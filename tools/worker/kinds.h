/*
 * The kinds of workers. Each runs one task with the descriptors it was started with, says on stderr why it could not
 * start, and returns an exit status.
 *
 * Runs in: cubit-worker, a process for each task.
 */
#pragma once

/* One layer archive into one directory: images/unpack/worker.h. */
int worker_unpack(void);

/* Becomes cubit-fetch, which lies beside this program. Returns only when it cannot. */
int worker_fetch(void);
