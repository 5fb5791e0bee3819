/*
 * Fuzz target: the tar reader, fed in pieces whose size the first byte chooses. What it hands out must keep its word: names
 * within the limit, data in order and within the size, no more of it than the archive holds. Names also go through
 * the writer's cleaning, which must leave nothing that climbs.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "images/unpack/quote.h"
#include "images/unpack/tar.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_LIMIT = 300, XATTR_LIMIT = 4096 };

struct input {
	const uint8_t *at;
	size_t left, piece;
	uint8_t *copy; /* exactly sized, so that a sanitizer sees one byte past it */
};

static int fill(void *arg, const uint8_t **data, size_t *size, struct error *err)
{
	struct input *in = arg;
	size_t n = in->left < in->piece ? in->left : in->piece;

	(void)err;
	free(in->copy);
	in->copy = n ? malloc(n) : NULL;
	if (!in->copy)
		return 0;
	memcpy(in->copy, in->at, n);
	in->at += n;
	in->left -= n;
	*data = in->copy;
	*size = n;
	return 1;
}

static void check_name(const char *path)
{
	struct clean_path p;
	enum name_kind kind;
	char quoted[QUOTE_BYTES];

	assert(strlen(quote_name(path, quoted)) < QUOTE_BYTES);
	for (const char *c = quoted; *c; c++)
		assert(*c >= ' ' && *c < 0x7f);
	if (path_clean(path, &p, path, NULL) < 0)
		return;
	assert(p.text[0] != '/' && !strstr(p.text, "//") && strcmp(p.name, "..") != 0 &&
	       strncmp(p.text, "../", 3) != 0 && !strstr(p.text, "/../") && p.dir_size <= strlen(p.text) &&
	       !strchr(p.name, '/'));
	if (path_kind(&p, &kind, path, NULL) == 0 && kind == NAME_WHITEOUT)
		assert(p.name[4] && strcmp(p.name + 4, ".") != 0 && strcmp(p.name + 4, "..") != 0);
}

static void check_data(struct tar_reader *r, const struct tar_entry *e, size_t all)
{
	uint64_t end = 0, offset = 0, sum = 0;
	const void *at;
	size_t n;

	while (tar_data(r, &at, &n, &offset, NULL) == 1) {
		volatile uint8_t last = ((const uint8_t *)at)[n - 1];

		(void)last;
		sum += n;
		assert(n > 0 && offset >= end && offset <= e->size && n <= e->size - offset && sum <= all);
		end = offset + n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tar_limits limits = { PATH_LIMIT, XATTR_LIMIT };
	struct input in = { data, size, 0, NULL };
	struct error err = ERROR_INIT;
	struct tar_reader *r;
	struct tar_entry e;

	if (size < 2)
		return 0;
	in.at += 2;
	in.left -= 2;
	in.piece = (size_t)data[0] * 16 + 1;
	r = tar_reader_new(fill, &in, &limits);
	assert(r);
	for (unsigned i = 0; tar_next(r, &e, &err) == 1; i++) {
		size_t xattrs = 0;

		assert(e.path[0] && strlen(e.path) <= PATH_LIMIT && e.mode <= 07777 && e.mtime_ns < 1000000000 &&
		       e.uid != UINT32_MAX);
		check_name(e.path);
		if (e.type == TAR_HARDLINK || e.type == TAR_SYMLINK) {
			assert(e.link[0] && strlen(e.link) <= PATH_LIMIT);
			check_name(e.link);
		}
		for (size_t x = 0; x < e.n_xattrs; x++) {
			xattrs += strlen(e.xattrs[x].name) + e.xattrs[x].size;
			assert(e.xattrs[x].size == 0 || e.xattrs[x].value);
		}
		assert(xattrs <= XATTR_LIMIT && (e.type == TAR_FILE || e.size == 0));
		if (i % 2 == (data[1] & 1U)) /* the others are skipped by the next tar_next */
			check_data(r, &e, size);
	}
	tar_reader_free(r);
	free(in.copy);
	return 0;
}
