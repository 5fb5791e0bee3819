/*
 * What sandboxes that do nothing cost: CPU time of a run beside 0, 1, 100 and 1000 of them, and the memory of one, the
 * kernel's too. Not a test: it prints.
 *
 * usage: idle ROUNDS RUN_DIR ROOTFS [MOST]
 *   RUN_DIR  a directory for claims; the caller removes it
 *   MOST     how many idle ones at most (default 1000)
 *
 * CPU time is that of this process and of what it waited for: it is monitor and front of every sandbox, as cold.c's. The
 * first and the last row are beside none, so what changed in the machine meanwhile shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "policies/compile.h"
#include "policies/ready.h"
#include "policies/rules.h"
#include "runtime/agent/agent.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/netns.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"

enum { IDLE_MAX = 1000, ROUNDS_MAX = 1000, FOR_MEMORY = 200, DESTROY_MS = 10000 };

static struct sandbox_host *host;
static struct policy_filter *filter;
static int rootfs_fd = -1;
static struct sandbox *idle[IDLE_MAX];
static int nets[IDLE_MAX];
static size_t n_idle;

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "idle: %s: %s\n", what, err ? err->text : strerror(errno));
	exit(1);
}

static struct sandbox *create(int net)
{
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	struct error err = ERROR_INIT;
	static unsigned number;
	char id[40];

	(void)snprintf(id, sizeof(id), "bench-idle-%d-%u", (int)getpid(), number++);
	sandbox_spec_defaults(&spec);
	spec.id = id;
	spec.layers = &rootfs_fd;
	spec.n_layers = 1;
	spec.filter = filter->program;
	spec.filter_bytes = filter->n_instructions * sizeof(*filter->program);
	spec.netns_fd = net;
	if (sandbox_create(host, &spec, &s, &err) < 0)
		die("create", &err);
	return s;
}

static int new_net(void)
{
	static struct netns_maker maker; /* until the end of the program */
	struct error err = ERROR_INIT;
	int net = netns_new(&maker, &err);

	if (net < 0)
		die("network namespace", &err);
	return net;
}

static void destroy(struct sandbox *s)
{
	struct error err = ERROR_INIT;

	if (sandbox_destroy(s, DESTROY_MS, &err) < 0)
		die("destroy", &err);
}

static void run_once(int net)
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
		.limits = { .wall_ns = 60 * NS_PER_S, .cpu_ns = 60 * NS_PER_S },
	};
	struct error err = ERROR_INIT;
	struct run_result result;
	struct sandbox *s = create(net);

	if (run_process(s, &run, &result, &err) < 0)
		die("run", &err);
	if (result.verdict.status != VERDICT_OK) {
		fprintf(stderr, "idle: verdict %s: %s\n", verdict_name(result.verdict.status), result.verdict.reason);
		exit(1);
	}
	destroy(s);
}

static double cpu_us(void)
{
	double sum = 0;

	for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
		struct rusage u;

		(void)getrusage(who, &u);
		sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6;
		sum += (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	}
	return sum;
}

static void fill(size_t want)
{
	while (n_idle < want) {
		struct error err = ERROR_INIT;

		nets[n_idle] = new_net();
		idle[n_idle] = create(nets[n_idle]);
		if (sandbox_wait_ready(idle[n_idle], DESTROY_MS, &err) < 0)
			die("ready", &err);
		n_idle++;
	}
}

static void drain(void)
{
	while (n_idle > 0) {
		n_idle--;
		destroy(idle[n_idle]);
		fd_close(&nets[n_idle]);
	}
}

/* Beside n idle ones; network namespaces come from a pool, so they are made before. */
static double measure(size_t n, unsigned rounds)
{
	double cpu = 0;

	fill(n);
	for (unsigned i = 0; i < rounds + 3; i++) {
		cleanup_fd int net = new_net();
		double begin = cpu_us();

		run_once(net);
		if (i >= 3) /* the first ones warm up */
			cpu += cpu_us() - begin;
	}
	return cpu / rounds;
}

static long available_kib(void)
{
	cleanup_buf struct buf text = BUF_BOUNDED(65536);
	struct error err = ERROR_INIT;
	const char *at;

	if (fd_read_file(AT_FDCWD, "/proc/meminfo", 65536, &text, &err) < 0)
		die("meminfo", &err);
	at = strstr(buf_str(&text), "MemAvailable:");
	return at ? strtol(at + strlen("MemAvailable:"), NULL, 10) : 0;
}

/* Before anything else was there: what many sandboxes had comes back by and by, and would be taken for these. */
static void measure_memory(size_t n)
{
	long before = available_kib();

	fill(n);
	printf("memory of an idle sandbox, the kernel's too: %ld KiB (MemAvailable over %zu)\n",
	       (before - available_kib()) / (long)n_idle, n_idle);
	drain();
}

static void open_host(const char *run_dir, const char *rootfs)
{
	struct sandbox_host_options o = { .run_dir = run_dir, .id_base = 0x68000000u, .id_count = IDLE_MAX + 8 };
	struct policy_context context;
	struct error err = ERROR_INIT;

	if (policy_context_host(0, &context, &err) < 0 || policy_ready("default", &context, -1, &filter, &err) < 0)
		die("policy", &err);
	if (sandbox_host_open(&o, &host, &err) < 0)
		die("host", &err);
	rootfs_fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfs_fd < 0)
		die(rootfs, NULL);
}

int main(int argc, char **argv)
{
	static const size_t beside[] = { 0, 1, 100, 1000, 0 };
	unsigned rounds = argc >= 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	size_t most = argc == 5 ? strtoul(argv[4], NULL, 10) : IDLE_MAX;
	double none = 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || most > IDLE_MAX) {
		fprintf(stderr, "usage: idle ROUNDS RUN_DIR ROOTFS [MOST] (at most %d, %d)\n", ROUNDS_MAX, IDLE_MAX);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	open_host(argv[2], argv[3]);
	measure_memory(most < FOR_MEMORY ? most : FOR_MEMORY);
	printf("%-28s %14s %12s\n", "CPU of a run beside", "us, everybody's", "x none");
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		size_t n = beside[i] < most ? beside[i] : most;
		double us;

		if (n < n_idle)
			drain();
		us = measure(n, rounds);
		none = i == 0 ? us : none;
		printf("%4zu idle sandboxes          %14.0f %12.2f\n", n, us, us / none);
		(void)fflush(stdout);
	}
	sandbox_host_close(host);
	policy_filter_unref(filter);
	return 0;
}
