/* What compilers made, kept: see artefacts.h. */
#include "supervisor/jobs/artefacts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/digest.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

/*
 * A file: "CUBITART", u32 version, u32 number of files, 72 bytes digest of what follows (text, NUL), then for each file
 * u32 mode, u32 bytes of its path, u64 bytes of its content, path, content. Little-endian.
 */
enum {
	HEADER_BYTES = 8 + 4 + 4 + DIGEST_TEXT_BYTES,
	ENTRY_BYTES = 4 + 4 + 8,
	VERSION = 1,
	FILE_MAX = ARTEFACT_BYTES_MAX + (1 << 20),
	INLINE_BYTES = 256 << 10, /* read at once: some ten microseconds */
	HELD_BYTES = 16 << 20,    /* in memory */
	TOUCH_S = 60,             /* a use is written down that often */
	PATH_LONGEST = 4096,
	BLOCK_BYTES = 4096,
	OWNER_SHARE = 4,
};

static const char magic[8] = { 'C', 'U', 'B', 'I', 'T', 'A', 'R', 'T' };
static const char folder[] = "artefacts";

/* What the worker threads use of it, beside the loop's thread: dir, which outlives them (references). */
struct store {
	unsigned references; /* the loop's thread only */
	int dir;
};

struct entry {
	struct entry *next;
	char key[ARTEFACT_KEY_MAX + 1];
	uint64_t bytes;
	uint64_t used_ns, touched_ns; /* CLOCK_REALTIME, as mtime */
	struct artefact *held;
	char owner[ARTEFACT_OWNER_MAX]; /* who had it made; "": before this start */
	bool is_busy;                   /* a worker reads or writes it */
};

struct artefacts {
	uv_loop_t *loop;
	struct store *store;
	struct entry *entries;
	uint64_t max_bytes;
	struct artefacts_counts counts;
	bool is_freed;
	unsigned n_busy;
};

/* ---- one artefact ---- */

struct artefact *artefact_new(void)
{
	struct artefact *a = alloc_zeroed(1, sizeof(*a));

	a->references = 1;
	return a;
}

struct artefact *artefact_ref(struct artefact *a)
{
	a->references++;
	return a;
}

void artefact_unref(struct artefact *a)
{
	if (!a || --a->references > 0)
		return;
	for (size_t i = 0; i < a->n_files; i++) {
		free(a->files[i].path);
		free(a->files[i].data);
	}
	free(a->files);
	free(a);
}

int artefact_add(struct artefact *a, const char *path, uint32_t mode, char *data, size_t size)
{
	if (a->n_files == ARTEFACT_FILES_MAX || size > ARTEFACT_BYTES_MAX - a->bytes) {
		free(data);
		return -E2BIG;
	}
	a->files = alloc_again(a->files, a->n_files + 1, sizeof(*a->files));
	a->files[a->n_files++] = (struct artefact_file){ .path = alloc_text(path), .mode = mode };
	artefact_set(a, a->n_files - 1, data, size);
	return 0;
}

void artefact_set(struct artefact *a, size_t i, char *data, size_t size)
{
	if (!size)
		free(data);
	/* it was read into a buffer of 128 KiB, most of which would be kept for nothing */
	a->files[i].data = size ? buf_fit(data, size) : NULL;
	a->files[i].size = size;
	a->bytes += size;
}

uint64_t artefact_memory(const struct artefact *a)
{
	uint64_t n = malloc_usable_size((void *)a) + malloc_usable_size(a->files);

	for (size_t i = 0; i < a->n_files; i++)
		n += malloc_usable_size(a->files[i].path) + malloc_usable_size(a->files[i].data);
	return n;
}

/* ---- its file ---- */

static void put_number(uint8_t *to, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_number(const char *from, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)(uint8_t)from[i] << (8 * i);
	return v;
}

static int write_text(const struct artefact *a, struct buf *out)
{
	uint8_t header[HEADER_BYTES] = { 0 };
	struct digest d = { "" };
	int r = buf_append(out, header, sizeof(header));

	for (size_t i = 0; r == 0 && i < a->n_files; i++) {
		const struct artefact_file *f = &a->files[i];
		uint8_t entry[ENTRY_BYTES];

		put_number(entry, f->mode, 4);
		put_number(entry + 4, strlen(f->path), 4);
		put_number(entry + 8, f->size, 8);
		r = buf_append(out, entry, sizeof(entry));
		if (r == 0)
			r = buf_append_str(out, f->path);
		if (r == 0 && f->size)
			r = buf_append(out, f->data, f->size);
	}
	if (r < 0)
		return r;
	digest_of(out->data + HEADER_BYTES, out->size - HEADER_BYTES, &d);
	memcpy(header, magic, sizeof(magic));
	put_number(header + 8, VERSION, 4);
	put_number(header + 12, a->n_files, 4);
	memcpy(header + 16, d.text, sizeof(d.text));
	memcpy(out->data, header, sizeof(header));
	return 0;
}

