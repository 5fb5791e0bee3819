/* Files out of sandboxes: see handed_back.h. */
#include "tools/cubit/handed_back.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/base64.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { PATH_BYTES = 1024 };

/* The directories on the way, each below the one before. path is cut in pieces and put together again. */
static int make_parents(int dir_fd, char *path, int *ret, struct error *err)
{
	cleanup_fd int at = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	char *start = path, *slash;

	if (at < 0)
		return error_errno(err, errno, "F_DUPFD_CLOEXEC");
	for (; (slash = strchr(start, '/')); start = slash + 1) {
		int next;

		*slash = '\0';
		if (mkdirat(at, start, 0777) < 0 && errno != EEXIST) {
			int code = errno;

			*slash = '/';
			return error_errno(err, code, "make a directory for '%s'", path);
		}
		next = fd_open_at(at, FD_BENEATH, start, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, err);
		*slash = '/';
		if (next < 0)
			return next;
		fd_close(&at);
		at = next;
	}
	*ret = fd_take(&at);
	return 0;
}

static int save_one(int dir_fd, const json_t *file, bool may_overwrite, struct error *err)
{
	const char *name = json_string_value(json_object_get(file, "path"));
	const json_t *content = json_object_get(file, "content");
	const char *encoding = json_string_value(json_object_get(file, "encoding")),
		   *bytes = json_string_value(content);
	size_t size = json_string_length(content);
	cleanup_free char *decoded = NULL;
	cleanup_fd int parent = -1, fd = -1;
	char path[PATH_BYTES], *last;
	int r;

	if (!name || !*name || strlen(name) >= sizeof(path) || json_object_get(file, "path_encoding"))
		return error_set(err, EPROTO, "a file that was handed back has a name that cannot be used here");
	(void)snprintf(path, sizeof(path), "%s", name);
	if (encoding && strcmp(encoding, "base64") == 0) {
		decoded = base64_decode(bytes, size, &size);
		if (!decoded)
			return error_set(err, EPROTO, "'%s' is marked as base64 and is not", path);
		bytes = decoded;
	}
	r = make_parents(dir_fd, path, &parent, err);
	if (r < 0)
		return r;
	last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	fd = fd_open_at(parent, FD_BENEATH, last,
			O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (may_overwrite ? O_TRUNC : O_EXCL),
			0666, err);
	if (fd == -EEXIST)
		return error_set(err, EEXIST, "'%s' is there already; --overwrite replaces it", path);
	return fd < 0 ? fd : fd_write_all(fd, bytes, size, err);
}

int handed_back_save(const json_t *outputs, const char *dir, bool may_overwrite, struct error *err)
{
	cleanup_fd int dir_fd = -1;
	const json_t *file;
	size_t i;
	int r;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make the directory '%s'", dir);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return error_errno(err, errno, "open the directory '%s'", dir);
	json_array_foreach(outputs, i, file)
	{
		if (json_is_null(json_object_get(file, "content"))) /* left out, which is for the caller to say */
			continue;
		r = save_one(dir_fd, file, may_overwrite, err);
		if (r < 0)
			return r;
	}
	return 0;
}
