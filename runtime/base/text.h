/*
 * Text: copied into bounded room, looked for in lists of words.
 * Pure; async-signal-safe; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Copy a text with its NUL.
 *
 * ret   of the caller, not overlapping text; always terminated afterwards
 * room  bytes of ret, at least 1
 * text  terminated, or at least room bytes long: not more than room bytes of it are read
 *
 * Returns 0, or -ENAMETOOLONG: text and its NUL need more than room bytes; ret is "" then, never a text cut short.
 */
int text_copy(char *ret, size_t room, const char *text);

/* "cpuset cpu io memory" has the word cpu. Words end at blanks, tabs and line feeds. */
bool text_has_word(const char *text, const char *word);
