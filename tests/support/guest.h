/*
 * Talking to a sandbox: requests sent, answers sorted by the request they belong to, in whatever order they come.
 *
 * A call that cannot be sent, or an answer that nobody asked for, is remembered in `problem`; guest_done() returns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/agent/agent.h"

struct buf;
struct sandbox;

enum { GUEST_CALLS = 96, GUEST_WAIT_MS = 60000 };

/* One request and what came of it. */
struct guest_call {
	uint32_t seq;
	bool is_open;                 /* STARTED or FILE_OPEN came */
	bool is_over;                 /* the last answer came; its type is `last` */
	unsigned n_started, n_exited; /* how often: after ATTACH they come again */
	uint16_t last;
	union agent_any answer; /* of the latest message */
	struct agent_started started;
	int fds[3]; /* owned; of STARTED, FILE_OPEN, CONNECTED. Closed by guest_done() */
	size_t n_fds;
};

struct guest {
	struct sandbox *s; /* borrowed */
	struct guest_call calls[GUEST_CALLS];
	size_t n_calls;
	bool is_gone; /* end of file */
	char problem[256];
};

void guest_init(struct guest *g, struct sandbox *s);

/* Close what is open and forget all calls. Returns the first problem, "" for none; valid until the next guest_init().
 */
const char *guest_done(struct guest *g);

struct guest_call *guest_request(struct guest *g, enum agent_message type, const void *message);
struct guest_call *guest_start(struct guest *g, const struct process_spec *spec);

/* Be ready for what is said of a process that somebody else started: after ATTACH. */
struct guest_call *guest_adopt(struct guest *g, uint32_t seq);

/* Requests whose seq is the number of a process: CLOSE_STDIN. (ACK has no answer: agent_request().) */
struct guest_call *guest_request_about(struct guest *g, enum agent_message type, const struct guest_call *process);

/*
 * Take messages until the call is over, or open (or over: it may have been refused). False when that does not come
 * within GUEST_WAIT_MS, and at end of file.
 */
bool guest_wait_over(struct guest *g, const struct guest_call *c);
bool guest_wait_open(struct guest *g, const struct guest_call *c);

/* The same for the n-th STARTED or EXITED: after ATTACH. */
bool guest_wait_count(struct guest *g, const unsigned *count, unsigned n);

/*
 * Feed input to a started process, close its standard input, collect both outputs (NULL: dropped; a terminal has only
 * out) until their ends, and wait for its end. Returns the wait status, or -1.
 */
int guest_finish(struct guest *g, struct guest_call *process, const void *input, size_t size, struct buf *out,
		 struct buf *errors);

/* The rest of the stream behind a descriptor, which is closed. Returns 0 or -errno, at most max bytes. */
int guest_drain(int *fd, size_t max, struct buf *out);

/* A line, a few bytes: read until `text` is seen, for at most GUEST_WAIT_MS. */
bool guest_expect(int fd, const char *text);

/* Defaults of a process: no input, mask 022, /work. argv is borrowed. */
struct process_spec guest_process(const char *const *argv);

/*
 * Run argv to its end and return what it wrote to both outputs, in static memory, without a newline at its end.
 * A refused start gives "refused: STAGE: OBJECT: ERROR".
 */
const char *guest_run(struct guest *g, int *ret_status, const char *const *argv);

/* The same with all particulars. */
const char *guest_run_spec(struct guest *g, int *ret_status, const struct process_spec *spec);

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
