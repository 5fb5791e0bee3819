/*
 * cubit-fetch: the worker kind `fetch`, which talks to registries so that nobody else has to. It is a program of its own, which
 * cubit-worker becomes: libcurl brings thirty libraries, and a layer is unpacked sooner without them.
 *
 * It holds a socket to whoever started it and the network, and nothing else: a user id of its own when started by
 * root, no capability in any set, no_new_privs, no file but those a name look-up and TLS read (Landlock), no new
 * program, namespace or trace of another process (seccomp). It never sees the store: content leaves through the socket,
 * and what is to be pushed arrives as a read-only descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "images/registry/serve.h"
#include "images/worker_spawn.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

enum {
	UID_BASE = 0x6fff0000, /* below the sandboxes' ranges; one of 65536, so that two workers are rarely one user */
	CAPABILITY_LAST = 63,
};

/* ---- identity ------------------------------------------------------------------------------------------------- */

static int drop_identity(struct error *err)
{
	uint32_t id = UID_BASE + ((uint32_t)getpid() & 0xffff);

	for (unsigned long c = 0; c <= CAPABILITY_LAST; c++)
		(void)prctl(PR_CAPBSET_DROP, c, 0, 0,
			    0); /* EINVAL past the last one; EPERM: we have none to begin with */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0))
		return error_errno(err, errno, "become user %u", id);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, errno, "give up privileges");
	/* after the last change of credentials, which clears it; a parent that died before has closed the socket */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return error_errno(err, errno, "PR_SET_PDEATHSIG");
	return 0;
}

static int set_limits(struct error *err)
{
	static const struct {
		__rlimit_resource_t what;
		rlim_t max;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, /* a password may be in memory */
		{ RLIMIT_FSIZE, 0 },
		{ RLIMIT_NOFILE, 64 },
		{ RLIMIT_MEMLOCK, 0 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit l = { limits[i].max, limits[i].max };

		if (setrlimit(limits[i].what, &l) < 0)
			return error_errno(err, errno, "set a resource limit");
	}
	return 0;
}

/* ---- files: landlock(7) --------------------------------------------------------------------------------------- */

static int landlock_allow(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr rule = { .allowed_access =
							   LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR };
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return 0; /* not on this machine: nothing to allow */
	rule.parent_fd = fd;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* What resolving names and verifying certificates reads, and nothing else; kernels without Landlock go without. */
static int confine_files(struct error *err)
{
	static const char *const readable[] = { "/etc",           "/usr", "/lib", "/lib64", "/run/systemd/resolve",
						"/run/resolvconf" };
	struct landlock_ruleset_attr all = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
	cleanup_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);

	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : error_errno(err, errno, "make a Landlock ruleset");
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		if (landlock_allow(ruleset, readable[i]) < 0)
			return error_errno(err, errno, "allow '%s' to Landlock", readable[i]);
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_errno(err, errno, "restrict ourselves with Landlock");
	return 0;
}

/* ---- system calls: seccomp(2) --------------------------------------------------------------------------------- */

/* Not a list of what is needed, which libc and libcurl change at will, but of what would help an intruder. */
static int confine_calls(struct error *err)
{
	static const int refused[] = {
		SCMP_SYS(execve),
		SCMP_SYS(execveat),
		SCMP_SYS(ptrace),
		SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev),
		SCMP_SYS(unshare),
		SCMP_SYS(setns),
		SCMP_SYS(mount),
		SCMP_SYS(umount2),
		SCMP_SYS(pivot_root),
		SCMP_SYS(chroot),
		SCMP_SYS(fsopen),
		SCMP_SYS(open_tree),
		SCMP_SYS(move_mount),
		SCMP_SYS(fsmount),
		SCMP_SYS(fspick),
		SCMP_SYS(mount_setattr),
		SCMP_SYS(bpf),
		SCMP_SYS(perf_event_open),
		SCMP_SYS(userfaultfd),
		SCMP_SYS(keyctl),
		SCMP_SYS(add_key),
		SCMP_SYS(request_key),
		SCMP_SYS(io_uring_setup),
		SCMP_SYS(io_uring_enter),
		SCMP_SYS(io_uring_register),
		SCMP_SYS(open_by_handle_at),
		SCMP_SYS(init_module),
		SCMP_SYS(finit_module),
		SCMP_SYS(kexec_load),
		SCMP_SYS(personality),
		SCMP_SYS(pidfd_getfd),
		SCMP_SYS(mknod),
		SCMP_SYS(mknodat),
		SCMP_SYS(symlinkat),
		SCMP_SYS(linkat),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_PACKET));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_errno(err, -r, "install a system call filter") : 0;
}

static int serve(struct error *err)
{
	int r;

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) /* OpenSSL writes without MSG_NOSIGNAL */
		return error_errno(err, errno, "ignore SIGPIPE");
	r = drop_identity(err);
	if (r == 0)
		r = set_limits(err);
	if (r == 0)
		r = confine_files(err);
	if (r == 0)
		r = confine_calls(err);
	return r < 0 ? r : fetch_serve(WORKER_CONTROL_FD, err);
}

int main(void)
{
	struct error err = ERROR_INIT;

	alloc_must(log_no_memory);
	if (serve(&err) == 0)
		return 0;
	(void)fprintf(stderr, "cubit-worker fetch: %s\n", err.text);
	return 1;
}
