/*
 * A request's head.
 *
 * llhttp reads it, once it is complete, in one call, and is stopped behind the empty line: the names and values that it
 * reports then point into one piece of memory, and none comes in parts. What any version of it is or was lenient about
 * is refused before (request_scan_head) or after (check_fields): bare LF, folded lines, blanks in names, several lengths.
 */
#include <ctype.h>
#include <errno.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "supervisor/http/conn.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"

/* What may stand in a line: everything but control characters. */
static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

ptrdiff_t request_scan_head(const char *data, size_t size, size_t *scanned)
{
	size_t i = *scanned;

	for (; i < size; i++) {
		char c = data[i], before = '\n';

		if (i > 0)
			before = data[i - 1];
		if (before == '\r' && c != '\n')
			return -EINVAL;
		if (c == '\n') {
			if (before != '\r' || i == 0)
				return -EINVAL;
			if (i >= 3 && data[i - 2] == '\n') {
				*scanned = 0;
				return (ptrdiff_t)i + 1;
			}
		} else if (is_control((unsigned char)c) ? c != '\r' : before == '\n' && (c == ' ' || c == '\t')) {
			return -EINVAL; /* the second: a folded line, RFC 9112 section 5.2 */
		}
	}
	*scanned = size;
	return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;

	if (rq->target)
		return HPE_USER;            /* in two parts */
	rq->target = (char *)(uintptr_t)at; /* into our own copy of the head */
	rq->target_size = size;
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;

	if (rq->n_fields == REQUEST_FIELDS_MAX)
		return HPE_USER;
	rq->fields[rq->n_fields++] = (struct request_field){ .name = (char *)(uintptr_t)at, .name_size = size };
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;
	struct request_field *f = &rq->fields[rq->n_fields - 1];

	if (f->value)
		return HPE_USER; /* in two parts: folded */
	f->value = (char *)(uintptr_t)at;
	f->value_size = size;
	return 0;
}

/* The body is not its business, and neither is what an upgrade would make of the connection. */
static int on_end(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_end,
};

/* "token" of RFC 9110 section 5.6.2, in lower case; 0 for every other byte. */
static char token_char(unsigned char c)
{
	if (isalnum(c))
		return (char)tolower(c);
	return (char)(c && strchr("!#$%&'*+-.^_`|~", c) ? c : 0);
}

static char token_chars[256];

__attribute__((constructor)) static void token_chars_make(void)
{
	for (int c = 0; c < 256; c++)
		token_chars[c] = token_char((unsigned char)c);
}

/* Terminate and lower; false: a name that is none. An empty value, the parser says, is where the next name begins. */
static bool finish_fields(struct http_request *rq)
{
	for (size_t i = 0; i < rq->n_fields; i++) {
		struct request_field *f = &rq->fields[i];

		if (f->name_size == 0)
			return false;
		if (f->value_size == 0)
			f->value = f->name + f->name_size; /* both end there */
		for (size_t k = 0; k < f->name_size; k++) {
			f->name[k] = token_chars[(unsigned char)f->name[k]];
			if (!f->name[k])
				return false;
		}
		f->name[f->name_size] = '\0';
		while (f->value_size > 0 && (f->value[f->value_size - 1] == ' ' || f->value[f->value_size - 1] == '\t'))
			f->value_size--;
		f->value[f->value_size] = '\0';
	}
	return true;
}

const struct request_field *request_field(const struct http_request *rq, const char *name, size_t from)
{
	size_t size = strlen(name);

	for (size_t i = from; i < rq->n_fields; i++)
		if (rq->fields[i].name_size == size && memcmp(rq->fields[i].name, name, size) == 0)
			return &rq->fields[i];
	return NULL;
}

/* The value of a field that must not come twice. */
static const char *single_field(const struct http_request *rq, const char *name, bool *ret_is_repeated)
{
	const struct request_field *f = request_field(rq, name, 0);

	*ret_is_repeated = f && request_field(rq, name, (size_t)(f - rq->fields) + 1);
	return f ? f->value : NULL;
}

static const struct request_refusal *parser_refusal(llhttp_errno_t code, const struct http_request *rq)
{
	static const struct request_refusal too_many = { 431, "headers_too_large",
							 "the request has too many header fields" };
	static const struct request_refusal method = { 501, "not_implemented", "the request's method is not known" };
	static const struct request_refusal version = { 505, "http_version",
							"the request is not HTTP/1.1 or HTTP/1.0" };
	static const struct request_refusal other = { 400, "bad_request", "the request is not HTTP" };
	static const struct request_refusal lengths = {
		400, "bad_request", "the request's Content-Length or Transfer-Encoding is not valid"
	};

	switch (code) {
	case HPE_USER:
		return rq->n_fields == REQUEST_FIELDS_MAX ? &too_many : &other;
	case HPE_INVALID_METHOD:
		return &method;
	case HPE_INVALID_VERSION:
	case HPE_OK: /* it waits for more: only the preface of HTTP/2 goes on behind an empty line */
	case HPE_PAUSED_H2_UPGRADE:
		return &version;
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		return &lengths;
	default:
		return &other;
	}
}

