/*
 * Every stage of a creation made to fail, on purpose and for real: the error says for which sandbox, at what, on which
 * object and why; and nothing is left.
 *
 * # timeout: 180
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct guest guest;
static struct leftovers before;

/* The error of a failure: for this sandbox, in this stage, and why. Then nothing is left. */
static void is_told(const struct error *err, const char *stage, const char *why, const char *what)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "sandbox '%s'", host.id);
	has_str(err->text, name, "%s: the error names the sandbox", what);
	has_str(err->text, stage, "%s: and the stage", what);
	has_str(err->text, why, "%s: and the reason", what);
	is_str(leftovers_since(&host, &before), "", "%s: nothing is left", what);
}

/* A sandbox host with so many id ranges (0: enough). The first sandbox makes what all share, then we count. */
static void begin(uint32_t id_count)
{
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;
	struct sandbox_spec spec;

	need(test_host_reopen(&host, id_count, &err) == 0, "a sandbox host opens %s", err.text);
	test_host_spec(&host, &spec);
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox becomes ready %s", err.text);
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "and is removed");
	leftovers_count(&host, &before);
}

/* ---- on purpose ----------------------------------------------------------------------------------------------- */

static void test_host_stage(enum sandbox_stage stage)
{
	const char *words = sandbox_stage_name(stage);
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	test_host_spec(&host, &spec);
	spec.fault = stage;
	is_int(sandbox_create(host.host, &spec, &s, &err), -ENOTRECOVERABLE, "%s fails", words);
	is_told(&err, words, "on purpose: State not recoverable", words);
}

static void test_agent_stage(uint32_t stage)
{
	const char *words = agent_stage_name(stage);
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	test_host_spec(&host, &spec);
	spec.agent_fault = stage;
	need(sandbox_create(host.host, &spec, &s, &err) == 0, "%s: created %s", words, err.text);
	is_int(sandbox_wait_ready(s, TEST_READY_MS, &err), -ENOTRECOVERABLE, "%s fails", words);
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "%s: what there is of it is removed", words);
	is_told(&err, words, "'on purpose': State not recoverable", words);
}

/* ---- a specification that cannot be ---------------------------------------------------------------------------- */

enum { LAYERS_TOO_MANY = ROOTFS_LAYERS_MAX + 1 };

static int a_file = -1, a_pipe[2] = { -1, -1 }, proc_dir = -1, no_fd = -1, tmpfs_dir = -1;

static void no_layers(struct sandbox_spec *s)
{
	s->n_layers = 0;
}
static void too_many_layers(struct sandbox_spec *s)
{
	static int fds[LAYERS_TOO_MANY];

	for (int i = 0; i < LAYERS_TOO_MANY; i++)
		fds[i] = host.layer_fd;
	s->layers = fds;
	s->n_layers = LAYERS_TOO_MANY;
}
static void layer_is_file(struct sandbox_spec *s)
{
	s->layers = &a_file;
}
static void layer_is_pipe(struct sandbox_spec *s)
{
	s->layers = a_pipe;
}
static void layer_is_closed(struct sandbox_spec *s)
{
	s->layers = &no_fd;
}
static void layer_is_proc(struct sandbox_spec *s)
{
	s->layers = &proc_dir;
}
static void layer_is_tmpfs(struct sandbox_spec *s)
{
	s->layers = &tmpfs_dir;
}
static void no_disk(struct sandbox_spec *s)
{
	s->disk = (struct rootfs_disk){ .kind = ROOTFS_DIR, .dir_fd = -1 };
}
static void disk_is_file(struct sandbox_spec *s)
{
	s->disk = (struct rootfs_disk){ .kind = ROOTFS_DIR, .dir_fd = a_file };
}
static void no_network(struct sandbox_spec *s)
{
	s->netns_fd = a_file;
}
static void no_filter(struct sandbox_spec *s)
{
	s->filter_bytes = 0;
}
static void odd_filter(struct sandbox_spec *s)
{
	s->filter_bytes -= 1;
}
static void root(struct sandbox_spec *s)
{
	s->uid = 0;
}
static void root_group(struct sandbox_spec *s)
{
	s->gid = 0;
}
static void unmapped(struct sandbox_spec *s)
{
	s->uid = 65536;
}
static void no_such_cpu(struct sandbox_spec *s)
{
	(void)snprintf(s->limits.cpuset, sizeof(s->limits.cpuset), "4000");
}

