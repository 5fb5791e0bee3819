/*
 * The worker kind `unpack`: hostile archives into one directory that becomes its root; images/unpack/worker.h.
 */
#include <fcntl.h>
#include <stdio.h>

#include "images/unpack/worker.h"
#include "images/worker_spawn.h"
#include "tools/worker/kinds.h"

enum { INPUT_FD = WORKER_FIRST_FD, DIR_FD };

int worker_unpack(void)
{
	if (fcntl(WORKER_CONTROL_FD, F_GETFD) < 0 || fcntl(INPUT_FD, F_GETFD) < 0 || fcntl(DIR_FD, F_GETFD) < 0) {
		(void)fprintf(stderr, "cubit-worker unpack: started without its descriptors\n");
		return 2;
	}
	unpack_worker_run(WORKER_CONTROL_FD, INPUT_FD, DIR_FD);
}
