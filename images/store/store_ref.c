/*
 * References: one JSON record an image name. The file name is the percent-encoded image name, or, where that would be
 * too long for a file, "%" and a digest of it; the record holds the name itself either way.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "images/store/store.h"
#include "images/store/store_impl.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { FILE_NAME_MAX = 200, FILE_NAME_BYTES = 256, RECORD_MAX = 256 << 10 };

static void cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_)))

void image_record_free(struct image_record *r)
{
	if (!r)
		return;
	free(r->blobs);
	free(r->diff_ids);
	free(r);
}

static int file_name(const char *name, char ret[FILE_NAME_BYTES], struct error *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t at = 0, size = strlen(name);
	struct digest d;

	if (size == 0 || size >= STORE_NAME_BYTES)
		return error_set(err, EINVAL, "image name of %zu bytes, it must have 1 to %d", size,
				 STORE_NAME_BYTES - 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c <= ' ' || c >= 0x7f)
			return error_set(err, EINVAL, "image name with byte 0x%02x in it", c);
		if (at > FILE_NAME_MAX)
			continue;
		if (strchr(plain, c) || (c == '.' && i > 0))
			ret[at++] = (char)c;
		else
			at += (size_t)snprintf(ret + at, FILE_NAME_BYTES - at, "%%%02X", c);
	}
	ret[at] = '\0';
	/* "tmp." is how fd_replace_file names what it has not finished */
	if (at <= FILE_NAME_MAX && strncmp(ret, "tmp.", 4) != 0)
		return 0;
	digest_of(name, size, &d);
	(void)snprintf(ret, FILE_NAME_BYTES, "%%%s", digest_hex(&d));
	return 0;
}

/* ---- the record as JSON ---- */