/* One file of it. Returns bytes used, or -EBADMSG. */
static ssize_t read_entry(const char *data, size_t size, struct artefact *a)
{
	char path[PATH_LONGEST];
	uint64_t length, content;
	char *copy;
	int r;

	if (size < ENTRY_BYTES)
		return -EBADMSG;
	length = get_number(data + 4, 4);
	content = get_number(data + 8, 8);
	if (length == 0 || length >= sizeof(path) || length > size - ENTRY_BYTES ||
	    content > size - ENTRY_BYTES - length)
		return -EBADMSG;
	memcpy(path, data + ENTRY_BYTES, length);
	path[length] = '\0';
	copy = alloc_bytes(content);
	memcpy(copy, data + ENTRY_BYTES + length, content);
	r = artefact_add(a, path, (uint32_t)get_number(data, 4), copy, content);
	return r < 0 ? r : (ssize_t)(ENTRY_BYTES + length + content);
}

static int read_text(const char *data, size_t size, struct artefact *a)
{
	struct digest d;
	size_t at = HEADER_BYTES;
	uint64_t n;

	if (size < HEADER_BYTES || memcmp(data, magic, sizeof(magic)) != 0 || get_number(data + 8, 4) != VERSION)
		return -EBADMSG;
	n = get_number(data + 12, 4);
	digest_of(data + HEADER_BYTES, size - HEADER_BYTES, &d);
	if (memcmp(d.text, data + 16, sizeof(d.text)) != 0)
		return -EBADMSG;
	for (; n > 0; n--) {
		ssize_t used = read_entry(data + at, size - at, a);

		if (used < 0)
			return (int)used;
		at += (size_t)used;
	}
	return at == size ? 0 : -EBADMSG;
}

static struct artefact *load(int dir, const char *key)
{
	cleanup_buf struct buf text = BUF_BOUNDED(FILE_MAX + 1);
	struct artefact *a = artefact_new();
	int r = fd_read_file(dir, key, FILE_MAX, &text, NULL);

	if (r == 0)
		r = read_text(buf_str(&text), text.size, a);
	if (r < 0) {
		artefact_unref(a);
		a = NULL;
	}
	return a;
}

/* No fsync: a file that a crash left short has the wrong digest. */
static int save(int dir, const char *key, const struct artefact *a, uint64_t *ret_bytes)
{
	cleanup_buf struct buf text = BUF_BOUNDED(FILE_MAX + 1);
	char beside[ARTEFACT_KEY_MAX + 8];
	cleanup_fd int fd = -1;
	int r = write_text(a, &text);

	if (r < 0)
		return r;
	(void)snprintf(beside, sizeof(beside), "%s.new", key);
	fd = openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text.data, text.size, NULL);
	if (r == 0 && renameat(dir, beside, dir, key) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, beside, 0); /* or the next start does */
	*ret_bytes = text.size;
	return r;
}

/* ---- the table ---- */

/* What a file takes on the disk: whole blocks, and its own entry. */
static uint64_t on_disk(uint64_t bytes)
{
	return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES;
}

