/*
 * The life of one sandbox's control group: see cgroup.h.
 *
 * How it works: a group is a directory of the same name below our base in each hierarchy that is needed: one on a
 * unified host; on a hybrid host the v2 directory plus one for each v1 hierarchy (struct hierarchy). A controller is
 * an index into these (struct cgroup_dirs), and which files it has there is the matter of cgroup_limits.c and
 * cgroup_facts.c. Everything is relative to descriptors opened once: no path is walked on the way to a sandbox.
 */
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/cgroup/cgroup_dirs.h"
#include "runtime/cgroup/cgroup_facts.h"
#include "runtime/cgroup/cgroup_limits.h"
#include "runtime/cgroup/cgroup_tree.h"

enum {
	ID_MAX = 64, /* parse_id() */
	EVENTS_MAX = 512,
	KILL_ROUNDS = 20,
	KILL_FREEZE_MS = 50,
	WAIT_FIRST_US = 30,
	WAIT_MOST_US = 4000,
	OOM_NEAR_BYTES = 1 << 20,
	PIDS_NEAR = 1, /* the one that was just refused, or has ended since */
};

/* The group in one hierarchy. */
struct hierarchy {
	const struct cgroup_place *place; /* borrowed from the host */
	int dir_fd;                       /* O_PATH; -1: not there */
	int tasks_fd;                     /* v1 */
	bool is_made;                     /* by this struct */
};

struct cgroup {
	char name[sizeof(CGROUP_PREFIX) + ID_MAX];
	struct hierarchy hierarchies[CGROUP_CONTROLLERS + 1];
	size_t n_hierarchies;
	int hierarchy_of[CGROUP_CONTROLLERS]; /* -1: none */
	int v2_fd;                            /* borrowed from hierarchies, -1 without a cgroup2 mount */
	struct cgroup_dirs dirs;
	int pids_event_fd;
	int oom_fd;         /* what tells of oom_kills: memory.events; v1: memory.oom_control */
	int oom_event_fd;   /* v1 */
	int memory_peak_fd; /* v2: the peak as counted for this descriptor, once it was written to; -1: the group's */
	bool allow_unenforced;
	unsigned unenforced;
};

/* ---- which hierarchies ---------------------------------------------------------------------------------------- */

static int find_hierarchy(const struct cgroup *cg, const struct cgroup_place *place)
{
	for (size_t i = 0; i < cg->n_hierarchies; i++)
		if (cg->hierarchies[i].place->base_fd == place->base_fd)
			return (int)i;
	return -1;
}

static void add_hierarchy(struct cgroup *cg, const struct cgroup_place *place)
{
	if (place->version != CGROUP_NONE && find_hierarchy(cg, place) < 0)
		cg->hierarchies[cg->n_hierarchies++] =
			(struct hierarchy){ .place = place, .dir_fd = -1, .tasks_fd = -1 };
}

/*
 * A v1 group costs a directory and a write by every new process, so io and cpuset, which have no facts that a verdict
 * needs, are made on demand there. limits NULL: everything that there may be.
 */
static bool is_needed(const struct cgroup_place *place, enum cgroup_controller c, const struct cgroup_limits *limits)
{
	if (place->version != CGROUP_V1 || (c != CGROUP_IO && c != CGROUP_CPUSET) || !limits)
		return true;
	return cgroup_limits_need(limits, c);
}

static void plan(struct cgroup *cg, const struct cgroup_host *host, const struct cgroup_limits *limits)
{
	cg->v2_fd = -1;
	cg->pids_event_fd = cg->memory_peak_fd = cg->oom_fd = cg->oom_event_fd = -1;
	add_hierarchy(cg, &host->v2);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (is_needed(&host->controllers[c], c, limits))
			add_hierarchy(cg, &host->controllers[c]);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		const struct cgroup_place *place = &host->controllers[c];
		struct cgroup_dir *dir = &cg->dirs.at[c];

		cg->hierarchy_of[c] = place->version != CGROUP_NONE ? find_hierarchy(cg, place) : -1;
		dir->fd = -1;
		dir->version = cg->hierarchy_of[c] >= 0 ? place->version : CGROUP_NONE;
		dir->why_not = place->version == CGROUP_NONE ? place->why_not
							     : "its v1 group was not made, no limit needed it then";
	}
}

