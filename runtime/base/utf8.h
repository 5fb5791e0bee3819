/* What is text and what is not: strict UTF-8 as in RFC 3629 (no surrogates, nothing overlong). Pure; runs anywhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at data (1 to 4), 0 when there is none that is whole and valid. size is at least 1. */
size_t utf8_length(const char *data, size_t size);

/* Valid UTF-8 without NUL: what goes into JSON as it is, and comes out of every reader of JSON again. */
bool utf8_is_text(const char *data, size_t size);

/* The size without a character that was cut off at the end; the same when the end is whole, or is no UTF-8 at all. */
size_t utf8_whole(const char *data, size_t size);

/* In place: control characters and bytes that are no UTF-8 become '?'. For words that go to other people's screens. */
void utf8_clean(char *text);
