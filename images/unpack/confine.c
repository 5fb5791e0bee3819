/* The confinement of the unpack worker: see confine.h. */
#include "images/unpack/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/error.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 }; /* its runtime maps terabytes and makes calls of its own: no memory limit, no filter */
#else
enum { IS_SANITIZED = 0 };
#endif

enum { OPEN_FILES_MAX = 64 + 64 }; /* cached directories, and those of a tree that is removed */

/* ---- the process ---- */

static int set_limits(const struct confine_limits *l, struct error *err)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_FSIZE, l->file_bytes },
		{ RLIMIT_AS, IS_SANITIZED ? RLIM_INFINITY : l->memory_bytes },
		{ RLIMIT_CPU, l->cpu_s },
		{ RLIMIT_NOFILE, OPEN_FILES_MAX },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_MEMLOCK, 0 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit old, r = { limits[i].value, limits[i].value };

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &old) < 0)
			return error_errno(err, errno, "getrlimit %d", limits[i].resource);
		if (old.rlim_max < r.rlim_max) /* the host is stricter already */
			r.rlim_cur = r.rlim_max = old.rlim_max;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &r) < 0)
			return error_errno(err, errno, "setrlimit %d", limits[i].resource);
	}
	/* over RLIMIT_FSIZE, write(2) shall fail with EFBIG, not kill */
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return error_errno(err, errno, "signal");
	return 0;
}

static int drop_capabilities(struct error *err)
{
	static const cap_value_t kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP };
	enum { N = sizeof(kept) / sizeof(kept[0]) };
	cap_t caps;
	int r = 0;

	if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
					     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
					     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) < 0)
		return error_errno(err, errno, "set secure bits");
	for (cap_value_t c = 0; c < cap_max_bits(); c++)
		if (cap_drop_bound(c) < 0)
			return error_errno(err, errno, "empty the bounding set");
	if (cap_reset_ambient() < 0)
		return error_errno(err, errno, "empty the ambient set");
	caps = cap_init();
	if (!caps || cap_set_flag(caps, CAP_PERMITTED, N, kept, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, N, kept, CAP_SET) < 0 || cap_set_proc(caps) < 0)
		r = error_errno(err, errno, "reduce capabilities (the unpack worker must start as root)");
	(void)cap_free(caps); /* NULL is refused, and nothing else */
	return r;
}

int confine_process(int dir_fd, const struct confine_limits *limits, struct error *err)
{
	int r;

	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return error_errno(err, errno, "become undumpable");
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return error_errno(err, errno, "leave the network");
	if (fchdir(dir_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_errno(err, errno, "chroot into the layer");
	(void)umask(0); /* modes are the archive's */
	r = set_limits(limits, err);
	if (r == 0)
		r = drop_capabilities(err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = error_errno(err, errno, "set no_new_privs");
	return r;
}

/* ---- the system calls ---- */

static const int allowed[] = {
	/* the archive and the parent */
	SCMP_SYS(read),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg), /* the layers below, which it may only read */
	SCMP_SYS(fgetxattr),
	SCMP_SYS(flistxattr),
	/* the tree */
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(close),
	SCMP_SYS(pwrite64),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(mkdirat),
	SCMP_SYS(mknodat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(linkat),
	SCMP_SYS(unlinkat),
	SCMP_SYS(readlinkat),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(utimensat),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	/* threads and memory */
	SCMP_SYS(futex),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(sched_yield),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
};

static int add_rules(scmp_filter_ctx f)
{
	static const int mapping[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	static const int commands[] = { F_DUPFD_CLOEXEC, F_GETFL, F_GETFD, F_SETFD };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; r == 0 && i < sizeof(mapping) / sizeof(mapping[0]); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, mapping[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; r == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return r;
}

int confine_calls(struct error *err)
{
	scmp_filter_ctx f;
	int r;

	if (IS_SANITIZED)
		return 0;
	f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!f)
		return error_errno(err, ENOMEM, "seccomp");
	r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_rules(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? error_errno(err, -r, "install the filter") : 0;
}
