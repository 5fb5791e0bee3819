/* Writing OCI image layouts, as a directory or a tar: see image.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/manifest.h"
#include "images/ref.h"
#include "images/whole/image.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"

enum { BLOCK = 512, TAR_SIZE_OFFSET = 124, TAR_CHECKSUM_OFFSET = 148 };

/* Where the files go. */
struct out {
	int fd; /* the directory or the archive */
	bool is_tar;
	const struct store *store;
	const struct image_options *options;
	struct image_event event;
};

/* ---- tar ------------------------------------------------------------------------------------------------------ */

/* ustar, POSIX.1-2017 pax(1); sizes of 8 GiB and more in base 256. Times and owners are 0: the same image, the same file. */
static void tar_header(const char *name, uint64_t size, char ret[BLOCK])
{
	static const char magic[8] = { 'u', 's', 't', 'a', 'r', '\0', '0', '0' }; /* and version */
	unsigned sum = 0;

	memset(ret, 0, BLOCK);
	(void)snprintf(ret, 100, "%s", name);
	(void)snprintf(ret + 100, 8, "%07o", 0644);
	(void)snprintf(ret + 108, 8, "%07o", 0);
	(void)snprintf(ret + 116, 8, "%07o", 0);
	if (size < UINT64_C(1) << 33) {
		(void)snprintf(ret + TAR_SIZE_OFFSET, 12, "%011llo", (unsigned long long)size);
	} else {
		ret[TAR_SIZE_OFFSET] = (char)0x80;
		for (int i = 0; i < 8; i++)
			ret[TAR_SIZE_OFFSET + 11 - i] = (char)(size >> (8 * i));
	}
	(void)snprintf(ret + 136, 12, "%011o", 0);
	memset(ret + TAR_CHECKSUM_OFFSET, ' ', 8);
	ret[156] = '0';
	memcpy(ret + 257, magic, sizeof(magic));
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)ret[i];
	(void)snprintf(ret + TAR_CHECKSUM_OFFSET, 8, "%06o", sum & 0777777);
}

static int tar_padding(int fd, uint64_t size, struct error *err)
{
	static const char zeros[BLOCK];
	size_t rest = (size_t)(size % BLOCK);

	return rest ? fd_write_all(fd, zeros, BLOCK - rest, err) : 0;
}

/* ---- one file ------------------------------------------------------------------------------------------------- */

static int open_file(const struct out *o, const char *name, uint64_t size, int *ret_own, struct error *err)
{
	char header[BLOCK];

	if (o->is_tar) {
		tar_header(name, size, header);
		return fd_write_all(o->fd, header, sizeof(header), err) < 0 ? -EIO : o->fd;
	}
	*ret_own = fd_open_at(o->fd, FD_BENEATH, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, err);
	return *ret_own;
}

static int put_text(const struct out *o, const char *name, const char *text, size_t size, struct error *err)
{
	cleanup_fd int own = -1;
	int fd = open_file(o, name, size, &own, err), r;

	if (fd < 0)
		return fd;
	r = fd_write_all(fd, text, size, err);
	return r == 0 && o->is_tar ? tar_padding(fd, size, err) : r;
}

static void tell(struct out *o, uint64_t done, uint64_t total)
{
	o->event.done = done;
	o->event.total = total;
	o->event.is_end = done == total;
	if (o->options->event)
		o->options->event(&o->event, o->options->arg);
}

/* The digest is verified on the way: what a disk lost is not handed on as good. */
static int copy_blob(struct out *o, const struct descriptor *d, int from, int to, struct error *err)
{
	struct digest_hasher *h = digest_hasher_new();
	char piece[64 << 10];
	struct digest got;
	uint64_t at = 0;
	int r = h ? 0 : error_set(err, ENOMEM, "out of memory");

	while (r == 0 && at < d->size) {
		size_t want = d->size - at < sizeof(piece) ? (size_t)(d->size - at) : sizeof(piece);
		ssize_t n = read(from, piece, want);

		if (n <= 0)
			r = error_set(err, EIO, "it ends after %llu of %llu bytes", (unsigned long long)at,
				      (unsigned long long)d->size);
		else
			r = fd_write_all(to, piece, (size_t)n, err);
		if (r == 0) {
			digest_hasher_add(h, piece, (size_t)n);
			at += (uint64_t)n;
			tell(o, at, d->size);
		}
	}
	if (r == 0) {
		digest_hasher_end(h, &got);
		if (!digest_equal(&got, &d->digest))
			r = error_set(err, EBADMSG, "the store's content has digest %s", got.text);
	}
	digest_hasher_free(h);
	return r;
}

