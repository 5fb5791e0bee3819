/*
 * The front's side of the monitor protocol: see monitor_client.h.
 *
 * A request gets a number and a row in `pending`; its answer finds the row by that number. What the socket does not
 * take waits in `queue`, and the loop then also looks for room. The first thing that is wrong makes the client dead: it
 * says `gone` once, from the loop, takes nothing more, and the callbacks still waiting are called by
 * monitor_client_free().
 */
#include "supervisor/protocol/monitor_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum {
	MESSAGE_MAX = 4096,   /* no message of this protocol is longer */
	QUEUE_MAX = 1024,     /* requests that wait for room in the socket */
	PENDING_MAX = 4096,   /* requests that wait for their answer */
	MESSAGES_A_TURN = 64, /* then others on the loop have a turn */
};

/* One request waiting for its answer. Which callback it is follows from `answer`. */
struct pending {
	uint32_t seq; /* 0: a free row */
	enum monitor_message answer;
	union {
		monitor_image_fn *image;
		monitor_created_fn *created;
		monitor_done_fn *done;
		monitor_facts_fn *facts;
		monitor_policies_fn *policies;
	} fn;
	void *arg;
};

struct queued {
	size_t size;
	uint8_t *data;
};

struct monitor_client {
	uv_poll_t poll; /* first: on_close() gets it back */
	int sock;
	struct monitor_handlers handlers;
	bool is_dead;  /* the monitor is gone; nothing is sent or taken any more */
	bool is_freed; /* waits for its close callback */
	bool is_welcome;
	uint32_t adopt_left;
	uint32_t last_seq;
	struct pending *pending; /* pending_room rows */
	size_t n_pending, pending_room;
	struct queued queue[QUEUE_MAX]; /* a ring */
	size_t queue_at, n_queued;
};

void sandbox_fds_close(struct sandbox_fds *fds)
{
	fd_close(&fds->sock);
	fd_close(&fds->out);
	fd_close(&fds->err);
	fd_close(&fds->index);
}

/* ---- the table of requests ---- */

static struct pending *pending_find(const struct monitor_client *c, uint32_t seq)
{
	for (size_t i = 0; seq && i < c->pending_room; i++) {
		if (c->pending[i].seq == seq)
			return &c->pending[i];
	}
	return NULL;
}

static int pending_grow(struct monitor_client *c)
{
	size_t room = c->pending_room ? 2 * c->pending_room : 64;

	if (room > PENDING_MAX)
		return -EAGAIN;
	c->pending = alloc_again(c->pending, room, sizeof(*c->pending));
	memset(c->pending + c->pending_room, 0, (room - c->pending_room) * sizeof(*c->pending));
	c->pending_room = room;
	return 0;
}

/* A free row with a number that no living request has; NULL with *ret_code set. */
static struct pending *pending_new(struct monitor_client *c, int *ret_code)
{
	*ret_code = c->n_pending == c->pending_room ? pending_grow(c) : 0;
	if (*ret_code < 0)
		return NULL;
	do {
		c->last_seq++;
	} while (c->last_seq == 0 || pending_find(c, c->last_seq));
	for (size_t i = 0;; i++) { /* there is one: n_pending says so */
		if (c->pending[i].seq == 0) {
			c->pending[i].seq = c->last_seq;
			c->n_pending++;
			return &c->pending[i];
		}
	}
}

static struct pending pending_take(struct monitor_client *c, struct pending *p)
{
	struct pending taken = *p;

	*p = (struct pending){ .seq = 0 };
	c->n_pending--;
	return taken;
}

/* Say to whoever asked that it did not go well. */
static void fail(const struct pending *p, const struct error *e)
{
	int none = -1;
	struct sandbox_fds no_fds = { -1, -1, -1, -1 };

	if (p->answer == MONITOR_IMAGE)
		p->fn.image(e, NULL, &none, p->arg);
	else if (p->answer == MONITOR_CREATED)
		p->fn.created(e, NULL, &no_fds, p->arg);
	else if (p->answer == MONITOR_DONE)
		p->fn.done(e, p->arg);
	else if (p->answer == MONITOR_POLICY_LIST)
		p->fn.policies(e, &none, p->arg);
	else
		p->fn.facts(e, NULL, p->arg);
}

/* ---- sending ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct monitor_client *c)
{
	/* fails for a bad descriptor only, and ours was fine when we began */
	(void)uv_poll_start(&c->poll, UV_READABLE | (c->n_queued ? UV_WRITABLE : 0), on_poll);
}

