/* HTTP to the daemon over libcurl: see client.h. */
#include "tools/cubit/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/base/utf8.h"
#include "runtime/base/version.h"
#include "supervisor/settings.h"

enum {
	ANSWER_MAX_BYTES = 512 << 20, /* results carry output and files */
	LINE_MAX_BYTES = 64 << 20,
	KEY_MAX_BYTES = 4096,
	CONNECT_S = 10,
	SILENT_S = 60, /* a call without a byte for so long is over */
	TEXT_MAX_BYTES = 400,
	RETRY_AFTER_MOST_S = 3600,
};

static const char no_memory[] = "out of memory";

struct client {
	CURL *curl;
	char *base;   /* "http://host" */
	char *where;  /* what messages call it */
	char *socket; /* path; NULL: network */
	char *host;
	uint16_t port;
	char *authorization; /* "Bearer KEY"; NULL: no key */
	struct curl_slist *headers;
	json_t *refusal;
	const volatile sig_atomic_t *interrupt;
};

/* What the callbacks of one exchange share. */
struct exchange {
	struct client *client;
	const struct curl_slist *headers;
	struct client_reply *reply;
	client_line_fn *fn; /* NULL: the whole answer goes into the reply */
	void *arg;
	struct buf line;
	unsigned idle_ms;
	uint64_t last_ns; /* when something came last; 0: nothing did */
	int result;       /* of the function, or of ours */
	struct error error;
};

/* ---- where it is ---------------------------------------------------------------------------------------------- */

static int set_socket(struct client *c, const char *path, struct error *err)
{
	if (path[0] != '/' || strlen(path) >= 100)
		return error_set(err, EINVAL, "unix:%.80s: not the absolute path of a socket, at most 99 bytes long",
				 path);
	c->socket = alloc_text(path);
	c->base = alloc_text("http://cubit");
	c->where = alloc_text(path);
	return 0;
}

static int set_default_socket(struct client *c, struct error *err)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/cubit.sock", settings_used()->run_dir);
	return set_socket(c, path, err);
}

/* The text is not quoted: a URL may have a password in it, though ours do not. */
static int set_network(struct client *c, const char *url, struct error *err)
{
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *whole = NULL;
	CURLU *u = curl_url();
	int r = 0;

	if (!u)
		return error_set(err, ENOMEM, no_memory);
	if (curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK || strcmp(path, "/") != 0) {
		r = error_set(err, EINVAL,
			      "the URL of the daemon is http://host[:port], https://host[:port] or unix:/path");
	} else if (curl_url_set(u, CURLUPART_PATH, "", 0) != CURLUE_OK || curl_url_set(u, CURLUPART_QUERY, NULL, 0) ||
		   curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) ||
		   curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK) {
		r = error_set(err, ENOMEM, no_memory);
	} else {
		whole[strlen(whole) - (whole[strlen(whole) - 1] == '/')] = '\0';
		c->base = alloc_text(whole);
		c->where = alloc_text(whole);
		c->host = alloc_text(host);
		c->port = (uint16_t)strtoul(port, NULL, 10); /* which libcurl has looked at */
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_free(whole);
	curl_url_cleanup(u);
	return r;
}

static int set_key(struct client *c, const char *key, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_free char *line = NULL;
	size_t n;
	int r = 0;

	if (key[0] == '@')
		r = fd_read_file(AT_FDCWD, key + 1, KEY_MAX_BYTES, &text, err);
	else
		r = buf_append_str(&text, key);
	if (r < 0)
		return error_wrap(err, "the key");
	n = strcspn(buf_str(&text), "\r\n"); /* a file has a line */
	for (size_t i = 0; i < n; i++) {
		if (text.data[i] <= ' ' || text.data[i] == 0x7f)
			return error_set(err, EINVAL, "the key has a blank or a control character in it");
	}
	if (n == 0)
		return error_set(err, EINVAL, "the key is empty");
	if (asprintf(&line, "Authorization: Bearer %.*s", (int)n, text.data) < 0) {
		line = NULL;
		return error_set(err, ENOMEM, no_memory);
	}
	r = client_add_header(c, line);
	c->authorization = alloc_text(line + strlen("Authorization: "));
	explicit_bzero(line, strlen(line));
	return r < 0 ? error_set(err, ENOMEM, no_memory) : 0;
}

int client_new(const char *url, const char *key, struct client **ret, struct error *err)
{
	struct client *c = alloc_zeroed(1, sizeof(*c));
	int r = 0;

	if (!url || !*url)
		url = settings_used()->url;
	if (!key || !*key)
		key = settings_used()->key;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->curl = curl_easy_init()))
		r = error_set(err, ENOMEM, no_memory);
	else if (!url || !*url)
		r = set_default_socket(c, err);
	else if (strncmp(url, "unix:", 5) == 0)
		r = set_socket(c, url + 5, err);
	else
		r = set_network(c, url, err);
	if (r == 0 && key && *key)
		r = set_key(c, key, err);
	if (r == 0 && client_add_header(c, "Expect:") < 0)
		r = error_set(err, ENOMEM, no_memory);
	if (r < 0) {
		client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	json_decref(c->refusal);
	free(c->base);
	free(c->where);
	free(c->socket);
	free(c->host);
	free(c->authorization);
	free(c);
}

