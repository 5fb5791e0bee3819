/* Bytes of anybody's in JSON, which can hold text alone. Pure; runs anywhere. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/*
 * {"key": text} or, when it is not UTF-8 or has a NUL in it (which many readers of JSON refuse), base64 and
 * {"key_encoding": "base64"}. Returns 0 or -ENOMEM.
 */
int json_set_bytes(json_t *object, const char *key, const void *data, size_t size);
