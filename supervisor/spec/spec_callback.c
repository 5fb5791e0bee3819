/*
 * Where to tell of the end of a queued job: see spec.h. Only the form is checked here; where the name leads is looked
 * at when it is called, as names may lead elsewhere by then.
 */
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/json_table.h"
#include "supervisor/spec/spec_impl.h"

enum { SECRET_MAX = 256 };

static int check_scheme(struct json_reader *r, CURLU *url)
{
	char *scheme = NULL;
	int e = 0;

	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return json_no_memory(r);
	if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
		e = json_refuse(r, "is neither http:// nor https://");
	curl_free(scheme);
	return e;
}

/* The same parser as of the library that will call it, so that both mean the same host. */
static int check_url(struct json_reader *r, const char *text)
{
	CURLU *url = curl_url();
	CURLUcode code;
	int e;

	if (!url)
		return json_no_memory(r);
	code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER);
	if (code == CURLUE_OK)
		e = check_scheme(r, url);
	else if (code == CURLUE_OUT_OF_MEMORY)
		e = json_no_memory(r);
	else if (code == CURLUE_USER_NOT_ALLOWED)
		e = json_refuse(r, "has a user name or a password in it; use the secret to sign what is sent");
	else
		e = json_refuse(r, "is not a URL: %s", curl_url_strerror(code));
	curl_url_cleanup(url);
	return e;
}

static int read_url(struct json_reader *r, json_t *value, void *target)
{
	const char *text = json_string_value(value);
	int e;

	if (!text[0])
		return json_refuse(r, "is empty");
	if (json_string_length(value) > JOB_CALLBACK_MAX)
		return json_refuse(r, "longer than %d bytes", JOB_CALLBACK_MAX);
	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f) /* bytes above 7f are below 0 or above it */
			return json_refuse(r, "has a character that must be percent-encoded in a URL");
	}
	e = check_url(r, text);
	return e < 0 ? e : spec_keep(text, target);
}

static int read_secret(struct json_reader *r, json_t *value, void *target)
{
	size_t size = json_string_length(value);

	if (size == 0 || size > SECRET_MAX)
		return json_refuse(r, "is not between 1 and %d bytes long", SECRET_MAX);
	return spec_keep(json_string_value(value), target);
}

/* clang-format off */
static const struct json_row callback_fields[] = {
	{ "url",    JSON_STRING, true,  read_url,    offsetof(struct job_spec, callback_url) },
	{ "secret", JSON_STRING, false, read_secret, offsetof(struct job_spec, callback_secret) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

int spec_read_callback(struct json_reader *r, json_t *object, struct job_spec *s)
{
	return json_read_object(r, object, callback_fields, s);
}
