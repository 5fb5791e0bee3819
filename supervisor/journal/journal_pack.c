/*
 * A journal as one blob, as the database keeps it: the index without its header, then the bytes of both streams.
 *
 *   8 bytes "CUBITPAK", u32 version 1, u32 0, u64 bytes of the index, of stdout, of stderr; little-endian
 *
 * Reading one back takes nothing on trust: sizes, records, checks, and that every byte belongs to an event.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/journal/journal_impl.h"

enum { PACK_VERSION = 1 };

static const char magic[8] = { 'C', 'U', 'B', 'I', 'T', 'P', 'A', 'K' };

struct pack_header {
	char magic[8];
	uint32_t version, unused;
	uint64_t sizes[3]; /* index, stdout, stderr */
};

_Static_assert(sizeof(struct pack_header) == 40, "no gaps");

/* Text of statuses is in the index file: the records are written anew, which needs no second form of the index. */
static int pack_index(struct journal *j, struct buf *out)
{
	for (uint64_t n = 1; n <= j->n_events; n++) {
		const struct event *e = &j->events[n - 1];
		bool is_text = e->type == JOURNAL_STATUS || e->type == JOURNAL_EXIT;
		struct journal_event text;
		int r;

		if (is_text && !journal_get(j, n, &text))
			return -ENOMEM;
		r = journal_index_record(out, e, (uint32_t)n, is_text ? text.data : NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int journal_pack(struct journal *j, struct buf *out)
{
	struct pack_header h = { .version = htole32(PACK_VERSION) };
	size_t start = out->size;
	int r = j->is_ended || j->is_packed ? 0 : journal_cover(j, EVENTS_KEPT_LAST, NULL);

	memcpy(h.magic, magic, sizeof(magic));
	if (r == 0)
		r = buf_append(out, &h, sizeof(h));
	if (r == 0)
		r = pack_index(j, out);
	if (r == 0) {
		h.sizes[0] = htole64(out->size - start - sizeof(h));
		h.sizes[1] = htole64(j->covered[0]);
		h.sizes[2] = htole64(j->covered[1]);
		memcpy(out->data + start, &h, sizeof(h));
		r = journal_part(j, JOURNAL_STDOUT, 0, j->covered[0], out);
	}
	if (r == 0)
		r = journal_part(j, JOURNAL_STDERR, 0, j->covered[1], out);
	if (r < 0)
		out->size = start;
	return r;
}

/* The bytes of one stream. */
static int pack_stream(const struct journal_event *events, size_t n, enum journal_type type, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		if (events[i].type == type)
			r = buf_append(out, events[i].data, events[i].size);
	return r;
}

static int pack_records(const struct journal_event *events, size_t n, uint64_t at[2], struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct journal_event *from = &events[i];
		bool is_stream = from->type == JOURNAL_STDOUT || from->type == JOURNAL_STDERR;
		struct event e = { .at_ms = from->at_ms, .size = (uint32_t)from->size, .type = from->type };
		int r;

		if (from->type < JOURNAL_STDOUT || from->type > JOURNAL_EXIT || from->size > UINT32_MAX)
			return -EPROTO;
		if (is_stream) {
			e.at = at[from->type == JOURNAL_STDERR];
			at[from->type == JOURNAL_STDERR] += from->size;
		}
		r = journal_index_record(out, &e, (uint32_t)i + 1, is_stream ? NULL : from->data);
		if (r < 0)
			return r;
	}
	return 0;
}

int journal_pack_list(const struct journal_event *events, size_t n, struct buf *out)
{
	struct pack_header h = { .version = htole32(PACK_VERSION) };
	size_t start = out->size;
	uint64_t at[2] = { 0 };
	int r;

	memcpy(h.magic, magic, sizeof(magic));
	r = buf_append(out, &h, sizeof(h));
	if (r == 0)
		r = pack_records(events, n, at, out);
	if (r == 0) {
		h.sizes[0] = htole64(out->size - start - sizeof(h));
		h.sizes[1] = htole64(at[0]);
		h.sizes[2] = htole64(at[1]);
		memcpy(out->data + start, &h, sizeof(h));
		r = pack_stream(events, n, JOURNAL_STDOUT, out);
	}
	if (r == 0)
		r = pack_stream(events, n, JOURNAL_STDERR, out);
	if (r < 0)
		out->size = start;
	return r;
}

static int bad_blob(struct error *err, const char *why)
{
	return error_set(err, EPROTO, "a journal of the database: %s", why);
}

/* Where the three parts are. They fill the blob exactly. */
static int find_parts(struct journal *j, size_t size, struct error *err)
{
	static const int order[] = { REGION_INDEX, REGION_OUT, REGION_ERR };
	struct pack_header h;
	uint64_t at = sizeof(h);

	if (size < sizeof(h))
		return bad_blob(err, "too short");
	memcpy(&h, j->blob, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || le32toh(h.version) != PACK_VERSION)
		return bad_blob(err, "it does not begin as one");
	for (int i = 0; i < 3; i++) {
		struct region *r = &j->regions[order[i]];

		r->size = le64toh(h.sizes[i]);
		if (r->size > size - at)
			return bad_blob(err, "shorter than it says");
		r->data = j->blob + at;
		at += r->size;
	}
	return at == size ? 0 : bad_blob(err, "longer than it says");
}

static int read_blob(struct journal *j, size_t size, struct error *err)
{
	const struct region *index = &j->regions[REGION_INDEX];
	uint64_t whole = 0;
	int r = find_parts(j, size, err);

	if (r == 0)
		r = journal_index_read(j, index->data, index->size, 0, &whole, err);
	if (r == 0 && whole != index->size)
		return bad_blob(err, "its last event is not whole");
	if (r == 0 && (j->covered[0] != j->regions[REGION_OUT].size || j->covered[1] != j->regions[REGION_ERR].size))
		return bad_blob(err, "it has bytes that no event is about");
	return r;
}

int journal_unpack(const void *blob, size_t size, struct journal **ret, struct error *err)
{
	struct journal *j = alloc_zeroed(1, sizeof(*j));
	int r;

	j->references = 1;
	j->is_packed = true;
	j->scratch.max = SIZE_MAX / 4;
	for (int i = 0; i < REGIONS; i++)
		j->regions[i].fd = -1;
	j->blob = alloc_bytes(size);
	if (size)
		memcpy(j->blob, blob, size);
	j->blob_size = size;
	r = read_blob(j, size, err);
	if (r == 0)
		*ret = j;
	else
		journal_unref(j);
	return r;
}

bool journal_is_of_blob(const struct journal *j, const void *blob, size_t size)
{
	return j->is_packed && j->blob_size == size && memcmp(j->blob, blob, size) == 0;
}
