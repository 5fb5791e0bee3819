/* Talking to a sandbox: see guest.h. */
#include "tests/support/guest.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"

enum { CHUNK_BYTES = 64 << 10 };

static void complain(struct guest *g, const char *what, const char *more)
{
	if (!g->problem[0])
		(void)snprintf(g->problem, sizeof(g->problem), "%s%.200s", what, more);
}

void guest_init(struct guest *g, struct sandbox *s)
{
	memset(g, 0, sizeof(*g));
	g->s = s;
}

static void close_all(struct guest_call *c)
{
	while (c->n_fds > 0)
		fd_close(&c->fds[--c->n_fds]);
}

const char *guest_done(struct guest *g)
{
	for (size_t i = 0; i < g->n_calls; i++)
		close_all(&g->calls[i]);
	g->n_calls = 0;
	return g->problem;
}

/* Calls that are over and hold nothing make room. */
static struct guest_call *call_new(struct guest *g, uint32_t seq)
{
	struct guest_call *c = NULL;

	for (size_t i = 0; i < g->n_calls && !c; i++) {
		if (g->n_calls == GUEST_CALLS && g->calls[i].is_over && g->calls[i].n_fds == 0)
			c = &g->calls[i];
	}
	if (!c && g->n_calls == GUEST_CALLS) {
		complain(g, "too many calls at once", "");
		c = &g->calls[0];
	}
	if (!c)
		c = &g->calls[g->n_calls++];
	*c = (struct guest_call){ .seq = seq };
	return c;
}

struct guest_call *guest_request(struct guest *g, enum agent_message type, const void *message)
{
	struct guest_call *c = call_new(g, sandbox_next_seq(g->s));
	struct error err = ERROR_INIT;

	if (agent_request(g->s->sock, type, c->seq, message, &err) < 0)
		complain(g, "send: ", err.text);
	return c;
}

struct guest_call *guest_adopt(struct guest *g, uint32_t seq)
{
	return call_new(g, seq);
}

struct guest_call *guest_request_about(struct guest *g, enum agent_message type, const struct guest_call *process)
{
	struct guest_call *c = call_new(g, process->seq);
	struct error err = ERROR_INIT;

	if (agent_request(g->s->sock, type, c->seq, NULL, &err) < 0)
		complain(g, "send: ", err.text);
	return c;
}

struct guest_call *guest_start(struct guest *g, const struct process_spec *spec)
{
	struct guest_call *c = call_new(g, sandbox_next_seq(g->s));
	struct error err = ERROR_INIT;

	if (agent_start(g->s->sock, c->seq, spec, &err) < 0)
		complain(g, "start: ", err.text);
	return c;
}

/* Two calls may bear one number (a process, and CLOSE_STDIN about it): DONE and REFUSED are for the one not open. */
static struct guest_call *find(struct guest *g, const struct frame_header *h)
{
	struct guest_call *found = NULL;

	for (size_t i = 0; i < g->n_calls; i++) {
		struct guest_call *c = &g->calls[i];

		if (c->seq != h->seq)
			continue;
		if (!found || (found->is_open && (h->type == AGENT_DONE || h->type == AGENT_REFUSED) && !c->is_over))
			found = c;
	}
	return found;
}

static void take_fds(struct guest_call *c, struct agent_event *e)
{
	if (e->n_fds == 0)
		return;
	close_all(c);
	for (size_t i = 0; i < e->n_fds && i < 3; i++)
		c->fds[c->n_fds++] = fd_take(&e->fds[i]);
}

static void on_event(struct guest *g, struct agent_event *e)
{
	struct guest_call *c = find(g, &e->header);

	if (!c) {
		char number[32];

		(void)snprintf(number, sizeof(number), "type %u seq %u", e->header.type, e->header.seq);
		complain(g, "nobody asked for ", number);
		return;
	}
	c->last = e->header.type;
	c->answer = e->any;
	take_fds(c, e);
	switch (e->header.type) {
	case AGENT_STARTED:
		c->started = e->any.started;
		c->is_open = true;
		c->n_started++;
		break;
	case AGENT_FILE_OPEN:
		c->is_open = true;
		break;
	default:
		c->n_exited += e->header.type == AGENT_EXITED;
		c->is_over = true;
	}
}

/* One message, if there is one now. */
static void turn(struct guest *g)
{
	static struct agent_event e; /* single-threaded; too large for a stack */
	struct error err = ERROR_INIT;
	int r = agent_receive(g->s->sock, &e, MSG_DONTWAIT, &err);

	if (r == 1) {
		on_event(g, &e);
		agent_event_done(&e);
	} else if (r == 0) {
		g->is_gone = true;
	} else if (r != -EAGAIN) {
		complain(g, "receive: ", err.text);
		g->is_gone = true;
	}
}

