/* Check: the actions that our seccomp filters use, asked for one by one. See doctor.h, seccomp(2). */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/cubit/doctor.h"

static const struct {
	uint32_t action;
	const char *name; /* as in /proc/sys/kernel/seccomp/actions_avail */
} needed[] = {
	{ SECCOMP_RET_ERRNO, "errno" },
	{ SECCOMP_RET_KILL_PROCESS, "kill_process" },
	{ SECCOMP_RET_LOG, "log" },
	{ SECCOMP_RET_USER_NOTIF, "user_notif" },
};

void check_seccomp(const struct check *c, struct finding *f)
{
	char lacking[128] = "";

	(void)c;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		size_t used = strlen(lacking);
		uint32_t action = needed[i].action;

		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
			continue;
		if (errno == ENOSYS || errno == EINVAL || errno == EPERM) {
			finding_missing(f, "seccomp(2) does not work: %s", strerror(errno));
			finding_remedy(f, "the kernel needs CONFIG_SECCOMP_FILTER; in a container its own filter may "
					  "be in the way");
			return;
		}
		(void)snprintf(lacking + used, sizeof(lacking) - used, "%s%s", used ? ", " : "", needed[i].name);
	}
	if (lacking[0]) {
		finding_missing(f, "actions that the kernel does not have: %s", lacking);
		finding_remedy(f, "see /proc/sys/kernel/seccomp/actions_avail; a kernel >= 6.1 has them all");
		return;
	}
	finding_ok(f, "filters can answer with errno, kill_process, log and user_notif");
}
