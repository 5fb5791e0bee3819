/*
 * Reading what `docker save` writes: manifest.json names for each image its configuration, its layers and its tags.
 * There is no manifest with digests in it, so one is made from what the files are; the diff ids in the configuration
 * still decide whether a layer is the right one. See load_impl.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/archive/load_impl.h"
#include "images/ref.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/text.h"

enum { NAMES_MAX = 100, MEMBER_NAME_MAX = 1000 };

/* One image of the archive: its manifest and, for each of its blobs, the member it is in. */
struct archived {
	const struct load *load;
	struct manifest *manifest;
	const char **members; /* config, then layers */
};

static const char *member_of(const struct archived *a, const struct digest *d)
{
	if (digest_equal(&a->manifest->config.digest, d))
		return a->members[0];
	for (size_t i = 0; i < a->manifest->n_layers; i++) {
		if (digest_equal(&a->manifest->layers[i].digest, d))
			return a->members[i + 1];
	}
	return "";
}

static int archive_blob(void *self, const struct descriptor *d, int fd, uint64_t have, source_progress_fn *progress,
			void *arg, struct error *err)
{
	const struct archived *a = self;

	(void)have; /* a copy is started anew */
	return load_copy(a->load->members, member_of(a, &d->digest), d, fd, progress, arg, err);
}

static int archive_manifest(void *self, const struct descriptor *d, struct buf *body, char *type, struct error *err)
{
	(void)self, (void)body, (void)type;
	return error_set(err, EBADMSG, "%s: a docker archive has no index", d->digest.text);
}

/* ---- from files to a manifest --------------------------------------------------------------------------------- */

/* By the first bytes: names and types are not to be trusted. */
static const char *sniff(const struct member *m)
{
	unsigned char magic[4] = { 0 };

	if (pread(m->fd, magic, sizeof(magic), (off_t)m->offset) != (ssize_t)sizeof(magic))
		return MEDIA_OCI_LAYER;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return MEDIA_OCI_LAYER_GZIP;
	return memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0 ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER;
}

static int describe(const struct members *m, const char *name, const char *type, struct descriptor *ret,
		    struct error *err)
{
	struct digest_hasher *h = digest_hasher_new();
	char piece[64 << 10];
	struct member one;
	uint64_t at = 0;
	int r = h ? members_find(m, name, &one, err) : error_set(err, ENOMEM, "out of memory");

	if (r < 0) {
		digest_hasher_free(h);
		return r;
	}
	while (r == 0 && at < one.size) {
		size_t want = one.size - at < sizeof(piece) ? (size_t)(one.size - at) : sizeof(piece);
		ssize_t n = pread(one.fd, piece, want, (off_t)(one.offset + at));

		if (n <= 0)
			r = error_set(err, EIO, "'%.100s' cannot be read", name);
		else
			digest_hasher_add(h, piece, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	ret->size = one.size;
	(void)text_copy(ret->media_type, sizeof(ret->media_type),
			type ? type : sniff(&one)); /* a word of ours: it fits */
	digest_hasher_end(h, &ret->digest);
	digest_hasher_free(h);
	fd_close(&one.fd);
	return r;
}

static int describe_all(struct archived *a, const char *config, const json_t *layers, struct error *err)
{
	struct manifest *m = a->manifest;
	int r;

	(void)text_copy(m->media_type, sizeof(m->media_type), MEDIA_OCI_MANIFEST); /* it fits */
	a->members[0] = config;
	r = describe(a->load->members, config, MEDIA_OCI_CONFIG, &m->config, err);
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		const char *name = json_string_value(json_array_get(layers, i));

		if (!name || strlen(name) > MEMBER_NAME_MAX)
			return error_set(err, EBADMSG, "manifest.json: layer %zu is not named by a string", i + 1);
		a->members[i + 1] = name;
		r = describe(a->load->members, name, NULL, &m->layers[i], err);
		if (r < 0)
			return error_wrap(err, "layer %zu of %zu", i + 1, json_array_size(layers)), r;
		m->n_layers++;
	}
	return r;
}

/* ---- images --------------------------------------------------------------------------------------------------- */

static int install_as(struct archived *a, const struct buf *body, const struct image_ref *name, struct error *err)
{
	struct image_source source = {
		.step = IMAGE_COPY, .is_near = true, .blob = archive_blob, .manifest = archive_manifest, .self = a
	};
	char text[REF_TEXT_BYTES];

	image_ref_store_name(name, text);
	return load_install(a->load, &source, buf_str(body), body->size, MEDIA_OCI_MANIFEST, text, err);
}

static int install_names(struct archived *a, const json_t *tags, const struct buf *body, struct error *err)
{
	if (a->load->name)
		return install_as(a, body, a->load->name, err);
	if (json_array_size(tags) == 0)
		return error_set(err, EINVAL, "the image has no name in it; say what to call it");
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *text = json_string_value(json_array_get(tags, i));
		struct image_ref name;
		int r = image_ref_parse(text ? text : "", &name, err);

		if (r == 0)
			r = install_as(a, body, &name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_one(const struct load *l, const json_t *entry, struct error *err)
{
	struct archived a = { .load = l };
	cleanup_buf struct buf body = BUF_INIT;
	json_t *layers = NULL, *tags = NULL;
	const char *config = "";
	int r = json_text(entry, "Config", MEMBER_NAME_MAX, true, &config, err);

	if (r == 0)
		r = json_list(entry, "Layers", MANIFEST_LAYERS_MAX, true, &layers, err);
	if (r == 0)
		r = json_list(entry, "RepoTags", NAMES_MAX, false, &tags, err);
	if (r < 0)
		return error_wrap(err, "manifest.json"), r;
	a.manifest = calloc(1, sizeof(*a.manifest));
	a.members = calloc(json_array_size(layers) + 1, sizeof(*a.members));
	if (a.manifest)
		a.manifest->layers = calloc(json_array_size(layers) + 1, sizeof(*a.manifest->layers));
	if (!a.manifest || !a.manifest->layers || !a.members)
		r = error_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = describe_all(&a, config, layers, err);
	if (r == 0)
		r = manifest_format(a.manifest, &body, err);
	if (r == 0)
		r = install_names(&a, tags, &body, err);
	manifest_free(a.manifest);
	free(a.members);
	return r;
}

int docker_archive_load(const struct load *l, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_json json_t *root = NULL;
	int r = members_read(l->members, "manifest.json", MANIFEST_MAX_BYTES, &text, err);

	if (r < 0)
		return r;
	root = json_document_any(buf_str(&text), text.size, "manifest.json", err);
	if (!root)
		return -EBADMSG;
	if (!json_is_array(root) || json_array_size(root) == 0)
		return error_set(err, EBADMSG, "manifest.json is not a list of images");
	if (l->name && json_array_size(root) > 1)
		return error_set(err, EINVAL, "there are %zu images in it, one name is not enough",
				 json_array_size(root));
	for (size_t i = 0; r == 0 && i < json_array_size(root); i++)
		r = json_is_object(json_array_get(root, i)) ? load_one(l, json_array_get(root, i), err)
							    : error_set(err, EBADMSG, "manifest.json: not an object");
	return r;
}
