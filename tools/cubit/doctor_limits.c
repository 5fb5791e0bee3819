/* Checks of the bounds that the kernel sets for us: see doctor.h. */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "runtime/surroundings.h"
#include "tools/cubit/doctor.h"

enum { NAMESPACES = 1024, PIDS = 32768, INOTIFY_INSTANCES = 1024, INOTIFY_WATCHES = 65536 };

/* A name without a row is a fault of ours, and the test of doctor finds it: it says so of itself. */
void check_surrounding(const struct check *c, struct finding *f)
{
	struct surrounding s;

	for (size_t i = 0; i < surroundings_count(); i++) {
		if (strcmp(surroundings_name(i), c->name) != 0)
			continue;
		surroundings_look(i, &s);
		if (s.status == SURROUNDING_FINE)
			finding_ok(f, "%s", s.detail);
		else if (s.status == SURROUNDING_POOR)
			finding_warning(f, "%s", s.detail);
		else
			finding_missing(f, "%s", s.detail);
		finding_remedy(f, "%s", s.remedy);
	}
}

void check_namespace_counts(const struct check *c, struct finding *f)
{
	static const char *const kinds[] = { "user", "pid", "mnt", "ipc", "uts", "net", "cgroup" };
	const char *scarcest = NULL;
	long long least = 0;

	(void)c;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64];
		long long v;

		(void)snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", kinds[i]);
		if (doctor_read_number(path, &v) && (!scarcest || v < least)) {
			scarcest = kinds[i];
			least = v;
		}
	}
	if (!scarcest) {
		finding_warning(f, "/proc/sys/user cannot be read: it is not known how many namespaces there may be");
	} else if (least == 0) {
		finding_missing(f, "user.max_%s_namespaces is 0: none can be made", scarcest);
		finding_remedy(f, "sysctl user.max_%s_namespaces=%d, and the same in /etc/sysctl.d", scarcest,
			       8 * NAMESPACES);
	} else if (least < NAMESPACES) {
		finding_warning(f, "user.max_%s_namespaces=%lld bounds how many sandboxes there can be", scarcest,
				least);
		finding_remedy(f, "sysctl user.max_%s_namespaces=%d", scarcest, 8 * NAMESPACES);
	} else {
		finding_ok(f, "at least %lld of every kind (user.max_*_namespaces)", least);
	}
}

void check_pid_max(const struct check *c, struct finding *f)
{
	long long v;

	(void)c;
	if (!doctor_read_number("/proc/sys/kernel/pid_max", &v)) {
		finding_warning(f, "kernel.pid_max cannot be read");
	} else if (v < PIDS) {
		finding_warning(f, "kernel.pid_max=%lld bounds the processes of all sandboxes together", v);
		finding_remedy(f, "sysctl kernel.pid_max=4194304");
	} else {
		finding_ok(f, "kernel.pid_max=%lld", v);
	}
}

/* Sandboxes have users of their own, but what those take is also charged to root, who made their namespace. */
void check_inotify(const struct check *c, struct finding *f)
{
	long long instances, watches;

	(void)c;
	if (!doctor_read_number("/proc/sys/fs/inotify/max_user_instances", &instances) ||
	    !doctor_read_number("/proc/sys/fs/inotify/max_user_watches", &watches)) {
		finding_warning(f, "the kernel has no inotify: changes of files in editor sessions are not noticed");
	} else if (instances < INOTIFY_INSTANCES || watches < INOTIFY_WATCHES) {
		finding_warning(
			f, "%lld instances and %lld watches for all sandboxes together: few for many editor sessions",
			instances, watches);
		finding_remedy(f, "sysctl fs.inotify.max_user_instances=%d fs.inotify.max_user_watches=1048576",
			       8 * INOTIFY_INSTANCES);
	} else {
		finding_ok(f, "%lld instances, %lld watches", instances, watches);
	}
}

void check_sys_resource(const struct check *c, struct finding *f)
{
	(void)c;
	if (doctor_has_capability(CAP_SYS_RESOURCE)) {
		finding_ok(f, "CAP_SYS_RESOURCE: limits of processes can be raised");
		return;
	}
	finding_warning(
		f, "no CAP_SYS_RESOURCE: limits (open files, core size, ...) can be lowered for sandboxes, but never "
		   "raised above ours");
	finding_remedy(f, "start Cubit with the hard limits it should be able to hand out, or with the capability");
}
