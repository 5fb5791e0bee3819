/* Taking an image in: see install.h. */
#include "images/whole/install.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "images/config.h"
#include "images/unpack/unpack.h"
#include "images/whole/unpack_layer.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"

enum { UNPACKING_MAX = 2 };

/* A layer that a worker unpacks while we go on: fetching the next, or starting it. */
struct unpacking {
	char what[64];
	size_t index; /* in the image, 0 the lowest */
	struct digest diff_id;
	uint64_t size;
	struct store_layer_writer *writer;
	struct layer_unpacking *worker;
};

/* One image on its way in. */
struct install {
	struct store *store;
	const struct image_source *source;
	const struct image_options *options;
	struct store_lease *lease;
	struct image_event event;                   /* of the step being done */
	struct unpacking *unpacking[UNPACKING_MAX]; /* the oldest first */
	size_t n_unpacking;
	bool has_bad_layer; /* what failed was the unpacking of one, and the message names it */
	/*
	 * What each layer is called in the store, the lowest first: its diff id, or, when what became of it depends on the layers
	 * below, a digest of all of them. Final once it was unpacked.
	 */
	struct digest *names;
	struct digest *chains; /* the second of the two, for each layer */
	struct digest *made;   /* blobs and layers that were not there before */
	size_t n_made;
};

static void emit(struct install *in, uint64_t done, uint64_t total)
{
	in->event.done = done;
	in->event.total = total;
	if (in->options->event)
		in->options->event(&in->event, in->options->arg);
}

static void begin(struct install *in, enum image_step step, const char *what, const struct digest *d)
{
	in->event = (struct image_event){ .step = step, .what = what, .digest = d ? d->text : "" };
}

static void end(struct install *in, uint64_t total, bool was_there)
{
	in->event.is_end = true;
	in->event.was_there = was_there;
	emit(in, total, total);
}

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
	emit(arg, done, total);
}

/* Without memory it is not noted: then the collector finds it. */
static void note_made(struct install *in, const struct digest *d)
{
	struct digest *made = realloc(in->made, (in->n_made + 1) * sizeof(*made));

	if (!made)
		return;
	in->made = made;
	in->made[in->n_made++] = *d;
}

/* ---- blobs ---------------------------------------------------------------------------------------------------- */

static int take_blob(struct install *in, const char *what, const struct descriptor *d, struct error *err)
{
	struct store_blob_writer *w = NULL;
	uint64_t have = 0, size = 0;
	int fd = -1, r = store_lease_add(in->lease, &d->digest, err);

	if (r < 0)
		return r;
	begin(in, in->source->step, what, &d->digest);
	r = store_blob_begin(in->store, &d->digest, &w, &fd, &have, err);
	if (r < 0)
		return r;
	if (r == 1) {
		if (store_blob_has(in->store, &d->digest, &size) && size != d->size)
			return error_set(err, EBADMSG, "%s has %llu bytes, size %llu announced", d->digest.text,
					 (unsigned long long)size, (unsigned long long)d->size);
		end(in, d->size, true);
		return 0;
	}
	r = in->source->blob(in->source->self, d, fd, have, on_progress, in, err);
	if (r < 0) {
		store_blob_abandon(w, r != -EBADMSG && !in->source->is_near);
		return r;
	}
	r = store_blob_commit(w, err);
	if (r == 0)
		note_made(in, &d->digest);
	if (r == 0)
		end(in, d->size, false);
	return r;
}

/* ---- layers --------------------------------------------------------------------------------------------------- */

/* Wait for the oldest one. */
static int finish_one(struct install *in, struct error *err)
{
	struct unpacking *u = in->unpacking[0];
	struct unpack_result result = { .devices_skipped = 0 };
	int r;

	in->n_unpacking--;
	for (size_t i = 0; i < in->n_unpacking; i++)
		in->unpacking[i] = in->unpacking[i + 1];
	begin(in, IMAGE_UNPACK, u->what, &u->diff_id);
	emit(in, 0, u->size);
	r = layer_unpack_end(u->worker, on_progress, in, &result, err);
	if (r < 0)
		store_layer_abandon(u->writer);
	else
		r = store_layer_commit(u->writer, result.depends ? &in->chains[u->index] : NULL, err);
	if (r == 0 && result.depends)
		in->names[u->index] = in->chains[u->index];
	if (r == 0)
		note_made(in, &in->names[u->index]);
	in->event.devices_skipped = result.devices_skipped;
	if (r == 0)
		end(in, u->size, false);
	else
		(void)error_wrap(err, "%s", u->what);
	in->has_bad_layer = r < 0;
	free(u);
	return r;
}

static int finish_all(struct install *in, struct error *err)
{
	int r = 0;

	while (r == 0 && in->n_unpacking > 0)
		r = finish_one(in, err);
	return r;
}

/* After a failure. Layers that are whole spare the next attempt their work, unless they are part of what is wrong. */
static void give_up(struct install *in)
{
	struct error ignored = ERROR_INIT;

	if (!in->has_bad_layer)
		(void)finish_all(in, &ignored); /* the first failure is the one to tell */
	while (in->n_unpacking > 0) {
		struct unpacking *u = in->unpacking[--in->n_unpacking];

		layer_unpack_cancel(u->worker);
		store_layer_abandon(u->writer);
		free(u);
	}
}

