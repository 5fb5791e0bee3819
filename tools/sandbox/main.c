/*
 * cubit-sandbox: run one program in a sandbox and print the verdict as JSON. A developer's tool: all that a job of the
 * daemon gets, without the daemon.
 *
 * How it works: this process is the monitor and the front of one sandbox. It needs root: it makes the namespaces,
 * mounts and control groups. What runs inside is nobody outside. Descriptor traffic: the agent socket to pid 1 inside,
 * three pipes to the program. When this process dies, pid 1 sees its socket close and the sandbox ends with it; what
 * stays (a control group, a claim on an id range) is removed by the next one that starts.
 *
 *   root        cubit-sandbox --rootfs ... -- /bin/true
 *   1879048192   \_ cubit-init
 *   1879049192       \_ /bin/true
 *
 * Exit status: 0 verdict ok; 1 another verdict; 2 bad usage, or a bad setting; 3 the host or Cubit failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policies/compile.h"
#include "policies/filter_dir.h"
#include "policies/ready.h"
#include "policies/rules.h"
#include "runtime/agent/agent.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/cgroup/cgroup_scope.h"
#include "runtime/netns.h"
#include "runtime/rootfs/disk.h"
#include "supervisor/settings.h"
#include "tools/sandbox/image.h"
#include "tools/sandbox/options.h"
#include "tools/sandbox/report.h"

enum { EXIT_OK = 0, EXIT_VERDICT = 1, EXIT_USAGE = 2, EXIT_HOST = 3 };
enum { DESTROY_TIMEOUT_MS = 10000, REPORT_TIMEOUT_MS = 10000, NET_POOL = 16 };

static volatile bool is_cancelled;

static void on_signal(int signo)
{
	(void)signo;
	is_cancelled = true;
}

/* Everything one run needs, made once and used --repeat times. */
struct session {
	struct options o;
	struct sandbox_host *host;
	struct policy_filter *filter;
	int layer_fds[OPTION_LAYERS_MAX];
	struct used_image image;
	int disk_fd, input_fd;
	int nets[NET_POOL];
	size_t n_nets;
	struct netns_maker net_maker;
	struct buf output[2];
	bool has_report;
	struct agent_ready report;
};

static int on_output(int stream, const void *data, size_t size, void *arg)
{
	struct session *s = arg;

	if (s->o.is_live)
		return fd_write_all(stream, data, size, NULL); /* a reader that went away cancels the run */
	return buf_append(&s->output[stream - 1], data, size);
}

static int open_dir(const char *path, int *ret, struct error *err)
{
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? error_errno(err, errno, "open directory '%s'", path) : 0;
}

/* Where filters of profiles in files are kept: beside the claims. -1: not there, each is compiled. */
static int open_filters(const struct session *s)
{
	struct error err = ERROR_INIT;
	cleanup_fd int dir = -1;
	int fd = open_dir(s->o.run_dir, &dir, &err);

	if (fd == 0)
		fd = filter_dir_open(dir, &err);
	if (fd < 0)
		log_debug(LOG_FACTS(LOG_STR("error", err.text)), "no filters are kept");
	return fd;
}

static int take_policy(struct session *s, struct error *err)
{
	cleanup_fd int filters = strchr(s->o.policy, '/') ? open_filters(s) : -1;
	struct policy_context context;
	int r = policy_context_host(s->o.spec.caps, &context, err);

	if (r == 0)
		r = policy_ready(s->o.policy, &context, filters, &s->filter, err);
	if (r < 0)
		return error_wrap(err, "policy '%s'", s->o.policy);
	s->o.spec.filter = s->filter->program;
	s->o.spec.filter_bytes = s->filter->n_instructions * sizeof(*s->filter->program);
	return 0;
}

static int open_disk(struct session *s, struct error *err)
{
	struct disk disk = { .fd = -1 };
	cleanup_fd int dir = -1;
	int r = open_dir(s->o.disk_dir, &dir, err);

	if (r == 0)
		r = disk_open(dir, "disk", s->o.spec.disk.size_bytes, s->o.spec.disk.inodes, &disk, err);
	if (r < 0)
		return r;
	s->disk_fd = s->o.spec.disk.dir_fd = disk.fd;
	s->o.spec.disk.kind = disk.kind;
	return 0;
}

static int open_files(struct session *s, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->o.n_layers; i++)
		r = open_dir(s->o.layers[i], &s->layer_fds[i], err);
	s->o.spec.layers = s->layer_fds;
	s->o.spec.n_layers = s->o.n_layers;
	if (r == 0 && s->o.image)
		r = used_image_open(&s->o, &s->image, err);
	options_complete(&s->o);
	if (r == 0 && s->o.disk_dir) {
		r = open_disk(s, err);
	}
	if (r == 0 && s->o.input) {
		s->input_fd = strcmp(s->o.input, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
							   : open(s->o.input, O_RDONLY | O_CLOEXEC);
		if (s->input_fd < 0)
			r = error_errno(err, errno, "open '%s'", s->o.input);
	}
	return r;
}

