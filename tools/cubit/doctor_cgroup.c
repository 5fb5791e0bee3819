/* Checks of control groups: see doctor.h. Groups are made below our own and nowhere else, and removed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup_host.h"
#include "tools/cubit/doctor.h"
#include "tools/cubit/held.h"

enum { FILE_MAX = 1 << 20, REMOVE_TRIES = 100, REMOVE_PAUSE_MS = 10, KILL_WAIT_MS = 3000 };

static const char own_group[] = "sudo systemd-run --scope -p Delegate=yes cubit doctor";

/* A group is busy for a moment after its last process was reaped: try again for a second. ENOENT is success. */
static void remove_group(int base_fd)
{
	const struct timespec pause = { .tv_nsec = REMOVE_PAUSE_MS * 1000000L };

	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(base_fd, doctor_group_name(), AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		(void)nanosleep(&pause, NULL); /* woken early is tried early */
	}
}

static bool probe(struct cgroup_host *host, struct finding *f)
{
	struct error err = ERROR_INIT;

	if (cgroup_host_probe(host, &err) == 0)
		return true;
	finding_missing(f, "%s", err.text);
	finding_remedy(f, "mount cgroup2: boot with systemd.unified_cgroup_hierarchy=1, or "
			  "mount -t cgroup2 none /sys/fs/cgroup");
	return false;
}

void undo_cgroup(const struct check *c)
{
	struct cgroup_host host;

	(void)c;
	if (cgroup_host_probe(&host, NULL) < 0)
		return;
	if (host.v2.version == CGROUP_V2)
		remove_group(host.v2.base_fd);
	for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
		if (host.controllers[i].version == CGROUP_V1)
			remove_group(host.controllers[i].base_fd);
	}
	cgroup_host_done(&host);
}

void check_cgroup_mounts(const struct check *c, struct finding *f)
{
	struct cgroup_host host;

	(void)c;
	if (!probe(&host, f))
		return;
	if (host.v2.version != CGROUP_V2) {
		finding_missing(f, "no cgroup2 file system that we can use: %s", host.v2.why_not);
		finding_remedy(f,
			       "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /sys/fs/cgroup");
	} else if (host.is_hybrid) {
		finding_ok(f, "our group is '%s'; hybrid: some controllers are on v1, and their limits are set there",
			   host.v2.base_path);
	} else {
		finding_ok(f, "our group is '%s'", host.v2.base_path);
	}
	cgroup_host_done(&host);
}

/* ---- a process born in a group, and the group killed ---- */

