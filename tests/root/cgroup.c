/*
 * Control groups on the host at hand, unified or hybrid: each limit is written and holds, each fact is plausible, and
 * nothing is left. On a hybrid host everything is done a second time with the cgroup2 mount hidden.
 */
#include "runtime/cgroup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup_map.h"
#include "tests/tap.h"

#define MIB ((uint64_t)1 << 20)

static struct cgroup_host host;
static const char *kind; /* "unified", ... in titles */
static char test_id[32];

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

/* ---- processes inside ----------------------------------------------------------------------------------------- */

/* As a sandbox is started: into the v2 group by clone3, then the child enters each v1 group itself. */
static pid_t spawn(const struct cgroup *cg, void (*run)(void *), void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int fds[CGROUP_TASK_FDS_MAX];
	size_t n = cgroup_task_fds(cg, fds);
	pid_t pid;

	if (cgroup_v2_fd(cg) >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_v2_fd(cg);
	}
	fflush(stdout);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid != 0)
		return pid;
	for (size_t i = 0; i < n; i++)
		if (write(fds[i], "0", 1) != 1)
			_exit(99);
	run(arg);
	_exit(0);
}

static void wait_forever(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
}

static void hog(void *arg)
{
	size_t size = *(size_t *)arg;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(98);
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
}

static void spin(void *arg)
{
	atomic_ulong *counter = arg;

	for (;;)
		(void)atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void fork_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++)
		if (fork() == 0)
			wait_forever(NULL);
	wait_forever(NULL);
}

static int wait_status(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return status;
}

/* ---- groups --------------------------------------------------------------------------------------------------- */

/* Entries named like a test's groups, in every hierarchy that the host has. */
static int count_left(const char *id)
{
	char name[128];
	int n = 0;

	(void)snprintf(name, sizeof(name), CGROUP_PREFIX "%s", id);
	if (host.v2.version != CGROUP_NONE)
		n += faccessat(host.v2.base_fd, name, F_OK, 0) == 0;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (host.controllers[c].version == CGROUP_V1)
			n += faccessat(host.controllers[c].base_fd, name, F_OK, 0) == 0;
	return n;
}

/*
 * The groups with our prefix in every base, as one text: equal before and after when nothing is left. Other tests'
 * groups are not looked at, they come and go beside us.
 */
static void list_bases(struct buf *out)
{
	const struct cgroup_place *places[CGROUP_CONTROLLERS + 1] = { &host.v2 };
	char own[64];

	(void)snprintf(own, sizeof(own), CGROUP_PREFIX "%s", test_id);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		places[c + 1] = &host.controllers[c];
	for (int i = 0; i <= CGROUP_CONTROLLERS; i++) {
		struct dirent **names = NULL;
		int n = places[i]->version == CGROUP_NONE ? 0 : scandir(places[i]->base_path, &names, NULL, alphasort);

		for (int k = 0; k < n; k++) {
			if (names[k]->d_type == DT_DIR &&
			    (strncmp(names[k]->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)) != 0 ||
			     strcmp(names[k]->d_name, own) == 0))
				(void)buf_printf(out, "%s/%s\n", places[i]->base_path, names[k]->d_name);
			free(names[k]);
		}
		free(names);
	}
}

static struct cgroup *create(const struct cgroup_limits *limits, const char *what)
{
	struct error err = ERROR_INIT;
	struct cgroup *cg = NULL;
	int r = cgroup_create(&host, test_id, limits, false, &cg, &err);

	need(r == 0, "%s: make a group: %s %s", kind, what, err.text);
	return cg;
}

static void destroy(struct cgroup *cg, const char *what)
{
	struct error err = ERROR_INIT;

	ok(cgroup_destroy(cg, 5000, &err) == 0, "%s: remove the group: %s %s", kind, what, err.text);
	is_int(count_left(test_id), 0, "%s: nothing is left of it: %s", kind, what);
}