static int enqueue(struct monitor_client *c, const struct frame_writer *w)
{
	struct queued *q = &c->queue[(c->queue_at + c->n_queued) % QUEUE_MAX];

	if (c->n_queued == QUEUE_MAX)
		return -EAGAIN;
	q->data = alloc_bytes(w->size);
	memcpy(q->data, w->data, w->size);
	q->size = w->size;
	c->n_queued++;
	if (c->n_queued == 1)
		watch(c);
	return 0;
}

static void queue_drop_first(struct monitor_client *c)
{
	free(c->queue[c->queue_at].data);
	c->queue_at = (c->queue_at + 1) % QUEUE_MAX;
	c->n_queued--;
}

static void send_queued(struct monitor_client *c)
{
	while (c->n_queued) {
		const struct queued *q = &c->queue[c->queue_at];

		if (fd_send(c->sock, q->data, q->size, NULL, 0, MSG_DONTWAIT, NULL) == -EAGAIN)
			return;
		queue_drop_first(c); /* another error: the monitor is gone, which shows as end of file */
	}
	watch(c);
}

static int post(struct monitor_client *c, enum monitor_message type, uint32_t seq, const void *message)
{
	uint8_t memory[MESSAGE_MAX];
	struct frame_writer w;
	int r = c->is_dead ? -EPIPE : monitor_encode(&w, memory, sizeof(memory), type, seq, message, NULL);

	if (r < 0)
		return r;
	if (c->n_queued)
		return enqueue(c, &w);
	r = frame_send(c->sock, &w, NULL, 0, MSG_DONTWAIT, NULL);
	return r == -EAGAIN ? enqueue(c, &w) : r;
}

/* A request with an answer. want: the row, but for its number. */
static int ask(struct monitor_client *c, enum monitor_message type, const void *message, struct pending want)
{
	int r = 0;
	struct pending *p = c->is_dead ? NULL : pending_new(c, &r);

	if (!p)
		return c->is_dead ? -EPIPE : r;
	want.seq = p->seq;
	*p = want;
	r = post(c, type, p->seq, message);
	if (r < 0)
		(void)pending_take(c, p);
	return r;
}

/* ---- receiving ---- */

static void gone(struct monitor_client *c)
{
	if (c->is_dead)
		return;
	c->is_dead = true;
	(void)uv_poll_stop(&c->poll);
	if (c->handlers.gone)
		c->handlers.gone(c->handlers.arg);
}

struct message {
	struct frame_header h;
	union monitor_any any;
	int fds[FD_PASS_MAX];
	size_t n_fds;
};

static struct sandbox_fds take_fds(struct message *m)
{
	struct sandbox_fds fds = { fd_take(&m->fds[0]), fd_take(&m->fds[1]), fd_take(&m->fds[2]), fd_take(&m->fds[3]) };

	m->n_fds = 0;
	(void)fd_set_nonblock(fds.sock, 1); /* cannot fail for a socket */
	return fds;
}

static size_t fds_of(uint16_t type)
{
	if (type == MONITOR_ADOPT || type == MONITOR_CREATED)
		return MONITOR_FDS_SANDBOX;
	return type == MONITOR_IMAGE || type == MONITOR_POLICY_LIST ? 1 : 0;
}

static int on_refused(struct monitor_client *c, struct message *m)
{
	struct pending *p = pending_find(c, m->h.seq), taken;
	struct error e = ERROR_INIT;

	if (!p)
		return -EPROTO;
	taken = pending_take(c, p);
	(void)error_set(&e, m->any.refused.code && m->any.refused.code < 4096 ? (int)m->any.refused.code : EPROTO, "%s",
			m->any.refused.text);
	fail(&taken, &e);
	return 0;
}

static int on_answer(struct monitor_client *c, struct message *m)
{
	struct pending *p = pending_find(c, m->h.seq), taken;
	struct sandbox_fds fds;

	if (!p || (uint16_t)p->answer != m->h.type)
		return -EPROTO;
	taken = pending_take(c, p);
	switch (taken.answer) {
	case MONITOR_IMAGE:
		taken.fn.image(NULL, &m->any.image, &m->fds[0], taken.arg);
		break;
	case MONITOR_CREATED:
		fds = take_fds(m);
		taken.fn.created(NULL, &m->any.created, &fds, taken.arg);
		sandbox_fds_close(&fds);
		break;
	case MONITOR_DONE:
		taken.fn.done(NULL, taken.arg);
		break;
	case MONITOR_POLICY_LIST:
		taken.fn.policies(NULL, &m->fds[0], taken.arg);
		break;
	default:
		taken.fn.facts(NULL, &m->any.facts, taken.arg);
	}
	return 0;
}