/* Once the directories are open: the same descriptors by controller. */
static void index_dirs(struct cgroup *cg)
{
	if (cg->n_hierarchies > 0 && cg->hierarchies[0].place->version == CGROUP_V2)
		cg->v2_fd = cg->hierarchies[0].dir_fd;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (cg->hierarchy_of[c] >= 0)
			cg->dirs.at[c].fd = cg->hierarchies[cg->hierarchy_of[c]].dir_fd;
}

/* ---- one hierarchy -------------------------------------------------------------------------------------------- */

static int open_dir(const struct cgroup *cg, struct hierarchy *h, struct error *err)
{
	const struct cgroup_place *p = h->place;

	h->dir_fd = openat(p->base_fd, cg->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (h->dir_fd < 0)
		return error_errno(err, errno, "open cgroup '%s/%s'", p->base_path, cg->name);
	if (p->version == CGROUP_V1) {
		h->tasks_fd = openat(h->dir_fd, "tasks", O_WRONLY | O_CLOEXEC);
		if (h->tasks_fd < 0)
			return error_errno(err, errno, "open '%s/%s/tasks'", p->base_path, cg->name);
	}
	return 0;
}

static int make_dir(const struct cgroup *cg, struct hierarchy *h, struct error *err)
{
	if (mkdirat(h->place->base_fd, cg->name, 0755) < 0)
		return error_errno(err, errno, "make cgroup '%s/%s'", h->place->base_path, cg->name);
	h->is_made = true;
	return open_dir(cg, h, err);
}

/* Sleep a little longer each time; false once the deadline has passed. us starts at WAIT_FIRST_US. */
static bool wait_more(unsigned *us, uint64_t deadline_ns)
{
	struct timespec pause = { .tv_nsec = *us * 1000L };

	if (clock_now_ns() >= deadline_ns)
		return false;
	(void)nanosleep(&pause, NULL); /* woken early: looks once more than needed */
	*us = *us * 2 > WAIT_MOST_US ? WAIT_MOST_US : *us * 2;
	return true;
}

/*
 * rmdir gives EBUSY for sub-groups and for processes, dying ones included until they have left. Asked again after
 * short sleeps rather than polling cgroup.events, whose notices the kernel holds back for up to 10 ms.
 */
static int remove_dir(const struct cgroup *cg, const struct hierarchy *h, uint64_t deadline_ns, struct error *err)
{
	const struct cgroup_place *p = h->place;
	unsigned us = WAIT_FIRST_US;

	if (h->dir_fd < 0 && !h->is_made)
		return 0;
	for (;;) {
		if (unlinkat(p->base_fd, cg->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return error_errno(err, errno, "remove cgroup '%s/%s'", p->base_path, cg->name);
		if (h->dir_fd >= 0)
			cgroup_tree_prune(h->dir_fd);
		if (unlinkat(p->base_fd, cg->name, AT_REMOVEDIR) == 0)
			return 0;
		if (!wait_more(&us, deadline_ns))
			return error_set(err, EBUSY, "cgroup '%s/%s' still has processes or sub-groups", p->base_path,
					 cg->name);
	}
}

/* Small files of events, "populated 1\nfrozen 0\n": one value of them, or CGROUP_UNKNOWN. fd at any position. */
static uint64_t read_event(int fd, const char *key)
{
	char text[EVENTS_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return CGROUP_UNKNOWN;
	text[n] = '\0';
	return cgroup_facts_keyed(text, key);
}

/* ---- creation, opening, removal ------------------------------------------------------------------------------- */

static int new_group(const struct cgroup_host *host, const char *id, const struct cgroup_limits *limits,
		     struct cgroup **ret, struct error *err)
{
	struct cgroup *cg;
	int r = parse_id(id, err);

	if (r < 0)
		return r;
	cg = calloc(1, sizeof(*cg));
	if (!cg)
		return error_errno(err, ENOMEM, "make a cgroup");
	(void)snprintf(cg->name, sizeof(cg->name), CGROUP_PREFIX "%s", id);
	plan(cg, host, limits);
	*ret = cg;
	return 0;
}

static int make_group(struct cgroup *cg, const struct cgroup_limits *limits, struct error *err)
{
	const struct cgroup_dir *cpuset = &cg->dirs.at[CGROUP_CPUSET];
	int r = cgroup_limits_check(&cg->dirs, limits, cg->allow_unenforced, &cg->unenforced, err);

	for (size_t i = 0; i < cg->n_hierarchies && r == 0; i++)
		r = make_dir(cg, &cg->hierarchies[i], err);
	if (r < 0)
		return r;
	index_dirs(cg);
	if (cpuset->version == CGROUP_V1)
		r = cgroup_limits_fill_cpuset_v1(cg->hierarchies[cg->hierarchy_of[CGROUP_CPUSET]].place->base_fd,
						 cpuset->fd, err);
	if (r == 0)
		r = cgroup_limits_write(&cg->dirs, limits, cg->allow_unenforced, &cg->unenforced, err);
	return r;
}

int cgroup_create(const struct cgroup_host *host, const char *id, const struct cgroup_limits *limits,
		  bool allow_unenforced, struct cgroup **ret, struct error *err)
{
	struct cgroup *cg = NULL;
	int r = new_group(host, id, limits, &cg, err);

	if (!cg)
		return r;
	cg->allow_unenforced = allow_unenforced;
	r = make_group(cg, limits, err);
	if (r < 0) {
		for (size_t i = 0; i < cg->n_hierarchies; i++) /* only what was made here: EEXIST is somebody else's */
			if (cg->hierarchies[i].is_made)
				(void)remove_dir(cg, &cg->hierarchies[i], 0, NULL); /* nobody is in it */
		cgroup_close(cg);
		return r;
	}
	*ret = cg;
	return 0;
}

int cgroup_open(const struct cgroup_host *host, const char *id, struct cgroup **ret, struct error *err)
{
	struct cgroup *cg = NULL;
	bool is_any = false;
	int r = new_group(host, id, NULL, &cg, err);

	if (!cg)
		return r;
	for (size_t i = 0; i < cg->n_hierarchies && r == 0; i++) {
		struct error why = ERROR_INIT;

		r = open_dir(cg, &cg->hierarchies[i], &why);
		is_any |= r == 0;
		if (r == -ENOENT) /* a group on demand, or one half made or half removed by a process that died */
			r = 0;
		else if (r < 0)
			r = error_set(err, why.code, "%s", why.text);
	}
	if (r == 0 && !is_any)
		r = error_set(err, ENOENT, "there is no cgroup '%s'", cg->name);
	if (r < 0) {
		cgroup_close(cg);
		return r;
	}
	index_dirs(cg);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (cg->dirs.at[c].fd < 0)
			cg->dirs.at[c].version = CGROUP_NONE;
	*ret = cg;
	return 0;
}

int cgroup_destroy(struct cgroup *cg, unsigned timeout_ms, struct error *err)
{
	uint64_t deadline_ns = clock_deadline_ns(timeout_ms * NS_PER_MS);
	int r = 0;

	for (size_t i = 0; cg && i < cg->n_hierarchies; i++) {
		int one = remove_dir(cg, &cg->hierarchies[i], deadline_ns, r == 0 ? err : NULL);

		r = r == 0 ? one : r;
	}
	cgroup_close(cg);
	return r;
}

void cgroup_close(struct cgroup *cg)
{
	if (!cg)
		return;
	fd_close(&cg->pids_event_fd);
	fd_close(&cg->memory_peak_fd);
	fd_close(&cg->oom_fd);
	fd_close(&cg->oom_event_fd);
	for (size_t i = 0; i < cg->n_hierarchies; i++) {
		fd_close(&cg->hierarchies[i].tasks_fd);
		fd_close(&cg->hierarchies[i].dir_fd);
	}
	free(cg);
}

/* ---- joining, limits, facts ----------------------------------------------------------------------------------- */

unsigned cgroup_unenforced(const struct cgroup *cg)
{
	return cg->unenforced;
}

int cgroup_v2_fd(const struct cgroup *cg)
{
	return cg->v2_fd;
}

size_t cgroup_task_fds(const struct cgroup *cg, int ret_fds[CGROUP_TASK_FDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < cg->n_hierarchies && n < CGROUP_TASK_FDS_MAX; i++)
		if (cg->hierarchies[i].tasks_fd >= 0)
			ret_fds[n++] = cg->hierarchies[i].tasks_fd;
	return n;
}

int cgroup_update(struct cgroup *cg, const struct cgroup_limits *limits, struct error *err)
{
	int r = cgroup_limits_check(&cg->dirs, limits, cg->allow_unenforced, &cg->unenforced, err);

	if (r == 0)
		cgroup_limits_make_room(&cg->dirs, limits);
	if (r == 0)
		r = cgroup_limits_write(&cg->dirs, limits, cg->allow_unenforced, &cg->unenforced, err);
	if (r < 0)
		(void)error_wrap(err, "cgroup '%s'", cg->name); /* r has the code even when err is NULL */
	return r;
}

/* A descriptor at any position whose file is one number. "max\n": no limit, CGROUP_UNKNOWN. */
static uint64_t read_whole(int fd)
{
	char text[32], *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t value;

	if (n <= 0)
		return CGROUP_UNKNOWN;
	text[n] = '\0';
	value = strtoull(text, &end, 10);
	return end == text ? CGROUP_UNKNOWN : value;
}

/* No such file in the root: no limit. */
static uint64_t read_number(int dir_fd, const char *file)
{
	cleanup_fd int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? CGROUP_UNKNOWN : read_whole(fd);
}

int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct error *err)
{
	(void)err; /* nothing fails today; a group that is gone has facts that are unknown */
	cgroup_facts_read(&cg->dirs, ret);
	if (cg->memory_peak_fd >= 0)
		ret->memory_peak_bytes = read_whole(cg->memory_peak_fd);
	return 0;
}

bool cgroup_memory_peak_restart(struct cgroup *cg)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_MEMORY];

	if (dir->fd < 0)
		return false;
	if (dir->version == CGROUP_V1)
		return fd_write_file(dir->fd, "memory.max_usage_in_bytes", "0", NULL) == 0;
	if (cg->memory_peak_fd < 0)
		cg->memory_peak_fd = openat(dir->fd, "memory.peak", O_RDWR | O_CLOEXEC); /* older kernels: EACCES */
	return cg->memory_peak_fd >= 0 && write(cg->memory_peak_fd, "0", 1) == 1;
}

uint64_t cgroup_since(uint64_t now, uint64_t base)
{
	return now == CGROUP_UNKNOWN || base == CGROUP_UNKNOWN || now < base ? 0 : now - base;
}

bool cgroup_oom_is_above(const struct cgroup_stats *now, const struct cgroup_stats *base, uint64_t limit_bytes)
{
	if (cgroup_since(now->oom_kills, base->oom_kills) == 0)
		return false;
	if (now->ooms != CGROUP_UNKNOWN)
		return cgroup_since(now->ooms, base->ooms) == 0;
	/* Memory is charged in batches of 64 pages on each cpu: one was refused, so the peak was that close at least. */
	return limit_bytes > 0 && now->memory_peak_bytes != CGROUP_UNKNOWN &&
	       now->memory_peak_bytes < limit_bytes - limit_bytes / 16 &&
	       now->memory_peak_bytes + OOM_NEAR_BYTES < limit_bytes;
}

/* Is a group above full right now? Up to the root of what is mounted, which has no such files. */
static bool is_full_above(int dir_fd)
{
	cleanup_fd int at = openat(dir_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int depth = 0; at >= 0 && depth < CGROUP_TREE_DEPTH; depth++) {
		uint64_t now = read_number(at, "pids.current"), most = read_number(at, "pids.max");
		cleanup_fd int up = -1;

		if (now == CGROUP_UNKNOWN)
			return false;
		if (most != CGROUP_UNKNOWN && now + PIDS_NEAR >= most)
			return true;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_close(&at);
		at = fd_take(&up);
	}
	return false;
}

bool cgroup_forks_are_refused_above(const struct cgroup *cg, const struct cgroup_stats *now, uint64_t limit)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_PIDS];

	if (limit == 0 || dir->fd < 0)
		return false;
	if (now->pids_peak != CGROUP_UNKNOWN)
		return now->pids_peak < limit;
	return now->pids_now != CGROUP_UNKNOWN && now->pids_now < limit && is_full_above(dir->fd);
}

