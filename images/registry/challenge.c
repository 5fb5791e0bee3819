/* WWW-Authenticate: see challenge.h. */
#include "images/registry/challenge.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/error.h"

static const struct {
	const char *name;
	size_t offset, size;
} parameters[] = {
	{ "realm", offsetof(struct challenge, realm), CHALLENGE_VALUE_BYTES },
	{ "service", offsetof(struct challenge, service), CHALLENGE_VALUE_BYTES },
	{ "scope", offsetof(struct challenge, scope), CHALLENGE_VALUE_BYTES },
	{ "error", offsetof(struct challenge, error), sizeof(((struct challenge *)0)->error) },
};

enum { PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };

/* RFC 9110 §5.6.2 */
static bool is_token_char(char c)
{
	return c && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_size(const char *p)
{
	size_t n = 0;

	while (is_token_char(p[n]))
		n++;
	return n;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static const char *skip_separators(const char *p)
{
	return p + strspn(p, " \t,");
}

static enum challenge_scheme scheme_of(const char *name, size_t size)
{
	if (size == 5 && strncasecmp(name, "basic", size) == 0)
		return CHALLENGE_BASIC;
	if (size == 6 && strncasecmp(name, "bearer", size) == 0)
		return CHALLENGE_BEARER;
	return CHALLENGE_OTHER;
}

/* Where a parameter goes; *ret_room 0 when nobody wants it. */
static char *target(struct challenge *c, const char *name, size_t size, size_t *ret_room)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		if (strlen(parameters[i].name) == size && strncasecmp(parameters[i].name, name, size) == 0) {
			*ret_room = parameters[i].size;
			return (char *)c + parameters[i].offset;
		}
	}
	*ret_room = 0;
	return NULL;
}

static int put(char *to, size_t room, size_t *n, char c, struct error *err)
{
	if ((unsigned char)c < ' ' || c == 0x7f)
		return error_set(err, EBADMSG, "control character in a challenge");
	if (room == 0)
		return 0;
	if (*n + 1 >= room)
		return error_set(err, EBADMSG, "a value in a challenge is longer than %zu bytes", room - 1);
	to[(*n)++] = c;
	return 0;
}

/* A token or a quoted string. *p moves behind it. */
static int read_value(const char **p, char *to, size_t room, struct error *err)
{
	bool is_quoted = **p == '"';
	const char *q = *p + is_quoted;
	size_t n = 0;
	int r = 0;

	while (r == 0 && (is_quoted ? *q && *q != '"' : is_token_char(*q) || *q == '/' || *q == ':' || *q == '=')) {
		if (is_quoted && *q == '\\' && q[1])
			q++;
		r = put(to, room, &n, *q++, err);
	}
	if (r == 0 && is_quoted && *q != '"')
		r = error_set(err, EBADMSG, "a quoted value in a challenge does not end");
	if (room > 0)
		to[n] = '\0';
	*p = q + (is_quoted && *q == '"');
	return r;
}

/* name=value pairs up to the next scheme. A token that no '=' follows is that scheme. */
static int read_parameters(const char **p, struct challenge *c, struct error *err)
{
	for (;;) {
		const char *name = skip_separators(*p), *q;
		size_t size = token_size(name), room;
		char *to;
		int r;

		q = skip_blanks(name + size);
		if (size == 0 || *q != '=') {
			*p = name;
			return 0;
		}
		q = skip_blanks(q + 1);
		to = target(c, name, size, &room);
		r = read_value(&q, to, room, err);
		if (r < 0)
			return r;
		*p = q;
	}
}

int challenge_parse(const char *value, struct challenge *ret, size_t max, struct error *err)
{
	const char *p = skip_separators(value);
	size_t n = 0;

	while (*p) {
		size_t size = token_size(p);
		int r;

		if (size == 0)
			return error_set(err, EBADMSG, "'%.20s' in a challenge is no authentication scheme", p);
		if (n == max)
			return error_set(err, EBADMSG, "more than %zu challenges", max);
		ret[n] = (struct challenge){ .scheme = scheme_of(p, size) };
		p += size;
		if (*p && *p != ' ' && *p != '\t' && *p != ',')
			return error_set(err, EBADMSG, "'%.20s' in a challenge follows no blank", p);
		r = read_parameters(&p, &ret[n], err);
		if (r < 0)
			return r;
		n++;
	}
	return (int)n;
}
