/* What a program printed against what was expected: every checker over a table, and texts that are made to break it. */
#include "supervisor/jobs/checker.h"

#include <time.h>

#include "runtime/base/utf8.h"
#include "tests/tap.h"

/* One letter for each checker in the order of the enum, when it accepts: Lines, Exact, Tokens, Numbers. */
static const char letters[JOB_CHECKERS + 1] = "LETN";

struct row {
	const char *expected, *found, *accepted, *why; /* why: of the first checker that refuses; NULL: not looked at */
};

#define TOLERANCE 1e-6

/* clang-format off */
static const struct row rows[] = {
	{ "", "", "LETN", NULL },
	{ "1\n2\n", "1\n2\n", "LETN", NULL },
	{ "1\n2\n", "1\n2", "LTN", "the output ends after 3 bytes, 4 are expected" },
	{ "1\n2", "1\n2\n\n  \n", "LTN", "the output has 8 bytes, 3 are expected" },
	{ "1 \n2\r\n", "1\n2\t\n", "LTN", "byte 1 of the output is 0x0a where 0x20 is expected" },
	{ "1\n2\n", "1 2", "TN", "line 1 of the output: '1 2' where '1' is expected" },
	{ "1 2", " 1 2", "TN", NULL },
	{ "a\n\nb", "a\nb", "TN", "line 2 of the output: 'b' where '' is expected" },
	{ "a", "b", "", "line 1 of the output: 'b' where 'a' is expected" },
	{ "a", "", "", "the output ends where 'a' is expected" },
	{ "", "a", "", "line 1 of the output: 'a' where nothing more is expected" },
	{ "a\nb", "a", "", "the output ends where 'b' is expected" },
	{ "a b", "a", "", NULL },
	{ "a", "a\nc", "", "line 2 of the output: 'c' where nothing more is expected" },
	{ "A", "a", "", NULL },
	{ "0.5", "0.50", "N", NULL },
	{ "0.5", ".5", "N", NULL },
	{ "1", "1.0000009", "N", NULL },
	{ "1", "1.0000011", "", NULL },
	{ "1000000", "1000000.9", "N", NULL }, /* of the expected one */
	{ "1000000", "1000001.1", "", NULL },
	{ "0", "-0.0000009", "N", NULL },
	{ "-0", "0", "N", NULL },
	{ "1e3", "1000", "N", NULL },
	{ "x 1", "x 1.0000000001", "N", NULL },
	{ "x 1", "y 1", "", NULL },
	{ "16", "0x10", "", NULL },
	{ "nan", "NaN", "", NULL },
	{ "nan", "nan", "LETN", NULL },
	{ "inf", "1e999", "", NULL },
	{ "1e999", "2e999", "", NULL },
	{ "1", "1-", "", NULL },
	{ "-", "+", "", NULL },
	{ "\xff", "\xfe", "", "line 1 of the output: '?' where '?' is expected" },
};
/* clang-format on */

static void test_table(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		char accepted[JOB_CHECKERS + 1] = "", why[CHECKER_WHY_BYTES], first[CHECKER_WHY_BYTES] = "";
		size_t n = 0;

		for (int c = 0; c < JOB_CHECKERS; c++) {
			bool is_right = checker_accepts((enum job_checker)c, TOLERANCE,
							(struct checked_text){ r->expected, strlen(r->expected) },
							(struct checked_text){ r->found, strlen(r->found) }, why);

			if (is_right != (why[0] == '\0'))
				ok(false, "row %zu: a reason exactly where it is refused: '%s'", i, why);
			if (is_right)
				accepted[n++] = letters[c];
			else if (!first[0])
				(void)snprintf(first, sizeof(first), "%s", why);
		}
		is_str(accepted, r->accepted, "row %zu is accepted by", i);
		if (r->why)
			is_str(first, r->why, "and why not");
	}
}

/* Any byte, none of them behind the end: a sanitizer sees it. */
static void test_bytes(void)
{
	for (int c = 0; c < JOB_CHECKERS; c++) {
		for (size_t size = 0; size < 300; size++) {
			char *a = malloc(size ? size : 1), *b = malloc(size ? size : 1), why[CHECKER_WHY_BYTES];
			struct checked_text expected = { a, size }, found = { b, size };

			if (!a || !b)
				abort();
			for (size_t i = 0; i < size; i++)
				a[i] = b[i] = (char)(i * 151 + size);
			if (!checker_accepts((enum job_checker)c, 0, expected, found, why))
				ok(false, "%zu bytes are as themselves for %s", size,
				   job_checker_name((enum job_checker)c));
			if (size > 1) {
				b[size / 2] = a[size / 2] == 'x' ? 'y' : 'x';
				(void)checker_accepts((enum job_checker)c, 0, expected, found, why);
				if (!utf8_is_text(why, strlen(why)))
					ok(false, "the reason is text, whatever was printed");
			}
			free(a);
			free(b);
		}
	}
	ok(true, "any bytes of any length are compared, and the reason is text");
}

static void test_time(void)
{
	const size_t size = 16 << 20;
	char *a = malloc(size), *b = malloc(size), why[CHECKER_WHY_BYTES];
	clock_t start = clock();

	if (!a || !b)
		abort();
	for (int c = 0; c < JOB_CHECKERS; c++) {
		memset(a, c % 2 ? ' ' : '1', size); /* blanks only, one number without end */
		memset(b, c % 2 ? '\n' : '1', size);
		(void)checker_accepts((enum job_checker)c, 1e-6, (struct checked_text){ a, size },
				      (struct checked_text){ b, size }, why);
	}
	ok((clock() - start) / CLOCKS_PER_SEC < 20, "sixteen megabytes of one kind are no work of minutes");
	free(a);
	free(b);
}

int main(void)
{
	test_table();
	test_bytes();
	test_time();
	return done_testing();
}
