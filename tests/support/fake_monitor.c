/* A monitor and agents that are none: see fake_monitor.h. */
#include "tests/support/fake_monitor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"

static const char config[] = "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Env\":[\"MADE=by hand\"]},"
			     "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";

static void say(struct fake_monitor *m, enum monitor_message type, uint32_t seq, const void *message, const int *fds,
		size_t n_fds)
{
	static uint8_t memory[8192];
	struct frame_writer w;

	if (monitor_encode(&w, memory, sizeof(memory), type, seq, message, NULL) < 0 ||
	    frame_send(m->sock, &w, fds, n_fds, 0, NULL) < 0)
		abort();
}

static void refuse(struct fake_monitor *m, uint32_t seq, int code)
{
	struct monitor_refused r = { .code = (uint32_t)code };

	(void)snprintf(r.text, sizeof(r.text), "refused: %s", strerror(code));
	say(m, MONITOR_REFUSED, seq, &r, NULL, 0);
}

static int file_of(const char *text)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return fd;
}

/* ---- agents ---- */

void fake_agent_say(struct fake_agent *a, enum agent_message type, uint32_t seq, const void *message, const int *fds,
		    size_t n_fds)
{
	static uint8_t memory[FRAME_MAX_BYTES];
	struct frame_writer w;

	if (a->sock >= 0 && agent_encode(&w, memory, sizeof(memory), type, seq, message, NULL) == 0)
		(void)frame_send(a->sock, &w, fds, n_fds, 0, NULL); /* the front may have let go of it */
}

void fake_agent_gone(struct fake_agent *a)
{
	(void)uv_poll_stop(&a->poll);
	fd_close(&a->sock);
}

static void report(struct fake_agent *a, uint32_t seq)
{
	struct agent_ready r = { .is_probe = 1, .seccomp = 2, .no_new_privs = 1, .uid = 1000, .gid = 1000 };

	if (a->monitor->is_unrestricted)
		r.seccomp = 0;
	fake_agent_say(a, AGENT_READY, seq, &r, NULL, 0);
}

/* Says "out" and ends; a launcher says its one byte and waits. */
static void start(struct fake_agent *a, uint32_t seq, const struct agent_start *s)
{
	const char *first = s->argv.data;
	bool is_launcher = strcmp(first, "launcher") == 0, has_stdin = s->stdio == AGENT_STDIO_PIPES;
	struct agent_started started = { .pid_inside = 2, .at_ns = clock_now_ns() };
	struct agent_exited exited = { .wait_status = 0, .at_ns = clock_now_ns() };
	int in[2], out[2], err[2], fds[3];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		abort();
	fds[0] = in[1];
	fds[1] = out[0];
	fds[2] = err[0];
	fake_agent_say(a, AGENT_STARTED, seq, &started, has_stdin ? fds : fds + 1, has_stdin ? 3 : 2);
	if (!is_launcher || !a->monitor->is_silent_launcher)
		(void)!write(out[1], is_launcher ? "\n" : "out 9.8.7\n", is_launcher ? 1 : 10);
	(void)close(in[1]);
	(void)close(out[0]);
	(void)close(err[0]);
	if (!is_launcher) {
		(void)close(in[0]);
		(void)close(out[1]);
		(void)close(err[1]);
		fake_agent_say(a, AGENT_EXITED, seq, &exited, NULL, 0);
	} /* else they stay open until the test ends */
}

static void file(struct fake_agent *a, uint32_t seq, const struct agent_file *f)
{
	struct agent_file_done done = { .code = 0 };
	int p[2];

	if (f->op == AGENT_FILE_WRITE || f->op == AGENT_FILE_READ || f->op == AGENT_FILE_WALK) {
		if (pipe2(p, O_CLOEXEC) < 0)
			abort();
		fake_agent_say(a, AGENT_FILE_OPEN, seq, NULL, f->op == AGENT_FILE_WRITE ? &p[1] : &p[0], 1);
		(void)close(p[0]);
		(void)close(p[1]);
	}
	fake_agent_say(a, AGENT_FILE_DONE, seq, &done, NULL, 0);
}

static void serve(struct fake_agent *a, const struct frame_header *h, const union agent_any *m)
{
	a->n_messages++;
	if (a->monitor->hook && a->monitor->hook(a, h, m))
		return;
	if (h->type == AGENT_REPORT)
		report(a, h->seq);
	else if (h->type == AGENT_START)
		start(a, h->seq, &m->start);
	else if (h->type == AGENT_FILE)
		file(a, h->seq, &m->file);
	else if (h->type == AGENT_DELIVER)
		fake_agent_say(a, AGENT_FILE_DONE, h->seq, &(struct agent_file_done){ .code = 0 }, NULL, 0);
	else if (h->type != AGENT_ACK)
		fake_agent_say(a, AGENT_DONE, h->seq, NULL, NULL, 0);
}

static void on_agent(uv_poll_t *poll, int status, int events)
{
	static uint8_t memory[FRAME_MAX_BYTES];
	static union agent_any any;
	struct fake_agent *a = poll->data;
	struct frame_header h;
	ssize_t n = -1;

	(void)status;
	(void)events;
	while (a->sock >= 0 && (n = frame_recv(a->sock, memory, sizeof(memory), NULL, NULL, MSG_DONTWAIT, NULL)) > 0) {
		if (agent_decode(memory, (size_t)n, &h, &any, NULL) < 0)
			abort();
		serve(a, &h, &any);
	}
	if (a->sock >= 0 && n == 0)
		fake_agent_gone(a);
}

