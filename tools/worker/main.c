/*
 * cubit-worker KIND: one slow task in a process of its own.
 *
 * How it works: the monitor (or the cubit command) starts one for each task: no environment, a SOCK_SEQPACKET to its
 * parent as descriptor 3, what the task works on from 4 up, nothing else. Each KIND takes what its task needs, gives up
 * everything else before it reads a foreign byte, reports over descriptor 3 and exits. The parent outlives it, kills it
 * when it takes too long, and believes nothing it says without looking.
 *
 *   cubitd (monitor) --3: messages---- cubit-worker unpack   4: archive, 5: layer directory (becomes its root)
 *                    \-3: messages---- cubit-worker fetch    the network; becomes cubit-fetch
 *
 * Not to be run by hand: without its descriptors it only says so.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/log.h"
#include "tools/worker/kinds.h"

static const struct {
	const char *name;
	int (*run)(void);
} kinds[] = {
	{ "fetch", worker_fetch },
	{ "unpack", worker_unpack },
};

int main(int argc, char **argv)
{
	alloc_must(log_no_memory);
	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			return kinds[i].run();
	(void)fprintf(stderr, "cubit-worker: started by cubitd, with one of:");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		(void)fprintf(stderr, " %s", kinds[i].name);
	(void)fputc('\n', stderr);
	return 2;
}