/* One file of the group, without its newline; "(none)" when it cannot be read. */
static const char *read_back(enum cgroup_controller c, const char *v2_file, const char *v1_file)
{
	static char text[256];
	const struct cgroup_place *p = &host.controllers[c];
	struct buf b = BUF_INIT;
	char path[128];

	(void)snprintf(path, sizeof(path), CGROUP_PREFIX "%s/%s", test_id, p->version == CGROUP_V2 ? v2_file : v1_file);
	if (fd_read_file(p->base_fd, path, sizeof(text) - 1, &b, NULL) < 0)
		(void)buf_append_str(&b, "(none)");
	(void)snprintf(text, sizeof(text), "%s", buf_str(&b));
	text[strcspn(text, "\n")] = '\0';
	buf_done(&b);
	return text;
}

static const char *pick(enum cgroup_controller c, const char *on_v2, const char *on_v1)
{
	return host.controllers[c].version == CGROUP_V2 ? on_v2 : on_v1;
}

/* ---- the tests ------------------------------------------------------------------------------------------------ */

static void test_limits_are_written(void)
{
	struct cgroup_limits limits = {
		.memory_max_bytes = 64 * MIB, .pids_max = 17, .cpu_max_milli = 1500, .cpu_weight = 50, .cpuset = "0"
	};
	struct cgroup_limits more = { .memory_max_bytes = 96 * MIB, .cpu_max_milli = 5 };
	struct cgroup *cg = create(&limits, "five limits");
	struct error err = ERROR_INIT;
	bool v2_memory = host.controllers[CGROUP_MEMORY].version == CGROUP_V2;

	is_str(read_back(CGROUP_MEMORY, "memory.max", "memory.limit_in_bytes"), "67108864", "%s: memory limit", kind);
	ok(strcmp(read_back(CGROUP_MEMORY, "memory.swap.max", "memory.swappiness"), "0") == 0 ||
		   strcmp(read_back(CGROUP_MEMORY, "memory.swap.max", "memory.swappiness"), "(none)") == 0,
	   "%s: no swap beside it", kind);
	if (v2_memory)
		is_str(read_back(CGROUP_MEMORY, "memory.oom.group", ""), "1", "%s: dies together", kind);
	is_str(read_back(CGROUP_PIDS, "pids.max", "pids.max"), "17", "%s: tasks", kind);
	is_str(read_back(CGROUP_CPU, "cpu.max", "cpu.cfs_quota_us"), pick(CGROUP_CPU, "150000 100000", "150000"),
	       "%s: cpu quota", kind);
	is_str(read_back(CGROUP_CPU, "cpu.weight", "cpu.shares"), pick(CGROUP_CPU, "50", "512"), "%s: cpu weight",
	       kind);
	is_str(read_back(CGROUP_CPUSET, "cpuset.cpus", "cpuset.cpus"), "0", "%s: cpus", kind);

	ok(cgroup_update(cg, &more, &err) == 0, "%s: limits are raised and lowered %s", kind, err.text);
	is_str(read_back(CGROUP_MEMORY, "memory.max", "memory.limit_in_bytes"), "100663296", "%s: raised", kind);
	is_str(read_back(CGROUP_CPU, "cpu.max", "cpu.cfs_quota_us"), pick(CGROUP_CPU, "5000 1000000", "5000"),
	       "%s: a very small quota takes the longest period", kind);
	is_str(read_back(CGROUP_PIDS, "pids.max", "pids.max"), "17", "%s: what is 0 stays", kind);
	more.memory_max_bytes = 32 * MIB;
	ok(cgroup_update(cg, &more, &err) == 0, "%s: limits are lowered %s", kind, err.text);
	destroy(cg, "five limits");
}

static void test_no_limits(void)
{
	struct cgroup_limits none = { .pids_max = 0 };
	struct cgroup *cg = create(&none, "no limits");

	is_str(read_back(CGROUP_PIDS, "pids.max", "pids.max"), "max", "%s: a limit not asked for is not written", kind);
	destroy(cg, "no limits");
}

