/* One sandbox from claim to removal: see sandbox.h. */
#include "runtime/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/cgroup/cgroup_keeper.h"
#include "runtime/idrange.h"
#include "runtime/init_image.h"
#include "runtime/oom_score.h"
#include "runtime/rootfs/stage.h"
#include "runtime/sandbox_spawn.h"
#include "runtime/surroundings.h"

enum { ORPHAN_TIMEOUT_MS = 2000 };

struct sandbox_host {
	struct cgroup_host cgroups;
	struct cgroup_host kept; /* of the keeper, from the first time that it is wanted */
	bool is_kept_open;
	struct idrange_pool *ids;
	int run_fd, init_fd, null_fd;
	int low_fd; /* a low number for what a child needs of its parent's descriptors: see clone_child() */
	bool allow_unenforced;
};

static const char *const stage_names[SANDBOX_STAGE_COUNT] = {
#define X(name, text) [SANDBOX_STAGE_##name] = (text),
	SANDBOX_STAGES(X)
#undef X
};

const char *sandbox_stage_name(enum sandbox_stage stage)
{
	return stage_names[stage];
}

/* ---- what all sandboxes share ---- */

/* The group of what outlives the service. Returns 0 or -errno: -ENOENT no keeper lives. */
static int open_kept(struct sandbox_host *host, struct error *err)
{
	int r = host->is_kept_open ? 0 : cgroup_keeper_open(host->run_fd, &host->kept, err);

	host->is_kept_open = r == 0;
	return r;
}

/* A sandbox's group, wherever it was made. */
static int find_group(struct sandbox_host *host, const char *id, struct cgroup **ret)
{
	int r = cgroup_open(&host->cgroups, id, ret, NULL);

	return r == -ENOENT && open_kept(host, NULL) == 0 ? cgroup_open(&host->kept, id, ret, NULL) : r;
}

/* A claim whose owner is dead: its sandbox may still live (a cube that outlived its supervisor). */
static int sweep_orphan(const char *id, uint32_t base, void *arg)
{
	struct sandbox_host *host = arg;
	struct cgroup *cg = NULL;
	int r;

	(void)base;
	r = find_group(host, id, &cg);
	if (r < 0)
		return r == -ENOENT; /* no group: nothing of it is left. Otherwise we cannot tell, and keep the claim */
	if (cgroup_is_populated(cg)) {
		cgroup_close(cg);
		return 0;
	}
	return cgroup_destroy(cg, ORPHAN_TIMEOUT_MS, NULL) == 0;
}

static int open_run_dir(struct sandbox_host *host, const char *path, struct error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make directory '%s'", path);
	host->run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return host->run_fd < 0 ? error_errno(err, errno, "open directory '%s'", path) : 0;
}

int sandbox_host_open(const struct sandbox_host_options *o, struct sandbox_host **ret, struct error *err)
{
	struct sandbox_host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return error_errno(err, ENOMEM, "sandbox host");
	host->run_fd = host->init_fd = host->null_fd = host->low_fd = -1;
	/* none open yet: closing a half-built host must not close descriptor 0 */
	host->cgroups.v2.base_fd = -1;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		host->cgroups.controllers[c].base_fd = -1;
	host->allow_unenforced = o->allow_unenforced;
	r = surroundings_prepare(err);
	/* Sandboxes without root get setgroups "denied", so what we have they would keep: have none. */
	if (r == 0 && setgroups(0, NULL) < 0)
		r = error_errno(err, errno, "drop supplementary groups");
	if (r == 0)
		r = stage_enter(o->run_dir, err);
	if (r == 0)
		r = open_run_dir(host, o->run_dir, err);
	if (r == 0) {
		r = idrange_pool_open(host->run_fd, o->id_base ? o->id_base : IDRANGE_BASE_DEFAULT,
				      o->id_count ? o->id_count : IDRANGE_COUNT_DEFAULT, &host->ids, err);
		if (r < 0)
			(void)error_wrap(err, "in '%s'", o->run_dir); /* r has the code */
	}
	if (r == 0)
		r = cgroup_host_open(&host->cgroups, err);
	if (r == 0)
		r = host->init_fd = init_image_open(err);
	if (r >= 0) {
		r = host->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (r < 0)
			r = error_errno(err, errno, "open '/dev/null'");
	}
	if (r >= 0) {
		r = host->low_fd = fcntl(host->null_fd, F_DUPFD_CLOEXEC, 0);
		if (r < 0)
			r = error_errno(err, errno, "keep a descriptor");
	}
	if (r >= 0)
		r = idrange_each_orphan(host->ids, sweep_orphan, host, err);
	if (r < 0) {
		sandbox_host_close(host);
		return r;
	}
	*ret = host;
	return 0;
}