static void store_unref(struct store *s)
{
	if (--s->references > 0)
		return;
	fd_close(&s->dir);
	free(s);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static struct entry *find(const struct artefacts *c, const char *key)
{
	struct entry *e = c->entries;

	while (e && strcmp(e->key, key) != 0)
		e = e->next;
	return e;
}

static struct entry *add(struct artefacts *c, const char *key)
{
	struct entry *e = alloc_zeroed(1, sizeof(*e));

	(void)snprintf(e->key, sizeof(e->key), "%s", key);
	e->next = c->entries;
	c->entries = e;
	c->counts.files++;
	return e;
}

static void drop(struct artefacts *c, struct entry *gone)
{
	struct entry **at = &c->entries;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	c->counts.files--;
	c->counts.bytes -= gone->bytes;
	artefact_unref(gone->held);                  /* ours is one reference: NOLINT(clang-analyzer-unix.Malloc) */
	(void)unlinkat(c->store->dir, gone->key, 0); /* gone already is as good */
	free(gone);
}

static bool is_older(const struct entry *e, const struct entry *than)
{
	return !than || e->used_ns < than->used_ns;
}

/* What an entry takes of the room that is short; *ret_may_go: it can be given up just now. */
typedef uint64_t room_fn(const struct entry *e, bool *ret_may_go);

static uint64_t disk_room(const struct entry *e, bool *ret_may_go)
{
	*ret_may_go = !e->is_busy;
	return e->bytes;
}

static uint64_t memory_room(const struct entry *e, bool *ret_may_go)
{
	*ret_may_go = e->held != NULL;
	return e->held ? artefact_memory(e->held) : 0;
}

/*
 * What goes when there is less room than all entries take, what was not used the longest time: of the owner who needs the
 * room while that has more than a quarter, else of all. NULL: there is room, or nothing can go. spare: not this one.
 */
static struct entry *choose(const struct artefacts *c, const char *owner, const struct entry *spare, room_fn *room_of,
			    uint64_t room, uint64_t *ret_total)
{
	struct entry *oldest = NULL, *own = NULL;
	uint64_t total = 0, own_total = 0;

	for (struct entry *e = c->entries; e; e = e->next) {
		bool is_own = strcmp(e->owner, owner) == 0, may_go;
		uint64_t bytes = room_of(e, &may_go);

		total += bytes;
		own_total += is_own ? bytes : 0;
		may_go = may_go && e != spare;
		if (may_go && is_older(e, oldest))
			oldest = e;
		if (may_go && is_own && is_older(e, own))
			own = e;
	}
	*ret_total = total;
	if (total <= room)
		return NULL;
	return own && own_total > room / OWNER_SHARE ? own : oldest;
}

static void shrink(struct artefacts *c, const char *owner)
{
	struct entry *goes;
	uint64_t total;

	while ((goes = choose(c, owner, NULL, disk_room, c->max_bytes, &total)) != NULL)
		drop(c, goes);
}

/* Keep it in memory, where others make room for it. */
static void hold(struct artefacts *c, struct entry *e, struct artefact *a)
{
	struct entry *goes;

	if (artefact_memory(a) > HELD_BYTES / 2)
		return;
	e->held = artefact_ref(a);
	while ((goes = choose(c, e->owner, e, memory_room, HELD_BYTES, &c->counts.held_bytes)) != NULL) {
		artefact_unref(goes->held);
		goes->held = NULL;
	}
}

static void use(struct artefacts *c, struct entry *e)
{
	e->used_ns = now_ns();
	if (e->used_ns - e->touched_ns < TOUCH_S * NS_PER_S)
		return;
	e->touched_ns = e->used_ns;
	(void)utimensat(c->store->dir, e->key, NULL, 0); /* only the order after a restart */
}

/* ---- opening ---- */

static bool is_key(const char *name)
{
	return strlen(name) == ARTEFACT_KEY_MAX && strspn(name, "0123456789abcdef") == ARTEFACT_KEY_MAX;
}

static int read_folder(struct artefacts *c, struct error *err)
{
	cleanup_dir DIR *dir = NULL;
	const struct dirent *d;
	int fd = openat(c->store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = error_errno(err, errno, "read directory '%s'", folder);

		fd_close(&fd);
		return r;
	}
	while ((d = readdir(dir)) != NULL) {
		struct entry *e;
		struct stat st;

		if (d->d_name[0] == '.')
			continue;
		if (!is_key(d->d_name) || fstatat(c->store->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX) {
			(void)unlinkat(c->store->dir, d->d_name, 0); /* what a crash left */
			continue;
		}
		e = add(c, d->d_name);
		e->bytes = on_disk((uint64_t)st.st_size);
		e->used_ns = e->touched_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
		c->counts.bytes += e->bytes;
	}
	return 0;
}

static void free_all(struct artefacts *c)
{
	while (c->entries) {
		struct entry *e = c->entries;

		c->entries = e->next;
		artefact_unref(e->held); /* NOLINT(clang-analyzer-unix.Malloc): the same */
		free(e);
	}
	if (c->store)
		store_unref(c->store); /* NOLINT(clang-analyzer-unix.Malloc): the same */
	free(c);
}

int artefacts_open(uv_loop_t *loop, int state_fd, uint64_t max_bytes, struct artefacts **ret, struct error *err)
{
	struct artefacts *c = alloc_zeroed(1, sizeof(*c));
	int r = 0;

	c->store = alloc_zeroed(1, sizeof(*c->store));
	c->loop = loop;
	c->max_bytes = max_bytes;
	c->store->references = 1;
	if (mkdirat(state_fd, folder, 0700) < 0 && errno != EEXIST)
		r = error_errno(err, errno, "make directory '%s'", folder);
	c->store->dir = openat(state_fd, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && c->store->dir < 0)
		r = error_errno(err, errno, "open directory '%s'", folder);
	if (r == 0)
		r = read_folder(c, err);
	if (r < 0) {
		free_all(c);
		return r;
	}
	shrink(c, "");
	*ret = c;
	return 0;
}

void artefacts_free(struct artefacts *c)
{
	if (!c)
		return;
	c->is_freed = true;
	if (!c->n_busy)
		free_all(c);
}

/* ---- work ---- */

/* Reading or writing on another thread. */
struct work {
	uv_work_t uv; /* first */
	struct artefacts *all;
	char key[ARTEFACT_KEY_MAX + 1];
	int dir;
	struct artefact *artefact; /* to be written; or what was read */
	bool is_write;
	int result;
	uint64_t bytes;
	artefacts_found_fn *fn;
	void *arg;
};

static void do_work(uv_work_t *uv)
{
	struct work *w = (struct work *)uv;

	if (w->is_write)
		w->result = save(w->dir, w->key, w->artefact, &w->bytes);
	else
		w->artefact = load(w->dir, w->key);
}

static void after_write(struct artefacts *c, struct work *w, struct entry *e)
{
	e->is_busy = false;
	if (w->result < 0) {
		log_warning(LOG_FACTS(LOG_STR("reason", strerror(-w->result))),
			    "cannot keep what was compiled, ignoring");
		drop(c, e);
	} else {
		e->bytes = on_disk(w->bytes);
		c->counts.bytes += e->bytes;
		shrink(c, e->owner);
	}
	artefact_unref(w->artefact);
}

static void give(struct artefacts *c, struct entry *e, struct artefact *a, artefacts_found_fn *fn, void *arg)
{
	if (a) {
		c->counts.hits++;
		use(c, e);
		if (!e->held)
			hold(c, e, a);
	} else {
		c->counts.misses++;
		drop(c, e); /* damaged: it was not written in full */
	}
	fn(a, arg);
}

static void after_work(uv_work_t *uv, int status)
{
	struct work *w = (struct work *)uv;
	struct artefacts *c = w->all;
	struct entry *e = find(c, w->key); /* busy, so nobody has dropped it */

	(void)status; /* never cancelled */
	c->n_busy--;
	if (w->is_write) {
		after_write(c, w, e);
	} else {
		e->is_busy = false;
		give(c, e, w->artefact, w->fn, w->arg);
	}
	store_unref(c->store);
	free(w);
	if (c->is_freed && !c->n_busy)
		free_all(c);
}

static struct work *queue(struct artefacts *c, struct entry *e, struct artefact *a, artefacts_found_fn *fn, void *arg)
{
	struct work *w = alloc_zeroed(1, sizeof(*w));

	w->all = c;
	w->dir = c->store->dir;
	w->is_write = a != NULL;
	w->artefact = a;
	w->fn = fn;
	w->arg = arg;
	memcpy(w->key, e->key, sizeof(w->key));
	if (uv_queue_work(c->loop, &w->uv, do_work, after_work) < 0) {
		free(w);
		return NULL;
	}
	e->is_busy = true;
	c->n_busy++;
	c->store->references++;
	return w;
}

void artefacts_get(struct artefacts *c, const char *key, artefacts_found_fn *fn, void *arg)
{
	struct entry *e = find(c, key);

	if (e && e->held) {
		c->counts.hits++;
		use(c, e);
		fn(artefact_ref(e->held), arg);
	} else if (e && !e->is_busy && e->bytes <= INLINE_BYTES) {
		give(c, e, load(c->store->dir, key), fn, arg);
	} else if (!e || e->is_busy || !queue(c, e, NULL, fn, arg)) { /* busy: the same is compiled twice just now */
		c->counts.misses++;
		fn(NULL, arg);
	}
}

void artefacts_put(struct artefacts *c, const char *key, struct artefact *a, const char *owner)
{
	struct entry *e = find(c, key);

	if (e || a->bytes > c->max_bytes)
		return;
	e = add(c, key);
	e->used_ns = e->touched_ns = now_ns();
	(void)text_copy(e->owner, sizeof(e->owner), owner);
	hold(c, e, a);
	if (queue(c, e, artefact_ref(a), NULL, NULL))
		return;
	artefact_unref(a);
	drop(c, e);
}

void artefacts_counts(const struct artefacts *c, struct artefacts_counts *ret)
{
	*ret = c->counts;
}
