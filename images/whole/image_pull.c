/* From and to a registry: see image.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/ref.h"
#include "images/registry/fetch.h"
#include "images/whole/image.h"
#include "images/whole/install.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"

/* ---- pull ----------------------------------------------------------------------------------------------------- */

static int registry_blob(void *self, const struct descriptor *d, int fd, uint64_t have, source_progress_fn *progress,
			 void *arg, struct error *err)
{
	return fetch_blob(self, d, fd, have, progress, arg, err);
}

static int registry_manifest(void *self, const struct descriptor *d, struct buf *body, char *type, struct error *err)
{
	struct digest got;

	return fetch_manifest(self, d->digest.text, d->size, body, type, &got, err);
}

int image_pull(struct store *s, const struct image_ref *ref, const struct image_options *o, struct image_record **ret,
	       struct error *err)
{
	struct image_source source = { .step = IMAGE_FETCH, .blob = registry_blob, .manifest = registry_manifest };
	struct image_event event = { .step = IMAGE_RESOLVE, .what = "manifest" };
	cleanup_buf struct buf body = BUF_INIT;
	char name[REF_TEXT_BYTES], type[MEDIA_TYPE_BYTES];
	struct fetch *f = NULL;
	struct digest digest;
	int r = fetch_open(ref, false, &f, err);

	image_ref_store_name(ref, name);
	if (r == 0)
		r = fetch_manifest(f, image_ref_target(ref), 0, &body, type, &digest, err);
	if (r == 0 && o->event) {
		event.digest = digest.text;
		event.is_end = true;
		o->event(&event, o->arg);
	}
	source.self = f;
	if (r == 0)
		r = install_image(s, &source, buf_str(&body), body.size, type, name, o, ret, err);
	fetch_close(f);
	return r < 0 ? (error_wrap(err, "pull '%s'", name), r) : 0;
}

/* ---- push ----------------------------------------------------------------------------------------------------- */

struct push {
	struct store *store;
	struct fetch *fetch;
	const struct image_options *options;
	struct image_event event;
	char mount_from[REF_NAME_MAX + 1];
};

static void on_push_progress(uint64_t done, uint64_t total, void *arg)
{
	struct push *p = arg;

	p->event.done = done;
	p->event.total = total;
	if (p->options->event)
		p->options->event(&p->event, p->options->arg);
}

static int push_blob(struct push *p, const char *what, const struct descriptor *d, struct error *err)
{
	bool was_there = false;
	int r, fd = -1;

	if (media_type_is_foreign(d->media_type))
		return error_set(err, ENOTSUP, "%s: a foreign layer must not be pushed", what);
	fd = store_blob_open(p->store, &d->digest, err);
	if (fd < 0)
		return error_wrap(err, "%s", what), fd;
	p->event = (struct image_event){ .step = IMAGE_PUSH, .what = what, .digest = d->digest.text };
	r = fetch_push_blob(p->fetch, d, fd, p->mount_from, on_push_progress, p, &was_there, err);
	fd_close(&fd);
	if (r < 0)
		return error_wrap(err, "%s", what), r;
	p->event.is_end = true;
	p->event.was_there = was_there;
	on_push_progress(d->size, d->size, p);
	return 0;
}

static int push_manifest(struct push *p, const struct image_record *record, const struct manifest *m, size_t size,
			 const struct image_ref *to, struct error *err)
{
	struct descriptor d = { .digest = record->manifest, .size = size };
	cleanup_fd int fd = store_blob_open(p->store, &record->manifest, err);

	(void)text_copy(d.media_type, sizeof(d.media_type), m->media_type); /* same size */
	return fd < 0 ? fd : fetch_push_manifest(p->fetch, image_ref_target(to), &d, fd, err);
}

static int push_all(struct push *p, const struct image_record *record, const struct image_ref *to, struct error *err)
{
	cleanup_manifest struct manifest *m = NULL;
	cleanup_buf struct buf body = BUF_INIT;
	char what[64];
	int r = store_blob_read(p->store, &record->manifest, MANIFEST_MAX_BYTES, &body, err);

	if (r == 0)
		r = manifest_parse(buf_str(&body), body.size, "", &m, err);
	for (size_t i = 0; r == 0 && i < m->n_layers; i++) {
		(void)snprintf(what, sizeof(what), "layer %zu of %zu", i + 1, m->n_layers);
		r = push_blob(p, what, &m->layers[i], err);
	}
	if (r == 0)
		r = push_blob(p, "config", &m->config, err);
	return r == 0 ? push_manifest(p, record, m, body.size, to, err) : r;
}

/* Can the registry take blobs over from where we have the image from? */
static void find_mount(const char *name, const struct image_ref *to, char ret[REF_NAME_MAX + 1])
{
	struct image_ref from;

	ret[0] = '\0';
	if (image_ref_parse(name, &from, NULL) == 0 && strcmp(from.host, to->host) == 0 &&
	    strcmp(from.path, to->path) != 0)
		(void)text_copy(ret, REF_NAME_MAX + 1, from.path); /* same size */
}

int image_push(struct store *s, const char *name, const struct image_ref *to, const struct image_options *o,
	       struct error *err)
{
	struct push p = { .store = s, .options = o };
	struct image_record *record = NULL;
	struct store_lease *lease = NULL;
	char text[REF_TEXT_BYTES];
	int r = store_lease_new(s, &lease, err);

	image_ref_text(to, text);
	find_mount(name, to, p.mount_from);
	if (r == 0)
		r = store_ref_get(s, name, &record, err);
	for (size_t i = 0; r == 0 && i < record->n_layers; i++)
		r = store_lease_add(lease, &record->blobs[i], err);
	if (r == 0)
		r = store_lease_add(lease, &record->config, err);
	if (r == 0)
		r = store_lease_add(lease, &record->manifest, err);
	if (r == 0)
		r = fetch_open(to, true, &p.fetch, err);
	if (r == 0)
		r = push_all(&p, record, to, err);
	fetch_close(p.fetch);
	image_record_free(record);
	store_lease_free(lease);
	return r < 0 ? (error_wrap(err, "push '%s'", text), r) : 0;
}
