/*
 * A child made by clone3(2) in new namespaces or in another cgroup, that does nothing but wait until it is let go.
 *
 * It also ends when the process that holds it does, however that happens: it waits for the end of a pipe.
 * Runs in: doctor, in the child of a check.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct error;

struct held {
	pid_t pid; /* 0 when there is none */
	int pidfd; /* owned; -1 */
	int leash; /* owned; the end of the pipe whose closing ends the child; -1 */
};

#define HELD_INIT                                                                                                      \
	{                                                                                                              \
		.pid = 0, .pidfd = -1, .leash = -1                                                                     \
	}

/*
 * Clone. flags: CLONE_NEW*, and CLONE_INTO_CGROUP together with cgroup_fd (borrowed, else -1).
 * Returns 0 or -errno: what clone3 said, with those words in err.
 */
int held_start(struct held *h, uint64_t flags, int cgroup_fd, struct error *err);

/* Give the child's user namespace 65536 ids of ours, starting with first_id. Returns 0 or -errno. */
int held_map_ids(const struct held *h, unsigned first_id, struct error *err);

/* Open one of its namespaces: "user", "net". Returns an owned descriptor or -errno. */
int held_open_ns(const struct held *h, const char *kind, struct error *err);

/* Wait for its end, at most timeout_ms. Returns the signal that ended it, 0 for none, -ETIMEDOUT, or -errno. */
int held_wait(struct held *h, int timeout_ms);

/* Let it go and reap it. Nothing to do for one that was never started. */
void held_done(struct held *h);

#define cleanup_held __attribute__((cleanup(held_done)))
