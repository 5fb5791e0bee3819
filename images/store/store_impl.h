/*
 * What the files of the store share: its directories, the locks on work in progress, the trash. Private to store*.c.
 *
 * Two locks, always in this order when both are held:
 *   1. a tmp lock (tmp/BASE.lock, flock): one writer of one blob or layer. Held for as long as the download lasts.
 *   2. the store lock (lock, flock): shared while a lease or a reference is written, exclusive while the collector marks
 *      and takes things away. So whoever wrote down what it needs *before* looking whether it is there cannot lose it.
 *
 * Runs in: whoever holds the store (root).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/digest.h"

struct error;

struct store {
	int root, blobs, layers, refs, leases, tmp, trash; /* directories; blobs is blobs/sha256 */
};

/* ---- work in progress ---- */

enum { TMP_BASE_BYTES = 96 };

struct tmp_lock {
	int fd;                    /* -1: not held */
	char base[TMP_BASE_BYTES]; /* what is made under tmp/ */
};

/*
 * Take the lock of tmp/BASE. With may_wait false -EWOULDBLOCK says a living process holds it (err untouched); otherwise
 * waits, and -EINTR when a signal came.
 */
int tmp_lock_take(const struct store *s, const char *base, bool may_wait, struct tmp_lock *ret, struct error *err);
void tmp_lock_drop(const struct store *s, struct tmp_lock *l);

/* operation: LOCK_SH or LOCK_EX. Returns an owned descriptor: closing it unlocks. */
int store_lock(const struct store *s, int operation, struct error *err);

/*
 * Remove a lease that nobody holds, which is one that can be locked; else *ret_fd is it, open for reading, owned. -1: there
 * is none any more. Under the exclusive store lock: a new one is not locked from its first moment on.
 */
int lease_reap(const struct store *s, const char *id, int *ret_fd, struct error *err);

/* ---- the trash ---- */

/* Move dir_fd/name there; absent is success. Fast whatever its size. */
int trash_move(const struct store *s, int dir_fd, const char *name, struct error *err);

/* Delete a tree; never follows a link, never leaves the file system, any depth with a bounded number of descriptors. */
int trash_empty(const struct store *s, struct error *err);

/* A name no other process or call makes. */
void store_unique(char *ret, size_t bytes);

/* Call fn for each name in a directory but . and ..; stops when fn returns non-zero and returns that. */
int store_each_name(int dir_fd, int (*fn)(const char *name, void *arg), void *arg, struct error *err);

/* Flush a directory's entries. */
int store_sync_dir(int dir_fd, const char *what, struct error *err);
