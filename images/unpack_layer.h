/* From a blob in the store to an unpacked layer: the seam between images as things and the unpack worker. */
#pragma once

#include <stdint.h>

struct error;
struct store;
struct descriptor;
struct digest;

/*
 * Unpack a layer's blob into an empty directory of the store. Both digests are verified: that of the blob, and the diff
 * id of what came out of it. dir_fd: borrowed. progress: bytes of the blob; may be NULL.
 * 0, or -errno as unpack_layer(); the caller then abandons the directory.
 */
int unpack_blob(struct store *s, const struct descriptor *d, const struct digest *diff_id, int dir_fd,
		void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg, struct error *err);