uint64_t cgroup_cpu_usage_ns(const struct cgroup *cg)
{
	return cgroup_facts_cpu_usage_ns(&cg->dirs);
}

int cgroup_pids_event_fd(struct cgroup *cg)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_PIDS];

	if (cg->pids_event_fd < 0 && dir->version == CGROUP_V2 && dir->fd >= 0) {
		cg->pids_event_fd = openat(dir->fd, "pids.events", O_RDONLY | O_CLOEXEC);
		/* a descriptor never read counts as having news: kernel/cgroup, kernfs_generic_poll() */
		if (cg->pids_event_fd >= 0)
			(void)read_event(cg->pids_event_fd, "max");
	}
	return cg->pids_event_fd;
}

uint64_t cgroup_pids_max_hits(const struct cgroup *cg)
{
	cleanup_fd int fd = -1;

	if (cg->pids_event_fd >= 0)
		return read_event(cg->pids_event_fd, "max");
	if (cg->dirs.at[CGROUP_PIDS].fd < 0)
		return CGROUP_UNKNOWN;
	fd = openat(cg->dirs.at[CGROUP_PIDS].fd, "pids.events", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? CGROUP_UNKNOWN : read_event(fd, "max");
}

static int keep_oom_fd(struct cgroup *cg)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_MEMORY];

	if (cg->oom_fd < 0 && dir->fd >= 0)
		cg->oom_fd = openat(dir->fd, dir->version == CGROUP_V1 ? "memory.oom_control" : "memory.events",
				    O_RDONLY | O_CLOEXEC);
	return cg->oom_fd;
}

