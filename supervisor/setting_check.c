/* What the texts of settings may be: see setting_row.h. */
#include "supervisor/setting_row.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"

enum { ADMIN_KEY_MIN = 16, ADMIN_KEY_MAX = 256, SOCKET_PATH_MAX = 107 };

int setting_check_directory(const char *text, struct error *err)
{
	return text[0] == '/' ? 0 : error_set(err, EINVAL, "'%.200s' is not an absolute path", text);
}

int setting_check_run(const char *text, struct error *err)
{
	size_t room = SOCKET_PATH_MAX - strlen("/cubit.sock"); /* sun_path, unix(7) */

	if (strlen(text) > room)
		return error_set(err, EINVAL, "'%.200s' is longer than %zu bytes: the socket in it could not be named",
				 text, room);
	return setting_check_directory(text, err);
}

int setting_check_node(const char *text, struct error *err)
{
	return parse_id(text, err);
}

int setting_check_guests(const char *text, struct error *err)
{
	if (text[0] == 'c' && strncmp(text, "cubit_", 6) == 0)
		return error_set(err, EINVAL, "this is a key: it is the id of one that is wanted (`cubit key ls`)");
	return text[0] ? parse_id(text, err) : 0;
}

int setting_check_user(const char *text, struct error *err)
{
	uint64_t uid;

	if (text[0] && text[strspn(text, "0123456789")] == '\0') {
		if (parse_u64(text, 0, UINT32_MAX - 1, &uid, err) < 0)
			return -EINVAL;
		return uid ? 0 : error_set(err, EINVAL, "the front must not be root: it exists to have no privilege");
	}
	if (!text[0] || strlen(text) > 64)
		return error_set(err, EINVAL, "'%.70s' is not the name of an account", text);
	return 0;
}

int setting_check_level(const char *text, struct error *err)
{
	enum log_level level;

	return log_parse_level(text, &level) == 0
		       ? 0
		       : error_set(err, EINVAL, "'%.40s' is not one of error, warning, notice, info, debug", text);
}

int setting_check_format(const char *text, struct error *err)
{
	return strcmp(text, "text") == 0 || strcmp(text, "json") == 0
		       ? 0
		       : error_set(err, EINVAL, "'%.40s' is neither text nor json", text);
}

/* Never quotes the text: it is a secret. */
int setting_check_admin_key(const char *text, struct error *err)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return error_set(err, EINVAL, "holds a character that is not visible ASCII");
	}
	if (n != 0 && (n < ADMIN_KEY_MIN || n > ADMIN_KEY_MAX))
		return error_set(err, EINVAL, "has %zu characters, not %d to %d", n, ADMIN_KEY_MIN, ADMIN_KEY_MAX);
	return 0;
}

/* The size of HOST or [ADDRESS] at the beginning of a text; 0: there is none. */
static size_t host_size(const char *text)
{
	size_t n = text[0] == '[' ? strcspn(text, "]") : 0;
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (text[0] != '[')
		return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.");
	if (text[n] != ']' || n > sizeof(address))
		return 0;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(n - 1), text + 1);
	return inet_pton(AF_INET6, address, &parsed) == 1 ? n + 1 : 0;
}

/* Port 0: any that is free. */
int setting_check_listen(const char *text, struct error *err)
{
	size_t n = text[0] == '*' ? 1 : host_size(text);
	uint64_t port;

	if (!text[0])
		return 0;
	if (n == 0 || text[n] != ':' || text[n + 1 + strspn(text + n + 1, "0123456789")] ||
	    parse_u64(text + n + 1, 0, UINT16_MAX, &port, NULL) < 0)
		return error_set(err, EINVAL, "'%.200s' is not HOST:PORT, such as 127.0.0.1:7070 or [::1]:7070", text);
	return 0;
}

/* Hand each word of a list, at most as long as `one`, to a check. */
static int check_each(const char *text, setting_check_fn *check, struct error *err)
{
	char one[256];

	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");

		if (n >= sizeof(one))
			return error_set(err, EINVAL, "'%.40s...' is too long", text);
		memcpy(one, text, n);
		one[n] = '\0';
		if (check(one, err) < 0)
			return -EINVAL;
		text += n;
	}
	return 0;
}

/* What browsers send, RFC 6454 §6.1: no path, and no wildcard, which would let everybody in. */
static int check_origin(const char *text, struct error *err)
{
	const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
			   : strncmp(text, "http://", 7) == 0 ? text + 7
							      : "";
	size_t n = host_size(host);
	uint64_t port;

	if (n == 0 || (host[n] && (host[n] != ':' || parse_u64(host + n + 1, 1, UINT16_MAX, &port, NULL) < 0)))
		return error_set(err, EINVAL, "'%.200s' is not an origin such as https://ide.example.org", text);
	return 0;
}

int setting_check_origins(const char *text, struct error *err)
{
	return check_each(text, check_origin, err);
}

static int check_prefix(const char *text, struct error *err)
{
	unsigned char address[sizeof(struct in6_addr)];
	const char *slash = strchrnul(text, '/');
	cleanup_free char *host = strndup(text, (size_t)(slash - text));
	uint64_t bits;
	int most;

	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	most = inet_pton(AF_INET, host, address) == 1 ? 32 : inet_pton(AF_INET6, host, address) == 1 ? 128 : 0;
	if (most == 0 || (*slash && parse_u64(slash + 1, 0, (uint64_t)most, &bits, NULL) < 0))
		return error_set(err, EINVAL, "'%.200s' is not an address or a prefix such as 10.0.0.0/8", text);
	return 0;
}

/* Names of images that mkimage knows, as far as it takes to hand them on as arguments. */
static int check_image(const char *text, struct error *err)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789")] == '\0'
		       ? 0
		       : error_set(err, EINVAL, "'%.40s' is not the name of an image; 'cubit setup --list' has them",
				   text);
}

int setting_check_images(const char *text, struct error *err)
{
	return check_each(text, check_image, err);
}

int setting_check_prefixes(const char *text, struct error *err)
{
	return check_each(text, check_prefix, err);
}