static int put_blob(struct out *o, const char *what, const struct descriptor *d, struct error *err)
{
	char name[128];
	cleanup_fd int from = store_blob_open(o->store, &d->digest, err), own = -1;
	int to, r;

	if (from < 0)
		return error_wrap(err, "%s", what), from;
	o->event = (struct image_event){ .step = IMAGE_COPY, .what = what, .digest = d->digest.text };
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(&d->digest));
	to = open_file(o, name, d->size, &own, err);
	if (to == -EEXIST && !o->is_tar) { /* the same layer twice in one image */
		error_clear(err);
		return 0;
	}
	r = to < 0 ? to : copy_blob(o, d, from, to, err);
	if (r == 0 && o->is_tar)
		r = tar_padding(to, d->size, err);
	return r < 0 ? (error_wrap(err, "%s %s", what, d->digest.text), r) : 0;
}

/* ---- the layout ----------------------------------------------------------------------------------------------- */

static int put_index(const struct out *o, const struct manifest *m, const struct image_record *record, size_t size,
		     struct error *err)
{
	struct image_ref ref;
	const char *tag = image_ref_parse(record->name, &ref, NULL) == 0 && ref.tag[0] ? ref.tag : "latest";
	cleanup_json json_t *root = json_pack(
		"{s:i, s:s, s:[{s:s, s:s, s:I, s:{s:s, s:s}}]}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX,
		"manifests", "mediaType", m->media_type, "digest", record->manifest.text, "size", (json_int_t)size,
		"annotations", "io.containerd.image.name", record->name, "org.opencontainers.image.ref.name", tag);
	cleanup_free char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	return text ? put_text(o, "index.json", text, strlen(text), err) : error_set(err, ENOMEM, "out of memory");
}

static int put_all(struct out *o, const struct image_record *record, struct error *err)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct descriptor manifest = { .digest = record->manifest };
	cleanup_manifest struct manifest *m = NULL;
	cleanup_buf struct buf body = BUF_INIT;
	char what[64];
	int r = store_blob_read(o->store, &record->manifest, MANIFEST_MAX_BYTES, &body, err);

	manifest.size = body.size;
	if (r == 0)
		r = manifest_parse(buf_str(&body), body.size, "", &m, err);
	if (r == 0)
		r = put_text(o, "oci-layout", version, sizeof(version) - 1, err);
	if (r == 0)
		r = put_index(o, m, record, body.size, err);
	if (r == 0)
		r = put_blob(o, "manifest", &manifest, err);
	if (r == 0)
		r = put_blob(o, "config", &m->config, err);
	for (size_t i = 0; r == 0 && i < m->n_layers; i++) {
		bool is_again = false;

		for (size_t k = 0; k < i; k++)
			is_again = is_again || digest_equal(&m->layers[k].digest, &m->layers[i].digest);
		(void)snprintf(what, sizeof(what), "layer %zu of %zu", i + 1, m->n_layers);
		r = is_again ? 0 : put_blob(o, what, &m->layers[i], err);
	}
	return r;
}

static int open_out(struct out *o, const char *path, struct error *err)
{
	if (o->is_tar) {
		o->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		return o->fd < 0 ? error_errno(err, errno, "make '%s'", path) : 0;
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make '%s'", path);
	o->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->fd < 0)
		return error_errno(err, errno, "open '%s'", path);
	if ((mkdirat(o->fd, "blobs", 0755) < 0 || mkdirat(o->fd, "blobs/sha256", 0755) < 0))
		return error_errno(err, errno, "make 'blobs/sha256' in '%s'", path);
	return 0;
}

static int finish(const struct out *o, struct error *err)
{
	static const char zeros[2 * BLOCK];
	int r = o->is_tar ? fd_write_all(o->fd, zeros, sizeof(zeros), err) : 0;

	if (r == 0 && syncfs(o->fd) < 0)
		r = error_errno(err, errno, "flush to disk");
	return r;
}

int image_save(struct store *s, const char *name, const char *path, const struct image_options *opts, struct error *err)
{
	size_t n = strlen(path);
	struct out o = { .fd = -1, .is_tar = n > 4 && strcmp(path + n - 4, ".tar") == 0, .store = s, .options = opts };
	struct image_record *record = NULL;
	struct store_lease *lease = NULL;
	int r = store_lease_new(s, &lease, err);

	if (r == 0)
		r = store_ref_get(s, name, &record, err);
	for (size_t i = 0; r == 0 && i < record->n_layers; i++)
		r = store_lease_add(lease, &record->blobs[i], err);
	if (r == 0)
		r = open_out(&o, path, err);
	if (r == 0) {
		r = put_all(&o, record, err);
		if (r == 0)
			r = finish(&o, err);
		if (r < 0 && o.is_tar)
			(void)unlink(path); /* half an archive serves nobody */
	}
	fd_close(&o.fd);
	image_record_free(record);
	store_lease_free(lease);
	return r < 0 ? (error_wrap(err, "save '%s'", name), r) : 0;
}
