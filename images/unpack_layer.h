/* From a blob in the store to an unpacked layer: the seam between images as things and the unpack worker. */
#pragma once

#include <stdint.h>

struct error;
struct store;
struct descriptor;
struct digest;
struct layer_unpacking; /* opaque */

/*
 * Start unpacking a layer's blob into an empty directory of the store; the caller may do other things meanwhile, such as
 * starting another. dir_fd and diff_id: borrowed to the end. 0 or -errno.
 */
int layer_unpack_begin(struct store *s, const struct descriptor *d, const struct digest *diff_id, int dir_fd,
		       struct layer_unpacking **ret, struct error *err);

/*
 * Wait for it. The diff id of what came out is verified; that the blob is what its name says was, when it was put into
 * the store. progress: bytes of the blob; may be NULL. 0, or -errno as unpack_layer(); the caller then abandons the
 * directory. Frees u.
 */
int layer_unpack_end(struct layer_unpacking *u, void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		     struct error *err);

/* Stop it, free u. NULL is nothing. */
void layer_unpack_cancel(struct layer_unpacking *u);
