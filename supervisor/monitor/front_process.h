/*
 * The front as a process: started with exactly the descriptors of monitor.h and nothing of ours but the finished
 * settings. Everything is taken away between fork and exec; the front itself only adds its filter (front/confine.h).
 *
 * Runs in: monitor.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct digest;
struct error;
struct listeners;
struct settings;
struct state_dir;

struct front_process {
	int pidfd; /* -1: none */
	pid_t pid;
	uint64_t started_ns;
};

#define FRONT_PROCESS_INIT                                                                                             \
	{                                                                                                              \
		.pidfd = -1                                                                                            \
	}

/* What a front is made from. All borrowed. */
struct front_plan {
	const struct settings *settings;
	const struct state_dir *dirs;
	const struct listeners *listeners;
	const struct digest *admin_hash;
};

/* *ret_sock: our end of the monitor protocol, owned. Returns 0 or -errno: "start the front: STAGE: ...". */
int front_process_start(const struct front_plan *plan, struct front_process *ret, int *ret_sock, struct error *err);

/* Its end, at once. */
void front_process_kill(const struct front_process *p);

/* When pidfd is readable: reap. Returns the wait status, waitpid(2) form. */
int front_process_reap(struct front_process *p);
