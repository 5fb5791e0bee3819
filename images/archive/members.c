/* Named files of a directory or a tar archive: see members.h. */
#include "images/archive/members.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "images/unpack/tar.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { ROWS_MAX = 20000, NAME_BYTES_MAX = 1024, LINKS_MAX = 4 };

struct row {
	char *name;
	char *link; /* of a link: the name it stands for; else NULL */
	uint64_t offset, size;
};

struct members {
	int fd; /* the directory or the archive */
	bool is_dir;
	struct row *rows; /* of an archive */
	size_t n_rows;
};

/* ---- indexing an archive -------------------------------------------------------------------------------------- */

/* The whole file is one piece for the parser, so that skipping costs nothing. */
struct whole {
	const uint8_t *data;
	size_t size;
	bool is_given;
};

static int fill(void *arg, const uint8_t **data, size_t *size, struct error *err)
{
	struct whole *w = arg;

	(void)err;
	if (w->is_given || w->size == 0)
		return 0;
	w->is_given = true;
	*data = w->data;
	*size = w->size;
	return 1;
}

/* "./a//b/../c" is "a/c"; what leads out of the archive becomes empty, which no lookup finds. In place. */
static void normalise(char *name)
{
	char *to = name, *save = NULL;
	char *copy = strdup(name);

	*to = '\0';
	for (char *part = copy ? strtok_r(copy, "/", &save) : NULL; part; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			char *slash = strrchr(name, '/');

			if (to == name)
				break;
			to = slash ? slash : name;
			*to = '\0';
			continue;
		}
		if (to != name)
			*to++ = '/';
		memcpy(to, part, strlen(part) + 1); /* never longer than what it was copied from */
		to += strlen(part);
	}
	free(copy);
}

/* What a symbolic link next to `name` stands for. */
static char *link_target(const char *name, const char *link, bool is_hard)
{
	const char *slash = strrchr(name, '/');
	size_t dir = is_hard || link[0] == '/' || !slash ? 0 : (size_t)(slash - name) + 1;
	char *whole = malloc(dir + strlen(link) + 1);

	if (!whole)
		return NULL;
	memcpy(whole, name, dir);
	memcpy(whole + dir, link, strlen(link) + 1);
	normalise(whole);
	return whole;
}

static int add_row(struct members *m, const struct tar_entry *e, uint64_t offset, struct error *err)
{
	struct row *rows, row = { .offset = offset, .size = e->size };

	if (m->n_rows == ROWS_MAX)
		return error_set(err, EFBIG, "more than %d files in it", ROWS_MAX);
	if (m->n_rows % 256 == 0) {
		rows = realloc(m->rows, (m->n_rows + 256) * sizeof(*rows));
		if (!rows)
			return error_set(err, ENOMEM, "out of memory");
		m->rows = rows;
	}
	row.name = strdup(e->path);
	if (row.name && e->type != TAR_FILE) {
		normalise(row.name);
		row.link = link_target(row.name, e->link, e->type == TAR_HARDLINK);
	} else if (row.name) {
		normalise(row.name);
	}
	if (!row.name || (e->type != TAR_FILE && !row.link)) {
		free(row.name);
		return error_set(err, ENOMEM, "out of memory");
	}
	m->rows[m->n_rows++] = row;
	return 0;
}

static int index_entry(struct members *m, struct tar_reader *reader, const struct tar_entry *e, const struct whole *w,
		       struct error *err)
{
	const void *data = w->data;
	uint64_t at = 0;
	size_t size = 0;
	int r;

	if (e->type != TAR_FILE)
		return e->type == TAR_SYMLINK || e->type == TAR_HARDLINK ? add_row(m, e, 0, err) : 0;
	if (e->size > 0) {
		r = tar_data(reader, &data, &size, &at, err);
		if (r < 0)
			return r;
		if (r == 0 || at != 0 || size != e->size)
			return error_set(err, EBADMSG, "'%.100s' is a sparse file", e->path);
	}
	return add_row(m, e, (uint64_t)((const uint8_t *)data - w->data), err);
}

