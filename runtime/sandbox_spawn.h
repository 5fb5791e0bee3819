/*
 * The clone and what the child does before cubit-init: the only code that runs in our memory (clone_shared.h) in the
 * sandbox's namespaces, before anything else lives there. It performs a finished plan with bare system calls,
 * signal-safety(7).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "runtime/cgroup/cgroup.h"

struct error;

struct spawn_plan {
	unsigned long long clone_flags;    /* CLONE_NEW* */
	int cgroup_fd;                     /* v2 group to be born in; -1: none */
	int task_fds[CGROUP_TASK_FDS_MAX]; /* v1 `tasks` files to write "0" to */
	size_t n_task_fds;
	int netns_fd; /* joined by the parent around the clone; -1: none */
	/* the lower these three are, the fewer descriptors the child copies */
	int init_fd; /* sealed memfd */
	int null_fd; /* becomes 0, 1, 2 */
	int sock_fd; /* the child's end */
};

/*
 * Clone. Returns the pid with *ret_pidfd owned when the child has executed init, which waits for SETUP on its socket while
 * the caller maps ids and builds the root file system; or -errno with the likely cause in words. Failures before exec arrive
 * as AGENT_FAILED. It ends by itself when the parent's end of the socket closes.
 * -ETIMEDOUT: it did not come so far and was killed; then *ret_pidfd is owned as well.
 */
pid_t spawn_child(const struct spawn_plan *plan, int *ret_pidfd, struct error *err);
