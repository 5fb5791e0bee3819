/* One HTTP exchange over libcurl: see http.h. */
#include "images/registry/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/base/version.h"

struct http {
	CURL *curl;
	struct http_settings settings;
	char error_text[CURL_ERROR_SIZE];
};

/* What the callbacks of one exchange share. */
struct exchange {
	struct http *h;
	const struct http_request *req;
	struct http_reply *reply;
	uint64_t sent, dropped;
	struct error error; /* of the sink, the source or the address check: goes before what libcurl makes of it */
};

enum { LOW_SPEED_BYTES = 512, ERROR_PAGE_MAX_BYTES = 1 << 20 };

/* ---- answers -------------------------------------------------------------------------------------------------- */

void http_reply_done(struct http_reply *r)
{
	for (size_t i = 0; i < r->n_challenges; i++)
		free(r->challenges[i]);
	r->n_challenges = 0;
	buf_done(&r->body);
}

static void reply_reset(struct http_reply *r)
{
	*r = (struct http_reply){ .content_length = -1, .body = BUF_INIT };
}

#define HEADER(name, member)                                                                                           \
	{                                                                                                              \
		name, offsetof(struct http_reply, member), sizeof(((struct http_reply *)0)->member)                    \
	}
static const struct {
	const char *name;
	size_t offset, size;
} headers[] = {
	HEADER("content-type", content_type),   HEADER("content-encoding", content_encoding),
	HEADER("content-range", content_range), HEADER("retry-after", retry_after),
	HEADER("location", location),           HEADER("docker-content-digest", digest),
};

/* A header value that does not fit is as if it were not there: nothing works with half a value. */
static void take_header(struct http_reply *r, const char *name, size_t name_size, const char *value, size_t size)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		char *to = (char *)r + headers[i].offset;

		if (strlen(headers[i].name) != name_size || strncasecmp(headers[i].name, name, name_size) != 0)
			continue;
		if (size < headers[i].size && !memchr(value, '\0', size)) {
			memcpy(to, value, size);
			to[size] = '\0';
		}
		return;
	}
	if (name_size == 16 && strncasecmp(name, "www-authenticate", 16) == 0 &&
	    r->n_challenges < HTTP_CHALLENGES_MAX) {
		char *copy = strndup(value, size);

		if (copy)
			r->challenges[r->n_challenges++] = copy;
	}
	if (name_size == 14 && strncasecmp(name, "content-length", 14) == 0 && size > 0 && size < 19 &&
	    strspn(value, "0123456789") >= size)
		r->content_length = strtoll(value, NULL, 10);
}

static size_t on_header(char *data, size_t unit, size_t n, void *arg)
{
	struct exchange *x = arg;
	size_t size = unit * n, line = size;
	const char *colon, *value;

	while (line > 0 && (data[line - 1] == '\r' || data[line - 1] == '\n'))
		line--;
	if (line > 5 && memcmp(data, "HTTP/", 5) == 0) { /* a new answer: what came before was 1xx or a proxy's */
		http_reply_done(x->reply);
		reply_reset(x->reply);
		return size;
	}
	colon = memchr(data, ':', line);
	if (!colon)
		return size;
	value = colon + 1;
	while (value < data + line && (*value == ' ' || *value == '\t'))
		value++;
	take_header(x->reply, data, (size_t)(colon - data), value, (size_t)(data + line - value));
	return size;
}

