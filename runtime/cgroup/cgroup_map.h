/*
 * Which directory is our own group in each cgroup hierarchy: a pure function of two texts of the kernel.
 *
 * The answer is what mountinfo and /proc/self/cgroup say; whether the directory can be opened, and which controllers
 * a v2 group offers, is for cgroup_host.c to find out. Apart, so that tests can show it hosts of every kind.
 *
 * Runs in: whoever calls cgroup_host_open(). No system calls.
 * Kernel: cgroups(7) "/proc/pid/cgroup", proc_pid_mountinfo(5).
 */
#pragma once

#include "runtime/cgroup/cgroup_host.h"

struct cgroup_map_entry {
	bool is_found;
	bool is_bound;       /* v1 only: the kernel has this controller on a v1 hierarchy, mounted or not */
	char path[512];      /* our own group, as a path on this machine */
	size_t mount_length; /* how much of path is the mount point: nothing above it can be reached */
	char why_not[160];   /* when not found */
};

struct cgroup_map {
	struct cgroup_map_entry v2;
	struct cgroup_map_entry v1[CGROUP_CONTROLLERS];
};

/* Texts as read, NUL-terminated. Lines that are not understood are skipped: mountinfo grows fields. Cannot fail. */
void cgroup_map_parse(const char *mountinfo, const char *self_cgroup, struct cgroup_map *ret);
