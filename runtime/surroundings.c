/* The table of assumptions and how each is looked at: see surroundings.h. */
#include "runtime/surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/capability.h"
#include "runtime/rlimits.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66 /* since 6.3 */
#endif
#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

enum { TEXT_MAX = 4 << 20, MOUNTS_OF_A_SANDBOX = 64 };

static void say(struct surrounding *s, enum surrounding_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct surrounding *s, enum surrounding_status status, const char *fmt, ...)
{
	va_list ap;

	*s = (struct surrounding){ .status = status };
	va_start(ap, fmt);
	(void)vsnprintf(s->detail, sizeof(s->detail), fmt, ap);
	va_end(ap);
}

static void remedy(struct surrounding *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void remedy(struct surrounding *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->remedy, sizeof(s->remedy), fmt, ap);
	va_end(ap);
}

/* A number from a small file of /proc; otherwise when there is none. */
static long long number_of(const char *path, long long otherwise)
{
	cleanup_buf struct buf text = BUF_BOUNDED(64);

	return fd_read_file(AT_FDCWD, path, 64, &text, NULL) < 0 ? otherwise : strtoll(buf_str(&text), NULL, 10);
}

/* ---- of this process ---- */

static void look_at_limits(struct surrounding *s)
{
	char text[sizeof(s->detail)];
	int r = rlimits_look(text, sizeof(text));

	say(s, r < 0 ? SURROUNDING_UNFIT : r > 0 ? SURROUNDING_POOR : SURROUNDING_FINE, "%s", text);
	if (r != 0)
		remedy(s, "Limit...=infinity in the unit, a higher `ulimit -H`, or start with CAP_SYS_RESOURCE, to "
			  "raise them");
}

static const struct {
	int cap;
	const char *name, *why;
} capabilities[] = {
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "namespaces and mounts" },
	{ CAP_SETUID, "CAP_SETUID", "id maps of sandboxes" },
	{ CAP_SETGID, "CAP_SETGID", "id maps of sandboxes" },
	{ CAP_CHOWN, "CAP_CHOWN", "files of sandboxes" },
	{ CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "files of sandboxes, control groups" },
	{ CAP_FOWNER, "CAP_FOWNER", "files of layers" },
	{ CAP_MKNOD, "CAP_MKNOD", "device nodes of /dev" },
	{ CAP_KILL, "CAP_KILL", "ending sandboxes" },
	{ CAP_SETPCAP, "CAP_SETPCAP", "taking capabilities away from the front" },
};

static void look_at_capabilities(struct surrounding *s)
{
	char lacking[440] = "";

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		size_t used = strlen(lacking);

		if (!capability_is_effective(capabilities[i].cap))
			(void)snprintf(lacking + used, sizeof(lacking) - used, "%s%s (%s)", used ? ", " : "",
				       capabilities[i].name, capabilities[i].why);
	}
	if (!lacking[0]) {
		say(s, SURROUNDING_FINE, "those that namespaces, mounts, control groups and devices need");
	} else if (geteuid() != 0) {
		say(s, SURROUNDING_UNFIT, "running as uid %u: root is needed", (unsigned)geteuid());
		remedy(s, "start it as root");
	} else {
		say(s, SURROUNDING_UNFIT, "root, but without %s", lacking);
		remedy(s, "leave them in CapabilityBoundingSet= of the unit; in a container, run on the host, or in "
			  "one that keeps "
			  "them");
	}
}

static void look_at_filter(struct surrounding *s)
{
	if (prctl(PR_GET_SECCOMP) == 0) {
		say(s, SURROUNDING_FINE, "none is installed around us");
		return;
	}
	say(s, SURROUNDING_POOR,
	    "a system call filter is installed around us: every sandbox inherits it, pays for it with each call, and "
	    "is "
	    "refused what it refuses");
	remedy(s, "without SystemCallFilter=, RestrictNamespaces=, PrivateDevices= and their like in the unit; in a "
		  "container, "
		  "with its filter unconfined");
}

