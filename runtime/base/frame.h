/*
 * Message framing shared by the monitor, front and agent protocols.
 *
 * One message is one datagram of a SOCK_SEQPACKET pair, so its length is the kernel's, never the sender's word.
 * Little-endian:
 *
 *   offset 0  u16  magic    0x4243 ("CB")
 *          2  u8   version  of the protocol that uses the frame
 *          3  u8   reserved, 0
 *          4  u16  type     of that protocol
 *          6  u16  n_fds    descriptors that travel with it (SCM_RIGHTS)
 *          8  u32  seq      request number; an answer repeats it
 *         12  fields of the message, one after the other
 *
 * Fields: fixed-width integers; byte strings as u32 length + bytes; string lists as u32 count + strings. The reader
 * keeps a sticky error: after the first field that does not fit, every later read gives zero and frame_reader_end()
 * reports EPROTO. No length read from the wire is used before it was compared with the bytes that are there.
 *
 * No allocation, no stdio: cubit-init uses this too.
 *
 * Runs anywhere, also in cubit-init.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/fd.h"

struct error;

enum {
	FRAME_MAGIC = 0x4243,
	FRAME_HEADER_BYTES = 12,
	FRAME_MAX_BYTES = 128 << 10, /* whole message; below the default socket buffer, so that one always fits */
	FRAME_STR_MAX = 64 << 10,    /* one string */
};

struct frame_header {
	uint8_t version;
	uint16_t type;
	uint16_t n_fds;
	uint32_t seq;
};

/* ---- writing ---- */

struct frame_writer {
	uint8_t *data; /* borrowed, capacity bytes */
	size_t capacity;
	size_t size;
	bool is_full; /* sticky: something did not fit */
};

/* Start a message in borrowed memory. n_fds is fixed up by frame_send. */
void frame_begin(struct frame_writer *w, void *memory, size_t capacity, const struct frame_header *h);
void frame_put_u8(struct frame_writer *w, uint8_t v);
void frame_put_u16(struct frame_writer *w, uint16_t v);
void frame_put_u32(struct frame_writer *w, uint32_t v);
void frame_put_u64(struct frame_writer *w, uint64_t v);
void frame_put_bytes(struct frame_writer *w, const void *data, size_t size);
void frame_put_str(struct frame_writer *w, const char *text); /* NULL is written as "" */

/*
 * Send what was written, with descriptors (borrowed). flags as fd_send.
 * Returns 0 or -errno: -EMSGSIZE when a field did not fit.
 */
int frame_send(int sock, struct frame_writer *w, const int *fds, size_t n_fds, int flags, struct error *err);

/* ---- reading ---- */

struct frame_reader {
	const uint8_t *data; /* borrowed */
	size_t size;
	size_t at;
	bool is_bad; /* sticky: something was not there or out of bounds */
};

/*
 * Check the header of a received message and start reading its fields.
 * version: the one we speak. Returns 0 or -EPROTO with err saying what was wrong.
 */
int frame_open(struct frame_reader *r, const void *data, size_t size, uint8_t version, struct frame_header *ret,
	       struct error *err);
uint8_t frame_get_u8(struct frame_reader *r);
uint16_t frame_get_u16(struct frame_reader *r);
uint32_t frame_get_u32(struct frame_reader *r);
uint64_t frame_get_u64(struct frame_reader *r);

/* Borrowed bytes inside the message; size at most max. NULL and *ret_size 0 on failure. */
const void *frame_get_bytes(struct frame_reader *r, size_t max, size_t *ret_size);

/* Copy a string of at most capacity-1 bytes, without NUL inside. Empty and is_bad on failure. */
void frame_get_str(struct frame_reader *r, char *ret, size_t capacity);

/* Borrowed pointer to a string of the message: bytes, no NUL inside, NOT terminated; at most max bytes. */
const char *frame_get_text(struct frame_reader *r, size_t max, size_t *ret_size);

/* Every field read and nothing left over? Returns 0 or -EPROTO naming `what`. */
int frame_end(const struct frame_reader *r, const char *what, struct error *err);

/*
 * Receive one message into memory (capacity at most FRAME_MAX_BYTES), with descriptors as fd_recv.
 * A message shorter than a header, or a count of descriptors that differs from the header's, is -EPROTO and closes them.
 * Returns the size, 0 at end of file, or -errno.
 */
ssize_t frame_recv(int sock, void *memory, size_t capacity, int *ret_fds, size_t *n_fds, int flags, struct error *err);
