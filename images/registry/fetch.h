/*
 * Registries, as the rest of Cubit sees them: a session with one repository, whose network side is a process of its
 * own without privilege (`cubit-worker fetch`). Everything that comes back is verified here: digests, sizes, order.
 *
 * Runs in: whoever holds the store. Blocks; the worker bounds every wait. One request at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "images/manifest.h"
#include "images/ref.h"
#include "runtime/base/buf.h"

struct error;
struct fetch; /* opaque */

/* done and total in bytes. */
typedef void fetch_progress_fn(uint64_t done, uint64_t total, void *arg);

/*
 * Start a session for the repository of ref. Mirrors, credentials and plain-http hosts come from the environment, see
 * settings.h. is_push: ask for the right to write. Owned: fetch_close().
 */
int fetch_open(const struct image_ref *ref, bool is_push, struct fetch **ret, struct error *err);
void fetch_close(struct fetch *f);

/*
 * A manifest or index. reference: a tag or a digest; a digest is verified. For a tag, a digest that the registry
 * states must fit too. body: empty; content_type has MEDIA_TYPE_BYTES. want_size: 0, or what it must be.
 */
int fetch_manifest(struct fetch *f, const char *reference, uint64_t want_size, struct buf *body, char *content_type,
		   struct digest *ret, struct error *err);

/*
 * A blob into an open file that holds its first `have` bytes. The digest of the whole is verified, also of the part
 * that was there: when that turns out to be wrong, all is fetched again, then without mirrors.
 * -EBADMSG: the registry's content is not what was announced: the file is worth nothing. After other errors, what the
 * file holds can be continued.
 */
int fetch_blob(struct fetch *f, const struct descriptor *d, int fd, uint64_t have, fetch_progress_fn *progress,
	       void *arg, struct error *err);

/* See registry_push_blob. fd: borrowed, read-only: it goes to the worker. */
int fetch_push_blob(struct fetch *f, const struct descriptor *d, int fd, const char *mount_from,
		    fetch_progress_fn *progress, void *arg, bool *ret_was_there, struct error *err);

/* fd: the manifest, read from its current position; a read-only descriptor. */
int fetch_push_manifest(struct fetch *f, const char *reference, const struct descriptor *d, int fd, struct error *err);