struct client_peer client_peer(const struct client *c)
{
	return (struct client_peer){
		.socket = c->socket,
		.host = c->host,
		.port = c->port,
		.is_tls = strncmp(c->base, "https:", 6) == 0,
		.authorization = c->authorization,
		.where = c->where,
		.interrupt = c->interrupt,
	};
}

void client_set_interrupt(struct client *c, const volatile sig_atomic_t *flag)
{
	c->interrupt = flag;
}

int client_add_header(struct client *c, const char *line)
{
	struct curl_slist *more = curl_slist_append(c->headers, line);

	if (more)
		c->headers = more;
	return more ? 0 : -ENOMEM;
}

const json_t *client_refusal(const struct client *c)
{
	return c->refusal;
}

int client_path(char *ret, size_t room, const char *start, const char *id, const char *more, struct error *err)
{
	if (parse_id(id, NULL) < 0)
		return error_set(err, EINVAL, "'%.80s' cannot be an id", id);
	(void)snprintf(ret, room, "%s%s%s", start, id, more);
	return 0;
}

/* ---- one exchange --------------------------------------------------------------------------------------------- */

void client_reply_done(struct client_reply *r)
{
	json_decref(r->json);
	buf_done(&r->text);
	*r = (struct client_reply)CLIENT_REPLY_INIT;
}

static int feed_lines(struct exchange *x)
{
	char *end;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (end = memchr(x->line.data + at, '\n', x->line.size - at))) {
		size_t size = (size_t)(end - x->line.data) - at;

		*end = '\0';
		if (size > 0) /* an empty line only shows that the daemon is there */
			r = x->fn(x->line.data + at, size, x->arg, &x->error);
		at += size + 1;
	}
	buf_consume(&x->line, at);
	return r;
}

static size_t on_body(char *data, size_t unit, size_t n, void *arg)
{
	struct exchange *x = arg;
	bool is_lines;

	(void)curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &x->reply->status);
	is_lines = x->fn && x->reply->status == 200;
	x->last_ns = clock_now_ns();
	if (buf_append(is_lines ? &x->line : &x->reply->text, data, unit * n) < 0)
		x->result = error_set(&x->error, ENOBUFS, "the daemon's answer is too long");
	else if (is_lines)
		x->result = feed_lines(x);
	return x->result == 0 ? unit * n : 0; /* 0 ends the transfer */
}

/* A new chance to see that nobody waits any more: libcurl calls it at least once a second. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *x = arg;

	(void)a, (void)b, (void)c, (void)d;
	if (x->client->interrupt && *x->client->interrupt)
		x->result = error_set(&x->error, EINTR, "interrupted");
	else if (x->idle_ms && x->last_ns && clock_now_ns() - x->last_ns > x->idle_ms * NS_PER_MS)
		x->result = 1;
	return x->result != 0;
}

static const char retry_after[] = "retry-after:";

/* Digits; a date, which ours does not send, is 0. The text is not terminated. */
static unsigned seconds(const char *text, size_t size)
{
	unsigned s = 0;

	for (; size > 0 && *text == ' '; text++)
		size--;
	for (; size > 0 && isdigit((unsigned char)*text) && s < RETRY_AFTER_MOST_S; text++, size--)
		s = s * 10 + (unsigned)(*text - '0');
	return s < RETRY_AFTER_MOST_S ? s : RETRY_AFTER_MOST_S;
}

static size_t on_header(char *data, size_t unit, size_t n, void *arg)
{
	struct exchange *x = arg;

	x->last_ns = clock_now_ns();
	if (unit * n > strlen(retry_after) && strncasecmp(data, retry_after, strlen(retry_after)) == 0)
		x->reply->retry_after_s = seconds(data + strlen(retry_after), unit * n - strlen(retry_after));
	return unit * n;
}

/* A file of settings that we may not read could have said where the daemon is. Appends to err; returns its -code. */
static int say_unread(const struct client *c, struct error *err)
{
	const char *unread = settings_used()->unread;
	size_t n = strlen(err->text);

	if (c->socket && unread)
		(void)snprintf(err->text + n, sizeof(err->text) - n,
			       " (what %s says is not known here: you may not read it)", unread);
	return -err->code;
}

static int unreachable(const struct client *c, CURLcode code, const char *words, struct error *err)
{
	long os_error = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_error);
	if (c->socket && (os_error == EACCES || os_error == EPERM))
		(void)error_set(err, ECONNREFUSED,
				"only root may use the daemon's socket '%s': be root, or use --url and --key",
				c->where);
	else if (c->socket && code == CURLE_COULDNT_CONNECT)
		(void)error_set(err, ECONNREFUSED, "the daemon cannot be reached at '%s': %s; is cubitd running?",
				c->where, os_error ? strerror((int)os_error) : words);
	else
		(void)error_set(err, ECONNREFUSED, "the daemon cannot be reached at %s: %s", c->where, words);
	return say_unread(c, err);
}