static json_t *digests_to_json(const struct digest *d, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_array_append_new(list, json_string(d[i].text)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

int store_ref_set(struct store *s, const struct image_record *r, struct error *err)
{
	char file[FILE_NAME_BYTES];
	cleanup_json json_t *o = NULL;
	cleanup_free char *text = NULL;
	cleanup_fd int lock = -1;
	int ret = file_name(r->name, file, err);

	if (ret < 0)
		return ret;
	if (r->n_layers > STORE_LAYERS_MAX)
		return error_set(err, EINVAL, "image '%s' has %zu layers, at most %d", r->name, r->n_layers,
				 STORE_LAYERS_MAX);
	o = json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "version", 1, "name", r->name, "manifest",
		      r->manifest.text, "config", r->config.text, "created_s", (json_int_t)r->created_s, "size_bytes",
		      (json_int_t)r->size_bytes, "blobs", digests_to_json(r->blobs, r->n_layers), "diff_ids",
		      digests_to_json(r->diff_ids, r->n_layers));
	text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
	if (!text)
		return error_errno(err, ENOMEM, "image '%s'", r->name);
	lock = store_lock(s, LOCK_SH, err);
	if (lock < 0)
		return lock;
	return fd_replace_file(s->refs, file, text, strlen(text), 0600, err);
}

static int digest_from_json(const json_t *j, struct digest *ret, struct error *err)
{
	return digest_parse(json_is_string(j) ? json_string_value(j) : "", ret, err);
}

static int digests_from_json(const json_t *list, size_t n, struct digest **ret, struct error *err)
{
	struct digest *d = calloc(n + 1, sizeof(*d));
	int r = d ? 0 : error_errno(err, ENOMEM, "layers");

	for (size_t i = 0; r == 0 && i < n; i++)
		r = digest_from_json(json_array_get(list, i), &d[i], err);
	if (r < 0)
		free(d);
	else
		*ret = d;
	return r;
}

static int decode(const char *text, size_t size, struct image_record **ret, struct error *err)
{
	json_error_t where;
	cleanup_json json_t *o = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	json_t *blobs = json_object_get(o, "blobs"), *diff_ids = json_object_get(o, "diff_ids");
	const char *name = json_string_value(json_object_get(o, "name"));
	struct image_record *rec;
	size_t n = json_array_size(blobs);
	int r = 0;

	if (!o)
		return error_set(err, EBADMSG, "line %d: %s", where.line, where.text);
	if (json_integer_value(json_object_get(o, "version")) != 1)
		return error_set(err, EBADMSG, "not a record of version 1");
	if (!name || !name[0] || strlen(name) >= STORE_NAME_BYTES || !json_is_array(blobs) ||
	    !json_is_array(diff_ids) || n != json_array_size(diff_ids) || n > STORE_LAYERS_MAX)
		return error_set(err, EBADMSG, "a field is missing or out of bounds");
	rec = calloc(1, sizeof(*rec));
	if (!rec)
		return error_errno(err, ENOMEM, "record");
	(void)snprintf(rec->name, sizeof(rec->name), "%s", name);
	rec->created_s = (uint64_t)json_integer_value(json_object_get(o, "created_s"));
	rec->size_bytes = (uint64_t)json_integer_value(json_object_get(o, "size_bytes"));
	rec->n_layers = n;
	if ((r = digest_from_json(json_object_get(o, "manifest"), &rec->manifest, err)) < 0 ||
	    (r = digest_from_json(json_object_get(o, "config"), &rec->config, err)) < 0 ||
	    (r = digests_from_json(blobs, n, &rec->blobs, err)) < 0 ||
	    (r = digests_from_json(diff_ids, n, &rec->diff_ids, err)) < 0) {
		image_record_free(rec);
		return r;
	}
	*ret = rec;
	return 0;
}

static int load(const struct store *s, const char *file, struct image_record **ret, struct error *err)
{
	cleanup_buf struct buf b = BUF_BOUNDED(RECORD_MAX);
	int r = fd_read_file(s->refs, file, RECORD_MAX, &b, err);

	if (r < 0)
		return r;
	r = decode(buf_str(&b), b.size, ret, err);
	if (r < 0)
		(void)error_wrap(err, "record 'refs/%s'", file);
	return r;
}

int store_ref_get(const struct store *s, const char *name, struct image_record **ret, struct error *err)
{
	char file[FILE_NAME_BYTES];
	struct image_record *rec = NULL;
	int r = file_name(name, file, err);

	if (r < 0)
		return r;
	if (faccessat(s->refs, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return error_set(err, ENOENT, "no image '%s' here", name);
	r = load(s, file, &rec, err);
	if (r < 0)
		return r;
	if (!rec || strcmp(rec->name, name) != 0) {
		image_record_free(rec);
		return error_set(err, EBADMSG, "record 'refs/%s' is of another image", file);
	}
	*ret = rec;
	return 0;
}

int store_ref_remove(struct store *s, const char *name, struct error *err)
{
	char file[FILE_NAME_BYTES];
	int r = file_name(name, file, err);
	cleanup_fd int lock = r < 0 ? -1 : store_lock(s, LOCK_SH, err);

	if (r < 0)
		return r;
	if (lock < 0)
		return lock;
	if (unlinkat(s->refs, file, 0) < 0)
		return errno == ENOENT ? error_set(err, ENOENT, "no image '%s' here", name)
				       : error_errno(err, errno, "remove 'refs/%s'", file);
	return store_sync_dir(s->refs, "refs", err);
}

/* ---- all of them ---- */

struct all {
	const struct store *store;
	struct error *err;
	struct image_record **list;
	size_t n, room;
};

static int add_one(const char *file, void *arg)
{
	struct all *a = arg;
	struct image_record *rec = NULL;
	int r;

	if (strncmp(file, "tmp.", 4) == 0)
		return 0; /* being written */
	r = load(a->store, file, &rec, a->err);
	if (r == -ENOENT) {
		error_clear(a->err);
		return 0; /* removed while we looked */
	}
	if (r < 0)
		return r;
	if (a->n == a->room) {
		size_t room = a->room ? a->room * 2 : 64;
		struct image_record **list = realloc(a->list, room * sizeof(struct image_record *));

		if (!list) {
			image_record_free(rec);
			return error_errno(a->err, ENOMEM, "list of images");
		}
		a->list = list;
		a->room = room;
	}
	a->list[a->n++] = rec;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct image_record *const *)a)->name, (*(struct image_record *const *)b)->name);
}

int store_ref_each(const struct store *s, int (*fn)(const struct image_record *r, void *arg), void *arg,
		   struct error *err)
{
	struct all a = { .store = s, .err = err };
	int r = store_each_name(s->refs, add_one, &a, err);

	if (a.n > 1)
		qsort(a.list, a.n, sizeof(struct image_record *), by_name);
	for (size_t i = 0; r == 0 && i < a.n; i++)
		r = fn(a.list[i], arg);
	for (size_t i = 0; i < a.n; i++)
		image_record_free(a.list[i]);
	free(a.list);
	return r;
}
