/* Manifests and indexes: see manifest.h. */
#include "images/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/platform.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/text.h"

static const struct {
	const char *type;
	enum manifest_kind kind;
} kinds[] = {
	{ MEDIA_OCI_INDEX, MANIFEST_INDEX },
	{ MEDIA_DOCKER_LIST, MANIFEST_INDEX },
	{ MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
	{ MEDIA_DOCKER_MANIFEST, MANIFEST_IMAGE },
};

static const struct {
	const char *type;
	bool is_foreign;
} layer_types[] = {
	{ MEDIA_OCI_LAYER, false },
	{ MEDIA_OCI_LAYER_GZIP, false },
	{ MEDIA_OCI_LAYER_ZSTD, false },
	{ MEDIA_DOCKER_LAYER_GZIP, false },
	{ "application/vnd.docker.image.rootfs.diff.tar", false },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", false },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", true },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", true },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", true },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), LAYER_TYPES = sizeof(layer_types) / sizeof(layer_types[0]) };

bool media_type_is_layer(const char *media_type)
{
	for (size_t i = 0; i < LAYER_TYPES; i++) {
		if (strcmp(layer_types[i].type, media_type) == 0)
			return true;
	}
	return false;
}

bool media_type_is_foreign(const char *media_type)
{
	for (size_t i = 0; i < LAYER_TYPES; i++) {
		if (strcmp(layer_types[i].type, media_type) == 0)
			return layer_types[i].is_foreign;
	}
	return false;
}

static int find_kind(const char *type, enum manifest_kind *ret, struct error *err)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].type, type) == 0) {
			*ret = kinds[i].kind;
			return 0;
		}
	}
	if (strncmp(type, "application/vnd.docker.distribution.manifest.v1", 47) == 0)
		return error_set(
			err, ENOTSUP,
			"this is a manifest of Docker schema 1, which is unsupported; push the image again with a "
			"current tool");
	return error_set(err, ENOTSUP, "media type '%.100s' is not an image manifest or index", type);
}

/* ---- which kind ----------------------------------------------------------------------------------------------- */

/* The media type without its parameters: "a/b; charset=utf-8" is "a/b". */
static void bare_type(const char *content_type, char ret[MEDIA_TYPE_BYTES])
{
	size_t n = strcspn(content_type, "; \t");

	(void)snprintf(ret, MEDIA_TYPE_BYTES, "%.*s", (int)n, content_type);
}

/* What neither side names: only the shape is left, and it must be unmistakable. */
static const char *type_by_shape(const json_t *root)
{
	return json_object_get(root, "manifests") ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
}

static int kind_of(const json_t *root, const char *content_type, enum manifest_kind *ret, char *ret_type,
		   struct error *err)
{
	char delivered[MEDIA_TYPE_BYTES];
	const char *inside;
	uint64_t schema;
	int r = json_text(root, "mediaType", MEDIA_TYPE_BYTES - 1, false, &inside, err);

	if (r < 0)
		return r;
	bare_type(content_type, delivered);
	if (inside[0] && delivered[0] && strcmp(inside, delivered) != 0)
		return error_set(err, EBADMSG, "delivered as '%.80s', but it says it is '%.80s'", delivered, inside);
	if (!inside[0])
		inside = delivered[0] ? delivered : type_by_shape(root);
	r = find_kind(inside, ret, err);
	if (r < 0)
		return r;
	r = json_size(root, "schemaVersion", 1000, &schema, err);
	if (r < 0)
		return r;
	if (schema != 2)
		return error_set(err, ENOTSUP, "schema version %llu is unsupported, only 2 is",
				 (unsigned long long)schema);
	if (*ret == MANIFEST_INDEX && (json_object_get(root, "layers") || json_object_get(root, "config")))
		return error_set(err, EBADMSG, "an index with layers or config is ambiguous");
	if (*ret == MANIFEST_IMAGE && json_object_get(root, "manifests"))
		return error_set(err, EBADMSG, "an image manifest with manifests is ambiguous");
	(void)text_copy(ret_type, MEDIA_TYPE_BYTES, inside); /* bounded above */
	return 0;
}

