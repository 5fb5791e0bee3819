/*
 * Taking an image in, wherever it comes from: the part that pull and load share. The source delivers bytes; everything
 * is checked here before anything is finished in the store.
 *
 * Runs in: whoever holds the store (root). Blocks.
 */
#pragma once

#include "images/manifest.h"
#include "images/whole/image.h"

typedef void source_progress_fn(uint64_t done, uint64_t total, void *arg);

/* Where content comes from. */
struct image_source {
	enum image_step step; /* what taking a blob from it is called */
	bool is_near;         /* what was taken costs nothing to take again, so a failure leaves none of it */
	/*
	 * Fill an open file, which holds `have` bytes already, with the blob. It must verify size and digest: -EBADMSG when
	 * they do not fit.
	 */
	int (*blob)(void *self, const struct descriptor *d, int fd, uint64_t have, source_progress_fn *progress,
		    void *arg, struct error *err);
	/* A manifest or index named by a descriptor; verified. type has MEDIA_TYPE_BYTES. */
	int (*manifest)(void *self, const struct descriptor *d, struct buf *body, char *type, struct error *err);
	void *self;
};

/*
 * From a manifest or index (verified against its digest by the caller) to a named image: choose the platform, take
 * config and layers, unpack, compare diff ids, set the reference. Returns 0 or -errno with the layer named.
 */
int install_image(struct store *s, const struct image_source *source, const char *body, size_t size, const char *type,
		  const char *name, const struct image_options *o, struct image_record **ret, struct error *err);
