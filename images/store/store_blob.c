/*
 * Blobs: content-addressed files that appear by rename when they are whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/store/store.h"
#include "images/store/store_impl.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

struct store_blob_writer {
	struct store *store;
	struct tmp_lock lock;
	struct digest digest;
	int fd;
};

static void writer_free(struct store_blob_writer *w)
{
	if (!w)
		return;
	fd_close(&w->fd);
	tmp_lock_drop(w->store, &w->lock);
	free(w);
}

bool store_blob_has(const struct store *s, const struct digest *d, uint64_t *ret_size)
{
	struct stat st;

	if (!d->text[0] || fstatat(s->blobs, digest_hex(d), &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return true;
}

int store_blob_open(const struct store *s, const struct digest *d, struct error *err)
{
	int fd;

	if (!d->text[0])
		return error_set(err, EINVAL, "no digest given");
	fd = openat(s->blobs, digest_hex(d), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "blob '%s'", d->text);
	return fd;
}

int store_blob_read(const struct store *s, const struct digest *d, size_t max_bytes, struct buf *out, struct error *err)
{
	cleanup_fd int fd = store_blob_open(s, d, err);
	struct digest seen;
	size_t before = out->size;
	int r;

	if (fd < 0)
		return fd;
	r = fd_read_all(fd, max_bytes, out, err);
	if (r < 0) {
		(void)error_wrap(err, "blob '%s'", d->text);
		return r;
	}
	digest_of(out->data ? out->data + before : "", out->size - before, &seen);
	if (!digest_equal(&seen, d))
		return error_set(err, EBADMSG, "blob '%s' was damaged on disk: its digest is now %s", d->text,
				 seen.text);
	return 0;
}

/* The file to continue, at its end. A part put down earlier comes back under its working name. */
static int open_part(struct store *s, struct store_blob_writer *w, uint64_t *ret_have, struct error *err)
{
	char part[TMP_BASE_BYTES + 8];
	off_t at;

	(void)snprintf(part, sizeof(part), "%s.part", w->lock.base);
	if (renameat(s->tmp, part, s->tmp, w->lock.base) < 0) {
		if (errno != ENOENT)
			return error_errno(err, errno, "take up 'tmp/%s'", part);
		(void)unlinkat(s->tmp, w->lock.base, 0); /* of a process that died: nobody said that it is any good */
	}
	w->fd = openat(s->tmp, w->lock.base, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return error_errno(err, errno, "open 'tmp/%s'", w->lock.base);
	at = lseek(w->fd, 0, SEEK_END);
	if (at < 0)
		return error_errno(err, errno, "seek in 'tmp/%s'", w->lock.base);
	*ret_have = (uint64_t)at;
	return 0;
}

int store_blob_begin(struct store *s, const struct digest *d, struct store_blob_writer **ret, int *ret_fd,
		     uint64_t *ret_have, struct error *err)
{
	struct store_blob_writer *w;
	char base[TMP_BASE_BYTES];
	int r;

	if (!d->text[0])
		return error_set(err, EINVAL, "no digest given");
	if (store_blob_has(s, d, NULL))
		return 1;
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_errno(err, ENOMEM, "blob '%s'", d->text);
	*w = (struct store_blob_writer){ .store = s, .lock = { .fd = -1 }, .digest = *d, .fd = -1 };
	(void)snprintf(base, sizeof(base), "blob.%s", digest_hex(d));
	r = tmp_lock_take(s, base, true, &w->lock, err);
	if (r == 0 && store_blob_has(s, d, NULL))
		r = 1; /* made by whom we waited for */
	if (r == 0)
		r = open_part(s, w, ret_have, err);
	if (r != 0) {
		writer_free(w);
		if (r < 0)
			(void)error_wrap(err, "blob '%s'", d->text);
		return r;
	}
	*ret_fd = w->fd;
	*ret = w;
	return 0;
}

int store_blob_commit(struct store_blob_writer *w, struct error *err)
{
	struct store *s = w->store;
	int r = 0;

	if (fchmod(w->fd, 0400) < 0 || fsync(w->fd) < 0)
		r = error_errno(err, errno, "flush");
	if (r == 0 && renameat(s->tmp, w->lock.base, s->blobs, digest_hex(&w->digest)) < 0)
		r = error_errno(err, errno, "put in place");
	if (r == 0)
		r = store_sync_dir(s->blobs, "blobs", err);
	if (r < 0) {
		(void)unlinkat(s->tmp, w->lock.base, 0); /* the failure that counts is already set */
		(void)error_wrap(err, "blob '%s'", w->digest.text);
	}
	writer_free(w);
	return r;
}

void store_blob_abandon(struct store_blob_writer *w, bool keep)
{
	char part[TMP_BASE_BYTES + 8];

	if (!w)
		return;
	(void)snprintf(part, sizeof(part), "%s.part", w->lock.base);
	if (!keep || renameat(w->store->tmp, w->lock.base, w->store->tmp, part) < 0)
		(void)unlinkat(w->store->tmp, w->lock.base, 0); /* else the next sweep does it */
	writer_free(w);
}

int store_blob_put(struct store *s, const void *data, size_t size, struct digest *ret, struct error *err)
{
	struct store_blob_writer *w = NULL;
	struct digest d;
	uint64_t have = 0;
	int fd = -1, r;

	digest_of(data, size, &d);
	r = store_blob_begin(s, &d, &w, &fd, &have, err);
	if (r < 0)
		return r;
	if (r == 0 && w) {
		/* never trust a part: it is as quick to write again */
		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			r = error_errno(err, errno, "blob '%s'", d.text);
		if (r == 0)
			r = fd_write_all(fd, data, size, err);
		if (r < 0) {
			store_blob_abandon(w, false);
			return r;
		}
		r = store_blob_commit(w, err);
		if (r < 0)
			return r;
	}
	*ret = d;
	return 0;
}
