/* The host's side of the agent protocol: see agent.h. */
#include "runtime/agent/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"

enum { OPEN_FILES = 256 };

size_t process_rlimits(const struct process_limits *l, struct process_rlimit ret[AGENT_RLIMITS_MAX])
{
	const struct {
		int resource;
		uint64_t value;
	} rows[] = {
		{ RLIMIT_NOFILE, l->open_files ? l->open_files : OPEN_FILES },
		{ RLIMIT_STACK, l->stack_bytes ? l->stack_bytes : PROCESS_STACK_BYTES },
		{ RLIMIT_FSIZE, l->file_bytes ? l->file_bytes : RLIM_INFINITY },
		{ RLIMIT_MEMLOCK, PROCESS_LOCKED_BYTES },
		{ RLIMIT_SIGPENDING, PROCESS_SIGNALS },
		{ RLIMIT_MSGQUEUE, PROCESS_QUEUE_BYTES },
	};
	size_t n = sizeof(rows) / sizeof(rows[0]);

	for (size_t i = 0; i < n; i++)
		ret[i] = (struct process_rlimit){ rows[i].resource, { rows[i].value, rows[i].value } };
	return n;
}

static int pack(struct buf *out, const char *const *strings)
{
	int r = 0;

	for (; r == 0 && strings && *strings; strings++)
		r = buf_append(out, *strings, strlen(*strings) + 1);
	return r;
}

static void pack_rlimits(struct frame_writer *w, const struct process_spec *spec)
{
	for (size_t i = 0; i < spec->n_rlimits; i++) {
		frame_put_u32(w, (uint32_t)spec->rlimits[i].resource);
		frame_put_u64(w, spec->rlimits[i].limit.rlim_cur);
		frame_put_u64(w, spec->rlimits[i].limit.rlim_max);
	}
}

int agent_start(int sock, uint32_t seq, const struct process_spec *spec, struct error *err)
{
	cleanup_buf struct buf argv = BUF_BOUNDED(FRAME_MAX_BYTES);
	cleanup_buf struct buf env = BUF_BOUNDED(FRAME_MAX_BYTES);
	uint8_t rlimits[AGENT_RLIMITS_MAX * AGENT_RLIMIT_BYTES];
	struct frame_writer w = { .data = rlimits, .capacity = sizeof(rlimits) };
	struct agent_start m = {
		.uid = spec->uid,
		.gid = spec->gid,
		.stdio = spec->stdio,
		.filter = spec->filter,
		.cols = spec->cols,
		.rows = spec->rows,
		.umask = spec->umask,
	};

	if (pack(&argv, spec->argv) < 0 || pack(&env, spec->env) < 0)
		return error_set(err, EMSGSIZE, "arguments and environment are longer than %d bytes", FRAME_MAX_BYTES);
	if (spec->cwd && strlen(spec->cwd) >= sizeof(m.cwd))
		return error_set(err, ENAMETOOLONG, "working directory is longer than %zu bytes", sizeof(m.cwd) - 1);
	pack_rlimits(&w, spec);
	if (w.is_full)
		return error_set(err, E2BIG, "%zu resource limits, at most %d", spec->n_rlimits, AGENT_RLIMITS_MAX);
	if (spec->cwd)
		memcpy(m.cwd, spec->cwd, strlen(spec->cwd));
	m.argv = (struct span){ argv.data, argv.size };
	m.env = (struct span){ env.data, env.size };
	m.rlimits = (struct span){ rlimits, w.size };
	return agent_request(sock, AGENT_START, seq, &m, err);
}

int agent_request(int sock, enum agent_message type, uint32_t seq, const void *message, struct error *err)
{
	static uint8_t memory[FRAME_MAX_BYTES]; /* one thread sends; sent before the next call */
	struct frame_writer w;
	int r = agent_encode(&w, memory, sizeof(memory), type, seq, message, err);

	return r < 0 ? r : agent_send(sock, &w, NULL, 0, err);
}

int agent_last_words(int sock, struct error *err)
{
	static struct agent_event e; /* one thread; too large for a stack */
	ssize_t n = 0;
	int r = -1;

	/* a reset comes first when it closed with requests unread, unix(7) */
	for (int tries = 0; tries < 2 && n <= 0; tries++) {
		e.n_fds = FD_PASS_MAX;
		n = frame_recv(sock, e.data, sizeof(e.data), e.fds, &e.n_fds, MSG_DONTWAIT | MSG_PEEK, NULL);
	}
	if (n <= 0)
		e.n_fds = 0;
	else
		r = agent_decode(e.data, (size_t)n, &e.header, &e.any, NULL);
	agent_event_done(&e);
	return r == 0 && e.header.type == AGENT_FAILED ? agent_failure(&e.any.failed, err) : 0;
}

int agent_send(int sock, struct frame_writer *w, const int *fds, size_t n_fds, struct error *err)
{
	int r = frame_send(sock, w, fds, n_fds, MSG_DONTWAIT, err), said;

	if (r != -EPIPE && r != -ECONNRESET)
		return r;
	said = agent_last_words(sock, err);
	return said < 0 ? said
			: error_set(err, EPIPE, "pid 1 of the sandbox has ended (was it killed, or out of memory?)");
}

int agent_receive(int sock, struct agent_event *ret, int flags, struct error *err)
{
	ssize_t n = 0;
	int r;

	/* A peer that closed with requests unread shows as a reset first; its last words are behind that, unix(7). */
	for (int tries = 0; tries < 2; tries++) {
		ret->n_fds = FD_PASS_MAX;
		n = frame_recv(sock, ret->data, sizeof(ret->data), ret->fds, &ret->n_fds, flags, err);
		if (n != -ECONNRESET)
			break;
	}
	if (n <= 0) {
		ret->n_fds = 0;
		return n == -ECONNRESET ? 0 : (int)n;
	}
	r = agent_decode(ret->data, (size_t)n, &ret->header, &ret->any, err);
	if (r == 0 && ret->header.type < AGENT_READY)
		r = error_set(err, EPROTO, "agent sent a request (%u)", ret->header.type);
	if (r < 0) {
		agent_event_done(ret);
		return r;
	}
	return 1;
}

void agent_event_done(struct agent_event *e)
{
	for (size_t i = 0; i < e->n_fds; i++)
		fd_close(&e->fds[i]);
	e->n_fds = 0;
}

int agent_failure(const struct agent_failed *f, struct error *err)
{
	/* the code is the agent's word: keep it a positive errno whatever it says */
	int code = f->code > 0 && f->code < 4096 ? (int)f->code : EPROTO;

	return error_errno(err, code, "%s: '%s'", agent_stage_name(f->stage), f->object);
}
