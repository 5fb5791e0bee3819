/*
 * Leases and the collector: mark what references and living leases reach, take the rest away.
 *
 * A lease is a file of digests whose holder keeps it locked (flock): the lock goes with the process, so a crash frees
 * what was leased without anybody noticing. Marking and taking away happen under the exclusive store lock, deleting
 * after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/store/store.h"
#include "images/store/store_impl.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { LEASE_MAX = 1 << 20, ID_BYTES = 64 };

struct store_lease {
	struct store *store;
	int fd;
	char id[ID_BYTES];
};

/* ---- leases ---- */

int store_lease_new(struct store *s, struct store_lease **ret, struct error *err)
{
	struct store_lease *l = calloc(1, sizeof(*l));
	cleanup_fd int lock = -1;

	if (!l)
		return error_errno(err, ENOMEM, "lease");
	l->store = s;
	l->fd = -1;
	store_unique(l->id, sizeof(l->id));
	lock = store_lock(s, LOCK_SH, err); /* between the two calls below it would look dead */
	if (lock < 0) {
		free(l);
		return lock;
	}
	l->fd = openat(s->leases, l->id, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (l->fd < 0 || flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
		int r = error_errno(err, errno, "make a lease");

		store_lease_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int store_lease_add(struct store_lease *l, const struct digest *blob_or_layer, struct error *err)
{
	cleanup_fd int lock = -1;
	char line[DIGEST_TEXT_BYTES + 1];
	int n;

	if (!blob_or_layer->text[0])
		return error_set(err, EINVAL, "no digest given");
	lock = store_lock(l->store, LOCK_SH, err);
	if (lock < 0)
		return lock;
	n = snprintf(line, sizeof(line), "%s\n", blob_or_layer->text);
	return fd_write_all(l->fd, line, (size_t)n, err); /* no fsync: it does not outlive the process anyway */
}

void store_lease_free(struct store_lease *l)
{
	if (!l)
		return;
	(void)unlinkat(l->store->leases, l->id, 0); /* else the collector does it */
	fd_close(&l->fd);
	free(l);
}

/* ---- marking ---- */

struct marks {
	const struct store *store;
	struct error *err;
	struct digest *list; /* blobs and layers alike; sorted before use */
	size_t n, room;
};

static int mark(struct marks *m, const struct digest *d)
{
	if (m->n == m->room) {
		size_t room = m->room ? m->room * 2 : 256;
		struct digest *list = realloc(m->list, room * sizeof(*list));

		if (!list)
			return error_errno(m->err, ENOMEM, "marks");
		m->list = list;
		m->room = room;
	}
	m->list[m->n++] = *d;
	return 0;
}

static int mark_record(const struct image_record *rec, void *arg)
{
	struct marks *m = arg;
	int r = mark(m, &rec->manifest);

	if (r == 0)
		r = mark(m, &rec->config);
	for (size_t i = 0; r == 0 && i < rec->n_layers; i++) {
		r = mark(m, &rec->blobs[i]);
		if (r == 0)
			r = mark(m, &rec->diff_ids[i]);
	}
	return r;
}

static int mark_lines(struct marks *m, char *text)
{
	char *state = NULL;

	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		struct digest d;
		int r = digest_parse(line, &d, m->err);

		if (r == 0)
			r = mark(m, &d);
		if (r < 0)
			return r;
	}
	return 0;
}

int lease_reap(const struct store *s, const char *id, int *ret_fd, struct error *err)
{
	cleanup_fd int fd = openat(s->leases, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*ret_fd = -1;
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "lease '%s'", id);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		(void)unlinkat(s->leases, id, 0); /* else the next one does it */
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return error_errno(err, errno, "lease '%s'", id);
	*ret_fd = fd_take(&fd);
	return 0;
}

static int mark_lease(const char *id, void *arg)
{
	struct marks *m = arg;
	cleanup_buf struct buf b = BUF_BOUNDED(LEASE_MAX);
	cleanup_fd int fd = -1;
	int r = lease_reap(m->store, id, &fd, m->err);

	if (r < 0 || fd < 0)
		return r;
	r = fd_read_all(fd, LEASE_MAX, &b, m->err);
	if (r == 0 && b.data)
		r = mark_lines(m, b.data);
	if (r < 0)
		(void)error_wrap(m->err, "lease '%s'", id);
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct digest *)a)->text, ((const struct digest *)b)->text);
}

static bool is_marked(const struct marks *m, const char *hex)
{
	struct digest d;

	(void)snprintf(d.text, sizeof(d.text), "sha256:%.64s", hex);
	return m->n > 0 && bsearch(&d, m->list, m->n, sizeof(d), by_text);
}

/* ---- taking away ---- */

struct collect {
	const struct marks *marks;
	const struct digest *only; /* n_only; NULL: whatever is there */
	size_t n_only;
	const struct store *store;
	struct store_gc_result *result;
	struct error *err;
	int dir_fd;
	uint64_t *count;
};

static bool is_meant(const struct collect *c, const char *hex)
{
	for (size_t i = 0; i < c->n_only; i++)
		if (strcmp(digest_hex(&c->only[i]), hex) == 0)
			return true;
	return !c->only;
}

static int collect_one(const char *name, void *arg)
{
	struct collect *c = arg;
	struct stat st;
	int r;

	if (is_marked(c->marks, name) || !is_meant(c, name))
		return 0;
	if (fstatat(c->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(c->err, errno, "look at '%s'", name);
	r = trash_move(c->store, c->dir_fd, name, c->err);
	if (r < 0)
		return r;
	(*c->count)++;
	if (S_ISREG(st.st_mode))
		c->result->bytes += (uint64_t)st.st_size;
	return 0;
}

static int collect_all(const struct store *s, const struct digest *only, size_t n_only, struct marks *m,
		       struct store_gc_result *result, struct error *err)
{
	struct collect c = { .marks = m, .only = only, .n_only = n_only, .store = s, .result = result, .err = err };
	cleanup_fd int lock = store_lock(s, LOCK_EX, err);
	int r;

	if (lock < 0)
		return lock;
	/* an unreadable reference stops the collection: better too much on disk than an image without its layers */
	if ((r = store_ref_each(s, mark_record, m, err)) < 0 ||
	    (r = store_each_name(s->leases, mark_lease, m, err)) < 0)
		return r;
	if (m->n > 1)
		qsort(m->list, m->n, sizeof(*m->list), by_text);
	c.dir_fd = s->blobs;
	c.count = &result->blobs;
	r = store_each_name(s->blobs, collect_one, &c, err);
	if (r < 0)
		return r;
	c.dir_fd = s->layers;
	c.count = &result->layers;
	return store_each_name(s->layers, collect_one, &c, err);
}

static int collect(struct store *s, const struct digest *only, size_t n_only, struct store_gc_result *ret,
		   struct error *err)
{
	struct marks m = { .store = s, .err = err };
	int r = collect_all(s, only, n_only, &m, ret, err);

	free(m.list);
	if (r == 0)
		r = trash_empty(s, err);
	return r < 0 ? error_wrap(err, "collect") : 0;
}

int store_gc(struct store *s, struct store_gc_result *ret, struct error *err)
{
	struct store_gc_result result = { 0 };
	int r = collect(s, NULL, 0, &result, err);

	if (r == 0)
		*ret = result;
	return r;
}

int store_give_back(struct store *s, const struct digest *list, size_t n, struct error *err)
{
	static const struct digest none;
	struct store_gc_result result = { 0 };

	return collect(s, n > 0 ? list : &none, n, &result, err);
}
