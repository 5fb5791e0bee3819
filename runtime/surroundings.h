/*
 * What a sandbox assumes of the process that makes it and of the machine around: a table. Each row can be looked at by
 * itself (`cubit doctor`, the monitor's warnings), and all together are seen to before the first sandbox is made.
 *
 * Not here: control groups (cgroup_host.h says what is missing), and what the child sheds before it executes
 * cubit-init (sandbox_spawn.c), which then may be whatever it is.
 *
 * Runs in: whoever makes sandboxes, before the first; doctor. Single-threaded.
 */
#pragma once

#include <stddef.h>

struct error;

enum surrounding_status {
	SURROUNDING_FINE,
	SURROUNDING_POOR,  /* sandboxes can be made, and something is smaller, slower or refused inside */
	SURROUNDING_UNFIT, /* none can be made */
};

struct surrounding {
	enum surrounding_status status;
	char detail[480]; /* what was found: a sentence without its full stop */
	char remedy[320]; /* "" for FINE */
};

size_t surroundings_count(void);
const char *surroundings_name(size_t row);

/* Look at one row; changes nothing. Briefly makes a child, and namespaces for it. */
void surroundings_look(size_t row, struct surrounding *ret);

/*
 * Be what sandboxes need: resource limits raised (rlimits.h), files made with the modes that are asked for (umask 022),
 * the ends of children seen; then look at every row. Returns 0, or -EPERM with the first that is UNFIT, in words.
 */
int surroundings_prepare(struct error *err);
