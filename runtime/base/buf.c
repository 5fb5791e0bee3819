/* A growing byte buffer: see buf.h. */
#include "runtime/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"

enum { FIRST_ROOM = 256 };

static int grow(struct buf *b, size_t more)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT, want, room = b->room ? b->room : FIRST_ROOM;
	char *data;

	if (more > max || b->size > max - more)
		return -ENOBUFS;
	want = b->size + more + 1;
	if (want <= b->room)
		return 0;
	while (room < want)
		room *= 2;
	data = realloc(b->data, room);
	if (!data && !alloc_failed(room))
		return -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
	int r = grow(b, size);

	if (r < 0)
		return r;
	if (size > 0)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = '\0';
	return 0;
}

int buf_append_str(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n, r;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	r = n < 0 ? -EINVAL : grow(b, (size_t)n);
	if (r == 0) {
		(void)vsnprintf(b->data + b->size, (size_t)n + 1, fmt, again);
		b->size += (size_t)n;
	}
	va_end(again);
	return r;
}

char *buf_reserve(struct buf *b, size_t size)
{
	return grow(b, size) < 0 ? NULL : b->data + b->size;
}

void buf_grown(struct buf *b, size_t size)
{
	b->size += size;
	b->data[b->size] = '\0';
}

void buf_consume(struct buf *b, size_t size)
{
	if (size >= b->size) {
		buf_reset(b);
		return;
	}
	memmove(b->data, b->data + size, b->size - size + 1);
	b->size -= size;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

void buf_reset(struct buf *b)
{
	b->size = 0;
	if (b->data)
		b->data[0] = '\0';
}

void buf_done(struct buf *b)
{
	int saved = errno;

	free(b->data);
	b->data = NULL;
	b->size = b->room = 0;
	errno = saved;
}

char *buf_take(struct buf *b)
{
	char *data = b->data;

	b->data = NULL;
	b->size = b->room = 0;
	return data;
}

char *buf_fit(char *data, size_t size)
{
	char *fit = data && size ? realloc(data, size) : NULL;

	return fit ? fit : data;
}