static const struct {
	void (*spoil)(struct sandbox_spec *s);
	int code; /* 0: any */
	const char *stage, *why, *what;
} bad[] = {
	{ no_layers, EINVAL, "root file system", "0 layers", "no layers" },
	{ too_many_layers, EINVAL, "root file system", "401 layers", "a layer too many" },
	{ layer_is_file, 0, "root file system", "", "a layer that is a file" },
	{ layer_is_pipe, 0, "root file system: layer 0", "", "a layer that is a pipe" },
	{ layer_is_closed, EBADF, "root file system: layer 0", "Bad file descriptor", "a layer that is no descriptor" },
	{ layer_is_proc, EINVAL, "root file system: layer 0", "cannot be idmapped", "a layer on /proc" },
	{ no_disk, EBADF, "root file system", "Bad file descriptor", "a disk that is no descriptor" },
	{ disk_is_file, ENOTDIR, "root file system", "Not a directory", "a disk that is a file" },
	{ no_network, EINVAL, "clone into new namespaces", "network namespace", "a network that is a file" },
	{ no_filter, EINVAL, "", "no system call filter", "no filter" },
	{ odd_filter, EINVAL, "", "no system call filter", "half a filter" },
	{ root, EINVAL, "", "without allow_root", "uid 0 unasked" },
	{ root_group, EINVAL, "", "without allow_root", "gid 0 unasked" },
	{ unmapped, EINVAL, "", "not below 65536", "a uid beyond the range" },
	{ no_such_cpu, EINVAL, "make the control group", "cpuset", "a cpu that does not exist" },
};

static void test_bad(size_t i)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	int r;

	test_host_spec(&host, &spec);
	bad[i].spoil(&spec);
	r = sandbox_create(host.host, &spec, &s, &err);
	ok(bad[i].code ? r == -bad[i].code : r < 0, "%s is refused (%d)", bad[i].what, r);
	diag("%s", err.text);
	is_told(&err, bad[i].stage, bad[i].why, bad[i].what);
	if (r == 0)
		(void)sandbox_destroy(s, TEST_DESTROY_MS, NULL);
}

static void test_bad_ids(void)
{
	static const char *const ids[] = {
		"", ".", "../x", "a/b", "a b", "x2345678901234567890123456789012345678901234567890123456789012345"
	};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct error err = ERROR_INIT;
		struct sandbox_spec spec;
		struct sandbox *s = NULL;

		test_host_spec(&host, &spec);
		spec.id = ids[i];
		is_int(sandbox_create(host.host, &spec, &s, &err), -EINVAL, "an id '%s' is refused", ids[i]);
	}
	is_str(leftovers_since(&host, &before), "", "nothing is left of them");
}

/* Idmapped tmpfs came with Linux 6.3: on older kernels the refusal has to say what to do. */
static void test_layer_on_tmpfs(void)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	int r;

	test_host_spec(&host, &spec);
	layer_is_tmpfs(&spec);
	r = sandbox_create(host.host, &spec, &s, &err);
	if (r == 0) {
		ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "a layer on tmpfs is possible on this kernel %s",
		   err.text);
		is_str(leftovers_since(&host, &before), "", "and nothing is left");
		return;
	}
	is_int(r, -EINVAL, "a layer on tmpfs is not possible on this kernel");
	is_told(&err, "root file system: layer 0", "keep images on ext4, xfs or btrfs", "a layer on tmpfs");
}

