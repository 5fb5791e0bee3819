/*
 * From a blob in the store to an unpacked layer: the seam between images as things and the unpack worker.
 *
 * Runs in: whoever holds the store (root).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct store;
struct descriptor;
struct digest;
struct unpack_result;
struct image_options;
struct layer_unpacking; /* opaque */

/* What is unpacked, and over what. All borrowed to the end. */
struct layer_spec {
	const struct descriptor *blob; /* its size is what the manifest claims, and the blob has */
	const struct digest *diff_id;
	/* The layers it lies on, the lowest first; in the store, and their names final, when layer_unpack_end is called. */
	const struct digest *below;
	size_t n_below;
	const struct image_options *options; /* how large it may become */
	int dir_fd;                          /* an empty directory of the store */
};

/* Start unpacking a layer; the caller may do other things meanwhile, such as starting another. 0 or -errno. */
int layer_unpack_begin(struct store *s, const struct layer_spec *spec, struct layer_unpacking **ret, struct error *err);

/*
 * Wait for it. The diff id of what came out is verified; that the blob is what its name says was, when it was put into
 * the store. progress: bytes of the blob; may be NULL. ret: what the worker counted. 0, or -errno as unpack_layer(); the
 * caller then abandons the directory. Frees u.
 */
int layer_unpack_end(struct layer_unpacking *u, void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		     struct unpack_result *ret, struct error *err);

/* Stop it, free u. NULL is nothing. */
void layer_unpack_cancel(struct layer_unpacking *u);
