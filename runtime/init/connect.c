/* CONNECT: reach a TCP port that something inside listens on, and hand the connected socket to the host. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

enum { CONNECT_TIMEOUT_MS = 5000 };

static int connect_loopback(int sock, uint16_t port, bool is_v6)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const struct sockaddr *to = is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;

	return connect(sock, to, is_v6 ? sizeof(v6) : sizeof(v4));
}

/* 0, or the errno of the attempt. A listener that never accepts must not keep the helper for ever. */
static int connect_port(int sock, const struct agent_connect *c)
{
	struct pollfd p = { .fd = sock, .events = POLLOUT };
	int code = 0;
	socklen_t size = sizeof(code);

	if (connect_loopback(sock, c->port, c->is_v6) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, CONNECT_TIMEOUT_MS) <= 0)
		return ETIMEDOUT;
	return getsockopt(sock, SOL_SOCKET, SO_ERROR, &code, &size) < 0 ? errno : code;
}

void connect_call(struct init *in, uint32_t seq, const struct agent_connect *c)
{
	struct agent_connected done = { .code = 0 };
	int sock;

	if (helper_fork(in, seq, UINT32_MAX, UINT32_MAX) != 0)
		return;
	sock = socket(c->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	done.code = sock < 0 ? (uint32_t)errno : (uint32_t)connect_port(sock, c);
	reply(in, AGENT_CONNECTED, seq, &done, &sock, done.code == 0 ? 1 : 0);
	_exit(0);
}
