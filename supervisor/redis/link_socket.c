/*
 * One connection's bytes: a socket, TLS in between when it is wanted, redisReader behind. See link_impl.h.
 *
 *   commands -> plain -> [TLS] -> wire -> send          recv -> [TLS] -> redisReader -> link_reply()
 *
 * A server is not trusted with our memory: what redisReader would allocate for one reply is counted before it does.
 *
 * We speak RESP2. A newer hiredis also reads the types of RESP3, which a server may only send to who asked for them by
 * HELLO 3: they are refused, as an older hiredis refuses them by itself.
 */
#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/redis/link_impl.h"
#include "supervisor/redis/tls.h"

enum {
	CHUNK_BYTES = 64 << 10,
	READS_A_ROUND = 8, /* then others have their turn on the loop */
	OBJECT_BYTES = 64, /* about what a redisReply and the allocator's share of it take */
	DEPTH_MAX = 8,     /* arrays in arrays (hiredis 0.14 has the same limit) */
	OUT_FIRST_ROOM = 4096,
	OUT_KEEP_ROOM = 256 << 10, /* more than this is given back once it is empty */
};

/* A queue of bytes that is consumed from its front without moving the rest each time. */
struct queue {
	char *data;
	size_t at, size, room;
};

struct link_socket {
	struct redis_link *link;
	uv_poll_t poll;
	int fd, polled;
	bool is_connected, is_secure, is_closed;
	struct redis_tls *tls; /* NULL: plain */
	struct queue plain;    /* commands */
	size_t wire_at, wire_size;
	redisReader *reader;
	redisReplyObjectFunctions functions, originals;
	size_t reply_bytes;          /* of the reply in the making */
	bool is_too_big, is_foreign; /* why a reply was not made */
	char wire[CHUNK_BYTES];      /* with TLS: what is to be sent */
	char chunk[CHUNK_BYTES], clear[CHUNK_BYTES];
};

/* ---- the queue ---- */

static int queue_add(struct queue *q, const char *data, size_t size)
{
	if (q->at + q->size + size > q->room) {
		size_t room = q->room ? q->room : OUT_FIRST_ROOM;
		char *grown;

		if (q->at > 0) {
			memmove(q->data, q->data + q->at, q->size);
			q->at = 0;
		}
		while (room < q->size + size)
			room *= 2;
		grown = room == q->room ? q->data : realloc(q->data, room);
		if (!grown)
			return -ENOMEM;
		q->data = grown;
		q->room = room;
	}
	memcpy(q->data + q->at + q->size, data, size);
	q->size += size;
	return 0;
}

static void queue_drop(struct queue *q, size_t size)
{
	q->at += size;
	q->size -= size;
	if (q->size > 0)
		return;
	q->at = 0;
	if (q->room > OUT_KEEP_ROOM) {
		free(q->data);
		memset(q, 0, sizeof(*q));
	}
}

/* ---- replies ---- */

/* May one more object of this many bytes be made? */
static bool afford(struct link_socket *s, size_t bytes)
{
	if (bytes > LINK_REPLY_MAX || s->reply_bytes + bytes + OBJECT_BYTES > LINK_REPLY_MAX) {
		s->is_too_big = true;
		return false;
	}
	s->reply_bytes += bytes + OBJECT_BYTES;
	return true;
}

static bool is_resp2(struct link_socket *s, const redisReadTask *task)
{
	switch (task->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_ARRAY:
	case REDIS_REPLY_INTEGER:
	case REDIS_REPLY_NIL:
	case REDIS_REPLY_STATUS:
	case REDIS_REPLY_ERROR:
		return true;
	default:
		s->is_foreign = true;
		return false;
	}
}

/* May this object be made, with so many bytes of its own? */
static bool allow(const redisReadTask *task, size_t bytes)
{
	struct link_socket *s = task->privdata;

	return is_resp2(s, task) && afford(s, bytes);
}

static const redisReplyObjectFunctions *originals(const redisReadTask *task)
{
	const struct link_socket *s = task->privdata;

	return &s->originals;
}

