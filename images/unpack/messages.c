/* Messages between parent and unpack worker: see messages.h. One field list for both directions. */
#include "images/unpack/messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/frame.h"

/* ---- the two structures, field by field, in one order for both directions ---- */

typedef void field_fn(void *arg, uint64_t *field);

static void each_budget_field(struct unpack_budget *b, field_fn *fn, void *arg)
{
	uint64_t *const fields[] = {
		&b->in_bytes,   &b->out_bytes,   &b->ratio,       &b->ratio_floor, &b->entries,
		&b->path_bytes, &b->xattr_entry, &b->xattr_bytes, &b->wall_ms,     &b->memory_bytes
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fn(arg, fields[i]);
}

static void each_result_field(struct unpack_result *r, field_fn *fn, void *arg)
{
	uint64_t *const fields[] = { &r->in_bytes,       &r->out_bytes,       &r->file_bytes, &r->entries, &r->parents,
				     &r->xattrs_dropped, &r->devices_skipped, &r->depends,    &r->format };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fn(arg, fields[i]);
}

static void put(void *arg, uint64_t *field)
{
	frame_put_u64(arg, *field);
}

static void get(void *arg, uint64_t *field)
{
	*field = frame_get_u64(arg);
}

/* ---- messages ---- */

int unpack_send(int sock, const struct unpack_message *m, const int *fds, size_t n_fds, int flags, struct error *err)
{
	uint8_t memory[UNPACK_MESSAGE_BYTES];
	const struct frame_header h = { .version = UNPACK_PROTO_VERSION, .type = (uint16_t)m->type };
	struct unpack_message copy = *m;
	struct frame_writer w;

	frame_begin(&w, memory, sizeof(memory), &h);
	switch (m->type) {
	case UNPACK_START:
		each_budget_field(&copy.start.budget, put, &w);
		frame_put_u8(&w, copy.start.skip_compressed);
		frame_put_u8(&w, copy.start.has_below);
		break;
	case UNPACK_PROGRESS:
		frame_put_u64(&w, m->progress.in_bytes);
		frame_put_u64(&w, m->progress.entries);
		break;
	case UNPACK_OPAQUE:
	case UNPACK_BELOW:
		break;
	case UNPACK_DONE:
		frame_put_str(&w, m->done.diff_id.text);
		frame_put_str(&w, m->done.compressed.text);
		each_result_field(&copy.done, put, &w);
		break;
	case UNPACK_FAILED:
		frame_put_u32(&w, m->failed.code);
		frame_put_str(&w, m->failed.text);
		break;
	}
	return frame_send(sock, &w, fds, n_fds, flags, err);
}

static int get_digest(struct frame_reader *r, bool may_be_empty, struct digest *ret, struct error *err)
{
	char text[DIGEST_TEXT_BYTES];

	frame_get_str(r, text, sizeof(text));
	return may_be_empty && !text[0] ? 0 : digest_parse(text, ret, err);
}

int unpack_decode(const void *data, size_t size, struct unpack_message *ret, struct error *err)
{
	struct unpack_message m;
	struct frame_header h;
	struct frame_reader f;
	int r = frame_open(&f, data, size, UNPACK_PROTO_VERSION, &h, err);

	if (r < 0)
		return r;
	memset(&m, 0, sizeof(m));
	m.type = h.type;
	switch (h.type) {
	case UNPACK_START:
		each_budget_field(&m.start.budget, get, &f);
		m.start.skip_compressed = frame_get_u8(&f);
		m.start.has_below = frame_get_u8(&f);
		break;
	case UNPACK_PROGRESS:
		m.progress.in_bytes = frame_get_u64(&f);
		m.progress.entries = frame_get_u64(&f);
		break;
	case UNPACK_OPAQUE:
	case UNPACK_BELOW:
		break;
	case UNPACK_DONE:
		r = get_digest(&f, false, &m.done.diff_id, err);
		if (r == 0)
			r = get_digest(&f, true, &m.done.compressed, err);
		each_result_field(&m.done, get, &f);
		break;
	case UNPACK_FAILED:
		m.failed.code = frame_get_u32(&f);
		frame_get_str(&f, m.failed.text, sizeof(m.failed.text));
		break;
	default:
		return error_set(err, EPROTO, "unknown message %u", h.type);
	}
	if (r == 0)
		r = frame_end(&f, "unpack message", err);
	if (r < 0)
		return error_set(err, EPROTO, "a malformed message of type %u", h.type);
	*ret = m;
	return 0;
}

int unpack_receive(int sock, struct unpack_message *ret, int *ret_fds, size_t *n_fds, struct error *err)
{
	uint8_t memory[UNPACK_MESSAGE_BYTES];
	ssize_t n = frame_recv(sock, memory, sizeof(memory), ret_fds, n_fds, 0, err);
	int r;

	if (n <= 0)
		return (int)n;
	r = unpack_decode(memory, (size_t)n, ret, err);
	if (r == 0 && *n_fds > 0 && ret->type != UNPACK_OPAQUE && ret->type != UNPACK_BELOW)
		r = error_set(err, EPROTO, "descriptors with a message of type %u", (unsigned)ret->type);
	if (r < 0) {
		for (size_t i = 0; i < *n_fds; i++)
			(void)close(ret_fds[i]);
		*n_fds = 0;
		return r;
	}
	return 1;
}