static void test_memory(void)
{
	struct cgroup_limits limits = { .memory_max_bytes = 16 * MIB };
	size_t small = 4 * MIB, large = 64 * MIB;
	struct cgroup *cg = create(&limits, "memory");
	struct cgroup_stats stats;
	int status;

	status = wait_status(spawn(cg, hog, &small));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: 4 MiB under a limit of 16 MiB are fine", kind);
	(void)cgroup_stats(cg, &stats, NULL);
	is_int(stats.oom_kills, 0, "%s: no kill is counted then", kind);
	status = wait_status(spawn(cg, hog, &large));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: 64 MiB under a limit of 16 MiB are killed", kind);
	(void)cgroup_stats(cg, &stats, NULL);
	ok(stats.oom_kills >= 1 && stats.oom_kills != CGROUP_UNKNOWN, "%s: the kill is a fact (%" PRIu64 ")", kind,
	   stats.oom_kills);
	if (host.controllers[CGROUP_MEMORY].version == CGROUP_V2)
		ok(stats.memory_max_hits >= 1 && stats.memory_max_hits != CGROUP_UNKNOWN,
		   "%s: so are hits of the limit", kind);
	else
		ok(stats.memory_max_hits == CGROUP_UNKNOWN, "%s: hits of the limit are not known on v1", kind);
	ok(stats.memory_peak_bytes == CGROUP_UNKNOWN ||
		   (stats.memory_peak_bytes >= 4 * MIB && stats.memory_peak_bytes <= 16 * MIB),
	   "%s: the peak is below the limit (%" PRIu64 ")", kind, stats.memory_peak_bytes);
	destroy(cg, "memory");
}

static void test_pids(void)
{
	struct cgroup_limits limits = { .pids_max = 8 };
	struct cgroup *cg = create(&limits, "pids");
	struct cgroup_stats stats;
	struct pollfd event = { .fd = cgroup_pids_event_fd(cg), .events = POLLPRI };
	bool is_announced = host.controllers[CGROUP_PIDS].version == CGROUP_V2;
	pid_t pid;

	is_int(event.fd >= 0, is_announced, "%s: forks refused are announced on v2 alone", kind);
	is_int(poll(&event, 1, 0), 0, "%s: not before one is", kind);
	is_int(cgroup_pids_max_hits(cg), 0, "%s: none is counted", kind);
	pid = spawn(cg, fork_many, NULL);
	if (is_announced)
		ok(poll(&event, 1, 10000) == 1 && (event.revents & POLLPRI), "%s: a refused fork wakes poll", kind);
	for (int i = 0; i < 2000 && cgroup_pids_max_hits(cg) < 33; i++)
		sleep_ms(5);
	is_int(cgroup_pids_max_hits(cg), 33, "%s: of 40 forks 7 had room, and each of the others is counted", kind);
	(void)cgroup_stats(cg, &stats, NULL);
	is_int(stats.pids_now, 8, "%s: as many tasks as allowed", kind);
	is_int(stats.pids_max_hits, 33, "%s: the same count in the facts", kind);
	ok(stats.pids_peak == CGROUP_UNKNOWN || stats.pids_peak == 8, "%s: peak of tasks (%lld)", kind,
	   (long long)stats.pids_peak);
	sleep_ms(50); /* the kernel announces at most every 10 ms */
	(void)cgroup_pids_max_hits(cg);
	event.revents = 0;
	is_int(poll(&event, 1, 0), 0, "%s: reading the count re-arms the event", kind);
	ok(cgroup_kill(cg, NULL) == 0, "%s: kill them all", kind);
	(void)wait_status(pid);
	destroy(cg, "pids");
}

static void test_cpu(void)
{
	struct cgroup_limits limits = { .cpu_max_milli = 200 };
	struct cgroup *cg = create(&limits, "cpu");
	atomic_ulong *counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cgroup_stats stats;
	uint64_t start, share;
	pid_t pid;

	need(counter != MAP_FAILED, "%s: shared memory", kind);
	start = clock_now_ns();
	pid = spawn(cg, spin, counter);
	sleep_ms(1000);
	(void)cgroup_kill(cg, NULL);
	(void)wait_status(pid);
	share = cgroup_cpu_usage_ns(cg) * 100 / (clock_now_ns() - start);
	ok(share >= 5 && share <= 40, "%s: a spinner under 200 thousandths gets about 20 %% (%d %%)", kind, (int)share);
	(void)cgroup_stats(cg, &stats, NULL);
	ok(stats.cpu_usage_ns >= 20 * NS_PER_MS && stats.cpu_usage_ns < NS_PER_S, "%s: cpu time is counted", kind);
	/* v1 samples both parts at ticks, and the sum is exact: they need not agree to the millisecond */
	ok(stats.cpu_user_ns + stats.cpu_system_ns <= 2 * stats.cpu_usage_ns && stats.cpu_user_ns > stats.cpu_system_ns,
	   "%s: user %" PRIu64 " and system %" PRIu64 " are about %" PRIu64, kind, stats.cpu_user_ns,
	   stats.cpu_system_ns, stats.cpu_usage_ns);
	/* beside a loaded machine it is paused by others more than by its limit */
	ok(stats.cpu_throttled_ns > NS_PER_MS && stats.cpu_throttled_ns != CGROUP_UNKNOWN,
	   "%s: the pauses are counted (%" PRIu64 " ns)", kind, stats.cpu_throttled_ns);
	(void)munmap(counter, 4096);
	destroy(cg, "cpu");
}

