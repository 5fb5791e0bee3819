/* A growing byte buffer with an upper bound, so that no peer decides how much memory we take. Runs anywhere, also in cubit-init. */
#pragma once

#include <stddef.h>

struct buf {
	char *data;  /* NULL while empty; always followed by a NUL once something was appended */
	size_t size; /* bytes in use, not counting the NUL */
	size_t room; /* bytes allocated */
	size_t max;  /* bound on size; 0 means BUF_MAX_DEFAULT */
};

enum { BUF_MAX_DEFAULT = 64 << 20 };

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		.data = NULL                                                                                           \
	}
#define BUF_BOUNDED(bytes)                                                                                             \
	{                                                                                                              \
		.data = NULL, .max = (bytes)                                                                           \
	}

/* All return 0, -ENOMEM (not after alloc_must()), or -ENOBUFS when the bound would be passed; on failure the buffer is as it was. */
int buf_append(struct buf *b, const void *data, size_t size);
int buf_append_str(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for `size` more bytes at the end; returns where, or NULL. Commit what was used with buf_grown. */
char *buf_reserve(struct buf *b, size_t size);
void buf_grown(struct buf *b, size_t size);

/* Drop bytes from the front (what was consumed). */
void buf_consume(struct buf *b, size_t size);

/* The content as a C string; "" when empty. Borrowed. */
const char *buf_str(const struct buf *b);

/* Empty but keep the memory / give the memory back. */
void buf_reset(struct buf *b);
void buf_done(struct buf *b);

/* Move the memory out (NUL-terminated, free() it); the buffer is empty afterwards. NULL when nothing was appended. */
char *buf_take(struct buf *b);

/* What buf_take() gave, or other memory of malloc(3), without the room beyond size: for what is kept long. NULL stays. */
char *buf_fit(char *data, size_t size);

#define cleanup_buf __attribute__((cleanup(buf_done)))