uint64_t cgroup_oom_kills(struct cgroup *cg)
{
	return keep_oom_fd(cg) < 0 ? CGROUP_UNKNOWN : read_event(cg->oom_fd, "oom_kill");
}

int cgroup_oom_event_fd(struct cgroup *cg)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_MEMORY];
	cleanup_fd int event = -1;
	char text[32];

	if (cg->oom_event_fd >= 0 || dir->version != CGROUP_V1 || keep_oom_fd(cg) < 0)
		return cg->oom_event_fd;
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%d %d", event, cg->oom_fd);
	if (fd_write_file(dir->fd, "cgroup.event_control", text, NULL) == 0)
		cg->oom_event_fd = fd_take(&event);
	return cg->oom_event_fd;
}

/* ---- freeze and kill ------------------------------------------------------------------------------------------ */

static bool is_frozen(const struct cgroup_dir *dir)
{
	bool is_v2 = dir->version == CGROUP_V2;
	cleanup_fd int fd = openat(dir->fd, is_v2 ? "cgroup.events" : "freezer.state", O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n;

	if (fd < 0)
		return false;
	if (is_v2)
		return read_event(fd, "frozen") == 1;
	n = pread(fd, text, sizeof(text), 0); /* THAWED, FREEZING or FROZEN; reading also makes v1 look again */
	return n >= 6 && memcmp(text, "FROZEN", 6) == 0;
}

int cgroup_freeze(struct cgroup *cg, bool on, unsigned timeout_ms, struct error *err)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_FREEZER];
	uint64_t deadline_ns = clock_deadline_ns(timeout_ms * NS_PER_MS);
	unsigned us = WAIT_FIRST_US;
	int r;

	if (dir->fd < 0)
		return error_set(err, ENOTSUP, "cgroup '%s' cannot be frozen: %s", cg->name, dir->why_not);
	if (dir->version == CGROUP_V2)
		r = fd_write_file(dir->fd, "cgroup.freeze", on ? "1" : "0", err);
	else
		r = fd_write_file(dir->fd, "freezer.state", on ? "FROZEN" : "THAWED", err);
	if (r < 0) {
		(void)error_wrap(err, "%s cgroup '%s'", on ? "freeze" : "thaw", cg->name); /* r has the code */
		return r;
	}
	if (timeout_ms == 0)
		return 0;
	while (is_frozen(dir) != on)
		if (!wait_more(&us, deadline_ns))
			return error_set(err, ETIMEDOUT, "cgroup '%s' is not %s after %u ms", cg->name,
					 on ? "frozen" : "thawed", timeout_ms);
	return 0;
}

