/*
 * What `cubit job` and `cubit dead` share: lists of jobs, one job, and doing the same to each of several.
 *
 * Runs in: the cubit command.
 */
#pragma once

struct invocation;

/* As listing_run. */
int job_list(struct invocation *v, const char *path, const char *const *queries, const char *limit, const char *empty);

int job_show(struct invocation *v);

/* METHOD start ID more, for each argument; says that it is `done`. Returns the exit status: of the last that failed. */
int job_each(struct invocation *v, const char *method, const char *start, const char *more, const char *done);
