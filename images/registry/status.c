/* What a registry's refusal means, in words: see client_impl.h. Runs in: the fetch worker. */
#include <errno.h>
#include <stdio.h>

#include "images/registry/client_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"

/* The registry's own code and message: {"errors": [{"code": "...", "message": "..."}]}. Hostile: printable and short. */
static void what_it_says(const struct http_reply *reply, char *ret, size_t capacity)
{
	json_t *root = json_loadb(buf_str(&reply->body), reply->body.size, 0, NULL);
	const json_t *one = json_array_get(json_object_get(root, "errors"), 0);
	const char *code = json_string_value(json_object_get(one, "code"));
	const char *message = json_string_value(json_object_get(one, "message"));

	ret[0] = '\0';
	if (code)
		(void)snprintf(ret, capacity, ": %.60s%s%.120s", code, message ? ", " : "", message ? message : "");
	for (char *p = ret; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	json_decref(root);
}

int status_error(const struct http_reply *reply, struct error *err)
{
	static const struct {
		long status;
		int code;
		const char *words;
	} known[] = {
		{ 401, EACCES, "it does not accept our credentials" }, { 403, EACCES, "it forbids this" },
		{ 404, ENOENT, "it has no such image or layer" },      { 408, ETIMEDOUT, "it waited too long for us" },
		{ 413, EMSGSIZE, "it says that this is too large" },   { 429, EBUSY, "too many requests" },
	};
	char said[200];

	what_it_says(reply, said, sizeof(said));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status == reply->status)
			return error_set(err, known[i].code, "%s (status %ld%s)", known[i].words, reply->status, said);
	}
	if (reply->status >= 500)
		return error_set(err, EIO, "the registry failed (status %ld%s)", reply->status, said);
	return error_set(err, EPROTO, "unexpected status %ld%s", reply->status, said);
}