static void *make_string(const redisReadTask *task, char *text, size_t size)
{
	return allow(task, size) ? originals(task)->createString(task, text, size) : NULL;
}

static void *make_integer(const redisReadTask *task, long long value)
{
	return allow(task, 0) ? originals(task)->createInteger(task, value) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
	return allow(task, 0) ? originals(task)->createNil(task) : NULL;
}

#ifdef REDIS_REPLY_DOUBLE /* a hiredis that reads RESP3, which counts elements in size_t */
typedef size_t element_count;

static void *make_double(const redisReadTask *task, double value, char *text, size_t size)
{
	return allow(task, size) ? originals(task)->createDouble(task, value, text, size) : NULL;
}

static void *make_bool(const redisReadTask *task, int value)
{
	return allow(task, 0) ? originals(task)->createBool(task, value) : NULL;
}
#else
typedef int element_count;
#endif

/* freeReplyObject() is recursive: a newer hiredis would let a server choose how much of our stack it takes. */
static bool is_deep(const redisReadTask *task)
{
	int depth = 0;

	for (const redisReadTask *t = task->parent; t; t = t->parent)
		depth++;
	return depth >= DEPTH_MAX;
}

/* Also for maps, sets, pushes and attributes, where a map of n has 2 n elements. */
static void *make_array(const redisReadTask *task, element_count n)
{
	struct link_socket *s = task->privdata;
	size_t bytes;

	if (__builtin_mul_overflow(n, sizeof(void *), &bytes))
		bytes = SIZE_MAX;
	s->is_foreign |= is_deep(task);
	return !s->is_foreign && allow(task, bytes) ? s->originals.createArray(task, n) : NULL;
}

static const redisReplyObjectFunctions counting = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
	.createNil = make_nil,
#ifdef REDIS_REPLY_DOUBLE
	.createDouble = make_double,
	.createBool = make_bool,
#endif
};

#ifdef REDIS_REPLY_DOUBLE
enum { COUNTED = 6 };
#else
enum { COUNTED = 4 };
#endif
static_assert(sizeof(counting) == (COUNTED + 1) * sizeof(void (*)(void)),
	      "this hiredis makes objects that nobody counts: add a function for each (and freeObject) to 'counting'");

static int make_reader(struct link_socket *s)
{
	s->reader = redisReaderCreate();
	if (!s->reader)
		return -ENOMEM;
	s->originals = *s->reader->fn;
	s->functions = counting;
	s->functions.freeObject = s->originals.freeObject;
	s->reader->fn = &s->functions;
	s->reader->privdata = s;
	return 0;
}

/* Could what the reader keeps still become a reply that we would take? It looks at it anew with every feed. */
static bool is_bounded(const redisReader *r)
{
	size_t kept = r->len - r->pos;

	return kept <= LINK_LINE_MAX ||
	       (kept <= (size_t)LINK_REPLY_MAX + LINK_LINE_MAX && memchr(r->buf + r->pos, '\n', LINK_LINE_MAX));
}

static void bad_reply(struct link_socket *s)
{
	if (s->is_too_big)
		link_lost(s->link, ECONNRESET, "the server sent a reply of more than %d MiB", LINK_REPLY_MAX >> 20);
	else if (s->reader->err == REDIS_ERR_OOM && !s->is_foreign)
		link_lost(s->link, ECONNRESET, "out of memory for a reply");
	else
		link_lost(s->link, ECONNRESET, "what the server sent is not the protocol of Redis");
}

/* Every whole reply in there. The link may close us in between. */
static void parse(struct link_socket *s, const char *data, size_t size)
{
	if (redisReaderFeed(s->reader, data, size) != REDIS_OK) {
		bad_reply(s);
		return;
	}
	while (!s->is_closed) {
		void *reply = NULL;

		if (redisReaderGetReply(s->reader, &reply) != REDIS_OK) {
			bad_reply(s);
			return;
		}
		if (!reply) {
			s->is_too_big = !is_bounded(s->reader);
			if (s->is_too_big)
				bad_reply(s);
			return;
		}
		s->reply_bytes = 0;
		link_reply(s->link, reply);
		s->originals.freeObject(reply);
	}
}

