/* Message framing: see frame.h. */
#include "runtime/base/frame.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"

enum { OFFSET_N_FDS = 6 };

static uint16_t load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint8_t *writer_room(struct frame_writer *w, size_t size)
{
	uint8_t *p;

	if (w->is_full || size > w->capacity - w->size) {
		w->is_full = true;
		return NULL;
	}
	p = w->data + w->size;
	w->size += size;
	return p;
}

static void put_le(struct frame_writer *w, uint64_t v, size_t bytes)
{
	uint8_t *p = writer_room(w, bytes);

	for (size_t i = 0; p && i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void frame_begin(struct frame_writer *w, void *memory, size_t capacity, const struct frame_header *h)
{
	*w = (struct frame_writer){ .data = memory, .capacity = capacity };
	frame_put_u16(w, FRAME_MAGIC);
	frame_put_u8(w, h->version);
	frame_put_u8(w, 0);
	frame_put_u16(w, h->type);
	frame_put_u16(w, h->n_fds);
	frame_put_u32(w, h->seq);
}

void frame_put_u8(struct frame_writer *w, uint8_t v)
{
	put_le(w, v, 1);
}

void frame_put_u16(struct frame_writer *w, uint16_t v)
{
	put_le(w, v, 2);
}

void frame_put_u32(struct frame_writer *w, uint32_t v)
{
	put_le(w, v, 4);
}

void frame_put_u64(struct frame_writer *w, uint64_t v)
{
	put_le(w, v, 8);
}

void frame_put_bytes(struct frame_writer *w, const void *data, size_t size)
{
	uint8_t *p;

	if (size > UINT32_MAX) {
		w->is_full = true;
		return;
	}
	frame_put_u32(w, (uint32_t)size);
	p = writer_room(w, size);
	if (p && size > 0)
		memcpy(p, data, size);
}

void frame_put_str(struct frame_writer *w, const char *text)
{
	frame_put_bytes(w, text, text ? strlen(text) : 0);
}

int frame_send(int sock, struct frame_writer *w, const int *fds, size_t n_fds, int flags, struct error *err)
{
	if (w->is_full || w->size < FRAME_HEADER_BYTES)
		return error_set(err, EMSGSIZE, "message does not fit into %zu bytes", w->capacity);
	w->data[OFFSET_N_FDS] = (uint8_t)n_fds;
	w->data[OFFSET_N_FDS + 1] = (uint8_t)(n_fds >> 8);
	return fd_send(sock, w->data, w->size, fds, n_fds, flags, err);
}

int frame_open(struct frame_reader *r, const void *data, size_t size, uint8_t version, struct frame_header *ret,
	       struct error *err)
{
	const uint8_t *p = data;

	*r = (struct frame_reader){ .data = data, .size = size, .at = FRAME_HEADER_BYTES };
	if (size < FRAME_HEADER_BYTES) {
		r->is_bad = true;
		return error_set(err, EPROTO, "message of %zu bytes is shorter than its header", size);
	}
	if (load_u16(p) != FRAME_MAGIC || p[3] != 0) {
		r->is_bad = true;
		return error_set(err, EPROTO, "not one of our messages");
	}
	if (p[2] != version) {
		r->is_bad = true;
		return error_set(err, EPROTO, "protocol version %u, we speak %u", p[2], version);
	}
	*ret = (struct frame_header){
		.version = p[2],
		.type = load_u16(p + 4),
		.n_fds = load_u16(p + OFFSET_N_FDS),
		.seq = load_u32(p + 8),
	};
	return 0;
}

static const uint8_t *reader_take(struct frame_reader *r, size_t size)
{
	const uint8_t *p;

	if (r->is_bad || size > r->size - r->at) {
		r->is_bad = true;
		return NULL;
	}
	p = r->data + r->at;
	r->at += size;
	return p;
}

static uint64_t get_le(struct frame_reader *r, size_t bytes)
{
	const uint8_t *p = reader_take(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t frame_get_u8(struct frame_reader *r)
{
	return (uint8_t)get_le(r, 1);
}

uint16_t frame_get_u16(struct frame_reader *r)
{
	return (uint16_t)get_le(r, 2);
}

uint32_t frame_get_u32(struct frame_reader *r)
{
	return (uint32_t)get_le(r, 4);
}

uint64_t frame_get_u64(struct frame_reader *r)
{
	return get_le(r, 8);
}

const void *frame_get_bytes(struct frame_reader *r, size_t max, size_t *ret_size)
{
	size_t size = frame_get_u32(r);
	const void *p;

	*ret_size = 0;
	if (size > max)
		r->is_bad = true;
	p = reader_take(r, size);
	if (p)
		*ret_size = size;
	return p;
}

const char *frame_get_text(struct frame_reader *r, size_t max, size_t *ret_size)
{
	const char *p = frame_get_bytes(r, max, ret_size);

	if (p && memchr(p, '\0', *ret_size)) {
		r->is_bad = true;
		*ret_size = 0;
		return NULL;
	}
	return p;
}

void frame_get_str(struct frame_reader *r, char *ret, size_t capacity)
{
	size_t size;
	const char *p = frame_get_text(r, capacity - 1, &size);

	if (p)
		memcpy(ret, p, size);
	ret[p ? size : 0] = '\0';
}

int frame_end(const struct frame_reader *r, const char *what, struct error *err)
{
	if (r->is_bad)
		return error_set(err, EPROTO, "%s: a field is missing, too long or malformed", what);
	if (r->at != r->size)
		return error_set(err, EPROTO, "%s: %zu bytes too many", what, r->size - r->at);
	return 0;
}

ssize_t frame_recv(int sock, void *memory, size_t capacity, int *ret_fds, size_t *n_fds, int flags, struct error *err)
{
	ssize_t n = fd_recv(sock, memory, capacity, ret_fds, n_fds, flags, err);
	size_t announced, got;

	if (n <= 0)
		return n;
	got = n_fds ? *n_fds : 0;
	announced = n < FRAME_HEADER_BYTES ? 0 : load_u16((const uint8_t *)memory + OFFSET_N_FDS);
	if (n >= FRAME_HEADER_BYTES && announced == got)
		return n;
	for (size_t i = 0; i < got; i++)
		fd_close(&ret_fds[i]);
	if (n_fds)
		*n_fds = 0;
	if (n < FRAME_HEADER_BYTES)
		return error_set(err, EPROTO, "message of %zd bytes is shorter than its header", n);
	return error_set(err, EPROTO, "message announces %zu descriptors, %zu came", announced, got);
}
