/* The journal of one job, at work: see journal.h. */
#include "supervisor/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/journal/journal_impl.h"

const char *journal_type_name(enum journal_type type)
{
	static const char *const names[] = {
		[JOURNAL_STDOUT] = "stdout",
		[JOURNAL_STDERR] = "stderr",
		[JOURNAL_STATUS] = "status",
		[JOURNAL_EXIT] = "exit",
	};

	return names[type];
}

enum journal_type journal_type_of(const char *name)
{
	for (enum journal_type t = JOURNAL_STDOUT; t <= JOURNAL_EXIT; t++)
		if (strcmp(journal_type_name(t), name) == 0)
			return t;
	return 0;
}

/* REGION_OUT, REGION_ERR */
static int stream_of(enum journal_type type)
{
	return type == JOURNAL_STDOUT ? REGION_OUT : REGION_ERR;
}

static enum journal_type type_of(int stream)
{
	return stream == REGION_OUT ? JOURNAL_STDOUT : JOURNAL_STDERR;
}

/* ---- the files ---- */

static int region_read(const struct region *r, uint64_t at, void *to, size_t size)
{
	char *p = to;

	if (r->fd < 0) {
		memcpy(to, r->data + at, size);
		return 0;
	}
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(r->fd, p + done, size - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* shorter than it was: not ours to explain */
		done += (size_t)n;
	}
	return 0;
}

/* The region grows by what was written, also when it was not all of it. */
static int region_append(struct region *r, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = pwrite(r->fd, p, size, (off_t)r->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
		r->size += (uint64_t)n;
	}
	return 0;
}

/* ---- life ---- */

static int open_regions(struct journal *j, const int fds[3], struct error *err)
{
	static const char *const names[] = { "cubit-stdout", "cubit-stderr", "cubit-index" };
	int n_given = (fds[0] >= 0) + (fds[1] >= 0) + (fds[2] >= 0);

	if (n_given != 0 && n_given != REGIONS)
		return error_set(err, EINVAL, "a journal needs all three files, or none");
	for (int i = 0; i < REGIONS; i++) {
		struct region *r = &j->regions[i];
		struct stat st;

		if (r->fd < 0)
			r->fd = memfd_create(names[i], MFD_CLOEXEC);
		if (r->fd < 0)
			return error_errno(err, errno, "memfd '%s'", names[i]);
		if (fstat(r->fd, &st) < 0)
			return error_errno(err, errno, "journal '%s'", names[i]);
		if (!S_ISREG(st.st_mode))
			return error_set(err, EPROTO, "journal '%s' is no plain file", names[i]);
		r->size = (uint64_t)st.st_size;
	}
	return 0;
}

static int write_header(struct journal *j, struct error *err)
{
	unsigned char header[INDEX_HEADER];
	struct region *index = &j->regions[REGION_INDEX];
	int r;

	j->start_ns = clock_now_ns();
	journal_index_header(j->start_ns, header);
	index->size = 0;
	r = region_append(index, header, sizeof(header));
	return r < 0 ? error_errno(err, -r, "write the index of a journal") : 0;
}

/* An index that somebody began; what was not written in full at its end is cut off. */
static int read_index(struct journal *j, struct error *err)
{
	struct region *index = &j->regions[REGION_INDEX];
	unsigned char header[INDEX_HEADER];
	cleanup_buf struct buf text = BUF_BOUNDED(index->size);
	uint64_t size = index->size - INDEX_HEADER, whole = 0;
	char *to = buf_reserve(&text, size);
	int r = to ? region_read(index, 0, header, sizeof(header)) : -ENOMEM;

	if (r == 0)
		r = region_read(index, INDEX_HEADER, to, size);
	if (r < 0)
		return error_errno(err, -r, "read the index of a journal");
	if (!journal_index_header_read(header, &j->start_ns))
		return error_set(err, EPROTO, "index of a journal: it does not begin as one");
	r = journal_index_read(j, to, size, INDEX_HEADER, &whole, err);
	if (r < 0)
		return r;
	if (whole < size && ftruncate(index->fd, (off_t)(INDEX_HEADER + whole)) < 0)
		return error_errno(err, errno, "repair the index of a journal");
	index->size = INDEX_HEADER + whole;
	return 0;
}

