/* Proxies of the environment: see proxy.h. */
#include "tools/cubit/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"

enum { PROXY_PORT = 1080, HOST_BYTES = 256, VALUE_BYTES = 1024 }; /* the port as libcurl has it */

static const char *const variables[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
static const char *const exceptions[] = { "no_proxy", "NO_PROXY" };

/* The first that is set; an empty one counts as not set, as in libcurl. */
static const char *first_set(const char *const *names, size_t n, const char **ret_name)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = getenv(names[i]);

		*ret_name = names[i];
		if (value && *value)
			return value;
	}
	return NULL;
}

/* Without brackets, and without the dot that ends a full name. */
static void plain_host(char ret[HOST_BYTES], const char *host)
{
	size_t n;

	(void)snprintf(ret, HOST_BYTES, "%s", host + (host[0] == '['));
	n = strlen(ret);
	if (n > 1 && (ret[n - 1] == ']' || ret[n - 1] == '.'))
		ret[n - 1] = '\0';
}

/* Returns the family of an address, and its bytes; 0 for a name. */
static int address(const char *text, unsigned char ret[16])
{
	if (inet_pton(AF_INET, text, ret) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, ret) == 1 ? AF_INET6 : 0;
}

/* "10.0.0.0/8", "fd00::/8", or an address alone. */
static bool is_within(const char *prefix, const char *host)
{
	unsigned char a[16], b[16];
	char text[HOST_BYTES];
	const char *slash = strchr(prefix, '/');
	uint64_t bits;
	int family;

	(void)snprintf(text, sizeof(text), "%.*s", slash ? (int)(slash - prefix) : (int)strlen(prefix), prefix);
	family = address(text, a);
	if (!family || address(host, b) != family)
		return false;
	bits = family == AF_INET ? 32 : 128;
	if (slash && parse_u64(slash + 1, 0, bits, &bits, NULL) < 0)
		return false;
	for (uint64_t i = 0; i < bits; i++) {
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8))
			return false;
	}
	return true;
}

/* "example.org" and ".example.org": that name and what is below it. */
static bool is_below(const char *name, const char *host)
{
	size_t n, size = strlen(host);

	name += name[0] == '.';
	n = strlen(name);
	if (n == 0 || n > size || strcasecmp(host + size - n, name) != 0)
		return false;
	return n == size || host[size - n - 1] == '.';
}

bool proxy_is_excepted(const char *list, const char *host)
{
	unsigned char ignored[16];
	char plain[HOST_BYTES], word[HOST_BYTES], item[HOST_BYTES];

	plain_host(plain, host);
	for (const char *p = list + strspn(list, ", "); *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");

		(void)snprintf(word, sizeof(word), "%.*s", (int)n, p);
		plain_host(item, word);
		p += n;
		if (strcmp(item, "*") == 0)
			return true;
		if (address(plain, ignored) ? is_within(item, plain) : is_below(item, plain))
			return true;
	}
	return false;
}

int proxy_find(const char *host, struct url *ret, struct error *err)
{
	const char *name, *value, *list;
	struct url url;
	char text[VALUE_BYTES];
	int r;

	value = first_set(variables, sizeof(variables) / sizeof(variables[0]), &name);
	if (!value)
		return 0;
	list = first_set(exceptions, sizeof(exceptions) / sizeof(exceptions[0]), &(const char *){ NULL });
	if (list && proxy_is_excepted(list, host))
		return 0;
	(void)snprintf(text, sizeof(text), "%s%s", strstr(value, "://") ? "" : "http://", value);
	r = url_parse(text, &url, err);
	if (r < 0)
		return error_wrap(err, "the environment's %s", name);
	if (strcmp(url.scheme, "http") != 0) /* not quoted: a password may be in it */
		return error_set(err, EINVAL, "the environment's %s is not http://host:port", name);
	if (url.port == 0)
		url.port = PROXY_PORT;
	*ret = url;
	return 1;
}
