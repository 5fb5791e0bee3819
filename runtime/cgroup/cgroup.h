/*
 * One sandbox's control group: limits, facts, freeze, kill. The same calls on cgroup v2 and on hybrid hosts, where
 * some of it lives in v1 hierarchies (see cgroup_host.h). A limit that cannot be enforced is an error at creation.
 *
 * Groups are named "cubit-" + id in every hierarchy, so that what outlives us can be found again.
 *
 * Runs in: monitor, cubit-sandbox. Not in the child, which only writes "0" to the descriptors of
 * cgroup_task_fds(). Does not block, except cgroup_destroy() as said there.
 * Kernel: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/cgroup/cgroup_host.h"

struct error;
struct cgroup; /* opaque */

#define CGROUP_PREFIX "cubit-"

/* Zero means "no limit of this kind" in every field. */
struct cgroup_limits {
	uint64_t
		memory_max_bytes; /* swap is always 0 beside it, and the whole group dies together (memory.oom.group); v1
				     * has no such file: one process dies, and the reader of oom_kills ends the rest */
	uint64_t memory_high_bytes; /* v2 only: throttle above; v1 hosts refuse it */
	uint64_t pids_max;          /* tasks (threads count), our own pid 1 included */
	uint64_t cpu_max_milli;     /* thousandths of a cpu: 1500 = one and a half */
	uint64_t cpu_weight;        /* 1..10000, 100 is the kernel's default; v1: mapped to cpu.shares */
	uint64_t io_weight;         /* 1..10000 */
	char io_max[256];           /* v2 io.max lines, e.g. "8:0 rbps=1048576 wiops=100"; v1: refused */
	char cpuset[128];           /* e.g. "0-1"; empty: no restriction */
};

/* Facts of the whole group since it was made. Unknown numbers are CGROUP_UNKNOWN. */
#define CGROUP_UNKNOWN UINT64_MAX

struct cgroup_stats {
	uint64_t cpu_usage_ns, cpu_user_ns, cpu_system_ns;
	uint64_t cpu_throttled_ns;
	uint64_t memory_now_bytes, memory_peak_bytes;
	uint64_t oom_kills;       /* memory.events oom_kill; v1: memory.oom_control oom_kill. Wherever memory ran out */
	uint64_t ooms;            /* memory.events oom: it ran out at this group's own limit; v1: unknown */
	uint64_t memory_max_hits; /* memory.events max; v1: unknown, newer kernels leave memory.failcnt at 0 */
	uint64_t pids_now, pids_peak;
	uint64_t pids_max_hits; /* forks refused: pids.events max */
	uint64_t io_read_bytes, io_write_bytes;
};

/*
 * Make the groups of one sandbox in every hierarchy and write the limits.
 *
 * host    borrowed, must outlive the group
 * id      parse_id() form
 * limits  borrowed
 * allow_unenforced  operator's CUBIT_ALLOW_UNENFORCED=1: a limit whose controller is missing is skipped and its
 *         controller's bit set in cgroup_unenforced(), instead of -ENOTSUP
 * ret     owned: cgroup_destroy() or cgroup_close(). Untouched on failure, and nothing is left then.
 *
 * Returns 0 or -errno: -EEXIST id taken; -ENOTSUP a limit cannot be enforced here (the text names limit, controller
 * and remedy); -EINVAL a value out of the kernel's range.
 */
int cgroup_create(const struct cgroup_host *host, const char *id, const struct cgroup_limits *limits,
		  bool allow_unenforced, struct cgroup **ret, struct error *err);

/* Open the groups of a sandbox that outlived another process. -ENOENT when there is none. */
int cgroup_open(const struct cgroup_host *host, const char *id, struct cgroup **ret, struct error *err);

/* Bits (1 << controller) of limits skipped by allow_unenforced. */
unsigned cgroup_unenforced(const struct cgroup *cg);

/* The v2 directory for clone3's CLONE_INTO_CGROUP, borrowed; -1 on a host without any cgroup2 mount. */
int cgroup_v2_fd(const struct cgroup *cg);

enum { CGROUP_TASK_FDS_MAX = CGROUP_CONTROLLERS };

/*
 * The v1 `tasks` files a new process has to join, open for writing, borrowed. The child writes "0" to each: a task
 * that moves itself alone spares the kernel its global thread-group lock (kernel/cgroup/cgroup.c,
 * cgroup_procs_write_start), which costs milliseconds. Zero of them on a unified host. Returns how many.
 */
size_t cgroup_task_fds(const struct cgroup *cg, int ret_fds[CGROUP_TASK_FDS_MAX]);

/* Change limits of a living group; fields that are 0 stay as they are. On failure earlier fields may have changed. */
int cgroup_update(struct cgroup *cg, const struct cgroup_limits *limits, struct error *err);

