/* Where the controllers are, and making our own v2 group ready to hand them down: see cgroup_host.h. */
#include "runtime/cgroup/cgroup_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup_map.h"

#define SELF "/proc/self/cgroup"

enum { TEXT_MAX = 4 << 20 }; /* mountinfo of a machine with thousands of mounts */

struct controller {
	const char *name;
	bool is_built_into_v2; /* no controller to enable there: every v2 group has it */
};

static const struct controller controllers[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = { "cpu", false },        [CGROUP_CPUACCT] = { "cpuacct", true },
	[CGROUP_MEMORY] = { "memory", false },  [CGROUP_PIDS] = { "pids", false },
	[CGROUP_IO] = { "io", false },          [CGROUP_CPUSET] = { "cpuset", false },
	[CGROUP_FREEZER] = { "freezer", true },
};

const char *cgroup_controller_name(enum cgroup_controller c)
{
	return controllers[c].name;
}

/* ---- directories ---------------------------------------------------------------------------------------------- */

static void place_refuse(struct cgroup_place *p, const char *why)
{
	p->version = CGROUP_NONE;
	p->base_fd = -1;
	(void)snprintf(p->why_not, sizeof(p->why_not), "%s", why);
}

/* Open a group's directory, and be sure that it is one: another mount may cover what mountinfo named. */
static int open_group(const char *path, long magic)
{
	cleanup_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if ((long)fs.f_type != magic)
		return -ENOTTY;
	return fd_take(&fd);
}

/* The place of our own group, or of its parent when our own is the leaf that a launcher or we ourselves made. */
static void place_open(struct cgroup_place *p, const struct cgroup_map_entry *e, enum cgroup_version version)
{
	char *slash;
	int fd;

	(void)snprintf(p->base_path, sizeof(p->base_path), "%s", e->path);
	slash = strrchr(p->base_path, '/');
	if (version == CGROUP_V2 && slash && strcmp(slash + 1, CGROUP_LEAF) == 0 &&
	    (size_t)(slash - p->base_path) >= e->mount_length)
		*slash = '\0';
	fd = open_group(p->base_path, version == CGROUP_V2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
	if (fd < 0) {
		place_refuse(p, "");
		(void)snprintf(p->why_not, sizeof(p->why_not), "'%.90s': %s", e->path,
			       fd == -ENOTTY ? "covered by another mount" : strerror(-fd));
		return;
	}
	p->base_fd = fd;
	p->version = version;
}

/* v1: our own group. Controllers mounted together (cpu,cpuacct) share one descriptor, and so later one group. */
static void place_v1(struct cgroup_host *host, int c, const struct cgroup_map_entry *e)
{
	struct cgroup_place *p = &host->controllers[c];

	if (!e->is_found) {
		place_refuse(p, e->why_not);
		return;
	}
	for (int other = 0; other < c; other++) {
		const struct cgroup_place *o = &host->controllers[other];

		if (o->version == CGROUP_V1 && strcmp(o->base_path, e->path) == 0) {
			*p = *o;
			return;
		}
	}
	place_open(p, e, CGROUP_V1);
}

static int find_places(const struct cgroup_map *map, struct cgroup_host *host, struct error *err)
{
	cleanup_buf struct buf available = BUF_BOUNDED(4096);
	int r;

	if (map->v2.is_found)
		place_open(&host->v2, &map->v2, CGROUP_V2);
	else
		place_refuse(&host->v2, map->v2.why_not);
	if (host->v2.version == CGROUP_V2) {
		r = fd_read_file(host->v2.base_fd, "cgroup.controllers", 4096, &available, err);
		if (r < 0)
			return r;
	}
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		struct cgroup_place *p = &host->controllers[c];

		if (host->v2.version == CGROUP_V2 &&
		    (controllers[c].is_built_into_v2 || text_has_word(buf_str(&available), controllers[c].name))) {
			*p = host->v2;
		} else if (map->v1[c].is_bound || host->v2.version == CGROUP_NONE) {
			place_v1(host, c, &map->v1[c]);
			host->is_hybrid |= p->version == CGROUP_V1;
		} else {
			place_refuse(p, "");
			(void)snprintf(p->why_not, sizeof(p->why_not),
				       "not in cgroup.controllers of '%.60s': was it delegated (Delegate=yes), "
				       "and does the kernel have it?",
				       host->v2.base_path);
		}
	}
	return 0;
}

