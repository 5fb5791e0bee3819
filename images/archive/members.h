/*
 * Named files of a directory or of an (uncompressed) tar archive: the two forms in which images travel as files. The
 * archive is indexed once and its content never copied. Input is hostile: names are looked up, never followed outside.
 *
 * Runs in: whoever holds the store. The directory or file was named by the operator.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct buf;
struct members; /* opaque */

struct member {
	int fd; /* owned by whoever got it; content is at [offset, offset + size) */
	uint64_t offset, size;
};

/* 0, or -errno: -EBADMSG neither a directory nor a tar archive. Owned: members_close(). */
int members_open(const char *path, struct members **ret, struct error *err);
void members_close(struct members *m);

/* A regular file by its name, "blobs/sha256/..."; links inside are resolved inside. -ENOENT when there is none. */
int members_find(const struct members *m, const char *name, struct member *ret, struct error *err);

/* The whole content of one, at most max_bytes (-EFBIG), appended. */
int members_read(const struct members *m, const char *name, size_t max_bytes, struct buf *out, struct error *err);
