/*
 * One sandbox: namespaces, control group, root file system, filter, pid 1. The supervisor composes a spec of
 * plain data and descriptors; nothing in it is a name that the kernel would resolve. docs/architecture.md tells where this
 * stands among the processes.
 *
 * How a start goes (P parent, C child):
 *
 *   P  claim id range; make control groups; socket pair
 *   P  clone3: user, pid, mount, ipc, uts (and net) namespaces, into the v2 group, with a pidfd
 *   C  in P's memory (clone_shared.h), P waits: join v1 groups (writes "0"); keep capabilities over exec;
 *      execveat(sealed memfd)
 *   C  cubit-init begins, and waits for SETUP                              |
 *   P  write the limit on cpu time, uid_map, gid_map (and "deny" to        |  in parallel
 *      setgroups); clone and idmap layers, upper, overlay, /dev, files of  |
 *      /proc: detached mounts                                              |
 *   P  send SETUP with the mounts (the ids are mapped by then); requests may follow at once
 *   C  become uid 0 inside; attach, mask, pivot, drop; READY; serve (runtime/init/)
 *
 * Runs in: monitor, cubit-sandbox: root in the initial user namespace, single-threaded, without supplementary groups
 * (sandbox_host_open drops them). sandbox_create does not wait for the sandbox to be ready; READY or FAILED arrives as
 * the first event on its socket.
 * Kernel: clone(2), user_namespaces(7), pid_namespaces(7), cgroups(7).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/cgroup/cgroup.h"
#include "runtime/rootfs/rootfs.h"

struct error;
struct idrange_pool;
struct sandbox_host; /* opaque: what all sandboxes of this process share */

struct sandbox_host_options {
	const char *run_dir;   /* CUBIT_RUN, e.g. "/run/cubit"; made 0700 if missing */
	uint32_t id_base;      /* 0: IDRANGE_BASE_DEFAULT */
	uint32_t id_count;     /* 0: IDRANGE_COUNT_DEFAULT */
	bool allow_unenforced; /* CUBIT_ALLOW_UNENFORCED */
};

/*
 * Once per process: raise our limits and be what sandboxes need, or refuse in words (surroundings.h; umask becomes 022);
 * enter a mount namespace of our own, drop supplementary groups, find and prepare control groups, open
 * the id ranges, seal cubit-init; then remove what sandboxes of dead supervisors left (control groups without
 * processes, claims). Layer and disk directories must be opened after this: those of the old mount namespace cannot
 * be cloned (-EINVAL).
 * Returns 0 or -errno; ret owned: sandbox_host_close().
 */
int sandbox_host_open(const struct sandbox_host_options *options, struct sandbox_host **ret, struct error *err);
void sandbox_host_close(struct sandbox_host *host);

/*
 * For a supervisor that is the only one of its kind on this run directory: end what still lives of sandboxes whose
 * owner is dead, and remove it. (sandbox_host_open leaves those with processes alone: somebody may adopt them.) What
 * belongs to a living owner is never touched. Waits up to 2 s for each.
 * ret_n  how many there were. Returns 0, or -errno when they cannot be listed.
 */
int sandbox_host_end_orphans(struct sandbox_host *host, size_t *ret_n, struct error *err);

/* Where this machine keeps its controllers. Borrowed. */
const struct cgroup_host *sandbox_host_cgroups(const struct sandbox_host *host);

/* The stages of the parent's side, for messages and for tests that make each of them fail. */
#define SANDBOX_STAGES(X)                                                                                              \
	X(NONE, "nothing")                                                                                             \
	X(IDS, "claim an id range")                                                                                    \
	X(CGROUP, "make the control group")                                                                            \
	X(SOCKET, "make the agent socket")                                                                             \
	X(CLONE, "clone into new namespaces")                                                                          \
	X(MAP, "map user and group ids")                                                                               \
	X(ROOTFS, "build the root file system")                                                                        \
	X(SETUP, "send the specification")

enum sandbox_stage {
#define X(name, text) SANDBOX_STAGE_##name,
	SANDBOX_STAGES(X)
#undef X
		SANDBOX_STAGE_COUNT,
};

