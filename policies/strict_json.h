/*
 * Reading JSON that must be exactly what it should be: each object is a table of fields, what is not in the table is
 * refused, and a refusal names the place, "my.json: syscalls[3].args[0].op: ...". Bad JSON: line and column.
 *
 * Numbers are unsigned and reach to 2^64-1, which jansson's do not: see strict_number().
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* Set origin, err and owner; the rest is zero. */
struct strict_json {
	const char *origin; /* what messages call the document */
	struct error *err;
	void *owner;    /* the caller's */
	char path[160]; /* where we are; cut when an unknown key is long */
};

/* Takes one value, whose type was checked. Returns 0, or what strict_refuse() and its like returned. */
typedef int strict_fn(struct strict_json *p, json_t *value, void *target);

struct strict_field {
	const char *key;
	json_type type;
	strict_fn *parse;
};

/*
 * Parse a text of size bytes, at most max of them. Duplicate keys and negative numbers are refused.
 * ret  owned by the caller: json_decref(). Returns 0, or -EINVAL, -E2BIG, -ENOMEM with p->err filled.
 */
int strict_parse(struct strict_json *p, const char *text, size_t size, size_t max, json_t **ret);

/* Hand each field to its row of the table. null stands for a field that is not there. */
int strict_object(struct strict_json *p, json_t *object, const struct strict_field *fields, size_t n, void *target);

#define STRICT_OBJECT(p, object, fields, target)                                                                       \
	strict_object((p), (object), (fields), sizeof(fields) / sizeof((fields)[0]), (target))

/* Hand over each item of a list; they must be of one type. */
int strict_list(struct strict_json *p, json_t *list, json_type type, strict_fn *parse, void *target);

/* The value of a JSON_INTEGER of such a document. */
static inline uint64_t strict_number(const json_t *value)
{
	return (uint64_t)json_integer_value(value);
}

/* "origin: path: reason", as -EINVAL, -E2BIG; -ENOMEM. */
int strict_refuse(struct strict_json *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int strict_too_big(struct strict_json *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int strict_no_memory(struct strict_json *p);

/* Step into a part of the document; strict_leave() with what it returned. On the way out of a failure: do not leave. */
size_t strict_enter(struct strict_json *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strict_leave(struct strict_json *p, size_t before);
