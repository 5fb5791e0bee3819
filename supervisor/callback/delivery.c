/*
 * Callbacks over libcurl: see delivery.h.
 *
 * libcurl says which sockets and which timer it wants watched (CURLMOPT_SOCKETFUNCTION, CURLMOPT_TIMERFUNCTION); each
 * socket is a uv_poll_t, whose events go to curl_multi_socket_action(). libcurl is never called from inside one of its
 * own callbacks. https://curl.se/libcurl/c/libcurl-multi.html
 */
#include "supervisor/callback/delivery.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/version.h"
#include "supervisor/callback/address.h"

enum {
	ANSWER_MAX_BYTES = 64 << 10, /* of its headers, and as much of its body: nobody reads them */
	CONNECT_MS = 10000,
	STATUS_FIRST = 200, /* below: 1xx, not the answer yet */
};

LIST_HEAD(deliveries, delivery);
LIST_HEAD(wires, wire);

struct courier {
	uv_loop_t *loop;
	CURLM *multi;
	const struct address_list *allowed;
	unsigned timeout_ms;
	struct deliveries deliveries;
	struct wires wires;
	uv_timer_t timer;
	size_t n_handles; /* of libuv that are not closed yet */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* One POST. */
struct delivery {
	LIST_ENTRY(delivery) link;
	struct courier *courier;
	CURL *curl;
	struct curl_slist *headers;
	char *body;
	size_t taken;        /* bytes of the answer, headers and body */
	const char *refused; /* why an address was refused; NULL: none was */
	bool has_socket;     /* an address was not refused */
	delivery_fn *fn;
	void *arg;
};

/* A socket of libcurl's that is watched; lives until libuv has let go of it. */
struct wire {
	LIST_ENTRY(wire) link;
	uv_poll_t poll;
	curl_socket_t fd;
	struct courier *courier;
};

/* ---- URLs ----------------------------------------------------------------------------------------------------- */

/* A host that is written as an address is judged at once: whoever submits such a job is told. */
static int check_literal(const char *host, const struct address_list *allowed, struct error *err)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *a = NULL;
	char bare[DELIVERY_HOST_BYTES];
	const char *why;

	(void)snprintf(bare, sizeof(bare), "%s", host[0] == '[' ? host + 1 : host);
	bare[strcspn(bare, "]%")] = '\0';
	if (inet_pton(AF_INET, bare, &a4.sin_addr) == 1)
		a = (const struct sockaddr *)(const void *)&a4;
	else if (inet_pton(AF_INET6, bare, &a6.sin6_addr) == 1)
		a = (const struct sockaddr *)(const void *)&a6;
	why = a ? address_refusal(a, allowed) : NULL;
	return why ? error_set(err, EACCES, "callbacks do not go to '%s', %s", host, why) : 0;
}

int delivery_check_url(const char *url, const struct address_list *allowed, char ret_host[DELIVERY_HOST_BYTES],
		       struct error *err)
{
	char *scheme = NULL, *host = NULL;
	CURLU *u = curl_url();
	int r = 0;

	/* the text is not quoted: a URL that cannot be taken apart may have its password anywhere */
	if (!u)
		return error_set(err, ENOMEM, "out of memory");
	if (strlen(url) > DELIVERY_URL_MAX)
		r = error_set(err, EINVAL, "a callback URL has at most %d bytes", DELIVERY_URL_MAX);
	else if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
		 curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		 (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		r = error_set(err, EINVAL, "not an http:// or https:// URL");
	else if (curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK)
		r = error_set(err, EINVAL, "a callback URL has no user or password in it: use the secret");
	else if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !host[0] ||
		 strlen(host) >= DELIVERY_HOST_BYTES)
		r = error_set(err, EINVAL, "the URL has no usable host");
	else
		r = check_literal(host, allowed, err);
	if (r == 0)
		(void)snprintf(ret_host, DELIVERY_HOST_BYTES, "%s", host);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return r;
}

/* ---- the report ----------------------------------------------------------------------------------------------- */