/* Bytes that have no event: they got into the file just before the end of an earlier front. */
static int recover(struct journal *j, struct error *err)
{
	if (j->is_ended) {
		for (int i = 0; i < 2; i++)
			j->regions[i].size = j->covered[i]; /* nothing was promised of them */
		return 0;
	}
	return journal_cover(j, EVENTS_KEPT_LAST, err);
}

static struct journal *journal_new(void)
{
	struct journal *j = alloc_zeroed(1, sizeof(*j));

	j->references = 1;
	for (int i = 0; i < REGIONS; i++)
		j->regions[i].fd = -1;
	j->scratch.max = SIZE_MAX / 4; /* no more than what is in the files, which are bounded */
	return j;
}

int journal_open(const int fds[3], struct journal **ret, struct error *err)
{
	struct journal *j = journal_new();
	int r;

	for (int i = 0; i < REGIONS; i++)
		j->regions[i].fd = fds[i];
	r = open_regions(j, fds, err);
	if (r == 0 && j->regions[REGION_INDEX].size < INDEX_HEADER)
		r = write_header(j, err);
	else if (r == 0)
		r = read_index(j, err);
	if (r == 0)
		r = recover(j, err);
	if (r == 0)
		*ret = j;
	else
		journal_unref(j);
	return r;
}

struct journal *journal_ref(struct journal *j)
{
	j->references++;
	return j;
}

void journal_unref(struct journal *j)
{
	if (!j || --j->references > 0)
		return;
	while (j->readers)
		journal_leave(j->readers);
	for (int i = 0; i < REGIONS; i++)
		fd_close(&j->regions[i].fd);
	free(j->events);
	free(j->blob);
	buf_done(&j->scratch);
	free(j);
}

/* ---- events ---- */

void journal_keep_event(struct journal *j, const struct event *e)
{
	if (j->n_events == j->room) {
		j->room = j->room ? 2 * j->room : 16;
		j->events = alloc_again(j->events, j->room, sizeof(*j->events));
	}
	j->events[j->n_events++] = *e;
}

/* The record goes to the file first: a number that a reader has seen is there for the next front too. */
static int append_event(struct journal *j, struct event e, const char *text, struct error *err)
{
	cleanup_buf struct buf record = BUF_BOUNDED(INDEX_RECORD + 2 * JOURNAL_STATUS_MAX);
	struct region *index = &j->regions[REGION_INDEX];
	uint64_t before = index->size, now = clock_now_ns();
	int r;

	e.at_ms = now > j->start_ns ? (now - j->start_ns) / NS_PER_MS : 0;
	if (text)
		e.at = before + INDEX_RECORD;
	journal_keep_event(j, &e);
	r = journal_index_record(&record, &e, (uint32_t)j->n_events, text);
	if (r == 0)
		r = region_append(index, record.data, record.size);
	if (r < 0) {
		index->size = before;
		if (ftruncate(index->fd, (off_t)before) <
		    0) /* half a record, which whoever opens it knows how to read */
			r = -errno;
		j->n_events--;
		return error_errno(err, -r, "write the index of a journal");
	}
	return 0;
}

static uint64_t waiting(const struct journal *j, int stream)
{
	return j->regions[stream].size - j->covered[stream];
}

/* Numbers that may still be given out when `kept` stay. */
static size_t numbers_left(const struct journal *j, size_t kept)
{
	return j->n_events + kept < JOURNAL_EVENTS_MAX ? JOURNAL_EVENTS_MAX - kept - j->n_events : 0;
}

/* Events for all that waits in a stream, in pieces as long as there are numbers enough. */
static int cover(struct journal *j, int stream, size_t kept, struct error *err)
{
	while (waiting(j, stream) > 0) {
		uint64_t size = waiting(j, stream),
			 piece = numbers_left(j, EVENTS_KEPT) > 1 ? JOURNAL_PIECE_MAX : INT32_MAX;
		struct event e = { .at = j->covered[stream], .type = type_of(stream) };
		int r;

		if (numbers_left(j, kept) == 0)
			return 0;
		e.size = (uint32_t)(size < piece ? size : piece);
		r = append_event(j, e, NULL, err);
		if (r < 0)
			return r;
		j->covered[stream] += e.size;
		j->last_ns[stream] = clock_now_ns();
	}
	return 0;
}

int journal_cover(struct journal *j, size_t kept, struct error *err)
{
	int r = cover(j, REGION_OUT, kept, err);

	return r < 0 ? r : cover(j, REGION_ERR, kept, err);
}

