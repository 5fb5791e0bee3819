/*
 * What a program printed, held against what was expected of it.
 *
 *   lines    line by line; blanks at the end of a line, and empty lines at the end of all, do not count
 *   exact    byte by byte
 *   tokens   what stands between blanks (space, tab, line feed, carriage return, form feed), whatever is between them
 *   numbers  tokens; where both are decimal numbers they may be apart by tolerance, or by tolerance times the expected
 *            one, whichever is more
 *
 * Pure; both texts are hostile, may hold any byte and be as long as the limits of output and of a request allow. Linear.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/spec/spec.h"

struct checked_text {
	const char *data;
	size_t size;
};

enum { CHECKER_WHY_BYTES = 200 };

/*
 * Returns whether it is as expected. why: a sentence that says where they differ first, in UTF-8 without control
 * characters; "" when they do not.
 */
bool checker_accepts(enum job_checker checker, double tolerance, struct checked_text expected,
		     struct checked_text found, char why[CHECKER_WHY_BYTES]);