static size_t on_body(char *data, size_t unit, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct http_reply *r = x->reply;
	size_t size = unit * n, room;
	bool is_content;

	(void)curl_easy_getinfo(x->h->curl, CURLINFO_RESPONSE_CODE, &r->status);
	is_content = r->status == 200 || r->status == 206;
	if (is_content && x->req->sink) {
		int rc = x->req->sink(r, data, size, x->req->sink_arg, &x->error);

		if (rc == 0)
			return size;
		if (!x->error.code)
			(void)error_set(&x->error, -rc, "the content was not taken");
		return 0;
	}
	room = is_content ? x->req->max_body_bytes : HTTP_ERROR_BODY_BYTES;
	if (is_content && r->body.size + size > room) {
		(void)error_set(&x->error, EMSGSIZE, "the answer is larger than %zu bytes", room);
		return 0;
	}
	room -= r->body.size;
	if (buf_append(&r->body, data, size < room ? size : room) < 0) {
		(void)error_set(&x->error, ENOMEM, "out of memory");
		return 0;
	}
	/* the rest of an error page is read and dropped, but not without end */
	x->dropped += is_content ? 0 : size;
	if (x->dropped <= ERROR_PAGE_MAX_BYTES)
		return size;
	(void)error_set(&x->error, EPROTO, "status %ld with an endless error page", r->status);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

static size_t on_read(char *to, size_t unit, size_t n, void *arg)
{
	struct exchange *x = arg;
	const struct http_request *q = x->req;
	uint64_t left = q->body_bytes - x->sent;
	size_t size = unit * n < left ? unit * n : (size_t)left;
	ssize_t got;

	if (size == 0)
		return 0;
	if (q->body) {
		memcpy(to, (const char *)q->body + x->sent, size);
		got = (ssize_t)size;
	} else {
		got = pread(q->body_fd, to, size, (off_t)x->sent);
	}
	if (got <= 0) {
		(void)error_set(&x->error, EIO, "the content to send ends after %llu of %llu bytes",
				(unsigned long long)x->sent, (unsigned long long)q->body_bytes);
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)got;
	if (q->sent)
		q->sent(x->sent, q->sent_arg);
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static bool is_local(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr);

		return ip >> 24 == 127 || ip >> 24 == 0 || ip >> 16 == 0xa9fe;
	}
	if (a->sa_family == AF_INET6) {
		const struct in6_addr *ip = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(ip))
			return ip->s6_addr[12] == 127 || ip->s6_addr[12] == 0 ||
			       (ip->s6_addr[12] == 0xa9 && ip->s6_addr[13] == 0xfe);
		return IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_LINKLOCAL(ip);
	}
	return true;
}

/*
 * A registry may send us elsewhere, but not to services of this machine or to a cloud's metadata address. With a proxy
 * every connection goes to that, often on this machine; then it is the proxy's to refuse.
 */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct exchange *x = arg;

	(void)purpose; /* only connections are made */
	if (x->req->is_public_only && !x->h->settings.proxy[0] && is_local(&a->addr)) {
		(void)error_set(&x->error, EACCES, "the registry points to an address of this machine");
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- libcurl's words ------------------------------------------------------------------------------------------ */

static const struct {
	CURLcode code;
	int error;
} codes[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, EHOSTUNREACH },
	{ CURLE_COULDNT_RESOLVE_PROXY, EHOSTUNREACH },
	{ CURLE_COULDNT_CONNECT, ECONNREFUSED },
	{ CURLE_OPERATION_TIMEDOUT, ETIMEDOUT },
	{ CURLE_PARTIAL_FILE, ECONNRESET },
	{ CURLE_RECV_ERROR, ECONNRESET },
	{ CURLE_SEND_ERROR, ECONNRESET },
	{ CURLE_GOT_NOTHING, ECONNRESET },
	{ CURLE_HTTP2_STREAM, ECONNRESET },
	{ CURLE_HTTP2, ECONNRESET },
	{ CURLE_OUT_OF_MEMORY, ENOMEM },
};

static int curl_failed(struct exchange *x, CURLcode code, struct error *err)
{
	int e = EPROTO;

	if (x->error.code)
		return error_set(err, x->error.code, "%s", x->error.text);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].code == code)
			e = codes[i].error;
	}
	return error_set(err, e, "%.200s", x->h->error_text[0] ? x->h->error_text : curl_easy_strerror(code));
}

/* ---- the exchange --------------------------------------------------------------------------------------------- */

static int add_header(struct curl_slist **list, const char *name, const char *value, struct error *err)
{
	struct buf line = BUF_INIT;
	struct curl_slist *more = NULL;

	if (value && strpbrk(value, "\r\n"))
		return error_set(err, EINVAL, "a line break in the header %s", name);
	if (buf_printf(&line, value ? "%s: %s" : "%s:", name, value) == 0)
		more = curl_slist_append(*list, buf_str(&line));
	buf_done(&line);
	if (!more)
		return error_set(err, ENOMEM, "out of memory");
	*list = more;
	return 0;
}

static int build_headers(const struct http_request *q, struct curl_slist **list, struct error *err)
{
	char range[64];
	int r = add_header(list, "Expect", NULL, err); /* no second of waiting for a 100 before a body */

	if (r == 0 && q->authorization)
		r = add_header(list, "Authorization", q->authorization, err);
	if (r == 0 && q->accept)
		r = add_header(list, "Accept", q->accept, err);
	if (r == 0 && q->has_body)
		r = add_header(list, "Content-Type", q->content_type ? q->content_type : "application/octet-stream",
			       err);
	if (r == 0 && q->range_from > 0) {
		(void)snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)q->range_from);
		r = add_header(list, "Range", range, err);
	}
	return r;
}

