/*
 * Which counter over which limit is which cause to end a program, and when the counters have to be looked at again. One
 * place for these rules; those who read the counters and act are run.c for cubit-sandbox, watch.c for the monitor, and the
 * stages of jobs for the front.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/verdict.h"

/* 0: none of this kind, in every field. */
struct stop_limits {
	uint64_t deadline_ns;  /* wall clock, as clock.h has it */
	uint64_t cpu_ns;       /* of the whole sandbox */
	uint64_t output_bytes; /* of stdout and of stderr, each */
	uint64_t cpus_milli;   /* cpu.max: no more cpu time than this can be used up ... */
	uint64_t n_cpus;       /* ... nor more than by every processor of the machine; 0 is taken for 1 */
};

/* How a caller hears of memory that ran out and of refused forks, other than by looking. */
enum stop_notice {
	STOP_TOLD,        /* at once, by the kernel: v2 */
	STOP_TOLD_MOSTLY, /* v1 with an eventfd, and with a peak that tells of forks later: not of a machine without memory */
	STOP_TOLD_OOM, /* ... and it was just told that memory ran out: who will be killed is not counted yet */
	STOP_NOT_TOLD, /* v1 otherwise */
};

/* Since the limits are in force. What a caller does not watch, or did not read, is 0. */
struct stop_seen {
	uint64_t now_ns;
	uint64_t cpu_ns;
	uint64_t output_bytes; /* of one stream, with what was found to be over */
	uint64_t oom_kills;    /* v1 alone: it has no group OOM, so that we finish what the kernel began */
	enum stop_notice notice;
};

/*
 * The cause to end it, STOP_NONE when no limit is reached. Then *ret_look_ns is when to look again: the deadline or sooner,
 * CLOCK_NEVER when nothing here can come about by itself. It is untouched otherwise, and may be NULL.
 */
enum verdict_stop stop_look(const struct stop_limits *limits, const struct stop_seen *seen, uint64_t *ret_look_ns);

/* How many bytes of a stream are still within the limit. */
uint64_t stop_output_room(const struct stop_limits *limits, uint64_t taken_bytes);
