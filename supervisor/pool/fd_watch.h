/*
 * One descriptor on the loop: a uv_poll_t that owns its descriptor and itself, so that whoever holds one may let go of
 * it at any moment, also from inside its own callback.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <uv.h>

struct error;
struct fd_watch;

/* events: UV_READABLE | UV_WRITABLE as they are; after an error on the descriptor all that was asked for: the next call tells. */
typedef void fd_watch_fn(struct fd_watch *w, int events, void *arg);

/*
 * fd      pipe, socket or terminal; made non-blocking; owned from here on, also on failure
 * events  UV_READABLE | UV_WRITABLE, or 0: not yet
 * Returns 0 with ret owned: fd_watch_free(); or -errno.
 */
int fd_watch_new(uv_loop_t *loop, int fd, int events, fd_watch_fn *fn, void *arg, struct fd_watch **ret,
		 struct error *err);
int fd_watch_fd(const struct fd_watch *w);
void fd_watch_events(struct fd_watch *w, int events);
/* Who is called from now on. */
void fd_watch_call(struct fd_watch *w, fd_watch_fn *fn, void *arg);

/* The descriptor is closed at once, *w is NULL. No callback comes after this. NULL inside does nothing. */
void fd_watch_free(struct fd_watch **w);