static unsigned long progress(atomic_ulong *counter, long ms)
{
	unsigned long before = atomic_load(counter);

	sleep_ms(ms);
	return atomic_load(counter) - before;
}

static void test_freeze_and_kill(void)
{
	struct cgroup_limits limits = { .pids_max = 4 };
	struct cgroup *cg = create(&limits, "freeze");
	atomic_ulong *counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct error err = ERROR_INIT;
	int status;
	pid_t pid;

	need(counter != MAP_FAILED, "%s: shared memory", kind);
	ok(!cgroup_is_populated(cg), "%s: empty at first", kind);
	pid = spawn(cg, spin, counter);
	for (int i = 0; i < 1000 && atomic_load(counter) == 0; i++)
		sleep_ms(2);
	ok(progress(counter, 50) > 0, "%s: it runs", kind);
	ok(cgroup_is_populated(cg), "%s: not empty then", kind);
	ok(cgroup_freeze(cg, true, 5000, &err) == 0, "%s: freeze %s", kind, err.text);
	is_int(progress(counter, 50), 0, "%s: frozen, it makes no progress", kind);
	ok(cgroup_freeze(cg, false, 5000, &err) == 0, "%s: thaw %s", kind, err.text);
	ok(progress(counter, 300) > 0, "%s: thawed, it goes on", kind);
	ok(cgroup_freeze(cg, true, 5000, &err) == 0, "%s: freeze again %s", kind, err.text);
	ok(cgroup_kill(cg, &err) == 0, "%s: kill the frozen group %s", kind, err.text);
	status = wait_status(pid);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: the frozen process died of it", kind);
	for (int i = 0; i < 1000 && cgroup_is_populated(cg); i++)
		sleep_ms(2);
	ok(!cgroup_is_populated(cg), "%s: empty again", kind);
	(void)munmap(counter, 4096);
	destroy(cg, "freeze");
}

enum { CROWD = 60, CROWD_BYTES = 2 << 20, CROWD_END_S = 10 };

/* Many that have memory to give back, and then want all of the cpu. */
static void crowd(void *arg)
{
	atomic_ulong *n_up = arg;
	size_t size = CROWD_BYTES;

	for (int i = 0; i < CROWD; i++) {
		if (fork() != 0)
			continue;
		hog(&size);
		(void)atomic_fetch_add(n_up, 1);
		for (;;)
			;
	}
	wait_forever(NULL);
}

/* Who has a thousandth of a cpu and is killed still has to give back what it holds: it must not wait for its quota. */
static void test_kill_throttled(void)
{
	struct cgroup_limits limits = { .pids_max = CROWD + 4 }, tight = { .cpu_max_milli = 1 };
	struct cgroup *cg = create(&limits, "throttled");
	atomic_ulong *n_up = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cgroup_stats stats;
	struct error err = ERROR_INIT;
	uint64_t start, took;
	int n_waits = 0;
	pid_t pid;

	need(n_up != MAP_FAILED, "%s: shared memory", kind);
	pid = spawn(cg, crowd, n_up);
	for (int i = 0; i < 6000 && atomic_load(n_up) < CROWD; i++)
		sleep_ms(5);
	is_int(atomic_load(n_up), CROWD, "%s: a crowd is at work", kind);
	need(cgroup_update(cg, &tight, &err) == 0, "%s: give it a thousandth of a cpu %s", kind, err.text);
	do { /* v1 counts a pause when it is over */
		sleep_ms(500);
		(void)cgroup_stats(cg, &stats, NULL);
	} while (stats.cpu_throttled_ns < NS_PER_S && ++n_waits < 40);
	ok(stats.cpu_throttled_ns != CGROUP_UNKNOWN && stats.cpu_throttled_ns > NS_PER_S,
	   "%s: it is throttled (%" PRIu64 " ms)", kind, stats.cpu_throttled_ns / NS_PER_MS);
	start = clock_now_ns();
	ok(cgroup_kill(cg, &err) == 0, "%s: kill it %s", kind, err.text);
	while (cgroup_is_populated(cg) && clock_now_ns() - start < 60 * NS_PER_S)
		sleep_ms(1);
	took = clock_now_ns() - start;
	ok(took < CROWD_END_S * NS_PER_S, "%s: all %d are gone after %d ms", kind, CROWD, (int)(took / NS_PER_MS));
	(void)wait_status(pid);
	(void)munmap(n_up, 4096);
	destroy(cg, "throttled");
}