/* What to do about a status that is not 2xx; the rest is refused. */
static bool is_worth_a_retry(long status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void judge_status(struct delivery_report *r, long status, curl_off_t retry_after_s)
{
	if (status < 300) {
		*r = (struct delivery_report){ .outcome = DELIVERY_DONE };
		return;
	}
	r->outcome = is_worth_a_retry(status) ? DELIVERY_FAILED : DELIVERY_REFUSED;
	if (retry_after_s > 0)
		r->retry_after_s = retry_after_s < UINT32_MAX ? (unsigned)retry_after_s : UINT32_MAX;
	(void)snprintf(r->reason, sizeof(r->reason), "the receiver answers with status %ld%s", status,
		       status < 400 ? ", and redirects are not followed" : "");
}

/* The transfer failed before there was a status. */
static void judge_failure(struct delivery_report *r, const struct delivery *d, CURLcode code)
{
	if (d->refused && !d->has_socket) {
		r->outcome = DELIVERY_REFUSED;
		(void)snprintf(r->reason, sizeof(r->reason), "the receiver has %s", d->refused);
		return;
	}
	r->outcome =
		code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ? DELIVERY_REFUSED : DELIVERY_FAILED;
	(void)snprintf(r->reason, sizeof(r->reason), "%s", curl_easy_strerror(code));
}

static void delivery_free(struct delivery *d)
{
	if (d->curl)
		curl_easy_cleanup(d->curl);
	curl_slist_free_all(d->headers);
	free(d->body);
	free(d);
}

static void finish(struct delivery *d, CURLcode code)
{
	struct delivery_report r = { .outcome = DELIVERY_FAILED };
	curl_off_t retry_after_s = 0;
	long status = 0;

	(void)curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(d->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
	/* the status is the answer, also when what followed it was cut, by us or by the receiver */
	if (status >= STATUS_FIRST)
		judge_status(&r, status, retry_after_s);
	else
		judge_failure(&r, d, code);
	(void)curl_multi_remove_handle(d->courier->multi, d->curl);
	LIST_REMOVE(d, link);
	d->fn(&r, d->arg);
	delivery_free(d);
}

/* ---- libcurl on libuv ----------------------------------------------------------------------------------------- */

static void collect(struct courier *c)
{
	CURLMsg *m;
	int left;

	while (c->multi && (m = curl_multi_info_read(c->multi, &left))) {
		struct delivery *d = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&d);
		finish(d, m->data.result);
	}
}

static void act(struct courier *c, curl_socket_t fd, int flags)
{
	int running;

	if (!c->multi)
		return;
	(void)curl_multi_socket_action(c->multi, fd, flags, &running); /* each transfer's end says how it went */
	collect(c);
}

static void handle_gone(struct courier *c)
{
	if (--c->n_handles > 0 || c->multi)
		return;
	if (c->closed)
		c->closed(c->closed_arg);
	free(c);
}

static void on_wire_closed(uv_handle_t *h)
{
	struct wire *w = h->data;
	struct courier *c = w->courier;

	free(w);
	handle_gone(c);
}

static void on_timer_closed(uv_handle_t *h)
{
	handle_gone(h->data);
}

static void on_wire(uv_poll_t *p, int status, int events)
{
	const struct wire *w = p->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	act(w->courier, w->fd, flags); /* w may be gone afterwards */
}

static void wire_close(struct wire *w)
{
	LIST_REMOVE(w, link);
	uv_close((uv_handle_t *)&w->poll, on_wire_closed);
}

static struct wire *wire_new(struct courier *c, curl_socket_t fd)
{
	struct wire *w = alloc_zeroed(1, sizeof(*w));

	if (uv_poll_init_socket(c->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->fd = fd;
	w->courier = c;
	c->n_handles++;
	LIST_INSERT_HEAD(&c->wires, w, link);
	return w;
}

/* CURLMOPT_SOCKETFUNCTION(3) */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct courier *c = arg;
	struct wire *w = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			wire_close(w);
		(void)curl_multi_assign(c->multi, fd, NULL); /* fails for a socket it has forgotten already */
		return 0;
	}
	if (!w) {
		w = wire_new(c, fd);
		if (!w)
			return 0; /* the transfer runs into its time-out */
		(void)curl_multi_assign(c->multi, fd, w);
	}
	(void)uv_poll_start(
		&w->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), on_wire);
	return 0;
}