struct ending {
	struct sandbox_host *host;
	size_t n;
};

static int end_orphan(const char *id, uint32_t base, void *arg)
{
	struct ending *e = arg;
	struct cgroup *cg = NULL;
	int r = find_group(e->host, id, &cg);

	(void)base;
	if (r < 0)
		return r == -ENOENT;
	e->n++;
	(void)cgroup_kill(cg, NULL); /* the removal waits for the dead, and says whether it worked */
	return cgroup_destroy(cg, ORPHAN_TIMEOUT_MS, NULL) == 0;
}

int sandbox_host_end_orphans(struct sandbox_host *host, size_t *ret_n, struct error *err)
{
	struct ending e = { .host = host };
	int r = idrange_each_orphan(host->ids, end_orphan, &e, err);

	*ret_n = e.n;
	return r;
}

void sandbox_host_close(struct sandbox_host *host)
{
	if (!host)
		return;
	idrange_pool_free(host->ids);
	cgroup_host_done(&host->cgroups);
	if (host->is_kept_open)
		cgroup_host_done(&host->kept);
	fd_close(&host->run_fd);
	fd_close(&host->init_fd);
	fd_close(&host->null_fd);
	fd_close(&host->low_fd);
	free(host);
}

const struct cgroup_host *sandbox_host_cgroups(const struct sandbox_host *host)
{
	return &host->cgroups;
}

void sandbox_spec_defaults(struct sandbox_spec *spec)
{
	*spec = (struct sandbox_spec){
		.limits = { .memory_max_bytes = 256ULL << 20, .pids_max = 64 + 1, .cpu_max_milli = 1000 },
		.disk = { .kind = ROOTFS_TMPFS, .size_bytes = 64ULL << 20, .inodes = 16384, .dir_fd = -1 },
		.workdir = "work",
		.hostname = "sandbox",
		.shm_bytes = 16ULL << 20,
		.ptys = SANDBOX_PTYS,
		.netns_fd = -1,
		.uid = 1000,
		.gid = 1000,
	};
}

/* ---- creation ---- */

/* Half-built objects are destroyed by the same function as whole ones. */
static struct sandbox *sandbox_new(struct sandbox_host *host, const char *id)
{
	struct sandbox *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->host = host;
	s->pidfd = s->sock = s->disk_fd = s->proc_fd = -1;
	s->next_seq = 1;
	(void)snprintf(s->id, sizeof(s->id), "%s", id);
	return s;
}

static int write_map(pid_t pid, const char *file, uint32_t base, struct error *err)
{
	char path[48], text[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	(void)snprintf(text, sizeof(text), "0 %u %d", base, IDRANGE_SIZE);
	return fd_write_file(AT_FDCWD, path, text, err);
}

/* Pids are safe here: the child is ours, not reaped yet. */
static int map_ids(const struct sandbox *s, bool deny_setgroups, struct error *err)
{
	char path[48];
	int r = 0;

	if (deny_setgroups) {
		(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)s->pid);
		r = fd_write_file(AT_FDCWD, path, "deny", err);
	}
	if (r == 0)
		r = write_map(s->pid, "gid_map", s->id_base, err);
	return r < 0 ? r : write_map(s->pid, "uid_map", s->id_base, err);
}

/* The limit on cpu time comes later: limit_cpu(). */
static int make_group(struct sandbox *s, const struct sandbox_spec *spec, struct error *err)
{
	const struct cgroup_host *where = spec->outlive ? &s->host->kept : &s->host->cgroups;
	struct cgroup_limits limits = spec->limits;
	int r = spec->outlive ? open_kept(s->host, err) : 0;

	limits.cpu_max_milli = 0;
	return r < 0 ? r : cgroup_create(where, s->id, &limits, s->host->allow_unenforced, &s->cgroup, err);
}

