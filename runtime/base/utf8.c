/* Strict UTF-8: see utf8.h. */
#include "runtime/base/utf8.h"

#include <stdint.h>
#include <string.h>

/* What the first byte promises; 0: it is none. c0, c1 and f5 and above only occur in what is not allowed. */
static size_t promised(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c < 0xe0)
		return 2;
	if (c >= 0xe0 && c < 0xf0)
		return 3;
	return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* The second byte is where overlong forms, surrogates and what is above 10ffff show. */
static bool is_second(unsigned char first, unsigned char c)
{
	unsigned char low = 0x80, high = 0xbf;

	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	return c >= low && c <= high;
}

/* How many bytes of a character are there, and valid as far as they go. */
static size_t valid_part(const char *data, size_t size, size_t want)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t n = 1;

	if (n < want && n < size && is_second(p[0], p[1]))
		n++;
	while (n >= 2 && n < want && n < size && (p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

size_t utf8_length(const char *data, size_t size)
{
	size_t want = promised((unsigned char)*data);

	return want && valid_part(data, size, want) == want ? want : 0;
}

bool utf8_is_text(const char *data, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t n = 1;

		if ((unsigned char)data[i] >= 0x80)
			n = utf8_length(data + i, size - i);
		else if (data[i] == '\0')
			return false;
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

size_t utf8_whole(const char *data, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		const char *p = data + size - back;
		size_t want = promised((unsigned char)*p);

		if (want > back && valid_part(p, back, want) == back)
			return size - back;
		if (want)
			break;
	}
	return size;
}

void utf8_clean(char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(text + i, size - i);

		if (n == 0 || (n == 1 && ((unsigned char)text[i] < ' ' || text[i] == 0x7f)))
			text[i] = '?';
		i += n ? n : 1;
	}
}
