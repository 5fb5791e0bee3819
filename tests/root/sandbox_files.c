/*
 * File calls: content streams in and out whole or not at all, and whatever a tree looks like, the call happens inside,
 * with the identity of the payload.
 *
 * # timeout: 120
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/guest_test.h"
#include "tests/support/host.h"
#include "tests/tap.h"

#define MIB        ((size_t)1 << 20)
#define DISK_BYTES (24 * MIB)

enum { BIG_BYTES = 5 << 20, CHUNK_BYTES = 64 << 10 };

static struct test_host host;
static struct guest guest;

/* ---- one call ------------------------------------------------------------------------------------------------- */

static struct guest_call *call(enum agent_file_op op, const char *path, struct agent_file more)
{
	static struct agent_file f;

	f = more;
	f.op = op;
	f.uid = f.gid = PROCESS_DEFAULT_ID;
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	return guest_request(&guest, AGENT_FILE, &f);
}

#define CALL(op, path, ...) call(AGENT_FILE_##op, path, (struct agent_file){ __VA_ARGS__ })

/* The errno of a finished call; -1 when it has no answer, -2 when it was refused. */
static int code_of(struct guest_call *c)
{
	if (!guest_wait_over(&guest, c))
		return -1;
	return c->last == AGENT_FILE_DONE ? (int)c->answer.file_done.code : -2;
}

/* Give content to an open write and end it. EPIPE is the agent's way to say that it had enough. */
static void feed(struct guest_call *c, const void *data, size_t size)
{
	if (guest_wait_open(&guest, c)) {
		(void)fd_write_all(c->fds[0], data, size, NULL); /* the answer says how it went */
		fd_close(&c->fds[0]);
		c->n_fds = 0;
	}
}

static int write_text(const char *path, const char *text)
{
	struct guest_call *c = CALL(WRITE, path, .mode = 0644, .limit = strlen(text));

	feed(c, text, strlen(text));
	return code_of(c);
}

/* What a read, list or walk gives, and its code. */
static int take(struct guest_call *c, struct buf *out)
{
	if (guest_wait_open(&guest, c)) {
		(void)guest_drain(&c->fds[0], 64 * MIB, out);
		c->n_fds = 0;
	}
	return code_of(c);
}