/*
 * Only when we hold no other layer do we wait for one that somebody else holds: they may be waiting for ours. And it
 * may be ours: nothing forbids an image to have a layer twice.
 */
static int begin_layer(struct install *in, const struct digest *diff_id, struct store_layer_writer **ret, int *ret_dir,
		       struct error *err)
{
	int r = store_layer_try_begin(in->store, diff_id, ret, ret_dir, err);

	if (r != -EWOULDBLOCK)
		return r;
	r = finish_all(in, err);
	return r < 0 ? r : store_layer_begin(in->store, diff_id, ret, ret_dir, err);
}

static int start_unpacking(struct install *in, size_t index, const char *what, const struct descriptor *d,
			   const struct digest *diff_id, struct store_layer_writer *w, int dir, struct error *err)
{
	struct unpacking *u = calloc(1, sizeof(*u));
	int r = u ? 0 : error_set(err, ENOMEM, "out of memory");

	if (r == 0) {
		*u = (struct unpacking){ .index = index, .diff_id = *diff_id, .size = d->size, .writer = w };
		(void)snprintf(u->what, sizeof(u->what), "%s", what);
		r = layer_unpack_begin(in->store,
				       &(struct layer_spec){ .blob = d,
							     .diff_id = &u->diff_id,
							     .below = in->names,
							     .n_below = index,
							     .options = in->options,
							     .dir_fd = dir },
				       &u->worker, err);
	}
	if (r < 0) {
		free(u);
		store_layer_abandon(w);
		return r;
	}
	in->unpacking[in->n_unpacking++] = u;
	return 0;
}

/* "This layer over those": every layer of the image up to this one has its part in it. */
static void chain(struct install *in, size_t index, const struct digest *diff_id)
{
	char text[2 * DIGEST_TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "%s %s", index ? in->chains[index - 1].text : "", diff_id->text);
	digest_of(text, strlen(text), &in->chains[index]);
	in->names[index] = *diff_id;
}

/* 1: it is there, under one of its names; 0 with *ret: we have to make it. Both names are leased before anybody looks. */
static int find_layer(struct install *in, size_t index, const struct digest *diff_id, struct store_layer_writer **ret,
		      int *ret_dir, struct error *err)
{
	int r = store_lease_add(in->lease, diff_id, err);

	chain(in, index, diff_id);
	if (r == 0)
		r = store_lease_add(in->lease, &in->chains[index], err);
	if (r == 0 && !store_layer_has(in->store, &in->chains[index])) {
		r = begin_layer(in, diff_id, ret, ret_dir, err);
		if (r != 0 || !store_layer_has(in->store, &in->chains[index]))
			return r;
		store_layer_abandon(*ret); /* made by whom we waited for */
	}
	if (r < 0)
		return r;
	in->names[index] = in->chains[index];
	return 1;
}

static int take_layer(struct install *in, size_t index, const char *what, const struct descriptor *d,
		      const struct digest *diff_id, struct error *err)
{
	struct store_layer_writer *w = NULL;
	int dir = -1, r = take_blob(in, what, d, err);

	if (r == 0)
		r = find_layer(in, index, diff_id, &w, &dir, err);
	if (r == 1) {
		begin(in, IMAGE_UNPACK, what, diff_id);
		end(in, d->size, true);
	}
	return r == 0 ? start_unpacking(in, index, what, d, diff_id, w, dir, err) : r < 0 ? r : 0;
}

/* ---- config --------------------------------------------------------------------------------------------------- */

static int check_config(const struct install *in, const struct manifest *m, const struct image_config *c,
			struct error *err)
{
	char has[PLATFORM_TEXT_BYTES], want[PLATFORM_TEXT_BYTES];

	if (c->n_diff_ids != m->n_layers)
		return error_set(err, EBADMSG, "the manifest has %zu layers, the config names %zu", m->n_layers,
				 c->n_diff_ids);
	if (platform_matches(&in->options->platform, &c->platform))
		return 0;
	platform_text(&c->platform, has);
	platform_text(&in->options->platform, want);
	return error_set(err, ENOENT, "this image is for %s, wanted is %s", has, want);
}

static int take_config(struct install *in, const struct manifest *m, struct image_config **ret, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	int r = take_blob(in, "config", &m->config, err);

	if (r < 0)
		return error_wrap(err, "config"), r;
	r = store_blob_read(in->store, &m->config.digest, CONFIG_MAX_BYTES, &text, err);
	if (r == 0)
		r = image_config_parse(buf_str(&text), text.size, ret, err);
	return r == 0 ? check_config(in, m, *ret, err) : r;
}

/* ---- the record ----------------------------------------------------------------------------------------------- */

