/*
 * Fuzz target: the agent protocol, as both ends read it. The input is one message; what is taken must give, written
 * again, exactly the bytes it came from (the count of descriptors aside, which sending fixes up), and its lists can be
 * walked. The same input is then read as a stream of file records, cut into two reads.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OFFSET_N_FDS = 6 };

static size_t walk(const struct span *s)
{
	size_t bytes = 0;

	for (const char *p = span_next(s, NULL); p; p = span_next(s, p))
		bytes += strlen(p) + 1;
	return bytes;
}

static void read_message(const uint8_t *data, size_t size)
{
	static union agent_any any;
	struct error err = ERROR_INIT;
	struct frame_header h;
	struct frame_writer w;
	uint8_t *again;

	if (agent_decode(data, size, &h, &any, &err) < 0) {
		assert(err.code == EPROTO && err.text[0]);
		return;
	}
	if (h.type == AGENT_START)
		assert(walk(&any.start.argv) == any.start.argv.size && walk(&any.start.env) == any.start.env.size);
	if (h.type == AGENT_FAILED || h.type == AGENT_REFUSED)
		assert(agent_stage_name(any.failed.stage)[0]);
	again = malloc(size ? size : 1);
	assert(again && agent_encode(&w, again, size, (enum agent_message)h.type, h.seq, &any, NULL) == 0);
	memcpy(again + OFFSET_N_FDS, data + OFFSET_N_FDS, 2);
	assert(w.size == size && memcmp(again, data, size) == 0);
	free(again);
}

/* Returns the bytes that whole records took, or -1 for a refused stream. */
static ssize_t read_records(const uint8_t *data, size_t size, size_t cut)
{
	static struct agent_file_record r;
	static uint8_t again[sizeof(r) + 64];
	size_t at = 0, have = cut;

	for (;;) {
		ssize_t n = agent_record_decode(data + at, have - at, &r);

		if (n < 0)
			return -1;
		if (n == 0 && have == size)
			return (ssize_t)at;
		if (n == 0) {
			have = size;
			continue;
		}
		assert((size_t)n <= have - at);
		assert(agent_record_encode(again, sizeof(again), &r) == (size_t)n &&
		       memcmp(again, data + at, (size_t)n) == 0);
		at += (size_t)n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* of the exact size, so that a sanitizer sees one byte past it */

	assert(copy);
	memcpy(copy, data, size);
	read_message(copy, size);
	assert(read_records(copy, size, size) == read_records(copy, size, size / 2));
	free(copy);
	return 0;
}
