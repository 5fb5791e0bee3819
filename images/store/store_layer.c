/*
 * Layers: unpacked once below tmp/, flushed as a whole, and in place by one rename.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "images/store/store.h"
#include "images/store/store_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

struct store_layer_writer {
	struct store *store;
	struct tmp_lock lock;
	struct digest diff_id;
	int outer, fs; /* tmp/layer.HEX and fs in it */
};

static void writer_free(struct store_layer_writer *w)
{
	if (!w)
		return;
	fd_close(&w->fs);
	fd_close(&w->outer);
	tmp_lock_drop(w->store, &w->lock);
	free(w);
}

bool store_layer_has(const struct store *s, const struct digest *diff_id)
{
	struct stat st;

	return diff_id->text[0] && fstatat(s->layers, digest_hex(diff_id), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

int store_layer_open(const struct store *s, const struct digest *diff_id, struct error *err)
{
	char path[DIGEST_TEXT_BYTES + 8];
	int fd;

	if (!diff_id->text[0])
		return error_set(err, EINVAL, "no digest given");
	(void)snprintf(path, sizeof(path), "%s/fs", digest_hex(diff_id));
	fd = fd_open_at(s->layers, FD_BENEATH, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd == -ENOTDIR)
		(void)error_set(err, ENOTDIR, "it is a file, not a directory: remove it, then pull the image again");
	if (fd < 0)
		(void)error_wrap(err, "layer '%s'", diff_id->text);
	return fd;
}

static bool is_opaque(int layer)
{
	char value;

	return fgetxattr(layer, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

int store_layers_open(const struct store *s, const struct digest *names, size_t n, int *ret_fds, size_t *ret_n,
		      struct error *err)
{
	size_t used = 0;

	while (n > 0) {
		int fd = store_layer_open(s, &names[--n], err);

		if (fd < 0) {
			while (used > 0)
				fd_close(&ret_fds[--used]);
			return fd;
		}
		ret_fds[used++] = fd;
		if (is_opaque(fd))
			break;
	}
	*ret_n = used;
	return 0;
}

/* An empty tmp/layer.HEX/fs. What a dead process left under that name goes to the trash first. */
static int make_directories(struct store *s, struct store_layer_writer *w, struct error *err)
{
	int r = trash_move(s, s->tmp, w->lock.base, err);

	if (r < 0)
		return r;
	if (mkdirat(s->tmp, w->lock.base, 0700) < 0)
		return error_errno(err, errno, "make 'tmp/%s'", w->lock.base);
	w->outer = openat(s->tmp, w->lock.base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->outer < 0 || mkdirat(w->outer, "fs", 0755) < 0)
		return error_errno(err, errno, "make 'tmp/%s/fs'", w->lock.base);
	w->fs = openat(w->outer, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->fs < 0 || fchmod(w->fs, 0755) < 0) /* whatever our umask is */
		return error_errno(err, errno, "open 'tmp/%s/fs'", w->lock.base);
	return 0;
}

static int begin(struct store *s, const struct digest *diff_id, bool may_wait, struct store_layer_writer **ret,
		 int *ret_dir_fd, struct error *err)
{
	struct store_layer_writer *w;
	char base[TMP_BASE_BYTES];
	int r;

	if (!diff_id->text[0])
		return error_set(err, EINVAL, "no digest given");
	if (store_layer_has(s, diff_id))
		return 1;
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_errno(err, ENOMEM, "layer '%s'", diff_id->text);
	*w = (struct store_layer_writer){
		.store = s, .lock = { .fd = -1 }, .diff_id = *diff_id, .outer = -1, .fs = -1
	};
	(void)snprintf(base, sizeof(base), "layer.%s", digest_hex(diff_id));
	r = tmp_lock_take(s, base, may_wait, &w->lock, err);
	if (r == 0 && store_layer_has(s, diff_id))
		r = 1; /* made by whom we waited for */
	if (r == 0) {
		r = make_directories(s, w, err);
		if (r < 0)
			(void)trash_move(s, s->tmp, base, NULL); /* the failure that counts is already set */
	}
	if (r != 0) {
		writer_free(w);
		if (r < 0 && r != -EWOULDBLOCK)
			(void)error_wrap(err, "layer '%s'", diff_id->text);
		return r;
	}
	*ret_dir_fd = w->fs;
	*ret = w;
	return 0;
}

int store_layer_begin(struct store *s, const struct digest *diff_id, struct store_layer_writer **ret, int *ret_dir_fd,
		      struct error *err)
{
	return begin(s, diff_id, true, ret, ret_dir_fd, err);
}

int store_layer_try_begin(struct store *s, const struct digest *diff_id, struct store_layer_writer **ret,
			  int *ret_dir_fd, struct error *err)
{
	return begin(s, diff_id, false, ret, ret_dir_fd, err);
}

int store_layer_commit(struct store_layer_writer *w, const struct digest *name, struct error *err)
{
	struct store *s = w->store;
	int r = 0;

	if (!name)
		name = &w->diff_id;

	/* one flush for all of it: an fsync a file would cost more than the unpacking */
	if (syncfs(w->fs) < 0)
		r = error_errno(err, errno, "flush");
	if (r == 0 && renameat(s->tmp, w->lock.base, s->layers, digest_hex(name)) < 0)
		r = error_errno(err, errno, "put in place");
	if (r == 0)
		r = store_sync_dir(s->layers, "layers", err);
	if (r < 0) {
		(void)trash_move(s, s->tmp, w->lock.base, NULL); /* as above */
		(void)error_wrap(err, "layer '%s'", w->diff_id.text);
	}
	writer_free(w);
	return r;
}

void store_layer_abandon(struct store_layer_writer *w)
{
	if (!w)
		return;
	(void)trash_move(w->store, w->store->tmp, w->lock.base, NULL); /* else the next sweep does it */
	writer_free(w);
}
