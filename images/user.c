/* The user of an image: see user.h. */
#include "images/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* ---- account files -------------------------------------------------------------------------------------------- */

enum { FIELDS_MAX = 7, SPEC_MAX = 255 };

struct word {
	const char *text;
	size_t size;
};

/* Cut one line into its fields; returns how many. */
static size_t split(const char *line, size_t size, struct word fields[FIELDS_MAX])
{
	const char *end = line + size;
	size_t n = 0;

	while (n < FIELDS_MAX) {
		const char *colon = memchr(line, ':', (size_t)(end - line));

		fields[n++] = (struct word){ line, (size_t)((colon ? colon : end) - line) };
		if (!colon)
			break;
		line = colon + 1;
	}
	return n;
}

static bool is_number(struct word w)
{
	for (size_t i = 0; i < w.size; i++) {
		if (w.text[i] < '0' || w.text[i] > '9')
			return false;
	}
	return w.size > 0;
}

static int to_id(struct word w, const char *what, uint32_t *ret, struct error *err)
{
	uint32_t v = 0;

	if (!is_number(w))
		return error_set(err, EINVAL, "%s '%.*s' is not a number", what, (int)(w.size > 40 ? 40 : w.size),
				 w.text);
	for (size_t i = 0; i < w.size; i++) {
		v = v * 10 + (uint32_t)(w.text[i] - '0');
		if (v > USER_ID_MAX) /* at once: nothing can wrap around */
			return error_set(err, ERANGE, "%s %.*s is above %d", what, (int)(w.size > 40 ? 40 : w.size),
					 w.text, USER_ID_MAX);
	}
	*ret = v;
	return 0;
}

static bool word_equal(struct word a, struct word b)
{
	return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

/* The same number, whatever its leading zeros; false for anything that is no id. */
static bool same_id(struct word w, uint32_t id)
{
	uint32_t v;

	return to_id(w, "id", &v, NULL) == 0 && v == id;
}

/*
 * The first line whose name, or else whose third field, is the one wanted. Lines of fewer than `least` fields are
 * passed over, as libc does. Returns whether there is one.
 */
static bool find_line(const char *file, size_t size, size_t least, const struct word *name, uint32_t id,
		      struct word fields[FIELDS_MAX])
{
	const char *end = file + size;

	while (file < end) {
		const char *stop = memchr(file, '\n', (size_t)(end - file));

		if (!stop)
			stop = end;
		if (split(file, (size_t)(stop - file), fields) >= least &&
		    (name ? word_equal(fields[0], *name) : same_id(fields[2], id)))
			return true;
		file = stop + 1;
	}
	return false;
}

static int resolve_user(struct word user, const char *passwd, size_t size, struct image_user *u, struct error *err)
{
	struct word f[FIELDS_MAX] = { { "", 0 } };
	bool is_id = is_number(user), is_found;
	int r = is_id ? to_id(user, "user id", &u->uid, err) : 0;

	if (r < 0)
		return r;
	is_found = find_line(passwd, size, FIELDS_MAX - 1, is_id ? NULL : &user, u->uid, f);
	if (!is_found && !is_id)
		return error_set(err, ENOENT, "no user '%.*s' in the image's /etc/passwd", (int)user.size, user.text);
	if (!is_found)
		return 0;
	r = to_id(f[2], "user id in the image's /etc/passwd", &u->uid, err);
	if (r == 0)
		r = to_id(f[3], "group id in the image's /etc/passwd", &u->gid, err);
	if (r == 0 && f[5].size < sizeof(u->home) && f[5].size > 0 && f[5].text[0] == '/') {
		memcpy(u->home, f[5].text, f[5].size);
		u->home[f[5].size] = '\0';
	}
	return r;
}

static int resolve_group(struct word name, const char *group, size_t size, uint32_t *ret, struct error *err)
{
	struct word f[FIELDS_MAX];

	if (is_number(name))
		return to_id(name, "group id", ret, err);
	if (!find_line(group, size, 3, &name, 0, f))
		return error_set(err, ENOENT, "no group '%.*s' in the image's /etc/group", (int)name.size, name.text);
	return to_id(f[2], "group id in the image's /etc/group", ret, err);
}

int image_user_resolve(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size,
		       struct image_user *ret, struct error *err)
{
	const char *colon = strchr(spec, ':');
	struct word user = { spec, colon ? (size_t)(colon - spec) : strlen(spec) };
	struct word name = { colon ? colon + 1 : "", colon ? strlen(colon + 1) : 0 };
	struct image_user u = { .uid = 0 };
	int r;

	if (strlen(spec) > SPEC_MAX)
		return error_set(err, EINVAL, "user: longer than %d bytes", SPEC_MAX);
	if (passwd_size > USER_FILE_MAX_BYTES || group_size > USER_FILE_MAX_BYTES)
		return error_set(err, EFBIG, "user '%s': the image's /etc/%s is larger than %d bytes", spec,
				 passwd_size > USER_FILE_MAX_BYTES ? "passwd" : "group", USER_FILE_MAX_BYTES);
	if (colon && (user.size == 0 || name.size == 0 || strchr(name.text, ':')))
		return error_set(err, EINVAL, "user '%s' is not USER:GROUP", spec);
	r = user.size ? resolve_user(user, passwd, passwd_size, &u, err) : 0;
	if (r == 0 && colon)
		r = resolve_group(name, group, group_size, &u.gid, err);
	if (r < 0)
		return error_wrap(err, "user '%s'", spec), r;
	*ret = u;
	return 0;
}

/* ---- out of the layers ---------------------------------------------------------------------------------------- */

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Overlay's mark "nothing of the layers below shows here"; the unpacker writes one of the two. */
static bool is_opaque(int dir_fd)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char value = 0;

		if (fgetxattr(dir_fd, names[i], &value, 1) == 1 && (value == 'y' || value == 'x'))
			return value == 'y';
	}
	return false;
}