static void look_at_execution(struct surrounding *s)
{
	int r = prctl(PR_GET_MDWE, 0, 0, 0, 0);

	if (r <= 0) { /* EINVAL: a kernel without it */
		say(s, SURROUNDING_FINE, "programs inside may compile as they run");
		return;
	}
	say(s, SURROUNDING_POOR,
	    "memory may not become executable, and no process can undo that: programs that compile as they "
	    "run (Node, Java) fail in sandboxes");
	remedy(s, "without MemoryDenyWriteExecute= in the unit");
}

static void look_at_scheduling(struct surrounding *s)
{
	int policy = sched_getscheduler(0), nice_value = getpriority(PRIO_PROCESS, 0);

	if (policy == SCHED_DEADLINE) {
		say(s, SURROUNDING_UNFIT, "scheduled as SCHED_DEADLINE, whose processes may not fork, sched(7)");
		remedy(s, "start it without `chrt --deadline`");
	} else if (nice_value > 0 || policy == SCHED_IDLE || policy == SCHED_BATCH) {
		say(s, SURROUNDING_POOR, "our priority is low (nice %d%s), and so is that of every sandbox", nice_value,
		    policy == SCHED_IDLE ? ", idle" : "");
		remedy(s, "without Nice= and CPUSchedulingPolicy= in the unit, if that was not meant");
	} else {
		say(s, SURROUNDING_FINE, "nobody is put behind others");
	}
}

/* ---- of the machine ---- */

