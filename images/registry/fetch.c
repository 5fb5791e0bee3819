/*
 * Sessions with a registry through the fetch worker: see fetch.h.
 *
 * The worker is `cubit-worker fetch`, beside the running program or named by CUBIT_WORKER. It has no environment: what it
 * needs to know is in the first message.
 */
#include "images/registry/fetch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/registry/proto.h"
#include "images/registry/settings.h"
#include "images/worker_spawn.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/frame.h"

enum { GRACE_MS = 1000 };

struct fetch {
	struct worker worker;
	uint8_t memory[PROTO_MESSAGE_BYTES];
};

/* It died: of what, as far as can be seen. End of file comes before the exit, so give it a moment. */
static int worker_died(struct fetch *f, struct error *err)
{
	char how[96];
	int status = 0;

	(void)poll(&(struct pollfd){ .fd = f->worker.pidfd, .events = POLLIN }, 1, GRACE_MS);
	worker_end(&f->worker, &status);
	worker_describe(status, how, sizeof(how));
	return error_set(err, EIO, "the fetch worker ended without an answer: %s", how);
}

/* ---- sessions ------------------------------------------------------------------------------------------------- */

int fetch_open(const struct image_ref *ref, bool is_push, struct fetch **ret, struct error *err)
{
	struct fetch *f = calloc(1, sizeof(*f));
	cleanup_free struct proto_request *q = f ? calloc(1, sizeof(*q)) : NULL;
	const char *program = secure_getenv("CUBIT_WORKER");
	cleanup_fd int ca = -1;
	int r;

	if (!q) {
		free(f);
		return error_set(err, ENOMEM, "out of memory");
	}
	f->worker = (struct worker){ .pidfd = -1, .control = -1 };
	q->type = PROTO_OPEN;
	r = registry_settings(ref, is_push, &q->spec, err);
	if (r == 0)
		r = registry_open_ca(&q->spec, &ca, err);
	if (r == 0)
		r = worker_spawn(program && *program ? program : NULL, "fetch", NULL, 0, &f->worker, err);
	if (r == 0)
		r = proto_request_send(f->worker.control, q, ca, err);
	if (r == -EPIPE)
		r = worker_died(f, err);
	explicit_bzero(q, sizeof(*q));
	if (r < 0) {
		fetch_close(f);
		return r;
	}
	*ret = f;
	return 0;
}

void fetch_close(struct fetch *f)
{
	if (!f)
		return;
	worker_end(&f->worker, NULL); /* it holds nothing worth an orderly end */
	free(f);
}

/* ---- one request ---------------------------------------------------------------------------------------------- */

/* Takes what arrives before DONE. */
typedef int take_fn(const struct proto_reply *p, void *arg, struct error *err);

/* What went wrong on our side leaves the worker in the middle of an answer: no further request on this session. */
static int broken(struct fetch *f, int r)
{
	fd_close(&f->worker.control);
	return r;
}

static int call(struct fetch *f, const struct proto_request *q, int fd, take_fn *take, void *arg,
		struct proto_reply *done, struct error *err)
{
	int r;

	if (f->worker.control < 0)
		return error_set(err, EPIPE, "the fetch worker's session is broken");
	r = proto_request_send(f->worker.control, q, fd, err);
	if (r == -EPIPE || r == -ECONNRESET)
		return worker_died(f, err);
	while (r == 0) {
		size_t n_fds = 0;
		ssize_t n = frame_recv(f->worker.control, f->memory, sizeof(f->memory), NULL, &n_fds, 0, err);

		if (n == 0 || n == -ECONNRESET)
			return worker_died(f, err);
		if (n < 0)
			r = (int)n;
		else
			r = proto_reply_read(f->memory, (size_t)n, done, err);
		if (r == 0 && done->type == PROTO_DONE)
			return done->code ? error_set(err, done->code, "%s", done->text) : 0;
		if (r == 0)
			r = take(done, arg, err);
	}
	return broken(f, r);
}