/* "CLONE" is a stage of ours, "agent:PIVOT" would be ambiguous nowhere: both lists are tried. */
static int choose_fault(struct session *s, struct error *err)
{
	static const char *const host_stages[] = {
#define X(name, text) #name,
		SANDBOX_STAGES(X)
#undef X
	};
	static const char *const agent_stages[] = {
#define X(name, text) #name,
		AGENT_STAGES(X)
#undef X
	};

	if (!s->o.fault)
		return 0;
	for (size_t i = 1; i < SANDBOX_STAGE_COUNT; i++) {
		if (strcmp(s->o.fault, host_stages[i]) == 0)
			s->o.spec.fault = (enum sandbox_stage)i;
	}
	for (size_t i = AGENT_STAGE_RECEIVE; i <= AGENT_STAGE_DROP; i++) {
		if (strcmp(s->o.fault, agent_stages[i]) == 0)
			s->o.spec.agent_fault = (uint32_t)i;
	}
	if (s->o.spec.fault == SANDBOX_STAGE_NONE && s->o.spec.agent_fault == AGENT_STAGE_NONE)
		return error_set(err, EINVAL, "--fault: no stage '%s'", s->o.fault);
	return 0;
}

static void list_faults(void)
{
#define X(name, text)                                                                                                  \
	if (SANDBOX_STAGE_##name != SANDBOX_STAGE_NONE)                                                                \
		printf("%s\t%s\n", #name, text);
	SANDBOX_STAGES(X)
#undef X
#define X(name, text)                                                                                                  \
	if (AGENT_STAGE_##name >= AGENT_STAGE_RECEIVE && AGENT_STAGE_##name <= AGENT_STAGE_DROP)                       \
		printf("%s\t%s\n", #name, text);
	AGENT_STAGES(X)
#undef X
}

static int session_open(struct session *s, struct error *err)
{
	struct sandbox_host_options ho = {
		.run_dir = s->o.run_dir,
		.id_base = (uint32_t)s->o.id_base,
		.id_count = (uint32_t)s->o.id_count,
		.allow_unenforced = settings_used()->allow_unenforced,
	};
	int r = choose_fault(s, err);

	if (r == 0)
		r = sandbox_host_open(&ho, &s->host,
				      err); /* first: with our limits as they were, anything might fail */
	if (r == 0)
		r = take_policy(s, err);
	if (r == 0)
		r = open_files(s, err);
	return r;
}

static void session_close(struct session *s)
{
	for (size_t i = 0; i < s->o.n_layers; i++)
		fd_close(&s->layer_fds[i]);
	used_image_close(&s->image);
	while (s->n_nets > 0)
		fd_close(&s->nets[--s->n_nets]);
	netns_maker_done(&s->net_maker);
	fd_close(&s->disk_fd);
	fd_close(&s->input_fd);
	policy_filter_unref(s->filter);
	sandbox_host_close(s->host);
	buf_done(&s->output[0]);
	buf_done(&s->output[1]);
}

/* Ask for the self-report and wait for it. */
static int take_report(struct session *s, struct sandbox *sb, struct error *err)
{
	static struct agent_event e;
	struct pollfd p = { .fd = sb->sock, .events = POLLIN };
	int r = agent_request(sb->sock, AGENT_REPORT, sandbox_next_seq(sb), NULL, err);

	if (r < 0)
		return r;
	if (poll(&p, 1, REPORT_TIMEOUT_MS) <= 0)
		return error_set(err, ETIMEDOUT, "no self-report");
	r = agent_receive(sb->sock, &e, MSG_DONTWAIT, err);
	if (r == 1 && e.header.type == AGENT_REFUSED)
		r = agent_failure(&e.any.failed, err);
	else if (r == 1 && e.header.type == AGENT_READY && e.any.ready.is_probe)
		s->report = e.any.ready;
	else if (r >= 0)
		r = error_set(err, EPROTO, "no self-report");
	agent_event_done(&e);
	s->has_report = r == 1;
	return r < 0 ? r : 0;
}

static int run_in(struct session *s, struct sandbox *sb, struct run_result *ret, struct error *err)
{
	const struct process_limits limits = { s->o.open_files, s->o.stack_bytes, s->o.file_bytes };
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX];
	size_t n_rlimits = process_rlimits(&limits, rlimits);
	const struct process_spec process = {
		.argv = s->o.argv,
		.env = s->o.run_env,
		.cwd = s->o.cwd,
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = s->input_fd >= 0 || s->o.hold_stdin ? AGENT_STDIO_PIPES : AGENT_STDIO_NO_STDIN,
		.umask = 022,
		.rlimits = rlimits,
		.n_rlimits = n_rlimits,
	};
	const struct run_spec run = {
		.process = &process,
		.limits = s->o.limits,
		.input_fd = s->input_fd,
		.hold_stdin = s->o.hold_stdin,
		.on_output = on_output,
		.arg = s,
		.cancel = &is_cancelled,
	};

	if (s->o.is_probe) {
		int r = sandbox_wait_ready(sb, REPORT_TIMEOUT_MS, err);

		if (r == 0)
			r = take_report(s, sb, err);
		if (r < 0)
			return r;
	}
	return run_process(sb, &run, ret, err);
}

static void random_id(char ret[33])
{
	uint64_t n[2];

	while (getrandom(n, sizeof(n), 0) != (ssize_t)sizeof(n))
		; /* only a signal before the pool is ready, getrandom(2) */
	(void)snprintf(ret, 33, "%016" PRIx64 "%016" PRIx64, n[0], n[1]);
}

struct timing {
	uint64_t begin, created, done, gone;
};

/* One sandbox from nothing to nothing. */
static int run_once(struct session *s, char id[33], struct run_result *ret, struct timing *t, struct error *err)
{
	struct sandbox *sb = NULL;
	int r, d;

	random_id(id);
	s->o.spec.id = s->o.id ? s->o.id : id;
	t->begin = clock_now_ns();
	r = sandbox_create(s->host, &s->o.spec, &sb, err);
	if (r < 0)
		return r;
	t->created = clock_now_ns();
	r = run_in(s, sb, ret, err);
	t->done = clock_now_ns();
	d = sandbox_destroy(sb, DESTROY_TIMEOUT_MS, r < 0 ? NULL : err);
	t->gone = clock_now_ns();
	return r < 0 ? r : d;
}

/* --pooled-net: namespaces are made while nobody waits, as the daemon does. */
static int refill_nets(struct session *s, struct error *err)
{
	while (s->o.is_net_pooled && s->n_nets < NET_POOL) {
		int fd = netns_new(&s->net_maker, err);

		if (fd < 0)
			return fd;
		s->nets[s->n_nets++] = fd;
	}
	return 0;
}

static int run_all(struct session *s, struct run_result *result, char id[33], struct error *err)
{
	for (uint64_t i = 0; i < s->o.repeat && !is_cancelled; i++) {
		cleanup_fd int net = -1;
		struct timing t = { 0 };
		int r = 0;

		if (s->n_nets == 0)
			r = refill_nets(s, err);
		if (r == 0 && s->n_nets > 0) {
			net = s->nets[--s->n_nets]; /* lives as long as the sandbox */
			s->o.spec.netns_fd = net;
		}
		if (r == 0)
			r = run_once(s, id, result, &t, err);
		if (r < 0)
			return r;
		if (s->o.repeat > 1)
			fprintf(stderr,
				"run %" PRIu64 " create_us %" PRIu64 " verdict_us %" PRIu64 " gone_us %" PRIu64 "\n", i,
				(t.created - t.begin) / NS_PER_US, (t.done - t.begin) / NS_PER_US,
				(t.gone - t.begin) / NS_PER_US);
	}
	return 0;
}

static int print_verdict(struct session *s, const char *id, const struct run_result *result, struct error *err)
{
	cleanup_file FILE *file = s->o.verdict_path ? fopen(s->o.verdict_path, "we") : NULL;
	FILE *to = file ? file : s->o.is_live ? stderr : stdout;
	int r;

	if (s->o.verdict_path && !file)
		return error_errno(err, errno, "open '%s'", s->o.verdict_path);
	r = report_print(to, id, result, s->o.is_live ? NULL : s->output, s->has_report ? &s->report : NULL);
	return r < 0 ? error_errno(err, -r, "write the verdict") : 0;
}

int main(int argc, char **argv)
{
	static struct session s = { .disk_fd = -1, .input_fd = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	struct error err = ERROR_INIT;
	struct run_result result = { .wall_ns = 0 };
	char id[33];
	bool has_settings = settings_use(&err) == 0;
	int r;

	if (!has_settings) {
		fprintf(stderr, "cubit-sandbox: %s\n", err.text);
		settings_use_defaults(); /* --help is printed all the same */
	}
	r = options_parse(argc, argv, &s.o, &err);
	if (r == 0 && !has_settings)
		return EXIT_USAGE;
	if (r != 0) {
		if (r < 0)
			fprintf(stderr, "cubit-sandbox: %s (see --help)\n", err.text);
		return r < 0 ? EXIT_USAGE : EXIT_OK;
	}
	if (s.o.fault && strcmp(s.o.fault, "list") == 0) {
		list_faults();
		return EXIT_OK;
	}
	cgroup_scope_enter();
	(void)signal(SIGPIPE, SIG_IGN); /* a program that does not read its input is no reason to die */
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	for (size_t i = 0; i < OPTION_LAYERS_MAX; i++)
		s.layer_fds[i] = -1;
	r = session_open(&s, &err);
	if (r == 0)
		r = run_all(&s, &result, id, &err);
	if (r == 0)
		r = print_verdict(&s, s.o.spec.id, &result, &err);
	session_close(&s);
	if (r < 0) {
		fprintf(stderr, "cubit-sandbox: %s\n", err.text);
		return EXIT_HOST;
	}
	if (result.verdict.status == VERDICT_INTERNAL_ERROR)
		return EXIT_HOST;
	return result.verdict.status == VERDICT_OK ? EXIT_OK : EXIT_VERDICT;
}
