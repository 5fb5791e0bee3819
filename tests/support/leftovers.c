/* Counting what is left: see leftovers.h. */
#include "tests/support/leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/mount.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup_host.h"
#include "runtime/sandbox.h"
#include "tests/support/host.h"

enum { SETTLE_S = 10, STEP_MS = 20 };

static const char *const names[LEFT_KINDS] = {
#define X(name, text) [LEFT_##name] = (text),
	LEFTOVERS(X)
#undef X
};

/* Could this mount of the host be ours? Below our directory, or over what a sandbox mounts first. */
static bool is_suspect(const char *line, const char *dir)
{
	char at[512];

	if (strstr(line, dir))
		return true;
	/* "36 35 98:0 /root /mount/point options ...", proc(5) */
	return sscanf(line, "%*s %*s %*s %*s %511s", at) == 1 &&
	       (strcmp(at, "/") == 0 || strcmp(at, "/proc") == 0 || strcmp(at, "/dev") == 0);
}

/* Mounts of a process; with a dir, only suspect ones: neighbours mount things, too. */
static long count_mounts(const char *mountinfo, const char *dir)
{
	cleanup_file FILE *f = fopen(mountinfo, "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	long n = 0;

	while (f && getline(&line, &room, f) > 0)
		n += !dir || is_suspect(line, dir);
	return f ? n : -1;
}

/* Entries of a directory for which the filter says yes; -1 when it cannot be read. */
static long count_entries(const char *path, bool (*is_counted)(const char *name, const void *arg), const void *arg)
{
	cleanup_dir DIR *d = opendir(path);
	const struct dirent *e;
	long n = 0;

	while (d && (e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && is_counted(e->d_name, arg);
	return d ? n : -1;
}

static bool is_any(const char *name, const void *arg)
{
	(void)name;
	(void)arg;
	return true;
}

static bool is_prefixed(const char *name, const void *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static long count_groups(const struct test_host *h)
{
	const struct cgroup_host *cg = sandbox_host_cgroups(h->host);
	char prefix[64];
	long n = 0;

	(void)snprintf(prefix, sizeof(prefix), "cubit-%s", h->prefix);
	if (cg->v2.version != CGROUP_NONE)
		n += count_entries(cg->v2.base_path, is_prefixed, prefix);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (cg->controllers[c].version == CGROUP_V1)
			n += count_entries(cg->controllers[c].base_path, is_prefixed, prefix);
	return n;
}

static bool read_line(const char *path, char *ret, size_t room)
{
	cleanup_file FILE *f = fopen(path, "re");

	return f && fgets(ret, (int)room, f);
}

/* Is this entry of /proc a child of ours, zombie or not? The parent is the second word after the name, proc(5). */
static bool is_child(const char *name, const void *arg)
{
	char path[300], line[512] = "";
	const char *p;

	(void)arg;
	if (!isdigit((unsigned char)name[0]))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%s/stat", name);
	if (!read_line(path, line, sizeof(line)))
		return false; /* gone meanwhile: not a child of ours, those stay until they are waited for */
	p = strrchr(line, ')');
	return p && strlen(p) > 4 && strtol(p + 4, NULL, 10) == getpid();
}

static long count_links(void)
{
	struct if_nameindex *list = if_nameindex();
	long n = 0;

	while (list && list[n].if_index)
		n++;
	if_freenameindex(list);
	return n;
}

void leftovers_count(const struct test_host *h, struct leftovers *ret)
{
	char claims[640];

	(void)snprintf(claims, sizeof(claims), "%s/ids", h->run_dir);
	ret->counts[LEFT_MOUNTS] = count_mounts("/proc/self/mountinfo", NULL);
	ret->counts[LEFT_HOST_MOUNTS] = count_mounts("/proc/1/mountinfo", h->dir);
	ret->counts[LEFT_CGROUPS] = count_groups(h);
	ret->counts[LEFT_LINKS] = count_links();
	ret->counts[LEFT_CLAIMS] = count_entries(claims, is_any, NULL);
	ret->counts[LEFT_CHILDREN] = count_entries("/proc", is_child, NULL);
	ret->counts[LEFT_DESCRIPTORS] = count_entries("/proc/self/fd", is_any, NULL);
}

const char *leftovers_since(const struct test_host *h, const struct leftovers *before)
{
	static char text[512];
	uint64_t deadline = clock_deadline_ns(SETTLE_S * NS_PER_S);
	struct leftovers now;

	for (;;) {
		size_t used = 0;

		leftovers_count(h, &now);
		text[0] = '\0';
		for (int i = 0; i < LEFT_KINDS; i++) {
			if (now.counts[i] != before->counts[i])
				used += (size_t)snprintf(text + used, sizeof(text) - used, "%s: %ld before, %ld now. ",
							 names[i], before->counts[i], now.counts[i]);
		}
		if (used == 0 || clock_now_ns() >= deadline)
			return text;
		(void)nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
	}
}

long leftovers_device(void)
{
	cleanup_fd int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	cleanup_fd int mount = -1;
	struct stat st;

	if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	return mount < 0 || fstat(mount, &st) < 0 ? -1 : (long)minor(st.st_dev);
}
