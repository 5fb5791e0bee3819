/*
 * Run one process in a sandbox to its verdict: feed standard input, hand output over, watch every limit, and end the
 * whole sandbox when one is passed. For jobs: a sandbox that was ended this way is only good for sandbox_destroy().
 *
 * Runs in: cubit-sandbox, tests, benchmarks (it polls by itself). Blocks until the verdict. SIGPIPE must be ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/cgroup/cgroup.h"
#include "runtime/verdict.h"

struct error;
struct process_spec;
struct sandbox;

struct run_limits {
	uint64_t wall_ns;      /* 0: none */
	uint64_t cpu_ns;       /* of the whole sandbox while this process runs; 0: none */
	uint64_t output_bytes; /* of stdout and of stderr, each; 0: none */
};

struct run_spec {
	const struct process_spec *process;
	struct run_limits limits;
	const void *input; /* borrowed; written to standard input, then closed. NULL with input_fd -1: no input */
	size_t input_size;
	int input_fd;    /* borrowed; copied to standard input until its end. -1: none */
	bool hold_stdin; /* never close standard input (tests) */
	/* Called with every piece of output, stream 1 or 2. Returns non-zero to cancel the run. */
	int (*on_output)(int stream, const void *data, size_t size, void *arg);
	void *arg;
	const volatile bool *cancel; /* set by a signal handler; NULL: none */
};

struct run_result {
	struct verdict verdict;
	uint64_t wall_ns; /* from exec to end */
	uint64_t cpu_ns, user_ns, system_ns;
	struct cgroup_stats stats;
	uint64_t disk_bytes, disk_inodes; /* in use at the end */
	bool is_cut[2];                   /* stdout, stderr went over the limit */
	uint64_t output_bytes[2];
};

/*
 * Returns 0 with ret filled (whatever the verdict, internal_error included), or -errno when not even that can be said.
 * The sandbox may still be getting ready.
 */
int run_process(struct sandbox *s, const struct run_spec *spec, struct run_result *ret, struct error *err);