/* Read every fact. Never fails for a single missing file: that number is CGROUP_UNKNOWN. */
int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct error *err);

/* How much a fact has grown since `base`; what is unknown has not grown. */
uint64_t cgroup_since(uint64_t now, uint64_t base);

/*
 * The kernel killed in the group since `base`: because memory ran out above it (the host, or MemoryMax= of the service)
 * and not at its own limit? On v2 oom and oom_kill tell: the first is counted where the limit is, the second where the
 * victim was, cgroup-v2.rst "memory.events". v1 counts only the second; there a group whose memory never came near its
 * limit did not reach it. False when nothing was killed.
 */
bool cgroup_oom_is_above(const struct cgroup_stats *now, const struct cgroup_stats *base, uint64_t limit_bytes);

/*
 * Forks were refused since `base`: above the group (TasksMax= of the service, or of a slice), and not at its own limit?
 * Kernels before 6.11, and v1, count a refusal where the fork was tried, whoever's limit it was, so the peak says whether
 * ours was reached; without one (v2 before 6.6) the groups above are looked at as they are now.
 */
bool cgroup_forks_are_refused_above(const struct cgroup *cg, const struct cgroup_stats *now, uint64_t limit);

/*
 * Let memory_peak_bytes of cgroup_stats() begin anew: from now on it is the most since this call. On v1 it is written to
 * the file; on v2 it belongs to a descriptor that is kept (memory.peak, since Linux 6.12, cgroup-v2.rst). Returns whether
 * that can be had here; otherwise the peak stays the group's since it was made.
 */
bool cgroup_memory_peak_restart(struct cgroup *cg);

/* Only the cpu time used so far, for cpu-limit polling. ns, or CGROUP_UNKNOWN. */
uint64_t cgroup_cpu_usage_ns(const struct cgroup *cg);

/*
 * A descriptor that becomes POLLPRI-ready when a fork is refused by pids.max (pids.events), borrowed; opened on the first
 * call. -1 where nothing is announced, on v1: since kernel 6.11 the notice of a v1 group goes to a file that v1 does not
 * have (kernel/cgroup/pids.c, pids_event()). The count is right there too, so poll cgroup_pids_max_hits().
 * After an event, cgroup_pids_max_hits() reads the count and re-arms.
 */
int cgroup_pids_event_fd(struct cgroup *cg);
uint64_t cgroup_pids_max_hits(const struct cgroup *cg);

/* oom_kills of cgroup_stats() alone, from a descriptor that is kept: for looking often. */
uint64_t cgroup_oom_kills(struct cgroup *cg);

/*
 * An eventfd(2) that is written to when memory runs out in the group or in one above, before the kernel kills for it;
 * borrowed, opened on the first call. -1 where there is none: v2, whose group dies as a whole, and v1 without
 * cgroup.event_control. Not when the whole machine runs out (cgroup-v1/memory.rst, "OOM Control").
 */
int cgroup_oom_event_fd(struct cgroup *cg);

/* Freeze or thaw every process, v2 cgroup.freeze (v1 freezer without a v2 mount). Freeze is asynchronous;
 * timeout_ms > 0 waits for cgroup.events "frozen". -ETIMEDOUT then. */
int cgroup_freeze(struct cgroup *cg, bool on, unsigned timeout_ms, struct error *err);

/*
 * Kill every process of the group, also frozen and forking ones (cgroup.kill; without it, freeze, SIGKILL each by
 * pidfd, thaw, repeat until empty). Asynchronous: reap by pidfd, then cgroup_destroy.
 * The limit on cpu bandwidth is lifted before, so that those who are throttled die at once.
 */
int cgroup_kill(struct cgroup *cg, struct error *err);

/* Does any process live in it? v2 cgroup.events populated. */
bool cgroup_is_populated(const struct cgroup *cg);

/*
 * Remove the groups in every hierarchy and free the struct; sub-groups made inside are removed too, to a
 * depth of 32 (whoever delegates the group writes a lower cgroup.max.depth first). Idempotent: a group already gone is
 * success; NULL does nothing. Waits up to timeout_ms for dying processes to leave (rmdir gives EBUSY until then).
 * cg is freed in any case. Returns 0 or -errno with the group that stayed.
 */
int cgroup_destroy(struct cgroup *cg, unsigned timeout_ms, struct error *err);

/* Free the struct, leave the groups (a supervisor that hands over). NULL does nothing. */
void cgroup_close(struct cgroup *cg);

/* Call fn for the id of every group with our prefix below the bases; stops and returns when fn returns non-zero. */
int cgroup_each(const struct cgroup_host *host, int (*fn)(const char *id, void *arg), void *arg, struct error *err);
