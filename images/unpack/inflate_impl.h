/* One decompressor. Private to inflate*.c. Runs in: the unpack worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/unpack/inflate.h"

struct error;

struct inflate_ops {
	/* memory of the decompressor, or NULL */
	void *(*make)(void);
	void (*drop)(void *state);
	/* as inflater_step; *is_whole says whether a member or frame just ended and none has begun */
	int (*step)(void *state, const uint8_t **in, size_t *in_size, uint8_t *out, size_t room, size_t *ret_size,
		    bool *is_whole, struct error *err);
};

extern const struct inflate_ops inflate_zlib;
extern const struct inflate_ops *const inflate_isal; /* NULL: not compiled in */