static int mount_fresh_proc(void)
{
	int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* Try what every sandbox does first. Returns 0, the errno of the clone, or minus that of the mount. */
static int try_proc(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	int status = 0;

	if (pid == 0)
		_exit(mount_fresh_proc() < 0 ? errno : 0);
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 0; /* somebody ignores SIGCHLD: nothing is known, and each sandbox will say it */
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* What lies over parts of /proc; a mount point that can only be one hides nothing, and the kernel knows these two. */
static void name_covers(char *ret, size_t size)
{
	cleanup_buf struct buf text = BUF_BOUNDED(TEXT_MAX);
	size_t n = 0;
	char at[128];

	ret[0] = '\0';
	if (fd_read_file(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &text, NULL) < 0)
		return;
	for (const char *line = buf_str(&text); line && *line && n < size / 2;
	     line = strchr(line, '\n'), line += line != NULL) {
		if (sscanf(line, "%*d %*d %*s %*s %127s", at) == 1 && strncmp(at, "/proc/", 6) == 0 &&
		    strcmp(at, "/proc/sys/fs/binfmt_misc") != 0 && strcmp(at, "/proc/fs/nfsd") != 0)
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "", at);
	}
}

static void look_at_proc(struct surrounding *s)
{
	struct statvfs user;
	char covers[200];
	int r;

	if (statvfs("/proc/sys/user", &user) == 0 && user.f_flag & ST_RDONLY) {
		say(s, SURROUNDING_UNFIT,
		    "/proc/sys is read-only here, where a sandbox writes what its users may have of inotify "
		    "and namespaces");
		remedy(s, "without ProtectKernelTunables= in the unit; in a container, run on the host");
		return;
	}
	r = try_proc();
	if (r == 0) {
		say(s, SURROUNDING_FINE, "a new user namespace can have a /proc of its own");
	} else if (r > 0) {
		say(s, SURROUNDING_UNFIT, "namespaces of a sandbox cannot be made: %s", strerror(r));
		if (r == ENOSPC || r == EUSERS)
			remedy(s, "raise sysctl user.max_user_namespaces, user.max_pid_namespaces and "
				  "user.max_mnt_namespaces");
		else
			remedy(s, "is root in the initial user namespace, unconfined by a container's filter or "
				  "AppArmor rule? "
				  "look at kernel.unprivileged_userns_clone, "
				  "kernel.apparmor_restrict_unprivileged_userns");
	} else if (r == -EPERM) {
		name_covers(covers, sizeof(covers));
		say(s, SURROUNDING_UNFIT,
		    "a /proc in a sandbox is refused, because that of the host is not wholly visible here%s%s",
		    covers[0] ? ": covered are " : "", covers);
		remedy(s, "without ProtectKernelTunables=, ProtectKernelLogs=, ProtectProc=, ProcSubset= and "
			  "InaccessiblePaths= in the "
			  "unit; in a container, run on the host");
	} else {
		say(s, SURROUNDING_UNFIT, "a /proc in a sandbox cannot be mounted: %s", strerror(-r));
		remedy(s, "look at sysctl fs.mount-max, and at memory");
	}
}

static void look_at_memory_files(struct surrounding *s)
{
	if (number_of("/proc/sys/vm/memfd_noexec", 0) < 2) {
		say(s, SURROUNDING_FINE, "a memory file may be executed, as pid 1 of a sandbox is");
		return;
	}
	say(s, SURROUNDING_UNFIT,
	    "vm.memfd_noexec is 2: memory files, as which pid 1 of a sandbox is executed, are refused");
	remedy(s, "sysctl vm.memfd_noexec=1, or 0; it can only be lowered by a new boot or in the pid namespace above");
}

static void look_at_mounts(struct surrounding *s)
{
	cleanup_buf struct buf text = BUF_BOUNDED(TEXT_MAX);
	long long most = number_of("/proc/sys/fs/mount-max", INT64_MAX), n = 0;
	struct statx st;

	if (statx(AT_FDCWD, "/", 0, STATX_TYPE, &st) == 0 && st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
	    !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
		say(s, SURROUNDING_UNFIT,
		    "our root directory is no mount point (chroot): a sandbox could not leave it, pivot_root(2)");
		remedy(s, "RootDirectory= and chroot(8) need a directory that is mounted, `mount --rbind DIR DIR`");
		return;
	}
	if (fd_read_file(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &text, NULL) == 0)
		for (const char *p = buf_str(&text); (p = strchr(p, '\n')); p++)
			n++;
	if (n + MOUNTS_OF_A_SANDBOX > most) {
		say(s, SURROUNDING_UNFIT, "%lld mounts here and %d of a sandbox are more than fs.mount-max=%lld", n,
		    MOUNTS_OF_A_SANDBOX, most);
		remedy(s, "sysctl fs.mount-max=100000");
		return;
	}
	say(s, SURROUNDING_FINE, "%lld here, room for those of sandboxes", n);
}

static void look_at_overcommit(struct surrounding *s)
{
	if (number_of("/proc/sys/vm/overcommit_memory", 0) != 2) {
		say(s, SURROUNDING_FINE, "address space is not counted as memory");
		return;
	}
	say(s, SURROUNDING_POOR,
	    "vm.overcommit_memory is 2: programs that reserve much address space (Go, Java, Node) are refused it, "
	    "whatever memory they use");
	remedy(s, "sysctl vm.overcommit_memory=0");
}

/* ---- the table ---- */

static const struct {
	const char *name;
	void (*look)(struct surrounding *s);
} rows[] = {
	{ "capabilities", look_at_capabilities }, /* first: whatever else fails then is a consequence */
	{ "resource-limits", look_at_limits },
	{ "scheduling", look_at_scheduling },
	{ "mounts", look_at_mounts },
	{ "fresh-proc", look_at_proc },
	{ "memory-files", look_at_memory_files },
	{ "outer-filter", look_at_filter },
	{ "write-or-execute", look_at_execution },
	{ "overcommit", look_at_overcommit },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

size_t surroundings_count(void)
{
	return ROWS;
}

const char *surroundings_name(size_t row)
{
	return rows[row].name;
}

void surroundings_look(size_t row, struct surrounding *ret)
{
	rows[row].look(ret);
}

int surroundings_prepare(struct error *err)
{
	struct surrounding s;
	int r;

	(void)umask(022);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, our children would vanish unseen */
	rows[0].look(&s);               /* not root: nobody wants to hear of limits first */
	r = s.status == SURROUNDING_UNFIT ? error_set(err, EPERM, "%s; %s", s.detail, s.remedy) : rlimits_prepare(err);
	for (size_t i = 1; r == 0 && i < ROWS; i++) {
		rows[i].look(&s);
		if (s.status == SURROUNDING_UNFIT)
			r = error_set(err, EPERM, "%s; %s", s.detail, s.remedy);
	}
	return r;
}