/* ---- too little to start with ----------------------------------------------------------------------------------- */

/* Whatever the kernel does with so small a limit: an error in words or a verdict, and soon. */
static void test_little_memory(uint64_t kib)
{
	const struct process_spec process = guest_process(ARGV(PAYLOAD, "true"));
	const struct run_spec run = { .process = &process, .input_fd = -1, .limits = { .wall_ns = 5 * NS_PER_S } };
	struct run_result result = { .wall_ns = 0 };
	struct error err = ERROR_INIT;
	uint64_t start_ns = clock_now_ns();
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	int r;

	test_host_spec(&host, &spec);
	spec.limits.memory_max_bytes = kib << 10;
	r = sandbox_create(host.host, &spec, &s, &err);
	if (r == 0)
		r = run_process(s, &run, &result, &err);
	ok(clock_now_ns() - start_ns < 20 * NS_PER_S, "with %d KiB of memory it does not hang", (int)kib);
	if (r < 0)
		has_str(err.text, host.id, "with %d KiB it says for whom: %s", (int)kib, err.text);
	else
		ok(result.verdict.status == VERDICT_MEMORY_LIMIT || result.verdict.status == VERDICT_OK,
		   "with %d KiB the verdict is memory_limit, if not ok: %s (%s)", (int)kib,
		   verdict_name(result.verdict.status), result.verdict.reason);
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "with %d KiB it is removed", (int)kib);
	is_str(leftovers_since(&host, &before), "", "with %d KiB nothing is left", (int)kib);
}

/* Started, but without its process: what the first failing start says. The sandbox is ended. */
static const char *start_in(const struct sandbox_spec *spec)
{
	static char text[600];
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;
	int st;

	if (test_sandbox(&host, spec, &s, &err) < 0) {
		(void)snprintf(text, sizeof(text), "not ready: %s", err.text);
		return text;
	}
	guest_init(&guest, s);
	(void)snprintf(text, sizeof(text), "%s", guest_run(&guest, &st, ARGV(PAYLOAD, "true")));
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "it is removed");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	return text;
}

static void test_little_else(void)
{
	static const uint64_t garbage[2] = { UINT64_MAX, UINT64_MAX };
	struct sandbox_spec spec;
	const char *words;

	test_host_spec(&host, &spec);
	spec.limits.pids_max = 1; /* pid 1 itself */
	words = start_in(&spec);
	has_str(words,
		"refused: start a process: ", "without room for a second process the start is refused, by stage");
	has_str(words, ": Resource temporarily unavailable", "and for what reason");
	test_host_spec(&host, &spec);
	spec.filter = garbage;
	spec.filter_bytes = sizeof(garbage);
	is_str(start_in(&spec), "refused: install the system call filter: 'filter': Invalid argument",
	       "with a filter that the kernel refuses nothing is ever started");
	test_host_spec(&host, &spec);
	spec.disk.size_bytes = 4096;
	spec.disk.inodes = 1;
	is_str(start_in(&spec), "", "with next to no disk a program that writes nothing runs");
}

static void test_ranges_run_out(void)
{
	struct sandbox *s[2] = { NULL, NULL }, *more = NULL;
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;

	begin(2);
	for (int i = 0; i < 2; i++) {
		test_host_spec(&host, &spec);
		need(test_sandbox(&host, &spec, &s[i], &err) == 0, "a sandbox takes one %s", err.text);
	}
	test_host_spec(&host, &spec);
	is_int(sandbox_create(host.host, &spec, &more, &err), -EAGAIN, "the third is refused");
	has_str(err.text, "claim an id range: all 2 id ranges are taken", "in words");
	ok(sandbox_destroy(s[0], TEST_DESTROY_MS, NULL) == 0, "one is removed");
	test_host_spec(&host, &spec);
	ok(test_sandbox(&host, &spec, &s[0], &err) == 0, "and makes room");
	for (int i = 0; i < 2; i++)
		ok(sandbox_destroy(s[i], TEST_DESTROY_MS, NULL) == 0, "both are removed");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	begin(0);
}

