/*
 * A request's head.
 *
 * http_parser(3) reads it, once it is complete, in one call: the names and values it reports then point into one piece of
 * memory, and none comes in parts. What it is lenient about is refused before (request_scan_head) or after
 * (check_fields): bare LF, folded lines, blanks in names, several lengths.
 */
#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
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

static int on_url(http_parser *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;

	rq->target = (char *)(uintptr_t)at; /* into our own copy of the head */
	rq->target_size = size;
	return 0;
}

static int on_field(http_parser *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;

	if (rq->n_fields == REQUEST_FIELDS_MAX)
		return 1;
	rq->fields[rq->n_fields++] = (struct request_field){ .name = (char *)(uintptr_t)at, .name_size = size };
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t size)
{
	struct http_request *rq = p->data;
	struct request_field *f = &rq->fields[rq->n_fields - 1];

	if (f->value)
		return 1; /* in two parts: folded */
	f->value = (char *)(uintptr_t)at;
	f->value_size = size;
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
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

/* Terminate and lower; false: a name that is none. */
static bool finish_fields(struct http_request *rq)
{
	for (size_t i = 0; i < rq->n_fields; i++) {
		struct request_field *f = &rq->fields[i];

		if (f->name_size == 0 || !f->value)
			return false;
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

const struct request_refusal request_no_memory = { 503, "busy", "out of memory" };

static const struct request_refusal *parser_refusal(const http_parser *p, const struct http_request *rq)
{
	static const struct request_refusal too_many = { 431, "headers_too_large", "the request has too many header fields" };
	static const struct request_refusal method = { 501, "not_implemented", "the request's method is not known" };
	static const struct request_refusal version = { 505, "http_version", "the request is not HTTP/1.1 or HTTP/1.0" };
	static const struct request_refusal other = { 400, "bad_request", "the request is not HTTP" };
	static const struct request_refusal lengths = { 400, "bad_request",
						"the request's Content-Length or Transfer-Encoding is not valid" };

	switch (HTTP_PARSER_ERRNO(p)) {
	case HPE_CB_header_field:
		return rq->n_fields == REQUEST_FIELDS_MAX ? &too_many : &other;
	case HPE_INVALID_METHOD:
		return &method;
	case HPE_INVALID_VERSION:
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
static const struct request_refusal *check_fields(const struct http_request *rq, const http_parser *p)
{
	static const struct request_refusal version = { 505, "http_version", "the request is not HTTP/1.1 or HTTP/1.0" };
	static const struct request_refusal host = { 400, "bad_request", "the request needs exactly one Host header field" };
	static const struct request_refusal length = { 400, "bad_request", "the request's Content-Length is not valid" };
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
	if (l && t)
		return &both;
	if (l && (twice_length || !is_number(l)))
		return &length;
	if (t && (twice_coding || strcasecmp(t, "chunked") != 0 || p->http_minor == 0))
		return &coding;
	return NULL;
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
	char *copy = arena_copy(&rq->memory, head, size);
	const struct request_refusal *r;
	http_parser p;

	if (!copy)
		return &request_no_memory;
	http_parser_init(&p, HTTP_REQUEST);
	p.data = rq;
	if (http_parser_execute(&p, &settings, copy, size) != size || HTTP_PARSER_ERRNO(&p) != HPE_OK)
		return parser_refusal(&p, rq);
	if (rq->target_size > REQUEST_URI_BYTES)
		return &target;
	if (!finish_fields(rq))
		return &name;
	r = check_fields(rq, &p);
	if (r)
		return r;
	rq->method = http_method_str((enum http_method)p.method);
	rq->target[rq->target_size] = '\0'; /* the blank before HTTP/1.1 */
	rq->is_http10 = p.http_minor == 0;
	c->is_keep_alive = http_should_keep_alive(&p) && !c->server->is_draining;
	begin_body(c, rq);
	if (strcmp(rq->target, "*") == 0 && strcmp(rq->method, "OPTIONS") == 0)
		return NULL;
	*memory = (struct request_refusal){ 400, "bad_request", NULL };
	switch (uri_parse(&rq->memory, rq->target, rq->target_size, &rq->uri, &memory->message)) {
	case 0:
		return NULL;
	case -ENOMEM:
		rq->uri.path = "-";
		return &request_no_memory;
	default:
		rq->uri.path = "-";
		return memory;
	}
}