static bool is_number(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n < 19 && !text[n];
}

/* Host and the two ways to say where the body ends: what proxies and servers must not understand differently. */
static const struct request_refusal *check_fields(const struct http_request *rq, const llhttp_t *p)
{
	static const struct request_refusal version = { 505, "http_version",
							"the request is not HTTP/1.1 or HTTP/1.0" };
	static const struct request_refusal host = { 400, "bad_request",
						     "the request needs exactly one Host header field" };
	static const struct request_refusal bad_host = { 400, "bad_request",
							 "the request's Host is not a host[:port]" };
	static const struct request_refusal length = { 400, "bad_request",
						       "the request's Content-Length is not valid" };
	static const struct request_refusal both = { 400, "bad_request",
						     "the request has both a Content-Length and a Transfer-Encoding" };
	static const struct request_refusal coding = { 501, "not_implemented",
						       "the request's Transfer-Encoding is not 'chunked' alone" };
	bool twice_host, twice_length, twice_coding;
	const char *h = single_field(rq, "host", &twice_host), *l = single_field(rq, "content-length", &twice_length),
		   *t = single_field(rq, "transfer-encoding", &twice_coding);

	if (p->http_major != 1 || p->http_minor > 1)
		return &version;
	if (twice_host || (!h && p->http_minor == 1))
		return &host;
	if (h && !uri_is_host(h))
		return &bad_host;
	if (l && t)
		return &both;
	if (l && (twice_length || !is_number(l)))
		return &length;
	if (t && (twice_coding || strcasecmp(t, "chunked") != 0 || p->http_minor == 0))
		return &coding;
	return NULL;
}

/*
 * METHOD, target and version with one blank between each, RFC 9112 section 3. The parser takes several, which others
 * understand as a target with blanks in it, or as a missing one.
 */
static bool is_request_line(const struct http_request *rq, const char *copy, const char *method)
{
	static const char version[] = " HTTP/1."; /* and a digit, which was looked at */
	size_t size = strlen(method);

	return rq->target == copy + size + 1 && copy[size] == ' ' &&
	       memcmp(rq->target + rq->target_size, version, sizeof(version) - 1) == 0 &&
	       rq->target[rq->target_size + sizeof(version)] == '\r';
}

/* By the fields that were checked, not by what the parser made of them. */
static void begin_body(struct conn *c, const struct http_request *rq)
{
	const struct request_field *length = request_field(rq, "content-length", 0);

	if (request_field(rq, "transfer-encoding", 0))
		body_begin_chunked(&c->body);
	else
		body_begin_sized(&c->body, length ? strtoull(length->value, NULL, 10) : 0);
}

const struct request_refusal *request_parse_head(struct conn *c, struct http_request *rq, const char *head, size_t size,
						 struct request_refusal *memory)
{
	static const struct request_refusal name = { 400, "bad_request", "a header field's name is not valid" };
	static const struct request_refusal target = { 414, "uri_too_long", "the request's target is too long" };
	static const struct request_refusal line = {
		400, "bad_request", "the request line is not METHOD TARGET HTTP/1.1 with single blanks"
	};
	char *copy = arena_copy(&rq->memory, head, size);
	const struct request_refusal *r;
	llhttp_errno_t code;
	llhttp_t p;

	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = rq;
	rq->target = NULL;
	code = llhttp_execute(&p, copy, size);
	if (code != HPE_PAUSED || llhttp_get_error_pos(&p) != copy + size)
		return parser_refusal(code, rq);
	if (rq->target_size > REQUEST_URI_BYTES)
		return &target;
	if (!is_request_line(rq, copy, llhttp_method_name((llhttp_method_t)p.method)))
		return p.http_major == 1 && p.http_minor <= 1 ? &line : parser_refusal(HPE_INVALID_VERSION, rq);
	if (!finish_fields(rq))
		return &name;
	r = check_fields(rq, &p);
	if (r)
		return r;
	rq->method = llhttp_method_name((llhttp_method_t)p.method);
	rq->target[rq->target_size] = '\0'; /* the blank before HTTP/1.1 */
	rq->is_http10 = p.http_minor == 0;
	c->is_keep_alive = llhttp_should_keep_alive(&p) && !c->server->is_draining;
	begin_body(c, rq);
	if (strcmp(rq->target, "*") == 0 && strcmp(rq->method, "OPTIONS") == 0)
		return NULL;
	*memory = (struct request_refusal){ 400, "bad_request", NULL };
	if (uri_parse(&rq->memory, rq->target, rq->target_size, &rq->uri, &memory->message) == 0)
		return NULL;
	rq->uri.path = "-";
	return memory;
}