static void all_adopted(struct monitor_client *c)
{
	if (c->adopt_left == 0 && !c->is_freed && c->handlers.adopted)
		c->handlers.adopted(c->handlers.arg);
}

static int on_welcome(struct monitor_client *c, struct message *m)
{
	if (c->is_welcome)
		return -EPROTO;
	c->is_welcome = true;
	c->adopt_left = m->any.welcome.n_adopt;
	if (c->handlers.welcome)
		c->handlers.welcome(&m->any.welcome, c->handlers.arg);
	all_adopted(c);
	return 0;
}

static int on_adopt(struct monitor_client *c, struct message *m)
{
	struct sandbox_fds fds;

	if (c->adopt_left == 0)
		return -EPROTO;
	c->adopt_left--;
	fds = take_fds(m);
	if (c->handlers.adopt)
		c->handlers.adopt(&m->any.adopt, &fds, c->handlers.arg);
	sandbox_fds_close(&fds);
	all_adopted(c);
	return 0;
}

static int dispatch(struct monitor_client *c, struct message *m)
{
	const struct monitor_handlers *h = &c->handlers;

	switch (m->h.type) {
	case MONITOR_WELCOME:
		return on_welcome(c, m);
	case MONITOR_ADOPT:
		return on_adopt(c, m);
	case MONITOR_REFUSED:
		return on_refused(c, m);
	case MONITOR_IMAGE:
	case MONITOR_CREATED:
	case MONITOR_DONE:
	case MONITOR_FACTS:
	case MONITOR_POLICY_LIST:
		return on_answer(c, m);
	case MONITOR_STOPPED:
		if (h->stopped)
			h->stopped(&m->any.stopped, h->arg);
		return 0;
	case MONITOR_RELOAD:
		if (h->reload)
			h->reload(h->arg);
		return 0;
	case MONITOR_DRAIN:
		if (h->drain)
			h->drain(h->arg);
		return 0;
	case MONITOR_PING:
		(void)post(c, MONITOR_PONG, 0, NULL); /* the loop turns; not sent: there will be another */
		return 0;
	default:
		return -EPROTO; /* what only a front says */
	}
}

/* One message. Returns 1, 0 when there is none, or -errno: the monitor is gone. */
static int receive(struct monitor_client *c)
{
	static uint8_t memory[MESSAGE_MAX]; /* one loop, one thread */
	struct message m = { .n_fds = FD_PASS_MAX };
	ssize_t n = frame_recv(c->sock, memory, sizeof(memory), m.fds, &m.n_fds, MSG_DONTWAIT, NULL);
	int r;

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	r = monitor_decode(memory, (size_t)n, &m.h, &m.any, NULL);
	if (r == 0 && m.n_fds != fds_of(m.h.type))
		r = -EPROTO;
	if (r == 0)
		r = dispatch(c, &m);
	for (size_t i = 0; i < m.n_fds; i++)
		fd_close(&m.fds[i]);
	return r < 0 ? r : 1;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct monitor_client *c = (struct monitor_client *)poll;
	int r = status < 0 ? status : 1;

	if (status == 0 && events & UV_WRITABLE)
		send_queued(c);
	for (int i = 0; r == 1 && i < MESSAGES_A_TURN && !c->is_freed && !c->is_dead; i++)
		r = receive(c);
	if (r < 0 && !c->is_freed)
		gone(c);
}

/* ---- public ---- */

int monitor_client_new(uv_loop_t *loop, int sock, const struct monitor_handlers *handlers, struct monitor_client **ret,
		       struct error *err)
{
	struct monitor_client *c = alloc_zeroed(1, sizeof(*c));
	int r = fd_set_nonblock(sock, 1);

	if (r == 0)
		r = uv_poll_init(loop, &c->poll, sock);
	if (r < 0) { /* libuv's codes are -errno on this system */
		free(c);
		return error_errno(err, -r, "watch the monitor's socket");
	}
	c->sock = sock;
	c->handlers = *handlers;
	watch(c);
	*ret = c;
	return 0;
}

