/* An agent's socket on the loop: see agent_link.h. */
#include "supervisor/pool/agent_link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/pool/fd_watch.h"

enum { MESSAGES_A_TURN = 64 /* then others on the loop have a turn */ };

struct agent_link {
	struct fd_watch *watch;
	const struct agent_handlers *handlers;
	void *arg;
	uint32_t last_seq;
	bool is_gone;
	bool *is_freed; /* of the call that is handing out messages, to be told */
};

static void go(struct agent_link *link, const struct error *e)
{
	link->is_gone = true;
	fd_watch_events(link->watch, 0);
	link->handlers->gone(e, link->arg);
}

/* At most `most` messages. False when the link is gone or freed. */
static bool take(struct agent_link *link, unsigned most)
{
	static struct agent_event the_event; /* large; events are handed out one at a time ... */
	static bool is_busy;                 /* ... so a handler that drains needs one of its own */
	bool is_mine = !is_busy, is_freed = false, *outer = link->is_freed;
	struct agent_event *e = is_mine ? &the_event : alloc_bytes(sizeof(*e));
	struct error err = ERROR_INIT;

	is_busy = true;
	/* put back below, before it goes */
	/* cppcheck-suppress autoVariables */
	link->is_freed = &is_freed;
	while (most-- > 0 && !is_freed && !link->is_gone) {
		int r = agent_receive(fd_watch_fd(link->watch), e, MSG_DONTWAIT, &err);

		if (r == -EAGAIN || r == -EINTR)
			break;
		if (r <= 0) {
			go(link, r < 0 ? &err : NULL);
			break;
		}
		link->handlers->event(e, link->arg);
		agent_event_done(e);
	}
	if (!is_freed)
		link->is_freed = outer;
	else if (outer)
		*outer = true;
	if (is_mine)
		is_busy = false;
	else
		free(e);
	return !is_freed && !link->is_gone;
}

static void on_readable(struct fd_watch *w, int events, void *arg)
{
	(void)w;
	(void)events;
	(void)take(arg, MESSAGES_A_TURN);
}

int agent_link_new(uv_loop_t *loop, int sock, const struct agent_handlers *handlers, void *arg, struct agent_link **ret,
		   struct error *err)
{
	struct agent_link *link = alloc_zeroed(1, sizeof(*link));
	int r;

	link->handlers = handlers;
	link->arg = arg;
	r = fd_watch_new(loop, sock, UV_READABLE, on_readable, link, &link->watch, err);
	if (r < 0) {
		free(link);
		return r;
	}
	*ret = link;
	return 0;
}

void agent_link_free(struct agent_link **link)
{
	struct agent_link *gone = *link;

	if (!gone)
		return;
	*link = NULL;
	if (gone->is_freed)
		*gone->is_freed = true;
	fd_watch_free(&gone->watch);
	free(gone);
}

void agent_link_hand_over(struct agent_link *link, const struct agent_handlers *handlers, void *arg)
{
	link->handlers = handlers;
	link->arg = arg;
}

uint32_t agent_link_seq(struct agent_link *link)
{
	return ++link->last_seq;
}

void agent_link_seq_from(struct agent_link *link, uint32_t from)
{
	if (link->last_seq < from)
		link->last_seq = from;
}

int agent_link_send(struct agent_link *link, enum agent_message type, uint32_t seq, const void *message,
		    struct error *err)
{
	return agent_request(fd_watch_fd(link->watch), type, seq, message, err);
}

int agent_link_start(struct agent_link *link, uint32_t seq, const struct process_spec *spec, struct error *err)
{
	return agent_start(fd_watch_fd(link->watch), seq, spec, err);
}

bool agent_link_drain(struct agent_link *link)
{
	return !link->is_gone && take(link, MESSAGES_A_TURN);
}