static json_t *load(const char *data, size_t size, struct error *err)
{
	if (size > MANIFEST_MAX_BYTES) {
		(void)error_set(err, EBADMSG, "the manifest is larger than %d bytes", MANIFEST_MAX_BYTES);
		return NULL;
	}
	return json_document(data, size, "the manifest", err);
}

int manifest_kind(const char *data, size_t size, const char *content_type, enum manifest_kind *ret, char *ret_type,
		  struct error *err)
{
	cleanup_json json_t *root = load(data, size, err);

	return root ? kind_of(root, content_type, ret, ret_type, err) : -EBADMSG;
}

/* ---- image ---------------------------------------------------------------------------------------------------- */

int descriptor_read(const json_t *object, uint64_t max_size, struct descriptor *ret, struct error *err)
{
	struct descriptor d = { .size = 0 };
	const char *type = "", *digest = "";
	int r;

	if (!json_is_object(object))
		return error_set(err, EBADMSG, "it is not an object");
	r = json_text(object, "mediaType", MEDIA_TYPE_BYTES - 1, true, &type, err);
	if (r == 0)
		r = json_text(object, "digest", 256, true, &digest, err);
	if (r == 0)
		r = json_size(object, "size", max_size, &d.size, err);
	if (r == 0)
		r = digest_parse(digest, &d.digest, err) < 0 ? -EBADMSG : 0;
	if (r < 0)
		return r;
	(void)text_copy(d.media_type, sizeof(d.media_type), type); /* bounded above */
	*ret = d;
	return 0;
}

static int read_layers(const json_t *root, struct manifest *m, struct error *err)
{
	json_t *layers;
	int r = json_list(root, "layers", MANIFEST_LAYERS_MAX, true, &layers, err);

	if (r < 0)
		return r;
	m->layers = calloc(json_array_size(layers) + 1, sizeof(*m->layers));
	if (!m->layers)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(layers); i++) {
		struct descriptor *d = &m->layers[i];

		r = descriptor_read(json_array_get(layers, i), LAYER_MAX_BYTES, d, err);
		if (r == 0 && !media_type_is_layer(d->media_type))
			r = error_set(err, ENOTSUP, "media type '%.100s' is not a layer that can be unpacked",
				      d->media_type);
		if (r < 0)
			return error_wrap(err, "layer %zu of %zu", i + 1, json_array_size(layers)), r;
		m->n_layers++;
	}
	return 0;
}

static int read_config(const json_t *root, struct manifest *m, struct error *err)
{
	json_t *config;
	int r = json_child(root, "config", true, &config, err);

	if (r == 0)
		r = descriptor_read(config, CONFIG_MAX_BYTES, &m->config, err);
	if (r == 0 && strcmp(m->config.media_type, MEDIA_OCI_CONFIG) != 0 &&
	    strcmp(m->config.media_type, MEDIA_DOCKER_CONFIG) != 0)
		r = error_set(err, ENOTSUP, "media type '%.100s': this is an artifact, not a container image",
			      m->config.media_type);
	return r < 0 ? (error_wrap(err, "config"), r) : 0;
}

