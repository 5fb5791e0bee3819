/*
 * Inside of the journal, between its files and for their tests. Others include journal.h.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "supervisor/journal/journal.h"

struct error;

/*
 * The index file. All numbers little-endian.
 *
 *   header   8 bytes "CUBITJNL", u32 version 1, u32 0, u64 start of the job's life (CLOCK_MONOTONIC, ns), u64 0
 *   record   u32 type, u32 size, u64 offset, u64 at_ms, u32 number of the event, u32 check; 32 bytes
 *            stdout, stderr: `size` bytes at `offset` of that file, where the event before it in the same file ended
 *            status, exit: offset is the CRC-32 of the text that follows, filled up with zeros to a multiple of 32
 *
 * A record and its text are one pwrite(2), which a SIGKILL may cut short between two pages. check is the CRC-32 of the
 * record before it: a whole record with a text that is not whole was cut short, anything else is damage.
 */
enum { INDEX_HEADER = 32, INDEX_RECORD = 32, INDEX_VERSION = 1 };

/* Numbers kept for the end: statuses and the ends of streams, then the last of each stream and EXIT. */
enum { EVENTS_KEPT = 64, EVENTS_KEPT_LAST = 3 };

struct event {
	uint64_t at; /* of its bytes: in the stream's file, or in the index */
	uint64_t at_ms;
	uint32_t size;
	uint32_t type;
};

/* One of the three files: a descriptor, or a part of a packed blob. */
struct region {
	int fd;           /* -1: data */
	const char *data; /* borrowed from the blob */
	uint64_t size;
};

enum { REGION_OUT, REGION_ERR, REGION_INDEX, REGIONS };

struct journal {
	unsigned references;
	struct region regions[REGIONS];
	uint64_t covered[2]; /* bytes of stdout, stderr that have an event */
	uint64_t last_ns[2]; /* when the newest of them got it */
	struct event *events;
	size_t n_events, room;
	bool is_ended, is_packed;
	uint64_t start_ns;
	char *blob;
	size_t blob_size;
	struct buf scratch;                      /* what journal_get() hands out */
	struct journal_reader *readers, *cursor; /* cursor: the next to be told */
	struct journal_reader *told;             /* the one that is being told */
};

/* Read what the index says. text: records only, no header. ret_whole: bytes of whole records. 0, -EPROTO. */
int journal_index_read(struct journal *j, const char *text, uint64_t size, uint64_t base, uint64_t *ret_whole,
		       struct error *err);
void journal_index_header(uint64_t start_ns, unsigned char ret[INDEX_HEADER]);
bool journal_index_header_read(const unsigned char header[INDEX_HEADER], uint64_t *ret_start_ns);
/* One record with its text, appended. text NULL: size bytes of a stream at `offset`. */
int journal_index_record(struct buf *out, const struct event *e, uint32_t n, const char *text);
/* Bytes of a record with its text. */
uint64_t journal_index_size(uint32_t type, uint32_t size);

void journal_keep_event(struct journal *j, const struct event *e);
/* Give everything that waits its event, as long as `kept` numbers stay. */
int journal_cover(struct journal *j, size_t kept, struct error *err);
