/*
 * Building the sandbox from inside: pid 1, uid 0 of its own user namespace, still with all capabilities there.
 *
 * Everything that can be prepared outside was: the root (an overlay), /dev (a small tmpfs with device nodes) and the
 * files of /proc that are the sandbox's own (proc_files.h) come as detached mounts by descriptor, with every mount point made in the upper directory, so that no path of an image
 * decides where something is mounted. No payload runs yet, so nothing can be swapped under us; targets are opened
 * without following links all the same.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"
#include "runtime/loopback.h"
#include "runtime/rootfs/proc_files.h"

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE        62
#define PR_SCHED_CORE_CREATE 1
#endif
#ifndef PR_SCHED_CORE_SCOPE_THREAD
#define PR_SCHED_CORE_SCOPE_THREAD 0
#endif

enum { NULL_MAJOR = 1, NULL_MINOR = 3 };

/* ---- thin names for the mount system calls glibc 2.36 declares only partly ---- */

static int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int sys_move_mount(int from, int to_dir, const char *to)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*to ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

	return (int)syscall(SYS_move_mount, from, "", to_dir, to, flags);
}

struct mount_option {
	const char *key, *value; /* value NULL: a flag; key NULL: end of list */
};

/* A new file system instance as a detached mount; -1 with errno. */
static int new_mount(const char *type, const struct mount_option *options, unsigned attributes)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	if (fs < 0)
		return -1;
	for (; options->key; options++) {
		unsigned cmd = options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (syscall(SYS_fsconfig, fs, cmd, options->key, options->value, 0) < 0)
			return -1;
	}
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

/* Open a mount point below the new root; links anywhere on the way are refused. */
static int open_target(int root, const char *path, int flags)
{
	return fd_open_at(root, FD_IN_ROOT, path, O_PATH | O_NOFOLLOW | flags, 0, NULL);
}

/* Attach a detached mount to a directory below root. Consumes the mount. */
static int attach(int mount_fd, int root, const char *path)
{
	cleanup_fd int mount = mount_fd;
	cleanup_fd int target = -1;

	if (mount < 0)
		return -1;
	target = open_target(root, path, O_DIRECTORY);
	if (target < 0) {
		errno = -target;
		return -1;
	}
	return sys_move_mount(mount, target, "");
}

/* ---- stages ---- */

/* SETUP comes after the maps: from now on there is a uid 0 to be. The capabilities we hold stay. */
static int become_root(struct failure *f)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return fail(f, AGENT_STAGE_IDENTITY, "uid and gid 0 inside");
	/* a change of ids sets it to fs.suid_dumpable: where that is 1, root inside could look into us */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

static int enter_cgroup_ns(const struct init *in, struct failure *f)
{
	/* Not a clone flag: the namespace's root is the caller's group at this moment, cgroup_namespaces(7), and a
	 * clone would take the monitor's. */
	(void)in;
	if (unshare(CLONE_NEWCGROUP) < 0)
		return fail(f, AGENT_STAGE_CGROUP_NS, "unshare");
	/* Nor this one: until exec we had the monitor's memory, time_namespaces(7). It is that of our children. */
	if (unshare(CLONE_NEWTIME) < 0)
		return fail(f, AGENT_STAGE_CGROUP_NS, "time namespace");
	return 0;
}

/*
 * What the kernel counts per user and charges up to the root of the host: bounded here for our user namespace. `sys/user`
 * is that of whoever opens it, in whatever procfs: in ours, while it can still be written to. Below the host's it has an
 * entry for every namespace of the machine, which the kernel looks through one by one. A kernel without one of them has
 * nothing to take.
 */
