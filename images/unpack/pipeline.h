/*
 * Read, inflate and hash a layer beside the thread that unpacks it.
 *
 *   input ──> [inflate] ──> blocks ──> caller (pipeline_fill)
 *                  └──────> blocks ──> [hash]: sha256 of what came in and of what came out
 *
 * A fixed number of blocks goes round; whoever is slow holds the others back. The first failure of any side is the
 * one that counts: pipeline_fill returns it.
 *
 * Runs in: the unpack worker. Threads are made by pipeline_start() and touch nothing until pipeline_go(), so that a
 * filter may be put on all of them between the two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"
#include "images/unpack/inflate.h"

struct error;
struct pipeline; /* opaque */

struct pipeline_limits {
	uint64_t in_bytes, out_bytes;
	uint64_t ratio; /* out may be this many times in, once it is above ratio_floor */
	uint64_t ratio_floor;
	bool skip_compressed; /* the digest of what comes in is not wanted */
};

struct pipeline_result {
	struct digest compressed, diff_id; /* compressed: empty when it was not wanted */
	uint64_t in_bytes, out_bytes;
	enum inflate_format format;
};

/* fd: borrowed, read from where it is; a file or a pipe. Everything that a later chroot would hide is set up here. */
int pipeline_new(int fd, const struct pipeline_limits *limits, struct pipeline **ret, struct error *err);
int pipeline_start(struct pipeline *p, struct error *err); /* returns once both threads run */
void pipeline_go(struct pipeline *p);

/* A tar_fill_fn; arg is the pipeline. */
int pipeline_fill(void *arg, const uint8_t **data, size_t *size, struct error *err);

/* Bytes read so far, for progress. Any thread. */
uint64_t pipeline_in_bytes(const struct pipeline *p);

/* Read to the end (what follows the archive is part of the diff id), then the digests. Ends both threads. */
int pipeline_finish(struct pipeline *p, struct pipeline_result *ret, struct error *err);

/* After pipeline_finish, or before pipeline_start; a worker that failed just exits. */
void pipeline_free(struct pipeline *p);