static int see(const char *id, void *arg)
{
	int *seen = arg;

	*seen += strcmp(id, test_id) == 0;
	return 0;
}

static int stop_at(const char *id, void *arg)
{
	(void)arg;
	return strcmp(id, test_id) == 0 ? 7 : 0;
}

static void test_outliving(void)
{
	struct cgroup_limits limits = { .pids_max = 5 }, bigger = { .pids_max = 9 };
	struct cgroup *cg = create(&limits, "outliving"), *other = NULL;
	struct error err = ERROR_INIT;
	int seen = 0;
	pid_t pid = spawn(cg, wait_forever, NULL);

	for (int i = 0; i < 1000 && !cgroup_is_populated(cg); i++)
		sleep_ms(2);
	is_int(cgroup_create(&host, test_id, &limits, false, &other, &err), -EEXIST, "%s: an id taken is refused",
	       kind);
	ok(count_left(test_id) > 0, "%s: which leaves the first group alone", kind);
	cgroup_close(cg);
	ok(count_left(test_id) > 0, "%s: closing leaves the groups", kind);
	is_int(cgroup_each(&host, see, &seen, NULL), 0, "%s: list groups", kind);
	is_int(seen, 1, "%s: the group is listed once", kind);
	is_int(cgroup_each(&host, stop_at, NULL, NULL), 7, "%s: listing stops when told", kind);
	need(cgroup_open(&host, test_id, &cg, &err) == 0, "%s: open it again %s", kind, err.text);
	ok(cgroup_update(cg, &bigger, &err) == 0, "%s: and change a limit %s", kind, err.text);
	is_str(read_back(CGROUP_PIDS, "pids.max", "pids.max"), "9", "%s: the new limit", kind);
	is_int(cgroup_destroy(cg, 20, &err), -EBUSY, "%s: a group with a process in it is not removed", kind);
	has_str(err.text, "still has processes", "%s: and the text says so", kind);
	need(cgroup_open(&host, test_id, &cg, &err) == 0, "%s: open it once more %s", kind, err.text);
	(void)cgroup_kill(cg, NULL); /* no wait: destroy meets dying processes, and does the waiting */
	destroy(cg, "with a dying process");
	(void)wait_status(pid);
	is_int(cgroup_open(&host, test_id, &cg, &err), -ENOENT, "%s: a group that is gone is not opened", kind);
}

static void test_sub_groups(void)
{
	struct cgroup_limits limits = { .pids_max = 5 };
	struct cgroup *cg;
	char path[128];

	if (host.v2.version == CGROUP_NONE)
		return;
	cg = create(&limits, "sub-groups");
	(void)snprintf(path, sizeof(path), CGROUP_PREFIX "%s", test_id);
	for (int i = 0; i < 5; i++) {
		size_t n = strlen(path);

		(void)snprintf(path + n, sizeof(path) - n, "/-n%d", i);
		ok(mkdirat(host.v2.base_fd, path, 0755) == 0, "%s: a sub-group, depth %d", kind, i + 1);
	}
	destroy(cg, "with sub-groups");
}

static void refused(const struct cgroup_limits *limits, int code, const char *words, const char *what)
{
	struct error err = ERROR_INIT;
	struct cgroup *cg = NULL;
	int r = cgroup_create(&host, test_id, limits, false, &cg, &err);

	is_int(r, -code, "%s: refused: %s", kind, what);
	has_str(err.text, words, "%s: with words: %s", kind, what);
	diag("%s", err.text);
	is_int(count_left(test_id), 0, "%s: and nothing is left: %s", kind, what);
	if (r == 0)
		(void)cgroup_destroy(cg, 1000, NULL); /* the failure is already told */
}