static int bound_counters(int proc, struct failure *f)
{
	static const struct {
		const char *path, *value;
	} rows[] = {
		{ "sys/user/max_inotify_instances", "16" },
		{ "sys/user/max_inotify_watches", "8192" },
		{ "sys/user/max_fanotify_groups", "0" },
		{ "sys/user/max_user_namespaces", "0" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = fd_write_file(proc, rows[i].path, rows[i].value, NULL);

		if (r < 0 && r != -ENOENT) {
			errno = -r;
			return fail(f, AGENT_STAGE_PROC, rows[i].path);
		}
	}
	return 0;
}

/* A procfs of the sandbox's own, detached: written to by us, then read-only for everybody. -1 with f filled. */
static int open_proc(struct failure *f)
{
	static const struct mount_option options[] = { { "hidepid", "invisible" }, { NULL, NULL } };
	struct mount_attr for_good = { .attr_set = MOUNT_ATTR_RDONLY };
	cleanup_fd int proc = new_mount("proc", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	if (proc < 0)
		return fail(f, AGENT_STAGE_PROC, "procfs (is /proc of the host partly hidden?)");
	if (bound_counters(proc, f) < 0)
		return -1;
	if (syscall(SYS_mount_setattr, proc, "", AT_EMPTY_PATH, &for_good, sizeof(for_good)) < 0)
		return fail(f, AGENT_STAGE_PROC, "read-only procfs");
	return fd_take(&proc);
}

/*
 * The root is attached over the old one and becomes the working directory; it is made the root in change_root().
 * /proc must be mounted while the old one is still visible: the kernel allows a procfs in a user namespace only if
 * an unobstructed one can be seen (mount_too_revealing).
 */
static int attach_root(struct init *in, int root, int *dev, struct failure *f)
{
	int proc = open_proc(f);

	if (proc < 0)
		return -1;
	in->loadavg_fd = openat(proc, "loadavg", O_RDONLY | O_CLOEXEC); /* a file of ours will lie over it */
	if (sys_move_mount(root, AT_FDCWD, "/") < 0) {
		fd_close(&proc);
		return fail(f, AGENT_STAGE_ROOT, "/");
	}
	if (attach(proc, root, "proc") < 0)
		return fail(f, AGENT_STAGE_PROC, "/proc");
	if (attach(fd_take(dev), root, "dev") < 0)
		return fail(f, AGENT_STAGE_DEV, "/dev");
	return 0;
}

/* Put one file of ours over the kernel's, read-only whatever its modes say. */
static int place_proc_file(int from, const char *name, int root, const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	cleanup_fd int target = open_target(root, path, 0);
	cleanup_fd int source = -1;

	if (target == -ENOENT)
		return 0; /* this kernel has no such thing */
	if (target < 0) {
		errno = -target;
		return -1;
	}
	source = sys_open_tree(from, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (source < 0 || syscall(SYS_mount_setattr, source, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -1;
	return sys_move_mount(source, target, "");
}

/*
 * Sizes and counters of the sandbox instead of the machine's. The mount with all of them is attached where a mount of
 * our own covers it at once (attach_dev_mounts): a detached one cannot be cloned before Linux 6.15.
 */
static int place_proc_files(int mount_fd, int root, struct failure *f)
{
	static const char *const rows[PROC_FILE_COUNT][2] = {
#define X(name, file, path) [PROC_FILE_##name] = { (file), (path) },
		PROC_FILES(X)
#undef X
	};
	cleanup_fd int from = fcntl(mount_fd, F_DUPFD_CLOEXEC, 0);

	if (attach(mount_fd, root, PROC_FILES_PLACE) < 0 || from < 0)
		return fail(f, AGENT_STAGE_PROC, PROC_FILES_PLACE);
	for (size_t i = 0; i < PROC_FILE_COUNT; i++) {
		if (place_proc_file(from, rows[i][0], root, rows[i][1]) < 0)
			return fail(f, AGENT_STAGE_PROC, rows[i][1]);
	}
	return 0;
}

static int attach_dev_mounts(const struct init *in, int root, struct failure *f)
{
	char size[24], ptys[12];
	const struct mount_option pts_options[] = { { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" },
						    { "gid", "5" },          { "max", ptys },        { NULL, NULL } };
	static const struct mount_option no_options[] = { { NULL, NULL } };
	const struct mount_option shm_options[] = {
		{ "mode", "1777" }, { "size", size }, { "nr_inodes", "1024" }, { NULL, NULL }
	};
	const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)in->setup.shm_bytes);
	(void)snprintf(ptys, sizeof(ptys), "%u", (unsigned)in->setup.ptys);
	if (attach(new_mount("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), root, "dev/pts") < 0)
		return fail(f, AGENT_STAGE_DEV, "/dev/pts");
	if (attach(new_mount("tmpfs", shm_options, plain), root, "dev/shm") < 0)
		return fail(f, AGENT_STAGE_DEV, "/dev/shm");
	if (attach(new_mount("mqueue", no_options, plain), root, "dev/mqueue") < 0)
		return fail(f, AGENT_STAGE_DEV, "/dev/mqueue");
	return 0;
}

/* What of /proc is not about the sandbox's own processes and tells of the host, or of its keys and hardware. */
static const struct {
	const char *path;
	bool is_dir;
} masked[] = {
	{ "proc/kcore", false },
	{ "proc/keys", false },
	{ "proc/key-users", false },
	{ "proc/timer_list", false },
	{ "proc/latency_stats", false },
	{ "proc/sched_debug", false },
	{ "proc/interrupts", false },
	{ "proc/kallsyms", false },
	{ "proc/modules", false },
	{ "proc/sysrq-trigger", false },
	{ "proc/kmsg", false },
	{ "proc/locks", false }, /* OFD locks of everybody */
	/* counters of the whole machine, each a way to signal to another sandbox; and what kind of machine it is */
	{ "proc/vmstat", false },
	{ "proc/zoneinfo", false },
	{ "proc/buddyinfo", false },
	{ "proc/diskstats", false },
	{ "proc/softirqs", false },
	{ "proc/schedstat", false },
	{ "proc/sys/fs/file-nr", false },
	{ "proc/sys/fs/inode-nr", false },
	{ "proc/sys/fs/inode-state", false },
	{ "proc/sys/fs/dentry-state", false },
	{ "proc/sys/fs/aio-nr", false },
	{ "proc/sys/kernel/pty/nr", false },
	{ "proc/cmdline", false },
	{ "proc/config.gz", false },
	{ "proc/partitions", false },
	{ "proc/pressure", true },
	{ "proc/sys/fs/quota", true },
	{ "proc/acpi", true },
	{ "proc/asound", true },
	{ "proc/bus", true },
	{ "proc/driver", true },
	{ "proc/fs", true },
	{ "proc/irq", true },
	{ "proc/scsi", true },
};

static int mask_one(int root, const char *path, bool is_dir, int source_dir, int source_null)
{
	cleanup_fd int target = open_target(root, path, is_dir ? O_DIRECTORY : 0);
	cleanup_fd int source = -1;
	struct stat st;

	if (target == -ENOENT)
		return 0; /* this kernel has no such thing */
	if (target < 0) {
		errno = -target;
		return -1;
	}
	source = sys_open_tree(is_dir ? source_dir : source_null, "",
			       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (source < 0 || fstat(source, &st) < 0)
		return -1;
	/* CVE-2025-31133: what covers a path must be the real null device, checked on the thing itself */
	if (is_dir ? !S_ISDIR(st.st_mode) : st.st_rdev != makedev(NULL_MAJOR, NULL_MINOR)) {
		errno = ENODEV;
		return -1;
	}
	return sys_move_mount(source, target, "");
}

/*
 * May stay: settings (what moves among them is in the table above), what is of our own namespaces, and what the machine
 * and its kernel are made of, which does not change and costs a mount each.
 */
static const char *const kept[] = {
	"sys",         "sysvipc", "filesystems", "version", "devices", "misc", "consoles",
	"execdomains", "fb",      "dma",         "iomem",   "ioports", "mtrr", "tty",
};

static bool is_masked_or_kept(const char *name)
{
	const size_t below = strlen("proc/");

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (strcmp(name, kept[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		if (strcmp(name, masked[i].path + below) == 0)
			return true;
	}
#define X(id, file, path)                                                                                              \
	if (strcmp(name, (path) + below) == 0)                                                                         \
		return true;
	PROC_FILES(X)
#undef X
	return false;
}

/* One entry of /proc. Numbers are processes, links lead to them; what only root outside may open nobody inside can. */
static int mask_unknown(int root, int proc, const char *name, unsigned char type, int source_dir, int source_null)
{
	char path[sizeof("proc/") + NAME_MAX];
	struct stat st;

	if (name[0] == '.' || (name[0] >= '0' && name[0] <= '9') || type == DT_LNK || is_masked_or_kept(name))
		return 0;
	if (fstatat(proc, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!(st.st_mode & (S_IROTH | S_IWOTH | S_IXOTH)))
		return 0;
	(void)snprintf(path, sizeof(path), "proc/%s", name);
	return mask_one(root, path, S_ISDIR(st.st_mode), source_dir, source_null);
}

/* Modules and kernels to come have entries that no table knows: nobody has looked at what they tell. */
static int mask_rest(int root, int source_dir, int source_null, struct failure *f)
{
	struct entry { /* of getdents64(2) */
		uint64_t ino;
		int64_t off;
		uint16_t size;
		uint8_t type;
		char name[];
	};
	_Alignas(struct entry) char buffer[4096];
	cleanup_fd int proc = fd_open_at(root, FD_IN_ROOT, "proc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	long n;

	if (proc < 0) {
		errno = -proc;
		return fail(f, AGENT_STAGE_MASK, "/proc");
	}
	while ((n = syscall(SYS_getdents64, proc, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(buffer + at);

			if (mask_unknown(root, proc, e->name, e->type, source_dir, source_null) < 0)
				return fail(f, AGENT_STAGE_MASK, e->name);
			at += e->size;
		}
	}
	return n < 0 ? fail(f, AGENT_STAGE_MASK, "/proc") : 0;
}

/*
 * Cover them: files with the null device of our own /dev, directories with one empty read-only directory that this
 * sandbox shares with nobody (a shared inode would be a channel: flock(2)).
 */
static int mask_proc(int root, struct failure *f)
{
	static const struct mount_option options[] = {
		{ "mode", "0555" }, { "size", "4096" }, { "nr_inodes", "2" }, { NULL, NULL }
	};
	cleanup_fd int null = open_target(root, "dev/null", 0);
	cleanup_fd int empty = -1;
	bool is_placed = false;

	if (null < 0) {
		errno = -null;
		return fail(f, AGENT_STAGE_MASK, "/dev/null");
	}
	empty = new_mount("tmpfs", options,
			  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (empty < 0)
		return fail(f, AGENT_STAGE_MASK, "empty directory");
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		/* The first directory takes the mount itself: a detached one cannot be cloned before Linux 6.15. */
		if (masked[i].is_dir && !is_placed) {
			cleanup_fd int target = open_target(root, masked[i].path, O_DIRECTORY);

			if (target < 0)
				continue;
			if (sys_move_mount(empty, target, "") < 0)
				return fail(f, AGENT_STAGE_MASK, masked[i].path);
			is_placed = true;
			continue;
		}
		if (mask_one(root, masked[i].path, masked[i].is_dir, empty, null) < 0)
			return fail(f, AGENT_STAGE_MASK, masked[i].path);
	}
	return mask_rest(root, empty, null, f);
}

static int change_root(int root, struct failure *f)
{
	/* pivot_root(".", "."): the old root ends up over the new one and is detached, pivot_root(2) NOTES. */
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return fail(f, AGENT_STAGE_PIVOT, "/");
	return 0;
}

/* Our own three standard descriptors were the host's null device: from here on they are the sandbox's. */
static int take_stdio(struct failure *f)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return fail(f, AGENT_STAGE_DEV, "/dev/null");
	for (int i = 0; i < 3; i++) {
		if (dup2(null, i) < 0)
			return fail(f, AGENT_STAGE_DEV, "/dev/null");
	}
	return 0;
}

static int name_host(const struct init *in, struct failure *f)
{
	if (in->setup.hostname[0] && sethostname(in->setup.hostname, strlen(in->setup.hostname)) < 0)
		return fail(f, AGENT_STAGE_HOSTNAME, in->setup.hostname);
	return 0;
}

static int bring_up_loopback(const struct init *in, struct failure *f)
{
	if (!(in->setup.flags & AGENT_SETUP_OWN_NET))
		return 0;
	if (loopback_up() < 0)
		return fail(f, AGENT_STAGE_NETWORK, "lo");
	return 0;
}

static int new_session(const struct init *in, struct failure *f)
{
	(void)in;
	if (setsid() < 0)
		return fail(f, AGENT_STAGE_SESSION, "setsid");
	/* ENOSYS: a kernel without keyrings has none to share; EDQUOT and the rest are failures */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return fail(f, AGENT_STAGE_SESSION, "session keyring");
	return 0;
}

/*
 * A seccomp filter no longer implies these on current kernels: ask, for this process and all to come. ENXIO: the
 * CPU or the kernel's command line leaves no choice; ENODEV: not affected.
 */
static int restrict_speculation(const struct init *in, struct failure *f)
{
	static const int features[] = { PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH };

	if (in->setup.flags & AGENT_SETUP_SPEC_ALLOW)
		return 0;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (prctl(PR_SET_SPECULATION_CTRL, features[i], PR_SPEC_FORCE_DISABLE, 0, 0) < 0 && errno != ENXIO &&
		    errno != ENODEV && errno != EPERM)
			return fail(f, AGENT_STAGE_SPECULATION, i ? "indirect branches" : "store bypass");
	}
	return 0;
}

static int ask_core_sched(const struct init *in, struct failure *f)
{
	if (in->setup.flags & AGENT_SETUP_CORE_SCHED &&
	    prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD, 0) < 0)
		return fail(f, AGENT_STAGE_CORE_SCHED, "PR_SCHED_CORE (kernel without CONFIG_SCHED_CORE, or no SMT)");
	return 0;
}

/* Tests make any stage fail on purpose; it then looks exactly as if its system call had. */
static bool is_faulty(const struct init *in, enum agent_stage stage, struct failure *f)
{
	if (in->setup.fault_stage != (uint32_t)stage)
		return false;
	errno = ENOTRECOVERABLE;
	(void)fail(f, stage, "on purpose");
	return true;
}

int setup_sandbox(struct init *in, const int fds[SETUP_FDS], struct failure *f)
{
	/* What is left once the root is ours, in this order: session before dropping (it needs nothing, but a
	 * payload must not share the monitor's), privileges last because everything above needs them. */
	static const struct {
		enum agent_stage stage;
		int (*run)(const struct init *in, struct failure *f);
	} steps[] = {
		{ AGENT_STAGE_HOSTNAME, name_host },        { AGENT_STAGE_NETWORK, bring_up_loopback },
		{ AGENT_STAGE_SESSION, new_session },       { AGENT_STAGE_SPECULATION, restrict_speculation },
		{ AGENT_STAGE_CORE_SCHED, ask_core_sched },
	};
	cleanup_fd int root = fds[SETUP_ROOT];
	cleanup_fd int dev = fds[SETUP_DEV];
	cleanup_fd int proc = fds[SETUP_PROC];

	if (is_faulty(in, AGENT_STAGE_RECEIVE, f))
		return -1;
	if (is_faulty(in, AGENT_STAGE_IDENTITY, f) || become_root(f) < 0)
		return -1;
	if (is_faulty(in, AGENT_STAGE_CGROUP_NS, f) || enter_cgroup_ns(in, f) < 0)
		return -1;
	if (is_faulty(in, AGENT_STAGE_PROC, f) || is_faulty(in, AGENT_STAGE_ROOT, f) ||
	    attach_root(in, root, &dev, f) < 0)
		return -1;
	if (place_proc_files(fd_take(&proc), root, f) < 0)
		return -1;
	if (is_faulty(in, AGENT_STAGE_DEV, f) || attach_dev_mounts(in, root, f) < 0)
		return -1;
	if (is_faulty(in, AGENT_STAGE_MASK, f) || mask_proc(root, f) < 0)
		return -1;
	if (is_faulty(in, AGENT_STAGE_PIVOT, f) || change_root(root, f) < 0 || take_stdio(f) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (is_faulty(in, steps[i].stage, f) || steps[i].run(in, f) < 0)
			return -1;
	}
	if (is_faulty(in, AGENT_STAGE_DROP, f))
		return -1;
	return restrict_agent(&in->setup, f);
}
