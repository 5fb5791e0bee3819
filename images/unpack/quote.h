/*
 * Names out of an archive, made fit to print: control bytes, quotes and what is not ASCII escaped, long ones cut.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stddef.h>

enum { QUOTE_BYTES = 128 };

/* ret: at most QUOTE_BYTES with the NUL; quotes ' around it. Returns ret. name may be NULL: '?'. */
const char *quote_name(const char *name, char ret[QUOTE_BYTES]);

/* The same as a temporary of the calling block. */
#define QUOTE(name) quote_name((name), (char[QUOTE_BYTES]){ 0 })
