/* Hostile names made fit to print: see quote.h. */
#include "images/unpack/quote.h"

#include <stdio.h>
#include <string.h>

const char *quote_name(const char *name, char ret[QUOTE_BYTES])
{
	enum { ESCAPED = 4, TAIL = 5 }; /* one byte as \xNN; "...'" and the NUL */
	size_t at = 0;

	if (!name)
		name = "?";
	ret[at++] = '\'';
	for (; *name && at + ESCAPED + TAIL <= QUOTE_BYTES; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < ' ' || c >= 0x7f || c == '\'' || c == '\\')
			at += (size_t)snprintf(ret + at, QUOTE_BYTES - at, "\\x%02x", c);
		else
			ret[at++] = (char)c;
	}
	memcpy(ret + at, *name ? "...'" : "'", *name ? 5 : 2);
	return ret;
}
