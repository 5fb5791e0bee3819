/* Two writers of one blob or layer: the second waits for the first, and finds or inherits its work. */
#include <signal.h>
#include <sys/wait.h>

#include "runtime/base/clock.h"
#include "tests/root/store_fixture.h"

/* A child that holds the blob or layer until told, then commits; the parent must wait for it. */
static void second_waits(bool is_layer)
{
	const char *what = is_layer ? "layer" : "blob";
	struct digest d;
	int tell[2], status = 0;
	uint64_t have = 0, began;
	struct store *s = must_open();
	pid_t pid;
	char c;

	digest_of(what, strlen(what), &d);
	need(pipe2(tell, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		struct store *mine = must_open();
		struct store_blob_writer *b = NULL;
		struct store_layer_writer *l = NULL;
		int fd = -1, r;

		r = is_layer ? store_layer_begin(mine, &d, &l, &fd, NULL)
			     : store_blob_begin(mine, &d, &b, &fd, &have, NULL);
		if (r != 0 || write(tell[1], "x", 1) != 1)
			_exit(1);
		usleep(300000);
		_exit(is_layer ? store_layer_commit(l, NULL, NULL) != 0 : store_blob_commit(b, NULL) != 0);
	}
	need(read(tell[0], &c, 1) == 1, "the first writer of a %s is at work", what);
	began = clock_now_ns();
	if (is_layer) {
		struct store_layer_writer *l = NULL;
		int fd = -1;

		is_int(store_layer_begin(s, &d, &l, &fd, &err), 1, "the second writer of a layer finds it there");
	} else {
		struct store_blob_writer *b = NULL;
		int fd = -1;

		is_int(store_blob_begin(s, &d, &b, &fd, &have, &err), 1, "the second writer of a blob finds it there");
	}
	ok(clock_now_ns() - began > 100 * NS_PER_MS, "after it waited for the first");
	waitpid(pid, &status, 0);
	is_int(status, 0, "who finished");
	is_int(names_in("tmp"), 0, "nothing is left in tmp");
	close(tell[0]);
	close(tell[1]);
	store_close(s);
}

/* When the first dies, the second goes on with an empty start. */
static void second_inherits(void)
{
	struct store *s = must_open();
	struct store_layer_writer *l = NULL;
	struct digest d;
	int tell[2], fd = -1;
	char c;
	pid_t pid;

	digest_of("dies", 4, &d);
	need(pipe2(tell, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		int dir = -1;

		if (store_layer_begin(s, &d, &l, &dir, NULL) != 0 || mkdirat(dir, "half", 0755) < 0 ||
		    write(tell[1], "x", 1) != 1)
			_exit(1);
		usleep(200000);
		raise(SIGKILL);
	}
	need(read(tell[0], &c, 1) == 1, "a writer is at work");
	is_int(store_layer_begin(s, &d, &l, &fd, &err), 0, "when it is killed the one who waits takes over");
	waitpid(pid, NULL, 0);
	is_int(faccessat(fd, "half", F_OK, 0), -1, "with an empty directory");
	need(mkdirat(fd, "whole", 0755) == 0, "unpack");
	is_int(store_layer_commit(l, NULL, &err), 0, "and commits");
	fd = store_layer_open(s, &d, &err);
	ok(fd >= 0 && faccessat(fd, "whole", F_OK, 0) == 0, "the layer can be opened");
	close(fd);
	close(tell[0]);
	close(tell[1]);
	store_close(s);
}

/* What a damaged disk or a careless hand may leave. */
static void no_directory(void)
{
	struct store *s = must_open();
	struct digest d;
	char path[4300];

	digest_of("file", 4, &d);
	snprintf(path, sizeof(path), "%s/layers/%s", root, digest_hex(&d));
	need(mkdir(path, 0700) == 0, "a layer");
	strcat(path, "/fs");
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	error_clear(&err);
	is_int(store_layer_open(s, &d, &err), -ENOTDIR, "that is a file is not opened");
	has_str(err.text, "it is a file, not a directory", "and the message says what is wrong");
	has_str(err.text, d.text, "with which");
	unlink(path);
	store_close(s);
}

/* As install.c does it, which must not wait for itself. */
static void second_does_not_wait(void)
{
	struct store *s = must_open();
	struct store_layer_writer *first = NULL, *second = NULL;
	struct digest d;
	int fd = -1;

	digest_of("twice", 5, &d);
	is_int(store_layer_try_begin(s, &d, &first, &fd, &err), 0,
	       "a layer that nobody writes is begun without waiting");
	error_clear(&err);
	is_int(store_layer_try_begin(s, &d, &second, &fd, &err), -EWOULDBLOCK, "a second time it would have to wait");
	ok(!second && err.code == 0, "and nothing is said or given");
	is_int(store_layer_commit(first, NULL, &err), 0, "when the first is done");
	is_int(store_layer_try_begin(s, &d, &second, &fd, &err), 1, "it is there");
	store_close(s);
}

int main(void)
{
	store_fixture();
	second_waits(false);
	second_waits(true);
	second_inherits();
	second_does_not_wait();
	no_directory();
	return done_testing();
}
