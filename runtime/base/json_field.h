/*
 * Strict reading of foreign JSON documents: what we use must be of the right kind and within bounds, or the document is
 * refused with the field named. A thin layer over jansson, which already refuses duplicate keys and NUL when asked.
 * Pure; runs anywhere.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* One document, an object, with nothing after it; NULL with err filled (EBADMSG). Owned: json_decref(). */
json_t *json_document(const char *data, size_t size, const char *what, struct error *err);
/* The same for a document that may be any container (docker's manifest.json is an array). */
json_t *json_document_any(const char *data, size_t size, const char *what, struct error *err);

/* All below: 0, or -EBADMSG with err naming `key`. An absent or null field gives "" / 0 / NULL unless is_needed. */

/* Borrowed string without control characters, at most max bytes. */
int json_text(const json_t *object, const char *key, size_t max, bool is_needed, const char **ret, struct error *err);
/* A whole number from 0 to max. */
int json_size(const json_t *object, const char *key, uint64_t max, uint64_t *ret, struct error *err);
/* Borrowed array of at most max elements. */
int json_list(const json_t *object, const char *key, size_t max, bool is_needed, json_t **ret, struct error *err);
/* Borrowed object. */
int json_child(const json_t *object, const char *key, bool is_needed, json_t **ret, struct error *err);

static inline void cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_)))