static void set_options(struct exchange *x, struct curl_slist *list)
{
	const struct http_request *q = x->req;
	CURL *c = x->h->curl;
	const struct http_settings *s = &x->h->settings;
	bool is_https = http_url_is_https(q->url);

	/* what fails here is an option that this libcurl was built without, and then the transfer says so */
	curl_easy_reset(c);
	x->h->error_text[0] = '\0';
	(void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->h->error_text);
	(void)curl_easy_setopt(c, CURLOPT_URL, q->url);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "cubit/" CUBIT_VERSION);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)x->h->settings.timeout_s);
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES);
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)x->h->settings.timeout_s);
	(void)curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 120L << 10);
	(void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	(void)curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
	(void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
	if (s->ca_bytes) { /* stands for CAINFO, the system's one file; CAPATH, its directory, stays beside it */
		struct curl_blob ca = { .data = (void *)(uintptr_t)s->ca,
					.len = s->ca_bytes,
					.flags = CURL_BLOB_NOCOPY };

		(void)curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
		if (s->is_ca_only)
			(void)curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	}
	/* plain http is for loopback and hosts named by the operator: never by a proxy. "" is none, whatever the environment */
	(void)curl_easy_setopt(c, CURLOPT_PROXY, is_https ? s->proxy : "");
	(void)curl_easy_setopt(c, CURLOPT_NOPROXY, s->no_proxy);
	if (strcmp(q->method, "HEAD") == 0)
		(void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (q->has_body) {
		(void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		(void)curl_easy_setopt(c, CURLOPT_READDATA, x);
		(void)curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		(void)curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
		(void)curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_bytes);
	}
}

int http_perform(struct http *h, const struct http_request *req, struct http_reply *reply, struct error *err)
{
	struct exchange x = { .h = h, .req = req, .reply = reply };
	struct curl_slist *list = NULL;
	CURLcode code;
	int r;

	reply_reset(reply);
	r = build_headers(req, &list, err);
	if (r == 0) {
		set_options(&x, list);
		code = curl_easy_perform(h->curl);
		(void)curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &reply->status);
		if (code != CURLE_OK)
			r = curl_failed(&x, code, err);
	}
	curl_slist_free_all(list);
	return r;
}

struct http *http_new(const struct http_settings *settings, struct error *err)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		h->curl = curl_easy_init();
	if (!h || !h->curl) {
		free(h);
		(void)error_set(err, ENOMEM, "libcurl cannot be started");
		return NULL;
	}
	h->settings = *settings;
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

/* ---- addresses ------------------------------------------------------------------------------------------------ */

int http_url_resolve(const char *base, const char *location, char ret[HTTP_URL_BYTES], struct error *err)
{
	CURLU *u = curl_url();
	char *whole = NULL, *user = NULL;
	int r = 0;

	if (!u)
		return error_set(err, ENOMEM, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK || strlen(whole) >= HTTP_URL_BYTES)
		r = error_set(err, EPROTO, "the registry's redirection is no usable address");
	else if (strncmp(whole, "https://", 8) != 0 && strncmp(whole, "http://", 7) != 0)
		r = error_set(err, EPROTO, "the registry redirects to something that is not http");
	else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		r = error_set(err, EPROTO, "the registry's redirection has a user name in it");
	if (r == 0)
		(void)text_copy(ret, HTTP_URL_BYTES, whole); /* measured above */
	curl_free(whole);
	curl_free(user);
	curl_url_cleanup(u);
	return r;
}

/* "scheme://host:port" in lower case with the port written out; empty when it is no address. */
static void origin_of(const char *url, char *ret, size_t capacity)
{
	char *scheme = NULL, *host = NULL, *port = NULL;
	CURLU *u = curl_url();

	ret[0] = '\0';
	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		(void)snprintf(ret, capacity, "%s://%s:%s", scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
}

bool http_url_same_origin(const char *a, const char *b)
{
	char x[600], y[600];

	origin_of(a, x, sizeof(x));
	origin_of(b, y, sizeof(y));
	return x[0] && strcasecmp(x, y) == 0;
}

bool http_url_is_https(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

int http_url_query(char url[HTTP_URL_BYTES], const char *name, const char *value, struct error *err)
{
	char *escaped = curl_easy_escape(NULL, value, 0); /* 7.82 and later need no handle */
	size_t n = strlen(url);
	int r = 0;

	if (!escaped)
		return error_set(err, ENOMEM, "out of memory");
	if (n + strlen(name) + strlen(escaped) + 3 > HTTP_URL_BYTES)
		r = error_set(err, ENAMETOOLONG, "the address is longer than %d bytes", HTTP_URL_BYTES - 1);
	else
		(void)snprintf(url + n, HTTP_URL_BYTES - n, "%c%s=%s", strchr(url, '?') ? '&' : '?', name, escaped);
	curl_free(escaped);
	return r;
}
