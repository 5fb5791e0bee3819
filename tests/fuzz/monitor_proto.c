/*
 * Fuzz target: the monitor protocol, as both ends read it. The input is one message; what is taken must give, written
 * again, exactly the bytes it came from (the count of descriptors aside, which sending fixes up).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "supervisor/protocol/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OFFSET_N_FDS = 6 };

static void read_message(const uint8_t *data, size_t size)
{
	static union monitor_any any;
	struct error err = ERROR_INIT;
	struct frame_header h;
	struct frame_writer w;
	uint8_t *again;

	if (monitor_decode(data, size, &h, &any, &err) < 0) {
		assert(err.code == EPROTO && err.text[0]);
		return;
	}
	assert(strcmp(monitor_message_name(h.type), "?") != 0);
	again = malloc(size ? size : 1);
	assert(again && monitor_encode(&w, again, size, (enum monitor_message)h.type, h.seq, &any, NULL) == 0);
	memcpy(again + OFFSET_N_FDS, data + OFFSET_N_FDS, 2);
	assert(w.size == size && memcmp(again, data, size) == 0);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* of the exact size, so that a sanitizer sees one byte past it */

	assert(copy);
	memcpy(copy, data, size);
	read_message(copy, size);
	free(copy);
	return 0;
}
