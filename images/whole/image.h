/*
 * What people do with images: pull, push, load, save, inspect, tag, remove, on top of the store. Long work reports its
 * progress as events; all of it runs under a lease, so that collection beside it takes nothing away.
 *
 * Runs in: whoever holds the store (root): the cubit command, later the monitor's side. Blocks. Network is done by
 * the fetch worker, unpacking by the unpack worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/platform.h"
#include "images/store/store.h"

struct error;
struct buf;
struct image_ref;
struct image_config;

enum image_step { IMAGE_RESOLVE, IMAGE_FETCH, IMAGE_UNPACK, IMAGE_COPY, IMAGE_PUSH, IMAGE_STEPS };

/* "resolve", "fetch", ... */
const char *image_step_name(enum image_step step);

struct image_event {
	enum image_step step;
	const char *what;         /* "manifest", "config", "layer 2 of 5" */
	const char *digest;       /* or "" */
	uint64_t done, total;     /* bytes; total 0: not known */
	bool is_end;              /* the last one of this step for this `what` */
	bool was_there;           /* nothing had to be done */
	uint64_t devices_skipped; /* at the end of IMAGE_UNPACK: device nodes of the layer that were left out */
};
typedef void image_event_fn(const struct image_event *e, void *arg);

enum { LAYER_RATIO_FROM = 256 << 20 };

struct image_options {
	struct platform platform;
	uint64_t layer_max;    /* bytes that one layer may unpack to; 0: as the unpack worker has it */
	uint64_t layer_ratio;  /* and how many times the size in its manifest, from LAYER_RATIO_FROM on; 0: the same */
	image_event_fn *event; /* or NULL */
	void *arg;
};

/* Fetch, verify, unpack and name. ret (may be NULL): the record, owned by the caller. */
int image_pull(struct store *s, const struct image_ref *ref, const struct image_options *o, struct image_record **ret,
	       struct error *err);

/* Send what the store has as `name` to the repository and tag of `to`. */
int image_push(struct store *s, const char *name, const struct image_ref *to, const struct image_options *o,
	       struct error *err);

/*
 * Take in an OCI layout or what `docker save` wrote, a directory or a tar. name: what to call it, or NULL for the names
 * inside. fn is called with each record that was made.
 */
int image_load(struct store *s, const char *path, const struct image_ref *name, const struct image_options *o,
	       void (*fn)(const struct image_record *r, void *arg), void *arg, struct error *err);

/* Write an OCI layout with one image: a directory (made, or an empty one), or a tar when path ends in ".tar". */
int image_save(struct store *s, const char *name, const char *path, const struct image_options *o, struct error *err);

/* The parsed configuration of a stored image. ret owned: image_config_free(). */
int image_config_get(const struct store *s, const struct image_record *r, struct image_config **ret, struct error *err);

/* JSON about it: names, digests, sizes, configuration. Appended to out. */
int image_inspect(const struct store *s, const struct image_record *r, struct buf *out, struct error *err);

/* The reference `name` also as `as`. */
int image_tag(struct store *s, const char *name, const struct image_ref *as, struct error *err);
