/*
 * The clone and what the child does before cubit-init: the only code that runs with our memory in the sandbox's
 * namespaces. Between clone3 and exec it performs a finished plan with bare system calls, signal-safety(7).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct error;

struct spawn_plan {
	unsigned long long clone_flags; /* CLONE_NEW* */
	int cgroup_fd;                  /* v2 group to be born in; -1: none */
	const int *task_fds;            /* v1 `tasks` files to write "0" to */
	size_t n_task_fds;
	int netns_fd; /* joined by the parent around the clone; -1: none */
	int init_fd;  /* sealed memfd */
	int null_fd;  /* becomes 0, 1, 2 */
	int sock_fd;  /* the child's end */
};

/*
 * Clone. In the parent returns the pid with *ret_pidfd owned, or -errno with the likely cause in words. The child
 * executes init at once, while the parent maps ids and builds the root file system; init waits for SETUP on its socket.
 * Failures before exec arrive as AGENT_FAILED. It ends by itself when the parent's end of the socket closes.
 */
pid_t spawn_child(const struct spawn_plan *plan, int *ret_pidfd, struct error *err);