const char *sandbox_stage_name(enum sandbox_stage stage);

struct sandbox_spec {
	const char *id; /* parse_id(); unique on this host */
	struct cgroup_limits limits;

	const int *layers; /* borrowed directory descriptors, top first */
	size_t n_layers;
	struct rootfs_disk disk;
	const char *workdir; /* as rootfs_spec */
	const char *hostname;
	const char *resolv_conf;
	uint64_t shm_bytes; /* /dev/shm */
	uint32_t ptys;      /* terminals at once, of those that the kernel has for everybody */

	const void *filter; /* borrowed struct sock_filter[]: the compiled policy; never empty */
	size_t filter_bytes;
	const void
		*compile_filter; /* the same for processes that ask for AGENT_FILTER_COMPILE; NULL: there is no other */
	size_t compile_filter_bytes;

	int netns_fd; /* borrowed network namespace to join; -1: a new one with only lo */

	uint32_t uid, gid; /* identity of processes, inside ids; 0 only with allow_root */
	bool allow_root;   /* cube, build: uid 0 inside is possible, with `caps` */
	uint64_t caps;     /* capability bits for uid 0 inside; SANDBOX_CAPS_ROOT */
	bool survive_peer; /* see AGENT_SETUP_SURVIVE */
	bool keep_stdio;   /* see AGENT_SETUP_KEEP_STDIO; standard input then ends with CLOSE_STDIN only */
	bool core_sched;   /* PR_SCHED_CORE */
	bool outlive; /* in the keeper's group instead of ours: the service's end leaves it alone; -ENOENT without one */
	bool allow_speculation;

	enum sandbox_stage fault; /* tests */
	uint32_t agent_fault;     /* tests: enum agent_stage */
};

/*
 * What root inside may keep: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service,
 * sys_chroot, setfcap. Means nothing outside the sandbox's own user namespace.
 */
#define SANDBOX_CAPS_ROOT 0x800405fbULL

enum { SANDBOX_PTYS = 64 };

/* The default limits of a job. */
void sandbox_spec_defaults(struct sandbox_spec *spec);

struct sandbox {
	struct sandbox_host *host; /* borrowed */
	char id[65];
	uint32_t id_base;
	struct cgroup *cgroup;       /* owned */
	struct cgroup_limits limits; /* as asked for; sandbox_change_limits() */
	pid_t pid;                   /* of pid 1, outside; for messages only: act through pidfd */
	int pidfd;
	int sock;    /* agent socket: poll it, agent_receive() */
	int disk_fd; /* rootfs_usage() */
	int proc_fd; /* proc_files_resize() */
	uint32_t next_seq;
};

/*
 * Returns 0 with ret owned (sandbox_destroy), or -errno: err says "sandbox 'ID': STAGE: ...", and nothing of it is left.
 */
int sandbox_create(struct sandbox_host *host, const struct sandbox_spec *spec, struct sandbox **ret, struct error *err);

/*
 * Wait for READY, for callers without an event loop. Returns 0, or -errno with the failing stage inside named;
 * -ETIMEDOUT. The sandbox still has to be destroyed.
 */
int sandbox_wait_ready(struct sandbox *s, unsigned timeout_ms, struct error *err);

/*
 * Other limits from now on, and files of /proc inside that tell of them. Of `change` memory_max_bytes, pids_max and
 * cpu_max_milli count; 0 stays as it is. Returns 0 or what cgroup_update() and proc_files_resize() return.
 */
int sandbox_change_limits(struct sandbox *s, const struct cgroup_limits *change, struct error *err);

/* A number no request of this sandbox has had. */
uint32_t sandbox_next_seq(struct sandbox *s);

/*
 * Kill everything inside, reap pid 1, remove control groups, give the id range back, free. s may be NULL.
 * Waits until the kernel has let go of the last process (bounded by timeout_ms); removal is idempotent.
 * Returns 0 or -errno with what stayed. s is freed in any case; what stayed is found by the next sandbox_host_open.
 */
int sandbox_destroy(struct sandbox *s, unsigned timeout_ms, struct error *err);
