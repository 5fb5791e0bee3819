/* The fetch worker's messages: see proto.h. */
#include "images/registry/proto.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/frame.h"

/* ---- requests ------------------------------------------------------------------------------------------------- */

static void put_spec(struct frame_writer *w, const struct registry_spec *s)
{
	frame_put_str(w, s->name);
	frame_put_str(w, s->server);
	frame_put_str(w, s->path);
	frame_put_u8(w, s->is_plain);
	frame_put_u8(w, s->is_push);
	frame_put_u32(w, s->timeout_s);
	frame_put_str(w, s->user);
	frame_put_str(w, s->password);
	frame_put_str(w, s->proxy);
	frame_put_str(w, s->no_proxy);
	frame_put_u8(w, s->is_ca_only);
	frame_put_u8(w, (uint8_t)s->n_mirrors);
	for (size_t i = 0; i < s->n_mirrors; i++) {
		frame_put_str(w, s->mirrors[i].server);
		frame_put_u8(w, s->mirrors[i].is_plain);
	}
}

static void get_spec(struct frame_reader *r, struct registry_spec *s)
{
	frame_get_str(r, s->name, sizeof(s->name));
	frame_get_str(r, s->server, sizeof(s->server));
	frame_get_str(r, s->path, sizeof(s->path));
	s->is_plain = frame_get_u8(r);
	s->is_push = frame_get_u8(r);
	s->timeout_s = frame_get_u32(r);
	frame_get_str(r, s->user, sizeof(s->user));
	frame_get_str(r, s->password, sizeof(s->password));
	frame_get_str(r, s->proxy, sizeof(s->proxy));
	frame_get_str(r, s->no_proxy, sizeof(s->no_proxy));
	s->is_ca_only = frame_get_u8(r);
	s->n_mirrors = frame_get_u8(r);
	if (s->n_mirrors > REGISTRY_MIRRORS_MAX) {
		s->n_mirrors = 0;
		r->is_bad = true;
	}
	for (size_t i = 0; i < s->n_mirrors; i++) {
		frame_get_str(r, s->mirrors[i].server, sizeof(s->mirrors[i].server));
		s->mirrors[i].is_plain = frame_get_u8(r);
	}
}

int proto_request_send(int sock, const struct proto_request *q, int fd, struct error *err)
{
	uint8_t memory[32 << 10];
	struct frame_header h = { .version = PROTO_VERSION, .type = (uint16_t)q->type };
	struct frame_writer w;
	int r;

	frame_begin(&w, memory, sizeof(memory), &h);
	if (q->type == PROTO_OPEN) {
		put_spec(&w, &q->spec);
	} else {
		frame_put_str(&w, q->reference);
		frame_put_str(&w, q->media_type);
		frame_put_str(&w, q->mount_from);
		frame_put_str(&w, q->digest.text);
		frame_put_u64(&w, q->size);
		frame_put_u64(&w, q->have);
		frame_put_u8(&w, q->is_upstream_only);
	}
	r = frame_send(sock, &w, &fd, fd >= 0 ? 1 : 0, 0, err);
	explicit_bzero(memory, sizeof(memory)); /* a password may have been in it */
	return r;
}

static void get_digest(struct frame_reader *r, struct digest *ret)
{
	char text[DIGEST_TEXT_BYTES];

	frame_get_str(r, text, sizeof(text));
	if (text[0] && digest_parse(text, ret, NULL) < 0)
		r->is_bad = true;
}

int proto_request_read(const void *message, size_t size, struct proto_request *ret, struct error *err)
{
	struct frame_header h;
	struct frame_reader r;
	int rc = frame_open(&r, message, size, PROTO_VERSION, &h, err);

	if (rc < 0)
		return rc;
	*ret = (struct proto_request){ .type = (enum proto_type)h.type };
	if (h.type < PROTO_OPEN || h.type > PROTO_PUSH_MANIFEST)
		return error_set(err, EPROTO, "request of unknown type %u", h.type);
	if (h.type == PROTO_OPEN) {
		get_spec(&r, &ret->spec);
	} else {
		frame_get_str(&r, ret->reference, sizeof(ret->reference));
		frame_get_str(&r, ret->media_type, sizeof(ret->media_type));
		frame_get_str(&r, ret->mount_from, sizeof(ret->mount_from));
		get_digest(&r, &ret->digest);
		ret->size = frame_get_u64(&r);
		ret->have = frame_get_u64(&r);
		ret->is_upstream_only = frame_get_u8(&r);
	}
	return frame_end(&r, "request to the fetch worker", err);
}

/* ---- replies -------------------------------------------------------------------------------------------------- */

int proto_reply_send(int sock, const struct proto_reply *p, struct error *err)
{
	uint8_t memory[PROTO_MESSAGE_BYTES];
	struct frame_header h = { .version = PROTO_VERSION, .type = (uint16_t)p->type };
	struct frame_writer w;

	frame_begin(&w, memory, sizeof(memory), &h);
	if (p->type == PROTO_DATA) {
		frame_put_bytes(&w, p->data, p->data_bytes);
	} else if (p->type == PROTO_SENT) {
		frame_put_u64(&w, p->sent);
	} else {
		frame_put_u32(&w, (uint32_t)p->code);
		frame_put_str(&w, p->text);
		frame_put_str(&w, p->content_type);
		frame_put_str(&w, p->digest);
		frame_put_u8(&w, p->was_there);
	}
	return frame_send(sock, &w, NULL, 0, 0, err);
}

int proto_reply_read(const void *message, size_t size, struct proto_reply *ret, struct error *err)
{
	struct frame_header h;
	struct frame_reader r;
	int rc = frame_open(&r, message, size, PROTO_VERSION, &h, err);

	if (rc < 0)
		return rc;
	*ret = (struct proto_reply){ .type = (enum proto_type)h.type };
	switch (h.type) {
	case PROTO_DATA:
		ret->data = frame_get_bytes(&r, PROTO_DATA_MAX, &ret->data_bytes);
		break;
	case PROTO_SENT:
		ret->sent = frame_get_u64(&r);
		break;
	case PROTO_DONE:
		ret->code = (int)(frame_get_u32(&r) & 0xfff); /* an errno, never negative */
		frame_get_str(&r, ret->text, sizeof(ret->text));
		frame_get_str(&r, ret->content_type, sizeof(ret->content_type));
		frame_get_str(&r, ret->digest, sizeof(ret->digest));
		ret->was_there = frame_get_u8(&r);
		break;
	default:
		return error_set(err, EPROTO, "reply of unknown type %u", h.type);
	}
	return frame_end(&r, "reply of the fetch worker", err);
}
