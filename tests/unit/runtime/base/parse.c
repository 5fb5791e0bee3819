/* Strict parsers: what is taken, what is refused, and with which words. */
#include <errno.h>
#include <stdint.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "tests/tap.h"

typedef int parser(const char *, uint64_t, uint64_t, uint64_t *, struct error *);

static const struct {
	const char *what;
	parser *parse;
	const char *text;
	int code; /* 0, or the errno expected */
	uint64_t value;
} rows[] = {
	{ "u64", parse_u64, "0", 0, 0 },
	{ "u64", parse_u64, "18446744073709551615", 0, UINT64_MAX },
	{ "u64", parse_u64, "18446744073709551616", ERANGE, 0 },
	{ "u64", parse_u64, "0xff", 0, 255 },
	{ "u64", parse_u64, "0x", EINVAL, 0 },
	{ "u64", parse_u64, "", EINVAL, 0 },
	{ "u64", parse_u64, " 1", EINVAL, 0 },
	{ "u64", parse_u64, "1 ", EINVAL, 0 },
	{ "u64", parse_u64, "-1", EINVAL, 0 },
	{ "u64", parse_u64, "+1", EINVAL, 0 },
	{ "u64", parse_u64, "1e3", EINVAL, 0 },
	{ "bytes", parse_bytes, "64M", 0, 64u << 20 },
	{ "bytes", parse_bytes, "64MiB", 0, 64u << 20 },
	{ "bytes", parse_bytes, "1T", 0, 1ULL << 40 },
	{ "bytes", parse_bytes, "4096", 0, 4096 },
	{ "bytes", parse_bytes, "4096B", 0, 4096 },
	{ "bytes", parse_bytes, "64 M", EINVAL, 0 },
	{ "bytes", parse_bytes, "M", EINVAL, 0 },
	{ "bytes", parse_bytes, "1.5G", EINVAL, 0 },
	{ "bytes", parse_bytes, "99999999999T", ERANGE, 0 },
	{ "duration", parse_duration_ns, "250ms", 0, 250000000 },
	{ "duration", parse_duration_ns, "5s", 0, 5000000000 },
	{ "duration", parse_duration_ns, "2m", 0, 120000000000 },
	{ "duration", parse_duration_ns, "1h", 0, 3600000000000 },
	{ "duration", parse_duration_ns, "20us", 0, 20000 },
	{ "duration", parse_duration_ns, "7ns", 0, 7 },
	{ "duration", parse_duration_ns, "5", EINVAL, 0 },
	{ "duration", parse_duration_ns, "5 s", EINVAL, 0 },
	{ "duration", parse_duration_ns, "9999999999999h", ERANGE, 0 },
	{ "milli", parse_milli, "1", 0, 1000 },
	{ "milli", parse_milli, "1.5", 0, 1500 },
	{ "milli", parse_milli, "0.25", 0, 250 },
	{ "milli", parse_milli, "0.125", 0, 125 },
	{ "milli", parse_milli, "0.1255", EINVAL, 0 },
	{ "milli", parse_milli, "1.", EINVAL, 0 },
	{ "milli", parse_milli, ".5", EINVAL, 0 },
	{ "milli", parse_milli, "1,5", EINVAL, 0 },
};

static void walk_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 4711;
		struct error err = ERROR_INIT;
		int r = rows[i].parse(rows[i].text, 0, UINT64_MAX, &value, &err);
		bool is_right =
			r == -rows[i].code && err.code == rows[i].code && value == (r == 0 ? rows[i].value : 4711);

		ok(is_right, "%s '%s' is %s", rows[i].what, rows[i].text, rows[i].code ? "refused" : "taken");
		if (!is_right)
			diag("returned %d (%s), value %llu", r, err.text, (unsigned long long)value);
		if (r < 0)
			ok(rows[i].text[0] == '\0' || strstr(err.text, rows[i].text), "the message names '%s'",
			   rows[i].text);
	}
}

int main(void)
{
	struct error err = ERROR_INIT;
	uint64_t u = 1;
	int64_t i = 1;
	bool b = false;

	walk_rows();

	is_int(parse_u64("5", 6, 9, &u, &err), -ERANGE, "a number below the minimum is refused");
	has_str(err.text, "6 to 9", "the message says the range");
	is_int(u, 1, "the result is untouched on failure");
	is_int(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i, &err), 0, "the smallest int64 is taken");
	ok(i == INT64_MIN, "and has its value");
	is_int(parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i, &err), -ERANGE,
	       "one past the largest is refused");
	is_int(parse_i64("--1", INT64_MIN, INT64_MAX, &i, &err), -EINVAL, "two signs are refused");

	ok(parse_bool("yes", &b, &err) == 0 && b, "yes is true");
	ok(parse_bool("0", &b, &err) == 0 && !b, "0 is false");
	is_int(parse_bool("maybe", &b, &err), -EINVAL, "maybe is refused");

	is_int(parse_id("cube_abc-1.2", &err), 0, "an ordinary id is taken");
	for (const char *const *bad = (const char *const[]){ "", "..", ".x", "a/b", "a b", "-x", "a\nb", "ä", NULL };
	     *bad; bad++)
		is_int(parse_id(*bad, &err), -EINVAL, "id '%s' is refused",
		       strchr(*bad, '\n') ? "with a newline" : *bad);
	is_int(parse_id("a1234567890123456789012345678901234567890123456789012345678901234", &err), -EINVAL,
	       "an id of 65 bytes is refused");
	return done_testing();
}