static int index_archive(struct members *m, size_t size, struct error *err)
{
	static const struct tar_limits limits = { .path_bytes = NAME_BYTES_MAX, .xattr_bytes = 64 << 10 };
	struct whole w = { .size = size };
	struct tar_reader *reader;
	struct tar_entry e;
	void *map = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, m->fd, 0) : MAP_FAILED;
	int r = 1;

	if (map == MAP_FAILED)
		return error_set(err, EBADMSG, "it is empty or cannot be read");
	w.data = map;
	reader = tar_reader_new(fill, &w, &limits);
	if (!reader)
		r = error_set(err, ENOMEM, "out of memory");
	while (r > 0) {
		r = tar_next(reader, &e, err);
		if (r > 0 && index_entry(m, reader, &e, &w, err) < 0)
			r = -EBADMSG;
	}
	tar_reader_free(reader);
	(void)munmap(map, size);
	return r;
}

int members_open(const char *path, struct members **ret, struct error *err)
{
	struct members *m = calloc(1, sizeof(*m));
	struct stat st;
	int r = 0;

	if (!m)
		return error_set(err, ENOMEM, "out of memory");
	m->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (m->fd < 0 || fstat(m->fd, &st) < 0)
		r = error_errno(err, errno, "open '%s'", path);
	else if (S_ISDIR(st.st_mode))
		m->is_dir = true;
	else if (!S_ISREG(st.st_mode))
		r = error_set(err, EBADMSG, "'%s' is neither a directory nor a file", path);
	else if (index_archive(m, (size_t)st.st_size, err) < 0) {
		(void)error_wrap(err,
				 "'%s' is not a tar archive that can be read (compressed ones must be unpacked first)",
				 path);
		r = -EBADMSG;
	}
	if (r < 0) {
		members_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

void members_close(struct members *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_rows; i++) {
		free(m->rows[i].name);
		free(m->rows[i].link);
	}
	free(m->rows);
	fd_close(&m->fd);
	free(m);
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

static int find_file(const struct members *m, const char *name, struct member *ret, struct error *err)
{
	struct stat st;
	int fd = fd_open_at(m->fd, FD_BENEATH, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(&fd);
		return error_set(err, EBADMSG, "'%.100s' is not a regular file", name);
	}
	*ret = (struct member){ .fd = fd, .size = (uint64_t)st.st_size };
	return 0;
}

/* The last one of a name wins, as when unpacking. */
static const struct row *find_row(const struct members *m, const char *name)
{
	for (unsigned hops = 0; hops < LINKS_MAX; hops++) {
		size_t i = m->n_rows;

		while (i > 0 && strcmp(m->rows[i - 1].name, name) != 0)
			i--;
		if (i == 0)
			return NULL;
		if (!m->rows[i - 1].link)
			return &m->rows[i - 1];
		name = m->rows[i - 1].link;
	}
	return NULL;
}

int members_find(const struct members *m, const char *name, struct member *ret, struct error *err)
{
	const struct row *row;
	int fd;

	if (m->is_dir)
		return find_file(m, name, ret, err);
	row = find_row(m, name);
	if (!row)
		return error_set(err, ENOENT, "there is no '%.100s' in it", name);
	fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return error_errno(err, errno, "duplicate a descriptor");
	*ret = (struct member){ .fd = fd, .offset = row->offset, .size = row->size };
	return 0;
}

int members_read(const struct members *m, const char *name, size_t max_bytes, struct buf *out, struct error *err)
{
	struct member one;
	uint64_t at = 0;
	int r = members_find(m, name, &one, err);

	if (r < 0)
		return r;
	if (one.size > max_bytes)
		r = error_set(err, EFBIG, "'%.100s' is larger than %zu bytes", name, max_bytes);
	while (r == 0 && at < one.size) {
		char *to = buf_reserve(out, (size_t)(one.size - at));
		ssize_t n = to ? pread(one.fd, to, (size_t)(one.size - at), (off_t)(one.offset + at)) : -1;

		if (n <= 0) {
			r = error_set(err, EIO, "'%.100s' cannot be read", name);
			break;
		}
		buf_grown(out, (size_t)n);
		at += (uint64_t)n;
	}
	fd_close(&one.fd);
	return r;
}
