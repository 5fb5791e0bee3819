/* What both forms of an archive are loaded with: see load_impl.h. Runs in: whoever holds the store (root). */
#include <errno.h>
#include <unistd.h>

#include "images/archive/load_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

static int copy_pieces(const struct member *from, int fd, struct digest_hasher *h, source_progress_fn *progress,
		       void *arg, struct error *err)
{
	char piece[64 << 10];
	uint64_t at = 0;

	while (at < from->size) {
		size_t want = from->size - at < sizeof(piece) ? (size_t)(from->size - at) : sizeof(piece);
		ssize_t n = pread(from->fd, piece, want, (off_t)(from->offset + at));
		int r;

		if (n <= 0)
			return error_set(err, EIO, "it ends after %llu of %llu bytes", (unsigned long long)at,
					 (unsigned long long)from->size);
		r = fd_write_all(fd, piece, (size_t)n, err);
		if (r < 0)
			return r;
		digest_hasher_add(h, piece, (size_t)n);
		at += (uint64_t)n;
		progress(at, from->size, arg);
	}
	return 0;
}

int load_copy(const struct members *m, const char *name, const struct descriptor *d, int fd,
	      source_progress_fn *progress, void *arg, struct error *err)
{
	struct digest_hasher *h = digest_hasher_new();
	struct member from;
	struct digest got;
	int r = h ? members_find(m, name, &from, err) : error_set(err, ENOMEM, "out of memory");

	if (r < 0) {
		digest_hasher_free(h);
		return r;
	}
	if (from.size != d->size)
		r = error_set(err, EBADMSG, "size %llu announced, '%.100s' has %llu bytes", (unsigned long long)d->size,
			      name, (unsigned long long)from.size);
	else if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		r = error_errno(err, errno, "position in the file");
	else
		r = copy_pieces(&from, fd, h, progress, arg, err);
	if (r == 0) {
		digest_hasher_end(h, &got);
		if (!digest_equal(&got, &d->digest))
			r = error_set(err, EBADMSG, "%s: the content's digest is %s", d->digest.text, got.text);
	}
	digest_hasher_free(h);
	fd_close(&from.fd);
	return r;
}

int load_install(const struct load *l, const struct image_source *source, const char *body, size_t size,
		 const char *type, const char *name, struct error *err)
{
	struct image_record *record = NULL;
	int r = install_image(l->store, source, body, size, type, name, l->options, &record, err);

	if (r == 0 && l->fn)
		l->fn(record, l->arg);
	image_record_free(record);
	return r < 0 ? (error_wrap(err, "'%.200s'", name), r) : 0;
}
