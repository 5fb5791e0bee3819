/*
 * What the files of the registry client share: client.c (endpoints, exchange, retries), auth.c, pull.c, push.c.
 *
 * Runs in: the fetch worker.
 */
#pragma once

#include "images/registry/client.h"
#include "images/registry/http.h"

enum { TOKENS_MAX = 4, SCOPE_BYTES = 600 };

/* What was given for one scope at one endpoint. */
struct token {
	char scope[SCOPE_BYTES];
	char *authorization; /* the whole header value; NULL: free place */
	uint64_t expires_ns; /* CLOCK_MONOTONIC */
};

struct endpoint {
	char base[REGISTRY_HOST_BYTES + 16]; /* "https://host:port" */
	bool is_plain, is_mirror;
	struct token tokens[TOKENS_MAX];
	size_t next_token; /* which place is used again */
};

struct registry {
	struct registry_spec spec;
	struct buf ca;
	struct http *http;
	struct endpoint endpoints[REGISTRY_MIRRORS_MAX + 1]; /* mirrors in order, then the registry itself */
	size_t n_endpoints;
	char scope[SCOPE_BYTES]; /* what we usually ask for */
};

/* base + "/v2/" + repository + what fmt makes; adds ?ns= for mirrors. */
int endpoint_url(const struct registry *g, const struct endpoint *ep, char ret[HTTP_URL_BYTES], struct error *err,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * One request with authentication and (GET, HEAD) redirects. req->url, ->authorization and ->is_public_only are
 * filled here. An answer of any status is 0; the reply is the caller's to http_reply_done() in all cases.
 */
int registry_exchange(struct registry *g, struct endpoint *ep, const char *scope, const char *url,
		      struct http_request *req, struct http_reply *reply, struct error *err);

/* auth.c: the header value for a scope, or NULL; borrowed until the next call of auth_answer. */
const char *auth_header(const struct endpoint *ep, const char *scope);
/* Make one out of the challenges of a 401. A token we had for this scope is forgotten. */
int auth_answer(struct registry *g, struct endpoint *ep, const char *scope, const struct http_reply *reply,
		struct error *err);
void auth_done(struct endpoint *ep);
/* The `token` or `access_token` of a token server's answer, and its seconds. Pure. ret_token owned. */
int auth_token_parse(const char *data, size_t size, char **ret_token, uint64_t *ret_seconds, struct error *err);

/* Pauses between tries. */
struct retry {
	unsigned tries;
};
/*
 * After a failure: should there be another try? r is what registry_exchange returned, the reply its answer.
 * Sleeps and returns true; false when it was not a passing failure or the tries are used up. -EBUSY is put into *r
 * when the registry asks for a longer wait than ours.
 */
bool retry_again(struct retry *t, int *r, const struct http_reply *reply, struct error *err);

/* status.c. A status that is not what was wanted, in words, with what the registry said about it. */
int status_error(const struct http_reply *reply, struct error *err);