/* Wait for a message until the deadline and take it. False when there will be none. */
static bool take_one(struct guest *g, uint64_t deadline)
{
	struct pollfd p = { .fd = g->s->sock, .events = POLLIN };

	if (g->is_gone || g->problem[0] || clock_now_ns() >= deadline)
		return false;
	if (poll(&p, 1, clock_poll_ms(deadline)) > 0)
		turn(g);
	return true;
}

bool guest_wait_over(struct guest *g, const struct guest_call *c)
{
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);

	while (!c->is_over && take_one(g, deadline)) {
	}
	return c->is_over;
}

bool guest_wait_open(struct guest *g, const struct guest_call *c)
{
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);

	while (!c->is_open && !c->is_over && take_one(g, deadline)) {
	}
	return c->is_open;
}

bool guest_wait_count(struct guest *g, const unsigned *count, unsigned n)
{
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);

	while (*count < n && take_one(g, deadline)) {
	}
	return *count >= n;
}

/* Read once; closes *fd at its end (EIO is that of a terminal). */
static void read_some(int *fd, struct buf *out)
{
	static char data[CHUNK_BYTES];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (out && buf_append(out, data, (size_t)n) < 0))
		fd_close(fd);
}

/* Write once; closes *fd when all is written or nobody reads. */
static void write_some(int *fd, const char **data, size_t *left)
{
	ssize_t n = write(*fd, *data, *left);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		*data += n;
		*left -= (size_t)n;
	}
	if (n < 0 || *left == 0)
		fd_close(fd);
}

int guest_finish(struct guest *g, struct guest_call *c, const void *input, size_t size, struct buf *out,
		 struct buf *errors)
{
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);
	const char *data = input;
	size_t at = 0;
	cleanup_fd int in = c->n_fds == 3 ? fd_take(&c->fds[at++]) : -1;
	cleanup_fd int output = at < c->n_fds ? fd_take(&c->fds[at++]) : -1;
	cleanup_fd int error = at < c->n_fds ? fd_take(&c->fds[at++]) : -1;

	c->n_fds = 0;
	if (in >= 0)
		(void)fd_set_nonblock(in, 1);
	if (in >= 0 && size == 0)
		fd_close(&in);
	while ((output >= 0 || error >= 0 || !c->is_over) && !g->is_gone && clock_now_ns() < deadline) {
		struct pollfd p[] = {
			{ .fd = c->is_over ? -1 : g->s->sock, .events = POLLIN },
			{ .fd = in, .events = POLLOUT },
			{ .fd = output, .events = POLLIN },
			{ .fd = error, .events = POLLIN },
		};

		if (poll(p, sizeof(p) / sizeof(p[0]), clock_poll_ms(deadline)) <= 0)
			continue;
		if (p[0].revents)
			turn(g);
		if (p[1].revents)
			write_some(&in, &data, &size);
		if (p[2].revents)
			read_some(&output, out);
		if (p[3].revents)
			read_some(&error, errors);
	}
	return c->is_over && c->last == AGENT_EXITED ? (int)c->answer.exited.wait_status : -1;
}

int guest_drain(int *fd, size_t max, struct buf *out)
{
	int r = fd_read_all(*fd, max, out, NULL);

	fd_close(fd);
	return r;
}

bool guest_expect(int fd, const char *text)
{
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char seen[4096] = "";
	size_t used = 0;

	while (used < sizeof(seen) - 1 && poll(&p, 1, clock_poll_ms(deadline)) > 0) {
		ssize_t n = read(fd, seen + used, sizeof(seen) - 1 - used);

		if (n <= 0)
			return false;
		used += (size_t)n;
		if (memmem(seen, used, text, strlen(text)))
			return true;
	}
	return false;
}

struct process_spec guest_process(const char *const *argv)
{
	return (struct process_spec){
		.argv = argv,
		.cwd = "/work",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = AGENT_STDIO_NO_STDIN,
		.umask = 022,
	};
}

const char *guest_run_spec(struct guest *g, int *ret_status, const struct process_spec *spec)
{
	static char text[4 * CHUNK_BYTES];
	struct guest_call *c = guest_start(g, spec);
	cleanup_buf struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	size_t n;

	*ret_status = -1;
	(void)guest_wait_open(g, c);
	if (c->is_over && c->last == AGENT_REFUSED) {
		(void)agent_failure(&c->answer.failed, &err);
		(void)snprintf(text, sizeof(text), "refused: %s", err.text);
		return text;
	}
	if (!c->is_open)
		return "no answer";
	*ret_status = guest_finish(g, c, NULL, 0, &out, &out);
	(void)snprintf(text, sizeof(text), "%s", buf_str(&out));
	n = strlen(text);
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

const char *guest_run(struct guest *g, int *ret_status, const char *const *argv)
{
	const struct process_spec spec = guest_process(argv);

	return guest_run_spec(g, ret_status, &spec);
}
