/*
 * DELIVER: pid 1 itself writes a small file, as long as no program was started. It writes what was sent, as the payload's own,
 * and nowhere the payload could not write itself, whatever the image has in the way.
 *
 * # timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/guest_test.h"
#include "tests/support/host.h"
#include "tests/tap.h"

#define DISK_BYTES ((size_t)4 << 20)

static struct test_host host;
static struct guest guest;

/* Its errno; -1: no answer, -2: refused. */
static int deliver(const char *path, uint32_t mode, const void *data, size_t size)
{
	static struct agent_deliver d;
	struct guest_call *c;

	d = (struct agent_deliver){ .mode = mode, .content = { data, size } };
	(void)snprintf(d.path, sizeof(d.path), "%s", path);
	c = guest_request(&guest, AGENT_DELIVER, &d);
	if (!guest_wait_over(&guest, c))
		return -1;
	return c->last == AGENT_FILE_DONE ? (int)c->answer.file_done.code : -2;
}

static struct guest_call *file_call(enum agent_file_op op, const char *path)
{
	static struct agent_file f;

	f = (struct agent_file){ .op = op, .uid = UINT32_MAX, .gid = UINT32_MAX };
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	return guest_request(&guest, AGENT_FILE, &f);
}

static void is_file(const char *path, uint32_t mode, const void *data, size_t size)
{
	struct guest_call *c = file_call(AGENT_FILE_STAT, path);
	const struct agent_file_done *d = &c->answer.file_done;
	struct buf out = BUF_BOUNDED(1 << 20);

	ok(guest_wait_over(&guest, c) && d->code == 0 && d->mode == (S_IFREG | mode) && d->uid == 1000 &&
		   d->gid == 1000,
	   "%s is the payload's, with its mode", path);
	c = file_call(AGENT_FILE_READ, path);
	if (guest_wait_open(&guest, c)) {
		(void)guest_drain(&c->fds[0], 1 << 20, &out);
		c->n_fds = 0;
	}
	ok(guest_wait_over(&guest, c) && out.size == size && (size == 0 || memcmp(out.data, data, size) == 0),
	   "%s has what was sent", path);
	buf_done(&out);
}

static void test_written(void)
{
	static char most[AGENT_DELIVER_MAX];

	memset(most, 'm', sizeof(most));
	is_int(deliver("/work/main.c", 0644, "int main;", 9), 0, "a file");
	is_file("/work/main.c", 0644, "int main;", 9);
	is_int(deliver("/work/a/b/c/run", 0755, "x", 1), 0, "one three directories down");
	is_file("/work/a/b/c/run", 0755, "x", 1);
	is_int(deliver("/work/a/b/again", 0400, "y", 1), 0, "a second one beside it");
	is_int(deliver("/work/empty", 0600, "", 0), 0, "one without content");
	is_file("/work/empty", 0600, "", 0);
	is_int(deliver("/work/most", 0644, most, sizeof(most)), 0, "as much as a message may have");
	is_file("/work/most", 0644, most, sizeof(most));
	is_int(deliver("/home/own/file", 0644, "z", 1), 0, "in a directory of the image that is the payload's");
	is_int(deliver("/work/set", 037777777755, "x", 1), 0, "a mode with rubbish in it");
	is_file("/work/set", 07755, "x", 1);
}

