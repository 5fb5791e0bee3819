/* FILE calls with content: see file_call.h. */
#include "supervisor/jobs/file_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/fd_watch.h"

enum {
	READ_BYTES = 64 << 10,
	READS_A_TURN = 8,
	PIPE_BYTES = 64 << 10,    /* what a pipe holds, pipe(7) */
	PIPE_BYTES_MAX = 1 << 20, /* and what everybody may make it hold */
};

struct file_call {
	struct file_call *next, **prev;
	struct file_calls *all;
	uint32_t seq;
	bool is_write;
	char *path; /* DELIVER was asked for: what it takes to ask for FILE instead */
	uint32_t mode;
	bool is_open, is_over; /* FILE_OPEN came; FILE_DONE came */
	bool is_ended;         /* a read: end of file was seen, or we do not want more */
	struct fd_watch *pipe;
	const char *data; /* a write: what is left */
	size_t left;
	struct buf content; /* a read */
	struct file_answer answer;
	file_call_fn *fn;
	void *arg;
};

static void forget(struct file_call *f)
{
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->all->n--;
	fd_watch_free(&f->pipe);
	buf_done(&f->content);
	free(f->path);
	free(f);
}

static void finish(struct file_call *f, const struct error *e)
{
	struct file_call gone = *f;

	gone.path = NULL; /* f's */
	f->content = (struct buf)BUF_INIT;
	gone.answer.content = &gone.content;
	forget(f); /* before the callback: it may end all calls */
	gone.fn(e, &gone.answer, gone.arg);
	buf_done(&gone.content);
}

static void finish_if_over(struct file_call *f)
{
	if (f->is_over && (f->is_write || f->is_ended || !f->is_open))
		finish(f, NULL);
}

/* Returns true when all is written or nobody reads: the pipe is closed, and the agent's word is awaited. */
static bool write_more(struct file_call *f, int fd)
{
	while (f->left > 0) {
		ssize_t n = write(fd, f->data, f->left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno != EAGAIN;
		f->data += n;
		f->left -= (size_t)n;
	}
	return true;
}

/* Returns true at the end of what is wanted. */
static bool read_more(struct file_call *f, int fd)
{
	for (int i = 0; i < READS_A_TURN; i++) {
		size_t room = f->content.max - f->content.size;
		char *to = room ? buf_reserve(&f->content, room < READ_BYTES ? room : READ_BYTES) : NULL;
		char probe;
		ssize_t n = to ? read(fd, to, room < READ_BYTES ? room : READ_BYTES) : read(fd, &probe, 1);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0)
			return true;
		if (!to) { /* one byte too many */
			f->answer.is_cut = true;
			return true;
		}
		buf_grown(&f->content, (size_t)n);
	}
	return false;
}

static void on_pipe(struct fd_watch *w, int events, void *arg)
{
	struct file_call *f = arg;

	(void)events;
	if (f->is_write ? !write_more(f, fd_watch_fd(w)) : !read_more(f, fd_watch_fd(w)))
		return;
	fd_watch_free(&f->pipe);
	f->is_ended = true;
	finish_if_over(f);
}

/* Most content fits the pipe at once, and then the loop never hears of it. */
static void open_pipe(struct file_call *f, int fd)
{
	struct error err = ERROR_INIT;

	f->is_open = true;
	/* fewer turns for both; when it is refused (pipe-user-pages-soft) there are more */
	if (f->is_write && f->left > PIPE_BYTES)
		(void)fcntl(fd, F_SETPIPE_SZ, f->left < PIPE_BYTES_MAX ? (int)f->left : PIPE_BYTES_MAX);
	if (fd_set_nonblock(fd, 1) == 0 && f->is_write && write_more(f, fd)) {
		fd_close(&fd);
		return;
	}
	if (fd_watch_new(f->all->loop, fd, f->is_write ? UV_WRITABLE : UV_READABLE, on_pipe, f, &f->pipe, &err) < 0)
		finish(f, &err);
}

static int ask_to_write(struct file_call *f, const char *path, struct error *err);

/* The image has something there. Once: FILE replaces it. Returns whether it is asked for. */
static bool write_instead(struct file_call *f, uint32_t code, struct error *err)
{
	char *path = f->path;
	int r;

	if (!path || (code != EEXIST && code != ELOOP))
		return false;
	f->path = NULL;
	r = ask_to_write(f, path, err);
	free(path);
	if (r < 0)
		finish(f, err);
	return true;
}

static void take_done(struct file_call *f, const struct agent_file_done *done)
{
	struct error err = ERROR_INIT;

	if (write_instead(f, done->code, &err))
		return;
	f->is_over = true;
	f->answer.code = done->code < 4096 ? (int)done->code : EPROTO;
	f->answer.is_cut = f->answer.is_cut || done->is_cut;
	f->answer.size = done->size;
	/* the agent closes the pipe first, so all of it is here: no need to go through the loop, unless it is long */
	if (!f->is_write && f->pipe && read_more(f, fd_watch_fd(f->pipe))) {
		fd_watch_free(&f->pipe);
		f->is_ended = true;
	}
	finish_if_over(f);
}