/* The last events but EXIT: of the numbers kept for them, each stream has one. */
static int cover_last(struct journal *j, struct error *err)
{
	int r = cover(j, REGION_OUT, 2, err);

	return r < 0 ? r : cover(j, REGION_ERR, 1, err);
}

/*
 * How long what waits in this stream has to wait, in ns: 0 not at all. It gets rarer and larger events as numbers
 * are used up; CLOCK_NEVER: only the end of the stream or of the job brings its event.
 */
static uint64_t hold_ns(const struct journal *j, int stream)
{
	static const struct {
		size_t below;
		uint64_t bytes, ns;
	} steps[] = {
		{ JOURNAL_EVENTS_MAX / 2, 0, 0 },
		{ JOURNAL_EVENTS_MAX - JOURNAL_EVENTS_MAX / 4, 4096, 20 * NS_PER_MS },
		{ JOURNAL_EVENTS_MAX - EVENTS_KEPT, 65536, NS_PER_S },
	};
	uint64_t past = clock_now_ns() - j->last_ns[stream];

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (j->n_events < steps[i].below)
			return waiting(j, stream) >= steps[i].bytes || past >= steps[i].ns ? 0 : steps[i].ns - past;
	}
	return CLOCK_NEVER;
}

/* ---- readers ---- */

void journal_join(struct journal *j, struct journal_reader *r)
{
	r->journal = j;
	r->is_told = false;
	r->next = j->readers; /* in front of a cursor: not told of what is being told just now */
	r->prev = &j->readers;
	if (r->next)
		r->next->prev = &r->next;
	j->readers = r;
}

void journal_leave(struct journal_reader *r)
{
	struct journal *j = r->journal;

	if (!j)
		return;
	if (j->cursor == r)
		j->cursor = r->next;
	if (j->told == r)
		j->told = NULL;
	if (r->next)
		r->next->prev = r->prev;
	*r->prev = r->next;
	r->journal = NULL;
}

/* Readers may leave, also others than the one that is told; so the next one is kept where journal_leave() sees it. */
static void notify(struct journal *j, uint64_t before)
{
	struct journal_reader *r;

	if (j->n_events == before)
		return;
	for (j->cursor = j->readers; (r = j->cursor);) {
		j->cursor = r->next;
		if (r->is_told)
			continue;
		r->is_told = true;
		j->told = r;
		r->notify(r);
	}
	j->told = NULL;
}

static void arm(struct journal *j)
{
	if (j->told) {
		j->told->is_told = false;
		return;
	}
	for (struct journal_reader *r = j->readers; r; r = r->next)
		r->is_told = false;
}

/* ---- writing ---- */

