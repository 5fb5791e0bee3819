/* Image references: see ref.h. */
#include "images/ref.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

#define HUB_HOST     "docker.io"
#define HUB_API_HOST "registry-1.docker.io"
#define HUB_FOLDER   "library/"

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* ---- host ----------------------------------------------------------------------------------------------------- */

static int check_port(const char *port, size_t size, struct error *err)
{
	unsigned v = 0;
	bool is_good = size >= 1 && size <= 5;

	for (size_t i = 0; is_good && i < size; i++) {
		is_good = port[i] >= '0' && port[i] <= '9';
		v = v * 10 + (unsigned)(port[i] - '0');
	}
	if (!is_good || v < 1 || v > 65535)
		return error_set(err, EINVAL, "port '%.*s' is not a number from 1 to 65535",
				 (int)(size > 20 ? 20 : size), port);
	return 0;
}

/* Letters, digits and inner hyphens, separated by dots. */
static bool is_host_name(const char *host, size_t size)
{
	if (size == 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool is_edge = i == 0 || i + 1 == size || host[i - 1] == '.' || host[i + 1] == '.';

		if (!is_alnum(host[i]) && (is_edge || (host[i] != '-' && host[i] != '.')))
			return false;
	}
	return true;
}

static bool is_ipv6(const char *host, size_t size)
{
	if (size < 4 || host[0] != '[' || host[size - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < size; i++) {
		if (!isxdigit((unsigned char)host[i]) && host[i] != ':' && host[i] != '.')
			return false;
	}
	return true;
}

static int check_host(const char *host, size_t size, struct error *err)
{
	const char *close = memchr(host, ']', size);
	const char *from = close ? close : host;
	const char *colon = memchr(from, ':', size - (size_t)(from - host));
	size_t name_size = colon ? (size_t)(colon - host) : size;

	if (size > REF_NAME_MAX)
		return error_set(err, EINVAL, "the host is longer than %d bytes", REF_NAME_MAX);
	if (!is_host_name(host, name_size) && !is_ipv6(host, name_size))
		return error_set(err, EINVAL, "host '%.*s' is not a host name", (int)(size > 80 ? 80 : size), host);
	return colon ? check_port(colon + 1, size - name_size - 1, err) : 0;
}

int image_ref_host_check(const char *host, struct error *err)
{
	return check_host(host, strlen(host), err);
}

/* Is the first component, size bytes before a slash, a host? */
static bool looks_like_host(const char *text, size_t size)
{
	if (size == strlen("localhost") && memcmp(text, "localhost", size) == 0)
		return true;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '.' || text[i] == ':' || (text[i] >= 'A' && text[i] <= 'Z'))
			return true;
	}
	return false;
}

/* ---- path, tag ------------------------------------------------------------------------------------------------ */

/* Bytes of one separator between alphanumeric runs: '.', '_', '__' or any number of '-'; 0 when it is none. */
static size_t separator(const char *p, const char *end)
{
	if (*p == '.')
		return 1;
	if (*p == '_')
		return p + 1 < end && p[1] == '_' ? 2 : 1;
	return strspn(p, "-"); /* stops at the NUL or at anything else, within the text */
}

static bool is_path_component(const char *p, const char *end)
{
	if (p == end || !is_lower_or_digit(*p))
		return false;
	while (p < end) {
		size_t n;

		if (is_lower_or_digit(*p)) {
			p++;
			continue;
		}
		n = separator(p, end);
		if (n == 0 || p + n >= end || !is_lower_or_digit(p[n]))
			return false;
		p += n;
	}
	return true;
}

static int check_path(const char *path, size_t size, struct error *err)
{
	const char *p = path, *end = path + size;

	if (size == 0)
		return error_set(err, EINVAL, "the path is empty");
	while (p <= end) {
		const char *slash = p < end ? memchr(p, '/', (size_t)(end - p)) : NULL;
		const char *stop = slash ? slash : end;

		if (!is_path_component(p, stop))
			return error_set(
				err, EINVAL,
				"path component '%.*s' is not lower-case letters and digits with single . _ __ "
				"or - between them",
				(int)(stop - p > 80 ? 80 : stop - p), p);
		p = stop + 1;
	}
	return 0;
}

