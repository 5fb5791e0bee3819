/*
 * Cold starts side by side: one static program run to its end by us and by every peer that is installed, interleaved
 * (A B C A B C ...), so that what disturbs one disturbs all. Prints a table of medians, p99 and ratios; writes every
 * sample as CSV. Not a test: it never fails because a machine is slow.
 *
 * usage: cold ROUNDS CSV RUN_DIR ROOTFS BUNDLE EQUAL_BUNDLE SANDBOX
 *   RUN_DIR       a directory for claims; the caller removes it
 *   BUNDLE        an OCI bundle on the same root file system, for crun and runc: rules like ours, their usual isolation
 *   EQUAL_BUNDLE  the same with what ours has: user and cgroup namespaces, limits, the program that our profile means
 *   SANDBOX       the program cubit-sandbox
 *
 * We are measured twice: as the daemon starts sandboxes, in a resident process, and as the command cubit-sandbox. Peers are
 * commands, measured from spawn to exit. Each peer is spawned by a small process of its own, forked before anything is opened: starting from our grown
 * one would cost them page-table copies. crun 1.8 refuses hybrid cgroup hosts, so its spawner lives in a mount
 * namespace where only the v1 hierarchies show.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/netns.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"

enum { ARGUMENTS = 8, ROUNDS_MAX = 10000, CONTENDERS_MAX = 16, ARGS_MAX = 28 };

struct contender {
	const char *name;
	const char *argv[ARGS_MAX]; /* empty: it is us */
	bool is_pooled_net, counts_teardown, v1_only, wants_id;
	int ask, answer; /* pipes to its spawner */
	uint64_t *samples;
};

static struct sandbox_host *host;
static struct policy_filter *filter;
static struct netns_maker net_maker;
static int rootfs_fd = -1;
static uint64_t create_ns, ready_ns;

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "cold: %s: %s\n", what, err ? err->text : strerror(errno));
	exit(1);
}

/* ---- peers ---- */

static uint64_t spawn_once(const struct contender *c, unsigned n)
{
	char *argv[ARGS_MAX + 2], id[32];
	posix_spawn_file_actions_t actions;
	uint64_t begin;
	pid_t pid;
	int i = 0, status = 0;

	extern char **environ;
	(void)snprintf(id, sizeof(id), "cubit-bench-%d-%u", (int)getpid(), n);
	for (; c->argv[i]; i++)
		argv[i] = (char *)(uintptr_t)c->argv[i];
	if (c->wants_id)
		argv[i++] = id;
	argv[i] = NULL;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, 0, 1);
	begin = clock_now_ns();
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		return 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)posix_spawn_file_actions_destroy(&actions);
	return status == 0 ? clock_now_ns() - begin : 0;
}

static void hide_cgroup2(void)
{
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)umount2("/sys/fs/cgroup/unified",
			      MNT_DETACH); /* our private view; a unified host has no such mount */
}

static void start_spawner(struct contender *c)
{
	int ask[2], answer[2];
	char go;

	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		die("pipe", NULL);
	if (fork() == 0) {
		unsigned n = 0;

		(void)close(ask[1]);
		(void)close(answer[0]);
		if (c->v1_only)
			hide_cgroup2();
		while (read(ask[0], &go, 1) == 1) {
			uint64_t ns = spawn_once(c, n++);

			if (write(answer[1], &ns, sizeof(ns)) != (ssize_t)sizeof(ns))
				break;
		}
		_exit(0);
	}
	(void)close(ask[0]);
	(void)close(answer[1]);
	c->ask = ask[1];
	c->answer = answer[0];
}

static uint64_t measure_peer(const struct contender *c)
{
	uint64_t ns = 0;

	if (write(c->ask, "g", 1) != 1 || read(c->answer, &ns, sizeof(ns)) != (ssize_t)sizeof(ns))
		return 0;
	return ns;
}

/* ---- us ---- */

