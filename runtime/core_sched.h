/*
 * Core scheduling, prctl(2) PR_SCHED_CORE: processes with different cookies never run on the hardware threads of one core
 * at the same time. A sandbox that is to have it makes a cookie of its own (sandbox_spec.core_sched).
 *
 * Runs in: monitor, cubit. Kernel: Documentation/admin-guide/hw-vuln/core-scheduling.rst.
 */
#pragma once

enum core_sched {
	CORE_SCHED_HAVE,
	CORE_SCHED_NO_THREADS, /* no core has two hardware threads: nothing is shared */
	CORE_SCHED_NO_KERNEL,  /* the kernel was built without it */
};

/* Ask the kernel; changes nothing. */
enum core_sched core_sched_probe(void);