bool file_calls_event(struct file_calls *c, struct agent_event *e)
{
	struct error err = ERROR_INIT;
	struct file_call *f = c->first;

	while (f && f->seq != e->header.seq)
		f = f->next;
	if (!f)
		return false;
	if (e->header.type == AGENT_FILE_OPEN && e->n_fds == 1 && !f->is_open && !f->path) {
		open_pipe(f, fd_take(&e->fds[0]));
	} else if (e->header.type == AGENT_FILE_DONE && !f->is_over) {
		take_done(f, &e->any.file_done);
	} else {
		if (e->header.type == AGENT_REFUSED)
			(void)agent_failure(&e->any.failed, &err);
		else
			(void)error_set(&err, EPROTO, "a message %u in answer to a file call", e->header.type);
		finish(f, &err);
	}
	return true;
}

static struct file_call *call_new(struct file_calls *c, file_call_fn *fn, void *arg)
{
	struct file_call *f = alloc_zeroed(1, sizeof(*f));

	f->all = c;
	f->seq = agent_link_seq(c->link);
	f->fn = fn;
	f->arg = arg;
	f->next = c->first;
	f->prev = &c->first;
	if (c->first)
		c->first->prev = &f->next;
	c->first = f;
	c->n++;
	return f;
}

/* A call that could not be asked for is none. */
static int asked(struct file_call *f, int r)
{
	if (r < 0)
		forget(f);
	return r;
}

static int ask(struct file_call *f, struct agent_file *m, const char *path, struct error *err)
{
	int r = text_copy(m->path, sizeof(m->path), path);

	if (r < 0)
		return error_errno(err, -r, "file call");
	m->uid = m->gid = PROCESS_DEFAULT_ID;
	return agent_link_send(f->all->link, AGENT_FILE, f->seq, m, err);
}

static int call(struct file_calls *c, struct agent_file *m, const char *path, struct file_call **ret, file_call_fn *fn,
		void *arg, struct error *err)
{
	*ret = call_new(c, fn, arg);
	return asked(*ret, ask(*ret, m, path, err));
}

/* struct agent_file is 8 KiB: one for all calls, its paths are the only large part */
static struct agent_file *message(enum agent_file_op op)
{
	static struct agent_file m;

	m.op = op;
	m.flags = 0;
	m.mode = 0;
	m.offset = m.limit = 0;
	m.path2[0] = '\0';
	return &m;
}

static int ask_to_write(struct file_call *f, const char *path, struct error *err)
{
	struct agent_file *m = message(AGENT_FILE_WRITE);

	m->flags = AGENT_FILE_PARENTS;
	m->mode = f->mode;
	m->limit = f->left; /* fewer bytes: we have died, and the file stays as it was */
	return ask(f, m, path, err);
}

static int ask_to_deliver(struct file_call *f, const char *path, struct error *err)
{
	static struct agent_deliver m;
	int r = text_copy(m.path, sizeof(m.path), path);

	if (r < 0)
		return error_errno(err, -r, "file call");
	f->path = alloc_text(path);
	m.mode = f->mode;
	m.content = (struct span){ f->data, f->left };
	return agent_link_send(f->all->link, AGENT_DELIVER, f->seq, &m, err);
}

int file_write(struct file_calls *c, const char *path, uint32_t mode, const void *data, size_t size, file_call_fn *fn,
	       void *arg, struct error *err)
{
	struct file_call *f = call_new(c, fn, arg);

	f->is_write = true;
	f->mode = mode;
	f->data = data;
	f->left = size;
	return asked(f, size <= AGENT_DELIVER_MAX ? ask_to_deliver(f, path, err) : ask_to_write(f, path, err));
}

int file_read(struct file_calls *c, const char *path, size_t max_bytes, file_call_fn *fn, void *arg, struct error *err)
{
	struct agent_file *m = message(AGENT_FILE_READ);
	struct file_call *f;
	int r;

	m->limit = (uint64_t)max_bytes + 1; /* one more, to know that there is more */
	r = call(c, m, path, &f, fn, arg, err);
	if (r == 0)
		f->content.max = max_bytes;
	return r;
}

int file_walk(struct file_calls *c, const char *path, unsigned depth, uint64_t records, size_t max_bytes,
	      file_call_fn *fn, void *arg, struct error *err)
{
	struct agent_file *m = message(AGENT_FILE_WALK);
	struct file_call *f;
	int r;

	m->offset = depth;
	m->limit = records;
	r = call(c, m, path, &f, fn, arg, err);
	if (r == 0)
		f->content.max = max_bytes;
	return r;
}

void file_calls_done(struct file_calls *c)
{
	while (c->first)
		forget(c->first); /* which takes it out of the list: NOLINT(clang-analyzer-unix.Malloc) */
}
