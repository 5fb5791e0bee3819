/*
 * The journal of one job: everything its processes wrote and what happened to it, as numbered events. Every transport is
 * a view of it that can start at any number.
 *
 *   n          1, 2, 3, ... without gaps
 *   type       stdout, stderr: bytes; status: a JSON object {"state":"running",...}; exit: the last one, with the verdict
 *   at_ms      milliseconds since the job's start of life
 *
 * Kept in three files that the monitor holds as well (monitor/proto.h): output bytes go from the pipe into the
 * stdout or stderr file by splice(2), so there is no moment at which the only copy is in the front's memory; then the
 * event is appended to the index. A new front reads the index and finds bytes beyond the last event as one more event.
 *
 * Bounded: output by the job's limit, events by JOURNAL_EVENTS_MAX. Readers keep a number only; a slow one costs no
 * memory. An event never changes once it has a number, so joining is done beforehand: in the second half of the numbers,
 * bytes that come in small pieces quickly one after the other stay without an event (but in their file) until there are
 * 4 KiB of them or 20 ms have passed, in the last quarter 64 KiB or 1 s; the last few numbers are kept for the end. See
 * journal_settle().
 *
 * After the end the journal is kept in the database as one blob (journal_pack) and can be read from there again.
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct error;
struct journal;

enum {
	JOURNAL_EVENTS_MAX = 65536,
	JOURNAL_STATUS_MAX = 4096,
	JOURNAL_PIECE_MAX = 64 << 10, /* bytes of an event, as long as there are numbers enough */
};

enum journal_type { JOURNAL_STDOUT = 1, JOURNAL_STDERR = 2, JOURNAL_STATUS = 3, JOURNAL_EXIT = 4 };
const char *journal_type_name(enum journal_type type);
enum journal_type journal_type_of(const char *name); /* 0: none has it */

struct journal_event {
	uint64_t n;
	enum journal_type type;
	uint64_t at_ms;
	const char *data; /* borrowed until the next call on this journal; NUL-terminated when it is JSON */
	size_t size;
};

/*
 * fds    out, err, index; owned from here on, also on failure. What is in them is taken over (a new front): an event
 *        that was not written in full is dropped, and what it was about becomes an event again. Not O_APPEND, splice(2).
 *        All -1: files of our own (memfd_create).
 * Returns 0 or -errno (-EPROTO: the index is not ours, or damaged). ret: journal_unref().
 */
int journal_open(const int fds[3], struct journal **ret, struct error *err);
/* From a packed blob, which is copied; read-only and ended. -EPROTO when it is none. */
int journal_unpack(const void *blob, size_t size, struct journal **ret, struct error *err);
/* Was it made of these bytes? Then whoever wants to read them can have a reference instead of a copy. */
bool journal_is_of_blob(const struct journal *j, const void *blob, size_t size);
struct journal *journal_ref(struct journal *j);
void journal_unref(struct journal *j);

/*
 * Move what is in the pipe into the journal, at most max bytes. type: JOURNAL_STDOUT or JOURNAL_STDERR.
 * pipe_fd is a non-blocking pipe; a terminal or socket works too (read and write instead, and what was read and not yet
 * written is lost with a front that dies just then).
 * Returns bytes taken (of one system call: there may be more), 0 at the end, -EAGAIN, or another -errno.
 */
ssize_t journal_take(struct journal *j, enum journal_type type, int pipe_fd, size_t max, struct error *err);

/* The same with bytes that somebody else has read: a journal that follows one elsewhere. 0 or -errno. */
int journal_put(struct journal *j, enum journal_type type, const void *data, size_t size, struct error *err);
/* Nobody else has a reference: who only feeds it can let go. */
bool journal_is_alone(const struct journal *j);

/*
 * A status or the exit event: JSON text of at most JOURNAL_STATUS_MAX bytes. After EXIT nothing may be added (-EPIPE).
 * -ENOSPC: no numbers left for a status; there always is one for EXIT.
 */
int journal_add(struct journal *j, enum journal_type type, const char *json, struct error *err);

/*
 * Give bytes that were held back (see above) their event when they are due. Returns the ms until something becomes due: ask
 * again then; -1: nothing is held back.
 */
int journal_settle(struct journal *j);

uint64_t journal_last(const struct journal *j); /* number of the newest event; 0 none */
bool journal_is_ended(const struct journal *j);
uint64_t journal_bytes(const struct journal *j, enum journal_type type);

/* The event n. False when there is none yet (or n is 0). */
bool journal_get(struct journal *j, uint64_t n, struct journal_event *ret);

/* All bytes of one stream, also those without an event yet, appended to out. 0, or -errno of buf_append() or pread(2). */
int journal_stream(struct journal *j, enum journal_type type, struct buf *out);
/* The same for a part; what is beyond the end is left out. */
int journal_part(struct journal *j, enum journal_type type, uint64_t at, uint64_t size, struct buf *out);

/*
 * Be told of new events: not for each, but once when there are some, until the reader has asked beyond the last. A reader
 * may be told once more than needed (asking beyond the last from outside a notification arms all). journal_join() tells
 * nothing of events that are there already.
 */
struct journal_reader {
	struct journal_reader *next, **prev; /* the journal's */
	struct journal *journal;
	void (*notify)(
		struct journal_reader *r); /* on the loop, from journal_take and journal_add: may call journal_get
						   * and journal_leave, may not free the journal's last reference */
	void *arg;
	bool is_told; /* the journal's */
};
void journal_join(struct journal *j, struct journal_reader *r);
void journal_leave(struct journal_reader *r);

/* The whole journal as one blob for journal_unpack; what was held back gets its events first. */
int journal_pack(struct journal *j, struct buf *out);
/* The same from events that somebody else kept: 1 to n, all of them. -EPROTO: one of no type. */
int journal_pack_list(const struct journal_event *events, size_t n, struct buf *out);
