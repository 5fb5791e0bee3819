/* Complete answers: the head of every answer, bodies, ranges, errors. See http.h. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "runtime/base/log.h"
#include "supervisor/http/conn.h"
#include "supervisor/http/request.h"
#include "supervisor/http/server.h"

enum { LOGS_PER_SECOND = 10 };

const char *reply_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} rows[] = {
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 423, "Locked" },
		{ 425, "Too Early" },
		{ 426, "Upgrade Required" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "Status";
}

/* ---- the head ---- */

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

void http_set_header(struct http_request *rq, const char *name, const char *value)
{
	assert(rq->phase != REQUEST_DEAD);
	if (!is_printable(name) || !is_printable(value))
		return; /* whoever could put a line break here could write the rest of the answer */
	if (strcasecmp(name, "cache-control") == 0)
		rq->has_cache_control = true;
	(void)buf_printf(&rq->headers, "%s: %s\r\n", name, value); /* without memory: an answer without this field */
}

void http_set_header_f(struct http_request *rq, const char *name, const char *fmt, ...)
{
	char value[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(value))
		http_set_header(rq, name, value);
}

static const char *date_field(struct http_server *s)
{
	struct timespec now;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* cannot fail */
	if (now.tv_sec != s->date_at) {
		s->date_at = now.tv_sec;
		(void)gmtime_r(&now.tv_sec, &tm);
		(void)strftime(s->date, sizeof(s->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm); /* it fits */
	}
	return s->date;
}

static void put(struct buf *b, const char *text)
{
	(void)buf_append(b, text, strlen(text)); /* reply_head() looks at the end of it */
}

static void put_number(struct buf *b, uint64_t n)
{
	char digits[24], *s = digits + sizeof(digits);

	do {
		*--s = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	(void)buf_append(b, s, (size_t)(digits + sizeof(digits) - s));
}

const char *reply_connection(const struct http_request *rq)
{
	struct conn *c = rq->conn;

	if (!c)
		return "close";
	/* a body that does not come, or more of it than is worth reading, ends the connection */
	if (!rq->is_complete &&
	    ((c->body.at == BODY_DATA && c->body.left > CONN_SKIP_BYTES) || http_header(rq, "expect")))
		c->is_keep_alive = false;
	if (rq->server->is_draining)
		c->is_keep_alive = false;
	if (!c->is_keep_alive)
		return "close";
	return rq->is_http10 ? "keep-alive" : NULL;
}

int reply_head(struct http_request *rq, int status, const char *type, int64_t size, const char *connection)
{
	struct buf *b = &rq->server->scratch;

	buf_reset(b);
	put(b, "HTTP/1.1 ");
	put_number(b, (uint64_t)status);
	put(b, " ");
	put(b, reply_reason(status));
	put(b, "\r\n");
	put(b, date_field(rq->server));
	if (type) {
		put(b, "Content-Type: ");
		put(b, is_printable(type) ? type : "application/octet-stream");
		put(b, "\r\nX-Content-Type-Options: nosniff\r\n");
	}
	if (size >= 0) {
		put(b, "Content-Length: ");
		put_number(b, (uint64_t)size);
		put(b, "\r\n");
	}
	if (!rq->has_cache_control && status != 101)
		put(b, "Cache-Control: no-store\r\n");
	put(b, "X-Request-Id: ");
	put(b, http_id(rq));
	put(b, "\r\n");
	put(b, buf_str(&rq->headers));
	if (connection) {
		put(b, "Connection: ");
		put(b, connection);
		put(b, "\r\n");
	}
	return buf_append(b, "\r\n", 2);
}

/* ---- bodies ---- */

static bool has_body(const struct http_request *rq, int status)
{
	return strcmp(rq->method, "HEAD") != 0 && status >= 200 && status != 204 && status != 304;
}

void http_reply(struct http_request *rq, int status, const char *type, const void *data, size_t size)
{
	struct iovec iov[2];
	bool has_length = status >= 200 && status != 204 && status != 304;

	assert(rq->phase == REQUEST_BODY || rq->phase == REQUEST_HANDLING);
	if (rq->conn) {
		if (reply_head(rq, status, type, has_length ? (int64_t)size : -1, reply_connection(rq)) < 0) {
			conn_doom(rq->conn);
		} else {
			iov[0] = (struct iovec){ rq->server->scratch.data, rq->server->scratch.size };
			iov[1] = (struct iovec){ (void *)(uintptr_t)data, size };
			(void)conn_send(rq->conn, iov, size > 0 && has_body(rq, status) ? 2 : 1); /* doomed then */
		}
	}
	request_end(rq, status);
}

void http_reply_json(struct http_request *rq, int status, json_t *owned)
{
	char *text = owned ? json_dumps(owned, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;

	json_decref(owned);
	if (text)
		http_reply(rq, status, "application/json", text, strlen(text));
	else
		http_error(rq, 500, "internal_error", NULL, "the answer could not be written as JSON");
	free(text);
}

/* A JSON string that may not be UTF-8: then with '?' for what is not ASCII. */
static json_t *lenient_string(const char *text)
{
	json_t *string = json_string(text);
	char copy[512];
	size_t i = 0;

	if (string)
		return string;
	for (; i < sizeof(copy) - 1 && text[i]; i++)
		copy[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
	copy[i] = '\0';
	return json_string(copy);
}

/* Some a second: a queue that is full is not worth a line for each who asks. */
static bool may_log(struct http_server *s)
{
	uint64_t second = uv_now(s->loop) / 1000;

	if (second != s->logged_at)
		s->n_logged = 0;
	s->logged_at = second;
	return s->n_logged++ < LOGS_PER_SECOND;
}

void http_error(struct http_request *rq, int status, const char *code, const char *field, const char *fmt, ...)
{
	static const char last_resort[] = "{\"error\":{\"code\":\"internal_error\",\"message\":\"out of memory\"}}";
	char message[512], *text;
	json_t *e, *all;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap); /* cut short is fine */
	va_end(ap);
	if (status >= 500 && rq->match &&
	    may_log(rq->server)) /* others, of requests that made no sense, anybody can cause */
		log_error(LOG_FACTS(LOG_STR("request", http_id(rq)), LOG_INT("status", status),
				    LOG_STR("method", rq->method), LOG_STR("path", rq->uri.path)),
			  "request failed: %s", message);
	if (status == 500) /* what broke inside is the log's business */
		(void)snprintf(message, sizeof(message), "this node failed; its log says why, under request %s",
			       http_id(rq));
	e = json_pack("{s:s, s:o}", "code", code, "message", lenient_string(message));
	if (e && field)
		(void)json_object_set_new(e, "field", lenient_string(field)); /* without it the message still says it */
	all = json_pack("{s:o}", "error", e);
	text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	json_decref(all);
	if (text)
		http_reply(rq, status, "application/json", text, strlen(text));
	else
		http_reply(rq, status, "application/json", last_resort, sizeof(last_resort) - 1);
	free(text);
}

/* ---- files ---- */

/* Does a list of entity tags hold this one? Weak comparison, RFC 9110 section 8.8.3.2. */
static bool tags_hold(const char *list, const char *quoted)
{
	for (const char *s = list; *s; s += strcspn(s, ","), s += *s == ',') {
		size_t n;

		s += strspn(s, " \t");
		if (*s == '*')
			return true;
		if (strncmp(s, "W/", 2) == 0)
			s += 2;
		n = strcspn(s, ", \t");
		if (n == strlen(quoted) && memcmp(s, quoted, n) == 0)
			return true;
	}
	return false;
}

/* Digits to a number; saturates. false: there are none. */
static bool take_number(const char **s, uint64_t *ret)
{
	const char *start = *s;

	for (*ret = 0; **s >= '0' && **s <= '9'; (*s)++)
		*ret = *ret > UINT64_MAX / 10 - 1 ? *ret : *ret * 10 + (uint64_t)(**s - '0');
	return *s > start;
}

/* One range of bytes, RFC 9110 section 14. */
enum range { RANGE_NONE /* or several, or not understood: the whole file */, RANGE_GOOD, RANGE_OUTSIDE };

static enum range parse_range(const char *text, uint64_t size, uint64_t *ret_from, uint64_t *ret_to)
{
	bool has_from, has_to;
	uint64_t from, to;

	if (strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	has_from = take_number(&text, &from);
	if (*text++ != '-')
		return RANGE_NONE;
	has_to = take_number(&text, &to);
	if (*text || (!has_from && !has_to) || (has_from && has_to && from > to))
		return RANGE_NONE;
	if (!has_from) { /* the last so many */
		from = to < size ? size - to : 0;
		to = to > 0 ? size - 1 : 0;
		if (size == 0 || (from == size))
			return RANGE_OUTSIDE;
	} else if (from >= size) {
		return RANGE_OUTSIDE;
	}
	*ret_from = from;
	*ret_to = has_to && to < size ? to : size - 1;
	return RANGE_GOOD;
}

void http_reply_file(struct http_request *rq, const char *type, const void *data, size_t size, const char *etag)
{
	const char *match = http_header(rq, "if-none-match"), *range = http_header(rq, "range"),
		   *unless = http_header(rq, "if-range");
	uint64_t from = 0, to = 0;
	char quoted[136];

	(void)snprintf(quoted, sizeof(quoted), etag[0] == '"' ? "%s" : "\"%s\"", etag); /* ours, a digest */
	if (!rq->has_cache_control)
		http_set_header(rq, "Cache-Control", "no-cache");
	http_set_header(rq, "ETag", quoted);
	http_set_header(rq, "Accept-Ranges", "bytes");
	if (match && tags_hold(match, quoted)) {
		http_reply(rq, 304, NULL, NULL, 0);
		return;
	}
	if (unless && strcmp(unless, quoted) != 0)
		range = NULL;
	switch (range && strcmp(rq->method, "GET") == 0 ? parse_range(range, size, &from, &to) : RANGE_NONE) {
	case RANGE_GOOD:
		http_set_header_f(rq, "Content-Range", "bytes %ju-%ju/%zu", (uintmax_t)from, (uintmax_t)to, size);
		http_reply(rq, 206, type, (const char *)data + from, (size_t)(to - from + 1));
		return;
	case RANGE_OUTSIDE:
		http_set_header_f(rq, "Content-Range", "bytes */%zu", size);
		http_error(rq, 416, "range_not_satisfiable", "Range", "the file has %zu bytes", size);
		return;
	default:
		http_reply(rq, 200, type, data, size);
		return;
	}
}
