/* Text, or base64 with a word that says so: see json_bytes.h. */
#include "runtime/base/json_bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/base64.h"
#include "runtime/base/utf8.h"

int json_set_bytes(json_t *object, const char *key, const void *data, size_t size)
{
	char name[80];
	char *coded;
	size_t n;
	int e;

	if (utf8_is_text(data, size))
		return json_object_set_new(object, key, json_stringn_nocheck(size ? data : "", size)) < 0 ? -ENOMEM : 0;
	coded = base64_encode(data, size, &n);
	if (!coded)
		return -ENOMEM;
	(void)snprintf(name, sizeof(name), "%s_encoding", key); /* keys are ours, and short */
	e = json_object_set_new(object, key, json_stringn_nocheck(coded, n)) < 0 ||
	    json_object_set_new(object, name, json_string("base64")) < 0;
	free(coded);
	return e ? -ENOMEM : 0;
}
