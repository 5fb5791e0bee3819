/* The admin key: see admin_key.h. */
#include "supervisor/monitor/admin_key.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

#define FILE_NAME "admin.key"

enum { RANDOM_BYTES = 32 };

/* "cubit_" and 43 characters of base64url, as every key (supervisor/auth/auth.h). */
static int make(char ret[ADMIN_KEY_MAX + 1], struct error *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t bytes[RANDOM_BYTES + 1] = { 0 }; /* one zero: 43 digits of 6 bits are 258 */
	size_t at = (size_t)snprintf(ret, ADMIN_KEY_MAX + 1, "cubit_");

	if (getrandom(bytes, RANDOM_BYTES, 0) != RANDOM_BYTES)
		return error_errno(err, errno, "random bytes for the admin key");
	for (size_t bit = 0; bit < (size_t)RANDOM_BYTES * 8; bit += 6) {
		unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

		ret[at++] = digits[pair >> (10 - bit % 8) & 63];
	}
	ret[at] = '\0';
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

static int check(const char *key, const char *where, struct error *err)
{
	size_t n = strlen(key);

	if (n < ADMIN_KEY_MIN || n > ADMIN_KEY_MAX)
		return error_set(err, EINVAL, "%s: an admin key has %d to %d characters", where, ADMIN_KEY_MIN,
				 ADMIN_KEY_MAX);
	for (const char *p = key; *p; p++) {
		if (!isgraph((unsigned char)*p))
			return error_set(err, EINVAL, "%s: an admin key has no blanks and only ASCII in it", where);
	}
	return 0;
}

/* -ENOENT when there is none yet. */
static int read_file(int state_fd, char ret[ADMIN_KEY_MAX + 1], struct error *err)
{
	cleanup_buf struct buf text = BUF_BOUNDED(ADMIN_KEY_MAX + 2);
	int r = fd_read_file(state_fd, FILE_NAME, ADMIN_KEY_MAX + 2, &text, err);

	if (r < 0)
		return r;
	while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1]))
		text.data[--text.size] = '\0';
	(void)snprintf(ret, ADMIN_KEY_MAX + 1, "%s", buf_str(&text));
	buf_reset(&text);
	return check(ret, FILE_NAME, err);
}

static int write_file(int state_fd, const char *key, struct error *err)
{
	char line[ADMIN_KEY_MAX + 2];
	int n = snprintf(line, sizeof(line), "%s\n", key), r;

	r = fd_replace_file(state_fd, FILE_NAME, line, (size_t)n, 0600, err);
	explicit_bzero(line, sizeof(line));
	return r;
}

int admin_key_open(int state_fd, const char *preset, struct digest *ret_hash, struct error *err)
{
	char key[ADMIN_KEY_MAX + 1] = "", kept[ADMIN_KEY_MAX + 1] = "";
	struct error why = ERROR_INIT;
	int r = read_file(state_fd, kept, &why);
	bool is_missing = r == -ENOENT;

	if (r < 0 && !is_missing && !preset[0])
		return error_set(err, why.code, "%s", why.text);
	if (preset[0]) {
		r = check(preset, "CUBIT_ADMIN_KEY", err);
		if (r == 0)
			(void)snprintf(key, sizeof(key), "%s", preset);
	} else if (is_missing) {
		r = make(key, err);
	} else {
		(void)snprintf(key, sizeof(key), "%s", kept);
		r = 0;
	}
	if (r == 0)
		r = log_redact(key) < 0 ? error_set(err, ENOSPC, "the admin key cannot be kept out of the log") : 0;
	if (r == 0 && strcmp(key, kept) != 0)
		r = write_file(state_fd, key, err);
	if (r == 0)
		digest_of(key, strlen(key), ret_hash);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(kept, sizeof(kept));
	return r < 0 ? r : is_missing;
}
