/*
 * The host's side of the agent protocol (agent_proto.h): requests to cubit-init, and what comes back.
 *
 * Runs in: front (for its sandboxes), cubit-sandbox, tests. Needs no privilege: a socket is all it uses. Sending does
 * not block: a full socket is -EAGAIN, and the caller waits for POLLOUT. Whatever arrives is treated as hostile.
 */
#pragma once

#include <stdint.h>
#include <sys/resource.h>

#include "runtime/agent/agent_proto.h"

struct error;

struct process_rlimit {
	int resource; /* RLIMIT_* */
	struct rlimit limit;
};

/* One program to run inside. All pointers borrowed for the call. */
struct process_spec {
	const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH of env when it has no slash */
	const char *const *env;  /* NULL-terminated, the whole environment; NULL: empty */
	const char *cwd;         /* inside; NULL: "/" */
	uint32_t uid, gid;       /* PROCESS_DEFAULT_ID: the sandbox's */
	enum agent_stdio stdio;
	enum agent_filter filter;
	uint16_t cols, rows; /* for AGENT_STDIO_PTY */
	uint32_t umask;
	const struct process_rlimit *rlimits;
	size_t n_rlimits; /* at most AGENT_RLIMITS_MAX */
};

#define PROCESS_DEFAULT_ID UINT32_MAX

/* Resource limits of one process as a job has them; 0 is the value named beside each; of file_bytes: no limit. */
struct process_limits {
	uint64_t open_files;  /* RLIMIT_NOFILE; 256 */
	uint64_t stack_bytes; /* RLIMIT_STACK; 8 MiB */
	uint64_t file_bytes;  /* RLIMIT_FSIZE */
};

/*
 * The whole set for a job, setrlimit(2): those asked for and small shares of what the kernel counts for
 * all sandboxes of a supervisor together (locked memory, queued signals, message queues), so that one cannot take
 * them from the others. Core dumps are off in any case. Returns how many.
 */
enum {
	PROCESS_STACK_BYTES = 8 << 20,
	PROCESS_LOCKED_BYTES = 64 << 10,
	PROCESS_SIGNALS = 256,
	PROCESS_QUEUE_BYTES = 128 << 10, /* one queue of the default size */
};
size_t process_rlimits(const struct process_limits *limits, struct process_rlimit ret[AGENT_RLIMITS_MAX]);

/*
 * Ask for a process. seq becomes its number; choose it unused. Answered by AGENT_STARTED or AGENT_REFUSED.
 * Returns 0 or -errno: -EMSGSIZE when argv and env together are too long (FRAME_MAX_BYTES), -EAGAIN, -EPIPE.
 */
int agent_start(int sock, uint32_t seq, const struct process_spec *spec, struct error *err);

/* The other requests: message is the struct of type, or NULL where it has none. */
int agent_request(int sock, enum agent_message type, uint32_t seq, const void *message, struct error *err);

/*
 * Send what is encoded, without waiting. Where the agent is gone, err says why it went, as far as it told us, not that a
 * pipe is broken. Returns 0 or -errno: the agent's own, or -EPIPE, -EAGAIN.
 */
int agent_send(int sock, struct frame_writer *w, const int *fds, size_t n_fds, struct error *err);

/*
 * If the next thing in the socket is the agent's report of its failure, that, in err: returns -errno. Otherwise 0, err
 * untouched. It is only looked at: whoever reads the socket sees it, too.
 */
int agent_last_words(int sock, struct error *err);

/* Largest first: one of these is fine as static or heap memory, not on a small stack. */
struct agent_event {
	struct frame_header header;
	union agent_any any; /* spans point into data */
	int fds[FD_PASS_MAX];
	size_t n_fds; /* owned by the holder of the event: agent_event_done() */
	uint8_t data[FRAME_MAX_BYTES];
};

/*
 * Take one message. flags: MSG_DONTWAIT or 0.
 * Returns 1 with ret filled, 0 at end of file (the sandbox is gone), or -errno: -EAGAIN; -EPROTO for what an honest
 * agent never sends: the caller then kills the sandbox.
 */
int agent_receive(int sock, struct agent_event *ret, int flags, struct error *err);

/* Close descriptors that nobody took. */
void agent_event_done(struct agent_event *e);

/* REFUSED and FAILED as an error: "sandbox refused: <stage>: <object>: <strerror>". Returns -errno. */
int agent_failure(const struct agent_failed *f, struct error *err);