static const char *text_of(const char *path)
{
	static char text[256];
	cleanup_buf struct buf out = BUF_INIT;
	int code = take(CALL(READ, path, .offset = 0), &out);

	(void)snprintf(text, sizeof(text), "%s", code ? strerrorname_np(code) : buf_str(&out));
	return text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Records as sorted words: "d:name", "l:name>target". */
static const char *words_of(struct guest_call *c)
{
	static struct agent_file_record r;
	static char words[64][512], text[64 * 512];
	char *sorted[64];
	cleanup_buf struct buf out = BUF_INIT;
	size_t n = 0, used = 0;
	ssize_t size;

	if (take(c, &out) != 0)
		return "failed";
	for (size_t at = 0; n < 64 && (size = agent_record_decode(out.data + at, out.size - at, &r)) > 0;
	     at += (size_t)size) {
		(void)snprintf(words[n], sizeof(words[n]), "%c:%.200s%s%.200s", r.type, r.path, r.link[0] ? ">" : "",
			       r.link);
		sorted[n] = words[n];
		n++;
	}
	qsort(sorted, n, sizeof(sorted[0]), by_name);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", sorted[i]);
	return text;
}

/* ---- content -------------------------------------------------------------------------------------------------- */

static void test_write_and_read(void)
{
	struct guest_call *c = CALL(WRITE, "/work/a", .mode = 0640, .limit = 10);
	const struct agent_file_done *done = &c->answer.file_done;
	cleanup_buf struct buf out = BUF_INIT;

	feed(c, "0123456789", 10);
	is_int(code_of(c), 0, "a file is written");
	ok(done->bytes == 10 && done->size == 10, "of ten bytes");
	c = CALL(STAT, "/work/a", .mode = 0);
	done = &c->answer.file_done;
	is_int(code_of(c), 0, "it can be looked at");
	ok(S_ISREG(done->mode) && (done->mode & 07777) == 0640, "a file of the mode asked for");
	ok(done->uid == 1000 && done->gid == 1000, "owned by the payload's identity");
	ok(llabs(done->mtime_ns / 1000000000 - (long long)time(NULL)) < 60, "changed just now");
	is_str(text_of("/work/a"), "0123456789", "and reads back");

	is_int(take(CALL(READ, "/work/a", .offset = 3, .limit = 4), &out), 0, "a part of it is read");
	is_str(buf_str(&out), "3456", "from the offset, as much as asked for");
	buf_reset(&out);
	is_int(take(CALL(READ, "/work/a", .offset = 8, .limit = 100), &out), 0, "more than there is");
	is_str(buf_str(&out), "89", "gives what there is");
	buf_reset(&out);
	is_int(take(CALL(READ, "/work/a", .offset = 1000), &out), 0, "beyond the end");
	is_str(buf_str(&out), "", "there is nothing");
	is_int(write_text("/work/a", "new"), 0, "a file is written over");
	is_str(text_of("/work/a"), "new", "and has the new content alone");
	is_int(write_text("/work/empty", ""), 0, "an empty file is written");
	is_str(text_of("/work/empty"), "", "and is empty");
}

static void test_whole_or_not(void)
{
	struct guest_call *c = CALL(WRITE, "/work/a", .mode = 0644, .limit = 10);

	(void)write_text("/work/a", "old");
	feed(c, "short", 5);
	is_int(code_of(c), ECANCELED, "fewer bytes than announced are no file");
	is_str(text_of("/work/a"), "old", "and the old content stays");
	c = CALL(WRITE, "/work/a", .mode = 0644, .limit = 10);
	feed(c, "this is too long", 16);
	is_int(code_of(c), ECANCELED, "nor are more");
	c = CALL(WRITE, "/work/none", .mode = 0644, .limit = 1);
	feed(c, "", 0);
	is_int(code_of(c), ECANCELED, "a writer that dies at once");
	is_str(text_of("/work/none"), "ENOENT", "leaves no file");

	c = CALL(WRITE, "/work/a", .mode = 0644);
	ok(guest_wait_open(&guest, c) && write(c->fds[0], "half", 4) == 4, "in the middle of a write");
	is_str(text_of("/work/a"), "old", "readers see the old content");
	fd_close(&c->fds[0]);
	c->n_fds = 0;
	is_int(code_of(c), 0, "at its end");
	is_str(text_of("/work/a"), "half", "the new");
	is_str(words_of(CALL(LIST, "/work", .mode = 0)), "f:a f:empty", "no temporary file is left beside it");
}

static void test_write_refused(void)
{
	struct guest_call *c;

	is_int(write_text("/work/x/y/z", "deep"), ENOENT, "a missing directory is not made unasked");
	c = CALL(WRITE, "/work/x/y/z", .mode = 0644, .flags = AGENT_FILE_PARENTS);
	feed(c, "deep", 4);
	is_int(code_of(c), 0, "but when asked");
	is_str(text_of("/work/x/y/z"), "deep", "and the file is there");
	is_int(write_text("/work/x", "over"), EISDIR, "a directory is not written over");
	is_int(write_text("/etc/hostname", "mine"), EACCES, "nor a file of root's");
	is_int(write_text("/proc/none", "mine"), ENOENT, "nor is anything made in /proc");
	is_str(words_of(CALL(WALK, "/work", .offset = 9)), "d:x d:x/y f:a f:empty f:x/y/z", "nothing is left of that");
}

static void test_read_refused(void)
{
	static const struct {
		const char *path, *code, *what;
	} rows[] = {
		{ "/work", "EISDIR", "a directory" },
		{ "/fifo", "EINVAL", "a fifo that nobody writes to" },
		{ "/dev/zero", "EINVAL", "a device without an end" },
		{ "/work/none", "ENOENT", "a file that is missing" },
		{ "/secret", "EACCES", "a file of root's alone" },
		{ "/proc/1/environ", "ENOENT", "pid 1, which is not there to be seen" },
		{ "", "EINVAL", "no path" },
	};
	struct guest_call *c;
	struct agent_file root = { .op = AGENT_FILE_READ, .uid = 0, .gid = 0, .path = "/secret" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_str(text_of(rows[i].path), rows[i].code, "not read: %s", rows[i].what);
	c = guest_request(&guest, AGENT_FILE, &root);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED && c->answer.failed.stage == AGENT_STAGE_CREDENTIALS,
	   "nor anything as uid 0");
	c = call(AGENT_FILE_OPS, "/work/a", (struct agent_file){ .mode = 0 });
	is_int(code_of(c), EINVAL, "an operation that is none is refused");
	c = call((enum agent_file_op)0, "/work/a", (struct agent_file){ .mode = 0 });
	is_int(code_of(c), EINVAL, "so is operation 0");
}

static void test_links_stay_inside(void)
{
	is_str(text_of("/up"), "sandbox\n", "a link with any number of .. ends in the sandbox's own root");
	is_str(text_of("/loop"), "ELOOP", "a link to itself is an error");
}

/* ---- trees ---------------------------------------------------------------------------------------------------- */

static void test_list(void)
{
	struct guest_call *c;

	is_str(words_of(CALL(LIST, "/tree", .mode = 0)), "d:d l:l>../secret p:p",
	       "a list has types and targets of links");
	is_str(words_of(CALL(WALK, "/tree", .offset = 0)), "d:d l:l>../secret p:p", "a walk of depth 0 is a list");
	is_str(words_of(CALL(WALK, "/tree", .offset = 1)), "d:d d:d/e f:d/f l:l>../secret p:p",
	       "of depth 1 goes one down");
	is_str(words_of(CALL(WALK, "/tree", .offset = 9)), "d:d d:d/e f:d/e/g f:d/f l:l>../secret p:p",
	       "deep enough it has everything");
	c = CALL(WALK, "/tree", .offset = 9, .limit = 2);
	is_int(strlen(words_of(c)) > 0, 1, "a walk of at most 2 records");
	ok(c->answer.file_done.is_cut, "says that it was cut");
	c = CALL(WALK, "/tree", .offset = 9, .limit = 6);
	(void)words_of(c);
	ok(!c->answer.file_done.is_cut, "one that had just room for all was not");
	is_int(code_of(CALL(LIST, "/work/a", .mode = 0)), ENOTDIR, "a file cannot be listed");
	is_int(code_of(CALL(LIST, "/none", .mode = 0)), ENOENT, "nor what is missing");
	is_int(code_of(CALL(LIST, "/closed", .mode = 0)), EACCES, "nor what is root's alone");
}

static void test_changes(void)
{
	struct guest_call *c;

	is_int(code_of(CALL(MKDIR, "/work/m/n/o", .mode = 0750)), 0, "directories are made with their parents");
	is_int(code_of(CALL(MKDIR, "/work/m/n/o", .mode = 0750)), 0, "once more is no error");
	c = CALL(STAT, "/work/m/n/o", .mode = 0);
	ok(code_of(c) == 0 && S_ISDIR(c->answer.file_done.mode) && (c->answer.file_done.mode & 07777) == 0750,
	   "with the mode asked for");
	is_int(code_of(CALL(MKDIR, "/work/a", .mode = 0755)), ENOTDIR, "a file is in the way");
	is_int(code_of(CALL(MKDIR, "/etc/x", .mode = 0755)), EACCES, "root's directory is not ours to fill");

	is_int(code_of(CALL(RENAME, "/work/a", .path2 = "/work/m/b")), 0, "a file is moved");
	is_str(text_of("/work/a"), "ENOENT", "away from there");
	is_str(text_of("/work/m/b"), "half", "to there");
	is_int(code_of(CALL(RENAME, "/work/none", .path2 = "/work/m/b")), ENOENT, "one that is missing is not");
	is_str(text_of("/work/m/b"), "half", "and harms nothing");

	is_int(code_of(CALL(CHMOD, "/work/m/b", .mode = 0400)), 0, "a mode is changed");
	c = CALL(STAT, "/work/m/b", .mode = 0);
	is_int(code_of(c) == 0 ? c->answer.file_done.mode & 07777 : 0, 0400, "to the one asked for");
	is_int(code_of(CALL(CHMOD, "/etc/hosts", .mode = 0666)), EPERM, "not that of a file of root's");
}

static void test_remove(void)
{
	is_int(code_of(CALL(REMOVE, "/work/empty", .mode = 0)), 0, "a file is removed");
	is_str(text_of("/work/empty"), "ENOENT", "and gone");
	is_int(code_of(CALL(REMOVE, "/work/empty", .mode = 0)), ENOENT, "twice is an error");
	is_int(code_of(CALL(REMOVE, "/work/m", .mode = 0)), ENOTEMPTY, "a tree is not removed unasked");
	is_int(code_of(CALL(REMOVE, "/work/m", .flags = AGENT_FILE_RECURSIVE)), 0, "but when asked");
	is_int(code_of(CALL(REMOVE, "/secret", .mode = 0)), EACCES, "root's file is not removed");
	is_int(code_of(CALL(REMOVE, "/tree", .flags = AGENT_FILE_RECURSIVE)), EACCES, "nor root's tree");
	is_str(words_of(CALL(WALK, "/tree", .offset = 9)), "d:d d:d/e f:d/e/g f:d/f l:l>../secret p:p",
	       "all of it is there");

	/* a tree of the payload's own with a link in it: only the link goes */
	is_int(code_of(CALL(REMOVE, "/home/own", .flags = AGENT_FILE_RECURSIVE)), 0,
	       "a tree with a link to another is removed");
	is_str(words_of(CALL(LIST, "/home", .mode = 0)), "d:other", "the other one stays");
	is_str(words_of(CALL(LIST, "/home/other", .mode = 0)), "f:kept", "with what is in it");
	is_str(words_of(CALL(WALK, "/work", .offset = 9)), "d:x d:x/y f:x/y/z", "and so does everything else");
}

/* ---- much and many -------------------------------------------------------------------------------------------- */

static char *pattern(size_t size, char seed)
{
	char *p = malloc(size);

	for (size_t i = 0; p && i < size; i++)
		p[i] = (char)(seed + (char)(i * 7 >> 3) + (char)(i >> 12));
	return p;
}

static void test_big(void)
{
	char *data[2] = { pattern(BIG_BYTES, 1), pattern(BIG_BYTES, 2) };
	struct buf out[2] = { BUF_INIT, BUF_INIT };
	struct guest_call *c[2] = { CALL(WRITE, "/work/one", .mode = 0644, .limit = BIG_BYTES),
				    CALL(WRITE, "/work/two", .mode = 0644, .limit = BIG_BYTES) };

	need(data[0] && data[1], "memory");
	ok(guest_wait_open(&guest, c[0]) && guest_wait_open(&guest, c[1]), "two writes are open at once");
	for (size_t at = 0; at < BIG_BYTES; at += CHUNK_BYTES)
		for (int i = 0; i < 2; i++)
			(void)fd_write_all(c[i]->fds[0], data[i] + at, CHUNK_BYTES, NULL);
	for (int i = 0; i < 2; i++) {
		fd_close(&c[i]->fds[0]);
		c[i]->n_fds = 0;
		is_int(code_of(c[i]), 0, "write %d of 5 MiB, in turns, ends well", i);
	}
	c[0] = CALL(READ, "/work/one", .mode = 0);
	c[1] = CALL(READ, "/work/two", .mode = 0);
	ok(guest_wait_open(&guest, c[0]) && guest_wait_open(&guest, c[1]), "two reads are open at once");
	is_int(take(c[1], &out[1]), 0, "the second is read while the first waits");
	is_int(take(c[0], &out[0]), 0, "then the first");
	for (int i = 0; i < 2; i++) {
		ok(out[i].size == BIG_BYTES && memcmp(out[i].data, data[i], BIG_BYTES) == 0, "read %d has every byte",
		   i);
		is_int(c[i]->answer.file_done.bytes, BIG_BYTES, "and counts them");
		buf_done(&out[i]);
		free(data[i]);
	}
}

static void test_full(void)
{
	char *data = pattern(DISK_BYTES, 3);
	struct guest_call *c = CALL(WRITE, "/work/one", .mode = 0644, .limit = DISK_BYTES);

	need(data, "memory");
	feed(c, data, DISK_BYTES);
	free(data);
	is_int(code_of(c), ENOSPC, "a file larger than what is left of the disk is refused");
	c = CALL(STAT, "/work/one", .mode = 0);
	is_int(code_of(c) == 0 ? c->answer.file_done.size : 0, BIG_BYTES, "the old one stays");
	is_int(write_text("/work/small", "room"), 0, "and the space is free again");
}

static void test_impatient(void)
{
	const struct agent_signal all = { .proc = 0, .signo = SIGKILL };
	struct guest_call *c = CALL(READ, "/work/one", .mode = 0);

	ok(guest_wait_open(&guest, c), "a long read is open");
	fd_close(&c->fds[0]);
	c->n_fds = 0;
	ok(guest_wait_over(&guest, c), "a host that stops reading still gets an answer");
	c = CALL(WRITE, "/work/two", .mode = 0644);
	ok(guest_wait_open(&guest, c), "a write is open");
	(void)guest_request(&guest, AGENT_SIGNAL, &all);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "a helper that was killed is answered for");
	c = CALL(STAT, "/work/two", .mode = 0);
	is_int(code_of(c) == 0 ? c->answer.file_done.size : 0, BIG_BYTES, "the file is what it was");
}