/* ---- the monitor ---- */

static void create(struct fake_monitor *m, uint32_t seq, const struct monitor_create *c)
{
	struct fake_agent *a = calloc(1, sizeof(*a));
	struct monitor_created created = { .policy_digest = "" };
	struct agent_ready ready = { .is_probe = 0 };
	int pair[2], fds[4];

	if (m->create_error) {
		free(a);
		refuse(m, seq, m->create_error);
		return;
	}
	if (!a || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	a->monitor = m;
	a->sock = pair[1];
	memcpy(a->id, c->id, sizeof(a->id));
	a->next = m->agents;
	m->agents = a;
	m->n_open++;
	if (uv_poll_init(m->loop, &a->poll, a->sock) < 0)
		abort();
	a->poll.data = a;
	(void)uv_poll_start(&a->poll, UV_READABLE, on_agent);
	memcpy(created.policy_digest, m->policy_digest, sizeof(created.policy_digest));
	fds[0] = pair[0];
	for (int i = 1; i < 4; i++)
		fds[i] = file_of("");
	say(m, MONITOR_CREATED, seq, &created, fds, 4);
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
	fake_agent_say(a, AGENT_READY, 0, &ready, NULL, 0);
}

static void finish(struct fake_monitor *m, uint32_t seq, const char *id)
{
	struct monitor_facts f = m->facts;

	for (struct fake_agent *a = m->agents; a; a = a->next) {
		if (strcmp(a->id, id) != 0 || a->is_finished)
			continue;
		a->is_finished = true;
		m->n_open--;
		fake_agent_gone(a);
		memcpy(f.id, a->id, sizeof(f.id));
		say(m, MONITOR_FACTS, seq, &f, NULL, 0);
		return;
	}
	refuse(m, seq, ENOENT);
}

/* The same, and it goes on. */
static void measure(struct fake_monitor *m, uint32_t seq, const char *id)
{
	struct monitor_facts f = m->facts;

	(void)snprintf(f.id, sizeof(f.id), "%s", id);
	say(m, MONITOR_FACTS, seq, &f, NULL, 0);
}

static void resolve(struct fake_monitor *m, uint32_t seq)
{
	struct monitor_image i = { .config = "sha256:0" };
	int fd = file_of(config);

	memcpy(i.manifest, m->manifest, sizeof(i.manifest));
	if (m->manifest[0])
		say(m, MONITOR_IMAGE, seq, &i, &fd, 1);
	else
		refuse(m, seq, ENOENT);
	(void)close(fd);
}

static void on_front(uv_poll_t *poll, int status, int events)
{
	static uint8_t memory[8192];
	static union monitor_any any;
	struct fake_monitor *m = poll->data;
	struct frame_header h;
	ssize_t n = -1;

	(void)status;
	(void)events;
	while ((n = frame_recv(m->sock, memory, sizeof(memory), NULL, NULL, MSG_DONTWAIT, NULL)) > 0) {
		if (monitor_decode(memory, (size_t)n, &h, &any, NULL) < 0)
			abort();
		switch (h.type) {
		case MONITOR_RESOLVE:
			m->n_resolve++;
			resolve(m, h.seq);
			break;
		case MONITOR_CREATE:
			m->n_create++;
			create(m, h.seq, &any.create);
			break;
		case MONITOR_STAGE:
			m->n_stage++;
			say(m, MONITOR_DONE, h.seq, NULL, NULL, 0);
			break;
		case MONITOR_TAG:
			m->n_tag++;
			(void)snprintf(m->tag, sizeof(m->tag), "%.*s", (int)any.tag.tag_size,
				       (const char *)any.tag.tag);
			break;
		case MONITOR_KILL:
			m->n_kill++;
			break;
		case MONITOR_FINISH:
			m->n_finish++;
			finish(m, h.seq, any.finish.id);
			break;
		case MONITOR_MEASURE:
			measure(m, h.seq, any.measure.id);
			break;
		default:
			break;
		}
	}
	if (n == 0)
		(void)uv_poll_stop(&m->poll);
}

void fake_monitor_stopped(struct fake_monitor *m, const char *id, uint32_t stop)
{
	struct monitor_stopped s = { .stop = stop };

	(void)snprintf(s.id, sizeof(s.id), "%s", id);
	say(m, MONITOR_STOPPED, 0, &s, NULL, 0);
}

int fake_monitor_open(struct fake_monitor *m, uv_loop_t *loop)
{
	struct monitor_welcome welcome = { .front_number = 1, .cpus = 2 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	m->loop = loop;
	m->sock = pair[1];
	(void)snprintf(m->manifest, sizeof(m->manifest), "sha256:%064d", 1);
	(void)snprintf(m->policy_digest, sizeof(m->policy_digest), "sha256:%064d", 7);
	m->facts.memory_peak_bytes = 3 << 20;
	if (uv_poll_init(loop, &m->poll, m->sock) < 0)
		abort();
	m->poll.data = m;
	(void)uv_poll_start(&m->poll, UV_READABLE, on_front);
	say(m, MONITOR_WELCOME, 0, &welcome, NULL, 0);
	return pair[0];
}

static void on_agent_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void fake_monitor_close(struct fake_monitor *m)
{
	for (struct fake_agent *a = m->agents, *next; a; a = next) {
		next = a->next;
		fake_agent_gone(a);
		uv_close((uv_handle_t *)&a->poll, on_agent_closed);
	}
	uv_close((uv_handle_t *)&m->poll, NULL);
	fd_close(&m->sock);
}
