/* TLS over memory: see tls.h. */
#include "supervisor/redis/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

struct redis_tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	char host[256];
};

/* What OpenSSL says, outermost first; what the kernel said is first of all, and outside of it is only "system lib". */
static const char *reason(void)
{
	unsigned long first = ERR_peek_error(), code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	if (first && ERR_SYSTEM_ERROR(first))
		return strerror(ERR_GET_REASON(first));

	return text ? text : "unknown error";
}

static bool is_address(const char *host)
{
	unsigned char a[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

static SSL_CTX *context(const char *ca_file, struct error *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		(void)error_set(err, ENOMEM, "prepare TLS: %s", reason());
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (ca_file && ca_file[0]) {
		if (SSL_CTX_load_verify_file(ctx, ca_file) == 1)
			return ctx;
		(void)error_set(err, EINVAL, "certificates for Redis '%s': %s", ca_file, reason());
	} else {
		if (SSL_CTX_set_default_verify_paths(ctx) == 1)
			return ctx;
		(void)error_set(err, EINVAL, "the system's certificates: %s", reason());
	}
	SSL_CTX_free(ctx);
	return NULL;
}

/* Whose certificate it must be. */
static int expect(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int prepare(struct redis_tls *t, SSL_CTX *ctx, const char *host)
{
	t->ssl = SSL_new(ctx);
	if (!t->ssl)
		return -ENOMEM;
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->in || !t->out) {
		BIO_free(t->in);
		BIO_free(t->out);
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(t->in, -1); /* empty is "not yet", not the end */
	BIO_set_mem_eof_return(t->out, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	/* what was not taken may have moved when it is offered again */
	SSL_set_mode(t->ssl,
		     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	return expect(t->ssl, host) == 1 ? 0 : -ENOMEM;
}

int redis_tls_new(const char *host, const char *ca_file, struct redis_tls **ret, struct error *err)
{
	struct redis_tls *t;
	SSL_CTX *ctx;
	int r;

	ERR_clear_error();
	ctx = context(ca_file, err);
	if (!ctx)
		return err && err->code == ENOMEM ? -ENOMEM : -EINVAL;
	t = calloc(1, sizeof(*t));
	r = t ? prepare(t, ctx, host) : -ENOMEM;
	SSL_CTX_free(ctx); /* ssl keeps it */
	if (r < 0) {
		redis_tls_free(t);
		return error_set(err, ENOMEM, "prepare TLS: %s", reason());
	}
	(void)strncpy(t->host, host, sizeof(t->host) - 1); /* only for messages, and calloc terminated it */
	*ret = t;
	return 0;
}

void redis_tls_free(struct redis_tls *t)
{
	if (t)
		SSL_free(t->ssl);
	free(t);
}

int redis_tls_feed(struct redis_tls *t, const void *data, size_t size)
{
	size_t n;

	return size == 0 || (BIO_write_ex(t->in, data, size, &n) == 1 && n == size) ? 0 : -ENOMEM;
}

size_t redis_tls_drain(struct redis_tls *t, void *ret, size_t room)
{
	size_t n;

	return BIO_read_ex(t->out, ret, room, &n) == 1 ? n : 0;
}

/* Make words of a failed call. Returns 0 when it only wants more bytes. */
static int judge(struct redis_tls *t, int result, struct error *err)
{
	long verdict;

	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return error_set(err, ECONNRESET, "the server closed the connection");
	default:
		verdict = SSL_get_verify_result(t->ssl);
		if (verdict != X509_V_OK)
			return error_set(err, EPROTO, "the certificate of '%s' is not accepted: %s", t->host,
					 X509_verify_cert_error_string(verdict));
		return error_set(err, EPROTO, "TLS with '%s': %s", t->host, reason());
	}
}

int redis_tls_handshake(struct redis_tls *t, struct error *err)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	return r == 1 ? 1 : judge(t, r, err);
}

ssize_t redis_tls_read(struct redis_tls *t, void *ret, size_t room, struct error *err)
{
	int r;

	ERR_clear_error();
	r = SSL_read(t->ssl, ret, room > INT_MAX ? INT_MAX : (int)room);
	return r > 0 ? r : judge(t, r, err);
}

ssize_t redis_tls_write(struct redis_tls *t, const void *data, size_t size, struct error *err)
{
	int r;

	ERR_clear_error();
	r = SSL_write(t->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	return r > 0 ? r : judge(t, r, err);
}
