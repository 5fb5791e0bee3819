/* Addresses of services: see url.h. */
#include "tools/cubit/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"

static int copy_part(const char *what, const char *from, size_t size, char *ret, size_t capacity, struct error *err)
{
	if (size >= capacity)
		return error_set(err, EINVAL, "the %s is longer than %zu bytes", what, capacity - 1);
	memcpy(ret, from, size);
	ret[size] = '\0';
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo %XX in place; a NUL is refused, what is no escape is left alone. */
static int decode(const char *what, char *text, struct error *err)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		int high = *p == '%' ? hex_digit(p[1]) : -1, low = high >= 0 ? hex_digit(p[2]) : -1;

		if (low < 0) {
			*to++ = *p;
			continue;
		}
		if (high == 0 && low == 0)
			return error_set(err, EINVAL, "the %s has a %%00 in it", what);
		*to++ = (char)(high << 4 | low);
		p += 2;
	}
	*to = '\0';
	return 0;
}

/* [user][:password], up to the last '@' of the authority. */
static int parse_login(const char *text, size_t size, struct url *u, struct error *err)
{
	const char *colon = memchr(text, ':', size);
	size_t user_size = colon ? (size_t)(colon - text) : size;
	int r = copy_part("user", text, user_size, u->user, sizeof(u->user), err);

	if (r == 0 && colon)
		r = copy_part("password", colon + 1, size - user_size - 1, u->password, sizeof(u->password), err);
	if (r == 0)
		r = decode("user", u->user, err);
	return r < 0 ? r : decode("password", u->password, err);
}

static int parse_port(const char *text, size_t size, uint16_t *ret, struct error *err)
{
	unsigned v = 0;
	bool is_good = size > 0 && size <= 5;

	for (size_t i = 0; is_good && i < size; i++) {
		is_good = isdigit((unsigned char)text[i]);
		v = v * 10 + (unsigned)(text[i] - '0');
	}
	if (!is_good || v < 1 || v > 65535) /* not quoted: with a raw '/' in a password, this is its beginning */
		return error_set(err, EINVAL, "the port is not a number from 1 to 65535");
	*ret = (uint16_t)v;
	return 0;
}

static int parse_host(const char *text, size_t size, struct url *u, struct error *err)
{
	const char *end = text + size, *host_end, *port = NULL;

	if (size > 0 && text[0] == '[') {
		text++;
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end || (host_end + 1 < end && host_end[1] != ':'))
			return error_set(err, EINVAL, "the host's bracket is not closed");
		if (host_end + 1 < end)
			port = host_end + 2;
	} else {
		host_end = memchr(text, ':', size);
		if (host_end)
			port = host_end + 1;
		else
			host_end = end;
	}
	if (host_end == text)
		return error_set(err, EINVAL, "no host");
	if (port) {
		int r = parse_port(port, (size_t)(end - port), &u->port, err);

		if (r < 0)
			return r;
	}
	return copy_part("host", text, (size_t)(host_end - text), u->host, sizeof(u->host), err);
}

int url_parse(const char *text, struct url *ret, struct error *err)
{
	const char *authority = strstr(text, "://"), *at;
	struct url u = { .port = 0 };
	size_t size;
	int r;

	if (!authority || authority == text)
		return error_set(err, EINVAL, "not of the form scheme://host[:port]");
	r = copy_part("scheme", text, (size_t)(authority - text), u.scheme, sizeof(u.scheme), err);
	if (r < 0)
		return r;
	authority += 3;
	size = strcspn(authority, "/?#");
	r = copy_part("path", authority + size, strcspn(authority + size, "?#"), u.path, sizeof(u.path), err);
	if (r < 0)
		return r;
	at = memrchr(authority, '@', size);
	if (at) {
		r = parse_login(authority, (size_t)(at - authority), &u, err);
		if (r < 0)
			return r;
		size -= (size_t)(at + 1 - authority);
		authority = at + 1;
	}
	r = parse_host(authority, size, &u, err);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}
