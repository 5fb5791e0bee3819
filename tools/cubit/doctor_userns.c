/* Check: all namespaces of a sandbox in one clone3, with a map of 65536 ids. See doctor.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"
#include "tools/cubit/doctor.h"
#include "tools/cubit/held.h"

enum { FIRST_ID = 0x20000000 }; /* any range: the map alone gives no access to anything */

static const struct {
	int flag;
	const char *name;
} kinds[] = {
	{ CLONE_NEWUSER, "user" }, { CLONE_NEWPID, "pid" }, { CLONE_NEWNS, "mount" },      { CLONE_NEWIPC, "ipc" },
	{ CLONE_NEWUTS, "uts" },   { CLONE_NEWNET, "net" }, { CLONE_NEWCGROUP, "cgroup" },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Which kinds fail even one by one (each together with a user namespace, as it will be made)? */
static void name_culprits(char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t i = 0; i < KINDS; i++) {
		cleanup_held struct held h = HELD_INIT;
		size_t used = strlen(ret);

		if (held_start(&h, (uint64_t)(CLONE_NEWUSER | kinds[i].flag), -1, NULL) < 0)
			(void)snprintf(ret + used, size - used, "%s%s", used ? ", " : "", kinds[i].name);
	}
}

static const struct {
	const char *path, *name;
	long long wanted; /* the value that allows */
	bool is_least;    /* or any larger one */
} sysctls[] = {
	{ "/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", 1, false },
	{ "/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", 1, true },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns", 0,
	  false },
};

/* The switches, with their values here; those that stand wrong are marked. */
static void name_sysctls(char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		size_t used = strlen(ret);
		long long v;

		if (!doctor_read_number(sysctls[i].path, &v))
			continue;
		(void)snprintf(ret + used, size - used, "%s%s=%lld%s", used ? ", " : "", sysctls[i].name, v,
			       v == sysctls[i].wanted || (sysctls[i].is_least && v > sysctls[i].wanted) ? ""
			       : sysctls[i].wanted                                                      ? " (raise it)"
						   : " (set it to 0)");
	}
}

void check_userns(const struct check *c, struct finding *f)
{
	cleanup_held struct held h = HELD_INIT;
	struct error err = ERROR_INIT;
	char culprits[128], switches[256];
	uint64_t flags = 0;

	(void)c;
	for (size_t i = 0; i < KINDS; i++)
		flags |= (uint64_t)kinds[i].flag;
	if (held_start(&h, flags, -1, &err) < 0) {
		name_culprits(culprits, sizeof(culprits));
		name_sysctls(switches, sizeof(switches));
		finding_missing(f, "%s (%s%s)", err.text, culprits[0] ? "refused: " : "each kind alone works",
				culprits);
		if (err.code == ENOSYS)
			finding_remedy(
				f,
				"the kernel is too old, or a container's seccomp filter hides clone3: run on the host");
		else if (err.code == EINVAL)
			finding_remedy(f,
				       "the kernel was built without these namespaces (CONFIG_USER_NS and its like)");
		else
			finding_remedy(f, "look at sysctl %s", switches);
		return;
	}
	if (held_map_ids(&h, FIRST_ID, &err) < 0) {
		finding_missing(f, "namespaces can be made, but ids cannot be mapped: %s", err.text);
		finding_remedy(f,
			       "run in the initial user namespace: inside a container only its own ids can be mapped");
		return;
	}
	finding_ok(f, "user, pid, mount, ipc, uts, net and cgroup in one clone3, with 65536 ids mapped");
}
