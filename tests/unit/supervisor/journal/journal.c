/* The journal of a job: what goes in comes out, in numbered events that never change, whatever happens to its writer.
 */
#include "supervisor/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/journal/journal_impl.h"
#include "tests/tap.h"

static const int none[3] = { -1, -1, -1 };

static struct journal *fresh(void)
{
	struct error err = ERROR_INIT;
	struct journal *j = NULL;

	if (journal_open(none, &j, &err) < 0)
		need(false, "a new journal: %s", err.text);
	return j;
}

static void make_files(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		fds[i] = memfd_create("test", MFD_CLOEXEC);
		if (fds[i] < 0)
			need(false, "a file");
	}
}

/* journal_open() takes descriptors; the test keeps its own. */
static int open_copies(const int fds[3], struct journal **ret, struct error *err)
{
	int copies[3];

	for (int i = 0; i < 3; i++)
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	return journal_open(copies, ret, err);
}

static struct journal *reopen(const int fds[3])
{
	struct error err = ERROR_INIT;
	struct journal *j = NULL;

	if (open_copies(fds, &j, &err) < 0)
		need(false, "the journal opens again: %s", err.text);
	return j;
}

static void close_files(int fds[3])
{
	for (int i = 0; i < 3; i++)
		fd_close(&fds[i]);
}

static void is_event(struct journal *j, uint64_t n, enum journal_type type, const char *text)
{
	struct journal_event e = { .n = 0 };

	ok(journal_get(j, n, &e) && e.n == n && e.type == type && e.size == strlen(text) &&
		   memcmp(e.data, text, e.size) == 0,
	   "event %d is %s '%.*s'", (int)n, journal_type_name(type), (int)strcspn(text, "\n"), text);
	if (e.n && (e.size != strlen(text) || memcmp(e.data, text, e.size) != 0))
		diag("got type %d '%.*s'", e.type, (int)e.size, e.data);
}

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		need(false, "written");
}

static void put_at(int fd, const char *text, off_t at)
{
	if (pwrite(fd, text, strlen(text), at) != (ssize_t)strlen(text))
		need(false, "written");
}

/* ---- a life ---- */

static void life(void)
{
	struct error err = ERROR_INIT;
	struct journal *j = fresh();
	struct journal_event e;
	cleanup_buf struct buf all = BUF_INIT;
	int out[2], errors[2];

	need(pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(errors, O_CLOEXEC | O_NONBLOCK) == 0, "pipes");
	ok(journal_last(j) == 0 && !journal_is_ended(j) && !journal_get(j, 0, &e) && !journal_get(j, 1, &e),
	   "a new journal has nothing in it");
	is_int(journal_take(j, JOURNAL_STDOUT, out[0], 100, &err), -EAGAIN, "an empty pipe");
	ok(journal_add(j, JOURNAL_STATUS, "{\"state\":\"running\"}", &err) == 0, "a status");
	put(out[1], "hello ");
	put(errors[1], "oh\n");
	put(out[1], "world\n");
	is_int(journal_take(j, JOURNAL_STDOUT, out[0], 4, &err), 4, "at most as much as asked for");
	is_int(journal_take(j, JOURNAL_STDOUT, out[0], 1 << 20, &err), 8, "the rest");
	is_int(journal_take(j, JOURNAL_STDERR, errors[0], 1 << 20, &err), 3, "the other stream");
	(void)close(out[1]);
	is_int(journal_take(j, JOURNAL_STDOUT, out[0], 1 << 20, &err), 0, "the end of a pipe");
	ok(journal_add(j, JOURNAL_EXIT, "{\"status\":\"ok\"}", &err) == 0 && journal_is_ended(j), "the end");
	is_int(journal_last(j), 5, "five events");
	is_event(j, 1, JOURNAL_STATUS, "{\"state\":\"running\"}");
	is_event(j, 2, JOURNAL_STDOUT, "hell");
	is_event(j, 3, JOURNAL_STDOUT, "o world\n");
	is_event(j, 4, JOURNAL_STDERR, "oh\n");
	is_event(j, 5, JOURNAL_EXIT, "{\"status\":\"ok\"}");
	is_int(journal_add(j, JOURNAL_STATUS, "{}", &err), -EPIPE, "nothing comes after the end");
	is_int(journal_take(j, JOURNAL_STDERR, errors[0], 1, &err), -EPIPE, "no output either");
	is_int(journal_bytes(j, JOURNAL_STDOUT), 12, "bytes of a stream");
	ok(journal_stream(j, JOURNAL_STDOUT, &all) == 0 && strcmp(buf_str(&all), "hello world\n") == 0,
	   "a whole stream");
	buf_reset(&all);
	ok(journal_part(j, JOURNAL_STDOUT, 6, 5, &all) == 0 && strcmp(buf_str(&all), "world") == 0, "a part");
	ok(journal_part(j, JOURNAL_STDOUT, 11, UINT64_MAX, &all) == 0 && strcmp(buf_str(&all), "world\n") == 0,
	   "no more than there is");
	ok(journal_part(j, JOURNAL_STDOUT, UINT64_MAX, 2, &all) == 0 && all.size == 6, "nothing beyond the end");
	journal_unref(j);
	(void)close(out[0]);
	(void)close(errors[0]);
	(void)close(errors[1]);
}

