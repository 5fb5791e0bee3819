/* Strict parsers: see parse.h. */
#include "runtime/base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "runtime/base/error.h"

enum { ID_MAX = 64, MILLI = 1000, MILLI_DIGITS = 3 };

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* clang-format off */
static const struct unit byte_units[] = {
	{ "",    1 },
	{ "B",   1 },
	{ "K",   1ULL << 10 }, { "KB", 1ULL << 10 }, { "KiB", 1ULL << 10 },
	{ "M",   1ULL << 20 }, { "MB", 1ULL << 20 }, { "MiB", 1ULL << 20 },
	{ "G",   1ULL << 30 }, { "GB", 1ULL << 30 }, { "GiB", 1ULL << 30 },
	{ "T",   1ULL << 40 }, { "TB", 1ULL << 40 }, { "TiB", 1ULL << 40 },
	{ NULL,  0 },
};

static const struct unit time_units[] = {
	{ "ns", 1ULL },
	{ "us", 1000ULL },
	{ "ms", 1000000ULL },
	{ "s",  1000000000ULL },
	{ "m",  60ULL * 1000000000ULL },
	{ "h",  3600ULL * 1000000000ULL },
	{ NULL, 0 },
};
/* clang-format on */

/* Read digits of a base from *p; -EINVAL when there is none, -ERANGE past 64 bits. Advances *p. */
static int take_digits(const char **p, unsigned base, uint64_t *ret)
{
	const char *start = *p;
	uint64_t value = 0;

	for (;; (*p)++) {
		unsigned char c = (unsigned char)**p;
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (base == 16 && isxdigit(c))
			digit = (unsigned)tolower(c) - 'a' + 10;
		else
			break;
		if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
			return -ERANGE;
	}
	if (*p == start)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int check_range(const char *text, uint64_t value, uint64_t min, uint64_t max, struct error *err)
{
	if (value < min || value > max)
		return error_set(err, ERANGE, "'%s' is outside %" PRIu64 " to %" PRIu64, text, min, max);
	return 0;
}

static int too_big(const char *text, struct error *err)
{
	return error_set(err, ERANGE, "'%s' is too big", text);
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
	const char *p = text;
	unsigned base = 10;
	uint64_t value;
	int r;

	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	r = take_digits(&p, base, &value);
	if (r == -ERANGE)
		return too_big(text, err);
	if (r < 0 || *p)
		return error_set(err, EINVAL, "'%s' is not a whole number", text);
	r = check_range(text, value, min, max, err);
	if (r == 0)
		*ret = value;
	return r;
}

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct error *err)
{
	const char *p = text;
	bool negative = *p == '-';
	uint64_t magnitude;
	int64_t value;
	int r;

	if (negative)
		p++;
	r = take_digits(&p, 10, &magnitude);
	if (r == -ERANGE || (r == 0 && magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)))
		return too_big(text, err);
	if (r < 0 || *p)
		return error_set(err, EINVAL, "'%s' is not a whole number", text);
	value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (value < min || value > max)
		return error_set(err, ERANGE, "'%s' is outside %" PRId64 " to %" PRId64, text, min, max);
	*ret = value;
	return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, const char *what, uint64_t min, uint64_t max,
			   uint64_t *ret, struct error *err)
{
	const char *p = text;
	uint64_t value;
	int r = take_digits(&p, 10, &value);

	if (r == -ERANGE)
		return too_big(text, err);
	if (r == 0) {
		for (const struct unit *u = units; u->suffix; u++) {
			if (strcmp(p, u->suffix) != 0)
				continue;
			if (__builtin_mul_overflow(value, u->factor, &value))
				return too_big(text, err);
			r = check_range(text, value, min, max, err);
			if (r == 0)
				*ret = value;
			return r;
		}
	}
	return error_set(err, EINVAL, "'%s' is not %s", text, what);
}

int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
	return parse_with_unit(text, byte_units, "a size such as 4096, 64K, 64M or 2G", min, max, ret, err);
}

int parse_duration_ns(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
	return parse_with_unit(text, time_units, "a time such as 250ms, 5s or 2m", min, max, ret, err);
}

int parse_milli(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err)
{
	const char *p = text;
	uint64_t whole, part = 0, value;
	int r = take_digits(&p, 10, &whole);

	if (r == 0 && *p == '.') {
		const char *start = ++p;
		ptrdiff_t digits;

		r = take_digits(&p, 10, &part);
		digits = p - start;
		if (r == 0 && digits > MILLI_DIGITS)
			r = -EINVAL;
		for (; r == 0 && digits < MILLI_DIGITS; digits++)
			part *= 10;
	}
	if (r == -EINVAL || (r == 0 && *p))
		return error_set(err, EINVAL, "'%s' is not a number such as 1, 0.5 or 1.25", text);
	if (r < 0 || __builtin_mul_overflow(whole, (uint64_t)MILLI, &value) ||
	    __builtin_add_overflow(value, part, &value))
		return too_big(text, err);
	r = check_range(text, value, min, max, err);
	if (r == 0)
		*ret = value;
	return r;
}

int parse_bool(const char *text, bool *ret, struct error *err)
{
	static const char *const words[][2] = { { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int v = 0; v < 2; v++) {
			if (strcmp(text, words[i][v]) == 0) {
				*ret = v == 1;
				return 0;
			}
		}
	}
	return error_set(err, EINVAL, "'%s' is not yes or no", text);
}

int parse_id(const char *text, struct error *err)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

	if (n == 0 || text[n] || n > ID_MAX || !isalnum((unsigned char)text[0]))
		return error_set(
			err, EINVAL,
			"'%.70s' is not an id: 1 to %d letters, digits, '-', '_', '.', the first a letter or digit",
			text, ID_MAX);
	return 0;
}