/*
 * Kernels before 5.14, and hosts without a cgroup2 mount. A round in which the group was frozen whole reaches
 * everybody; otherwise (somebody sits in an uninterruptible sleep) those who forked meanwhile are met in the next one.
 */
static int kill_one_by_one(struct cgroup *cg, struct error *err)
{
	const struct cgroup_dir *dir = &cg->dirs.at[CGROUP_FREEZER];

	if (dir->fd < 0)
		return error_set(err, ENOTSUP, "cgroup '%s' cannot be killed: %s", cg->name, dir->why_not);
	for (int round = 0; round < KILL_ROUNDS; round++) {
		int frozen = cgroup_freeze(cg, true, KILL_FREEZE_MS, NULL);
		size_t n = cgroup_tree_kill(dir->fd);

		(void)cgroup_freeze(cg, false, 0, NULL); /* v1: the signal waits for the thaw */
		if (frozen == 0 || n == 0)
			return 0;
	}
	return error_set(err, EBUSY, "cgroup '%s': processes that cannot be frozen keep appearing", cg->name);
}

int cgroup_kill(struct cgroup *cg, struct error *err)
{
	struct error why = ERROR_INIT;
	int r = -ENOENT;

	cgroup_limits_lift_cpu(&cg->dirs);
	if (cg->v2_fd >= 0)
		r = fd_write_file(cg->v2_fd, "cgroup.kill", "1", &why);
	if (r == -ENOENT)
		return kill_one_by_one(cg, err);
	return r < 0 ? error_set(err, -r, "kill cgroup '%s': %s", cg->name, why.text) : 0;
}

