/*
 * Reading JSON that an operator wrote and that must be exactly what it should be: each object is a table of rows, what
 * is not in the table is refused, and a refusal names the place: "my.json: run.argv[2]: ...". Where documents come from
 * others and unknown fields are to be expected, use json_field.h.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

/* Set origin and err, which is not NULL; the rest is zero. */
struct json_reader {
	const char *origin; /* what messages call the document */
	struct error *err;
	char path[160]; /* where we are; cut when an unknown key is long */
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

/* Parse a text without duplicate keys that is an object. ret owned also after -EINVAL: json_decref(). */
int json_read_text(struct json_reader *r, const char *text, size_t size, json_t **ret);

/* Hand each member to its row; the table ends with a row without a key. */
int json_read_object(struct json_reader *r, json_t *object, const struct json_row *rows, void *target);

/*
 * A list of strings, at most max, each through read, which gives an owned string.
 * ret  owned, NULL-terminated also after a failure.
 */
typedef int json_item_fn(struct json_reader *r, json_t *item, char **ret);
int json_read_strings(struct json_reader *r, json_t *list, size_t max, json_item_fn *read, char ***ret);

/* Is the value of that kind? JSON_NULL stands for any. */
int json_expect(struct json_reader *r, const json_t *value, json_type type);
const char *json_kind(json_type type); /* "a list" */

/* "ORIGIN: PLACE: reason": -EINVAL. */
int json_refuse(struct json_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int json_no_memory(struct json_reader *r); /* -ENOMEM */

/* Step into a part of the document; json_leave() with what it returned, only after success. */
size_t json_enter(struct json_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void json_leave(struct json_reader *r, size_t before);
