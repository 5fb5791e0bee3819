/*
 * The directories of one sandbox's group, by controller: what limits are written to and facts are read from.
 * Inside the runtime only; cgroup.c owns the descriptors.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include "runtime/cgroup/cgroup_host.h"

struct cgroup_dir {
	enum cgroup_version version;
	int fd;              /* O_PATH, borrowed; -1 before the group is made, and when version is CGROUP_NONE */
	const char *why_not; /* for CGROUP_NONE, borrowed from the host */
};

struct cgroup_dirs {
	struct cgroup_dir at[CGROUP_CONTROLLERS];
};