static void statuses(void)
{
	struct error err = ERROR_INIT;
	struct journal *j = fresh();
	char text[JOURNAL_STATUS_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[JOURNAL_STATUS_MAX + 1] = '\0';
	is_int(journal_add(j, JOURNAL_STATUS, text, &err), -EINVAL, "a status that is too long");
	is_int(journal_add(j, JOURNAL_STATUS, "", &err), -EINVAL, "or none at all");
	is_int(journal_add(j, JOURNAL_STDOUT, "x", &err), -EINVAL, "output comes another way");
	text[JOURNAL_STATUS_MAX] = '\0';
	is_int(journal_add(j, JOURNAL_STATUS, text, &err), 0, "the longest");
	is_event(j, 1, JOURNAL_STATUS, text);
	journal_unref(j);
}

/* What is no pipe is copied. */
static void copies(void)
{
	struct error err = ERROR_INIT;
	struct journal *j = fresh();
	int pair[2], master, slave;

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "a socket");
	is_int(journal_take(j, JOURNAL_STDOUT, pair[0], 100, &err), -EAGAIN, "an empty socket");
	put(pair[1], "through a socket");
	is_int(journal_take(j, JOURNAL_STDOUT, pair[0], 100, &err), 16, "bytes of a socket");
	is_event(j, 1, JOURNAL_STDOUT, "through a socket");
	(void)close(pair[1]);
	is_int(journal_take(j, JOURNAL_STDOUT, pair[0], 100, &err), 0, "its end");
	need(openpty(&master, &slave, NULL, NULL, NULL) == 0 && fd_set_nonblock(master, 1) == 0, "a terminal");
	is_int(journal_take(j, JOURNAL_STDOUT, master, 100, &err), -EAGAIN, "a terminal without output");
	put(slave, "tty");
	is_int(journal_take(j, JOURNAL_STDOUT, master, 100, &err), 3, "bytes of a terminal");
	is_event(j, 2, JOURNAL_STDOUT, "tty");
	(void)close(slave);
	is_int(journal_take(j, JOURNAL_STDOUT, master, 100, &err), 0, "its last user is gone: the end");
	is_int(journal_take(j, JOURNAL_STDOUT, -1, 100, &err), -EBADF, "no descriptor");
	journal_unref(j);
	(void)close(pair[0]);
	(void)close(master);
}

/* ---- readers ---- */

struct watcher {
	struct journal_reader reader;
	uint64_t seen;
	int told;
	bool is_lazy; /* does not look */
	struct watcher *sends_away;
};

static void on_news(struct journal_reader *r)
{
	struct watcher *w = r->arg;
	struct journal *j = r->journal;
	struct journal_event e;

	w->told++;
	if (w->sends_away)
		journal_leave(&w->sends_away->reader);
	while (!w->is_lazy && journal_get(j, w->seen + 1, &e))
		w->seen++;
}

