/*
 * The registry protocol: one client speaks to one repository, through mirrors first when there are any.
 *
 * What it takes care of: anonymous, basic and bearer authentication (a challenge is answered once, never in a loop);
 * redirects, at most ten, never from https to http, credentials never leaving the origin they were given for; resuming
 * a blob by Range; 408, 429 and 5xx and cut connections tried again with growing, jittered pauses; sizes bounded.
 * What it does not: digests of content are checked by whoever receives it (fetch.c), which does not trust this side.
 *
 * Runs in: the fetch worker. Blocks. Input from the network is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"
#include "runtime/base/buf.h"

struct error;
struct registry; /* opaque */

enum {
	REGISTRY_HOST_BYTES = 300,
	REGISTRY_PATH_BYTES = 256,
	REGISTRY_SECRET_BYTES = 4096,
	REGISTRY_MIRRORS_MAX = 8,
	REGISTRY_TYPE_BYTES = 128,
};

/* Where and who: plain data, sent to the worker as it is (proto.h). */
struct registry_spec {
	char name[REGISTRY_HOST_BYTES];   /* as people name it: docker.io */
	char server[REGISTRY_HOST_BYTES]; /* host[:port] that is asked: registry-1.docker.io */
	char path[REGISTRY_PATH_BYTES];   /* repository: library/python */
	bool is_plain;                    /* http */
	bool is_push;                     /* ask for the right to push, use no mirror */
	struct registry_mirror {
		char server[REGISTRY_HOST_BYTES];
		bool is_plain;
	} mirrors[REGISTRY_MIRRORS_MAX];
	size_t n_mirrors;
	char user[REGISTRY_SECRET_BYTES], password[REGISTRY_SECRET_BYTES]; /* for `server` only; empty: anonymous */
	unsigned timeout_s;
	char proxy[REGISTRY_HOST_BYTES], no_proxy[REGISTRY_SECRET_BYTES]; /* as libcurl takes them; never for http */
	char ca_file
		[REGISTRY_SECRET_BYTES]; /* certificates; empty: the system's. Stays here: the worker gets its content */
	bool is_ca_only;                 /* of ca_file: instead of the system's, not besides them */
};

struct registry_manifest {
	char content_type[REGISTRY_TYPE_BYTES];
	char digest[DIGEST_TEXT_BYTES]; /* what the registry says it is, or "" */
	struct buf body;
};

/* Content, in order and without gaps. */
typedef int registry_sink_fn(const void *data, size_t size, void *arg, struct error *err);
typedef void registry_sent_fn(uint64_t done, void *arg);

/* spec is copied, and so is ca: what was in its ca_file, or empty. Nothing is sent yet. Owned: registry_free(). */
int registry_new(const struct registry_spec *spec, const struct buf *ca, struct registry **ret, struct error *err);
void registry_free(struct registry *r);

/*
 * All below return 0 or: -ENOENT the registry has no such thing; -EACCES it refuses us; -EBUSY it wants us to wait
 * longer than we do; -EHOSTUNREACH, -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EIO after all tries; -EPROTO it does not
 * speak the protocol; -EMSGSIZE larger than allowed; -EBADMSG a size that is not the one announced.
 * is_upstream_only: pass the mirrors over.
 */

/* reference: a tag or a digest. ret->body is appended to. */
int registry_get_manifest(struct registry *r, const char *reference, bool is_upstream_only,
			  struct registry_manifest *ret, struct error *err);

/* The bytes from `have` to `size` of a blob. */
int registry_get_blob(struct registry *r, const struct digest *d, uint64_t size, uint64_t have, bool is_upstream_only,
		      registry_sink_fn *sink, void *arg, struct error *err);

/*
 * Make the registry hold a blob: nothing is sent when it has it, or can take it from another of its repositories
 * (mount_from, "" for none). fd: read from 0. *ret_was_there says that nothing was sent.
 */
int registry_push_blob(struct registry *r, const struct digest *d, uint64_t size, int fd, const char *mount_from,
		       registry_sent_fn *sent, void *arg, bool *ret_was_there, struct error *err);

/* The answered digest must be d. */
int registry_push_manifest(struct registry *r, const char *reference, const char *media_type, const void *data,
			   size_t size, const struct digest *d, struct error *err);
