/*
 * Limits as a table: which controller enforces one, in which files of v1 and v2, and how its value is written there.
 * Used by cgroup.c alone.
 *
 * Kernel: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, cgroup-v1/cpusets.rst,
 * scheduler/sched-bwc.rst.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/cgroup_dirs.h"

/* Is a limit asked for that this controller enforces? */
bool cgroup_limits_need(const struct cgroup_limits *limits, enum cgroup_controller c);

/*
 * Before anything is made: are all values in range, and can all be enforced in dirs (only versions are looked at)?
 * A limit that cannot is -ENOTSUP, or with allow_unenforced a bit in *unenforced. -EINVAL for a value.
 */
int cgroup_limits_check(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits, bool allow_unenforced,
			unsigned *unenforced, struct error *err);

/*
 * Write every limit that is asked for; those refused by cgroup_limits_check() are skipped. A kernel without the file
 * counts as "cannot be enforced". Also changes limits of a living group, after cgroup_limits_make_room().
 */
int cgroup_limits_write(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits, bool allow_unenforced,
			unsigned *unenforced, struct error *err);

/* Before the limits of a living group are changed: a limit on memory that is raised needs room above it, on v1. */
void cgroup_limits_make_room(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits);

/*
 * Take the bandwidth limit away, for a group that is about to be killed: a killed process runs to its own end in the
 * kernel (memory to unmap, files to close), and under a small quota hundreds of them need minutes for that.
 */
void cgroup_limits_lift_cpu(const struct cgroup_dirs *dirs);

/*
 * A new v1 cpuset group has no cpu and no memory node, and no task can enter it (cgroup-v1/cpusets.rst): give it
 * its parent's. base_fd: the parent.
 */
int cgroup_limits_fill_cpuset_v1(int base_fd, int dir_fd, struct error *err);