static int clone_and_kill(int base_fd, struct error *err)
{
	cleanup_held struct held h = HELD_INIT;
	cleanup_fd int group = openat(base_fd, doctor_group_name(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (group < 0)
		return error_errno(err, errno, "open the new group");
	r = held_start(&h, CLONE_INTO_CGROUP, group, err);
	if (r < 0)
		return error_wrap(err, "start a process in the new group");
	r = fd_write_file(group, "cgroup.kill", "1", err);
	if (r < 0)
		return r;
	r = held_wait(&h, KILL_WAIT_MS);
	return r == SIGKILL ? 0 : error_set(err, EIO, "cgroup.kill did not end the process in the group (%d)", r);
}

static void try_clone(const struct cgroup_place *v2, struct finding *f)
{
	struct error err = ERROR_INIT;
	int r = 0;

	if (mkdirat(v2->base_fd, doctor_group_name(), 0755) < 0)
		r = error_errno(&err, errno, "make a group below '%s'", v2->base_path);
	if (r == 0) {
		r = clone_and_kill(v2->base_fd, &err);
		remove_group(v2->base_fd);
	}
	if (r == 0) {
		finding_ok(f, "a process can be born in a new group, and cgroup.kill ends it");
		return;
	}
	finding_missing(f, "%s", err.text);
	if (err.code == EROFS || err.code == EACCES || err.code == EPERM)
		finding_remedy(
			f,
			"our group must be writable: run on the host, or give the container its own writable cgroup "
			"(%s)",
			own_group);
	else
		finding_remedy(
			f,
			"needs CLONE_INTO_CGROUP (5.7) and cgroup.kill (5.14); in a 'domain threaded' or 'threaded' "
			"group neither works (see cgroup.type in '%s')",
			v2->base_path);
}

void check_cgroup_clone(const struct check *c, struct finding *f)
{
	struct cgroup_host host;

	(void)c;
	if (!probe(&host, f))
		return;
	if (host.v2.version == CGROUP_V2) {
		try_clone(&host.v2, f);
	} else {
		finding_missing(f, "not tried: there is no cgroup2");
		finding_remedy(f, "see check cgroup2");
	}
	cgroup_host_done(&host);
}

/* ---- delegation ---- */

/* How many processes other than ourselves (the check and the doctor above it) are in the group? -1: cannot say. */
static int count_others(int base_fd)
{
	cleanup_buf struct buf text = BUF_BOUNDED(FILE_MAX);
	int n = 0;

	if (fd_read_file(base_fd, "cgroup.procs", FILE_MAX, &text, NULL) < 0)
		return -1;
	for (const char *p = buf_str(&text); *p;) {
		char *end;
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		n += pid != getpid() && pid != getppid();
		p = end + (*end == '\n');
	}
	return n;
}

static bool is_any_on_v2(const struct cgroup_host *host)
{
	return host->controllers[CGROUP_MEMORY].version == CGROUP_V2 ||
	       host->controllers[CGROUP_CPU].version == CGROUP_V2 ||
	       host->controllers[CGROUP_PIDS].version == CGROUP_V2;
}

static void look_at_delegation(const struct cgroup_host *host, struct finding *f)
{
	const struct cgroup_place *v2 = &host->v2;
	int others;

	if (faccessat(v2->base_fd, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0) {
		finding_warning(f, "'%s' is not ours to change: %s", v2->base_path, strerror(errno));
		finding_remedy(f, "%s", own_group);
		return;
	}
	if (!is_any_on_v2(host)) {
		finding_ok(f, "not needed: no controller that Cubit limits with is on v2");
		return;
	}
	/* the root group alone has no cgroup.type, and is exempt from the rule */
	if (faccessat(v2->base_fd, "cgroup.type", F_OK, 0) < 0) {
		finding_ok(f, "we are in the root group, where processes and sub-groups may live together");
		return;
	}
	others = count_others(v2->base_fd);
	if (others != 0) {
		finding_warning(
			f,
			"%d other process%s in our group '%s': a group with processes hands no controllers down, and "
			"Cubit moves nobody but itself",
			others, others == 1 ? " is" : "es are", v2->base_path);
		finding_remedy(f, "as a service (Delegate=yes) or with '%s' Cubit has a group of its own", own_group);
		return;
	}
	finding_ok(f, "'%s' is ours alone", v2->base_path);
}

void check_cgroup_delegation(const struct check *c, struct finding *f)
{
	struct cgroup_host host;

	(void)c;
	if (!probe(&host, f))
		return;
	if (host.v2.version == CGROUP_V2)
		look_at_delegation(&host, f);
	else
		finding_warning(f, "not tried: there is no cgroup2");
	cgroup_host_done(&host);
}

/* ---- controllers ---- */

static const struct {
	const char *v1_file; /* what a v1 group must have for the limit to be set */
	bool is_vital;
	const char *without; /* what Cubit cannot do then */
} uses[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = { "cpu.cfs_quota_us", true, "no cpu limit" },
	[CGROUP_CPUACCT] = { "cpuacct.usage", false, "cpu time comes from the processes themselves" },
	[CGROUP_MEMORY] = { "memory.limit_in_bytes", true, "no memory limit" },
	[CGROUP_PIDS] = { "pids.max", true, "no process limit" },
	[CGROUP_IO] = { "blkio.throttle.read_bps_device", false, "no limit of disk throughput" },
	[CGROUP_CPUSET] = { "cpuset.cpus", false, "sandboxes cannot be pinned to processors" },
	[CGROUP_FREEZER] = { "freezer.state", false, "sandboxes cannot be paused" },
};

/* v1: a group can be made there, and it has the file. Returns 0 or -errno. */
static int try_v1(const struct cgroup_place *p, const char *file)
{
	int r = 0;

	if (mkdirat(p->base_fd, doctor_group_name(), 0755) < 0)
		return -errno;
	cleanup_fd int group = openat(p->base_fd, doctor_group_name(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (group < 0 || faccessat(group, file, W_OK, AT_EACCESS) < 0)
		r = -errno;
	fd_close(&group);
	remove_group(p->base_fd);
	return r;
}

static void lack(int which, const char *why, const char *remedy, struct finding *f)
{
	if (uses[which].is_vital)
		finding_missing(f, "%s", why);
	else
		finding_warning(f, "%s", why);
	finding_remedy(f, "%s; until then: %s", remedy, uses[which].without);
}

static void look_at_controller(const struct cgroup_place *p, int which, struct finding *f)
{
	char why[400];
	int r;

	switch (p->version) {
	case CGROUP_V2:
		finding_ok(f, "on v2");
		return;
	case CGROUP_V1:
		r = try_v1(p, uses[which].v1_file);
		if (r == 0) {
			finding_ok(f, "on v1, at '%s'", p->base_path);
			return;
		}
		(void)snprintf(why, sizeof(why), "on v1 at '%.200s', where a group with %s cannot be made: %s",
			       p->base_path, uses[which].v1_file, strerror(-r));
		lack(which, why, "let us write to that group, or boot with systemd.unified_cgroup_hierarchy=1", f);
		return;
	case CGROUP_NONE:
		lack(which, p->why_not,
		     "enable it (kernel configuration, cgroup_disable= of the kernel's command line, Delegate=yes of "
		     "the unit)",
		     f);
		return;
	}
}

void check_cgroup_controller(const struct check *c, struct finding *f)
{
	struct cgroup_host host;

	if (!probe(&host, f))
		return;
	look_at_controller(&host.controllers[c->arg], c->arg, f);
	cgroup_host_done(&host);
}

/* ---- swap ---- */

/* /proc/swaps has a line of titles and one for each area. */
static bool has_swap(void)
{
	cleanup_buf struct buf text = BUF_BOUNDED(FILE_MAX);
	const char *second;

	if (fd_read_file(AT_FDCWD, "/proc/swaps", FILE_MAX, &text, NULL) < 0)
		return false;
	second = strchr(buf_str(&text), '\n');
	return second && second[1] != '\0';
}

static void look_at_swap(const struct cgroup_place *memory, struct finding *f)
{
	bool is_root = memory->version == CGROUP_V2 && faccessat(memory->base_fd, "cgroup.type", F_OK, 0) < 0;
	const char *file = memory->version == CGROUP_V2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";

	if (!has_swap()) {
		finding_ok(f, "this machine has no swap");
	} else if (memory->version == CGROUP_NONE) {
		finding_warning(f, "there is swap, and no memory controller to keep sandboxes out of it");
		finding_remedy(f, "see check cgroup-memory");
	} else if (is_root || faccessat(memory->base_fd, file, F_OK, 0) == 0) {
		finding_ok(f, "there is swap; sandboxes are kept out of it");
	} else {
		finding_warning(f, "there is swap, but no %s: sandboxes could use it beyond their memory limit", file);
		finding_remedy(f, "boot with swapaccount=1, or switch swap off (swapoff -a)");
	}
}

void check_cgroup_swap(const struct check *c, struct finding *f)
{
	struct cgroup_host host;

	(void)c;
	if (!probe(&host, f))
		return;
	look_at_swap(&host.controllers[CGROUP_MEMORY], f);
	cgroup_host_done(&host);
}
