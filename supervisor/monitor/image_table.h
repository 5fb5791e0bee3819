/*
 * Images ready to start on: by manifest digest, layers open and leased. Bounded; what nobody uses makes room, and is
 * let go after a while.
 *
 * Runs in: monitor, after sandbox_host_open (layers are cloned from their descriptors). Blocks on disk, briefly:
 * nothing is fetched or unpacked, and nothing of an image is parsed here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"

struct error;
struct image_entry;
struct image_table; /* opaque */
struct store;

/* store: borrowed, must outlive the table. NULL: out of memory. */
struct image_table *image_table_new(struct store *store);
void image_table_free(struct image_table *t); /* after the last image_release() */

/*
 * By name, as people type it: looked up anew each time, as tags move.
 * ret: borrowed until the next call. Returns 0, or -errno: -EINVAL no reference; -ENOENT; -EIO a part of it is gone.
 */
int image_resolve(struct image_table *t, const char *name, const struct image_entry **ret, struct error *err);

/* By digest: one that a reference of the store names now. ret: image_release(). -ENOENT. */
int image_use(struct image_table *t, const char *manifest, struct image_entry **ret, struct error *err);
void image_release(struct image_table *t, struct image_entry *e);

const struct digest *image_manifest(const struct image_entry *e);
const struct digest *image_config_digest(const struct image_entry *e);
const int *image_layers(const struct image_entry *e, size_t *ret_n); /* top first */

/* Let go of what nobody has used for a while. Returns when to come again, or CLOCK_NEVER. */
uint64_t image_table_age(struct image_table *t, uint64_t now_ns);