static void test_bad_values(void)
{
	struct cgroup_limits far = { .pids_max = 5, .cpuset = "999" }, words = { .cpuset = "all of them" };
	struct cgroup_limits many = { .pids_max = 5000000 }, heavy = { .cpu_weight = 10001 };
	struct cgroup_limits absent = { .cpuset = "1000" }, endless = { .pids_max = 1 };
	struct cgroup *cg;

	refused(&far, EINVAL, "limit cpuset", "a cpu that does not exist");
	refused(&words, EINVAL, "limit cpuset", "no list of cpus");
	refused(&many, EINVAL, "limit pids_max is 5000000", "more tasks than the kernel has");
	refused(&heavy, EINVAL, "limit cpu_weight", "a weight out of range");
	(void)snprintf(absent.cpuset, sizeof(absent.cpuset), "0-%ld", sysconf(_SC_NPROCESSORS_CONF));
	refused(&absent, EINVAL, "cpuset", "one cpu more than there are");
	memset(endless.cpuset, '1', sizeof(endless.cpuset));
	refused(&endless, EINVAL, "longer", "a text without an end");
	is_int(cgroup_create(&host, "../x", &many, false, &cg, NULL), -EINVAL, "%s: an id that is a path", kind);
	is_int(cgroup_open(&host, "", &cg, NULL), -EINVAL, "%s: an empty id", kind);
}

/* A base that has cpu 0 alone, as a service with AllowedCPUs= has: v2 would silently give cpu 0 to who asks for cpu 1.
 */