static void test_in_the_way(void)
{
	static const struct {
		const char *path;
		int a, b; /* either */
		const char *title;
	} rows[] = {
		{ "/work/main.c", EEXIST, EEXIST, "what is there is not replaced" },
		{ "/home/own/link", EEXIST, EEXIST, "a link at the end is not followed" },
		{ "/home/own/link/x", ELOOP, ELOOP, "nor one on the way, into a directory that is the payload's too" },
		{ "/home/own/dangling", EEXIST, EEXIST, "nor one that leads nowhere" },
		{ "/home/own/fifo", EEXIST, EEXIST, "a fifo holds nobody" },
		{ "/home/own/fifo/x", ENOTDIR, ENOTDIR, "and is no directory" },
		{ "/closed/x", EACCES, EACCES, "a directory that is closed" },
		{ "/tree/x", EACCES, EACCES, "a directory of root" },
		{ "/tree/x/y", EACCES, EACCES, "nor is one made there" },
		{ "/work/../tree/x", EACCES, EACCES, "nor by dots" },
		{ "/etc/new", EACCES, EROFS, "/etc" },
		{ "/dev/new", EACCES, EROFS, "/dev" },
		{ "/proc/1/fd/3", ENOENT, EEXIST, "a descriptor of pid 1" },
		{ "/proc/1/root/work/x", ELOOP, ENOENT, "its root" },
		{ "/proc/1/mem", ENOENT, EEXIST, "its memory" },
		{ "/proc/self/fd/3", ELOOP, ELOOP, "by another name" },
		{ "/proc/sys/kernel/hostname", ENOENT, EEXIST, "a sysctl" },
		{ "/proc/loadavg", EEXIST, EEXIST, "the machine's load" },
		{ "", EINVAL, EINVAL, "no path" },
		{ "work", EINVAL, EINVAL, "a name alone" },
		{ "/x", EINVAL, EINVAL, "a file in the root" },
		{ "/work/", EINVAL, EINVAL, "a directory" },
		{ "/work/.", EEXIST, EISDIR, "itself" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = deliver(rows[i].path, 0644, "bad", 3);

		if (!ok(code == rows[i].a || code == rows[i].b, "'%s' is refused: %s", rows[i].path, rows[i].title))
			diag("%d (%s)", code, code > 0 ? strerror(code) : "no errno");
	}
	is_file("/work/main.c", 0644, "int main;", 9);
}

/* Not a byte stays of what does not fit. */
static void test_full(void)
{
	static char data[AGENT_DELIVER_MAX];
	char path[64];
	size_t n = 0;
	int code = 0;
	struct guest_call *c;

	memset(data, 'f', sizeof(data));
	while (code == 0 && n < DISK_BYTES / sizeof(data) + 10) {
		(void)snprintf(path, sizeof(path), "/work/full/%zu", n++);
		code = deliver(path, 0644, data, sizeof(data));
	}
	is_int(code, ENOSPC, "the disk is full after %zu files", n - 1);
	c = file_call(AGENT_FILE_STAT, path);
	ok(guest_wait_over(&guest, c) && c->answer.file_done.code == ENOENT, "and the last one left nothing");
}

static void test_too_late(void)
{
	int status;

	const char *said = guest_run(&guest, &status, ARGV("/bin/payload", "stat", "/work/a/b"));

	has_str(said, "uid 1000 gid 1000", "a program is started, and owns the directories that were made");
	has_str(said, "mode 755", "which others can read");
	is_int(deliver("/work/late", 0644, "x", 1), -2, "from then on nothing is delivered");
	(void)guest_run(&guest, &status, ARGV("/bin/payload", "call", "symlink", "/etc", "/work/swap"));
	is_int(deliver("/work/swap/x", 0644, "x", 1), -2, "nor where a program prepared the way");
}

static void make_layer(void)
{
	const int at = host.layer_fd;
	bool is_made = mkdirat(at, "tree", 0755) == 0 && mkdirat(at, "closed", 0700) == 0 &&
		       mkdirat(at, "home", 0755) == 0 && mkdirat(at, "home/own", 0755) == 0 &&
		       mkdirat(at, "home/other", 0755) == 0 && symlinkat("/home/other", at, "home/own/link") == 0 &&
		       symlinkat("/home/other/new", at, "home/own/dangling") == 0 &&
		       mkfifoat(at, "home/own/fifo", 0666) == 0;

	is_made &= fchmodat(at, "closed", 0700, 0) == 0;
	is_made &= fchownat(at, "home/own", 1000, 1000, 0) == 0 && fchownat(at, "home/other", 1000, 1000, 0) == 0;
	need(is_made, "a layer with links, a fifo and closed directories");
}

int main(void)
{
	static guest_test_fn *const tests[] = { test_written, test_in_the_way, test_full, test_too_late, NULL };

	return guest_test(&host, &guest, make_layer, DISK_BYTES, tests);
}
