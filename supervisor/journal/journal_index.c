/* The index of a journal: its form on disk, and reading it back whatever is in it. See journal_impl.h. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "supervisor/journal/journal_impl.h"

static const char magic[8] = { 'C', 'U', 'B', 'I', 'T', 'J', 'N', 'L' };

/* As they lie in the file. */
struct header {
	char magic[8];
	uint32_t version, unused;
	uint64_t start_ns, unused2;
};

struct record {
	uint32_t type, size;
	uint64_t offset, at_ms;
	uint32_t n, check;
};

_Static_assert(sizeof(struct header) == INDEX_HEADER, "the header has no gaps");
_Static_assert(sizeof(struct record) == INDEX_RECORD, "a record has no gaps");

void journal_index_header(uint64_t start_ns, unsigned char ret[INDEX_HEADER])
{
	struct header h = { .version = htole32(INDEX_VERSION), .start_ns = htole64(start_ns) };

	memcpy(h.magic, magic, sizeof(magic));
	memcpy(ret, &h, sizeof(h));
}

bool journal_index_header_read(const unsigned char header[INDEX_HEADER], uint64_t *ret_start_ns)
{
	struct header h;

	memcpy(&h, header, sizeof(h));
	*ret_start_ns = le64toh(h.start_ns);
	return memcmp(h.magic, magic, sizeof(magic)) == 0 && le32toh(h.version) == INDEX_VERSION;
}

/* CRC-32 (IEEE 802.3), four bits at a time: records are small, the table of 16 stays in the cache. */
static uint32_t crc32_add(uint32_t crc, const void *data, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++) {
		crc = crc >> 4 ^ table[(crc ^ p[i]) & 15];
		crc = crc >> 4 ^ table[(crc ^ p[i] >> 4) & 15];
	}
	return crc;
}

static uint32_t crc32_of(const void *data, size_t size)
{
	return ~crc32_add(UINT32_MAX, data, size);
}

static bool is_stream(uint32_t type)
{
	return type == JOURNAL_STDOUT || type == JOURNAL_STDERR;
}

uint64_t journal_index_size(uint32_t type, uint32_t size)
{
	uint64_t text = is_stream(type) ? 0 : size;

	return INDEX_RECORD + (text + INDEX_RECORD - 1) / INDEX_RECORD * INDEX_RECORD;
}

int journal_index_record(struct buf *out, const struct event *e, uint32_t n, const char *text)
{
	uint64_t bytes = journal_index_size(e->type, e->size);
	struct record r = {
		.type = htole32(e->type),
		.size = htole32(e->size),
		.offset = htole64(text ? crc32_of(text, e->size) : e->at),
		.at_ms = htole64(e->at_ms),
		.n = htole32(n),
	};
	char *to = buf_reserve(out, bytes);

	if (!to)
		return -ENOMEM;
	r.check = htole32(crc32_of(&r, offsetof(struct record, check)));
	memset(to, 0, bytes);
	memcpy(to, &r, sizeof(r));
	if (text)
		memcpy(to + sizeof(r), text, e->size);
	buf_grown(out, bytes);
	return 0;
}

/* ---- reading ---- */

enum found { FOUND_EVENT, FOUND_CUT, FOUND_DAMAGE };

/* Does it say something that can be, after what was read so far? */
static bool is_possible(const struct journal *j, const struct record *r, const struct event *e)
{
	if (crc32_of(r, offsetof(struct record, check)) != le32toh(r->check) || le32toh(r->n) != j->n_events + 1 ||
	    j->n_events >= JOURNAL_EVENTS_MAX || j->is_ended || e->size == 0)
		return false;
	if (!is_stream(e->type))
		return (e->type == JOURNAL_STATUS || e->type == JOURNAL_EXIT) && e->size <= JOURNAL_STATUS_MAX;
	return e->at == j->covered[e->type - JOURNAL_STDOUT] &&
	       e->size <= j->regions[e->type - JOURNAL_STDOUT].size - e->at;
}

/* What begins at text; at least a record of it is there. */
static enum found look(const struct journal *j, const char *text, uint64_t size, struct event *ret)
{
	struct record r;
	uint64_t bytes;

	memcpy(&r, text, sizeof(r));
	*ret = (struct event){
		.at = le64toh(r.offset), .at_ms = le64toh(r.at_ms), .size = le32toh(r.size), .type = le32toh(r.type)
	};
	bytes = journal_index_size(ret->type, ret->size);
	if (!is_possible(j, &r, ret))
		return bytes == size ? FOUND_CUT : FOUND_DAMAGE; /* the last one: as if it were not there */
	if (bytes > size)
		return FOUND_CUT;
	if (!is_stream(ret->type) && crc32_of(text + sizeof(r), ret->size) != ret->at)
		return bytes == size ? FOUND_CUT : FOUND_DAMAGE;
	return FOUND_EVENT;
}

static void take_event(struct journal *j, const struct event *e)
{
	journal_keep_event(j, e);
	if (is_stream(e->type))
		j->covered[e->type - JOURNAL_STDOUT] += e->size;
	j->is_ended = e->type == JOURNAL_EXIT;
}

int journal_index_read(struct journal *j, const char *text, uint64_t size, uint64_t base, uint64_t *ret_whole,
		       struct error *err)
{
	enum found found = FOUND_EVENT;
	uint64_t at = 0;

	while (size - at >= INDEX_RECORD) {
		struct event e;
		uint64_t bytes;

		found = look(j, text + at, size - at, &e);
		if (found != FOUND_EVENT)
			break;
		bytes = journal_index_size(e.type, e.size);
		if (!is_stream(e.type))
			e.at = base + at + INDEX_RECORD;
		take_event(j, &e);
		at += bytes;
	}
	if (found == FOUND_DAMAGE)
		return error_set(err, EPROTO, "index of a journal: damaged at byte %" PRIu64, base + at);
	*ret_whole = at;
	return 0;
}
