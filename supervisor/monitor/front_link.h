/*
 * The socket to the front: whole, checked messages in; messages with descriptors out, without ever blocking.
 *
 * What the socket does not take waits here, descriptors duplicated. While something waits no further request is read,
 * so the queue is bounded by what one request and the living sandboxes can cause. Whatever is not of the protocol's
 * form closes the link: `lost` is called, from the loop.
 *
 * Runs in: monitor. What arrives is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/monitor/loop.h"
#include "supervisor/protocol/proto.h"

struct error;
struct queued_message;

struct front_link {
	struct loop *loop; /* borrowed */
	int sock;          /* owned; -1: closed */
	struct loop_source source;
	struct queued_message *first, *last;
	void (*message)(const struct frame_header *h, const union monitor_any *any, void *arg);
	void (*lost)(const struct error *why, void *arg); /* why->code 0: end of file */
	void *arg;
};

#define FRONT_LINK_INIT                                                                                                \
	{                                                                                                              \
		.sock = -1, .source = LOOP_SOURCE_INIT                                                                 \
	}

/* Set loop, message, lost, arg before. sock: owned from here on, also on failure. */
int front_link_open(struct front_link *l, int sock, struct error *err);
void front_link_close(struct front_link *l); /* what waits is dropped. Closed already: nothing */

static inline bool front_link_is_open(const struct front_link *l)
{
	return l->sock >= 0;
}

/* fds borrowed. On a closed link: nothing. A link that cannot take it (out of memory or descriptors) is lost. */
void front_link_send(struct front_link *l, enum monitor_message type, uint32_t seq, const void *message, const int *fds,
		     size_t n_fds);