enum { FILE_BELOW, FILE_NONE, FILE_FOUND };

/* Open O_PATH what stands at path in this layer; FILE_NONE for a whiteout, FILE_BELOW when nothing is there. */
static int look(int layer_fd, const char *path, int *ret_fd, struct stat *st, struct error *err)
{
	struct error e = ERROR_INIT;
	int fd = fd_open_at(layer_fd, FD_IN_ROOT, path, O_PATH, 0, &e);

	if (fd == -ENOENT || fd == -ENOTDIR) {
		/* a link whose target is in another layer: what is below does not show, and where it leads we do not look */
		cleanup_fd int link =
			fd == -ENOENT ? fd_open_at(layer_fd, FD_IN_ROOT, path, O_PATH | O_NOFOLLOW, 0, NULL) : -1;

		return link >= 0 ? FILE_NONE : FILE_BELOW;
	}
	if (fd < 0)
		return error_set(err, -fd, "%s", e.text);
	if (fstat(fd, st) < 0) {
		fd_close(&fd);
		return error_errno(err, errno, "stat '%s'", path);
	}
	if (is_whiteout(st)) {
		fd_close(&fd);
		return FILE_NONE;
	}
	*ret_fd = fd;
	return FILE_FOUND;
}

static int read_regular(int layer_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
	cleanup_fd int fd = fd_open_at(layer_fd, FD_IN_ROOT, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

	return fd < 0 ? fd : fd_read_all(fd, max_bytes, out, err);
}

/* One layer's answer. */
static int look_in_layer(int layer_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
	const char *slash = strchr(path, '/');
	cleanup_fd int dir_fd = -1, fd = -1;
	char dir[64] = "";
	struct stat st;
	int r;

	if (slash) {
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		r = look(layer_fd, dir, &dir_fd, &st, err);
		if (r != FILE_FOUND)
			return r;
		if (!S_ISDIR(st.st_mode))
			return FILE_NONE;
	}
	r = look(layer_fd, path, &fd, &st, err);
	if (r == FILE_BELOW && slash) {
		cleanup_fd int readable = fd_open_at(layer_fd, FD_IN_ROOT, dir, O_RDONLY | O_DIRECTORY, 0, NULL);

		return readable >= 0 && is_opaque(readable) ? FILE_NONE : FILE_BELOW;
	}
	if (r != FILE_FOUND)
		return r;
	if (!S_ISREG(st.st_mode))
		return error_set(err, EBADMSG, "it is not a regular file");
	r = read_regular(layer_fd, path, max_bytes, out, err);
	return r < 0 ? r : FILE_FOUND;
}

int image_file_read(const int *layer_fds, size_t n_layers, const char *path, size_t max_bytes, struct buf *out,
		    struct error *err)
{
	for (size_t i = n_layers; i-- > 0;) {
		int r = look_in_layer(layer_fds[i], path, max_bytes, out, err);

		if (r < 0)
			return error_wrap(err, "the image's /%s", path), r;
		if (r != FILE_BELOW)
			return 0;
	}
	return 0;
}
