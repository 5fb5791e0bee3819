/*
 * Giving up privileges: pid 1 after the set-up, and every process it starts.
 *
 * The raw system calls change identity: libc's wrappers would involve threads that do not exist, nptl(7). Nor is libcap
 * here, which the other processes drop theirs with: it would cost every sandbox 12 KB and the calls with which it finds
 * out at its start what this kernel knows, where three raw ones do.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

#define CAP_BIT(c) (1ULL << (c))

/* What an agent needs: take a child's identity, empty its capability sets, signal it. */
#define AGENT_CAPS (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_KILL))

static int set_caps(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32) },
	};

	return (int)syscall(SYS_capset, &h, d);
}

/*
 * Shrink the bounding set from `have` to keep; EINVAL is the first number this kernel does not know. Each call is a new set
 * of credentials for the kernel, and there is no call for several.
 */
static int shrink_bounding_set(uint64_t have, uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++) {
		if (keep & CAP_BIT(cap) || !(have & CAP_BIT(cap)))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -1;
	}
	return 0;
}

static uint64_t agent_caps(const struct agent_setup *setup)
{
	return AGENT_CAPS | setup->caps;
}

int identity_resolve(const struct init *in, uint32_t uid, uint32_t gid, struct identity *ret)
{
	*ret = (struct identity){
		.uid = uid == UINT32_MAX ? in->setup.uid : uid,
		.gid = gid == UINT32_MAX ? in->setup.gid : gid,
		.agent_caps = agent_caps(&in->setup),
	};
	if (!(in->setup.flags & AGENT_SETUP_ROOT) && (ret->uid == 0 || ret->gid == 0)) {
		errno = EPERM;
		return -1;
	}
	ret->caps = ret->uid == 0 ? in->setup.caps : 0;
	return 0;
}

int restrict_agent(const struct agent_setup *setup, struct failure *f)
{
	uint64_t caps = agent_caps(setup);
	/* setgroups(2) was denied for sandboxes without root, and the monitor has no supplementary groups */
	bool may_setgroups = setup->flags & AGENT_SETUP_ROOT;

	if (may_setgroups && syscall(SYS_setgroups, 0, NULL) < 0)
		return fail(f, AGENT_STAGE_DROP, "supplementary groups");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(f, AGENT_STAGE_DROP, "no_new_privs");
	if (shrink_bounding_set(UINT64_MAX, caps) < 0)
		return fail(f, AGENT_STAGE_DROP, "bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail(f, AGENT_STAGE_DROP, "ambient set");
	if (set_caps(caps, caps) < 0)
		return fail(f, AGENT_STAGE_DROP, "capabilities");
	return 0;
}

void default_signals(void)
{
	/* the kernel's own structure (handler, flags, restorer, mask), all zero: libc keeps 32 and 33 to itself, but who
	 * started the supervisor may have ignored them */
	static const uint64_t default_action[4];
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)syscall(SYS_rt_sigaction, s, default_action, NULL, NSIG / 8); /* EINVAL for KILL and STOP */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int restrict_identity(const struct identity *id, const char *cwd, struct failure *f)
{
	char where[4200];
	sigset_t none;

	/* what a signal does is the default since pid 1 began (default_signals), and it only blocks some */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* of these pid 1 itself may have more than it passes on, and no others: restrict_agent() */
	if (shrink_bounding_set(id->agent_caps, id->caps) < 0)
		return fail(f, AGENT_STAGE_CAPABILITIES, "bounding set");
	/* gid before uid: a uid without capabilities could not change its gid any more */
	if (syscall(SYS_setresgid, id->gid, id->gid, id->gid) < 0)
		return fail(f, AGENT_STAGE_CREDENTIALS, "gid");
	if (syscall(SYS_setresuid, id->uid, id->uid, id->uid) < 0)
		return fail(f, AGENT_STAGE_CREDENTIALS, "uid");
	/* a change of ids sets it to fs.suid_dumpable; until exec, and in helpers, this is still our memory */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (set_caps(id->caps, id->caps) < 0)
		return fail(f, AGENT_STAGE_CAPABILITIES, "sets");
	/* after the identity: a directory this user may not enter is no place to start in */
	if (chdir(*cwd ? cwd : "/") < 0)
		return fail(f, AGENT_STAGE_CWD, cwd);
	/* CVE-2024-21626: a directory outside the root shows as "(unreachable)..." */
	if (syscall(SYS_getcwd, where, sizeof(where)) < 0 || where[0] != '/') {
		errno = ENOENT;
		return fail(f, AGENT_STAGE_CWD, cwd);
	}
	return 0;
}

int restrict_filter(const struct init *in, uint32_t which, struct failure *f)
{
	static const struct init_filter none;
	const struct init_filter *filter = which < AGENT_FILTERS ? &in->filters[which] : &none;
	struct sock_fprog program = { .len = filter->len, .filter = (struct sock_filter *)(uintptr_t)filter->code };

	if (filter->len == 0) {
		errno = ENOEXEC; /* no filter is never an option: unconfined is a filter too */
		return fail(f, AGENT_STAGE_SECCOMP, "empty filter");
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return fail(f, AGENT_STAGE_SECCOMP, "filter");
	return 0;
}
