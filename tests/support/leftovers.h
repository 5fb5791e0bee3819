/*
 * What a sandbox may leave behind, counted before and after. Only what is ours: groups and claims by our ids, children
 * and descriptors of this process; links of our network namespace; mounts of our mount namespace, and those of pid 1's
 * that could be ours.
 */
#pragma once

struct test_host;

#define LEFTOVERS(X)                                                                                                   \
	X(MOUNTS, "mounts")                                                                                            \
	X(HOST_MOUNTS, "mounts of pid 1")                                                                              \
	X(CGROUPS, "control groups")                                                                                   \
	X(LINKS, "network links")                                                                                      \
	X(CLAIMS, "claims of id ranges")                                                                               \
	X(CHILDREN, "child processes, dead or alive")                                                                  \
	X(DESCRIPTORS, "open descriptors")

enum leftover {
#define X(name, text) LEFT_##name,
	LEFTOVERS(X)
#undef X
		LEFT_KINDS,
};

struct leftovers {
	long counts[LEFT_KINDS];
};

void leftovers_count(const struct test_host *h, struct leftovers *ret);

/*
 * "" when the counts are those of before, or come to be within ten seconds (the kernel takes some things down behind
 * our back); otherwise what differs, in words, in static memory.
 */
const char *leftovers_since(const struct test_host *h, const struct leftovers *before);

/*
 * The lowest number that is free for a file system without a device. Each instance of tmpfs, proc, devpts, mqueue and
 * overlay holds one, attached or not: a leak of one per sandbox raises it by as many. The whole machine shares them,
 * so compare with some slack. -1 when it cannot be told.
 */
long leftovers_device(void);