bool cgroup_is_populated(const struct cgroup *cg)
{
	int dir_fd = cg->v2_fd >= 0 ? cg->v2_fd : cg->dirs.at[CGROUP_FREEZER].fd;
	cleanup_fd int fd = -1;
	char byte;

	if (dir_fd < 0)
		return false;
	fd = openat(dir_fd, cg->v2_fd >= 0 ? "cgroup.events" : "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	return cg->v2_fd >= 0 ? read_event(fd, "populated") == 1 : read(fd, &byte, 1) == 1;
}

/* ---- finding what is left ------------------------------------------------------------------------------------- */

/* Is there a group of this name in a place before this one? Then it was reported there. */
static bool is_in_earlier(const struct cgroup_place *const *places, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (faccessat(places[i]->base_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

static int each_in(const struct cgroup_place *const *places, size_t which, int (*fn)(const char *id, void *arg),
		   void *arg, struct error *err)
{
	cleanup_fd int fd = openat(places[which]->base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir)
		return error_errno(err, errno, "list cgroup '%s'", places[which]->base_path);
	(void)fd_take(&fd); /* closedir closes it */
	while ((entry = readdir(dir))) {
		const char *id = entry->d_name + strlen(CGROUP_PREFIX);
		int r;

		if (entry->d_type != DT_DIR || strncmp(entry->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)) != 0 ||
		    parse_id(id, NULL) < 0 || is_in_earlier(places, which, entry->d_name))
			continue;
		r = fn(id, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

int cgroup_each(const struct cgroup_host *host, int (*fn)(const char *id, void *arg), void *arg, struct error *err)
{
	const struct cgroup_place *places[CGROUP_CONTROLLERS + 1];
	struct cgroup all = { .n_hierarchies = 0 };
	int r = 0;

	plan(&all, host, NULL);
	for (size_t i = 0; i < all.n_hierarchies; i++)
		places[i] = all.hierarchies[i].place;
	for (size_t i = 0; i < all.n_hierarchies && r == 0; i++)
		r = each_in(places, i, fn, arg, err);
	return r;
}