static int check_tag(const char *tag, size_t size, struct error *err)
{
	if (size == 0)
		return error_set(err, EINVAL, "the tag is empty");
	if (size > REF_TAG_MAX)
		return error_set(err, EINVAL, "the tag is longer than %d bytes", REF_TAG_MAX);
	for (size_t i = 0; i < size; i++) {
		bool is_word = is_alnum(tag[i]) || tag[i] == '_';

		if (!is_word && (i == 0 || (tag[i] != '.' && tag[i] != '-')))
			return error_set(err, EINVAL,
					 "tag '%.*s' is not letters, digits, _ . and -, starting with neither . nor -",
					 (int)size, tag);
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static void copy_lower(char *to, const char *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[size] = '\0';
}

/* Splits off the host, or takes the default. Returns where the path starts, or NULL. */
static const char *take_host(const char *text, struct image_ref *r, struct error *err)
{
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : 0;

	if (!slash || !looks_like_host(text, size)) {
		(void)text_copy(r->host, sizeof(r->host), HUB_HOST); /* it fits */
		return text;
	}
	if (check_host(text, size, err) < 0)
		return NULL;
	copy_lower(r->host, text, size);
	if (strcmp(r->host, "index." HUB_HOST) == 0 || strcmp(r->host, HUB_API_HOST) == 0)
		(void)text_copy(r->host, sizeof(r->host), HUB_HOST); /* it fits */
	return slash + 1;
}

static int take_path(const char *path, size_t size, struct image_ref *r, struct error *err)
{
	bool is_official = strcmp(r->host, HUB_HOST) == 0 && size > 0 && !memchr(path, '/', size);
	size_t prefix = is_official ? strlen(HUB_FOLDER) : 0;
	int rc = check_path(path, size, err);

	if (rc < 0)
		return rc;
	if (strlen(r->host) + 1 + prefix + size > REF_NAME_MAX)
		return error_set(err, EINVAL, "host and path are longer than %d bytes", REF_NAME_MAX);
	if (is_official && size == 64 && strspn(path, "0123456789abcdef") >= size)
		return error_set(err, EINVAL, "the path looks like an image id; say NAME@sha256:... instead");
	memcpy(r->path, HUB_FOLDER, prefix);
	memcpy(r->path + prefix, path, size);
	r->path[prefix + size] = '\0';
	return 0;
}

static int parse(const char *text, struct image_ref *r, struct error *err)
{
	const char *at = strchr(text, '@'), *end = at ? at : text + strlen(text);
	const char *path, *colon;
	int rc;

	if (text[0] == '\0')
		return error_set(err, EINVAL, "it is empty");
	if (at && digest_parse(at + 1, &r->digest, err) < 0)
		return -EINVAL;
	path = take_host(text, r, err);
	if (!path)
		return -EINVAL;
	if (path > end) /* a slash after the '@' only */
		return error_set(err, EINVAL, "the path is empty");
	colon = memchr(path, ':', (size_t)(end - path));
	rc = take_path(path, (size_t)((colon ? colon : end) - path), r, err);
	if (rc < 0)
		return rc;
	if (colon) {
		rc = check_tag(colon + 1, (size_t)(end - colon - 1), err);
		if (rc < 0)
			return rc;
		memcpy(r->tag, colon + 1, (size_t)(end - colon - 1));
	} else if (!at) {
		(void)text_copy(r->tag, sizeof(r->tag), "latest"); /* it fits */
	}
	return 0;
}

int image_ref_parse(const char *text, struct image_ref *ret, struct error *err)
{
	struct image_ref r = { .host = "" };

	if (parse(text, &r, err) < 0) {
		(void)error_wrap(err, "image reference '%.100s'", text);
		return -EINVAL;
	}
	*ret = r;
	return 0;
}

void image_ref_text(const struct image_ref *ref, char ret[REF_TEXT_BYTES])
{
	(void)snprintf(ret, REF_TEXT_BYTES, "%s/%s%s%s%s%s", ref->host, ref->path, ref->tag[0] ? ":" : "", ref->tag,
		       ref->digest.text[0] ? "@" : "", ref->digest.text);
}

void image_ref_store_name(const struct image_ref *ref, char ret[REF_TEXT_BYTES])
{
	struct image_ref copy = *ref;

	if (copy.digest.text[0])
		copy.tag[0] = '\0';
	image_ref_text(&copy, ret);
}

const char *image_ref_api_host(const struct image_ref *ref)
{
	return strcmp(ref->host, HUB_HOST) == 0 ? HUB_API_HOST : ref->host;
}

const char *image_ref_target(const struct image_ref *ref)
{
	return ref->digest.text[0] ? ref->digest.text : ref->tag;
}
