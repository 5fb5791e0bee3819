/* Reading OCI image layouts (image-spec: image-layout.md): see load_impl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "images/archive/load_impl.h"
#include "images/ref.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/text.h"

#define REF_NAME        "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME "io.containerd.image.name" /* docker and containerd put the whole name here */

static void blob_name(const struct digest *d, char ret[128])
{
	(void)snprintf(ret, 128, "blobs/sha256/%s", digest_hex(d));
}

static int layout_blob(void *self, const struct descriptor *d, int fd, uint64_t have, source_progress_fn *progress,
		       void *arg, struct error *err)
{
	const struct load *l = self;
	char name[128];

	(void)have; /* a copy is started anew: it is cheap */
	blob_name(&d->digest, name);
	return load_copy(l->members, name, d, fd, progress, arg, err);
}

static int layout_manifest(void *self, const struct descriptor *d, struct buf *body, char *type, struct error *err)
{
	const struct load *l = self;
	struct digest got;
	char name[128];
	int r;

	blob_name(&d->digest, name);
	r = members_read(l->members, name, MANIFEST_MAX_BYTES, body, err);
	if (r < 0)
		return r;
	digest_of(buf_str(body), body->size, &got);
	if (body->size != d->size || !digest_equal(&got, &d->digest))
		return error_set(err, EBADMSG, "manifest %s: the content has %zu bytes and digest %s", d->digest.text,
				 body->size, got.text);
	(void)text_copy(type, MEDIA_TYPE_BYTES, d->media_type); /* same size */
	return 0;
}

static int check_version(const struct load *l, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_json json_t *root = NULL;
	const char *version;
	int r = members_read(l->members, "oci-layout", 4096, &text, err);

	if (r < 0)
		return r;
	root = json_document(buf_str(&text), text.size, "oci-layout", err);
	r = root ? json_text(root, "imageLayoutVersion", 32, true, &version, err) : -EBADMSG;
	if (r == 0 && strcmp(version, "1.0.0") != 0)
		r = error_set(err, ENOTSUP, "layout version '%s' is unsupported, only 1.0.0 is", version);
	return r;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static const char *annotation(const json_t *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(entry, "annotations"), key));

	return text ? text : "";
}

/* What an entry calls itself, if that is a whole name; a bare tag is none. */
static bool own_name(const json_t *entry, struct image_ref *ret)
{
	const char *text = annotation(entry, CONTAINERD_NAME);

	if (!text[0])
		text = annotation(entry, REF_NAME);
	return strpbrk(text, "/:") && image_ref_parse(text, ret, NULL) == 0;
}

/* Is this entry meant by the name that was asked for? */
static bool is_meant(const json_t *entry, const struct image_ref *name)
{
	struct image_ref own;

	if (own_name(entry, &own))
		return strcmp(own.host, name->host) == 0 && strcmp(own.path, name->path) == 0 &&
		       strcmp(own.tag, name->tag) == 0;
	return name->tag[0] && strcmp(annotation(entry, REF_NAME), name->tag) == 0;
}

/* ---- loading -------------------------------------------------------------------------------------------------- */

static int load_entry(const struct load *l, const json_t *entry, const struct image_ref *name, struct error *err)
{
	struct image_source source = {
		.step = IMAGE_COPY, .is_near = true, .blob = layout_blob, .manifest = layout_manifest, .self = (void *)l
	};
	cleanup_buf struct buf body = BUF_INIT;
	char type[MEDIA_TYPE_BYTES], text[REF_TEXT_BYTES];
	struct descriptor d;
	int r = descriptor_read(entry, MANIFEST_MAX_BYTES, &d, err);

	if (r == 0)
		r = layout_manifest((void *)l, &d, &body, type, err);
	image_ref_store_name(name, text);
	return r < 0 ? r : load_install(l, &source, buf_str(&body), body.size, type, text, err);
}

/* No name tells the entries apart: the platform does, as in any index. */
static int load_by_platform(const struct load *l, const struct buf *index, struct error *err)
{
	struct image_source source = {
		.step = IMAGE_COPY, .is_near = true, .blob = layout_blob, .manifest = layout_manifest, .self = (void *)l
	};
	char text[REF_TEXT_BYTES];

	image_ref_store_name(l->name, text);
	return load_install(l, &source, buf_str(index), index->size, MEDIA_OCI_INDEX, text, err);
}

static int load_named(const struct load *l, const json_t *entries, const struct buf *index, struct error *err)
{
	const json_t *one = json_array_size(entries) == 1 ? json_array_get(entries, 0) : NULL;

	for (size_t i = 0; !one && i < json_array_size(entries); i++) {
		if (is_meant(json_array_get(entries, i), l->name))
			one = json_array_get(entries, i);
	}
	return one ? load_entry(l, one, l->name, err) : load_by_platform(l, index, err);
}

static int load_all(const struct load *l, const json_t *entries, struct error *err)
{
	for (size_t i = 0; i < json_array_size(entries); i++) {
		struct image_ref name;
		int r;

		if (!own_name(json_array_get(entries, i), &name))
			return error_set(err, EINVAL, "entry %zu of index.json has no whole name; say what to call it",
					 i + 1);
		r = load_entry(l, json_array_get(entries, i), &name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int layout_load(const struct load *l, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_json json_t *root = NULL;
	json_t *entries;
	int r = check_version(l, err);

	if (r == 0)
		r = members_read(l->members, "index.json", MANIFEST_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	root = json_document(buf_str(&text), text.size, "index.json", err);
	r = root ? json_list(root, "manifests", MANIFEST_INDEX_MAX, true, &entries, err) : -EBADMSG;
	if (r == 0 && json_array_size(entries) == 0)
		r = error_set(err, ENOENT, "index.json names no image");
	if (r < 0)
		return r;
	return l->name ? load_named(l, entries, &text, err) : load_all(l, entries, err);
}
