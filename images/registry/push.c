/* Writing to a registry: blobs and manifests. See client.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/registry/client_impl.h"
#include "runtime/base/error.h"

static struct endpoint *upstream(struct registry *g)
{
	return &g->endpoints[g->n_endpoints - 1];
}

/* One request with tries, the same each time. The reply is the caller's in all cases. */
static int ask(struct registry *g, const char *scope, const char *url, struct http_request *q, struct http_reply *reply,
	       struct error *err)
{
	struct retry retry = { 0 };

	for (;;) {
		int r = registry_exchange(g, upstream(g), scope, url, q, reply, err);

		if (!retry_again(&retry, &r, reply, err))
			return r;
		http_reply_done(reply);
	}
}

/* 1: it has it; 0: it has not. */
static int blob_is_there(struct registry *g, const struct digest *d, struct error *err)
{
	struct http_request q = { .method = "HEAD" };
	char url[HTTP_URL_BYTES];
	struct http_reply reply;
	int r = endpoint_url(g, upstream(g), url, err, "/blobs/%s", d->text);

	if (r < 0)
		return r;
	r = ask(g, g->scope, url, &q, &reply, err);
	if (r == 0)
		r = reply.status == 200 ? 1 : reply.status == 404 ? 0 : status_error(&reply, err);
	http_reply_done(&reply);
	return r;
}

/*
 * Start an upload, or have the blob taken over from another repository. 1: taken over; 0: ret is where to send it.
 */
static int start_upload(struct registry *g, const struct digest *d, const char *mount_from, char ret[HTTP_URL_BYTES],
			struct error *err)
{
	struct http_request q = { .method = "POST", .has_body = true, .body = "" };
	char url[HTTP_URL_BYTES], scope[SCOPE_BYTES * 2];
	struct http_reply reply;
	int r = endpoint_url(g, upstream(g), url, err, "/blobs/uploads/");

	(void)snprintf(scope, sizeof(scope), "%s", g->scope);
	if (r == 0 && mount_from[0]) {
		(void)snprintf(scope, sizeof(scope), "%s repository:%s:pull", g->scope, mount_from);
		r = http_url_query(url, "mount", d->text, err);
		if (r == 0)
			r = http_url_query(url, "from", mount_from, err);
	}
	if (r < 0)
		return r;
	r = ask(g, scope, url, &q, &reply, err);
	if (r == 0 && reply.status == 201 && mount_from[0])
		r = 1;
	else if (r == 0 && reply.status != 202)
		r = status_error(&reply, err);
	else if (r == 0)
		r = http_url_resolve(url, reply.location, ret, err);
	if (r == 0 && http_url_is_https(url) && !http_url_is_https(ret))
		r = error_set(err, EACCES, "it wants the upload over http, having spoken https");
	http_reply_done(&reply);
	return r;
}

static int check_digest(const struct http_reply *reply, const struct digest *d, struct error *err)
{
	if (reply->digest[0] && strcmp(reply->digest, d->text) != 0)
		return error_set(err, EBADMSG, "we sent %s, the registry answers it has '%.80s'", d->text,
				 reply->digest);
	return 0;
}

int registry_push_blob(struct registry *g, const struct digest *d, uint64_t size, int fd, const char *mount_from,
		       registry_sent_fn *sent, void *arg, bool *ret_was_there, struct error *err)
{
	struct http_request q = {
		.method = "PUT", .has_body = true, .body_fd = fd, .body_bytes = size, .sent = sent, .sent_arg = arg
	};
	struct retry retry = { 0 };
	char url[HTTP_URL_BYTES];
	struct http_reply reply;
	bool again = false;
	int r = blob_is_there(g, d, err);

	while (r == 0) {
		r = start_upload(g, d, mount_from, url, err);
		if (r == 0)
			r = http_url_query(url, "digest", d->text, err);
		if (r != 0)
			break;
		r = registry_exchange(g, upstream(g), g->scope, url, &q, &reply, err);
		again = retry_again(&retry, &r, &reply, err); /* from a new upload: the old one's state is unknown */
		if (!again && r == 0)
			r = reply.status == 201 ? check_digest(&reply, d, err) : status_error(&reply, err);
		http_reply_done(&reply);
		if (!again) {
			if (r == 0)
				*ret_was_there = false;
			return r;
		}
		r = 0;
	}
	if (r == 1)
		*ret_was_there = true;
	return r < 0 ? r : 0;
}

int registry_push_manifest(struct registry *g, const char *reference, const char *media_type, const void *data,
			   size_t size, const struct digest *d, struct error *err)
{
	struct http_request q = {
		.method = "PUT", .has_body = true, .body = data, .body_bytes = size, .content_type = media_type
	};
	char url[HTTP_URL_BYTES];
	struct http_reply reply;
	int r = endpoint_url(g, upstream(g), url, err, "/manifests/%s", reference);

	if (r < 0)
		return r;
	r = ask(g, g->scope, url, &q, &reply, err);
	if (r == 0)
		r = reply.status == 201 ? check_digest(&reply, d, err) : status_error(&reply, err);
	http_reply_done(&reply);
	return r;
}