static void watch(struct journal *j, struct watcher *w)
{
	w->reader = (struct journal_reader){ .notify = on_news, .arg = w };
	journal_join(j, &w->reader);
}

static void say(struct journal *j)
{
	if (journal_add(j, JOURNAL_STATUS, "{}", NULL) < 0)
		need(false, "a status");
}

static void readers(void)
{
	struct journal *j = fresh();
	struct watcher a = { .told = 0 }, lazy = { .is_lazy = true }, c = { .told = 0 }, d = { .told = 0 };
	struct journal_event e;

	say(j);
	watch(j, &a);
	watch(j, &lazy);
	is_int(a.told, 0, "joining tells nothing");
	for (int i = 0; i < 3; i++)
		say(j);
	is_int(a.told, 3, "who has read everything is told each time");
	is_int(a.seen, 4, "and sees all there is");
	is_int(lazy.told, 1, "who has not is told once");
	ok(!journal_get(j, 5, &e), "asking beyond the last");
	say(j);
	is_int(lazy.told, 2, "arms it again");
	watch(j, &c);
	watch(j, &d);
	d.sends_away = &c; /* the next one to be told */
	say(j);
	ok(d.told == 1 && c.told == 0 && a.told == 5, "a reader may send another one away");
	d.sends_away = &d;
	say(j);
	say(j);
	ok(d.told == 2 && a.told == 7, "and itself");
	journal_leave(&d.reader);
	journal_unref(j);
	ok(!a.reader.journal, "the last reference takes the readers out");
	journal_leave(&a.reader);
}

/* ---- bounds ---- */

