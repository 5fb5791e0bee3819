/* Listening sockets: see listen.h. */
#include "supervisor/monitor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"

enum { BACKLOG = 1024, HOST_BYTES = 80 };

#define SOCKET_NAME "cubit.sock"
#define LISTEN_NAME "listen"

/* ---- unix ---- */

static int open_unix(int run_fd, int *ret, struct error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* by way of the descriptor: sun_path is short, and a directory is not walked twice */
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, run_fd);
	if (fd < 0)
		return error_errno(err, errno, "unix socket");
	if (unlinkat(run_fd, SOCKET_NAME, 0) < 0 && errno != ENOENT)
		return error_errno(err, errno, "remove the old '" SOCKET_NAME "'");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return error_errno(err, errno, "bind '" SOCKET_NAME "'");
	if (fchmodat(run_fd, SOCKET_NAME, 0666, 0) < 0 || listen(fd, BACKLOG) < 0)
		return error_errno(err, errno, "listen on '" SOCKET_NAME "'");
	*ret = fd_take(&fd);
	return 0;
}

/* ---- tcp ---- */

/* "[::1]:80" and "1.2.3.4:80" to host and port. */
static int split(const char *address, char host[HOST_BYTES], const char **ret_port, struct error *err)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	uint64_t port;
	int r;

	if (!colon)
		return error_set(err, EINVAL, "listen address '%.80s': no port, write HOST:PORT", address);
	r = parse_u64(colon + 1, 0, 65535, &port, err);
	if (r < 0) {
		(void)error_wrap(err, "listen address '%.80s': port", address);
		return r;
	}
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return error_set(err, EINVAL, "listen address '%.80s': put an IPv6 address in brackets", address);
	}
	if (n >= HOST_BYTES)
		return error_set(err, EINVAL, "listen address '%.80s...': too long", address);
	memcpy(host, address, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static void set_port(struct sockaddr *a, uint16_t port)
{
	if (a->sa_family == AF_INET)
		((struct sockaddr_in *)(void *)a)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)a)->sin6_port = htons(port);
}

static int open_one(const struct addrinfo *at, const char *address, int *ret, struct error *err)
{
	cleanup_fd int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return error_errno(err, errno, "socket for '%.80s'", address);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (at->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		return error_errno(err, errno, "prepare the socket for '%.80s'", address);
	if (bind(fd, at->ai_addr, at->ai_addrlen) < 0)
		return error_errno(err, errno, "listen on '%.80s'", address);
	if (listen(fd, BACKLOG) < 0)
		return error_errno(err, errno, "listen on '%.80s'", address);
	*ret = fd_take(&fd);
	return 0;
}

/* One line of RUN/listen: what the kernel says of the socket. */
static int describe(int fd, struct buf *text, uint64_t *ret_port, struct error *err)
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(at);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return error_errno(err, errno, "getsockname");
	if (getnameinfo((const struct sockaddr *)&at, n, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return error_set(err, EIO, "getnameinfo");
	(void)parse_u64(port, 0, UINT16_MAX, ret_port, NULL); /* libc's own digits */
	if (buf_printf(text, at.ss_family == AF_INET6 ? "[%s]:%s\n" : "%s:%s\n", host, port) < 0)
		return error_errno(err, ENOMEM, "listen addresses");
	return 0;
}

/* A name may mean a family that this machine does not have; one of its addresses is enough then. */
static bool is_other_family(int r)
{
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

static int open_all(const struct addrinfo *list, const char *address, struct listeners *l, struct buf *text,
		    struct error *err)
{
	uint64_t port = 0;
	int r = 0;

	for (const struct addrinfo *at = list; at && l->n_tcp < LISTEN_TCP_MAX; at = at->ai_next) {
		if (l->n_tcp > 0)
			set_port(at->ai_addr, (uint16_t)port); /* port 0: the same for all */
		r = open_one(at, address, &l->tcp_fds[l->n_tcp], err);
		if (is_other_family(r) && (at->ai_next || l->n_tcp > 0))
			continue;
		if (r == 0)
			r = describe(l->tcp_fds[l->n_tcp++], text, &port, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_tcp(const char *address, struct listeners *l, struct buf *text, struct error *err)
{
	/* never a name that DNS would be asked for: this process reads nothing from a network */
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	const char *port = NULL;
	char host[HOST_BYTES] = "";
	int r = split(address, host, &port, err), e;

	if (r < 0)
		return r;
	if (strcmp(host, "localhost") == 0)
		hints.ai_flags &= ~AI_PASSIVE; /* no host: the loopback addresses, getaddrinfo(3) */
	else if (host[0] && strcmp(host, "*") != 0)
		hints.ai_flags |= AI_NUMERICHOST;
	e = getaddrinfo(hints.ai_flags & AI_NUMERICHOST ? host : NULL, port, &hints, &list);
	if (e != 0)
		return error_set(err, EINVAL,
				 "listen address '%.80s': the host must be an address, `localhost` or `*`: %s", address,
				 gai_strerror(e));
	r = open_all(list, address, l, text, err);
	freeaddrinfo(list);
	return r;
}

int listeners_open(int run_fd, const char *address, struct listeners *ret, struct error *err)
{
	struct listeners l = LISTENERS_INIT;
	cleanup_buf struct buf text = BUF_INIT;
	int r = open_unix(run_fd, &l.unix_fd, err);

	if (r == 0 && address[0])
		r = open_tcp(address, &l, &text, err);
	if (r == 0)
		r = fd_replace_file(run_fd, LISTEN_NAME, buf_str(&text), text.size, 0644, err);
	if (r < 0)
		listeners_close(&l, run_fd);
	else
		*ret = l;
	return r;
}

void listeners_close(struct listeners *l, int run_fd)
{
	if (l->unix_fd >= 0) {
		(void)unlinkat(run_fd, SOCKET_NAME, 0);
		(void)unlinkat(run_fd, LISTEN_NAME, 0);
	}
	fd_close(&l->unix_fd);
	while (l->n_tcp > 0)
		fd_close(&l->tcp_fds[--l->n_tcp]);
}