static int make_record(const struct install *in, const struct manifest *m, const struct digest *manifest,
		       const char *name, struct image_record **ret, struct error *err)
{
	struct image_record *r = calloc(1, sizeof(*r));

	if (r) {
		r->blobs = calloc(m->n_layers + 1, sizeof(*r->blobs));
		r->diff_ids = calloc(m->n_layers + 1, sizeof(*r->diff_ids));
	}
	if (!r || !r->blobs || !r->diff_ids) {
		image_record_free(r);
		return error_set(err, ENOMEM, "out of memory");
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	r->manifest = *manifest;
	r->config = m->config.digest;
	r->created_s = (uint64_t)time(NULL);
	r->n_layers = m->n_layers;
	for (size_t i = 0; i < m->n_layers; i++) {
		r->blobs[i] = m->layers[i].digest;
		r->diff_ids[i] = in->names[i];
		r->size_bytes += m->layers[i].size;
	}
	*ret = r;
	return 0;
}

static int take_image(struct install *in, const char *body, size_t size, const char *type, const char *name,
		      struct image_record **ret, struct error *err)
{
	cleanup_manifest struct manifest *m = NULL;
	cleanup_image_config struct image_config *c = NULL;
	struct digest digest;
	char what[64];
	int r = manifest_parse(body, size, type, &m, err);

	if (r < 0)
		return error_wrap(err, "manifest"), r;
	r = take_config(in, m, &c, err);
	in->names = r == 0 ? calloc(m->n_layers + 1, sizeof(*in->names)) : NULL;
	in->chains = r == 0 ? calloc(m->n_layers + 1, sizeof(*in->chains)) : NULL;
	if (r == 0 && (!in->names || !in->chains))
		r = error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < m->n_layers; i++) {
		(void)snprintf(what, sizeof(what), "layer %zu of %zu", i + 1, m->n_layers);
		r = take_layer(in, i, what, &m->layers[i], &c->diff_ids[i], err);
		if (r < 0 && !in->has_bad_layer)
			(void)error_wrap(err, "%s", what);
		if (r == 0 && in->n_unpacking == UNPACKING_MAX)
			r = finish_one(in, err);
	}
	if (r == 0)
		r = finish_all(in, err);
	if (r < 0)
		give_up(in);
	if (r == 0)
		r = store_blob_put(in->store, body, size, &digest, err);
	if (r == 0)
		r = make_record(in, m, &digest, name, ret, err);
	return r < 0 ? r : store_ref_set(in->store, *ret, err);
}

/* ---- index ---------------------------------------------------------------------------------------------------- */

/* Walk down to an image manifest: body and type are replaced by its own. */
static int resolve(struct install *in, struct buf *body, char type[MEDIA_TYPE_BYTES], struct error *err)
{
	enum manifest_kind kind;
	struct descriptor d;
	char agreed[MEDIA_TYPE_BYTES];

	for (unsigned depth = 0;; depth++) {
		int r = manifest_kind(buf_str(body), body->size, type, &kind, agreed, err);

		if (r == 0 && kind == MANIFEST_IMAGE)
			return 0;
		if (r == 0 && depth == INDEX_DEPTH_MAX)
			r = error_set(err, EBADMSG, "indexes are nested more than %d deep", INDEX_DEPTH_MAX);
		if (r == 0)
			r = index_select(buf_str(body), body->size, type, &in->options->platform, &d, err);
		if (r < 0)
			return error_wrap(err, depth ? "nested index" : "manifest"), r;
		buf_reset(body);
		r = in->source->manifest(in->source->self, &d, body, type, err);
		if (r < 0)
			return r;
		if (type[0] && strncmp(type, d.media_type, strcspn(type, "; ")) != 0)
			return error_set(err, EBADMSG, "manifest %s: the index says '%.80s', delivered is '%.80s'",
					 d.digest.text, d.media_type, type);
		(void)text_copy(type, MEDIA_TYPE_BYTES, d.media_type); /* same size */
	}
}

/*
 * The space of what failed, at once: a disk that ran full must be usable again. What a pull has fetched stays, for the next
 * attempt continues there, unless a layer of it was refused.
 */
static void give_back(struct install *in)
{
	struct error ignored = ERROR_INIT; /* the first failure is the one to tell; the collector comes by again */

	if (in->source->is_near || in->has_bad_layer)
		(void)store_give_back(in->store, in->made, in->n_made, &ignored);
	else
		(void)store_trash_empty(in->store, &ignored);
}

int install_image(struct store *s, const struct image_source *source, const char *body, size_t size, const char *type,
		  const char *name, const struct image_options *o, struct image_record **ret, struct error *err)
{
	struct install in = { .store = s, .source = source, .options = o };
	cleanup_buf struct buf text = BUF_INIT;
	struct image_record *record = NULL;
	char now[MEDIA_TYPE_BYTES];
	int r = store_lease_new(s, &in.lease, err);

	if (r < 0)
		return r;
	(void)snprintf(now, sizeof(now), "%s", type);
	if (buf_append(&text, body, size) < 0)
		r = error_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = resolve(&in, &text, now, err);
	if (r == 0)
		r = take_image(&in, buf_str(&text), text.size, now, name, &record, err);
	store_lease_free(in.lease);
	if (r < 0)
		give_back(&in);
	free(in.made);
	free(in.names);
	free(in.chains);
	if (r == 0 && ret)
		*ret = record;
	else
		image_record_free(record);
	return r;
}