static void test_cpus_of_others(void)
{
	struct cgroup_limits outer = { .cpuset = "0" }, inner = { .cpuset = "1" };
	struct cgroup_host full = host;
	struct cgroup_place *place = &host.controllers[CGROUP_CPUSET];
	struct cgroup *cg, *none = NULL;
	struct error err = ERROR_INIT;
	char path[128];
	int fd;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	cg = create(&outer, "one cpu");
	(void)snprintf(path, sizeof(path), CGROUP_PREFIX "%s", test_id);
	fd = openat(place->base_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	need(fd >= 0, "%s: its directory", kind);
	if (place->version == CGROUP_V2) {
		ok(fd_write_file(fd, "cgroup.subtree_control", "+cpuset", NULL) == 0, "%s: it hands cpus down", kind);
		host.v2.base_fd = fd; /* the other controllers are not asked for anything */
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			host.controllers[c].base_fd = fd;
	}
	place->base_fd = fd;
	is_int(cgroup_create(&host, "inner", &inner, false, &none, &err), -EINVAL, "%s: refused: a cpu of others",
	       kind);
	has_str(err.text, "limit cpuset", "%s: with words", kind);
	diag("%s", err.text);
	is_int(count_left("inner"), 0, "%s: and nothing is left", kind);
	host = full;
	(void)close(fd);
	destroy(cg, "one cpu");
}

static void test_unenforceable(void)
{
	struct cgroup_limits limits = { .memory_max_bytes = 16 * MIB, .pids_max = 6, .cpu_max_milli = 100 };
	struct cgroup_limits high = { .memory_high_bytes = 8 * MIB };
	struct cgroup_host full = host;
	struct cgroup *cg = NULL;
	struct error err = ERROR_INIT;

	host.controllers[CGROUP_MEMORY].version = CGROUP_NONE; /* a host without memory control */
	(void)snprintf(host.controllers[CGROUP_MEMORY].why_not, sizeof(host.controllers[CGROUP_MEMORY].why_not),
		       "taken away by a test");
	refused(&limits, ENOTSUP, "taken away by a test", "a controller is missing");
	ok(cgroup_create(&host, test_id, &limits, true, &cg, &err) == 0, "%s: the operator may allow that %s", kind,
	   err.text);
	is_int(cgroup_unenforced(cg), 1 << CGROUP_MEMORY, "%s: the controller is named", kind);
	is_str(read_back(CGROUP_PIDS, "pids.max", "pids.max"), "6", "%s: other limits are written all the same", kind);
	destroy(cg, "unenforced");
	host = full;
	if (host.controllers[CGROUP_MEMORY].version == CGROUP_V1) {
		refused(&high, ENOTSUP, "memory_high_bytes", "a limit that v1 has not");
		ok(cgroup_create(&host, test_id, &high, true, &cg, NULL) == 0, "%s: skipped when allowed", kind);
		is_int(cgroup_unenforced(cg), 1 << CGROUP_MEMORY, "%s: and named", kind);
	} else {
		cg = create(&high, "memory_high");
		is_str(read_back(CGROUP_MEMORY, "memory.high", ""), "8388608", "%s: memory.high", kind);
		is_int(cgroup_unenforced(cg), 0, "%s: nothing is left unenforced", kind);
	}
	destroy(cg, "memory_high");
}

/* Whether io can be limited depends on kernel and disks: either it is written, or refused with words. */
static void test_io(void)
{
	struct cgroup_limits weight = { .io_weight = 50 }, bad = { .io_max = "999:999 rbps=1" };
	struct error err = ERROR_INIT;
	struct cgroup *cg = NULL;
	struct cgroup_stats stats;
	int r = cgroup_create(&host, test_id, &weight, false, &cg, &err);

	ok(r == 0 || (r == -ENOTSUP && strstr(err.text, "io_weight")), "%s: io weight is written or refused: %s", kind,
	   r == 0 ? "written" : err.text);
	if (r == 0) {
		(void)cgroup_stats(cg, &stats, NULL);
		ok(stats.io_read_bytes != CGROUP_UNKNOWN, "%s: bytes read are counted", kind);
		destroy(cg, "io");
	}
	is_int(count_left(test_id), 0, "%s: nothing is left of it: io", kind);
	refused(&bad, host.controllers[CGROUP_IO].version == CGROUP_V2 ? EINVAL : ENOTSUP, "io_max", "no such disk");
}

static void measure(void)
{
	struct cgroup_limits limits = {
		.memory_max_bytes = 64 * MIB, .pids_max = 64, .cpu_max_milli = 1000, .cpu_weight = 100
	};
	enum { ROUNDS = 200 };
	uint64_t made = 0, removed = 0, read = 0;
	struct cgroup_stats stats;

	for (int i = 0; i < ROUNDS; i++) {
		struct cgroup *cg = NULL;
		uint64_t start = clock_now_ns();

		if (cgroup_create(&host, test_id, &limits, false, &cg, NULL) < 0)
			break;
		made += clock_now_ns() - start;
		start = clock_now_ns();
		(void)cgroup_stats(cg, &stats, NULL);
		read += clock_now_ns() - start;
		start = clock_now_ns();
		(void)cgroup_destroy(cg, 1000, NULL); /* counted below */
		removed += clock_now_ns() - start;
	}
	is_int(count_left(test_id), 0, "%s: two hundred groups come and go", kind);
	diag("%s: create %d us, stats %d us, destroy %d us (mean of %d)", kind, (int)(made / ROUNDS / NS_PER_US),
	     (int)(read / ROUNDS / NS_PER_US), (int)(removed / ROUNDS / NS_PER_US), ROUNDS);
}

static void run_all(const char *title)
{
	struct buf before = BUF_INIT, after = BUF_INIT;

	kind = title;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		diag("%s: %s: v%d %s%s", kind, cgroup_controller_name(c), host.controllers[c].version,
		     host.controllers[c].version ? host.controllers[c].base_path : "", host.controllers[c].why_not);
	list_bases(&before);
	test_limits_are_written();
	test_no_limits();
	test_memory();
	test_pids();
	test_cpu();
	test_freeze_and_kill();
	test_kill_throttled();
	test_outliving();
	test_sub_groups();
	test_bad_values();
	test_cpus_of_others();
	test_unenforceable();
	test_io();
	measure();
	list_bases(&after);
	is_str(buf_str(&after), buf_str(&before), "%s: every hierarchy is as it was", kind);
	buf_done(&before);
	buf_done(&after);
}

/* The same machine as one that never had a cgroup2 mount: its lines are cut out of what the kernel says. */
static char *read_without(const char *path, const char *hidden)
{
	struct buf all = BUF_INIT, kept = BUF_INIT;
	char *save = NULL;

	need(fd_read_file(AT_FDCWD, path, 4 * MIB, &all, NULL) == 0, "read %s", path);
	for (char *line = strtok_r(all.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strstr(line, hidden))
			(void)buf_printf(&kept, "%s\n", line);
	buf_done(&all);
	return buf_take(&kept);
}

static void run_without_v2(void)
{
	static struct cgroup_map map;
	char *mountinfo = read_without("/proc/self/mountinfo", "- cgroup2 ");
	char *own = read_without("/proc/self/cgroup", "0::");
	struct error err = ERROR_INIT;

	cgroup_map_parse(mountinfo, own, &map);
	free(mountinfo);
	free(own);
	need(cgroup_host_from_map(&map, true, &host, &err) == 0, "a host without cgroup2 %s", err.text);
	is_int(host.v2.version, CGROUP_NONE, "its cgroup2 mount is hidden");
	if (host.controllers[CGROUP_FREEZER].version == CGROUP_V1)
		run_all("v1 only");
	cgroup_host_done(&host);
}

/* Our v2 group, as the kernel tells it. */
static void own_group(char *out, size_t size)
{
	struct buf b = BUF_INIT;
	const char *line;

	need(fd_read_file(AT_FDCWD, "/proc/self/cgroup", MIB, &b, NULL) == 0, "read /proc/self/cgroup");
	line = strstr(buf_str(&b), "0::");
	(void)snprintf(out, size, "%.*s", line ? (int)strcspn(line, "\n") : 0, line ? line : "");
	buf_done(&b);
}

/* Started as a service is: in a group of its own, that hands nothing down yet. */
static void test_busy_host(const struct cgroup_host *looked)
{
	struct error err = ERROR_INIT;
	char before[512], after[512];
	pid_t other;

	own_group(before, sizeof(before));
	if (looked->v2.version == CGROUP_NONE || looked->controllers[CGROUP_MEMORY].version != CGROUP_V2 ||
	    strstr(before, "/" CGROUP_LEAF) || faccessat(looked->v2.base_fd, "cgroup.events", F_OK, 0) < 0)
		return;
	fflush(stdout);
	other = fork();
	if (other == 0)
		wait_forever(NULL);
	is_int(cgroup_host_open(&host, &err), -EBUSY, "a group with another process in it cannot be prepared");
	has_str(err.text, "Delegate=yes", "the text says how to be started instead");
	own_group(after, sizeof(after));
	is_str(after, before, "and we were not moved");
	ok(faccessat(looked->v2.base_fd, CGROUP_LEAF, F_OK, 0) < 0, "and no leaf was made");
	(void)kill(other, SIGKILL);
	(void)wait_status(other);
}

static void test_host(void)
{
	struct cgroup_host again, looked;
	struct error err = ERROR_INIT;
	char before[512], own[512];

	own_group(before, sizeof(before));
	need(cgroup_host_probe(&looked, &err) == 0, "look at the host %s", err.text);
	own_group(own, sizeof(own));
	is_str(own, before, "looking moves nothing");
	test_busy_host(&looked);
	error_clear(&err);
	need(cgroup_host_open(&host, &err) == 0, "prepare the host %s", err.text);
	own_group(own, sizeof(own));
	if (host.controllers[CGROUP_MEMORY].version == CGROUP_V2 &&
	    faccessat(host.v2.base_fd, "cgroup.events", F_OK, 0) == 0)
		has_str(own, "/" CGROUP_LEAF, "we are in the leaf");
	else
		is_str(own, before, "nobody had to be moved");
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		is_int(looked.controllers[c].version, host.controllers[c].version,
		       "what was seen is what can be had: %s", cgroup_controller_name(c));
	ok(cgroup_host_open(&again, &err) == 0, "preparing twice is fine %s", err.text);
	is_str(again.v2.base_path, host.v2.base_path, "and finds the same base");
	cgroup_host_done(&again);
	cgroup_host_done(&looked);
}

int main(void)
{
	bool is_hybrid;

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	(void)snprintf(test_id, sizeof(test_id), "test.%d", (int)getpid());
	test_host();
	is_hybrid = host.is_hybrid;
	run_all(is_hybrid ? "hybrid" : "unified");
	cgroup_host_done(&host);
	if (is_hybrid)
		run_without_v2();
	return done_testing();
}
