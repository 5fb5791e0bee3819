/* Reading from a registry: manifests and blobs. See client.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/manifest.h"
#include "images/registry/client_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

/* Try every endpoint in order; the last one's failure is the one that is told. */
typedef int endpoint_fn(struct registry *g, struct endpoint *ep, void *arg, struct error *err);

static int each_endpoint(struct registry *g, bool is_upstream_only, endpoint_fn *fn, void *arg, struct error *err)
{
	size_t i = is_upstream_only ? g->n_endpoints - 1 : 0;

	for (;; i++) {
		struct error e = ERROR_INIT;
		int r = fn(g, &g->endpoints[i], arg, &e);

		if (r == 0)
			return 0;
		if (i + 1 == g->n_endpoints)
			return error_set(err, -r, "%s", e.text);
		log_debug(LOG_FACTS(LOG_STR("mirror", g->endpoints[i].base)), "mirror passed over: %s", e.text);
	}
}

/* ---- manifests ------------------------------------------------------------------------------------------------ */

struct manifest_call {
	const char *reference;
	struct registry_manifest *ret;
};

static int take_manifest(const struct http_reply *reply, struct registry_manifest *ret, struct error *err)
{
	if (reply->status != 200)
		return status_error(reply, err);
	if (text_copy(ret->content_type, sizeof(ret->content_type), reply->content_type) < 0)
		return error_set(err, EPROTO, "its Content-Type is too long");
	(void)snprintf(ret->digest, sizeof(ret->digest), "%.*s", DIGEST_TEXT_BYTES - 1, reply->digest);
	if (buf_append(&ret->body, buf_str(&reply->body), reply->body.size) < 0)
		return error_set(err, ENOMEM, "out of memory");
	return 0;
}

static int manifest_at(struct registry *g, struct endpoint *ep, void *arg, struct error *err)
{
	const struct manifest_call *c = arg;
	struct http_request q = { .method = "GET", .accept = MANIFEST_ACCEPT, .max_body_bytes = MANIFEST_MAX_BYTES };
	char url[HTTP_URL_BYTES];
	struct retry retry = { 0 };
	struct http_reply reply;
	bool again;
	int r = endpoint_url(g, ep, url, err, "/manifests/%s", c->reference);

	if (r < 0)
		return r;
	do {
		r = registry_exchange(g, ep, g->scope, url, &q, &reply, err);
		again = retry_again(&retry, &r, &reply, err);
		if (!again && r == 0) {
			r = take_manifest(&reply, c->ret, err);
			if (r < 0)
				(void)error_wrap(err, "%s", ep->base);
		}
		http_reply_done(&reply);
	} while (again);
	return r;
}

int registry_get_manifest(struct registry *g, const char *reference, bool is_upstream_only,
			  struct registry_manifest *ret, struct error *err)
{
	struct manifest_call c = { .reference = reference, .ret = ret };

	return each_endpoint(g, is_upstream_only, manifest_at, &c, err);
}

/* ---- blobs ---------------------------------------------------------------------------------------------------- */

struct blob_call {
	const struct digest *digest;
	uint64_t size, at; /* at: where the content goes on; grows with what the sink took */
	registry_sink_fn *sink;
	void *arg;
	/* of the answer being read */
	bool is_started;
	uint64_t skip; /* bytes of it that we have already: the server ignored our Range */
};

/* Does the text start with that number and then that character? What follows them, or NULL. */
static const char *after_number(const char *text, char end, uint64_t want)
{
	char *stop;
	unsigned long long value = strtoull(text, &stop, 10); /* too large becomes the largest: no size of ours */

	return stop != text && *stop == end && value == want ? stop + 1 : NULL;
}

/* "bytes FROM-TO/SIZE" */
static bool is_our_range(const char *text, uint64_t from, uint64_t size)
{
	return strncmp(text, "bytes", 5) == 0 && (text = after_number(text + 5, '-', from)) &&
	       (text = after_number(text, '/', size - 1)) && after_number(text, '\0', size);
}