/* ---- manifests ------------------------------------------------------------------------------------------------ */

static int take_body(const struct proto_reply *p, void *arg, struct error *err)
{
	struct buf *body = arg;

	if (p->type != PROTO_DATA || p->data_bytes > MANIFEST_MAX_BYTES - body->size)
		return error_set(err, EPROTO, "the fetch worker sent something that was not asked for");
	return buf_append(body, p->data, p->data_bytes) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int check_manifest(const char *reference, uint64_t want_size, const struct buf *body,
			  const struct proto_reply *done, struct digest *ret, struct error *err)
{
	struct digest d, want;

	digest_of(buf_str(body), body->size, &d);
	if (want_size && body->size != want_size)
		return error_set(err, EBADMSG, "size %llu announced, %zu bytes came", (unsigned long long)want_size,
				 body->size);
	if (digest_parse(reference, &want, NULL) == 0 && !digest_equal(&d, &want))
		return error_set(err, EBADMSG, "the content's digest is %s", d.text);
	if (done->digest[0] && digest_parse(done->digest, &want, NULL) == 0 && !digest_equal(&d, &want))
		return error_set(err, EBADMSG, "the registry states digest %s, the content's is %s", want.text, d.text);
	*ret = d;
	return 0;
}

int fetch_manifest(struct fetch *f, const char *reference, uint64_t want_size, struct buf *body, char *content_type,
		   struct digest *ret, struct error *err)
{
	struct proto_request q = { .type = PROTO_GET_MANIFEST };
	struct proto_reply done;
	int r;

	(void)snprintf(q.reference, sizeof(q.reference), "%s", reference);
	for (;;) {
		struct error e = ERROR_INIT;

		buf_reset(body);
		r = call(f, &q, -1, take_body, body, &done, &e);
		if (r == 0)
			r = check_manifest(reference, want_size, body, &done, ret, &e);
		if (r == -EBADMSG && !q.is_upstream_only) {
			q.is_upstream_only = true; /* perhaps a mirror's fault, perhaps a fault on the way */
			continue;
		}
		if (r < 0)
			return error_set(err, -r, "manifest '%.100s': %s", reference, e.text);
		(void)snprintf(content_type, MEDIA_TYPE_BYTES, "%s", done.content_type);
		return 0;
	}
}

/* ---- blobs ---------------------------------------------------------------------------------------------------- */

struct download {
	int fd;
	uint64_t at, total;
	struct digest_hasher *hasher;
	fetch_progress_fn *progress;
	void *arg;
};

static void tell(const struct download *d)
{
	if (d->progress)
		d->progress(d->at, d->total, d->arg);
}

static int take_data(const struct proto_reply *p, void *arg, struct error *err)
{
	struct download *d = arg;
	int r;

	if (p->type != PROTO_DATA || p->data_bytes > d->total - d->at)
		return error_set(err, EPROTO, "the fetch worker sent something that was not asked for");
	r = fd_write_all(d->fd, p->data, p->data_bytes, err);
	if (r < 0)
		return r;
	digest_hasher_add(d->hasher, p->data, p->data_bytes);
	d->at += p->data_bytes;
	tell(d);
	return 0;
}

/* Hash what an earlier attempt left. */
static int hash_part(struct download *d, uint64_t have, struct error *err)
{
	char piece[64 << 10];

	while (d->at < have) {
		size_t want = have - d->at < sizeof(piece) ? (size_t)(have - d->at) : sizeof(piece);
		ssize_t n = pread(d->fd, piece, want, (off_t)d->at);

		if (n <= 0)
			return error_errno(err, n < 0 ? errno : EIO, "read what was fetched before");
		digest_hasher_add(d->hasher, piece, (size_t)n);
		d->at += (uint64_t)n;
	}
	tell(d);
	return 0;
}

static int download(struct fetch *f, const struct descriptor *want, struct download *d, uint64_t have,
		    bool is_upstream_only, struct error *err)
{
	struct proto_request q = { .type = PROTO_GET_BLOB,
				   .digest = want->digest,
				   .size = want->size,
				   .have = have,
				   .is_upstream_only = is_upstream_only };
	struct proto_reply done;
	struct digest got;
	int r = 0;

	d->at = 0;
	if (ftruncate(d->fd, (off_t)have) < 0 || lseek(d->fd, (off_t)have, SEEK_SET) < 0)
		return error_errno(err, errno, "position in the file");
	digest_hasher_free(d->hasher);
	d->hasher = digest_hasher_new();
	if (!d->hasher)
		return error_set(err, ENOMEM, "out of memory");
	r = hash_part(d, have, err);
	if (r == 0 && have < want->size)
		r = call(f, &q, -1, take_data, d, &done, err);
	if (r == 0 && d->at != want->size)
		r = error_set(err, EBADMSG, "size %llu announced, %llu bytes came", (unsigned long long)want->size,
			      (unsigned long long)d->at);
	if (r < 0)
		return r;
	digest_hasher_end(d->hasher, &got);
	if (!digest_equal(&got, &want->digest))
		return error_set(err, EBADMSG, "the content's digest is %s", got.text);
	return 0;
}

int fetch_blob(struct fetch *f, const struct descriptor *want, int fd, uint64_t have, fetch_progress_fn *progress,
	       void *arg, struct error *err)
{
	struct download d = { .fd = fd, .total = want->size, .progress = progress, .arg = arg };
	struct error e = ERROR_INIT;
	int r;

	if (have > want->size)
		have = 0;
	r = download(f, want, &d, have, false, &e);
	if (r == -EBADMSG &&
	    f->worker.control >= 0) { /* the part of before, a mirror, or a fault on the way: once more, whole */
		error_clear(&e);
		r = download(f, want, &d, 0, true, &e);
	}
	digest_hasher_free(d.hasher);
	return r < 0 ? error_set(err, -r, "%s: %s", want->digest.text, e.text) : 0;
}

/* ---- push ----------------------------------------------------------------------------------------------------- */

struct upload {
	uint64_t total;
	fetch_progress_fn *progress;
	void *arg;
};

static int take_sent(const struct proto_reply *p, void *arg, struct error *err)
{
	const struct upload *u = arg;

	if (p->type != PROTO_SENT || p->sent > u->total)
		return error_set(err, EPROTO, "the fetch worker sent something that was not asked for");
	if (u->progress)
		u->progress(p->sent, u->total, u->arg);
	return 0;
}

int fetch_push_blob(struct fetch *f, const struct descriptor *d, int fd, const char *mount_from,
		    fetch_progress_fn *progress, void *arg, bool *ret_was_there, struct error *err)
{
	struct proto_request q = { .type = PROTO_PUSH_BLOB, .digest = d->digest, .size = d->size };
	struct upload u = { .total = d->size, .progress = progress, .arg = arg };
	struct proto_reply done;
	int r;

	(void)snprintf(q.mount_from, sizeof(q.mount_from), "%s", mount_from);
	r = call(f, &q, fd, take_sent, &u, &done, err);
	if (r < 0)
		return error_wrap(err, "%s", d->digest.text), r;
	*ret_was_there = done.was_there;
	if (progress)
		progress(d->size, d->size, arg);
	return 0;
}

int fetch_push_manifest(struct fetch *f, const char *reference, const struct descriptor *d, int fd, struct error *err)
{
	struct proto_request q = { .type = PROTO_PUSH_MANIFEST, .digest = d->digest, .size = d->size };
	struct upload u = { .total = 0 };
	struct proto_reply done;
	int r;

	(void)snprintf(q.reference, sizeof(q.reference), "%s", reference);
	(void)snprintf(q.media_type, sizeof(q.media_type), "%s", d->media_type);
	r = call(f, &q, fd, take_sent, &u, &done, err);
	return r < 0 ? (error_wrap(err, "manifest '%.100s'", reference), r) : 0;
}