/*
 * Once the child has executed cubit-init, and before SETUP: until then we wait for it, and a child that is throttled would
 * hold us up for as long as the limit says.
 */
static int limit_cpu(struct sandbox *s, const struct sandbox_spec *spec, struct error *err)
{
	const struct cgroup_limits cpu = { .cpu_max_milli = spec->limits.cpu_max_milli };

	return cgroup_update(s->cgroup, &cpu, err);
}

static int clone_child(struct sandbox *s, const struct sandbox_spec *spec, struct error *err)
{
	struct sandbox_host *host = s->host;
	int pair[2];
	cleanup_fd int child_end = -1;
	struct spawn_plan plan = {
		.clone_flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
			       (spec->netns_fd < 0 ? CLONE_NEWNET : 0),
		.cgroup_fd = cgroup_v2_fd(s->cgroup),
		.netns_fd = spec->netns_fd,
		.init_fd = host->init_fd,
		.null_fd = host->null_fd,
		.sock_fd = host->low_fd,
	};
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "%s", stage_names[SANDBOX_STAGE_SOCKET]);
	s->sock = pair[0];
	child_end = pair[1];
	plan.n_task_fds = cgroup_task_fds(s->cgroup, plan.task_fds);
	/* under the low number while the child takes its copy of it and of what is below */
	if (dup3(child_end, host->low_fd, O_CLOEXEC) < 0)
		return error_errno(err, errno, "%s", stage_names[SANDBOX_STAGE_SOCKET]);
	pid = spawn_child(&plan, &s->pidfd, err);
	if (dup3(host->null_fd, host->low_fd, O_CLOEXEC) < 0)
		/* Without an end of the child's own its death would not be seen; both numbers are ours, so it cannot be. */
		__builtin_trap();
	if (pid < 0)
		return pid;
	s->pid = pid;
	oom_score_offer(pid); /* before it has anything: a payload starts with this score, and can lower it no more */
	return 0;
}

static struct proc_size size_of(const struct cgroup_limits *limits)
{
	return (struct proc_size){ .memory_bytes = limits->memory_max_bytes, .cpus_milli = limits->cpu_max_milli };
}

static int build_rootfs(const struct sandbox *s, const struct sandbox_spec *spec, struct rootfs *ret, struct error *err)
{
	cleanup_fd int userns = -1;
	struct rootfs_spec rs = {
		.layers = spec->layers,
		.n_layers = spec->n_layers,
		.disk = spec->disk,
		.base = s->id_base,
		.uid = spec->uid,
		.gid = spec->gid,
		.workdir = spec->workdir,
		.hostname = spec->hostname,
		.resolv_conf = spec->resolv_conf,
		.size = size_of(&spec->limits),
	};
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)s->pid);
	userns = open(path, O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return error_errno(err, errno, "open the user namespace");
	rs.userns_fd = userns;
	return rootfs_build(&rs, ret, err);
}

static int send_setup(const struct sandbox *s, const struct sandbox_spec *spec, const struct rootfs *fs,
		      struct error *err)
{
	static uint8_t memory[FRAME_MAX_BYTES]; /* single-threaded */
	const int fds[] = { fs->root_fd, fs->dev_fd, fs->proc_fd };
	struct agent_setup m = {
		.flags = (spec->netns_fd < 0 ? AGENT_SETUP_OWN_NET : 0) | (spec->allow_root ? AGENT_SETUP_ROOT : 0) |
			 (spec->survive_peer ? AGENT_SETUP_SURVIVE : 0) |
			 (spec->keep_stdio ? AGENT_SETUP_KEEP_STDIO : 0) |
			 (spec->core_sched ? AGENT_SETUP_CORE_SCHED : 0) |
			 (spec->allow_speculation ? AGENT_SETUP_SPEC_ALLOW : 0),
		.caps = spec->allow_root ? spec->caps : 0,
		.shm_bytes = spec->shm_bytes,
		.ptys = spec->ptys,
		.uid = spec->uid,
		.gid = spec->gid,
		.fault_stage = spec->agent_fault,
		.filter = { spec->filter, spec->filter_bytes },
		.compile_filter = { spec->compile_filter, spec->compile_filter_bytes },
	};
	struct frame_writer w;
	int r;

