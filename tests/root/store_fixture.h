/*
 * A store of its own for each test of the store: below CUBIT_TEST_DIR, opened again and again, looked at from outside.
 * Everything static inline: one translation unit a test.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/store/store.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

static char root[4096];
static struct error err = ERROR_INIT;

static inline void store_fixture(void)
{
	const char *base = getenv("CUBIT_TEST_DIR");

	snprintf(root, sizeof(root), "%s/a/store", base ? base : "/tmp");
}

static inline size_t names_in(const char *sub)
{
	char path[4200];
	size_t n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", root, sub);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static inline struct store *must_open(void)
{
	struct store *s = NULL;

	error_clear(&err);
	if (store_open(root, &s, &err) < 0) {
		diag("%s", err.text);
		need(false, "the store opens");
	}
	return s;
}

static inline void add_layer(struct store *s, const char *name, struct digest *ret)
{
	struct store_layer_writer *w = NULL;
	int fd = -1;

	digest_of(name, strlen(name), ret);
	need(store_layer_begin(s, ret, &w, &fd, &err) == 0 && mkdirat(fd, "d", 0755) == 0 &&
		     store_layer_commit(w, NULL, &err) == 0,
	     "a layer '%s'", name);
}
