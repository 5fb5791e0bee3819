/*
 * What became of a program, decided from facts: counters of the kernel, a wait status, and what we did ourselves.
 * Never guessed from a signal alone. A pure function, so that every case is a row in a test.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VERDICTS(X)                                                                                                    \
	X(OK, "ok")                                                                                                    \
	X(RUNTIME_ERROR, "runtime_error") /* it ended with a status other than 0 */                                    \
	X(SIGNALED, "signaled")           /* a signal ended it, not ours */                                            \
	X(TIME_LIMIT, "time_limit")       /* cpu or wall; the reason says which */                                     \
	X(MEMORY_LIMIT, "memory_limit")   /* the kernel's OOM killer acted at its group's limit */                     \
	X(OUTPUT_LIMIT, "output_limit")                                                                                \
	X(PROCESS_LIMIT, "process_limit")       /* it failed, and a fork was refused by pids.max */                    \
	X(DISK_LIMIT, "disk_limit")             /* it failed and its disk has no block or inode left */                \
	X(POLICY_VIOLATION, "policy_violation") /* the filter killed it */                                             \
	X(COMPILE_ERROR, "compile_error")       /* set by the job, not here: this stage was the compiler */            \
	X(CANCELLED, "cancelled")                                                                                      \
	X(INTERNAL_ERROR, "internal_error") /* ours or the host's, never the payload's */

enum verdict_status {
#define X(name, text) VERDICT_##name,
	VERDICTS(X)
#undef X
		VERDICT_COUNT,
};

const char *verdict_name(enum verdict_status status);

/* Why we ended it, if we did. The first cause stays. */
enum verdict_stop {
	STOP_NONE,
	STOP_WALL,
	STOP_CPU,
	STOP_OUTPUT,
	STOP_MEMORY, /* hosts without group OOM: we finish what the kernel began */
	STOP_CANCEL,
	STOP_INTERNAL,
};

struct verdict_facts {
	enum verdict_stop stop;
	bool has_status;        /* pid 1 reported the end of the process */
	int wait_status;        /* waitpid(2) form */
	bool never_began;       /* its wait status is of the time before its program began */
	bool is_refused;        /* it never ran */
	uint32_t refused_stage; /* enum agent_stage */
	int refused_code;       /* errno */
	uint64_t oom_kills;     /* CGROUP_UNKNOWN counts as none */
	uint64_t pids_max_hits;
	bool oom_is_above; /* oom_kills: memory ran out above the sandbox, cgroup_oom_is_above() */
	bool forks_above;  /* pids_max_hits: refused above the sandbox, cgroup_forks_are_refused_above() */
	bool memory_is_full; /* its peak came close to its limit: what needed memory may have been refused it, without a kill */
	bool disk_is_full;
	uint64_t file_limit_bytes; /* RLIMIT_FSIZE; 0: none */
	uint64_t wall_limit_ns, cpu_limit_ns, output_limit_bytes, memory_limit_bytes, pids_limit; /* for the words */
};

struct verdict {
	enum verdict_status status;
	char reason[200]; /* "" for ok */
	int exit_code;    /* -1: none */
	int signal;       /* 0: none */
};

void verdict_decide(const struct verdict_facts *facts, struct verdict *ret);