static int transfer_failed(const struct exchange *x, CURLcode code, const char *words, struct error *err)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
		return unreachable(x->client, code, words, err);
	case CURLE_OUT_OF_MEMORY:
		return error_set(err, ENOMEM, no_memory);
	default:
		return error_set(err, ECONNRESET, "the connection to the daemon broke off: %s", words);
	}
}

/* {"error": {"code", "message", "field"}} as one sentence. */
static int refused(struct client *c, const struct client_reply *r, struct error *err)
{
	json_t *error = json_object_get(r->json, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	int code = r->status == 429 || r->status == 503 ? EAGAIN : EPROTO;
	char text[TEXT_MAX_BYTES];

	json_decref(c->refusal);
	c->refusal = message ? json_incref(error) : NULL;
	if (!message)
		return error_set(err, code, "what answers at %s with status %ld does not speak Cubit's API", c->where,
				 r->status);
	(void)snprintf(text, sizeof(text), "%s", message);
	utf8_clean(text);
	return error_set(err, code, "%s%s", text,
			 r->status != 401   ? ""
			 : c->authorization ? " (the key that was given)"
					    : " (give a key with --key or CUBIT_KEY)");
}

static bool set_options(struct exchange *x, const char *method, const char *url, const char *body, char *words)
{
	struct client *c = x->client;
	CURL *h = c->curl;
	bool is_ok;

	curl_easy_reset(h); /* the connection stays */
	is_ok = curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_USERAGENT, "cubit/" CUBIT_VERSION) == CURLE_OK &&
		(!c->socket || curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket) == CURLE_OK);
	(void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, words);
	(void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	(void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(h, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(h, CURLOPT_XFERINFODATA, x);
	if (*settings_used()->ca) {
		is_ok = is_ok && curl_easy_setopt(h, CURLOPT_CAINFO, settings_used()->ca) == CURLE_OK;
		(void)curl_easy_setopt(h, CURLOPT_CAPATH, NULL); /* these, instead of the system's */
	}
	if (strncmp(url, "https:", 6) != 0) /* a key in clear text does not pass through a proxy */
		(void)curl_easy_setopt(h, CURLOPT_PROXY, "");
	if (!x->fn) {
		(void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
		(void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)SILENT_S);
	}
	if (body) {
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
	} else if (strcmp(method, "POST") == 0) {
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, 0L);
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
	}
	return is_ok;
}

static int perform(struct exchange *x, const char *method, const char *path, const char *body, struct error *err)
{
	char words[CURL_ERROR_SIZE] = "";
	cleanup_free char *url = NULL;
	CURLcode code;

	if (asprintf(&url, "%s%s", x->client->base, path) < 0) {
		url = NULL;
		return error_set(err, ENOMEM, no_memory);
	}
	if (!set_options(x, method, url, body, words))
		return error_set(err, ENOMEM, no_memory);
	code = curl_easy_perform(x->client->curl);
	(void)curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &x->reply->status);
	if (x->result < 0)
		return error_set(err, -x->result, "%s", x->error.text);
	if (code != CURLE_OK && x->result == 0)
		return transfer_failed(x, code, words[0] ? words : curl_easy_strerror(code), err);
	if (x->reply->text.size > 0)
		x->reply->json = json_loadb(x->reply->text.data, x->reply->text.size, JSON_REJECT_DUPLICATES, NULL);
	return x->reply->status >= 200 && x->reply->status < 300 ? 0 : refused(x->client, x->reply, err);
}

int client_call(struct client *c, const char *method, const char *path, const json_t *body, struct client_reply *ret,
		struct error *err)
{
	struct exchange x = { .client = c, .headers = c->headers, .reply = ret };
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int r;

	client_reply_done(ret);
	ret->text.max = ANSWER_MAX_BYTES;
	if (body && !text)
		return error_set(err, ENOMEM, no_memory);
	r = perform(&x, method, path, text, err);
	if (text)
		explicit_bzero(text, strlen(text)); /* a secret may be in it */
	free(text);
	return r;
}

/* Those of every request and one more. */
static struct curl_slist *headers_with(const struct client *c, const char *line)
{
	struct curl_slist *list = curl_slist_append(NULL, line);

	for (const struct curl_slist *h = c->headers; list && h; h = h->next) {
		if (!curl_slist_append(list, h->data)) { /* otherwise its head stays */
			curl_slist_free_all(list);
			return NULL;
		}
	}
	return list;
}

int client_stream(struct client *c, const char *path, const char *accept, unsigned idle_ms, client_line_fn *fn,
		  void *arg, struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct exchange x = { .client = c, .reply = &reply, .fn = fn, .arg = arg, .idle_ms = idle_ms };
	struct curl_slist *headers = NULL;
	char line[128];
	int r;

	x.line.max = LINE_MAX_BYTES;
	(void)snprintf(line, sizeof(line), "Accept: %s", accept);
	headers = headers_with(c, line);
	if (!headers)
		return error_set(err, ENOMEM, no_memory);
	x.headers = headers;
	r = perform(&x, "GET", path, NULL, err);
	buf_done(&x.line);
	curl_slist_free_all(headers);
	return r;
}
