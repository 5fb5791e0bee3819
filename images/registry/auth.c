/*
 * How a registry is convinced: Basic, or a Bearer token from the token server that its challenge names.
 * User and password go to the registry itself and to that token server, never to a mirror.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/registry/challenge.h"
#include "images/registry/client_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/log.h"

enum {
	TOKEN_MAX_BYTES = 32 << 10,
	TOKEN_ANSWER_BYTES = 64 << 10,
	TOKEN_SECONDS_DEFAULT = 60, /* the token specification's */
	TOKEN_SECONDS_MAX = 3600,
	TOKEN_MARGIN_S = 5,
};

const char *auth_header(const struct endpoint *ep, const char *scope)
{
	for (size_t i = 0; i < TOKENS_MAX; i++) {
		const struct token *t = &ep->tokens[i];

		if (t->authorization && strcmp(t->scope, scope) == 0 && clock_now_ns() < t->expires_ns)
			return t->authorization;
	}
	return NULL;
}

static void token_clear(struct token *t)
{
	if (t->authorization)
		explicit_bzero(t->authorization, strlen(t->authorization));
	free(t->authorization);
	*t = (struct token){ .authorization = NULL };
}

void auth_done(struct endpoint *ep)
{
	for (size_t i = 0; i < TOKENS_MAX; i++)
		token_clear(&ep->tokens[i]);
}

static void forget(struct endpoint *ep, const char *scope)
{
	for (size_t i = 0; i < TOKENS_MAX; i++) {
		if (ep->tokens[i].authorization && strcmp(ep->tokens[i].scope, scope) == 0)
			token_clear(&ep->tokens[i]);
	}
}

/* Takes the authorization over. */
static void remember(struct endpoint *ep, const char *scope, char *authorization, uint64_t expires_ns)
{
	struct token *t = &ep->tokens[ep->next_token++ % TOKENS_MAX];

	token_clear(t);
	t->authorization = authorization;
	t->expires_ns = expires_ns;
	(void)snprintf(t->scope, sizeof(t->scope), "%s", scope);
}

/* "Basic ..." from user and password; owned. */
static char *basic_value(const struct registry_spec *s)
{
	static const char scheme[] = "Basic ";
	size_t plain_size = strlen(s->user) + 1 + strlen(s->password);
	char *plain = malloc(plain_size + 1), *value = malloc(sizeof(scheme) + 4 * (plain_size / 3 + 1));

	if (plain && value) {
		(void)snprintf(plain, plain_size + 1, "%s:%s", s->user, s->password);
		memcpy(value, scheme, sizeof(scheme));
		(void)EVP_EncodeBlock((unsigned char *)value + sizeof(scheme) - 1, (const unsigned char *)plain,
				      (int)plain_size);
		explicit_bzero(plain, plain_size);
	} else {
		free(value);
		value = NULL;
	}
	free(plain);
	return value;
}

static bool has_login(const struct registry *g, const struct endpoint *ep)
{
	return !ep->is_mirror && g->spec.user[0];
}

/* ---- bearer --------------------------------------------------------------------------------------------------- */

/* RFC 6750 §2.1: nothing that could end the header. */
static bool is_token(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=");

	return n > 0 && n <= TOKEN_MAX_BYTES && s[n] == '\0';
}

int auth_token_parse(const char *data, size_t size, char **ret_token, uint64_t *ret_seconds, struct error *err)
{
	cleanup_json json_t *root = json_document(data, size, "the token server's answer", err);
	uint64_t seconds = TOKEN_SECONDS_DEFAULT;
	const char *token;
	int r;

	if (!root)
		return -EPROTO;
	r = json_text(root, "token", TOKEN_MAX_BYTES, false, &token, err);
	if (r == 0 && !token[0])
		r = json_text(root, "access_token", TOKEN_MAX_BYTES, true, &token, err);
	if (r == 0 && json_object_get(root, "expires_in"))
		r = json_size(root, "expires_in", UINT32_MAX, &seconds, err);
	if (r == 0 && !is_token(token))
		r = error_set(err, EBADMSG, "the token has characters that no token has");
	if (r < 0)
		return error_wrap(err, "the token server's answer"), -EPROTO;
	*ret_token = strdup(token);
	if (!*ret_token)
		return error_set(err, ENOMEM, "out of memory");
	if (seconds < TOKEN_SECONDS_DEFAULT) /* older servers sent less than they meant: the specification's minimum */
		seconds = TOKEN_SECONDS_DEFAULT;
	*ret_seconds = seconds > TOKEN_SECONDS_MAX ? TOKEN_SECONDS_MAX : seconds;
	return 0;
}

