/* Which files a job hands back: patterns of the request against paths of the sandbox. */
#include "supervisor/spec/glob.h"

#include "runtime/base/clock.h"
#include "tests/tap.h"

/* clang-format off */
static const struct {
	const char *pattern, *path;
	bool is_match;
} rows[] = {
	{ "a.png", "a.png", true }, { "a.png", "b.png", false }, { "a.png", "a.pn", false }, { "a.pn", "a.png", false },
	{ "*", "a", true }, { "*", "a/b", false }, { "*", "", true },
	{ "*.png", "a.png", true }, { "*.png", "a.png.txt", false }, { "*.png", "d/a.png", false }, { "*.png", "png", false },
	{ "a*b*c", "abc", true }, { "a*b*c", "aXbYbZc", true }, { "a*b*c", "aXbYbZ", false }, { "**a", "xa", true },
	{ "?", "a", true }, { "?", "ab", false }, { "?", "\xc3\xa4", true }, { "??", "\xc3\xa4", false },
	{ "?", "\xff", true }, { "?", "\xf0\x9f\x98\x80", true }, { "\xc3\xa4", "\xc3\xa4", true }, { "*\xa4", "\xc3\xa4", false },
	{ "[ab]", "a", true }, { "[ab]", "c", false }, { "[a-c]x", "bx", true }, { "[a-c]x", "dx", false },
	{ "[!a-c]", "d", true }, { "[^a-c]", "d", true }, { "[!a-c]", "b", false }, { "[]]", "]", true }, { "[!]]", "a", true },
	{ "[a-]", "-", true }, { "[a-]", "b", false }, { "[", "[", true }, { "[a", "[a", true }, { "x[a", "xa", false },
	{ "[\xc3\xa0-\xc3\xbf]", "\xc3\xa4", true }, { "[\xc3\xa0-\xc3\xbf]", "z", false }, { "[\\]]", "]", true },
	{ "\\*", "*", true }, { "\\*", "a", false }, { "a\\", "a\\", true }, { "\\a", "a", true },
	{ "out/*.txt", "out/a.txt", true }, { "out/*.txt", "out/b/a.txt", false }, { "*/*", "a/b", true }, { "*/*", "a", false },
	{ "**", "a", true }, { "**", "a/b/c", true }, { "**/*.txt", "a.txt", true }, { "**/*.txt", "x/y/a.txt", true },
	{ "**/*.txt", "x/y/a.png", false }, { "a/**", "a/b/c", true }, { "a/**", "a", false }, { "a/**", "b/a", false },
	{ "a/**/z", "a/z", true }, { "a/**/z", "a/b/c/z", true }, { "a/**/z", "a/b/c/y", false }, { "**/**", "a/b", true },
	{ "**/b/**/c", "a/b/x/c", true }, { "**/b/**/c", "b/c", true }, { "**/b/**/c", "c/b", false }, { "**/a/b", "a/a/b", true },
	{ "**/a/b", "a/b/a/b", true }, { "a**b", "a/b", false }, { "a**b", "aXXb", true },
	/* what starts with a point has to be named */
	{ "*", ".bashrc", false }, { "?bashrc", ".bashrc", false }, { "[.]bashrc", ".bashrc", false }, { ".*", ".bashrc", true },
	{ "\\.*", ".bashrc", true }, { "**", ".cache/x", false }, { "**", "a/.x", false }, { "**/x", ".cache/x", false },
	{ "**/.x", "a/b/.x", true }, { ".cache/**", ".cache/a/b", true }, { ".cache/**", ".cache/.b", false }, { "*", "a.b", true },
	{ "a/*", "a/.b", false }, { "a*", "a.b", true },
};
/* clang-format on */

static void table(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(glob_match(rows[i].pattern, rows[i].path) == rows[i].is_match, "'%s' %s '%s'", rows[i].pattern,
		   rows[i].is_match ? "takes" : "leaves", rows[i].path);
}

static void fill(char *to, size_t size, const char *piece, const char *end)
{
	size_t n = strlen(piece), at = 0;

	for (; at + n + strlen(end) + 1 < size; at += n)
		memcpy(to + at, piece, n);
	(void)snprintf(to + at, size - at, "%s", end);
}

/* What takes a naive matcher longer than the sun will shine. */
static void expensive(void)
{
	static const char *const pieces[][2] = { { "a*", "a" },     { "*a", "a" },     { "**/", "a/" },
						 { "**/a/", "a/" }, { "[a-b]*", "a" }, { "*/", "a/" } };
	char pattern[512], path[4096];
	uint64_t start = clock_now_ns();

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		fill(pattern, sizeof(pattern), pieces[i][0], "z");
		fill(path, sizeof(path), pieces[i][1], "y");
		ok(!glob_match(pattern, path), "many '%s' do not match", pieces[i][0]);
	}
	ok(clock_now_ns() - start < NS_PER_S, "and it took no time (%d ms)",
	   (int)((clock_now_ns() - start) / NS_PER_MS));
}

int main(void)
{
	table();
	expensive();
	return done_testing();
}
