/*
 * Files that a job hands back, written below a directory of ours. Their names come out of a sandbox.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct error;

/*
 * outputs        of a result: [{path, size, content, encoding}]
 * dir            made when it is not there
 * may_overwrite  a file that is there is replaced; otherwise that is an error
 * Nothing is followed out of dir, openat2(2). Returns 0 or -errno; the files before the one that failed are there.
 */
int handed_back_save(const json_t *outputs, const char *dir, bool may_overwrite, struct error *err);
