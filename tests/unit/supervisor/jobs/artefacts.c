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

static const char *owner = "ann";

static void put(unsigned n, size_t size, char c)
{
	struct artefact *a = artefact_new();

	need(artefact_add(a, "program", 0755, bytes(size, c), size) == 0 &&
		     artefact_add(a, "sub/dir/empty", 0644, bytes(0, c), 0) == 0,
	     "an artefact of %zu bytes", size);
	artefacts_put(cache, key(n), a, owner);
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

/* As a job brings one: each file in the buffer it was read into. */
static struct artefact *as_read(unsigned n_files, size_t size)
{
	struct artefact *a = artefact_new();

	for (unsigned i = 0; i < n_files; i++) {
		char path[32], *data = malloc(128 << 10);

		memset(data, 'x', 128 << 10);
		(void)snprintf(path, sizeof(path), "program/Class%u.class", i);
		if (artefact_add(a, path, 0644, i % 2 ? data : NULL, i % 2 ? size : 0) < 0)
			abort();
		if (i % 2 == 0) /* its content comes later */
			artefact_set(a, i, data, size);
	}
	return a;
}

/* What the folder takes on the disk. */
static uint64_t disk_blocks(void)
{
	char path[200];
	uint64_t n = 0;
	struct dirent *d;
	struct stat st;
	DIR *f;

	(void)snprintf(path, sizeof(path), "%s/artefacts", dir);
	f = opendir(path);
	while (f && (d = readdir(f)) != NULL)
		n += d->d_name[0] != '.' && fstatat(dirfd(f), d->d_name, &st, 0) == 0 ? (uint64_t)st.st_blocks * 512
										      : 0;
	(void)closedir(f);
	return n;
}

/* Many small ones: the bound is that of real memory and of real blocks. */
static void test_room(void)
{
	struct artefact *a = as_read(250, 100);
	struct artefacts_counts c;

	ok(artefact_memory(a) < 100000, "an artefact of 250 small files takes %d bytes, no buffers",
	   (int)artefact_memory(a));
	ok(a->bytes == 25000, "of which 25000 are theirs");
	artefact_unref(a);
	open_cache(4 << 20);
	for (unsigned i = 0; i < 1500; i++) {
		a = as_read(8, 100);
		artefacts_put(cache, key(100000 + i), a, owner);
		artefact_unref(a);
		if (i % 50 == 0)
			settle();
	}
	settle();
	artefacts_counts(cache, &c);
	ok(c.files > 100 && c.bytes <= (4 << 20), "of 1500 small ones %d are kept", (int)c.files);
	ok(disk_blocks() > 100 * 4096 && disk_blocks() <= (4 << 20), "whose blocks are within the bound (%d)",
	   (int)disk_blocks());
	ok(c.held_bytes > 0 && c.held_bytes <= (16 << 20), "as is their memory (%d)", (int)c.held_bytes);
	close_cache();
}

/* One owner compiles for ever: what the others had made stays, on the disk and in memory. */
static void test_shares(void)
{
	struct artefacts_counts c;
	unsigned n_left = 0;

	open_cache(8 << 20);
	owner = "bob";
	for (unsigned i = 0; i < 4; i++)
		put(200000 + i, 256 << 10, 'b');
	settle();
	owner = "mallory";
	for (unsigned i = 0; i < 100; i++) {
		put(300000 + i, 256 << 10, 'm');
		settle();
	}
	artefacts_counts(cache, &c);
	ok(c.bytes <= (8 << 20) && c.bytes > (6 << 20), "the room is used (%d bytes)", (int)c.bytes);
	for (unsigned i = 0; i < 4; i++) {
		struct artefact *a = get(200000 + i);

		n_left += is_good(a, 256 << 10, 'b');
		artefact_unref(a);
	}
	is_int(n_left, 4, "a hundred of one owner took nothing from another");
	owner = "carol";
	for (unsigned i = 0; i < 8; i++)
		put(400000 + i, 256 << 10, 'c');
	settle();
	n_left = 0;
	for (unsigned i = 0; i < 8; i++) {
		struct artefact *a = get(400000 + i);

		n_left += is_good(a, 256 << 10, 'c');
		artefact_unref(a);
	}
	is_int(n_left, 8, "a third gets a share of what the second took");
	owner = "ann";
	close_cache();
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

	test_room();
	test_shares();
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
