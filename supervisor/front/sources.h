/*
 * Where the jobs of this node come from, in the order in which they are asked. front.c fills it before anybody reads it;
 * the rooms borrow it for the life of the process. The sources are those of queue/ and redis/.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stddef.h>

#include "supervisor/queue/source.h"

enum { SOURCES_MAX = 8 };

struct sources {
	struct source *all[SOURCES_MAX];
	size_t n;
	struct source *home; /* one of them: where direct runs are recorded, and names that owners gave */
};
