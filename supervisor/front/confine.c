/* What the front may do from here on: see confine.h. */
#include "supervisor/front/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/settings.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 }; /* its runtime starts a process of its own at the end */
#else
enum { IS_SANITIZED = 0 };
#endif

/* ---- files: landlock(7) ---- */

/* Rights by the version of the kernel's interface that brought them; older headers lack the names. */
enum {
	ACCESS_V1 = (1 << 13) - 1, /* up to MAKE_SYM */
	ACCESS_REFER = 1 << 13,    /* 2: rename between directories; without it always refused */
	ACCESS_TRUNCATE = 1 << 14, /* 3 */
	ACCESS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	ACCESS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		       LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_REFER | ACCESS_TRUNCATE,
	ACCESS_OF_FILE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE,
};

/*
 * Whole directories rather than files: resolv.conf is replaced by renaming, and a rule on the file alone would end with
 * it. The libraries: what name service modules and OpenSSL providers load late.
 */
static const char *const readable[] = {
	"/etc",
	"/usr/lib",
	"/lib",
	"/lib64",
	"/usr/share/zoneinfo",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/proc/self",
	"/proc/stat",
	"/proc/meminfo",
	"/proc/cpuinfo",
	"/dev/urandom",
};

static int allow(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_OF_FILE;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* What is not there cannot be read anyway. */
static int allow_reading(int ruleset, const char *path)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? 0 : allow(ruleset, fd, ACCESS_READ);
}

static int add_rules(int ruleset, uint64_t handled, const struct settings *settings, int state_fd)
{
	cleanup_fd int null = open("/dev/null", O_PATH | O_CLOEXEC);
	struct settings_runtimes languages;

	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		if (allow_reading(ruleset, readable[i]) < 0)
			return -1;
	}
	settings_runtimes(settings, &languages);
	for (const char *const *dir = languages.dirs; *dir; dir++) {
		if (allow_reading(ruleset, *dir) < 0)
			return -1;
	}
	if (settings->redis_ca[0] &&
	    allow_reading(ruleset, settings->redis_ca) < 0) /* read again with each connection */
		return -1;
	if (null >= 0 && allow(ruleset, null, handled & ACCESS_OF_FILE) < 0)
		return -1;
	return allow(ruleset, state_fd, handled & (ACCESS_READ | ACCESS_WRITE));
}

static int confine_files(const struct settings *settings, int state_fd, struct error *err)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr all = { .handled_access_fs = ACCESS_V1 | (version >= 2 ? ACCESS_REFER : 0) |
								  (version >= 3 ? ACCESS_TRUNCATE : 0) };
	cleanup_fd int ruleset = -1;

	if (version < 1) {
		log_notice(LOG_NONE, "this kernel has no Landlock, file permissions alone confine the front");
		return 0;
	}
	/* the first member is all there was in version 1, and all that we use */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);
	if (ruleset < 0 || add_rules(ruleset, all.handled_access_fs, settings, state_fd) < 0)
		return error_errno(err, errno, "make the Landlock rules");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_errno(err, errno, "apply the Landlock rules");
	return 0;
}

/* ---- system calls: seccomp(2) ---- */

/* Needs libseccomp's numbers: those it does not know for this architecture are negative, and skipped by it. */
static const int refused[] = {
	/* other programs and processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(process_madvise),
	SCMP_SYS(kcmp),
	SCMP_SYS(process_mrelease),
	/* namespaces and mounts */
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	/* files by other ways than a path below what is allowed */
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	/* the kernel itself, and its large surfaces */
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(syslog),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(quotactl_fd),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(vmsplice),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(personality),
	/* the machine's clock, name and ports */
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	/* other identities */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(capset),
};

enum { REFUSE = SCMP_ACT_ERRNO(EPERM) };

/* Threads are made by clone with CLONE_THREAD; anything else would be a process. clone3's flags are in memory, which no
 * filter can read: ENOSYS, and libc takes clone. */
static int refuse_processes(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(f, (uint32_t)REFUSE, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));

	return r < 0 ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Only unix, IPv4, IPv6, and netlink, by which libc asks for the addresses of this machine. */
static int refuse_sockets(scmp_filter_ctx f)
{
	static const int between[] = { AF_UNSPEC, AF_AX25, AF_IPX,    AF_APPLETALK, AF_NETROM,   AF_BRIDGE, AF_ATMPVC,
				       AF_X25,    AF_ROSE, AF_DECnet, AF_NETBEUI,   AF_SECURITY, AF_KEY };
	int r = seccomp_rule_add(f, (uint32_t)REFUSE, SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_GT, AF_NETLINK));

	for (size_t i = 0; r == 0 && i < sizeof(between) / sizeof(between[0]); i++)
		r = seccomp_rule_add(f, (uint32_t)REFUSE, SCMP_SYS(socket), 1,
				     SCMP_A0_32(SCMP_CMP_EQ, (scmp_datum_t)between[i]));
	return r;
}

/* Typing into a terminal that started us. */
static int refuse_terminals(scmp_filter_ctx f)
{
	enum { IOCTL_TIOCSTI = 0x5412, IOCTL_TIOCLINUX = 0x541c };
	int r = seccomp_rule_add(f, (uint32_t)REFUSE, SCMP_SYS(ioctl), 1, SCMP_A1_32(SCMP_CMP_EQ, IOCTL_TIOCSTI));

	return r < 0 ? r
		     : seccomp_rule_add(f, (uint32_t)REFUSE, SCMP_SYS(ioctl), 1,
					SCMP_A1_32(SCMP_CMP_EQ, IOCTL_TIOCLINUX));
}

static int confine_calls(struct error *err)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = 0;

	if (!f)
		return error_errno(err, ENOMEM, "seccomp");
	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = seccomp_rule_add(f, (uint32_t)REFUSE, refused[i], 0);
	if (r == 0)
		r = refuse_processes(f);
	if (r == 0)
		r = refuse_sockets(f);
	if (r == 0)
		r = refuse_terminals(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? error_errno(err, -r, "install the front's system call filter") : 0;
}

int confine_front(const struct settings *settings, int state_fd, struct error *err)
{
	int r;

	/* exec made it dumpable again: our memory holds keys, and no process of this user may look at it */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, errno, "prctl");
	r = confine_files(settings, state_fd, err);
	return r < 0 || IS_SANITIZED ? r : confine_calls(err);
}
