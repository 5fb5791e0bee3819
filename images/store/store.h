/*
 * The image store below CUBIT_STATE/images: blobs as they came, layers unpacked once, references, leases.
 *
 *   blobs/sha256/HEX          compressed layers, configs, manifests; content-addressed, read-only
 *   layers/HEX/fs             one unpacked layer, named by its diff id (the digest of its uncompressed tar), or by a digest of
 *                             all layers up to it, when what became of it depends on those below (images/unpack/writer.h)
 *   refs/NAME                 one JSON record an image reference (name percent-encoded): which manifest it is now
 *   leases/ID                 what a running pull, build or sandbox still needs: locked by its holder, flock(2)
 *   tmp/…                     work in progress; what no living process holds is removed by the next store_open
 *   trash/…                   on the way out: renamed there first, deleted slowly
 *
 * Everything 0700 root. Finished things appear by rename after fsync/syncfs, so a crash leaves only tmp. Safe for
 * several processes: two that want the same blob or layer take a lock on its tmp name, the second waits and then finds
 * it there. No function takes a host path from outside but the root at store_open.
 *
 * Runs in: monitor and the cubit command (root). Blocks on disk. Layer contents are written by a confined worker that
 * only holds the directory descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"

struct error;
struct buf;
struct store; /* opaque */

/*
 * root is made if missing (0700, and made so if it is not); -EPERM when another user owns it. Sweeps tmp/ of dead owners
 * (into the trash, no deleting here) and leases that nobody holds. ret owned: store_close(), after every writer and lease was ended.
 */
int store_open(const char *root, struct store **ret, struct error *err);
void store_close(struct store *s);

/* ---- blobs ---- */

bool store_blob_has(const struct store *s, const struct digest *d, uint64_t *ret_size);

/* Owned read-only descriptor; -ENOENT. */
int store_blob_open(const struct store *s, const struct digest *d, struct error *err);

/* A whole small blob (config, manifest) into memory; verifies its digest again. */
int store_blob_read(const struct store *s, const struct digest *d, size_t max_bytes, struct buf *out,
		    struct error *err);

/*
 * Start (or continue) writing the blob d. Takes its lock: waits while another process writes it. *ret_fd is the
 * open tmp file positioned at its end, *ret_have the bytes already in it from an interrupted attempt.
 * Returns 1 when the blob is already there (nothing to do), 0 when the caller writes, or -errno.
 * Ended by store_blob_commit (caller has verified digest and size of the whole) or store_blob_abandon (keep = what is
 * there is worth continuing: it survives store_open for a day). Of a writer that was killed nothing survives. In one thread,
 * do not begin the same blob twice: the second waits for the first for ever. -EINTR: a signal came while waiting.
 * *ret_fd is borrowed from *ret; both ends free *ret, also when commit fails.
 */
struct store_blob_writer; /* opaque */
int store_blob_begin(struct store *s, const struct digest *d, struct store_blob_writer **ret, int *ret_fd,
		     uint64_t *ret_have, struct error *err);
int store_blob_commit(struct store_blob_writer *w, struct error *err);
void store_blob_abandon(struct store_blob_writer *w, bool keep);

/* Small blobs at once: hash, write, commit. *ret is its digest. */
int store_blob_put(struct store *s, const void *data, size_t size, struct digest *ret, struct error *err);

/* ---- layers ---- */

bool store_layer_has(const struct store *s, const struct digest *diff_id);

/* Owned directory descriptor of layers/HEX/fs, for struct sandbox_spec.layers; -ENOENT. */
int store_layer_open(const struct store *s, const struct digest *diff_id, struct error *err);

/*
 * The layers of an image as overlayfs takes them: the top first, without those that it must not be given. Names are the
 * lowest first. Whoever mounts an image takes its layers from here: overlayfs does not look at the opaque mark of a
 * layer's root, so what lies below such a layer is left out.
 *
 * ret_fds  room for n; owned open directories, *ret_n of them. Untouched on failure
 */
int store_layers_open(const struct store *s, const struct digest *names, size_t n, int *ret_fds, size_t *ret_n,
		      struct error *err);

/* Like blobs: 1 already there, 0 the caller unpacks into *ret_dir_fd (an empty directory, 0755; borrowed), or -errno. */
struct store_layer_writer; /* opaque */
int store_layer_begin(struct store *s, const struct digest *diff_id, struct store_layer_writer **ret, int *ret_dir_fd,
		      struct error *err);
/* The same, but -EWOULDBLOCK, with err untouched, where it would wait for another process, or for us. */
int store_layer_try_begin(struct store *s, const struct digest *diff_id, struct store_layer_writer **ret,
			  int *ret_dir_fd, struct error *err);
/* syncfs, rename. name: what it is called instead of its diff id; NULL: that. */
int store_layer_commit(struct store_layer_writer *w, const struct digest *name, struct error *err);
void store_layer_abandon(struct store_layer_writer *w); /* to the trash */

/* ---- references ---- */

enum { STORE_LAYERS_MAX = 400, STORE_NAME_BYTES = 512 };

/* One image as the store knows it. Fixed size would be large: heap, image_record_free(). */
struct image_record {
	char name[STORE_NAME_BYTES]; /* canonical: host/path:tag, or host/path@digest */
	struct digest manifest, config;
	uint64_t created_s;  /* when it was put here, seconds since 1970 */
	uint64_t size_bytes; /* sum of compressed layer sizes */
	size_t n_layers;
	struct digest *blobs;    /* n_layers compressed blobs, lowest first */
	struct digest *diff_ids; /* n_layers, lowest first: what they are called in layers/ */
};
void image_record_free(struct image_record *r);

int store_ref_set(struct store *s, const struct image_record *r, struct error *err);
int store_ref_get(const struct store *s, const char *name, struct image_record **ret, struct error *err); /* -ENOENT */
int store_ref_remove(struct store *s, const char *name, struct error *err);                               /* -ENOENT */
/* Sorted by name; fn borrowed record; stops when fn returns non-zero and returns that. */
int store_ref_each(const struct store *s, int (*fn)(const struct image_record *r, void *arg), void *arg,
		   struct error *err);

/* ---- leases and collection ---- */

struct store_lease; /* opaque */
/* Nothing named in a live lease is collected. Add digests as they become known. Gone with its process. */
int store_lease_new(struct store *s, struct store_lease **ret, struct error *err);
int store_lease_add(struct store_lease *l, const struct digest *blob_or_layer, struct error *err);
void store_lease_free(struct store_lease *l);

struct store_gc_result {
	uint64_t blobs, layers, bytes;
};
/*
 * Remove what neither a reference nor a living lease reaches. Safe beside running pulls, provided they name a digest in
 * their lease *before* they look whether it is there. bytes counts blobs only: a layer is not walked. Also empties the
 * trash: seconds, for large layers. An unreadable reference stops it before anything is removed.
 */
int store_gc(struct store *s, struct store_gc_result *ret, struct error *err);

/*
 * Of these blobs and layers alone, remove what neither a reference nor a living lease reaches, and empty the trash: what an
 * attempt that failed leaves behind. As store_gc() otherwise.
 */
int store_give_back(struct store *s, const struct digest *list, size_t n, struct error *err);

/* Delete what was moved to the trash (by store_layer_abandon, by the sweep). Off the request path: seconds. */
int store_trash_empty(struct store *s, struct error *err);
