/* A URL of a Redis server: see url.h. */
#include "supervisor/redis/url.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"

enum { URL_MAX = 4096, HOST_MAX = 253 };

static int wrong(struct error *err, const char *what)
{
	return error_set(err, EINVAL, "the URL of Redis: %s", what);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A part, decoded, on the heap. */
static int take(const char *text, size_t size, const char *what, char **ret, struct error *err)
{
	char *out = malloc(size + 1);
	size_t n = 0;

	if (!out)
		return error_errno(err, ENOMEM, "the URL of Redis");
	for (size_t i = 0; i < size; i++) {
		int high, low;

		if (text[i] != '%') {
			out[n++] = text[i];
			continue;
		}
		high = i + 2 < size ? hex(text[i + 1]) : -1;
		low = i + 2 < size ? hex(text[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0)) {
			free(out);
			return error_set(err, EINVAL,
					 "the URL of Redis: a '%%' in the %s needs two hexadecimal digits, not 00",
					 what);
		}
		out[n++] = (char)(high << 4 | low);
		i += 2;
	}
	out[n] = '\0';
	*ret = out;
	return 0;
}

static int take_number(const char *text, size_t size, uint64_t min, uint64_t max, const char *what, char *ret,
		       size_t room, struct error *err)
{
	char digits[16];
	uint64_t value;

	if (size == 0 || size >= sizeof(digits) || strspn(text, "0123456789") < size)
		return wrong(err, what);
	memcpy(digits, text, size);
	digits[size] = '\0';
	if (parse_u64(digits, min, max, &value, NULL) < 0)
		return wrong(err, what);
	(void)snprintf(ret, room, "%llu", (unsigned long long)value);
	return 0;
}

static int take_database(const char *text, size_t size, struct redis_url *u, struct error *err)
{
	return take_number(text, size, 0, INT_MAX, "the database must be a number", u->database, sizeof(u->database),
			   err);
}

static int take_user(const char *text, size_t size, struct redis_url *u, struct error *err)
{
	const char *colon = memchr(text, ':', size);
	int r;

	if (!colon)
		return wrong(err, "before the '@' it wants user:password or :password");
	r = take(text, (size_t)(colon - text), "user", &u->user, err);
	return r < 0 ? r : take(colon + 1, size - (size_t)(colon + 1 - text), "password", &u->password, err);
}

static int take_host(const char *text, size_t size, struct redis_url *u, struct error *err)
{
	const char *end = text + size, *port = NULL;

	if (size > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', size);

		if (!close || (close + 1 < end && close[1] != ':'))
			return wrong(err, "'[' without its ']' around the address");
		port = close + 1 < end ? close + 2 : NULL;
		size = (size_t)(close - text) - 1;
		text++;
	} else {
		const char *colon = memchr(text, ':', size);

		if (colon) {
			port = colon + 1;
			size = (size_t)(colon - text);
		}
		if (port && memchr(port, ':', (size_t)(end - port)))
			return wrong(err, "an IPv6 address stands in brackets");
	}
	if (size == 0 || size > HOST_MAX)
		return wrong(err, "the host is missing or too long");
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] <= ' ' || strchr("%\"<>\\^`{|}[]\x7f", text[i]))
			return wrong(err, "the host has a character that no host name has");
	}
	if (port && take_number(port, (size_t)(end - port), 1, UINT16_MAX, "the port must be a number from 1 to 65535",
				u->port, sizeof(u->port), err) < 0)
		return -EINVAL;
	u->host = strndup(text, size);
	return u->host ? 0 : error_errno(err, ENOMEM, "the URL of Redis");
}

static int take_path(const char *path, size_t size, struct redis_url *u, struct error *err)
{
	int r;

	if (u->host) {
		if (size <= 1)
			return 0;
		return take_database(path + 1, size - 1, u, err);
	}
	if (size < 2)
		return wrong(err, "unix:// wants a path that begins with '/'");
	r = take(path, size, "path", &u->path, err);
	if (r == 0 && strlen(u->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return wrong(err, "the path is too long for a socket, unix(7)");
	return r;
}

static int take_query(const char *query, struct redis_url *u, struct error *err)
{
	if (u->host || strncmp(query, "db=", 3) != 0)
		return wrong(err, "all that may follow a '?' is db=N, and only with unix://");
	return take_database(query + 3, strlen(query + 3), u, err);
}

/* Behind "scheme://": [user:password@][host[:port]][/path][?query] */
static int take_rest(const char *rest, bool is_unix, struct redis_url *u, struct error *err)
{
	size_t size = strcspn(rest, "/?");
	const char *at = memrchr(rest, '@', size), *host = at ? at + 1 : rest, *path = rest + size;
	size_t path_size = strcspn(path, "?");
	int r = at ? take_user(rest, (size_t)(at - rest), u, err) : 0;

	if (r == 0 && is_unix && host != path)
		return wrong(err, "unix:// has no host: write three slashes");
	if (r == 0 && !is_unix)
		r = take_host(host, (size_t)(path - host), u, err);
	if (r == 0)
		r = take_path(path, path_size, u, err);
	if (r == 0 && path[path_size] == '?')
		r = take_query(path + path_size + 1, u, err);
	return r;
}

static const struct {
	const char *prefix;
	bool is_tls, is_unix;
} schemes[] = {
	{ "redis://", false, false },
	{ "rediss://", true, false },
	{ "unix://", false, true },
};

static int parse(const char *text, struct redis_url *u, struct error *err)
{
	if (strlen(text) > URL_MAX)
		return wrong(err, "it is too long");
	if (strchr(text, '#'))
		return wrong(err, "a '#' is written %23");
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i].prefix);

		if (strncmp(text, schemes[i].prefix, n) == 0) {
			u->is_tls = schemes[i].is_tls;
			return take_rest(text + n, schemes[i].is_unix, u, err);
		}
	}
	return wrong(err, "it must begin with redis://, rediss:// or unix://");
}

int redis_url_parse(const char *text, struct redis_url *ret, struct error *err)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->port, "6379", 5);
	memcpy(ret->database, "0", 2);
	r = parse(text, ret, err);
	if (r < 0)
		return r;
	if (!ret->user)
		ret->user = strdup("");
	if (!ret->password)
		ret->password = strdup("");
	return ret->user && ret->password ? 0 : error_errno(err, ENOMEM, "the URL of Redis");
}

void redis_url_done(struct redis_url *u)
{
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->password);
	free(u->user);
	free(u->host);
	free(u->path);
	memset(u, 0, sizeof(*u));
}
