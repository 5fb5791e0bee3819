/*
 * `cubitd --hold-cubes`: holds the control group of sandboxes that outlive the service (runtime/cgroup/cgroup_keeper.h),
 * started by cubit-cubes.service. It does nothing else: no loop, no socket, no child.
 *
 * Runs as: root, a process of its own.
 */
#pragma once

struct error;
struct settings;

#define KEEPER_ARGUMENT "--hold-cubes"

/* Serve until SIGTERM or SIGINT. Returns the exit status: 0, or 1 with err filled. */
int keeper_main(const struct settings *settings, struct error *err);
