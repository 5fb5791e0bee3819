/*
 * A monitor that is none, and agents that are none, for tests of what the front makes of them: no privilege, no sandbox.
 * Both live on the loop of the test. An agent does what an honest one does (a process is a pair of pipes that says "out"
 * and ends with status 0), unless the test's hook answers first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "runtime/agent/agent.h"
#include "supervisor/protocol/proto.h"

struct fake_monitor;

struct fake_agent {
	struct fake_agent *next;
	struct fake_monitor *monitor;
	char id[MONITOR_ID_BYTES];
	int sock; /* the inside end */
	uv_poll_t poll;
	unsigned n_messages;
	bool is_finished;
};

struct fake_monitor {
	uv_loop_t *loop;
	int sock;
	uv_poll_t poll;
	struct fake_agent *agents;
	char manifest[MONITOR_DIGEST_BYTES]; /* "": RESOLVE is refused */
	char policy_digest[MONITOR_DIGEST_BYTES];
	int create_error; /* errno: CREATE is refused */
	unsigned n_resolve, n_create, n_stage, n_tag, n_kill, n_finish, n_open;
	char tag[MONITOR_TAG_MAX + 1]; /* the latest */
	struct monitor_facts facts;    /* what FINISH answers */
	bool is_unrestricted;          /* a probe says that there is no filter */
	bool is_silent_launcher;       /* a process that should wait says nothing */
	/* Returns true when it has dealt with the request. */
	bool (*hook)(struct fake_agent *a, const struct frame_header *h, const union agent_any *m);
	void *arg;
};

/* Returns the front's end. */
int fake_monitor_open(struct fake_monitor *m, uv_loop_t *loop);
void fake_monitor_close(struct fake_monitor *m); /* run the loop afterwards */

/* To the front. fds borrowed. */
void fake_agent_say(struct fake_agent *a, enum agent_message type, uint32_t seq, const void *message, const int *fds,
		    size_t n_fds);
void fake_agent_gone(struct fake_agent *a);
void fake_monitor_stopped(struct fake_monitor *m, const char *id, uint32_t stop);