static uint64_t measure_us(const struct contender *c, unsigned n)
{
	const char *argv[] = { "/bin/payload", "true", NULL }, *env[] = { "PATH=/bin", NULL };
	const struct process_spec process = {
		.argv = argv,
		.env = env,
		.cwd = "/",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = AGENT_STDIO_NO_STDIN,
		.umask = 022,
	};
	const struct run_spec run = {
		.process = &process,
		.input_fd = -1,
		.limits = { .wall_ns = 5 * NS_PER_S, .cpu_ns = 5 * NS_PER_S },
	};
	struct run_result result;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	struct error err = ERROR_INIT;
	cleanup_fd int net = -1;
	uint64_t begin, end;
	char id[32];

	(void)snprintf(id, sizeof(id), "bench-%d-%u", (int)getpid(), n);
	sandbox_spec_defaults(&spec);
	spec.id = id;
	spec.layers = &rootfs_fd;
	spec.n_layers = 1;
	spec.filter = filter->program;
	spec.filter_bytes = filter->n_instructions * sizeof(*filter->program);
	if (c->is_pooled_net) {
		net = netns_new(&net_maker, &err);
		if (net < 0)
			die("pool", &err);
		spec.netns_fd = net;
	}
	begin = clock_now_ns();
	if (sandbox_create(host, &spec, &s, &err) < 0)
		die("create", &err);
	create_ns += clock_now_ns() - begin;
	if (run_process(s, &run, &result, &err) < 0)
		die("run", &err);
	end = clock_now_ns();
	ready_ns += end - begin;
	if (result.verdict.status != VERDICT_OK) {
		fprintf(stderr, "cold: verdict %s: %s\n", verdict_name(result.verdict.status), result.verdict.reason);
		exit(1);
	}
	if (sandbox_destroy(s, 10000, &err) < 0)
		die("destroy", &err);
	return (c->counts_teardown ? clock_now_ns() : end) - begin;
}

static void open_us(const char *rootfs, const char *run_dir)
{
	struct sandbox_host_options o = { .run_dir = run_dir, .id_base = 0x6f000000u, .id_count = 64 };
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct policy_context context;
	struct error err = ERROR_INIT;

	if (policy_lookup("default", &profile, &err) < 0 || policy_context_host(0, &context, &err) < 0 ||
	    policy_compile(profile, &context, &filter, &err) < 0)
		die("policy", &err);
	if (sandbox_host_open(&o, &host, &err) < 0)
		die("host", &err);
	rootfs_fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfs_fd < 0)
		die(rootfs, NULL);
}

/* ---- results ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of sorted samples. */
static double percentile_us(const uint64_t *samples, unsigned n, unsigned percent)
{
	size_t at = (size_t)n * percent / 100;

	return (double)samples[at] / (double)NS_PER_US;
}

static double p50_us(const struct contender *c, unsigned rounds)
{
	return c->samples ? percentile_us(c->samples, rounds, 50) : 0;
}

/* What one command costs beside another, by how their names begin. The samples are sorted. */
static void print_ratio(const struct contender *c, size_t n, unsigned rounds, const char *of, const char *to)
{
	double a = 0, b = 0;

	for (size_t i = 0; i < n; i++) {
		a = strncmp(c[i].name, of, strlen(of)) == 0 ? p50_us(&c[i], rounds) : a;
		b = strncmp(c[i].name, to, strlen(to)) == 0 ? p50_us(&c[i], rounds) : b;
	}
	if (a > 0 && b > 0)
		printf("# %s against %s, whole commands: %.2f\n", of, to, a / b);
}

static void print_table(struct contender *c, size_t n, unsigned rounds)
{
	double base = 1; /* the first row is ours, so it is set before it is used */

	printf("%-40s %10s %10s %10s %12s\n", "one static `true`, start to end", "p50 us", "p99 us", "min us",
	       "p50 / ours");
	for (size_t i = 0; i < n; i++) {
		double p50, p99;

		if (!c[i].samples)
			continue;
		qsort(c[i].samples, rounds, sizeof(uint64_t), compare);
		p50 = percentile_us(c[i].samples, rounds, 50);
		p99 = percentile_us(c[i].samples, rounds, 99);
		if (i == 0)
			base = p50;
		printf("%-40s %10.0f %10.0f %10.0f %12.2f\n", c[i].name, p50, p99,
		       percentile_us(c[i].samples, rounds, 0), p50 / base);
	}
}

/* What they run, and where. */
struct folders {
	const char *run_dir, *rootfs, *bundle, *equal_bundle, *sandbox;
};

