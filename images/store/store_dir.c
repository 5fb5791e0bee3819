/* The store's directories: their names one by one, new names, entries on disk. See store_impl.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "images/store/store_impl.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

int store_each_name(int dir_fd, int (*fn)(const char *name, void *arg), void *arg, struct error *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* own offset */
	cleanup_dir DIR *dir = NULL;

	if (fd < 0)
		return error_errno(err, errno, "open a directory of the store");
	dir = fdopendir(fd);
	if (!dir) {
		int code = errno;

		fd_close(&fd);
		return error_errno(err, code, "list a directory of the store");
	}
	for (;;) {
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno ? error_errno(err, errno, "list a directory of the store") : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = fn(e->d_name, arg);
		if (r != 0)
			return r;
	}
}

int store_sync_dir(int dir_fd, const char *what, struct error *err)
{
	return fsync(dir_fd) < 0 ? error_errno(err, errno, "fsync '%s'", what) : 0;
}

void store_unique(char *ret, size_t bytes)
{
	static atomic_uint counter;
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = 0; /* the rest is unique among living processes anyway */
	(void)snprintf(ret, bytes, "%d-%u-%lx-%08x", (int)getpid(), atomic_fetch_add(&counter, 1), (long)time(NULL),
		       random);
}
