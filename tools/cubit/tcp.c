/* TCP with deadlines: see tcp.h. */
#include "tools/cubit/tcp.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { LINE_SCAN_MAX = 64 << 10 }; /* a peer that never ends its line is not a service we know */

static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, clock_poll_ms(deadline_ns));

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int connect_one(const struct addrinfo *a, uint64_t deadline_ns)
{
	cleanup_fd int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	int code = 0, r;
	socklen_t size = sizeof(code);

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = wait_for(fd, POLLOUT, deadline_ns);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
			return -errno;
		if (code != 0)
			return -code;
	}
	return fd_take(&fd);
}

int tcp_connect(const char *host, uint16_t port, uint64_t deadline_ns, struct error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *all = NULL;
	char service[8];
	int r;

	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	r = getaddrinfo(host, service, &hints, &all);
	if (r != 0)
		return error_set(err, ENOENT, "look up '%s': %s", host, gai_strerror(r));
	r = -ENOENT;
	for (const struct addrinfo *a = all; a && r < 0; a = a->ai_next)
		r = connect_one(a, deadline_ns);
	freeaddrinfo(all);
	return r < 0 ? error_errno(err, -r, "connect to '%s' port %u", host, (unsigned)port) : r;
}

int tcp_send(int fd, const void *data, size_t size, uint64_t deadline_ns, struct error *err)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
		int r = 0;

		if (n >= 0) {
			p += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			r = wait_for(fd, POLLOUT, deadline_ns);
		} else if (errno != EINTR) {
			r = -errno;
		}
		if (r < 0)
			return error_errno(err, -r, "send");
	}
	return 0;
}

int tcp_read_line(int fd, char *ret, size_t capacity, uint64_t deadline_ns, struct error *err)
{
	size_t used = 0;

	for (size_t seen = 0; seen < LINE_SCAN_MAX;) {
		char c;
		ssize_t n = recv(fd, &c, 1, 0); /* byte by byte: what follows belongs to the next reply */
		int r = 0;

		if (n == 0)
			return error_set(err, EPIPE, "the peer closed the connection");
		if (n > 0 && c == '\n') {
			used -= used > 0 && ret[used - 1] == '\r';
			ret[used] = '\0';
			return 0;
		}
		if (n > 0) {
			seen++;
			if (used + 1 < capacity)
				ret[used++] = c;
		} else if (errno == EAGAIN) {
			r = wait_for(fd, POLLIN, deadline_ns);
		} else if (errno != EINTR) {
			r = -errno;
		}
		if (r < 0)
			return error_errno(err, -r, "wait for an answer");
	}
	return error_set(err, EPROTO, "an answer without end");
}
