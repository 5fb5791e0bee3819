/*
 * FILE calls on an agent (runtime/agent/agent_proto.h) whose content flows through a pipe: write, read, walk. Several at
 * once; each has a callback. Content never waits: what the pipe does not take is written when there is room again.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "runtime/base/buf.h"

struct agent_event;
struct agent_link;
struct error;
struct file_call; /* opaque */

/* All calls of one link. Zeroed, then loop and link set. */
struct file_calls {
	uv_loop_t *loop;
	struct agent_link *link;
	struct file_call *first;
	size_t n;
};

struct file_answer {
	int code;            /* 0, or the positive errno that it ended with */
	struct buf *content; /* of a read or walk: borrowed, may be taken out */
	bool is_cut;         /* there was more than max_bytes, or than the limit of records */
	uint64_t size;       /* of a read: of the whole file, as the agent says */
};
/* e: the agent broke its protocol, or refused the call as such: nothing more can be asked of it. May start other calls. */
typedef void file_call_fn(const struct error *e, struct file_answer *a, void *arg);

/*
 * Write a file into a sandbox in which nothing was started: by DELIVER (agent_proto.h), which costs no process; by FILE what
 * is too large for that, or has something in its way there.
 *
 * path    absolute, inside
 * data    borrowed until the callback
 * Return 0 and then the callback comes once (never from inside), or -errno: -ENAMETOOLONG, -EAGAIN.
 */
int file_write(struct file_calls *c, const char *path, uint32_t mode, const void *data, size_t size, file_call_fn *fn,
	       void *arg, struct error *err);
int file_read(struct file_calls *c, const char *path, size_t max_bytes, file_call_fn *fn, void *arg, struct error *err);
/* Records as agent_record_decode() reads them: at most `records`, `depth` levels down. */
int file_walk(struct file_calls *c, const char *path, unsigned depth, uint64_t records, size_t max_bytes,
	      file_call_fn *fn, void *arg, struct error *err);

/* An event of the link: true when it belongs to one of the calls and is dealt with. */
bool file_calls_event(struct file_calls *c, struct agent_event *e);

/* No callbacks any more. */
void file_calls_done(struct file_calls *c);