static int start_blob(struct blob_call *c, const struct http_reply *reply, struct error *err)
{
	uint64_t expected = c->size - (reply->status == 206 ? c->at : 0);

	c->is_started = true;
	c->skip = reply->status == 206 ? 0 : c->at;
	if (reply->status == 206 && !is_our_range(reply->content_range, c->at, c->size))
		return error_set(err, EPROTO, "asked for bytes %llu-%llu/%llu, it sends '%.60s'",
				 (unsigned long long)c->at, (unsigned long long)c->size - 1,
				 (unsigned long long)c->size, reply->content_range);
	if (reply->content_length >= 0 && (uint64_t)reply->content_length != expected)
		return error_set(err, EBADMSG, "size %llu announced, the registry sends %lld bytes%s%.40s",
				 (unsigned long long)expected, (long long)reply->content_length,
				 reply->content_encoding[0] ? " as Content-Encoding " : "", reply->content_encoding);
	return 0;
}

static int blob_sink(const struct http_reply *reply, const void *data, size_t size, void *arg, struct error *err)
{
	struct blob_call *c = arg;
	const char *p = data;
	int r = c->is_started ? 0 : start_blob(c, reply, err);

	if (r == 0 && c->skip > 0) {
		size_t n = c->skip < size ? (size_t)c->skip : size;

		c->skip -= n;
		p += n;
		size -= n;
	}
	if (r < 0 || size == 0)
		return r;
	if (size > c->size - c->at)
		return error_set(
			err, EBADMSG, "larger than the %llu bytes announced%s%.40s", (unsigned long long)c->size,
			reply->content_encoding[0] ? ", sent as Content-Encoding " : "", reply->content_encoding);
	r = c->sink(p, size, c->arg, err);
	if (r == 0)
		c->at += size;
	return r;
}

/* After an exchange without error: is the blob complete, is it to be tried again, or is it wrong? */
static int judge_blob(struct blob_call *c, const struct http_reply *reply, struct error *err)
{
	if (reply->status == 416)
		return error_set(err, EBADMSG, "size %llu announced, the registry has '%.60s'",
				 (unsigned long long)c->size, reply->content_range);
	if (reply->status != 200 && reply->status != 206)
		return status_error(reply, err);
	if (c->at < c->size)
		return error_set(err, EBADMSG, "size %llu announced, the registry sent only %llu bytes",
				 (unsigned long long)c->size, (unsigned long long)c->at);
	return 0;
}

static int blob_at(struct registry *g, struct endpoint *ep, void *arg, struct error *err)
{
	struct blob_call *c = arg;
	struct http_request q = { .method = "GET", .sink = blob_sink, .sink_arg = c };
	char url[HTTP_URL_BYTES];
	struct retry retry = { 0 };
	struct http_reply reply;
	bool again;
	int r = endpoint_url(g, ep, url, err, "/blobs/%s", c->digest->text);

	if (r < 0)
		return r;
	do {
		uint64_t before = c->at;

		c->is_started = false;
		q.range_from = c->at;
		r = registry_exchange(g, ep, g->scope, url, &q, &reply, err);
		if (c->at - before >= (1 << 20)) /* it moves: patience starts anew */
			retry = (struct retry){ 0 };
		again = retry_again(&retry, &r, &reply, err);
		if (!again && r == 0) {
			r = judge_blob(c, &reply, err);
			if (r < 0)
				(void)error_wrap(err, "%s", ep->base);
		}
		http_reply_done(&reply);
	} while (again);
	return r;
}

int registry_get_blob(struct registry *g, const struct digest *d, uint64_t size, uint64_t have, bool is_upstream_only,
		      registry_sink_fn *sink, void *arg, struct error *err)
{
	struct blob_call c = { .digest = d, .size = size, .at = have, .sink = sink, .arg = arg };

	if (have >= size)
		return have == size ? 0 : error_set(err, EBADMSG, "more is there than the size announced");
	return each_endpoint(g, is_upstream_only, blob_at, &c, err);
}