static size_t contenders(const struct folders *f, const char *payload, struct contender all[CONTENDERS_MAX])
{
	size_t n = 0;

	all[n++] = (struct contender){ .name = "cubit, netns pooled, with teardown",
				       .is_pooled_net = true,
				       .counts_teardown = true };
	all[n++] = (struct contender){ .name = "cubit, netns pooled, to verdict", .is_pooled_net = true };
	all[n++] = (struct contender){ .name = "cubit, own netns, with teardown", .counts_teardown = true };
	all[n++] = (struct contender){ .name = "cubit-sandbox -- true",
				       .argv = { f->sandbox, "--run-dir", f->run_dir, "--rootfs", f->rootfs, "--",
						 "/bin/payload", "true" } };
	all[n++] = (struct contender){ .name = "bare spawn + exec + wait", .argv = { payload, "true" } };
	all[n++] =
		(struct contender){ .name = "bwrap (no cgroup, no seccomp)",
				    .argv = { "bwrap", "--unshare-all", "--ro-bind", f->rootfs, "/", "--proc", "/proc",
					      "--dev", "/dev", "--tmpfs", "/tmp", "/bin/payload", "true" } };
	all[n++] = (struct contender){ .name = "crun run, same rules",
				       .v1_only = true,
				       .wants_id = true,
				       .argv = { "crun", "run", "--bundle", f->bundle } };
	all[n++] = (struct contender){ .name = "runc run, same rules",
				       .wants_id = true,
				       .argv = { "runc", "run", "--bundle", f->bundle } };
	all[n++] = (struct contender){ .name = "crun run, equal isolation",
				       .v1_only = true,
				       .wants_id = true,
				       .argv = { "crun", "run", "--bundle", f->equal_bundle } };
	all[n++] = (struct contender){ .name = "runc run, equal isolation",
				       .wants_id = true,
				       .argv = { "runc", "run", "--bundle", f->equal_bundle } };
	/* Debian 12 has none of these three: the rows are for machines that have them from elsewhere */
	all[n++] =
		(struct contender){ .name = "nsjail (no seccomp)",
				    .argv = { "nsjail", "-Mo", "-Q", "--chroot", f->rootfs, "--user", "1000:100000:1",
					      "--group", "1000:100000:1", "--", "/bin/payload", "true" } };
	all[n++] = (struct contender){ .name = "minijail0 (no cgroup, no seccomp)",
				       .argv = { "minijail0", "-v", "-p", "-r", "-e", "-l", "-N", "-u", "1000", "-g",
						 "1000", "-C", f->rootfs, "/bin/payload", "true" } };
	all[n++] = (struct contender){ .name = "isolate (no user namespace, no seccomp)",
				       .argv = { "isolate", "--run", "--silent", "--dir", f->rootfs, "--", payload,
						 "true" } };
	return n;
}

/* Once to warm up, and to see what works here. */
static void warm_up(struct contender *all, size_t n, unsigned rounds)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t ns = all[i].argv[0] ? measure_peer(&all[i]) : measure_us(&all[i], 0);

		if (ns == 0)
			printf("# %s: not installed, or does not run here\n", all[i].name);
		else
			all[i].samples = calloc(rounds, sizeof(uint64_t));
	}
	create_ns = ready_ns = 0;
}

static void measure_all(struct contender *all, size_t n, unsigned rounds, FILE *csv)
{
	fprintf(csv, "contender,round,ns\n");
	for (unsigned r = 0; r < rounds; r++) {
		for (size_t i = 0; i < n; i++) {
			if (!all[i].samples)
				continue;
			all[i].samples[r] = all[i].argv[0] ? measure_peer(&all[i]) : measure_us(&all[i], r + 1);
			fprintf(csv, "\"%s\",%u,%llu\n", all[i].name, r, (unsigned long long)all[i].samples[r]);
		}
	}
}

int main(int argc, char **argv)
{
	static struct contender all[CONTENDERS_MAX];
	unsigned rounds = argc == ARGUMENTS ? (unsigned)atoi(argv[1]) : 0; /* NOLINT(cert-err34-c): checked below */
	static char payload[4096];
	struct folders f;
	size_t n;
	FILE *csv;

	if (rounds < 10 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: cold ROUNDS CSV RUN_DIR ROOTFS BUNDLE EQUAL_BUNDLE SANDBOX (ROUNDS 10 to %d)\n",
			ROUNDS_MAX);
		return 2;
	}
	f = (struct folders){ argv[3], argv[4], argv[5], argv[6], argv[7] };
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(payload, sizeof(payload), "%s/bin/payload", f.rootfs);
	n = contenders(&f, payload, all);
	for (size_t i = 0; i < n; i++) {
		if (all[i].argv[0])
			start_spawner(&all[i]);
	}
	open_us(f.rootfs, f.run_dir);
	csv = fopen(argv[2], "we");
	if (!csv)
		die(argv[2], NULL);
	warm_up(all, n, rounds);
	measure_all(all, n, rounds, csv);
	(void)fclose(csv);
	print_table(all, n, rounds);
	print_ratio(all, n, rounds, "cubit-sandbox -- true", "bwrap");
	printf("# ours: sandbox_create returns after %.0f us, verdict after %.0f us (means over all three rows)\n",
	       (double)create_ns / rounds / 3 / (double)NS_PER_US, (double)ready_ns / rounds / 3 / (double)NS_PER_US);
	sandbox_host_close(host);
	policy_filter_unref(filter);
	return 0;
}
