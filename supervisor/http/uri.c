/* The target of a request: see uri.h. */
#include "supervisor/http/uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/parse.h"
#include "supervisor/http/arena.h"

/* RFC 3986 section 2.3 */
#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ptrdiff_t uri_decode(char *out, const char *text, size_t size, bool is_form)
{
	char *start = out;

	for (size_t i = 0; i < size; i++) {
		int high, low;

		if (text[i] == '+' && is_form) {
			*out++ = ' ';
			continue;
		}
		if (text[i] != '%') {
			*out++ = text[i];
			continue;
		}
		high = size - i > 2 ? hex(text[i + 1]) : -1;
		low = high >= 0 ? hex(text[i + 2]) : -1;
		if (low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		*out++ = (char)(high << 4 | low);
		i += 2;
	}
	*out = '\0';
	return out - start;
}

/* Where the path begins: behind "http://host" of the absolute form. */
static const char *skip_authority(const char *target, const char *end)
{
	const char *host = NULL;

	if (end - target > 7 && strncasecmp(target, "http://", 7) == 0)
		host = target + 7;
	else if (end - target > 8 && strncasecmp(target, "https://", 8) == 0)
		host = target + 8;
	if (!host)
		return target;
	while (host < end && *host != '/' && *host != '?')
		host++;
	return host;
}

/* Is any component "." or ".."? Looked at after decoding, so that no spelling of them gets through. */
static bool has_dots(const char *path)
{
	for (const char *s = path; s; s = strchr(s, '/')) {
		size_t n;

		s += *s == '/';
		n = strcspn(s, "/");
		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return true;
	}
	return false;
}

static int parse_path(struct arena *memory, const char *text, const char *end, struct uri *ret, const char **ret_why)
{
	size_t size = (size_t)(end - text);
	char *path = arena_alloc(memory, size + 1), *copies = arena_alloc(memory, size + 1), *out = path;

	ret->n_segments = 0;
	while (text < end) { /* at a '/' */
		const char *stop = memchr(text + 1, '/', (size_t)(end - text - 1));
		ptrdiff_t n;

		if (!stop)
			stop = end;
		*ret_why = "the path has too many segments";
		if (ret->n_segments == URI_SEGMENTS_MAX)
			return -EINVAL;
		*out++ = '/';
		n = uri_decode(out, text + 1, (size_t)(stop - text - 1), false);
		*ret_why = "the path has a '%' that is not followed by two hexadecimal digits, or %00";
		if (n < 0)
			return -EINVAL;
		memcpy(copies, out, (size_t)n + 1);
		ret->segments[ret->n_segments] = copies;
		ret->offsets[ret->n_segments++] = (size_t)(out - path);
		copies += n + 1;
		out += n;
		text = stop;
	}
	*ret_why = "the path has a segment '.' or '..'";
	if (has_dots(path))
		return -EINVAL;
	ret->path = path;
	return 0;
}

static int parse_query(struct arena *memory, const char *text, const char *end, struct uri *ret, const char **ret_why)
{
	size_t n = 1;
	char *out = arena_alloc(memory, (size_t)(end - text) + 2);

	for (const char *s = text; s < end; s++)
		n += *s == '&';
	*ret_why = "the query has too many parameters";
	if (n > URI_QUERY_MAX)
		return -EINVAL;
	ret->query = arena_alloc(memory, n * sizeof(*ret->query));
	*ret_why = "the query has a '%' that is not followed by two hexadecimal digits, or %00";
	for (const char *stop; text < end; text = stop + 1) {
		const char *equals;
		struct uri_pair *p = &ret->query[ret->n_query];
		ptrdiff_t size;

		stop = memchr(text, '&', (size_t)(end - text));
		if (!stop)
			stop = end;
		if (stop == text)
			continue;
		equals = memchr(text, '=', (size_t)(stop - text));
		size = uri_decode(out, text, (size_t)((equals ? equals : stop) - text), true);
		if (size < 0)
			return -EINVAL;
		p->name = out;
		out += size + 1;
		p->value = "";
		if (equals) {
			size = uri_decode(out, equals + 1, (size_t)(stop - equals - 1), true);
			if (size < 0)
				return -EINVAL;
			p->value = out;
			out += size + 1;
		}
		ret->n_query++;
	}
	return 0;
}

int uri_parse(struct arena *memory, const char *target, size_t size, struct uri *ret, const char **ret_why)
{
	const char *end = target + size, *path = skip_authority(target, end), *mark;
	int r;

	ret->query = NULL;
	ret->n_query = 0;
	*ret_why = "the target has a fragment";
	if (memchr(path, '#', (size_t)(end - path)))
		return -EINVAL;
	mark = memchr(path, '?', (size_t)(end - path));
	if (mark) {
		r = parse_query(memory, mark + 1, end, ret, ret_why);
		if (r < 0)
			return r;
	}
	if (path != target && (path == end || *path == '?')) { /* "http://host", "http://host?q": the path is "/" */
		ret->path = "/";
		ret->segments[0] = "";
		ret->offsets[0] = ret->n_segments = 1;
		return 0;
	}
	*ret_why = "the target is not a path";
	if (path == end || *path != '/')
		return -EINVAL;
	return parse_path(memory, path, mark ? mark : end, ret, ret_why);
}

/* ---- Host ---- */

/* "::1" and "fe80::1%25eth0", between brackets. IPvFuture, RFC 3986 section 3.2.2, does not exist. */
static bool is_address(const char *text, size_t size)
{
	unsigned char ignored[16];
	char copy[INET6_ADDRSTRLEN];
	const char *zone = memmem(text, size, "%25", 3);
	size_t n = zone ? (size_t)(zone - text) : size;

	if (n >= sizeof(copy) || (zone && strspn(zone + 3, UNRESERVED) < size - n - 3))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return inet_pton(AF_INET6, copy, ignored) == 1;
}

static bool is_name(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '%' && i + 2 < size && isxdigit((unsigned char)text[i + 1]) &&
		    isxdigit((unsigned char)text[i + 2]))
			i += 2;
		else if (!strchr(UNRESERVED "!$&'()*+;=", text[i])) /* no comma: it would be two hosts of a list */
			return false;
	}
	return true;
}

bool uri_is_host(const char *text)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL, *port;
	uint64_t ignored;
	bool is_host;

	if (text[0] == '[') {
		is_host = end && is_address(text + 1, (size_t)(end - text - 1));
		port = end ? end + 1 : text;
	} else {
		port = text + strcspn(text, ":");
		is_host = is_name(text, (size_t)(port - text));
	}
	if (!is_host || (*port && *port != ':'))
		return false;
	if (!*port || !port[1])
		return true;
	return isdigit((unsigned char)port[1]) && strspn(port + 1, "0123456789") == strlen(port + 1) &&
	       parse_u64(port + 1, 0, UINT16_MAX, &ignored, NULL) == 0;
}