/* ---- the wire ---- */

static void on_poll(uv_poll_t *handle, int status, int events);

static void poll_update(struct link_socket *s)
{
	int want = s->is_connected ? UV_READABLE : UV_WRITABLE;

	if (s->wire_size > 0 || (s->plain.size > 0 && (!s->tls || s->is_secure)))
		want |= UV_WRITABLE;
	if (s->is_closed || want == s->polled)
		return;
	s->polled = want;
	if (uv_poll_start(&s->poll, want, on_poll) < 0)
		abort(); /* it fails for a closed handle only */
}

/* Returns the bytes sent, 0 for none now, -1 after link_lost(). */
static ssize_t send_some(struct link_socket *s, const char *data, size_t size)
{
	ssize_t n = send(s->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0) {
		s->link->counts.bytes_out += (uint64_t)n;
		return n;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	link_lost(s->link, ECONNRESET, "send: %s", strerror(errno));
	return -1;
}

static void flush_plain(struct link_socket *s)
{
	ssize_t n = s->plain.size > 0 ? send_some(s, s->plain.data + s->plain.at, s->plain.size) : 0;

	if (n > 0)
		queue_drop(&s->plain, (size_t)n);
}

/* Commands become records only as the wire takes them: there is no second large queue. */
static bool encrypt(struct link_socket *s)
{
	struct error err = ERROR_INIT;
	ssize_t n = 0;

	if (s->is_secure && s->plain.size > 0)
		n = redis_tls_write(s->tls, s->plain.data + s->plain.at,
				    s->plain.size < CHUNK_BYTES / 2 ? s->plain.size : CHUNK_BYTES / 2, &err);
	if (n < 0) {
		link_lost(s->link, ECONNRESET, "%s", err.text);
		return false;
	}
	if (n > 0)
		queue_drop(&s->plain, (size_t)n);
	s->wire_at = 0;
	s->wire_size = redis_tls_drain(s->tls, s->wire, sizeof(s->wire));
	return s->wire_size > 0;
}

static void flush_tls(struct link_socket *s)
{
	while (s->wire_size > 0 || encrypt(s)) {
		ssize_t n = send_some(s, s->wire + s->wire_at, s->wire_size);

		if (n <= 0)
			return;
		s->wire_at += (size_t)n;
		s->wire_size -= (size_t)n;
	}
}

static void flush(struct link_socket *s)
{
	if (s->is_closed)
		return;
	if (s->tls)
		flush_tls(s);
	else
		flush_plain(s);
}

/* Returns false when the link is lost. */
static bool handshake(struct link_socket *s)
{
	struct error err = ERROR_INIT;
	int r = redis_tls_handshake(s->tls, &err);

	if (r == 0)
		return true;
	if (r < 0) {
		flush(s); /* the alert, so that the server's log says why */
		if (!s->is_closed)
			link_lost(s->link, ECONNRESET, "%s", err.text);
		return false;
	}
	s->is_secure = true;
	link_connected(s->link);
	return !s->is_closed;
}

static void decrypt(struct link_socket *s, const char *data, size_t size)
{
	struct error err = ERROR_INIT;
	ssize_t n;

	if (redis_tls_feed(s->tls, data, size) < 0) {
		link_lost(s->link, ECONNRESET, "out of memory for TLS");
		return;
	}
	if (!s->is_secure && !handshake(s))
		return;
	while (s->is_secure && !s->is_closed) {
		n = redis_tls_read(s->tls, s->clear, sizeof(s->clear), &err);
		if (n < 0)
			link_lost(s->link, ECONNRESET, "%s", err.text);
		if (n <= 0)
			break;
		parse(s, s->clear, (size_t)n);
	}
	flush(s); /* TLS itself may have something to say */
}

/* One recv. Returns true when there may be more. */
static bool read_once(struct link_socket *s)
{
	ssize_t n = recv(s->fd, s->chunk, sizeof(s->chunk), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		link_lost(s->link, ECONNRESET, "%s", n < 0 ? strerror(errno) : "the server closed the connection");
		return false;
	}
	s->link->counts.bytes_in += (uint64_t)n;
	s->link->active_ns = clock_now_ns();
	if (s->tls)
		decrypt(s, s->chunk, (size_t)n);
	else
		parse(s, s->chunk, (size_t)n);
	return !s->is_closed && (size_t)n == sizeof(s->chunk);
}

void link_socket_read(struct link_socket *s)
{
	for (int i = 0; i < READS_A_ROUND && s->is_connected && !s->is_closed; i++) {
		if (!read_once(s))
			break;
	}
	poll_update(s);
}

static void connected(struct link_socket *s)
{
	int code = 0;
	socklen_t size = sizeof(code);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code) {
		link_lost(s->link, ECONNRESET, "connect: %s", strerror(code));
		return;
	}
	s->is_connected = true;
	if (!s->tls)
		link_connected(s->link);
	else if (handshake(s)) /* the first message of it */
		flush(s);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct link_socket *s = handle->data;

	if (status < 0)
		s->polled = 0; /* libuv stopped it */
	if (!s->is_connected)
		connected(s);
	else if (status < 0 || (events & UV_READABLE))
		link_socket_read(s);
	if (!s->is_closed && status < 0 && s->is_connected)
		link_lost(s->link, ECONNRESET, "the connection broke: %s", uv_strerror(status));
	if (s->is_connected)
		flush(s);
	poll_update(s);
}

