/* What compilers made is kept, found again after a restart, bounded, and never handed out when it is damaged. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/jobs/artefacts.h"
#include "tests/tap.h"

static uv_loop_t loop;
static struct artefacts *cache;
static char dir[] = "/tmp/cubit-artefacts.XXXXXX";
static int dir_fd;

static struct artefact *found;
static bool is_answered;

static void on_found(struct artefact *a, void *arg)
{
	(void)arg;
	found = a;
	is_answered = true;
}

static const char *key(unsigned n)
{
	static char text[4][65];
	static unsigned i;

	i = (i + 1) % 4;
	(void)snprintf(text[i], sizeof(text[i]), "%064x", n);
	return text[i];
}

static struct artefact *get(unsigned n)
{
	is_answered = false;
	artefacts_get(cache, key(n), on_found, NULL);
	while (!is_answered)
		(void)uv_run(&loop, UV_RUN_ONCE);
	return found;
}

static char *bytes(size_t size, char c)
{
	char *data = malloc(size ? size : 1);

	memset(data, c, size);
	return data;
}

static void put(unsigned n, size_t size, char c)
{
	struct artefact *a = artefact_new();

	need(artefact_add(a, "program", 0755, bytes(size, c), size) == 0 &&
		     artefact_add(a, "sub/dir/empty", 0644, bytes(0, c), 0) == 0,
	     "an artefact of %zu bytes", size);
	artefacts_put(cache, key(n), a);
	artefact_unref(a);
}

static void settle(void)
{
	(void)uv_run(&loop, UV_RUN_DEFAULT); /* nothing but work is on it */
}

static bool is_good(const struct artefact *a, size_t size, char c)
{
	if (!a || a->n_files != 2 || strcmp(a->files[0].path, "program") != 0 || a->files[0].mode != 0755 ||
	    a->files[0].size != size || strcmp(a->files[1].path, "sub/dir/empty") != 0 || a->files[1].size != 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (a->files[0].data[i] != c)
			return false;
	}
	return true;
}

static void check(unsigned n, size_t size, char c, const char *title)
{
	struct artefact *a = get(n);

	ok(is_good(a, size, c), "%s", title);
	artefact_unref(a);
}

static void open_cache(uint64_t max)
{
	struct error err = ERROR_INIT;

	need(artefacts_open(&loop, dir_fd, max, &cache, &err) == 0, "a cache opens %s", err.text);
}

static void close_cache(void)
{
	artefacts_free(cache);
	settle();
}

static void damage(unsigned n, off_t at, const char *how)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/artefacts/%s", dir, key(n));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (strcmp(how, "cut") == 0)
		need(ftruncate(fd, at) == 0, "a file is cut");
	else
		need(pwrite(fd, "?", 1, at) == 1, "a byte is changed");
	(void)close(fd);
}

int main(void)
{
	struct artefacts_counts c;
	char path[200];

	need(mkdtemp(dir) != NULL && (dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0, "a directory");
	need(uv_loop_init(&loop) == 0, "a loop");
	open_cache(8 << 20);
	ok(get(1) == NULL, "what was never kept is not there");
	put(1, 100, 'a');
	check(1, 100, 'a', "what was kept is there at once");
	put(2, 2 << 20, 'b');
	settle();
	check(2, 2 << 20, 'b', "a large one");
	close_cache();

	(void)snprintf(path, sizeof(path), "%s/artefacts/%s.new", dir, key(9));
	(void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	open_cache(8 << 20);
	ok(access(path, F_OK) < 0, "what a crash left half-written is removed");
	check(1, 100, 'a', "after a restart the small one is there");
	check(2, 2 << 20, 'b', "and the large one, through another thread");
	artefacts_counts(cache, &c);
	ok(c.files == 2 && c.hits == 2 && c.bytes > (2 << 20), "and they are counted");
	close_cache();

	damage(1, 200, "cut");
	damage(2, 1 << 20, "changed");
	open_cache(8 << 20);
	ok(get(1) == NULL, "one that was cut is not handed out");
	ok(get(2) == NULL, "nor one that was changed");
	artefacts_counts(cache, &c);
	ok(c.files == 0 && c.bytes == 0, "they are gone");
	put(1, 100, 'c');
	settle();
	check(1, 100, 'c', "and may be kept anew");

	for (unsigned i = 10; i < 20; i++) {
		put(i, 1 << 20, (char)('a' + i));
		settle();
	}
	artefacts_counts(cache, &c);
	ok(c.bytes <= (8 << 20) && c.files == 7, "the bound holds");
	ok(get(1) == NULL && get(10) == NULL, "what was not used the longest time has gone");
	check(19, 1 << 20, (char)('a' + 19), "what is newest is there");
	put(30, 9 << 20, 'x');
	settle();
	ok(get(30) == NULL, "what is larger than all room is not kept");
	put(31, 1 << 20, 'y');
	artefacts_free(cache); /* while it is written */
	settle();
	ok(true, "a cache may be closed while it writes");

	open_cache(0);
	artefacts_counts(cache, &c);
	is_int(c.files, 0, "a smaller bound holds from the start");
	close_cache();
	(void)snprintf(path, sizeof(path), "%s/artefacts", dir);
	ok(rmdir(path) == 0 && rmdir(dir) == 0, "no file is left");
	(void)close(dir_fd);
	is_int(uv_loop_close(&loop), 0, "nor anything on the loop");
	return done_testing();
}
