/*
 * Where this machine keeps its cgroup controllers, found by looking (mountinfo, /proc/self/cgroup), never by name.
 *
 * A host is *unified* (every controller on cgroup v2) or *hybrid* (a cgroup2 mount for kill, freeze and events, and
 * v1 hierarchies for some or all controllers). Each controller is looked up on its own.
 *
 * Sub-groups are made below the group we were started in and nowhere else. On v2 a group with processes in it cannot
 * hand controllers to its children (cgroups(7), "no internal processes"), so the process moves *itself* into a child
 * named CGROUP_LEAF and the group above it becomes the base. A group already so named (systemd's DelegateSubgroup=,
 * or a launcher) is taken as that leaf: its parent is the base. Nobody else's process is ever moved.
 *
 * Runs in: monitor, cubit-sandbox, doctor. Not in the child. Does not block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct cgroup_map;

#define CGROUP_LEAF "supervisor"

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT, /* v2 has it built in (cpu.stat, also on hybrid hosts): reported as v2 whenever there is a v2 mount */
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_IO, /* v1 calls it blkio */
	CGROUP_CPUSET,
	CGROUP_FREEZER, /* v2 has it built in (cgroup.freeze), reported as v2 whenever there is a v2 mount */
	CGROUP_CONTROLLERS,
};

/* What a controller is called in words: "cpu", "memory", ... */
const char *cgroup_controller_name(enum cgroup_controller c);

enum cgroup_version { CGROUP_NONE = 0, CGROUP_V1 = 1, CGROUP_V2 = 2 };

struct cgroup_place {
	enum cgroup_version version; /* CGROUP_NONE: this host has it nowhere that we can use */
	int base_fd;         /* O_PATH|O_DIRECTORY of our base group there; owned by the host; may be shared by value */
	char base_path[512]; /* the same in words, for messages */
	char why_not[160];   /* for CGROUP_NONE: what is missing, and what to do about it */
};

struct cgroup_host {
	bool is_hybrid;         /* some controller is on v1 */
	struct cgroup_place v2; /* the cgroup2 mount itself, version CGROUP_NONE when there is none */
	struct cgroup_place controllers[CGROUP_CONTROLLERS];
};

/*
 * Look only: fills ret without changing anything (nothing moved, nothing enabled). For doctor.
 * Controllers that could be enabled but are not yet are reported as usable.
 * Returns 0 or -errno (no /proc, no cgroup mount of any kind).
 */
int cgroup_host_probe(struct cgroup_host *ret, struct error *err);

/*
 * Look and prepare: on v2 move ourselves into CGROUP_LEAF if our group has to hand controllers down, and enable in
 * the base's cgroup.subtree_control every controller that is available there. Idempotent, also across processes.
 * Returns 0 or -errno: -EBUSY when other processes sit in our group (the text says how to be started instead).
 * A controller that cannot be had is no failure here: it is CGROUP_NONE with why_not, and cgroup_create refuses a
 * limit that needs it.
 */
int cgroup_host_open(struct cgroup_host *ret, struct error *err);

/*
 * The group of another process of ours that sits in a leaf CGROUP_LEAF and has prepared it (cgroup_keeper.h): nobody is
 * moved. The caller makes sure that the pid is still that process.
 */
int cgroup_host_open_of(int pid, struct cgroup_host *ret, struct error *err);

/*
 * The ones above, for a map made from other texts than this machine's own (cgroup_map.h): how tests see a host whose
 * cgroup2 mount is hidden. may_change: prepare as cgroup_host_open() does.
 */
int cgroup_host_from_map(const struct cgroup_map *map, bool may_change, struct cgroup_host *ret, struct error *err);

/* Close the descriptors. Groups stay (the leaf holds us). */
void cgroup_host_done(struct cgroup_host *host);
