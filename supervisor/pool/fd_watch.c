/* One descriptor on the loop: see fd_watch.h. */
#include "supervisor/pool/fd_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

struct fd_watch {
	uv_poll_t poll; /* first: on_closed() gets it back */
	int fd;
	int events;
	fd_watch_fn *fn;
	void *arg;
};

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct fd_watch *w = (struct fd_watch *)poll;

	if (status >= 0) {
		w->fn(w, events, w->arg);
		return;
	}
	/* libuv has stopped it (POLLERR, e.g. a pipe whose reader is gone): the caller's next call says what it is */
	events = w->events;
	w->events = 0;
	w->fn(w, events, w->arg);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

int fd_watch_new(uv_loop_t *loop, int fd, int events, fd_watch_fn *fn, void *arg, struct fd_watch **ret,
		 struct error *err)
{
	struct fd_watch *w = alloc_zeroed(1, sizeof(*w));
	int r = uv_poll_init(loop, &w->poll, fd);

	if (r < 0) {
		free(w);
		fd_close(&fd);
		return error_errno(err, -r, "watch a descriptor");
	}
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	fd_watch_events(w, events);
	*ret = w;
	return 0;
}

int fd_watch_fd(const struct fd_watch *w)
{
	return w->fd;
}

void fd_watch_events(struct fd_watch *w, int events)
{
	if (events == w->events)
		return;
	w->events = events;
	/* cannot fail: the descriptor is open and known to epoll since uv_poll_init() */
	if (events)
		(void)uv_poll_start(&w->poll, events, on_ready);
	else
		(void)uv_poll_stop(&w->poll);
}

void fd_watch_call(struct fd_watch *w, fd_watch_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
}

void fd_watch_free(struct fd_watch **w)
{
	struct fd_watch *gone = *w;

	if (!gone)
		return;
	*w = NULL;
	uv_close((uv_handle_t *)&gone->poll, on_closed);
	fd_close(&gone->fd); /* after uv_close(): it has left epoll */
}
