/*
 * Globs over relative paths: which files a job hands back. Both sides are hostile (the pattern is the request's, the
 * path the sandbox's), so the work is bounded by their sizes multiplied, and nothing recurses.
 *
 *   *      any characters of one component      [a-z] [!x]  one character of a set; without a ']' it is a '['
 *   ?      one character                        \x          x itself
 *   **     as a component of its own: any number of components, also none
 *
 * As in a shell, a name that starts with a point is only matched by a pattern that says the point: `**` does not go
 * into .cache. A character is one of UTF-8; a byte that is no UTF-8 counts as one.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>

/* Both terminated; neither starts with '/'. A trailing `**` stands for the files at any depth. */
bool glob_match(const char *pattern, const char *path);
