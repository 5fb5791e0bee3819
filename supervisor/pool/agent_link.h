/*
 * An agent's socket on the loop: requests out, messages in. The protocol itself: runtime/agent/agent.h. What comes in is
 * hostile: a message that an honest agent never sends ends the link, and it is the holder who then ends the sandbox.
 *
 * The pool makes the link and hands it over with the sandbox.
 *
 * Runs in: front, on the loop. Never blocks.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "runtime/agent/agent.h"

struct agent_link;
struct error;

struct agent_handlers {
	/* One message; descriptors that are not taken out of e are closed. May free the link. */
	void (*event)(struct agent_event *e, void *arg);
	/* Once, the last: e NULL at end of file (pid 1 is gone), else what it did wrong. May free the link. */
	void (*gone)(const struct error *e, void *arg);
};

/* sock: owned from here on, also on failure. handlers: borrowed as long as they are in use. */
int agent_link_new(uv_loop_t *loop, int sock, const struct agent_handlers *handlers, void *arg, struct agent_link **ret,
		   struct error *err);
void agent_link_free(struct agent_link **link); /* closes the socket */
void agent_link_hand_over(struct agent_link *link, const struct agent_handlers *handlers, void *arg);

/* A number no request of this link has had; those below `from` are taken (a link that was adopted). */
uint32_t agent_link_seq(struct agent_link *link);
void agent_link_seq_from(struct agent_link *link, uint32_t from);

/* 0, or -errno. -EAGAIN: an agent that does not read; there is no waiting for it. */
int agent_link_send(struct agent_link *link, enum agent_message type, uint32_t seq, const void *message,
		    struct error *err);
int agent_link_start(struct agent_link *link, uint32_t seq, const struct process_spec *spec, struct error *err);

/* Take what is there now: handlers are called from inside. False when the link is gone or was freed meanwhile. */
bool agent_link_drain(struct agent_link *link);