/* What is no pipe. A terminal whose last user is gone says EIO, where a pipe says that it ended. */
static ssize_t take_by_copy(struct region *to, int fd, size_t max)
{
	char data[16 << 10];
	ssize_t n;
	int r;

	do {
		n = read(fd, data, max < sizeof(data) ? max : sizeof(data));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EIO ? 0 : -errno;
	r = region_append(to, data, (size_t)n);
	return r < 0 ? r : n;
}

/* What the kernel took out of the pipe is in the file, also when we are killed in the middle: there is no copy of ours.
 */
static ssize_t take(struct region *to, int fd, size_t max)
{
	off_t at = (off_t)to->size;
	ssize_t n;

	do {
		n = splice(fd, NULL, to->fd, &at, max, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EINVAL)
		return take_by_copy(to, fd, max);
	if (n < 0)
		return -errno;
	to->size += (uint64_t)n;
	return n;
}

ssize_t journal_take(struct journal *j, enum journal_type type, int pipe_fd, size_t max, struct error *err)
{
	uint64_t before = j->n_events;
	int stream = stream_of(type), r = 0;
	ssize_t n;

	if (j->is_ended || j->is_packed)
		return error_set(err, EPIPE, "the journal has ended");
	if (max == 0)
		return error_set(err, EINVAL, "nothing is wanted");
	n = take(&j->regions[stream], pipe_fd, max);
	if (n == -EAGAIN)
		return n; /* ordinary: without words */
	if (n < 0)
		return error_errno(err, (int)-n, "take output into the journal");
	if (n == 0)
		r = cover(j, stream, EVENTS_KEPT_LAST, err);
	else if (hold_ns(j, stream) == 0)
		r = cover(j, stream, EVENTS_KEPT, err);
	notify(j, before);
	return r < 0 ? r : n;
}

int journal_put(struct journal *j, enum journal_type type, const void *data, size_t size, struct error *err)
{
	uint64_t before = j->n_events;
	int stream = stream_of(type), r;

	if (j->is_ended || j->is_packed)
		return error_set(err, EPIPE, "the journal has ended");
	r = region_append(&j->regions[stream], data, size);
	if (r < 0)
		return error_errno(err, -r, "put output into the journal");
	if (hold_ns(j, stream) == 0)
		r = cover(j, stream, EVENTS_KEPT, err);
	notify(j, before);
	return r;
}

bool journal_is_alone(const struct journal *j)
{
	return j->references == 1;
}

int journal_settle(struct journal *j)
{
	uint64_t before = j->n_events, next = CLOCK_NEVER;

	if (j->is_ended || j->is_packed)
		return -1;
	for (int i = 0; i < 2; i++) {
		uint64_t ns = waiting(j, i) > 0 ? hold_ns(j, i) : CLOCK_NEVER;

		if (ns == 0 && cover(j, i, EVENTS_KEPT, NULL) < 0)
			ns = NS_PER_S; /* memory may be there again by then */
		if (ns && ns < next)
			next = ns;
	}
	notify(j, before);
	return next == CLOCK_NEVER ? -1 : (int)((next + NS_PER_MS - 1) / NS_PER_MS);
}

int journal_add(struct journal *j, enum journal_type type, const char *json, struct error *err)
{
	uint64_t before = j->n_events;
	size_t size = strlen(json);
	int r;

	if (j->is_ended || j->is_packed)
		return error_set(err, EPIPE, "the journal has ended");
	if (size == 0 || size > JOURNAL_STATUS_MAX || (type != JOURNAL_STATUS && type != JOURNAL_EXIT))
		return error_set(err, EINVAL, "an event of %zu bytes, not between 1 and %d", size, JOURNAL_STATUS_MAX);
	if (type == JOURNAL_STATUS && numbers_left(j, EVENTS_KEPT_LAST) < 3)
		return error_set(err, ENOSPC, "the journal has %d events already", JOURNAL_EVENTS_MAX);
	/* what came before it has lower numbers */
	r = type == JOURNAL_EXIT ? cover_last(j, err) : journal_cover(j, EVENTS_KEPT, err);
	if (r == 0)
		r = append_event(j, (struct event){ .size = (uint32_t)size, .type = type }, json, err);
	if (r == 0)
		j->is_ended = type == JOURNAL_EXIT;
	notify(j, before);
	return r;
}

/* ---- reading ---- */

uint64_t journal_last(const struct journal *j)
{
	return j->n_events;
}

bool journal_is_ended(const struct journal *j)
{
	return j->is_ended || j->is_packed;
}

uint64_t journal_bytes(const struct journal *j, enum journal_type type)
{
	return j->regions[stream_of(type)].size;
}

bool journal_get(struct journal *j, uint64_t n, struct journal_event *ret)
{
	const struct event *e;
	const struct region *from;
	char *to;

	if (n > j->n_events)
		arm(j);
	if (n == 0 || n > j->n_events)
		return false;
	e = &j->events[n - 1];
	from = &j->regions[e->type == JOURNAL_STDOUT || e->type == JOURNAL_STDERR ? stream_of(e->type) : REGION_INDEX];
	buf_reset(&j->scratch);
	to = buf_reserve(&j->scratch, e->size);
	if (!to || region_read(from, e->at, to, e->size) < 0)
		return false;
	buf_grown(&j->scratch, e->size);
	*ret = (struct journal_event){ .n = n, .type = e->type, .at_ms = e->at_ms, .data = to, .size = e->size };
	return true;
}

int journal_part(struct journal *j, enum journal_type type, uint64_t at, uint64_t size, struct buf *out)
{
	const struct region *from = &j->regions[stream_of(type)];
	uint64_t left = at < from->size ? from->size - at : 0;
	char *to;
	int r;

	if (size > left)
		size = left;
	if (size == 0)
		return 0;
	to = buf_reserve(out, size);
	if (!to)
		return -ENOBUFS;
	r = region_read(from, at, to, size);
	if (r == 0)
		buf_grown(out, size);
	return r;
}

int journal_stream(struct journal *j, enum journal_type type, struct buf *out)
{
	return journal_part(j, type, 0, UINT64_MAX, out);
}
