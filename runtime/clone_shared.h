/*
 * A child that runs in our memory, on a stack of its own, until it executes a program: clone3(2) with CLONE_VM and
 * CLONE_FILES, which copies neither, where a fork copies all page tables and descriptors of a grown process for an exec
 * that throws them away.
 *
 * What the child does until then happens in our memory: it may write to its own variables and errno, and calls nothing
 * that allocates, locks or has a state (signal-safety(7)). Its signal handlers, working directory, limits, credentials and
 * namespaces are its own; the descriptors are ours until it takes a copy (close_range(2), CLOSE_RANGE_UNSHARE).
 *
 * Runs in: monitor, cubit-sandbox; single-threaded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct clone_args;

enum { CLONE_SHARED_ARG_MAX = 512 };

/*
 * args      flags, exit_signal and cgroup are the caller's, the rest is filled here. No CLONE_NEWTIME: who shares memory
 *           cannot be in another one
 * child     does not return; all signals are blocked there, and stay so over exec
 * arg       a copy of these `size` bytes, at most CLONE_SHARED_ARG_MAX, is what child gets
 * timeout_ms  as long as the child has our memory we wait, all signals blocked; then it is killed
 * ret_pidfd owned, also when it was late
 * ret_late  it was: its end has to be waited for
 *
 * Returns the pid when the child has executed its program or ended, or -errno of clone3 or of the memory.
 * Not dumpable meanwhile (PR_SET_DUMPABLE, which belongs to the memory): nobody in a namespace of the child may look into
 * us, CVE-2016-9962.
 *
 * Where an address sanitizer keeps books of stacks, and on machines other than x86-64, the child has a copy of everything
 * and nobody waits: slower, and otherwise the same.
 */
pid_t clone_shared(struct clone_args *args, void (*child)(const void *arg), const void *arg, size_t size,
		   unsigned timeout_ms, int *ret_pidfd, bool *ret_late);
