/* Base64 as in RFC 4648, section 4: the standard alphabet, strict. Pure; runs anywhere. */
#pragma once

#include <stddef.h>

/* Padding needed, no blanks. Owned and NUL-terminated; NULL with *ret_size untouched when it is not base64. */
char *base64_decode(const char *text, size_t size, size_t *ret_size);
/* Owned, NUL-terminated; NULL when out of memory (alloc_must()). */
char *base64_encode(const void *data, size_t size, size_t *ret_size);
