/*
 * Facts as a table: where v1 and v2 keep each number of struct cgroup_stats. Used by cgroup.c alone.
 *
 * Kernel: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, cpuacct.rst, pids.rst, blkio-controller.rst.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/cgroup_dirs.h"

/* Fill every field; what has no file, or cannot be read, is CGROUP_UNKNOWN. */
void cgroup_facts_read(const struct cgroup_dirs *dirs, struct cgroup_stats *ret);

/* Only cpu_usage_ns. */
uint64_t cgroup_facts_cpu_usage_ns(const struct cgroup_dirs *dirs);

/* "key 12\n" in a file of such lines: the number, or CGROUP_UNKNOWN. Also for cgroup.events and pids.events. */
uint64_t cgroup_facts_keyed(const char *text, const char *key);
