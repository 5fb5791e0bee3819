/* Checks of the kernel, of who we are, and of the processor: see doctor.h. */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/cubit/doctor.h"
#include "tools/cubit/kernel_release.h"

enum { NEED_MAJOR = 6, NEED_MINOR = 1 };

void check_kernel(const struct check *c, struct finding *f)
{
	struct utsname u;

	(void)c;
	if (uname(&u) < 0) {
		finding_missing(f, "uname(2) does not work");
		return;
	}
	if (kernel_release_at_least(u.release, NEED_MAJOR, NEED_MINOR)) {
		finding_ok(f, "Linux %s (needed: %d.%d)", u.release, NEED_MAJOR, NEED_MINOR);
		return;
	}
	finding_missing(f, "Linux %s is older than %d.%d", u.release, NEED_MAJOR, NEED_MINOR);
	finding_remedy(f, "install a kernel >= %d.%d (Debian 12 and Ubuntu 24.04 have one)", NEED_MAJOR, NEED_MINOR);
}

void check_root(const struct check *c, struct finding *f)
{
	(void)c;
	if (geteuid() != 0) {
		finding_missing(f,
				"running as uid %u: root is needed to map the ids of sandboxes, mount their root file "
				"systems, write their cgroup limits and wire their network",
				(unsigned)geteuid());
		finding_remedy(f, "sudo cubit doctor");
		return;
	}
	if (!doctor_has_capability(CAP_NET_ADMIN)) {
		finding_missing(f, "root, but without CAP_NET_ADMIN (links and packet filter)");
		finding_remedy(f, "are we in a container? run Cubit on the host, or in one that keeps this capability");
		return;
	}
	finding_ok(f, "yes, with the capability that links need");
}

void check_smt(const struct check *c, struct finding *f)
{
	long long active = 0;

	(void)c;
	if (doctor_read_number("/sys/devices/system/cpu/smt/active", &active) && active)
		finding_ok(f,
			   "on: hardware threads of one core can observe each other; core scheduling keeps sandboxes "
			   "apart when asked for");
	else
		finding_ok(f, "off: no two sandboxes share a core at the same moment");
}