static void on_timer(uv_timer_t *t)
{
	act(t->data, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION(3). 0 means at once, but not from in here. */
static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct courier *c = arg;

	(void)multi;
	if (timeout_ms < 0)
		(void)uv_timer_stop(&c->timer);
	else
		(void)uv_timer_start(&c->timer, on_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
	return 0;
}

/* ---- one delivery --------------------------------------------------------------------------------------------- */

static size_t on_answer(char *data, size_t unit, size_t n, void *arg)
{
	struct delivery *d = arg;

	(void)data;
	d->taken += unit * n;
	return d->taken <= ANSWER_MAX_BYTES ? unit * n : 0; /* 0 ends the transfer */
}

/* The one place where a callback gets a connection: whatever name it came from, the address is judged here. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct delivery *d = arg;
	const char *why = address_refusal(&a->addr, d->courier->allowed);

	(void)purpose; /* only connections are made */
	if (why) {
		d->refused = why;
		return CURL_SOCKET_BAD;
	}
	d->has_socket = true;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

int delivery_sign(const char *secret, const char *timestamp, const void *body, size_t size, char ret[3 + 64 + 1])
{
	unsigned char mac[32];
	size_t head = strlen(timestamp) + 1, n = 0;
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *x = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end() };
	bool is_ok = x && EVP_MAC_init(x, (const unsigned char *)secret, strlen(secret), params) &&
		     EVP_MAC_update(x, (const unsigned char *)timestamp, head - 1) &&
		     EVP_MAC_update(x, (const unsigned char *)".", 1) && EVP_MAC_update(x, body, size) &&
		     EVP_MAC_final(x, mac, &n, sizeof(mac)) && n == sizeof(mac);

	EVP_MAC_CTX_free(x);
	EVP_MAC_free(hmac);
	if (!is_ok)
		return -ENOMEM;
	(void)snprintf(ret, 4, "v1=");
	for (size_t i = 0; i < sizeof(mac); i++)
		(void)snprintf(ret + 3 + 2 * i, 3, "%02x", mac[i]);
	return 0;
}

static int add_header(struct delivery *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int add_header(struct delivery *d, const char *fmt, ...)
{
	struct curl_slist *more;
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	more = curl_slist_append(d->headers, line);
	if (more)
		d->headers = more;
	return more ? 0 : -ENOMEM;
}

static int set_headers(struct delivery *d, const char *secret, const char *job_id, unsigned attempt, size_t size)
{
	char timestamp[24], signature[3 + 64 + 1];

	(void)snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
	if (add_header(d, "Content-Type: application/json") < 0 || add_header(d, "Cubit-Job: %s", job_id) < 0 ||
	    add_header(d, "Cubit-Attempt: %u", attempt) < 0 || add_header(d, "Cubit-Timestamp: %s", timestamp) < 0 ||
	    add_header(d, "Expect:") < 0) /* no 100-continue */
		return -ENOMEM;
	if (!secret || !secret[0])
		return 0;
	if (delivery_sign(secret, timestamp, d->body, size, signature) < 0)
		return -ENOMEM;
	return add_header(d, "Cubit-Signature: %s", signature);
}

static int set_options(struct delivery *d, const char *url, size_t size)
{
	/* clang-format off */
	const struct { CURLoption option; const char *text; } texts[] = {
		{ CURLOPT_URL, url },
		{ CURLOPT_PROTOCOLS_STR, "http,https" },
		{ CURLOPT_PROXY, "" },   /* whatever the environment says: a proxy would connect where we do not */
		{ CURLOPT_USERAGENT, "cubit/" CUBIT_VERSION },
	};
	const struct { CURLoption option; long value; } numbers[] = {
		{ CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_QUICK_EXIT, 1 }, /* a name server that is silent must not hold up the loop: leave its thread behind */
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		{ CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS },
		{ CURLOPT_TIMEOUT_MS, (long)d->courier->timeout_ms },
		{ CURLOPT_POST, 1 },
	};
	/* clang-format on */
	bool is_ok = true;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		is_ok = is_ok && curl_easy_setopt(d->curl, texts[i].option, texts[i].text) == CURLE_OK;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		is_ok = is_ok && curl_easy_setopt(d->curl, numbers[i].option, numbers[i].value) == CURLE_OK;
	/* one of these that does not hold would be worse than no delivery */
	return is_ok && curl_easy_setopt(d->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_POSTFIELDS, d->body) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, d->headers) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_OPENSOCKETDATA, d) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, d) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_HEADERFUNCTION, on_answer) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_HEADERDATA, d) == CURLE_OK &&
			       curl_easy_setopt(d->curl, CURLOPT_PRIVATE, d) == CURLE_OK
		       ? 0
		       : -ENOMEM;
}

int courier_send(struct courier *c, const char *url, const char *secret, const char *job_id, unsigned attempt,
		 char *body, size_t size, delivery_fn *fn, void *arg, struct error *err)
{
	struct delivery *d = alloc_zeroed(1, sizeof(*d));

	assert(c->multi);
	d->courier = c;
	d->body = body;
	d->fn = fn;
	d->arg = arg;
	d->curl = curl_easy_init();
	if (!d->curl || set_headers(d, secret, job_id, attempt, size) < 0 || set_options(d, url, size) < 0 ||
	    curl_multi_add_handle(c->multi, d->curl) != CURLM_OK) {
		delivery_free(d);
		return error_set(err, ENOMEM, "libcurl does not take the delivery");
	}
	LIST_INSERT_HEAD(&c->deliveries, d, link);
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

int courier_new(uv_loop_t *loop, const struct address_list *allowed, unsigned timeout_ms, struct courier **ret,
		struct error *err)
{
	struct courier *c = alloc_zeroed(1, sizeof(*c));

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = curl_multi_init())) {
		free(c);
		return error_set(err, ENOMEM, "libcurl cannot be initialised");
	}
	c->loop = loop;
	c->allowed = allowed;
	c->timeout_ms = timeout_ms;
	(void)uv_timer_init(loop, &c->timer); /* cannot fail */
	c->timer.data = c;
	c->n_handles = 1;
	(void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	(void)curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	*ret = c;
	return 0;
}

void courier_close(struct courier *c, void (*done)(void *arg), void *arg)
{
	struct delivery *d;
	CURLM *multi = c->multi;

	while ((d = LIST_FIRST(&c->deliveries))) {
		LIST_REMOVE(d, link);
		(void)curl_multi_remove_handle(multi, d->curl);
		delivery_free(d);
	}
	(void)curl_multi_cleanup(multi); /* calls on_socket for connections that were kept */
	c->multi = NULL;
	for (struct wire *w; (w = LIST_FIRST(&c->wires));)
		wire_close(w);
	c->closed = done;
	c->closed_arg = arg;
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
