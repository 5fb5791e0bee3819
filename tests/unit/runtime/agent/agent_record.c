/* Records of list and walk: a stream that may be cut anywhere, and that a hostile sandbox may have written. */
#include <errno.h>

#include "runtime/agent/agent_proto.h"
#include "tests/tap.h"

enum { MEMORY_BYTES = 32 << 10 };

static uint8_t stream[MEMORY_BYTES];
static struct agent_file_record record, samples[4];

static void make_samples(void)
{
	samples[0] = (struct agent_file_record){
		.type = 'f', .mode = 0100644, .uid = 1000, .gid = 5, .size = 1ULL << 40, .mtime_ns = -1, .path = "a.txt"
	};
	samples[1] = (struct agent_file_record){
		.type = 'l', .mode = 0120777, .path = "a/link", .link = "/etc/\xff\npasswd"
	};
	samples[2] = (struct agent_file_record){ .type = 'd', .mode = 040755, .uid = UINT32_MAX, .path = "a" };
	samples[3] = (struct agent_file_record){ .type = 'l', .mtime_ns = INT64_MAX };
	memset(samples[3].path, 'p', sizeof(samples[3].path) - 1);
	memset(samples[3].link, 'l', sizeof(samples[3].link) - 1);
}

static bool is_same(const struct agent_file_record *a, const struct agent_file_record *b)
{
	return a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && strcmp(a->path, b->path) == 0 && strcmp(a->link, b->link) == 0;
}

/* Decode the stream given in two pieces, as two reads of a pipe would. Returns how many records were right. */
static int decode_in_two(size_t size, size_t cut)
{
	size_t at = 0, have = cut;
	int right = 0;

	for (;;) {
		ssize_t n = agent_record_decode(stream + at, have - at, &record);

		if (n < 0)
			return -1;
		if (n == 0 && have == size)
			return at == size ? right : -1;
		if (n == 0) {
			have = size;
			continue;
		}
		right += right < 4 && is_same(&record, &samples[right]);
		at += (size_t)n;
	}
}

static void test_stream(void)
{
	size_t size = 0, right = 0;

	for (int i = 0; i < 4; i++) {
		size_t n = agent_record_encode(stream + size, sizeof(stream) - size, &samples[i]);

		ok(n > 0, "record %d is written", i);
		size += n;
	}
	for (size_t cut = 0; cut <= size; cut++)
		right += decode_in_two(size, cut) == 4;
	is_int(right, size + 1, "cut after any byte, all four come out whole and in order");
}

static void test_room(void)
{
	size_t whole = agent_record_encode(stream, sizeof(stream), &samples[1]), refused = 0;

	for (size_t room = 0; room < whole; room++) {
		uint8_t *exact = malloc(room ? room : 1); /* so that a sanitizer sees one byte past it */

		refused += exact && agent_record_encode(exact, room, &samples[1]) == 0;
		free(exact);
	}
	is_int(refused, whole, "without room for all of it, nothing is written");
}

static void put_length(uint32_t length)
{
	for (int i = 0; i < 4; i++)
		stream[i] = (uint8_t)(length >> (8 * i));
}

static void test_hostile(void)
{
	size_t size = agent_record_encode(stream, sizeof(stream), &samples[1]);
	const uint32_t length = (uint32_t)size - 4;

	put_length(length + 1);
	stream[size] = 0;
	is_int(agent_record_decode(stream, size + 1, &record), -EPROTO, "a length of one too many is refused");
	put_length(length - 1);
	is_int(agent_record_decode(stream, size, &record), -EPROTO, "a length of one too few is refused");
	put_length(0);
	is_int(agent_record_decode(stream, size, &record), -EPROTO, "a record of no bytes is refused");
	put_length(UINT32_MAX);
	is_int(agent_record_decode(stream, size, &record), -EPROTO, "a length that never comes is not waited for");
	put_length(length);
	is_int(agent_record_decode(stream, size, &record), (long)size, "the right length is right");
	is_int(agent_record_decode(stream, 3, &record), 0, "a length cut in two is waited for");
	stream[4 + 1 + 12 + 16] = 0xff; /* the length of the path */
	stream[4 + 1 + 12 + 16 + 1] = 0x0f;
	is_int(agent_record_decode(stream, size, &record), -EPROTO, "a path longer than its record is refused");

	(void)agent_record_encode(stream, sizeof(stream), &samples[0]);
	stream[4 + 1 + 12 + 16 + 4 + 1] = '\0';
	is_int(agent_record_decode(stream, sizeof(stream), &record), -EPROTO, "a path with a NUL in it is refused");
}

int main(void)
{
	make_samples();
	test_stream();
	test_room();
	test_hostile();
	return done_testing();
}
