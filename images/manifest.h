/*
 * Manifests and indexes: what an image is made of. OCI image index and manifest, Docker manifest list and manifest of
 * schema 2; schema 1 is refused in words. Everything that is used is checked: media types, sizes, digests, counts.
 *
 * `urls` of descriptors are never looked at: content comes from the registry that was named (CVE-2020-15157).
 * Pure; runs anywhere. Input is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"

struct error;
struct buf;
struct platform;

enum {
	MANIFEST_MAX_BYTES = 4 << 20,
	CONFIG_MAX_BYTES = 4 << 20,
	MANIFEST_LAYERS_MAX = 400,
	MANIFEST_INDEX_MAX = 1000, /* entries of one index */
	INDEX_DEPTH_MAX = 2,
	MEDIA_TYPE_BYTES = 128,
};

#define LAYER_MAX_BYTES (UINT64_C(1) << 40)

#define MEDIA_OCI_INDEX         "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST      "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG        "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER         "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP    MEDIA_OCI_LAYER "+gzip"
#define MEDIA_OCI_LAYER_ZSTD    MEDIA_OCI_LAYER "+zstd"
#define MEDIA_DOCKER_LIST       "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

/* Every type a registry is asked for; schema 1 only so that its answer can be named. */
#define MANIFEST_ACCEPT                                                                                                \
	MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_LIST ", " MEDIA_DOCKER_MANIFEST                      \
			", application/vnd.docker.distribution.manifest.v1+prettyjws"

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };

struct descriptor {
	char media_type[MEDIA_TYPE_BYTES];
	struct digest digest;
	uint64_t size;
};

struct manifest {
	char media_type[MEDIA_TYPE_BYTES];
	struct descriptor config;
	size_t n_layers;
	struct descriptor *layers; /* lowest first */
};
void manifest_free(struct manifest *m);

static inline void cleanup_manifest_(struct manifest **m)
{
	manifest_free(*m);
}
#define cleanup_manifest __attribute__((cleanup(cleanup_manifest_)))

/*
 * Which kind is this? content_type is what it was delivered as (parameters after ';' are ignored) or "" when nothing
 * was said, as in a layout; a `mediaType` inside must say the same, and the shape must fit: an index has no layers, a
 * manifest has no manifests (CVE-2021-41190).
 * ret_type (MEDIA_TYPE_BYTES) is the type both agree on. Returns 0, -ENOTSUP (schema 1, an artifact), or -EBADMSG.
 */
int manifest_kind(const char *data, size_t size, const char *content_type, enum manifest_kind *ret, char *ret_type,
		  struct error *err);

/* Returns 0, -EBADMSG, or -ENOTSUP for what is well-formed but no container image of tar layers. ret owned. */
int manifest_parse(const char *data, size_t size, const char *content_type, struct manifest **ret, struct error *err);

/*
 * The first entry of an index that fits the platform. Entries of unknown/unknown (attestations) and of types that are
 * neither manifest nor index are passed over; an entry without a platform is taken when nothing names the platform.
 * Returns 0, -EBADMSG, or -ENOENT with err listing what is offered.
 */
int index_select(const char *data, size_t size, const char *content_type, const struct platform *want,
		 struct descriptor *ret, struct error *err);

/* One descriptor from its JSON text fields, for layouts. */
struct json_t;
int descriptor_read(const struct json_t *object, uint64_t max_size, struct descriptor *ret, struct error *err);

bool media_type_is_layer(const char *media_type);
/* Foreign layers are fetched, but their terms forbid pushing them. */
bool media_type_is_foreign(const char *media_type);

/* Write a manifest as JSON (for images that came without one). */
int manifest_format(const struct manifest *m, struct buf *out, struct error *err);