static int token_url(const struct endpoint *ep, const struct challenge *c, const char *scope, char ret[HTTP_URL_BYTES],
		     struct error *err)
{
	char rest[SCOPE_BYTES], *save = NULL;
	int r = http_url_resolve(ep->base, c->realm, ret, err);

	if (r < 0)
		return r;
	if (!ep->is_plain && !http_url_is_https(ret))
		return error_set(err, EACCES, "the registry names a token server without https");
	if (c->service[0])
		r = http_url_query(ret, "service", c->service, err);
	(void)snprintf(rest, sizeof(rest), "%s", scope);
	for (char *one = strtok_r(rest, " ", &save); r == 0 && one; one = strtok_r(NULL, " ", &save))
		r = http_url_query(ret, "scope", one, err);
	return r;
}

static int ask_token(struct registry *g, struct endpoint *ep, const struct challenge *c, const char *scope,
		     struct http_reply *reply, struct error *err)
{
	char url[HTTP_URL_BYTES];
	cleanup_free char *login = NULL;
	struct http_request q = { .method = "GET", .url = url, .max_body_bytes = TOKEN_ANSWER_BYTES };
	int r = token_url(ep, c, scope, url, err);

	if (r < 0)
		return r;
	q.is_public_only = !ep->is_plain && !http_url_same_origin(url, ep->base);
	if (has_login(g, ep)) {
		login = basic_value(&g->spec);
		if (!login)
			return error_set(err, ENOMEM, "out of memory");
		q.authorization = login;
	}
	r = http_perform(g->http, &q, reply, err);
	if (login)
		explicit_bzero(login, strlen(login));
	if (r == 0 && reply->status != 200)
		r = status_error(reply, err);
	return r;
}

static int answer_bearer(struct registry *g, struct endpoint *ep, const char *scope, const struct challenge *c,
			 struct error *err)
{
	struct http_reply reply;
	char *token = NULL, *value = NULL;
	uint64_t seconds = 0;
	int r;

	reply = (struct http_reply){ .status = 0 };
	r = ask_token(g, ep, c, scope, &reply, err);
	if (r == 0)
		r = auth_token_parse(buf_str(&reply.body), reply.body.size, &token, &seconds, err);
	http_reply_done(&reply);
	if (r == 0 && asprintf(&value, "Bearer %s", token) < 0)
		r = error_set(err, ENOMEM, "out of memory");
	if (r == 0) {
		(void)log_redact(token); /* the table is bounded; nothing of ours prints it anyway */
		explicit_bzero(token, strlen(token));
		remember(ep, scope, value, clock_deadline_ns((seconds - TOKEN_MARGIN_S) * NS_PER_S));
	}
	free(token);
	return r < 0 ? (error_wrap(err, "token server"), r) : 0;
}

static int answer_basic(struct registry *g, struct endpoint *ep, const char *scope, struct error *err)
{
	char *value;

	if (!has_login(g, ep))
		return error_set(err, EACCES, "it wants a user and a password, and none are known for it");
	value = basic_value(&g->spec);
	if (!value)
		return error_set(err, ENOMEM, "out of memory");
	remember(ep, scope, value, CLOCK_NEVER);
	return 0;
}

int auth_answer(struct registry *g, struct endpoint *ep, const char *scope, const struct http_reply *reply,
		struct error *err)
{
	const struct challenge *bearer = NULL, *basic = NULL;
	struct challenge *list = calloc(CHALLENGE_MAX, sizeof(*list));
	size_t n = 0;
	int r = list ? 0 : error_set(err, ENOMEM, "out of memory");

	forget(ep, scope);
	for (size_t i = 0; r >= 0 && i < reply->n_challenges; i++) {
		r = challenge_parse(reply->challenges[i], list + n, CHALLENGE_MAX - n, err);
		n += r > 0 ? (size_t)r : 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (list[i].scheme == CHALLENGE_BEARER && list[i].realm[0] && !bearer)
			bearer = &list[i];
		if (list[i].scheme == CHALLENGE_BASIC)
			basic = &list[i];
	}
	if (r < 0)
		r = -EPROTO;
	else if (bearer)
		r = answer_bearer(g, ep, scope, bearer, err);
	else if (basic)
		r = answer_basic(g, ep, scope, err);
	else
		r = error_set(err, EACCES, "it refuses us without a way of authentication that we know");
	free(list);
	return r;
}