/* One byte at a time, as fast as they can be taken: more of them than there are numbers. */
static void many_pieces(void)
{
	enum { BYTES = 300000 };
	struct error err = ERROR_INIT;
	struct journal *j = fresh();
	struct journal_event e;
	cleanup_buf struct buf out = BUF_INIT, joined = BUF_INIT, blob = BUF_INIT;
	struct journal *again = NULL;
	bool is_grown = false;
	uint64_t size_seen = 0, seen = 0;
	int p[2], bad = 0;

	need(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
	for (int i = 0; i < BYTES; i++) {
		char c = (char)(i % 251);

		bad += write(p[1], &c, 1) != 1 || journal_take(j, JOURNAL_STDOUT, p[0], 10, &err) != 1;
		if (i % 1000 == 0 && journal_get(j, journal_last(j), &e)) {
			seen = journal_last(j);
			size_seen = e.size;
		}
		if (seen && i % 1000 == 999)
			is_grown = is_grown || !journal_get(j, seen, &e) || e.size != size_seen;
	}
	is_int(bad, 0, "every byte was taken");
	ok(!is_grown, "an event with a number never changes");
	ok(journal_last(j) < JOURNAL_EVENTS_MAX - EVENTS_KEPT, "there are numbers left (%d used)",
	   (int)journal_last(j));
	ok(journal_bytes(j, JOURNAL_STDOUT) == BYTES, "all bytes are in the journal");
	is_int(journal_add(j, JOURNAL_EXIT, "{}", &err), 0, "the end always has its number");
	for (uint64_t n = 1; journal_get(j, n, &e); n++) {
		if (e.type == JOURNAL_STDOUT)
			(void)buf_append(&joined, e.data, e.size);
	}
	ok(journal_stream(j, JOURNAL_STDOUT, &out) == 0 && out.size == BYTES && joined.size == BYTES &&
		   memcmp(out.data, joined.data, BYTES) == 0,
	   "and the events have them all");
	ok(journal_pack(j, &blob) == 0 && journal_unpack(blob.data, blob.size, &again, &err) == 0 &&
		   journal_last(again) == journal_last(j),
	   "it can be packed");
	ok(journal_is_of_blob(again, blob.data, blob.size), "it knows the bytes that it was made of");
	ok(!journal_is_of_blob(again, blob.data, blob.size - 1), "fewer of them are others");
	blob.data[blob.size - 1] ^= 1;
	ok(!journal_is_of_blob(again, blob.data, blob.size), "and so is another one among them");
	ok(!journal_is_of_blob(j, blob.data, blob.size), "a journal in files was made of none");
	journal_unref(again);
	journal_unref(j);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void last_numbers(void)
{
	struct error err = ERROR_INIT;
	struct journal *j = fresh();
	struct journal_event e;
	int p[2], r = 0, wait;
	uint64_t n;

	need(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
	while (journal_last(j) < JOURNAL_EVENTS_MAX / 2)
		say(j);
	put(p[1], "a");
	put(p[1], "b");
	is_int(journal_take(j, JOURNAL_STDOUT, p[0], 1, &err), 1, "in the second half of the numbers");
	n = journal_last(j);
	is_int(journal_take(j, JOURNAL_STDOUT, p[0], 1, &err), 1, "a small piece just after another");
	is_int(journal_last(j), n, "is held back");
	wait = journal_settle(j);
	ok(wait > 0 && wait <= 20, "for at most 20 ms (%d)", wait);
	(void)usleep((useconds_t)wait * 1000);
	is_int(journal_settle(j), -1, "then nothing waits any more");
	is_event(j, n + 1, JOURNAL_STDOUT, "b");
	put(p[1], "c");
	is_int(journal_take(j, JOURNAL_STDOUT, p[0], 1, &err), 1, "another one");
	say(j);
	is_event(j, n + 2, JOURNAL_STDOUT, "c");
	is_event(j, n + 3, JOURNAL_STATUS, "{}");
	while (r == 0)
		r = journal_add(j, JOURNAL_STATUS, "{}", &err);
	is_int(r, -ENOSPC, "statuses come to an end");
	put(p[1], "d");
	is_int(journal_take(j, JOURNAL_STDERR, p[0], 1, &err), 1, "output is still taken");
	put(p[1], "e");
	is_int(journal_take(j, JOURNAL_STDOUT, p[0], 1, &err), 1, "of both streams");
	is_int(journal_settle(j), -1, "and waits for the end");
	is_int(journal_add(j, JOURNAL_EXIT, "{\"x\":1}", &err), 0, "which always comes");
	n = journal_last(j);
	ok(n <= JOURNAL_EVENTS_MAX && !journal_get(j, n + 1, &e), "within the bound");
	is_event(j, n - 2, JOURNAL_STDOUT, "e");
	is_event(j, n - 1, JOURNAL_STDERR, "d");
	is_event(j, n, JOURNAL_EXIT, "{\"x\":1}");
	journal_unref(j);
	(void)close(p[0]);
	(void)close(p[1]);
}

/* ---- a new front ---- */

static void *map_of(int fd, size_t *ret_size)
{
	cleanup_buf struct buf b = BUF_INIT;

	(void)lseek(fd, 0, SEEK_SET);
	if (fd_read_all(fd, 1 << 20, &b, NULL) < 0)
		need(false, "read");
	*ret_size = b.size;
	return buf_take(&b);
}

/* Events 1 to 4: status, output, error, status. */
static void begin(const int fds[3])
{
	struct journal *j = reopen(fds);
	int p[2];

	need(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
	say(j);
	put(p[1], "out");
	(void)journal_take(j, JOURNAL_STDOUT, p[0], 100, NULL);
	put(p[1], "err");
	(void)journal_take(j, JOURNAL_STDERR, p[0], 100, NULL);
	(void)journal_add(j, JOURNAL_STATUS, "{\"state\":\"a state that takes more than one record of the index\"}",
			  NULL);
	journal_unref(j);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void taken_over(void)
{
	int fds[3];
	struct journal *j;

	make_files(fds);
	begin(fds);
	put_at(fds[0], "more", 3);
	put_at(fds[1], "MORE", 3);
	j = reopen(fds);
	is_int(journal_last(j), 6, "a new front has what there was, and an event for what had none");
	is_event(j, 4, JOURNAL_STATUS, "{\"state\":\"a state that takes more than one record of the index\"}");
	is_event(j, 5, JOURNAL_STDOUT, "more");
	is_event(j, 6, JOURNAL_STDERR, "MORE");
	journal_unref(j);
	j = reopen(fds);
	is_int(journal_last(j), 6, "once");
	ok(journal_add(j, JOURNAL_EXIT, "{}", NULL) == 0, "the end");
	journal_unref(j);
	j = reopen(fds);
	ok(journal_is_ended(j) && journal_last(j) == 7, "a new front knows the end too");
	is_int(journal_add(j, JOURNAL_STATUS, "{}", NULL), -EPIPE, "and adds nothing");
	journal_unref(j);
	close_files(fds);
}

/* The index cut at every byte: what is whole stays, what is not comes back as an event of its own. */
static void torn(void)
{
	int fds[3], bad = 0;
	size_t size;
	char *index;

	make_files(fds);
	begin(fds);
	index = map_of(fds[2], &size);
	for (size_t cut = 0; cut <= size; cut++) {
		cleanup_buf struct buf out = BUF_INIT;
		struct journal_event e;
		struct error err = ERROR_INIT;
		struct journal *j = NULL;
		int streams[2] = { 0, 0 };

		if (ftruncate(fds[2], 0) < 0 || pwrite(fds[2], index, cut, 0) != (ssize_t)cut)
			need(false, "cut");
		if (open_copies(fds, &j, &err) < 0) {
			diag("cut at %zu: %s", cut, err.text);
			bad++;
			continue;
		}
		for (uint64_t n = 1; journal_get(j, n, &e); n++) {
			if (e.type <= JOURNAL_STDERR)
				streams[e.type - 1] += (int)e.size;
		}
		bad += streams[0] != 3 || streams[1] != 3 || journal_add(j, JOURNAL_EXIT, "{}", &err) != 0;
		journal_unref(j);
		j = NULL;
		if (open_copies(fds, &j, &err) < 0) {
			diag("again, cut at %zu: %s", cut, err.text);
			bad++;
		}
		journal_unref(j);
	}
	is_int(bad, 0, "an index cut anywhere is repaired: %zu places", size);
	free(index);
	close_files(fds);
}

static void turn_over(char *data, size_t bit)
{
	((unsigned char *)data)[bit / 8] ^= (unsigned char)(1U << bit % 8);
}

/* Every bit of the index turned over: refused, or the last event is gone; never another content of an event. */
static void damaged(void)
{
	int fds[3], bad = 0, refused = 0;
	size_t size;
	char *index;

	make_files(fds);
	begin(fds);
	index = map_of(fds[2], &size);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		struct error err = ERROR_INIT;
		struct journal *j = NULL;
		struct journal_event e;

		turn_over(index, bit);
		if (ftruncate(fds[2], 0) < 0 || pwrite(fds[2], index, size, 0) != (ssize_t)size)
			need(false, "damage");
		turn_over(index, bit);
		if (open_copies(fds, &j, &err) < 0) {
			refused += err.code == EPROTO;
			bad += err.code != EPROTO || !err.text[0];
			continue;
		}
		bad += !journal_get(j, 1, &e) || e.type != JOURNAL_STATUS || e.size != 2;
		bad += !journal_get(j, 2, &e) || memcmp(e.data, "out", 3) != 0;
		bad += !journal_get(j, 3, &e) || memcmp(e.data, "err", 3) != 0;
		bad += journal_last(j) > 4;
		journal_unref(j);
	}
	is_int(bad, 0, "no bit of the index can be turned over to another content");
	ok(refused > 500, "most are refused (%d of %d)", refused, (int)(8 * size));
	free(index);
	close_files(fds);
}

static void foreign(void)
{
	static const char text[] = "this is no index, but it is long enough to be the head of one";
	const int partly[3] = { open("/dev/null", O_RDWR | O_CLOEXEC), -1, -1 };
	const int devices[3] = { open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC),
				 open("/dev/null", O_RDWR | O_CLOEXEC) };
	struct error err = ERROR_INIT;
	struct journal *j = NULL;
	int fds[3];

	is_int(journal_open(partly, &j, &err), -EINVAL, "one file of three is refused");
	ok(fcntl(partly[0], F_GETFD) < 0, "and closed");
	is_int(journal_open(devices, &j, &err), -EPROTO, "devices are no files");
	make_files(fds);
	put_at(fds[2], text, 0);
	is_int(open_copies(fds, &j, &err), -EPROTO, "another file is no index");
	is_str(err.text, "index of a journal: it does not begin as one", "and that is said");
	close_files(fds);
	make_files(fds);
	begin(fds);
	(void)!ftruncate(fds[0], 2);
	is_int(open_copies(fds, &j, &err), -EPROTO, "an index that speaks of more than there is");
	close_files(fds);
}

/* ---- killed at any moment ---- */

static void take_for_ever(const int fds[3], int pipe_fd, int ready_fd, unsigned char round)
{
	struct journal *j = NULL;

	if (open_copies(fds, &j, NULL) < 0 || write(ready_fd, &round, 1) != 1)
		_exit(1);
	for (;;) {
		ssize_t n = journal_take(j, JOURNAL_STDOUT, pipe_fd, 1 << 20, NULL);

		if (n < 0 && n != -EAGAIN)
			_exit(2);
	}
}

static void killed(void)
{
	enum { ROUNDS = 200, ROOM = 128 << 20 };
	char *sent = malloc(ROOM);
	cleanup_buf struct buf out = BUF_BOUNDED(ROOM), joined = BUF_BOUNDED(ROOM);
	struct error err = ERROR_INIT;
	struct journal_event e;
	struct journal *j;
	size_t size = 0;
	uint64_t gaps = 0, last = 0;
	int fds[3], p[2], ready[2], strange = 0;

	need(sent && pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(ready, O_CLOEXEC) == 0, "pipes");
	for (uint32_t i = 0, x = 7; i < ROOM; i++) {
		x = x * 1664525u + 1013904223u;
		sent[i] = (char)(x >> 24);
	}
	make_files(fds);
	srandom(4711);
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = fork();
		struct pollfd writable = { .fd = p[1], .events = POLLOUT };
		unsigned char who = 255;
		uint64_t until;
		int status = 0;

		if (pid == 0)
			take_for_ever(fds, p[0], ready[1], (unsigned char)round);
		while (round % 4 != 0 && who != round) /* otherwise it may be killed while it reads the index */
			strange += read(ready[0], &who, 1) != 1;
		until = clock_deadline_ns((uint64_t)(random() % 1500) * NS_PER_US);
		do {
			size_t want = 1 + (size_t)random() % (round % 2 ? 70000 : 3000);
			ssize_t n = write(p[1], sent + size, want < ROOM - size ? want : ROOM - size);

			size += n > 0 ? (size_t)n : 0;
			(void)poll(&writable, 1, 1);
		} while (clock_now_ns() < until);
		(void)kill(pid, SIGKILL);
		strange += waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status);
		if (round % 10 == 0) { /* now and then somebody looks */
			j = reopen(fds);
			gaps += journal_last(j) < last;
			last = journal_last(j);
			journal_unref(j);
		}
	}
	is_int(strange, 0, "none of them ended by itself");
	ok(size < ROOM, "they were at work to the last round");
	is_int(gaps, 0, "what had a number kept it");
	j = reopen(fds);
	while (journal_take(j, JOURNAL_STDOUT, p[0], 1 << 20, &err) > 0)
		;
	ok(journal_add(j, JOURNAL_EXIT, "{}", &err) == 0, "the end");
	for (uint64_t n = 1; journal_get(j, n, &e); n++) {
		if (e.type == JOURNAL_STDOUT)
			(void)buf_append(&joined, e.data, e.size);
	}
	ok(journal_stream(j, JOURNAL_STDOUT, &out) == 0 && out.size == size && memcmp(out.data, sent, size) == 0,
	   "%zu bytes in, the same out: none lost, none twice", size);
	ok(joined.size == size && memcmp(joined.data, sent, size) == 0, "and the %d events have them all",
	   (int)journal_last(j));
	journal_unref(j);
	free(sent);
	close_files(fds);
	(void)close(p[0]);
	(void)close(p[1]);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* ---- packed ---- */

static bool is_same(struct journal *a, struct journal *b)
{
	cleanup_buf struct buf data = BUF_INIT;
	struct journal_event x, y;

	if (journal_last(a) != journal_last(b))
		return false;
	for (uint64_t n = 1; n <= journal_last(a); n++) {
		if (!journal_get(a, n, &x) || !journal_get(b, n, &y) || x.type != y.type || x.at_ms != y.at_ms ||
		    x.size != y.size || memcmp(x.data, y.data, x.size) != 0)
			return false;
	}
	return journal_bytes(a, JOURNAL_STDOUT) == journal_bytes(b, JOURNAL_STDOUT) &&
	       journal_bytes(a, JOURNAL_STDERR) == journal_bytes(b, JOURNAL_STDERR);
}

/* Packed from copies of its events. */
static int list_of(struct journal *j, struct buf *out)
{
	cleanup_buf struct buf other = BUF_INIT;
	size_t n = journal_last(j);
	struct journal_event *events = calloc(n + 1, sizeof(*events));
	int r;

	if (!events)
		abort();
	for (size_t i = 0; i < n; i++) {
		need(journal_get(j, i + 1, &events[i]), "an event");
		events[i].data = events[i].size ? memcpy(malloc(events[i].size), events[i].data, events[i].size) : "";
	}
	buf_reset(out);
	r = journal_pack_list(events, n, out);
	events[n].type = 9;
	ok(journal_pack_list(events, n + 1, &other) == -EPROTO, "one of no type is refused");
	for (size_t i = 0; i < n; i++)
		if (events[i].size)
			free((void *)events[i].data);
	free(events);
	return r;
}

static void packed(void)
{
	cleanup_buf struct buf blob = BUF_INIT, again = BUF_INIT, small = BUF_BOUNDED(200);
	struct journal *j, *k = NULL, *empty = fresh();
	struct error err = ERROR_INIT;
	int fds[3], taken = 0;

	make_files(fds);
	begin(fds);
	j = reopen(fds);
	(void)buf_append_str(&small, "x");
	ok(journal_pack(j, &small) < 0 && small.size == 1, "no room for a blob: nothing of it is left");
	need(journal_pack(j, &blob) == 0, "a journal is packed");
	need(journal_unpack(blob.data, blob.size, &k, &err) == 0, "and unpacked %s", err.text);
	ok(is_same(j, k), "to the same");
	ok(journal_is_ended(k) && journal_add(k, JOURNAL_STATUS, "{}", &err) == -EPIPE && journal_settle(k) == -1,
	   "but nothing can be added");
	ok(journal_pack(k, &again) == 0 && again.size == blob.size && memcmp(again.data, blob.data, blob.size) == 0,
	   "packed again it is the same blob");
	ok(list_of(k, &again) == 0 && again.size == blob.size && memcmp(again.data, blob.data, blob.size) == 0,
	   "and so it is from its events alone");
	journal_unref(k);
	for (size_t size = 0; size < blob.size; size++) {
		char *exact = malloc(size ? size : 1);

		if (!exact)
			abort();
		memcpy(exact, blob.data, size);
		taken += journal_unpack(exact, size, &k, &err) == 0;
		free(exact);
	}
	is_int(taken, 0, "no beginning of a blob is one");
	for (size_t bit = 0; bit < 8 * blob.size; bit++) {
		k = NULL;
		turn_over(blob.data, bit);
		if (journal_unpack(blob.data, blob.size, &k, &err) == 0)
			(void)is_same(j, k);
		journal_unref(k);
		turn_over(blob.data, bit);
	}
	ok(1, "damaged ones do no harm");
	buf_reset(&again);
	k = NULL;
	ok(journal_pack(empty, &again) == 0 && journal_unpack(again.data, again.size, &k, &err) == 0 &&
		   journal_last(k) == 0,
	   "an empty one");
	journal_unref(k);
	journal_unref(empty);
	journal_unref(j);
	close_files(fds);
}

int main(void)
{
	life();
	statuses();
	copies();
	readers();
	many_pieces();
	last_numbers();
	taken_over();
	torn();
	damaged();
	foreign();
	killed();
	packed();
	return done_testing();
}
