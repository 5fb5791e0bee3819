/*
 * One HTTP exchange over libcurl: no redirect is followed, no credential is kept, nothing is retried; all that is
 * policy and lives in client.c. libcurl's results become -errno and words here, nowhere else.
 *
 * Runs in: the fetch worker only: libcurl may start a thread to resolve a name. Blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"

struct error;
struct http; /* opaque: keeps connections alive between exchanges */

enum { HTTP_URL_BYTES = 8192, HTTP_HEADER_BYTES = 256, HTTP_ERROR_BODY_BYTES = 16 << 10, HTTP_CHALLENGES_MAX = 8 };

struct http_reply {
	long status;
	int64_t content_length; /* -1 when it was not said */
	char content_type[HTTP_HEADER_BYTES];
	char content_encoding[HTTP_HEADER_BYTES];
	char content_range[HTTP_HEADER_BYTES];
	char retry_after[HTTP_HEADER_BYTES];
	char digest[HTTP_HEADER_BYTES];        /* Docker-Content-Digest */
	char location[HTTP_URL_BYTES];         /* as sent: may be relative */
	char *challenges[HTTP_CHALLENGES_MAX]; /* WWW-Authenticate values */
	size_t n_challenges;
	struct buf body; /* of an answer that did not go to a sink; cut off at its bound */
};
void http_reply_done(struct http_reply *r);

/* Called with content of a 200 or 206. The headers are all there. Non-zero -errno ends the transfer with that error. */
typedef int http_sink_fn(const struct http_reply *reply, const void *data, size_t size, void *arg, struct error *err);
/* Bytes of the request body sent so far. */
typedef void http_sent_fn(uint64_t done, void *arg);

struct http_request {
	const char *method; /* GET, HEAD, POST, PUT */
	const char *url;
	const char *authorization; /* value of that header, or NULL */
	const char *accept;        /* or NULL */
	const char *content_type;  /* of the body, or NULL */
	uint64_t range_from;       /* 0: the whole */
	size_t max_body_bytes;     /* without a sink: a longer answer of status 200 is -EMSGSIZE */
	http_sink_fn *sink;        /* or NULL */
	void *sink_arg;
	bool has_body;
	const void *body; /* or body_fd: read with pread(2) from 0 */
	int body_fd;
	uint64_t body_bytes;
	http_sent_fn *sent; /* or NULL */
	void *sent_arg;
	bool is_public_only; /* refuse loopback and link-local addresses: the host was chosen by a server, not by people */
};

struct http_settings {
	unsigned timeout_s;           /* to connect, and without any progress */
	const char *proxy, *no_proxy; /* "" for none; like ca, borrowed for as long as the struct http lives */
	const char *ca;               /* PEM certificates; ca_bytes 0: only the system's */
	size_t ca_bytes;
	bool is_ca_only; /* without the system's */
};

/* Owned: http_free(). NULL with err filled. */
struct http *http_new(const struct http_settings *settings, struct error *err);
void http_free(struct http *h);

/*
 * Returns 0 when an answer came complete, whatever its status. reply is initialised here; http_reply_done() it.
 * -EHOSTUNREACH no such host, -ECONNREFUSED, -ECONNRESET cut off or too short, -ETIMEDOUT, -EACCES for an address that
 * is not allowed, -EPROTO not HTTP or a bad certificate, -EMSGSIZE, or what the sink returned.
 */
int http_perform(struct http *h, const struct http_request *req, struct http_reply *reply, struct error *err);

/* Resolve a Location against the URL that answered with it. 0, or -EPROTO. */
int http_url_resolve(const char *base, const char *location, char ret[HTTP_URL_BYTES], struct error *err);
/* Same scheme, host and port? */
bool http_url_same_origin(const char *a, const char *b);
bool http_url_is_https(const char *url);
/* Append name=value, escaped, with ? or & as fits. 0 or -ENAMETOOLONG. */
int http_url_query(char url[HTTP_URL_BYTES], const char *name, const char *value, struct error *err);