/* ---- v2: hand controllers down -------------------------------------------------------------------------------- */

/*
 * The root of the hierarchy is exempt from the "no internal processes" rule. It is the one group without
 * cgroup.events, also seen from a cgroup namespace, where some other group merely looks like "/".
 */
static bool is_true_root(int base_fd)
{
	return faccessat(base_fd, "cgroup.events", F_OK, 0) < 0;
}

static int error_busy(const struct cgroup_host *host, struct error *err)
{
	return error_set(
		err, EBUSY,
		"cgroup '%s' has other processes in it and so cannot hand controllers to sandboxes: start with "
		"`systemd-run --scope -p Delegate=yes PROGRAM`, from a unit with Delegate=yes, or in a group "
		"'" CGROUP_LEAF "' below one made for it",
		host->v2.base_path);
}

/* Is somebody other than us in the base group? Looked at before anything is moved. */
static int check_alone(const struct cgroup_host *host, struct error *err)
{
	cleanup_buf struct buf procs = BUF_BOUNDED(TEXT_MAX);
	int r = fd_read_file(host->v2.base_fd, "cgroup.procs", TEXT_MAX, &procs, err);
	char own[24];

	if (r < 0)
		return r;
	(void)snprintf(own, sizeof(own), "%d\n", (int)getpid());
	if (procs.size > 0 && strcmp(buf_str(&procs), own) != 0)
		return error_busy(host, err);
	return 0;
}

/* Move this process, all of its threads, into the leaf below the base. */
static int enter_leaf(const struct cgroup_host *host, bool *ret_is_made, struct error *err)
{
	int r;

	*ret_is_made = mkdirat(host->v2.base_fd, CGROUP_LEAF, 0755) == 0;
	if (!*ret_is_made && errno != EEXIST)
		return error_errno(err, errno, "make cgroup '%s/" CGROUP_LEAF "'", host->v2.base_path);
	r = fd_write_file(host->v2.base_fd, CGROUP_LEAF "/cgroup.procs", "0", err);
	if (r < 0) {
		(void)error_wrap(err, "enter cgroup '%s/" CGROUP_LEAF "'", host->v2.base_path); /* r has the code */
		if (*ret_is_made)
			(void)unlinkat(host->v2.base_fd, CGROUP_LEAF, AT_REMOVEDIR); /* the first failure counts */
	}
	return r;
}

static void leave_leaf(const struct cgroup_host *host, bool is_made)
{
	(void)fd_write_file(host->v2.base_fd, "cgroup.procs", "0", NULL); /* best effort: a failure is being reported */
	if (is_made)
		(void)unlinkat(host->v2.base_fd, CGROUP_LEAF, AT_REMOVEDIR);
}

static bool is_on_v2(const struct cgroup_host *host, int c)
{
	return host->controllers[c].version == CGROUP_V2 && !controllers[c].is_built_into_v2;
}

/*
 * Enable one by one: a single write of all is refused as a whole when one cannot be had (cpu with real-time
 * processes outside the root, say). What cannot be had becomes CGROUP_NONE; only EBUSY is a failure.
 */
