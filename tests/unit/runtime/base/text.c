/* Text: what fits is copied whole, what does not fit leaves nothing; a word is found as a whole or not at all. */
#include <errno.h>
#include <string.h>

#include "runtime/base/text.h"
#include "tests/tap.h"

static const struct {
	const char *text;
	size_t room;
	int want;
	const char *result, *title;
} rows[] = {
	{ "", 1, 0, "", "an empty text fits into one byte" },
	{ "", 8, 0, "", "an empty text empties the target" },
	{ "abc", 8, 0, "abc", "a short text is copied" },
	{ "abcdefg", 8, 0, "abcdefg", "a text that just fits is copied" },
	{ "abcdefgh", 8, -ENAMETOOLONG, "", "one byte more is refused, and nothing of it is left" },
	{ "a", 1, -ENAMETOOLONG, "", "one byte has no room for a letter" },
};

static const struct {
	const char *text, *word;
	bool want;
	const char *title;
} words[] = {
	{ "cpuset cpu io", "cpu", true, "a word is found behind one that begins with it" },
	{ "cpuset io", "cpu", false, "a part of a word is not one" },
	{ "cpu", "cpu", true, "a text of one word" },
	{ " \tcpu\n", "cpu", true, "with blanks around it" },
	{ "", "cpu", false, "an empty text has none" },
	{ "cpu io", "", false, "nothing is no word" },
	{ "cpu io", "cpu io", false, "two words are not one" },
};

int main(void)
{
	const char unterminated[4] = { 'a', 'b', 'c', 'd' };
	char ret[16];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(ret, 'x', sizeof(ret));
		is_int(text_copy(ret, rows[i].room, rows[i].text), rows[i].want, "%s", rows[i].title);
		is_str(ret, rows[i].result, "... the target holds '%s'", rows[i].result);
		ok(ret[rows[i].room] == 'x', "... and what is behind it is untouched");
	}
	is_int(text_copy(ret, sizeof(unterminated), unterminated), -ENAMETOOLONG,
	       "a text without an end is not read past room");
	is_str(ret, "", "... and nothing of it is left");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ok(text_has_word(words[i].text, words[i].word) == words[i].want, "%s", words[i].title);
	return done_testing();
}
