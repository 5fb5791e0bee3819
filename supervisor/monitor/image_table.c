/* Images at hand: see image_table.h. Few, so a list that is searched. */
#include "supervisor/monitor/image_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/ref.h"
#include "images/store/store.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/rootfs.h"

enum { IMAGES_MAX = 64, IDLE_S = 120 };

struct image_entry {
	struct digest manifest; /* text empty: a free row */
	struct digest config;
	struct store_lease *lease;
	int *layers;
	size_t n_layers;
	unsigned users;
	uint64_t used_ns;
};

struct image_table {
	struct store *store;
	struct image_entry entries[IMAGES_MAX];
};

struct image_table *image_table_new(struct store *store)
{
	struct image_table *t = calloc(1, sizeof(*t));

	if (t)
		t->store = store;
	return t;
}

static void entry_done(struct image_entry *e)
{
	while (e->n_layers > 0)
		fd_close(&e->layers[--e->n_layers]);
	free(e->layers);
	store_lease_free(e->lease);
	*e = (struct image_entry){ .users = 0 };
}

void image_table_free(struct image_table *t)
{
	for (size_t i = 0; t && i < IMAGES_MAX; i++)
		entry_done(&t->entries[i]);
	free(t);
}

static struct image_entry *find(struct image_table *t, const char *manifest)
{
	for (size_t i = 0; i < IMAGES_MAX; i++) {
		if (strcmp(t->entries[i].manifest.text, manifest) == 0)
			return &t->entries[i];
	}
	return NULL;
}

/* A free row, or the one unused for longest, emptied; NULL when all are in use. */
static struct image_entry *make_room(struct image_table *t)
{
	struct image_entry *oldest = NULL;

	for (size_t i = 0; i < IMAGES_MAX; i++) {
		struct image_entry *e = &t->entries[i];

		if (!e->manifest.text[0])
			return e;
		if (e->users == 0 && (!oldest || e->used_ns < oldest->used_ns))
			oldest = e;
	}
	if (oldest)
		entry_done(oldest);
	return oldest;
}

/* The lease first: what it names is not collected from then on, so that what we find stays. */
static int open_layers(struct image_table *t, struct image_entry *e, const struct image_record *r, struct error *err)
{
	int code = store_lease_new(t->store, &e->lease, err);

	if (code == 0)
		code = store_lease_add(e->lease, &r->config, err);
	if (code == 0)
		code = store_lease_add(e->lease, &r->manifest, err);
	for (size_t i = 0; code == 0 && i < r->n_layers; i++)
		code = store_lease_add(e->lease, &r->diff_ids[i], err);
	if (code == 0)
		code = store_layers_open(t->store, r->diff_ids, r->n_layers, e->layers, &e->n_layers, err);
	if (code == -ENOENT) /* known, and part of it gone: not the same as a missing image */
		return error_set(err, EIO, "image '%.200s' is not whole: make or pull it again", r->name);
	return code;
}

static int take_in(struct image_table *t, const struct image_record *r, struct image_entry **ret, struct error *err)
{
	struct image_entry *e = find(t, r->manifest.text);
	int code;

	if (!e) {
		if (r->n_layers == 0 || r->n_layers > ROOTFS_LAYERS_MAX)
			return error_set(err, EINVAL, "image '%.200s' has %zu layers, it must have 1 to %d", r->name,
					 r->n_layers, ROOTFS_LAYERS_MAX);
		e = make_room(t);
		if (!e)
			return error_set(err, EAGAIN, "%d images are in use", IMAGES_MAX);
		e->layers = calloc(r->n_layers, sizeof(*e->layers));
		code = e->layers ? open_layers(t, e, r, err) : error_errno(err, ENOMEM, "image layers");
		if (code < 0) {
			entry_done(e);
			return code;
		}
		e->manifest = r->manifest;
		e->config = r->config;
	}
	e->used_ns = clock_now_ns();
	*ret = e;
	return 0;
}

int image_resolve(struct image_table *t, const char *name, const struct image_entry **ret, struct error *err)
{
	char text[REF_TEXT_BYTES];
	struct image_record *record = NULL;
	struct image_entry *e = NULL;
	struct image_ref ref;
	int r = image_ref_parse(name, &ref, err);

	if (r < 0)
		return r;
	image_ref_store_name(&ref, text);
	r = store_ref_get(t->store, text, &record, err);
	if (r == 0)
		r = take_in(t, record, &e, err);
	if (r == 0)
		*ret = e;
	image_record_free(record);
	return r;
}

struct search {
	struct image_table *table;
	const char *manifest;
	struct image_entry *found;
	struct error *err;
};

/* Positive: found, stop. */
static int match(const struct image_record *r, void *arg)
{
	struct search *s = arg;
	int code;

	if (strcmp(r->manifest.text, s->manifest) != 0)
		return 0;
	code = take_in(s->table, r, &s->found, s->err);
	return code < 0 ? code : 1;
}

int image_use(struct image_table *t, const char *manifest, struct image_entry **ret, struct error *err)
{
	struct search s = { .table = t, .manifest = manifest, .err = err };
	struct digest d;
	int r = digest_parse(manifest, &d, err);

	if (r < 0)
		return r;
	s.found = find(t, manifest);
	r = s.found ? 1 : store_ref_each(t->store, match, &s, err);
	if (r < 0)
		return r;
	if (!s.found)
		return error_set(err, ENOENT, "no image with the manifest %s", d.text);
	s.found->users++;
	s.found->used_ns = clock_now_ns();
	*ret = s.found;
	return 0;
}

void image_release(struct image_table *t, struct image_entry *e)
{
	(void)t;
	if (!e)
		return;
	e->users--;
	e->used_ns = clock_now_ns();
}

const struct digest *image_manifest(const struct image_entry *e)
{
	return &e->manifest;
}

const struct digest *image_config_digest(const struct image_entry *e)
{
	return &e->config;
}

const int *image_layers(const struct image_entry *e, size_t *ret_n)
{
	*ret_n = e->n_layers;
	return e->layers;
}

uint64_t image_table_age(struct image_table *t, uint64_t now_ns)
{
	uint64_t next = CLOCK_NEVER;

	for (size_t i = 0; i < IMAGES_MAX; i++) {
		struct image_entry *e = &t->entries[i];
		uint64_t until = e->used_ns + IDLE_S * NS_PER_S;

		if (!e->manifest.text[0] || e->users > 0)
			continue;
		if (until <= now_ns)
			entry_done(e);
		else if (until < next)
			next = until;
	}
	return next;
}
