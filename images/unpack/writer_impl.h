/* What the files of the writer share. Private to writer*.c. Runs in: the unpack worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "images/unpack/writer.h"
#include "runtime/base/buf.h"

enum { PATH_BYTES = 4097, CACHED_DIRS = 4, NAME_LENGTH_MAX = 255, DEVICES_MAX = 4096 };

/* What a last component says. */
enum name_kind { NAME_PLAIN, NAME_WHITEOUT, NAME_OPAQUE, NAME_IGNORED };

/* A path without "", "." and "..": "a/b/c", or "" for the root of the layer. */
struct clean_path {
	char text[PATH_BYTES];
	size_t dir_size;  /* of "a/b" */
	const char *name; /* "c", borrowed from text */
};

struct cached_dir {
	char path[PATH_BYTES];
	int fd; /* -1: free */
};

/* Strings, remembered to the end. */
struct names {
	char **items;
	size_t n, room;
};

/* A directory whose time and default ACL are set when nothing is made in it any more. */
struct late_dir {
	char *path;
	int64_t mtime_s;
	uint32_t mtime_ns;
	void *acl;
	size_t acl_size;
};

struct writer {
	int root;
	struct writer_limits limits;
	writer_opaque_fn *opaque;
	writer_below_fn *below; /* NULL: nothing is below */
	int below_fd;           /* -1: not asked for yet */
	writer_tick_fn *tick;
	void *arg;
	struct writer_counts counts;
	uint64_t xattr_bytes;
	struct cached_dir cache[CACHED_DIRS];
	size_t next_cached;
	struct names whiteouts, opaques;
	struct names devices; /* that were left out; more than DEVICES_MAX are refused */
	struct late_dir *late;
	size_t n_late, room_late;
	bool is_closing; /* no parent is made any more: late is being walked */
};

/* ---- writer.c ---- */

/* Is an extended attribute of this name left out? */
bool writer_drops(const char *name);

/* ---- writer_below.c ---- */

/* Something in the layers below. */
struct below {
	int dir;          /* owned; the directory it is in */
	const char *name; /* borrowed from the path that was looked for */
	struct stat st;   /* its own, not that of what it links to */
};

/*
 * What the layers below have at path, unless this layer hides it. follow: links on the way are followed within them.
 * Returns 1 with *ret filled, 0 nothing, or -errno.
 */
int writer_below(struct writer *w, const char *path, bool follow, struct below *ret, struct error *err);

/* Give the directory at path, which was just made in dir, what b has: owner, mode, attributes, and at the end the time. */
int writer_dir_as_below(struct writer *w, const struct below *b, int dir, const char *path, const char *of,
			struct error *err);

/* Copy the file, link or fifo at path below to dir/name. Returns 1, 0 there is none, or -errno (-EPERM: something else). */
int writer_copy_up(struct writer *w, const char *path, int dir, const char *name, const char *of, struct error *err);

/* ---- writer_path.c ---- */

/* Normalise; of: for messages. -EPERM for "..", -EFBIG for too long. */
int path_clean(const char *path, struct clean_path *ret, const char *of, struct error *err);

/* What the components say; -EPERM for reserved names that make no sense. */
int path_kind(const struct clean_path *p, enum name_kind *ret, const char *of, struct error *err);

/* The directory size bytes of path name, made if missing; borrowed from the cache, valid until the next call. */
int writer_dir(struct writer *w, const char *path, size_t size, const char *of, struct error *err);

/* Remove what is at dir/name, a tree if need be. */
int writer_remove(struct writer *w, int dir, const char *name, const char *of, struct error *err);

/* Forget open directories: one of them may have been replaced. */
void writer_forget(struct writer *w);

/* ---- writer_late.c ---- */

int names_add(struct names *n, const char *text, size_t size);
void names_free(struct names *n);
int writer_late_dir(struct writer *w, const char *path, int64_t mtime_s, uint32_t mtime_ns, const void *acl,
		    size_t acl_size, struct error *err);
