/* The fetch worker's loop: see serve.h. */
#include "images/registry/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/registry/proto.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/frame.h"
#include "runtime/base/text.h"

struct server {
	int sock;
	struct registry *registry;
	uint64_t told_ns; /* when SENT was said last */
};

enum { SENT_EVERY_MS = 100, MANIFEST_PUSH_MAX = 4 << 20, CA_MAX_BYTES = 4 << 20 };

static int send_data(const void *data, size_t size, void *arg, struct error *err)
{
	const struct server *s = arg;
	const char *p = data;

	while (size > 0) {
		size_t n = size < PROTO_DATA_MAX ? size : PROTO_DATA_MAX;
		struct proto_reply reply = { .type = PROTO_DATA, .data = p, .data_bytes = n };
		int r = proto_reply_send(s->sock, &reply, err);

		if (r < 0)
			return r;
		p += n;
		size -= n;
	}
	return 0;
}

static void send_sent(uint64_t done, void *arg)
{
	struct server *s = arg;
	struct proto_reply reply = { .type = PROTO_SENT, .sent = done };

	if (clock_now_ns() - s->told_ns < SENT_EVERY_MS * NS_PER_MS)
		return;
	s->told_ns = clock_now_ns();
	(void)proto_reply_send(s->sock, &reply,
			       NULL); /* the other end gone: DONE will not arrive either, then we stop */
}

static int get_manifest(struct server *s, const struct proto_request *q, struct proto_reply *done, struct error *err)
{
	struct registry_manifest m = { .body = BUF_INIT };
	int r = registry_get_manifest(s->registry, q->reference, q->is_upstream_only, &m, err);

	if (r == 0)
		r = send_data(buf_str(&m.body), m.body.size, s, err);
	(void)text_copy(done->content_type, sizeof(done->content_type), m.content_type); /* same sizes */
	(void)text_copy(done->digest, sizeof(done->digest), m.digest);
	buf_done(&m.body);
	return r;
}

static int push_manifest(struct server *s, const struct proto_request *q, int fd, struct error *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	int r = fd_read_all(fd, MANIFEST_PUSH_MAX, &body, err);

	if (r < 0)
		return r;
	return registry_push_manifest(s->registry, q->reference, q->media_type, buf_str(&body), body.size, &q->digest,
				      err);
}

static int perform(struct server *s, const struct proto_request *q, int fd, struct proto_reply *done, struct error *err)
{
	bool needs_fd = q->type == PROTO_PUSH_BLOB || q->type == PROTO_PUSH_MANIFEST;

	if (!s->registry || needs_fd != (fd >= 0) || (q->type != PROTO_GET_MANIFEST && !q->digest.text[0]))
		return error_set(err, EPROTO, "incomplete request");
	switch (q->type) {
	case PROTO_GET_MANIFEST:
		return get_manifest(s, q, done, err);
	case PROTO_GET_BLOB:
		return registry_get_blob(s->registry, &q->digest, q->size, q->have, q->is_upstream_only, send_data, s,
					 err);
	case PROTO_PUSH_BLOB:
		return registry_push_blob(s->registry, &q->digest, q->size, fd, q->mount_from, send_sent, s,
					  &done->was_there, err);
	case PROTO_PUSH_MANIFEST:
		return push_manifest(s, q, fd, err);
	default:
		return error_set(err, EPROTO, "unexpected request");
	}
}

static int open_registry(struct server *s, struct proto_request *q, int fd, struct error *err)
{
	cleanup_buf struct buf ca = BUF_INIT;
	int r = s->registry ? error_set(err, EPROTO, "opened twice") : 0;

	if (r == 0 && fd >= 0)
		r = fd_read_all(fd, CA_MAX_BYTES, &ca, err);
	if (r == 0)
		r = registry_new(&q->spec, &ca, &s->registry, err);
	explicit_bzero(&q->spec, sizeof(q->spec)); /* the registry has its copy of the password */
	return r;
}

static int answer(struct server *s, struct proto_request *q, int fd, struct error *err)
{
	struct proto_reply done = { .type = PROTO_DONE };
	struct error e = ERROR_INIT;
	int r;

	if (q->type == PROTO_OPEN)
		return open_registry(s, q, fd, err);
	r = perform(s, q, fd, &done, &e);
	if (r < 0) {
		done.code = -r;
		(void)text_copy(done.text, sizeof(done.text), e.text); /* same size */
	}
	return proto_reply_send(s->sock, &done, err);
}

/* What is too large for the stack: a request as it came and as it was read. */
struct incoming {
	struct proto_request request;
	uint8_t message[PROTO_MESSAGE_BYTES];
};

int fetch_serve(int sock, struct error *err)
{
	cleanup_free struct incoming *in = malloc(sizeof(*in));
	struct server s = { .sock = sock };
	int r = in ? 0 : error_set(err, ENOMEM, "out of memory");

	while (r == 0) {
		int fd = -1;
		size_t n_fds = 1;
		ssize_t n = frame_recv(sock, in->message, sizeof(in->message), &fd, &n_fds, 0, err);

		if (n <= 0) {
			r = (int)n;
			break;
		}
		r = proto_request_read(in->message, (size_t)n, &in->request, err);
		explicit_bzero(in->message, (size_t)n);
		if (r == 0)
			r = answer(&s, &in->request, fd, err);
		fd_close(&fd);
	}
	registry_free(s.registry);
	return r;
}