/* ---- life ---- */

/* Best effort: without them a dead peer is found by the time-outs above. */
static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 15 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static int open_fd(const struct sockaddr *address, socklen_t size, int *ret, struct error *err)
{
	cleanup_fd int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_errno(err, errno, "socket");
	if (address->sa_family != AF_UNIX)
		set_options(fd);
	if (connect(fd, address, size) < 0 && errno != EINPROGRESS)
		return error_errno(err, errno, "connect");
	*ret = fd_take(&fd);
	return 0;
}

static void free_socket(struct link_socket *s)
{
	fd_close(&s->fd);
	redis_tls_free(s->tls);
	if (s->reader)
		redisReaderFree(s->reader);
	free(s->plain.data);
	free(s);
}

int link_socket_open(struct redis_link *link, const struct sockaddr *address, socklen_t size, struct link_socket **ret,
		     struct error *err)
{
	struct link_socket *s = alloc_zeroed(1, sizeof(*s));
	int r = 0;

	s->link = link;
	s->fd = -1;
	if (make_reader(s) < 0)
		r = error_errno(err, ENOMEM, "connect");
	if (r == 0 && link->url.is_tls)
		r = redis_tls_new(link->url.host, link->ca_file, &s->tls, err);
	if (r == 0)
		r = open_fd(address, size, &s->fd, err);
	if (r == 0 && (r = uv_poll_init(link->loop, &s->poll, s->fd)) < 0)
		(void)error_set(err, -r, "watch the socket: %s", uv_strerror(r));
	if (r < 0) {
		free_socket(s);
		return r;
	}
	s->poll.data = s;
	link->n_holders++;
	poll_update(s);
	*ret = s;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct link_socket *s = handle->data;
	struct redis_link *link = s->link;

	free_socket(s);
	link_release(link);
}

void link_socket_close(struct link_socket *s)
{
	if (!s || s->is_closed)
		return;
	s->is_closed = true;
	uv_close((uv_handle_t *)&s->poll, on_closed); /* later, from the loop: callers may still stand in our calls */
}

bool link_socket_has_room(const struct link_socket *s, size_t size)
{
	return size <= LINK_OUT_MAX && s->plain.size <= LINK_OUT_MAX - size;
}

int link_socket_write(struct link_socket *s, const void *data, size_t size)
{
	int r = link_socket_has_room(s, size) ? queue_add(&s->plain, data, size) : -EAGAIN;

	if (r == 0)
		poll_update(s);
	return r;
}
