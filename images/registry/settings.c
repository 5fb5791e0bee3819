/* What people set about registries: see settings.h. */
#include "images/registry/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "images/ref.h"
#include "images/registry/client.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"

enum { AUTH_FILE_MAX_BYTES = 1 << 20, CA_FILE_MAX_BYTES = 4 << 20, TIMEOUT_DEFAULT_S = 30 };

/* ---- hosts ---------------------------------------------------------------------------------------------------- */

/* 127 and three more numbers below 256, of at most three digits. */
bool registry_host_is_loopback(const char *host)
{
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	char name[INET_ADDRSTRLEN];
	struct in_addr address;

	if ((n == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	    (strncmp(host, "[::1]", 5) == 0 && (host[5] == '\0' || host[5] == ':')))
		return true;
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_listed(const char *list, const char *host)
{
	size_t n = strlen(host);

	while (list && *list) {
		size_t size = strcspn(list, ",");

		if (size == n && strncasecmp(list, host, n) == 0)
			return true;
		list += size + (list[size] == ',');
	}
	return false;
}

static bool speaks_plain(const char *host)
{
	return registry_host_is_loopback(host) || is_listed(getenv("CUBIT_INSECURE_REGISTRIES"), host);
}

static int add_mirror(struct registry_spec *s, const char *text, struct error *err)
{
	struct registry_mirror *m = &s->mirrors[s->n_mirrors];
	bool is_plain = strncmp(text, "http://", 7) == 0, is_tls = strncmp(text, "https://", 8) == 0;

	if (s->n_mirrors == REGISTRY_MIRRORS_MAX)
		return error_set(err, EINVAL, "more than %d mirrors for '%s'", REGISTRY_MIRRORS_MAX, s->name);
	text += is_plain ? 7 : is_tls ? 8 : 0;
	if (image_ref_host_check(text, err) < 0)
		return -EINVAL;
	(void)snprintf(m->server, sizeof(m->server), "%s", text);
	m->is_plain = is_plain || (!is_tls && speaks_plain(text));
	s->n_mirrors++;
	return 0;
}

static int read_mirrors(struct registry_spec *s, const char *list, struct error *err)
{
	char *copy = strdup(list), *save = NULL;
	int r = 0;

	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	for (char *one = strtok_r(copy, ",", &save); r == 0 && one; one = strtok_r(NULL, ",", &save)) {
		const char *equals = strchr(one, '=');

		if (!equals)
			r = error_set(err, EINVAL, "'%.100s' is not HOST=MIRROR", one);
		else if ((size_t)(equals - one) == strlen(s->name) && strncasecmp(one, s->name, strlen(s->name)) == 0)
			r = add_mirror(s, equals + 1, err);
	}
	free(copy);
	return r < 0 ? (error_wrap(err, "CUBIT_REGISTRY_MIRRORS"), r) : 0;
}

/* ---- credentials ---------------------------------------------------------------------------------------------- */

static int sextet(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* RFC 4648 §4; padding may be missing, nothing may follow it. Returns bytes, or -1. */
static long decode_lenient(const char *text, char *to, size_t capacity)
{
	unsigned long bits = 0;
	size_t n = 0, have = 0;

	for (; *text && *text != '='; text++) {
		int v = sextet(*text);

		if (v < 0 || n + 1 >= capacity)
			return -1;
		bits = (bits << 6 | (unsigned)v) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[n++] = (char)(bits >> have & 0xff);
		}
	}
	to[n] = '\0';
	return strspn(text, "=") == strlen(text) && strlen(text) <= 2 ? (long)n : -1;
}

/* Under which names people and tools keep a registry. */
static bool names_host(const char *key, const char *host)
{
	static const char *const hub[] = { "index.docker.io", "registry-1.docker.io", "docker.io" };
	size_t n;

	if (strncmp(key, "https://", 8) == 0)
		key += 8;
	else if (strncmp(key, "http://", 7) == 0)
		key += 7;
	n = strcspn(key, "/");
	if (key[n] && strcmp(key + n, "/") != 0 && strcmp(key + n, "/v1/") != 0 && strcmp(key + n, "/v2/") != 0)
		return false; /* for one repository: not ours to widen */
	if (strlen(host) == n && strncasecmp(key, host, n) == 0)
		return true;
	for (size_t i = 0; strcmp(host, "docker.io") == 0 && i < sizeof(hub) / sizeof(hub[0]); i++) {
		if (strlen(hub[i]) == n && strncasecmp(key, hub[i], n) == 0)
			return true;
	}
	return false;
}

/* The file's content must not reach a message: only names of fields do. */
static int split_auth(const char *auth, char *user, char *password, size_t capacity, struct error *err)
{
	cleanup_free char *plain = malloc(2 * capacity);
	long n = plain ? decode_lenient(auth, plain, 2 * capacity) : -1;
	char *colon = n > 0 && !memchr(plain, '\0', (size_t)n) ? strchr(plain, ':') : NULL;

	if (!colon || colon == plain || (size_t)(colon - plain) >= capacity || strlen(colon + 1) >= capacity ||
	    strpbrk(plain, "\r\n"))
		return error_set(err, EBADMSG, "'auth' is not the base64 of user:password");
	*colon = '\0';
	(void)text_copy(user, capacity, plain); /* measured above, both */
	(void)text_copy(password, capacity, colon + 1);
	explicit_bzero(plain, (size_t)n);
	return 1;
}

static int entry_read(const json_t *entry, char *user, char *password, size_t capacity, struct error *err)
{
	const char *auth = "", *u = "", *p = "";
	int r = json_is_object(entry) ? json_text(entry, "auth", 4 * capacity, false, &auth, err)
				      : error_set(err, EBADMSG, "it is not an object");

	if (r < 0)
		return r;
	if (auth[0])
		return split_auth(auth, user, password, capacity, err);
	r = json_text(entry, "username", capacity - 1, false, &u, err);
	if (r == 0)
		r = json_text(entry, "password", capacity - 1, false, &p, err);
	if (r < 0 || !u[0])
		return r;                   /* an entry for a credential helper: nothing here */
	(void)text_copy(user, capacity, u); /* bounded above, both */
	(void)text_copy(password, capacity, p);
	return 1;
}

int registry_auth_find(const char *data, size_t size, const char *host, char *user, char *password, size_t capacity,
		       struct error *err)
{
	json_t *root = json_loadb(data, size, 0, NULL), *auths, *entry; /* jansson's words would quote the file */
	const char *key;
	int r = json_is_object(root) ? json_child(root, "auths", false, &auths, err)
				     : error_set(err, EBADMSG, "it is not a JSON object");

	if (r == 0) {
		json_object_foreach(auths, key, entry)
		{
			if (!names_host(key, host))
				continue;
			r = entry_read(entry, user, password, capacity, err);
			if (r < 0)
				(void)error_wrap(err, "auths '%.100s'", host);
			break;
		}
	}
	json_decref(root);
	return r;
}

static int read_auth(struct registry_spec *s, struct error *err)
{
	const char *named = getenv("CUBIT_REGISTRY_AUTH_FILE"), *home = getenv("HOME");
	cleanup_buf struct buf text = BUF_INIT;
	char path[4096];
	int r;

	if (!(named && *named) && !(home && *home))
		return 0;
	(void)snprintf(path, sizeof(path), "%s%s", named && *named ? named : home,
		       named && *named ? "" : "/.docker/config.json");
	r = fd_read_file(AT_FDCWD, path, AUTH_FILE_MAX_BYTES, &text, err);
	if (r == -ENOENT && !(named && *named)) {
		error_clear(err);
		return 0;
	}
	if (r == 0)
		r = registry_auth_find(buf_str(&text), text.size, s->name, s->user, s->password, sizeof(s->user), err);
	if (text.data)
		explicit_bzero(text.data, text.size);
	if (r < 0)
		return error_wrap(err, "credentials in '%s'", path), r;
	if (r == 1 && s->password[0] && log_redact(s->password) < 0)
		return error_set(err, ENOSPC, "credentials: too many secrets to keep out of the log");
	return 0;
}

/* ---- the way there -------------------------------------------------------------------------------------------- */

/* The first of some variables that is set. "" when none is; -EINVAL when it does not fit. */
static int take_env(const char *const *names, size_t n, char *ret, size_t capacity, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *v = getenv(names[i]);

		if (!v || !*v)
			continue;
		if (text_copy(ret, capacity, v) < 0)
			return error_set(err, EINVAL, "%s is longer than %zu bytes", names[i], capacity - 1);
		return 0;
	}
	return 0;
}

static int read_way(struct registry_spec *s, struct error *err)
{
	static const char *const proxy[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	static const char *const no_proxy[] = { "no_proxy", "NO_PROXY" };
	static const char *const ca[] = { "CUBIT_REGISTRY_CA", "SSL_CERT_FILE" };
	const char *more = getenv(ca[0]);
	int r = take_env(proxy, 4, s->proxy, sizeof(s->proxy), err);

	s->is_ca_only = !(more && *more);

	if (r == 0)
		r = take_env(no_proxy, 2, s->no_proxy, sizeof(s->no_proxy), err);
	return r < 0 ? r : take_env(ca, 2, s->ca_file, sizeof(s->ca_file), err);
}

int registry_open_ca(const struct registry_spec *s, int *ret_fd, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_fd int fd = -1;
	struct stat st;
	int r = 0;

	*ret_fd = -1;
	if (!s->ca_file[0])
		return 0;
	fd = open(s->ca_file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "certificates in '%s'", s->ca_file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "certificates in '%s': it is not a file", s->ca_file);
	r = fd_read_all(fd, CA_FILE_MAX_BYTES, &text, err);
	if (r == 0 && !strstr(buf_str(&text), "-----BEGIN "))
		r = error_set(err, EINVAL, "there is no PEM certificate in it");
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = error_errno(err, errno, "rewind");
	if (r < 0)
		return error_wrap(err, "certificates in '%s'", s->ca_file), r;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

int registry_settings(const struct image_ref *ref, bool is_push, struct registry_spec *ret, struct error *err)
{
	const char *mirrors = getenv("CUBIT_REGISTRY_MIRRORS"), *timeout = getenv("CUBIT_REGISTRY_TIMEOUT_S");
	uint64_t seconds = TIMEOUT_DEFAULT_S;
	int r = 0;

	*ret = (struct registry_spec){ .is_push = is_push };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", ref->host);
	(void)snprintf(ret->server, sizeof(ret->server), "%s", image_ref_api_host(ref));
	(void)snprintf(ret->path, sizeof(ret->path), "%s", ref->path);
	ret->is_plain = speaks_plain(ref->host);
	if (timeout && *timeout && parse_u64(timeout, 1, 3600, &seconds, err) < 0)
		return error_wrap(err, "CUBIT_REGISTRY_TIMEOUT_S"), -EINVAL;
	ret->timeout_s = (unsigned)seconds;
	if (mirrors && *mirrors && !is_push)
		r = read_mirrors(ret, mirrors, err);
	if (r == 0)
		r = read_way(ret, err);
	return r < 0 ? r : read_auth(ret, err);
}
