/* The socket to the front: see front_link.h. */
#include "supervisor/monitor/front_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

enum {
	MESSAGE_MAX = 4096,   /* no message of this protocol is longer */
	MESSAGES_A_TURN = 16, /* then clocks and deaths have a turn */
};

struct queued_message {
	struct queued_message *next;
	int fds[MONITOR_FDS_SANDBOX];
	size_t n_fds, size;
	uint8_t data[];
};

static void drop_first(struct front_link *l)
{
	struct queued_message *q = l->first;

	l->first = q->next;
	if (!l->first)
		l->last = NULL;
	for (size_t i = 0; i < q->n_fds; i++)
		fd_close(&q->fds[i]);
	free(q);
}

void front_link_close(struct front_link *l)
{
	loop_remove(l->loop, &l->source);
	fd_close(&l->sock);
	while (l->first)
		drop_first(l);
}

static void lose(struct front_link *l, const struct error *why)
{
	if (!front_link_is_open(l))
		return;
	front_link_close(l);
	l->lost(why, l->arg);
}

/* ---- out ---- */

static int enqueue(struct front_link *l, const struct frame_writer *w, const int *fds, size_t n_fds)
{
	struct queued_message *q = malloc(sizeof(*q) + w->size);

	if (!q)
		return -ENOMEM;
	*q = (struct queued_message){ .size = w->size };
	memcpy(q->data, w->data, w->size);
	for (; q->n_fds < n_fds; q->n_fds++) {
		q->fds[q->n_fds] = fcntl(fds[q->n_fds], F_DUPFD_CLOEXEC, 0);
		if (q->fds[q->n_fds] < 0) {
			int code = errno;

			while (q->n_fds > 0)
				fd_close(&q->fds[--q->n_fds]);
			free(q);
			return -code;
		}
	}
	if (l->last)
		l->last->next = q;
	else
		l->first = q;
	l->last = q;
	loop_change(l->loop, &l->source, EPOLLOUT); /* and nothing is read meanwhile */
	return 0;
}

void front_link_send(struct front_link *l, enum monitor_message type, uint32_t seq, const void *message, const int *fds,
		     size_t n_fds)
{
	uint8_t memory[MESSAGE_MAX];
	struct frame_writer w;
	int r;

	if (!front_link_is_open(l))
		return;
	r = monitor_encode(&w, memory, sizeof(memory), type, seq, message, NULL);
	if (r == 0) /* in order: behind what waits already */
		r = l->first ? -EAGAIN : frame_send(l->sock, &w, fds, n_fds, MSG_DONTWAIT, NULL);
	if (r == -EAGAIN)
		r = enqueue(l, &w, fds, n_fds);
	/* Otherwise the other end is gone, which the loop is about to see, or it cannot be served: then it shall see.
	 */
	if (r < 0) {
		log_debug(LOG_FACTS(LOG_STR("message", monitor_message_name(type)), LOG_INT("code", -r)),
			  "cannot send to the front, ending the connection");
		(void)shutdown(l->sock, SHUT_RDWR);
	}
}

static void send_waiting(struct front_link *l)
{
	while (l->first) {
		const struct queued_message *q = l->first;

		if (fd_send(l->sock, q->data, q->size, q->fds, q->n_fds, MSG_DONTWAIT, NULL) == -EAGAIN)
			return;
		drop_first(l); /* any other failure means that the other end is gone: the next read says so */
	}
	loop_change(l->loop, &l->source, EPOLLIN);
}

/* ---- in ---- */

static bool is_from_front(uint16_t type)
{
	return type < MONITOR_REQUESTS;
}

/* One message. Returns 1, 0 when there is none or the link is closed, or -errno with why filled: it is lost. */
static int receive(struct front_link *l, struct error *why)
{
	static union monitor_any any; /* one thread, and no message is handled within another */
	uint8_t memory[MESSAGE_MAX];
	struct frame_header h;
	ssize_t n = frame_recv(l->sock, memory, sizeof(memory), NULL, NULL, MSG_DONTWAIT, why);
	int r;

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0) {
		if (n == 0 || n == -ECONNRESET)
			error_clear(why);
		return n < 0 ? (int)n : -ECONNRESET;
	}
	r = monitor_decode(memory, (size_t)n, &h, &any, why);
	if (r == 0 && !is_from_front(h.type))
		r = error_set(why, EPROTO, "the front may not send %s", monitor_message_name(h.type));
	if (r < 0)
		return r;
	l->message(&h, &any, l->arg);
	return front_link_is_open(l);
}

static void on_event(uint32_t events, void *arg)
{
	struct front_link *l = arg;
	struct error why = ERROR_INIT;
	int r = 1;

	if (events & EPOLLOUT)
		send_waiting(l);
	if (l->first && events & (EPOLLHUP | EPOLLERR))
		r = -ECONNRESET; /* it does not read any more, and never will */
	for (int i = 0; r == 1 && i < MESSAGES_A_TURN && !l->first; i++)
		r = receive(l, &why);
	if (r < 0)
		lose(l, &why);
}

int front_link_open(struct front_link *l, int sock, struct error *err)
{
	int r = loop_add(l->loop, &l->source, sock, EPOLLIN, on_event, l, err);

	l->sock = sock;
	if (r < 0)
		front_link_close(l);
	return r;
}
