/*
 * What an agent says is in a directory: records of a walk (runtime/agent/agent_proto.h). Hostile: a path is only taken
 * when it is a plain relative one.
 *
 * Runs in: front. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct agent_file_record;

/* Relative, not empty, no component that is empty, "." or "..". */
bool path_is_plain(const char *path);

/*
 * Call fn with each record, until it returns false. Records whose path is not plain are an error.
 * Returns 0, -EPROTO, -ECANCELED when fn has returned false.
 */
int paths_each(const char *data, size_t size, bool (*fn)(void *arg, const struct agent_file_record *r), void *arg);
