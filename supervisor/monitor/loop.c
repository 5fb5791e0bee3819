/* epoll(7): see loop.h. */
#include "supervisor/monitor/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { EVENTS_MAX = 64 };

struct loop {
	int fd;
	struct epoll_event events[EVENTS_MAX]; /* of this round; from `at` on still to be told */
	int at, n;
};

int loop_new(struct loop **ret, struct error *err)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return error_errno(err, ENOMEM, "event loop");
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->fd < 0) {
		free(l);
		return error_errno(err, errno, "epoll_create1");
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	fd_close(&l->fd);
	free(l);
}

int loop_add(struct loop *l, struct loop_source *s, int fd, uint32_t events, void (*fn)(uint32_t events, void *arg),
	     void *arg, struct error *err)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	if (epoll_ctl(l->fd, EPOLL_CTL_ADD, fd, &e) < 0)
		return error_errno(err, errno, "epoll_ctl");
	*s = (struct loop_source){ .fd = fd, .fn = fn, .arg = arg };
	return 0;
}

void loop_change(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	(void)epoll_ctl(l->fd, EPOLL_CTL_MOD, s->fd, &e); /* it is there: nothing can be missing */
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	if (s->fd < 0)
		return;
	(void)epoll_ctl(l->fd, EPOLL_CTL_DEL, s->fd, NULL);
	for (int i = l->at; i < l->n; i++) {
		if (l->events[i].data.ptr == s)
			l->events[i].data.ptr = NULL;
	}
	s->fd = -1;
}

int loop_turn(struct loop *l, int timeout_ms, struct error *err)
{
	int n = epoll_wait(l->fd, l->events, EVENTS_MAX, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : error_errno(err, errno, "epoll_wait");
	l->n = n;
	for (l->at = 0; l->at < l->n;) {
		const struct epoll_event *e = &l->events[l->at++];
		struct loop_source *s = e->data.ptr;

		if (s)
			s->fn(e->events, s->arg);
	}
	return n;
}