	(void)snprintf(m.hostname, sizeof(m.hostname), "%s", spec->hostname ? spec->hostname : "");
	r = agent_encode(&w, memory, sizeof(memory), AGENT_SETUP, 0, &m, err);
	return r < 0 ? r : agent_send(s->sock, &w, fds, sizeof(fds) / sizeof(fds[0]), err);
}

static int check_spec(const struct sandbox_spec *spec, struct error *err)
{
	int r = parse_id(spec->id, err);

	if (r < 0)
		return r;
	if (!spec->allow_root && (spec->uid == 0 || spec->gid == 0))
		return error_set(err, EINVAL, "uid or gid 0 without allow_root");
	if (spec->uid >= IDRANGE_SIZE || spec->gid >= IDRANGE_SIZE)
		return error_set(err, EINVAL, "uid %u or gid %u is not below %d", spec->uid, spec->gid, IDRANGE_SIZE);
	if (spec->filter_bytes == 0 || spec->filter_bytes % sizeof(struct sock_filter) != 0)
		return error_set(err, EINVAL, "no system call filter");
	if (spec->compile_filter_bytes % sizeof(struct sock_filter) != 0)
		return error_set(err, EINVAL, "half a system call filter");
	return 0;
}

/* A stage that a test asks to fail fails as its system call would. */
static int at_stage(enum sandbox_stage *stage, enum sandbox_stage now, const struct sandbox_spec *spec,
		    struct error *err)
{
	*stage = now;
	return spec->fault == now ? error_errno(err, ENOTRECOVERABLE, "on purpose") : 0;
}

static int build(struct sandbox *s, const struct sandbox_spec *spec, enum sandbox_stage *stage, struct error *err)
{
	struct rootfs fs = ROOTFS_INIT;
	int r = at_stage(stage, SANDBOX_STAGE_IDS, spec, err);

	if (r == 0)
		r = idrange_claim(s->host->ids, s->id, &s->id_base, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_CGROUP, spec, err);
	if (r == 0)
		r = make_group(s, spec, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_SOCKET, spec, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_CLONE, spec, err);
	if (r == 0)
		r = clone_child(s, spec, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_CGROUP, spec, err);
	if (r == 0)
		r = limit_cpu(s, spec, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_MAP, spec, err);
	if (r == 0)
		r = map_ids(s, !spec->allow_root, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_ROOTFS, spec, err);
	if (r == 0)
		r = build_rootfs(s, spec, &fs, err);
	if (r == 0)
		r = at_stage(stage, SANDBOX_STAGE_SETUP, spec, err);
	if (r == 0)
		r = send_setup(s, spec, &fs, err);
	if (r == 0) {
		s->disk_fd = fd_take(&fs.disk_fd);
		s->proc_fd = fd_take(&fs.proc_fd);
	}
	rootfs_done(&fs);
	return r;
}

int sandbox_create(struct sandbox_host *host, const struct sandbox_spec *spec, struct sandbox **ret, struct error *err)
{
	enum sandbox_stage stage = SANDBOX_STAGE_NONE;
	struct sandbox *s;
	int r = check_spec(spec, err);

	if (r < 0) {
		(void)error_wrap(err, "sandbox '%.64s'", spec->id);
		return r;
	}
	s = sandbox_new(host, spec->id);
	if (!s)
		return error_errno(err, ENOMEM, "sandbox '%s'", spec->id);
	s->limits = spec->limits;
	r = build(s, spec, &stage, err);
	if (r < 0) {
		/* a child that died is why our side failed, whatever that met: "no such file" below /proc, a broken pipe */
		int cause = s->sock >= 0 ? agent_last_words(s->sock, err) : 0;

		r = cause < 0 ? cause : r;
		(void)error_wrap(err, "sandbox '%s': %s", spec->id, stage_names[stage]);
		(void)sandbox_destroy(s, ORPHAN_TIMEOUT_MS, NULL); /* the first failure is the one to report */
		return r;
	}
	*ret = s;
	return 0;
}