static int enable(struct cgroup_host *host, const char *enabled, struct error *err)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		struct cgroup_place *p = &host->controllers[c];
		struct error why = ERROR_INIT;
		char word[16];
		int r;

		if (!is_on_v2(host, c) || text_has_word(enabled, controllers[c].name))
			continue;
		(void)snprintf(word, sizeof(word), "+%s", controllers[c].name);
		r = fd_write_file(host->v2.base_fd, "cgroup.subtree_control", word, &why);
		if (r == -EBUSY)
			return error_busy(host, err);
		if (r < 0) {
			place_refuse(p, "");
			(void)snprintf(p->why_not, sizeof(p->why_not), "cannot be enabled in '%.60s': %.70s",
				       host->v2.base_path, strerror(-r));
		}
	}
	return 0;
}

static int prepare(struct cgroup_host *host, bool is_in_leaf, struct error *err)
{
	cleanup_buf struct buf enabled = BUF_BOUNDED(4096);
	bool is_missing = false, is_made = false, is_moved = false;
	int r = fd_read_file(host->v2.base_fd, "cgroup.subtree_control", 4096, &enabled, err);

	if (r < 0)
		return r;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		is_missing |= is_on_v2(host, c) && !text_has_word(buf_str(&enabled), controllers[c].name);
	if (!is_missing)
		return 0;
	if (!is_in_leaf && !is_true_root(host->v2.base_fd)) {
		r = check_alone(host, err);
		if (r == 0)
			r = enter_leaf(host, &is_made, err);
		if (r < 0)
			return r;
		is_moved = true;
	}
	r = enable(host, buf_str(&enabled), err);
	if (r < 0 && is_moved)
		leave_leaf(host, is_made);
	return r;
}

/* ---- public --------------------------------------------------------------------------------------------------- */

int cgroup_host_from_map(const struct cgroup_map *map, bool may_change, struct cgroup_host *ret, struct error *err)
{
	struct cgroup_host host = { .is_hybrid = false };
	bool is_any = false;
	int r;

	host.v2.base_fd = -1;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		host.controllers[c].base_fd = -1;
	r = find_places(map, &host, err);
	for (int c = 0; r == 0 && c < CGROUP_CONTROLLERS; c++)
		is_any |= host.controllers[c].version != CGROUP_NONE;
	if (r == 0 && !is_any)
		r = error_set(err, ENODEV, "no cgroup hierarchy can be used: %s", host.v2.why_not);
	if (r == 0 && may_change && host.v2.version == CGROUP_V2)
		r = prepare(&host, strcmp(host.v2.base_path, map->v2.path) != 0, err);
	if (r < 0) {
		cgroup_host_done(&host);
		return r;
	}
	*ret = host;
	return 0;
}

/* own_path: whose group, /proc/PID/cgroup */
static int look(const char *own_path, bool may_change, struct cgroup_host *ret, struct error *err)
{
	cleanup_buf struct buf mountinfo = BUF_BOUNDED(TEXT_MAX), own = BUF_BOUNDED(TEXT_MAX);
	struct cgroup_map map; /* some 6 KiB */
	int r;

	r = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &mountinfo, err);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, own_path, TEXT_MAX, &own, err);
	if (r < 0)
		return r;
	cgroup_map_parse(buf_str(&mountinfo), buf_str(&own), &map);
	return cgroup_host_from_map(&map, may_change, ret, err);
}

int cgroup_host_probe(struct cgroup_host *ret, struct error *err)
{
	return look(SELF, false, ret, err);
}

int cgroup_host_open(struct cgroup_host *ret, struct error *err)
{
	return look(SELF, true, ret, err);
}

int cgroup_host_open_of(int pid, struct cgroup_host *ret, struct error *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return look(path, false, ret, err);
}

void cgroup_host_done(struct cgroup_host *host)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		struct cgroup_place *p = &host->controllers[c];
		bool is_shared = p->base_fd == host->v2.base_fd;

		for (int earlier = 0; earlier < c; earlier++)
			is_shared |= p->base_fd == host->controllers[earlier].base_fd;
		if (p->base_fd >= 0 && !is_shared)
			(void)close(p->base_fd); /* O_PATH: nothing to lose */
	}
	fd_close(&host->v2.base_fd);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		host->controllers[c].base_fd = -1;
}
