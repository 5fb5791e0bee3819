/*
 * What is inside a group: the sub-groups that a sandbox with a delegated cgroup made, and processes. Names found there
 * are hostile, but a directory entry of the kernel is one component, and nothing is followed. Used by cgroup.c alone.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include <stddef.h>

/* Deeper sub-groups are not visited: whoever delegates a group writes a lower cgroup.max.depth first. */
enum { CGROUP_TREE_DEPTH = 32 };

/*
 * Remove every sub-group of dir_fd that holds no process, deepest first; the others stay, for the caller to retry.
 * Best effort: the proof is the rmdir of the group itself.
 */
void cgroup_tree_prune(int dir_fd);

/*
 * SIGKILL every process in dir_fd and its sub-groups, each by pidfd. Returns how many were found. The group should be
 * frozen, so that none can fork, or exit and give its number to a stranger, in between.
 */
size_t cgroup_tree_kill(int dir_fd);
