/* Globs: see glob.h. */
#include "supervisor/spec/glob.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/base/utf8.h"

/* A piece of text, not terminated. */
struct part {
	const char *at, *end;
};

/* Take one character from the front. A byte that is no UTF-8 becomes a number no character has. */
static uint32_t next_char(struct part *p)
{
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	size_t n = utf8_length(p->at, (size_t)(p->end - p->at));
	uint32_t c;

	if (n == 0)
		return 0x80000000U | (unsigned char)*p->at++;
	c = (unsigned char)*p->at & mask[n];
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)p->at[i] & 0x3f);
	p->at += n;
	return c;
}

static uint32_t next_plain(struct part *p)
{
	if (*p->at == '\\' && p->at + 1 < p->end)
		p->at++;
	return next_char(p);
}

/* After '['. Returns false, with p where it was, when there is no ']': then '[' stands for itself. */
static bool read_set(struct part *p, uint32_t c, bool *ret_is_in)
{
	struct part s = *p;
	bool is_not = s.at < s.end && (*s.at == '!' || *s.at == '^'), is_in = false;

	s.at += is_not;
	for (bool is_first = true; s.at < s.end && (is_first || *s.at != ']'); is_first = false) {
		uint32_t low = next_plain(&s), high = low;

		if (s.at + 1 < s.end && s.at[0] == '-' && s.at[1] != ']') {
			s.at++;
			high = next_plain(&s);
		}
		is_in = is_in || (c >= low && c <= high);
	}
	if (s.at >= s.end)
		return false;
	p->at = s.at + 1;
	*ret_is_in = is_in != is_not;
	return true;
}

/* One step of the pattern that is not '*', against one character. */
static bool match_char(struct part *pattern, uint32_t c)
{
	bool is_in;

	if (*pattern->at == '?') {
		pattern->at++;
		return true;
	}
	if (*pattern->at == '[') {
		pattern->at++;
		return read_set(pattern, c, &is_in) ? is_in : c == '[';
	}
	return next_plain(pattern) == c;
}

static bool says_point(struct part pattern)
{
	if (pattern.at < pattern.end && *pattern.at == '\\')
		pattern.at++;
	return pattern.at < pattern.end && *pattern.at == '.';
}

/*
 * One component. Only the last '*' ever has to be tried again: whatever an earlier one could take, the last one can
 * leave to it. So the work is at most one size times the other.
 */
static bool match_component(struct part pattern, struct part name)
{
	struct part star = { NULL, NULL }, retry = { NULL, NULL };

	if (name.at < name.end && *name.at == '.' && !says_point(pattern))
		return false;
	while (name.at < name.end) {
		if (pattern.at < pattern.end && *pattern.at == '*') {
			pattern.at++;
			star = pattern;
			retry = name;
			continue;
		}
		if (pattern.at < pattern.end && match_char(&pattern, next_char(&name)))
			continue;
		if (!star.at)
			return false;
		pattern = star;
		(void)next_char(&retry); /* the star takes one more */
		name = retry;
	}
	while (pattern.at < pattern.end && *pattern.at == '*')
		pattern.at++;
	return pattern.at == pattern.end;
}

/* Split off the first component; what is left starts after the '/', and is NULL after the last. */
static struct part first_component(const char **text)
{
	const char *at = *text, *end = strchrnul(at, '/');

	*text = *end ? end + 1 : NULL;
	return (struct part){ at, end };
}

static bool is_any_depth(struct part p)
{
	return p.end - p.at == 2 && p.at[0] == '*' && p.at[1] == '*';
}

static bool has_hidden(const char *path)
{
	while (path) {
		if (*path == '.')
			return true;
		(void)first_component(&path);
	}
	return false;
}

/* The same by components: only the last `**` has to be tried again. */
bool glob_match(const char *pattern, const char *path)
{
	const char *star = NULL, *retry = NULL; /* behind the last `**`; the path from where it began, or has come to */

	while (pattern || path) {
		const char *rest = pattern, *left = path;
		struct part want = { NULL, NULL };

		if (pattern)
			want = first_component(&rest);
		if (pattern && is_any_depth(want)) {
			if (!rest) /* at the end: any file further down */
				return path && !has_hidden(path);
			pattern = star = rest;
			retry = path;
			continue;
		}
		if (pattern && path && match_component(want, first_component(&left))) {
			pattern = rest;
			path = left;
			continue;
		}
		if (!retry || *retry == '.')
			return false;
		(void)first_component(&retry); /* it takes one more */
		pattern = star;
		path = retry;
	}
	return true;
}
