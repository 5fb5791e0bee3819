/* Output against expectation: see checker.h. Each checker is a way to take the next piece of a text. */
#include "supervisor/jobs/checker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"

enum {
	EXCERPT = 40,    /* of a piece, in the sentence */
	NUMBER_MAX = 64, /* a decimal number that is longer is compared as a text */
};

/* A piece of a text, and where it was. */
struct piece {
	const char *data;
	size_t size, line;
};

struct reader {
	const char *at, *end;
	size_t line; /* of at, counted from 1 */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* ---- pieces ---- */

typedef bool next_fn(struct reader *r, struct piece *ret);

static bool next_line(struct reader *r, struct piece *ret)
{
	const char *line_end;

	if (r->at == r->end)
		return false;
	line_end = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*ret = (struct piece){ r->at, (size_t)((line_end ? line_end : r->end) - r->at), r->line };
	r->at = line_end ? line_end + 1 : r->end;
	r->line += line_end != NULL;
	while (ret->size && is_blank(ret->data[ret->size - 1]))
		ret->size--;
	return true;
}

static bool next_token(struct reader *r, struct piece *ret)
{
	while (r->at < r->end && is_blank(*r->at))
		r->line += *r->at++ == '\n';
	*ret = (struct piece){ r->at, 0, r->line };
	while (r->at < r->end && !is_blank(*r->at))
		r->at++;
	ret->size = (size_t)(r->at - ret->data);
	return ret->size > 0;
}

/* Without the blanks at its end: an empty last line is none. */
static struct reader reader_of(struct checked_text text)
{
	while (text.size && is_blank(text.data[text.size - 1]))
		text.size--;
	return (struct reader){ text.data, text.data + text.size, 1 };
}

/* ---- equal ---- */

static bool same(const struct piece *a, const struct piece *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* Decimal and finite: no hexadecimal, no "nan", which strtod(3) would take. */
static bool read_number(const struct piece *p, double *ret)
{
	char text[NUMBER_MAX + 1], *end;

	if (p->size == 0 || p->size > NUMBER_MAX)
		return false;
	memcpy(text, p->data, p->size);
	text[p->size] = '\0';
	if (strspn(text, "0123456789+-.eE") != p->size)
		return false;
	*ret = strtod(text, &end); /* the front's locale is "C" */
	return *end == '\0' && isfinite(*ret);
}

static bool near(const struct piece *expected, const struct piece *found, double tolerance)
{
	double a, b, most;

	if (same(expected, found))
		return true;
	if (!read_number(expected, &a) || !read_number(found, &b))
		return false;
	most = tolerance * (fabs(a) > 1 ? fabs(a) : 1);
	return fabs(a - b) <= most;
}

/* ---- words ---- */

static void excerpt(const struct piece *p, char ret[EXCERPT + 8])
{
	size_t n = p->size < EXCERPT ? p->size : utf8_whole(p->data, EXCERPT);

	memcpy(ret, p->data, n);
	(void)snprintf(ret + n, 8, "%s", n < p->size ? "..." : "");
	for (size_t i = 0; i < n; i++) {
		if (!ret[i])
			ret[i] = '?';
	}
	utf8_clean(ret);
}

static void differ(char why[CHECKER_WHY_BYTES], const struct piece *expected, const struct piece *found)
{
	char want[EXCERPT + 8], have[EXCERPT + 8];

	excerpt(expected, want);
	excerpt(found, have);
	(void)snprintf(why, CHECKER_WHY_BYTES, "line %zu of the output: '%s' where '%s' is expected", found->line, have,
		       want);
}

static void ends(char why[CHECKER_WHY_BYTES], const struct piece *expected, const struct piece *found)
{
	char text[EXCERPT + 8];

	excerpt(expected ? expected : found, text);
	if (expected)
		(void)snprintf(why, CHECKER_WHY_BYTES, "the output ends where '%s' is expected", text);
	else
		(void)snprintf(why, CHECKER_WHY_BYTES, "line %zu of the output: '%s' where nothing more is expected",
			       found->line, text);
}

/* ---- checkers ---- */

static bool accepts_exactly(struct checked_text expected, struct checked_text found, char why[CHECKER_WHY_BYTES])
{
	size_t least = expected.size < found.size ? expected.size : found.size, at = 0;

	while (at < least && expected.data[at] == found.data[at])
		at++;
	if (at == expected.size && at == found.size)
		return true;
	if (at == found.size)
		(void)snprintf(why, CHECKER_WHY_BYTES, "the output ends after %zu bytes, %zu are expected", found.size,
			       expected.size);
	else if (at == expected.size)
		(void)snprintf(why, CHECKER_WHY_BYTES, "the output has %zu bytes, %zu are expected", found.size,
			       expected.size);
	else
		(void)snprintf(why, CHECKER_WHY_BYTES, "byte %zu of the output is 0x%02x where 0x%02x is expected", at,
			       (unsigned char)found.data[at], (unsigned char)expected.data[at]);
	return false;
}

bool checker_accepts(enum job_checker checker, double tolerance, struct checked_text expected,
		     struct checked_text found, char why[CHECKER_WHY_BYTES])
{
	next_fn *next = checker == CHECK_LINES ? next_line : next_token;
	struct reader want = reader_of(expected), have = reader_of(found);
	struct piece a, b;

	why[0] = '\0';
	if (checker == CHECK_EXACT)
		return accepts_exactly(expected, found, why);
	for (;;) {
		bool is_a = next(&want, &a), is_b = next(&have, &b);

		if (!is_a && !is_b)
			return true;
		if (!is_a || !is_b) {
			ends(why, is_a ? &a : NULL, is_b ? &b : NULL);
			return false;
		}
		if (checker == CHECK_NUMBERS ? !near(&a, &b, tolerance) : !same(&a, &b)) {
			differ(why, &a, &b);
			return false;
		}
	}
}
