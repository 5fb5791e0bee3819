/* Core scheduling: see core_sched.h. */
#include "runtime/core_sched.h"

#include <errno.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <sys/prctl.h>

enum core_sched core_sched_probe(void)
{
	uint64_t cookie = 0;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie) == 0)
		return CORE_SCHED_HAVE;
	return errno == ENODEV ? CORE_SCHED_NO_THREADS : CORE_SCHED_NO_KERNEL;
}