int manifest_parse(const char *data, size_t size, const char *content_type, struct manifest **ret, struct error *err)
{
	cleanup_json json_t *root = load(data, size, err);
	struct manifest *m;
	enum manifest_kind kind;
	int r;

	if (!root)
		return -EBADMSG;
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(err, ENOMEM, "out of memory");
	r = kind_of(root, content_type, &kind, m->media_type, err);
	if (r == 0 && kind != MANIFEST_IMAGE)
		r = error_set(err, EBADMSG, "an index stands where an image manifest is expected");
	if (r == 0)
		r = read_config(root, m, err);
	if (r == 0)
		r = read_layers(root, m, err);
	if (r < 0) {
		manifest_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	free(m->layers);
	free(m);
}

/* ---- index ---------------------------------------------------------------------------------------------------- */

/* What one entry offers; *ret_named is false when it names no platform. */
static int read_platform(const json_t *entry, struct platform *ret, bool *ret_named, struct error *err)
{
	const char *os = "", *architecture = "", *variant = "";
	json_t *p;
	int r = json_child(entry, "platform", false, &p, err);

	*ret = (struct platform){ .os = "" };
	*ret_named = p != NULL;
	if (r < 0 || !p)
		return r;
	r = json_text(p, "os", 255, true, &os, err);
	if (r == 0)
		r = json_text(p, "architecture", 255, true, &architecture, err);
	if (r == 0)
		r = json_text(p, "variant", 255, false, &variant, err);
	if (r < 0)
		return r;
	/* cut words match nothing: no word that we know is that long */
	(void)snprintf(ret->os, sizeof(ret->os), "%s", os);
	(void)snprintf(ret->architecture, sizeof(ret->architecture), "%s", architecture);
	(void)snprintf(ret->variant, sizeof(ret->variant), "%s", variant);
	return 0;
}

static void add_offer(char *offers, size_t capacity, const struct platform *p)
{
	char text[PLATFORM_TEXT_BYTES];
	size_t n = strlen(offers);

	platform_text(p, text);
	if (n + strlen(text) + 3 < capacity)
		(void)snprintf(offers + n, capacity - n, "%s%s", n ? ", " : "", text);
}

static int no_match(const struct platform *want, const char *offers, struct error *err)
{
	char text[PLATFORM_TEXT_BYTES];

	platform_text(want, text);
	return error_set(err, ENOENT, "no image for %s; offered: %s", text, offers[0] ? offers : "none");
}

int index_select(const char *data, size_t size, const char *content_type, const struct platform *want,
		 struct descriptor *ret, struct error *err)
{
	cleanup_json json_t *root = load(data, size, err);
	char type[MEDIA_TYPE_BYTES], offers[300] = "";
	struct descriptor unnamed = { .size = 0 };
	enum manifest_kind kind;
	json_t *entries;
	int r;

	if (!root)
		return -EBADMSG;
	r = kind_of(root, content_type, &kind, type, err);
	if (r == 0 && kind != MANIFEST_INDEX)
		r = error_set(err, EBADMSG, "an image manifest stands where an index is expected");
	if (r == 0)
		r = json_list(root, "manifests", MANIFEST_INDEX_MAX, true, &entries, err);
	for (size_t i = 0; r == 0 && i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);
		struct platform offer;
		struct descriptor d;
		bool is_named = false;

		r = descriptor_read(entry, MANIFEST_MAX_BYTES, &d, err);
		if (r == 0)
			r = read_platform(entry, &offer, &is_named, err);
		if (r < 0) {
			(void)error_wrap(err, "entry %zu of the index", i + 1);
			break;
		}
		if (strcmp(offer.os, "unknown") == 0 || find_kind(d.media_type, &kind, NULL) < 0)
			continue;
		if (is_named && platform_matches(want, &offer)) {
			*ret = d;
			return 0;
		}
		if (is_named)
			add_offer(offers, sizeof(offers), &offer);
		else if (!unnamed.digest.text[0])
			unnamed = d;
	}
	if (r < 0)
		return r;
	if (!unnamed.digest.text[0])
		return no_match(want, offers, err);
	*ret = unnamed;
	return 0;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static json_t *descriptor_json(const struct descriptor *d)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", d->media_type, "digest", d->digest.text, "size",
			 (json_int_t)d->size);
}

int manifest_format(const struct manifest *m, struct buf *out, struct error *err)
{
	cleanup_json json_t *layers = json_array();
	cleanup_json json_t *root = NULL;
	cleanup_free char *text = NULL;

	for (size_t i = 0; i < m->n_layers; i++)
		(void)json_array_append_new(layers, descriptor_json(&m->layers[i])); /* memory: the count below tells */
	root = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType", m->media_type, "config",
			 descriptor_json(&m->config), "layers", layers);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	if (!text || json_array_size(layers) != m->n_layers || buf_append_str(out, text) < 0)
		return error_set(err, ENOMEM, "out of memory");
	return 0;
}
