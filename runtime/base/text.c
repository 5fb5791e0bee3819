/* Text: see text.h. */
#include "runtime/base/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int text_copy(char *ret, size_t room, const char *text)
{
	size_t size;

	assert(room > 0);
	size = strnlen(text, room);
	if (size == room) {
		ret[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(ret, text, size + 1);
	return 0;
}

bool text_has_word(const char *text, const char *word)
{
	const size_t n = strlen(word);

	while (n > 0 && *(text += strspn(text, " \t\n"))) {
		size_t length = strcspn(text, " \t\n");

		if (length == n && memcmp(text, word, n) == 0)
			return true;
		text += length;
	}
	return false;
}