static void test_many(void)
{
	enum { N = 60 };
	struct guest_call *c[N];
	int well = 0;

	for (int i = 0; i < N; i++)
		c[i] = CALL(STAT, "/bin/payload", .mode = 0);
	for (int i = 0; i < N; i++)
		well += code_of(c[i]) == 0;
	is_int(well, N, "60 calls sent in one go are all answered");
}

/* ---- the layer: what an image may hold ------------------------------------------------------------------------ */

static void make_layer(void)
{
	const int at = host.layer_fd;
	static const char *const dirs[] = { "tree", "tree/d", "tree/d/e", "closed", "home", "home/own", "home/other" };
	static const char *const files[] = { "secret", "tree/d/f", "tree/d/e/g", "home/own/gone", "home/other/kept" };
	static const char *const links[][2] = {
		{ "../secret", "tree/l" },
		{ "../../../../../../../../etc/hostname", "up" },
		{ "loop", "loop" },
		{ "/home/other", "home/own/link" },
	};
	bool is_made = true;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		is_made &= mkdirat(at, dirs[i], 0755) == 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cleanup_fd int fd = openat(at, files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		is_made &= fd >= 0 && write(fd, "text", 4) == 4;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		is_made &= symlinkat(links[i][0], at, links[i][1]) == 0;
	is_made &= mkfifoat(at, "fifo", 0666) == 0 && mkfifoat(at, "tree/p", 0666) == 0;
	is_made &= fchmodat(at, "secret", 0600, 0) == 0 && fchmodat(at, "closed", 0700, 0) == 0;
	is_made &= fchmodat(at, "fifo", 0666, 0) == 0;
	for (size_t i = 4; i < sizeof(dirs) / sizeof(dirs[0]); i++) /* /home is the payload's */
		is_made &= fchownat(at, dirs[i], 1000, 1000, 0) == 0;
	need(is_made, "a layer with links, fifos and closed files");
}

int main(void)
{
	static guest_test_fn *const tests[] = { test_write_and_read,
						test_whole_or_not,
						test_write_refused,
						test_read_refused,
						test_links_stay_inside,
						test_list,
						test_changes,
						test_remove,
						test_big,
						test_full,
						test_impatient,
						test_many,
						NULL };

	return guest_test(&host, &guest, make_layer, DISK_BYTES, tests);
}
