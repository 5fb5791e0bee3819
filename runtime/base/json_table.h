/*
 * Reading JSON that an operator wrote and that must be exactly what it should be: each object is a table of rows, what
 * is not in the table is refused, and a refusal names the place: "my.json: run.argv[2]: ...". Where documents come from
 * others and unknown fields are to be expected, use json_field.h. Pure; runs anywhere.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* Set origin and err, which is not NULL; the rest as the form of the document wants it, or zero. */
struct json_reader {
	const char *origin; /* what messages call the document */
	struct error *err;
	void *owner;         /* the caller's, for its own functions */
	size_t max_bytes;    /* of the text; 0: the caller has looked */
	bool is_unsigned;    /* numbers reach to 2^64-1 (json_read_u64) and none is negative; jansson's are int64_t */
	bool null_is_absent; /* a member that is null counts as one that is not there */
	char path[160];      /* where we are; cut when an unknown key is long */
};

/* Takes one value, whose kind was checked, into target. Returns 0, or what json_refuse() and its like returned. */
typedef int json_row_fn(struct json_reader *r, json_t *value, void *target);

struct json_row {
	const char *key;
	json_type type; /* JSON_NULL: the function looks itself */
	bool is_needed;
	json_row_fn *read;
	size_t offset; /* of its target in the struct that json_read_object() is given */
};

/*
 * Parse a text without duplicate keys that is an object. ret owned also after a failure (may be NULL): json_decref().
 * Returns 0, or with err filled: -E2BIG more than max_bytes; -EINVAL, with line and column, or a byte order mark; -ENOMEM.
 */
int json_read_text(struct json_reader *r, const char *text, size_t size, json_t **ret);

/*
 * Make whole numbers of 2000.0 and 2e3 in a document that was parsed, in place: JSON knows one kind of number, and many
 * programs write theirs so. json_read_text() does it. Returns 0 or -ENOMEM.
 */
int json_whole_numbers(json_t *document);

/* Hand each member to its row; the table ends with a row without a key. */
int json_read_object(struct json_reader *r, json_t *object, const struct json_row *rows, void *target);

/* Hand over each item of a list; they must all be of that kind (JSON_NULL: of any). */
int json_read_list(struct json_reader *r, json_t *list, json_type type, json_row_fn *read, void *target);

/*
 * A list of strings, at most max, each through read, which gives an owned string.
 * ret  owned, NULL-terminated also after a failure.
 */
typedef int json_item_fn(struct json_reader *r, json_t *item, char **ret);
int json_read_strings(struct json_reader *r, json_t *list, size_t max, json_item_fn *read, char ***ret);

/* Is the value of that kind? JSON_NULL stands for any. */
int json_expect(struct json_reader *r, const json_t *value, json_type type);
const char *json_kind(json_type type); /* "a list" */

/* A JSON_INTEGER of a document that was read with is_unsigned. */
static inline uint64_t json_read_u64(const json_t *value)
{
	return (uint64_t)json_integer_value(value);
}

/* "ORIGIN: PLACE: reason": -EINVAL, -E2BIG. */
int json_refuse(struct json_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int json_too_big(struct json_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int json_no_memory(struct json_reader *r); /* -ENOMEM */

/* Step into a part of the document; json_leave() with what it returned, only after success. */
size_t json_enter(struct json_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void json_leave(struct json_reader *r, size_t before);
