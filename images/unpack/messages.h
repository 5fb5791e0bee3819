/*
 * What parent and unpack worker say to each other, over a SOCK_SEQPACKET pair, in frames (runtime/base/frame.h).
 *
 *   parent -> worker   START     budgets, u8 skip_compressed, u8 has_below; once, first
 *                      BELOW     the answer: one directory, the layers below, merged and read-only
 *   worker -> parent   PROGRESS  u64 compressed bytes read, u64 entries; now and then, may be lost
 *                      OPAQUE    with 1 to 16 directories as descriptors: give them trusted.overlay.opaque. Setting that
 *                                needs CAP_SYS_ADMIN, which the worker must not have; the parent checks that each is a
 *                                directory of the layer's file system
 *                      BELOW     what lies below is needed; at most once, and only when there is something
 *                      DONE      the result; last
 *                      FAILED    u32 errno, string; last
 *
 * The parent takes what the worker says for as hostile as the archive: it may be the archive speaking.
 *
 * Runs in: whoever holds the store (root), and the unpack worker.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "images/unpack/unpack.h"

struct error;

enum unpack_message_type {
	UNPACK_START = 1,
	UNPACK_PROGRESS,
	UNPACK_OPAQUE,
	UNPACK_DONE,
	UNPACK_FAILED,
	UNPACK_BELOW,
};

enum { UNPACK_PROTO_VERSION = 2, UNPACK_MESSAGE_BYTES = 2048, UNPACK_FDS_MAX = 16 };

struct unpack_message {
	enum unpack_message_type type;
	union {
		struct {
			struct unpack_budget budget;
			bool skip_compressed, has_below;
		} start;
		struct {
			uint64_t in_bytes, entries;
		} progress;
		struct unpack_result done;
		struct {
			uint32_t code;
			char text[512];
		} failed;
	};
};

/* fds borrowed, only with OPAQUE. Returns 0 or -errno. flags as fd_send. */
int unpack_send(int sock, const struct unpack_message *m, const int *fds, size_t n_fds, int flags, struct error *err);

/*
 * Returns 1, 0 at end of file, or -errno (-EPROTO: not one of ours). *n_fds: in room, out how many; owned.
 */
int unpack_receive(int sock, struct unpack_message *ret, int *ret_fds, size_t *n_fds, struct error *err);

/* One received frame to a message, without its descriptors; for unpack_receive and the fuzz target. */
int unpack_decode(const void *data, size_t size, struct unpack_message *ret, struct error *err);