static void test_same_id(void)
{
	struct sandbox *first = NULL, *second = NULL;
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	int st;

	test_host_spec(&host, &spec);
	need(test_sandbox(&host, &spec, &first, &err) == 0, "a sandbox %s", err.text);
	is_int(sandbox_create(host.host, &spec, &second, &err), -EEXIST, "another one of the same id is refused");
	has_str(err.text, "make the control group", "by stage");
	guest_init(&guest, first);
	is_str(guest_run(&guest, &st, ARGV(PAYLOAD, "echo", "alive")), "alive", "the first one lives on");
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(first, TEST_DESTROY_MS, NULL) == 0, "it is removed");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
}

static void test_oversized(void)
{
	static char big[FRAME_MAX_BYTES];
	struct process_spec p = guest_process(ARGV(PAYLOAD, "true"));
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	int st;

	memset(big, 'x', sizeof(big) - 1);
	p.env = ARGV(big);
	test_host_spec(&host, &spec);
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	is_int(agent_start(s->sock, sandbox_next_seq(s), &p, &err), -EMSGSIZE,
	       "an environment that fits no message is refused");
	has_str(err.text, "longer than", "in words");
	guest_init(&guest, s);
	is_str(guest_run(&guest, &st, ARGV(PAYLOAD, "echo", "alive")), "alive", "the sandbox is as good as before");
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "it is removed");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
}

static void test_impatient(void)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	test_host_spec(&host, &spec);
	need(sandbox_create(host.host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "destroyed in the middle of its set-up");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	test_host_spec(&host, &spec);
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox becomes ready %s", err.text);
	is_int(sandbox_wait_ready(s, 20, &err), -ETIMEDOUT, "it does so once: to wait again is to wait in vain");
	has_str(err.text, "not ready after 20 ms", "and not for ever");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "it is removed");
	is_str(leftovers_since(&host, &before), "", "nothing is left");
}

static void test_bad_hosts(void)
{
	const struct sandbox_host_options o = { .run_dir = "/proc/none/run" },
					  base = { .run_dir = host.run_dir, .id_base = 5 };
	struct sandbox_host *other = NULL;
	struct error err = ERROR_INIT;

	ok(sandbox_host_open(&o, &other, &err) < 0, "a run directory that cannot be made is refused");
	has_str(err.text, "/proc/none/run", "by name");
	is_int(sandbox_host_open(&base, &other, &err), -EINVAL, "so is a base of ids that is none");
	has_str(err.text, "id ranges", "in words");
	ok(fcntl(STDIN_FILENO, F_GETFD) >= 0, "and descriptor 0 is not closed by the way");
	begin(0); /* the failed ones have left the former mount namespace */
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	begin(0);
	a_file = openat(host.layer_fd, "bin/payload", O_RDONLY | O_CLOEXEC);
	proc_dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tmpfs_dir = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(a_file >= 0 && proc_dir >= 0 && tmpfs_dir >= 0 && pipe2(a_pipe, O_CLOEXEC) == 0,
	     "things that are no layers");
	leftovers_count(&host, &before);
	for (int stage = SANDBOX_STAGE_NONE + 1; stage < SANDBOX_STAGE_COUNT; stage++)
		test_host_stage((enum sandbox_stage)stage);
	for (uint32_t stage = AGENT_STAGE_RECEIVE; stage <= AGENT_STAGE_DROP; stage++)
		test_agent_stage(stage);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		test_bad(i);
	test_bad_ids();
	test_layer_on_tmpfs();
	test_little_memory(1024);
	test_little_memory(256);
	test_little_memory(2048);
	test_little_else();
	test_same_id();
	test_oversized();
	test_impatient();
	test_ranges_run_out();
	test_bad_hosts();
	test_host_close(&host);
	return done_testing();
}
