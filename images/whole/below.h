/*
 * What lies below a layer, as one read-only directory: for the unpack worker, which has to know what a layer changes.
 *
 * Runs in: whoever holds the store (root). Changes its working directory for a moment on kernels before 6.7, so it must not be
 * called beside other threads.
 */
#pragma once

#include <stddef.h>

struct error;
struct store;
struct digest;

/*
 * names  of unpacked layers in the store, the lowest first; at least one
 *
 * Returns an owned descriptor of a detached mount of theirs, merged: read-only, no devices, no set-user-id, nothing
 * executable. Above its root there is nothing: who has it does not get out of it. Or -errno: -ENOENT one is not there;
 * -E2BIG more than this kernel takes.
 */
int below_open(const struct store *s, const struct digest *names, size_t n, struct error *err);
