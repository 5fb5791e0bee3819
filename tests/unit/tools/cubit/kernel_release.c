/* Kernel versions compare as numbers, whatever a distribution appends. */
#include "tests/tap.h"

#include "tools/cubit/kernel_release.c" /* part of a program, not of a library: NOLINT(bugprone-suspicious-include) */

static const struct {
	const char *release;
	bool is_enough; /* for 6.1 */
} rows[] = {
	{ "6.1.0-25-amd64", true },
	{ "6.1", true },
	{ "6.1-rc3", true },
	{ "6.10.1", true },
	{ "6.18.44-x", true },
	{ "7.0.0", true },
	{ "10.0", true },
	{ "6.0.19", false },
	{ "5.15.167.4-WSL2", false },
	{ "5.99", false },
	{ "6", false },
	{ "6.", false },
	{ "6.x", false },
	{ "", false },
	{ "linux", false },
	{ "-6.1", false },
	{ "99999999999999999999.1", true }, /* absurd, and at least no smaller */
};

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(kernel_release_at_least(rows[i].release, 6, 1) == rows[i].is_enough, "'%s' is %s 6.1",
		   rows[i].release, rows[i].is_enough ? "at least" : "not known to be");
	return done_testing();
}