int sandbox_wait_ready(struct sandbox *s, unsigned timeout_ms, struct error *err)
{
	static struct agent_event e; /* single-threaded; too large for a stack */
	uint64_t deadline = clock_deadline_ns(timeout_ms * NS_PER_MS);
	struct pollfd p = { .fd = s->sock, .events = POLLIN };
	int r;

	do {
		r = poll(&p, 1, clock_poll_ms(deadline));
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return error_set(err, ETIMEDOUT, "sandbox '%s': not ready after %u ms", s->id, timeout_ms);
	r = agent_receive(s->sock, &e, MSG_DONTWAIT, err);
	if (r == 1 && e.header.type == AGENT_READY)
		return 0;
	if (r == 1 && e.header.type == AGENT_FAILED)
		r = agent_failure(&e.any.failed, err);
	else if (r == 0)
		r = error_set(err, ECONNRESET, "pid 1 ended during set-up (was it killed, or out of memory?)");
	else if (r == 1)
		r = error_set(err, EPROTO, "unexpected first message %u", e.header.type);
	agent_event_done(&e);
	(void)error_wrap(err, "sandbox '%s'", s->id);
	return r;
}

int sandbox_change_limits(struct sandbox *s, const struct cgroup_limits *change, struct error *err)
{
	const struct proc_size before = size_of(&s->limits);
	struct proc_size now;
	int r = cgroup_update(s->cgroup, change, err);

	if (r < 0)
		return r;
	s->limits.memory_max_bytes = change->memory_max_bytes ? change->memory_max_bytes : s->limits.memory_max_bytes;
	s->limits.pids_max = change->pids_max ? change->pids_max : s->limits.pids_max;
	s->limits.cpu_max_milli = change->cpu_max_milli ? change->cpu_max_milli : s->limits.cpu_max_milli;
	now = size_of(&s->limits);
	if (s->proc_fd < 0 || (now.memory_bytes == before.memory_bytes && now.cpus_milli == before.cpus_milli))
		return 0;
	r = proc_files_resize(s->proc_fd, &now, err);
	if (r < 0)
		(void)error_wrap(err, "sandbox '%s': /proc", s->id); /* r has the code even when err is NULL */
	return r;
}

uint32_t sandbox_next_seq(struct sandbox *s)
{
	return s->next_seq++;
}

/* ---- removal ---- */

/* Kill and reap. Pid 1's death takes the whole pid namespace with it and is reported only when all are gone. */
static int kill_and_reap(struct sandbox *s, uint64_t deadline, struct error *err)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	siginfo_t si;
	int r;

	if (s->pidfd < 0)
		return 0;
	if (cgroup_kill(s->cgroup, err) < 0)
		(void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0); /* the same for a living namespace */
	do {
		r = poll(&p, 1, clock_poll_ms(deadline));
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return error_set(err, ETIMEDOUT, "sandbox '%s': pid %d does not die", s->id, (int)s->pid);
	(void)waitid(P_PIDFD, (id_t)s->pidfd, &si, WEXITED); /* ECHILD: adopted from another supervisor */
	return 0;
}

int sandbox_destroy(struct sandbox *s, unsigned timeout_ms, struct error *err)
{
	uint64_t deadline = clock_deadline_ns(timeout_ms * NS_PER_MS);
	int r, gone;

	if (!s)
		return 0;
	r = kill_and_reap(s, deadline, err);
	fd_close(&s->sock);
	fd_close(&s->pidfd);
	fd_close(&s->disk_fd);
	fd_close(&s->proc_fd);
	gone = s->cgroup ? cgroup_destroy(s->cgroup, timeout_ms, r < 0 ? NULL : err) : 0;
	/* A range goes back only when nothing with its ids can be left. */
	if (r == 0 && gone == 0 && s->id_base)
		idrange_release(s->host->ids, s->id_base);
	free(s);
	return r < 0 ? r : gone;
}