static void on_close(uv_handle_t *handle)
{
	struct monitor_client *c = (struct monitor_client *)handle;

	fd_close(&c->sock);
	while (c->n_queued)
		queue_drop_first(c);
	free(c->pending);
	free(c);
}

void monitor_client_free(struct monitor_client *c)
{
	struct error e = ERROR_INIT;

	if (!c || c->is_freed)
		return;
	c->is_freed = c->is_dead = true;
	(void)error_set(&e, ECONNRESET, "the monitor is gone");
	for (size_t i = 0; i < c->pending_room; i++) {
		if (c->pending[i].seq) {
			struct pending p = pending_take(c, &c->pending[i]);

			fail(&p, &e);
		}
	}
	uv_close((uv_handle_t *)&c->poll, on_close);
}

int monitor_resolve_image(struct monitor_client *c, const char *name, monitor_image_fn *fn, void *arg)
{
	struct monitor_resolve m = { .image = "" };

	if (strlen(name) >= sizeof(m.image))
		return -ENAMETOOLONG;
	memcpy(m.image, name, strlen(name));
	return ask(c, MONITOR_RESOLVE, &m, (struct pending){ .answer = MONITOR_IMAGE, .fn.image = fn, .arg = arg });
}

int monitor_create_sandbox(struct monitor_client *c, const struct monitor_create *m, monitor_created_fn *fn, void *arg)
{
	return ask(c, MONITOR_CREATE, m, (struct pending){ .answer = MONITOR_CREATED, .fn.created = fn, .arg = arg });
}

int monitor_set_stage(struct monitor_client *c, const struct monitor_stage *m, monitor_done_fn *fn, void *arg)
{
	return ask(c, MONITOR_STAGE, m, (struct pending){ .answer = MONITOR_DONE, .fn.done = fn, .arg = arg });
}

/* KILL, FINISH and TAG begin with the id, as all that are about one sandbox. */
static int copy_id(char ret[MONITOR_ID_BYTES], const char *id)
{
	size_t n = strlen(id);

	if (n >= MONITOR_ID_BYTES)
		return -ENAMETOOLONG;
	memcpy(ret, id, n + 1);
	return 0;
}

int monitor_finish_sandbox(struct monitor_client *c, const char *id, monitor_facts_fn *fn, void *arg)
{
	struct monitor_finish m = { .id = "" };
	int r = copy_id(m.id, id);

	if (r == 0)
		r = ask(c, MONITOR_FINISH, &m, (struct pending){ .answer = MONITOR_FACTS, .fn.facts = fn, .arg = arg });
	return r;
}

int monitor_measure_sandbox(struct monitor_client *c, const char *id, monitor_facts_fn *fn, void *arg)
{
	struct monitor_measure m = { .id = "" };
	int r = copy_id(m.id, id);

	if (r == 0)
		r = ask(c, MONITOR_MEASURE, &m,
			(struct pending){ .answer = MONITOR_FACTS, .fn.facts = fn, .arg = arg });
	return r;
}

int monitor_ask_policies(struct monitor_client *c, monitor_policies_fn *fn, void *arg)
{
	return ask(c, MONITOR_POLICIES, NULL,
		   (struct pending){ .answer = MONITOR_POLICY_LIST, .fn.policies = fn, .arg = arg });
}

int monitor_kill_sandbox(struct monitor_client *c, const char *id)
{
	struct monitor_kill m = { .id = "" };
	int r = copy_id(m.id, id);

	return r < 0 ? r : post(c, MONITOR_KILL, 0, &m);
}

int monitor_tag_sandbox(struct monitor_client *c, const char *id, const void *tag, size_t size)
{
	struct monitor_tag m = { .id = "", .tag_size = (uint32_t)size };
	int r = copy_id(m.id, id);

	if (r == 0 && size > sizeof(m.tag))
		r = -EMSGSIZE;
	if (r < 0)
		return r;
	if (size)
		memcpy(m.tag, tag, size);
	return post(c, MONITOR_TAG, 0, &m);
}

int monitor_say_state(struct monitor_client *c, enum monitor_state state, const char *text)
{
	struct monitor_state_message m = { .state = state };

	(void)strncat(m.text, text ? text : "", sizeof(m.text) - 1); /* words for people: cut is fine */
	return post(c, MONITOR_STATE, 0, &m);
}
