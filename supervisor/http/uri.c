/* The target of a request: see uri.h. */
#include "supervisor/http/uri.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "supervisor/http/arena.h"

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

	if (!path || !copies)
		return -ENOMEM;
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
	if (!ret->query || !out)
		return -ENOMEM;
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
