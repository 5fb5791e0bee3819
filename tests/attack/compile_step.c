/*
 * Compiling is running: a compile step and the run after it are two processes of one sandbox, with the same identity, the
 * same limits, and no way for the first to give the second more than files.
 *
 * # timeout: 60
 */
#include <sys/resource.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct leftovers before;

/* Output of a step, bounded. */
struct text {
	char data[16384];
	size_t size;
};

static int collect(int stream, const void *data, size_t size, void *arg)
{
	struct text *t = arg;

	if (stream == 1 && size < sizeof(t->data) - t->size) {
		memcpy(t->data + t->size, data, size);
		t->size += size;
	}
	t->data[t->size] = '\0';
	return 0;
}

/* One step; returns its verdict. */
static enum verdict_status step(struct sandbox *s, const char *const *argv, struct text *text)
{
	static const struct process_rlimit rlimits[] = {
		{ RLIMIT_NOFILE, { 64, 64 } },
		{ RLIMIT_CORE, { 0, 0 } },
	};
	struct process_spec process = guest_process(argv);
	struct run_result result;
	struct error err = ERROR_INIT;
	const struct run_spec run = {
		.process = &process,
		.limits = { .wall_ns = 3 * NS_PER_S, .cpu_ns = 2 * NS_PER_S, .output_bytes = 15000 },
		.input_fd = -1,
		.on_output = collect,
		.arg = text,
	};

	process.rlimits = rlimits;
	process.n_rlimits = sizeof(rlimits) / sizeof(rlimits[0]);
	*text = (struct text){ .size = 0 };
	if (run_process(s, &run, &result, &err) < 0) {
		diag("%s", err.text);
		return VERDICT_INTERNAL_ERROR;
	}
	if (result.verdict.status != VERDICT_OK)
		diag("%s: %s", argv[1], result.verdict.reason);
	return result.verdict.status;
}

static struct sandbox *begin(void)
{
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	struct error err = ERROR_INIT;

	test_host_spec(&host, &spec);
	spec.limits.memory_max_bytes = 32 << 20;
	spec.limits.pids_max = 40;
	spec.disk.size_bytes = 4 << 20;
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	return s;
}

static void end(struct sandbox *s)
{
	struct error err = ERROR_INIT;

	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
}

/* Everything that could differ, asked of both steps. */
static void test_same(void)
{
	static struct text first, second;
	const char *const *const questions[] = {
		ARGV(PAYLOAD, "status"),
		ARGV(PAYLOAD, "rlimits"),
		ARGV(PAYLOAD, "namespaces"),
		ARGV(PAYLOAD, "open-fds"),
		ARGV(PAYLOAD, "env"),
		ARGV(PAYLOAD, "cwd"),
		ARGV(PAYLOAD, "cat", "/proc/self/cgroup"),
		ARGV(PAYLOAD, "cat", "/proc/self/mountinfo"),
		ARGV(PAYLOAD, "cat", "/proc/self/uid_map"),
	};
	struct sandbox *s = begin();

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		is_int(step(s, questions[i], &first), VERDICT_OK, "the compile step can ask: %s", questions[i][1]);
		is_int(step(s, questions[i], &second), VERDICT_OK, "... and the run");
		is_str(second.data, first.data, "... and both get one answer");
		if (i == 0) {
			has_str(first.data, "Seccomp:\t2", "the compile step has the filter");
			has_str(first.data, "CapEff:\t0000000000000000", "... and no capability");
			has_str(first.data, "Uid:\t1000\t1000\t1000\t1000", "... and is the same nobody");
		}
	}
	end(s);
}

/* What a hostile compiler would do. */
static void test_bombs(void)
{
	const struct {
		const char *title;
		const char *const *argv;
		enum verdict_status want;
	} bombs[] = {
		{ "memory", ARGV(PAYLOAD, "memory"), VERDICT_MEMORY_LIMIT },
		{ "processes", ARGV(PAYLOAD, "fork"), VERDICT_PROCESS_LIMIT },
		{ "disk", ARGV(PAYLOAD, "disk", "/work/big"), VERDICT_DISK_LIMIT },
		{ "output", ARGV(PAYLOAD, "output"), VERDICT_OUTPUT_LIMIT },
		{ "cpu", ARGV(PAYLOAD, "spin"), VERDICT_TIME_LIMIT },
		{ "wall", ARGV(PAYLOAD, "sleep", "100"), VERDICT_TIME_LIMIT },
		{ "a foreign call", ARGV(PAYLOAD, "x32"), VERDICT_POLICY_VIOLATION },
	};
	static struct text text;

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		struct sandbox *s = begin();

		is_int(step(s, ARGV(PAYLOAD, "true"), &text), VERDICT_OK, "a first step");
#ifndef __x86_64__
		if (bombs[i].want == VERDICT_POLICY_VIOLATION) {
			end(s);
			continue;
		}
#endif
		is_int(step(s, bombs[i].argv, &text), bombs[i].want, "a second one ends by its limit: %s",
		       bombs[i].title);
		end(s);
	}
}

/* The first leaves traps: daemons, a program in the way, a directory closed, a file that is a link. */
static void test_traps(void)
{
	static struct text text;
	struct sandbox *s = begin();

	(void)step(s,
		   ARGV(PAYLOAD, "each", "daemons", ";", "write", "/bin/payload", "x", ";", "write", "/work/ids", "x",
			";", "call", "symlink", "/proc/self/exe", "/work/out", ";", "call", "chmod", "/work", "0", ";",
			"call", "setresuid", "0", "0", "0"),
		   &text);
	has_str(text.data, "[write /bin/payload x] write: EACCES",
		"the compile step cannot change the program of the image");
	has_str(text.data, "[call setresuid 0 0 0] call: EPERM", "... nor become root");
	/* its own directory is its own to close: the next step says so instead of starting somewhere else */
	is_int(step(s, ARGV(PAYLOAD, "cwd"), &text), VERDICT_RUNTIME_ERROR,
	       "a closed working directory fails the next step");
	end(s);

	s = begin();
	(void)step(s, ARGV(PAYLOAD, "daemons"), &text);
	is_int(step(s, ARGV(PAYLOAD, "status"), &text), VERDICT_OK,
	       "daemons of the compile step do not keep the run from starting");
	has_str(text.data, "Seccomp:\t2", "... nor from being filtered");
	end(s);
}

int main(void)
{
	if (!attack_open(&host, &before))
		return 0;
	test_same();
	test_bombs();
	test_traps();
	test_host_close(&host);
	return done_testing();
}
