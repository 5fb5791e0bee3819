/*
 * A place to attach mounts for a moment. Before Linux 6.15 overlayfs refuses layers that are not attached in the
 * caller's mount namespace (clone_private_mount), so there they are put on a private staging directory while the
 * overlay is made. One build at a time: single-threaded.
 *
 * Runs in: monitor, cubit-sandbox, in a mount namespace of its own (stage_enter), so that no other process ever sees
 * what is staged, and a crash leaves nothing.
 */
#pragma once

#include <stddef.h>

struct error;

/*
 * Leave the host's mount namespace for a copy that receives its mounts but sends none back, mount_namespaces(7).
 * Directory descriptors opened before belong to the old one and cannot be cloned any more: call this first.
 */
int stage_enter(const char *run_dir, struct error *err);

/* Attach mount_fd in slot 0, 1, 2 ... Returns 0 or -errno. */
int stage_attach(size_t slot, int mount_fd, struct error *err);

/* Make the staging directory the working directory; slots are then called "0", "1" ... */
int stage_visit(struct error *err);

/* Detach slots 0 to n-1; the descriptors stay usable. */
void stage_clear(size_t n);
