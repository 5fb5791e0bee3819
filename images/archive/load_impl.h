/* Loading an image from files: image_load.c asks layout.c or docker_archive.c, which share load_parts.c. Runs in: whoever holds the store (root). */
#pragma once

#include "images/archive/members.h"
#include "images/whole/install.h"

struct image_ref;

struct load {
	struct store *store;
	const struct members *members;
	const struct image_ref *name; /* what to call it, or NULL: as it says itself */
	const struct image_options *options;
	void (*fn)(const struct image_record *r, void *arg);
	void *arg;
};

/* layout.c: an OCI layout; docker_archive.c: what `docker save` wrote. 0 or -errno. */
int layout_load(const struct load *l, struct error *err);
int docker_archive_load(const struct load *l, struct error *err);

/* load_parts.c. Copy a member into an open file; size and digest are verified: -EBADMSG. */
int load_copy(const struct members *m, const char *name, const struct descriptor *d, int fd,
	      source_progress_fn *progress, void *arg, struct error *err);

/* Install under each name in turn and report the records. */
int load_install(const struct load *l, const struct image_source *source, const char *body, size_t size,
		 const char *type, const char *name, struct error *err);
