/* Strict reading of foreign JSON: see json_field.h. */
#include "runtime/base/json_field.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"

json_t *json_document_any(const char *data, size_t size, const char *what, struct error *err)
{
	json_error_t e;
	json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e); /* jansson bounds the depth (2048) */

	if (!root)
		(void)error_set(err, EBADMSG, "%s is not JSON: %.120s (line %d)", what, e.text, e.line);
	return root;
}

json_t *json_document(const char *data, size_t size, const char *what, struct error *err)
{
	json_t *root = json_document_any(data, size, what, err);

	if (root && !json_is_object(root)) {
		json_decref(root);
		(void)error_set(err, EBADMSG, "%s is not a JSON object", what);
		return NULL;
	}
	return root;
}

/* The field, or NULL for absent and null alike. */
static const json_t *field(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return v && !json_is_null(v) ? v : NULL;
}

static int missing(const char *key, bool is_needed, struct error *err)
{
	return is_needed ? error_set(err, EBADMSG, "'%s' is missing", key) : 0;
}

int json_text(const json_t *object, const char *key, size_t max, bool is_needed, const char **ret, struct error *err)
{
	const json_t *v = field(object, key);
	const char *s;

	*ret = "";
	if (!v)
		return missing(key, is_needed, err);
	s = json_string_value(v);
	if (!s)
		return error_set(err, EBADMSG, "'%s' is not a string", key);
	if (json_string_length(v) > max)
		return error_set(err, EBADMSG, "'%s' is longer than %zu bytes", key, max);
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return error_set(err, EBADMSG, "'%s' has a control character in it", key);
	}
	*ret = s;
	return 0;
}

int json_size(const json_t *object, const char *key, uint64_t max, uint64_t *ret, struct error *err)
{
	const json_t *v = field(object, key);

	if (!v)
		return missing(key, true, err);
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return error_set(err, EBADMSG, "'%s' is not a whole number from 0 up", key);
	if ((uint64_t)json_integer_value(v) > max)
		return error_set(err, EBADMSG, "'%s' is %lld, more than %llu", key, (long long)json_integer_value(v),
				 (unsigned long long)max);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

int json_list(const json_t *object, const char *key, size_t max, bool is_needed, json_t **ret, struct error *err)
{
	json_t *v = json_object_get(object, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return missing(key, is_needed, err);
	if (!json_is_array(v))
		return error_set(err, EBADMSG, "'%s' is not an array", key);
	if (json_array_size(v) > max)
		return error_set(err, EBADMSG, "'%s' has %zu elements, more than %zu", key, json_array_size(v), max);
	*ret = v;
	return 0;
}

int json_child(const json_t *object, const char *key, bool is_needed, json_t **ret, struct error *err)
{
	json_t *v = json_object_get(object, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return missing(key, is_needed, err);
	if (!json_is_object(v))
		return error_set(err, EBADMSG, "'%s' is not an object", key);
	*ret = v;
	return 0;
}
