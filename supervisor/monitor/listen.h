/*
 * The listening sockets: made here, because binding may need privilege and because they outlive the front. The monitor
 * never accepts on them; it hands them to each front.
 *
 * Runs in: monitor.
 */
#pragma once

#include <stddef.h>

struct error;

enum { LISTEN_TCP_MAX = 4 };

struct listeners {
	int unix_fd;
	int tcp_fds[LISTEN_TCP_MAX];
	size_t n_tcp;
};

#define LISTENERS_INIT                                                                                                 \
	{                                                                                                              \
		.unix_fd = -1                                                                                          \
	}

/*
 * run_fd   CUBIT_RUN, whose lock we hold: a cubit.sock in it is nobody's and is replaced. Mode 0666: who connects is
 *          asked for a key, or known by the credentials of the socket.
 * address  CUBIT_LISTEN: HOST:PORT; HOST is an address, [an IPv6 address], `localhost`, or `*`. "": no TCP. Port 0:
 * any.
 *
 * Also writes RUN/listen: the addresses as they are now, one a line. ret: listeners_close(). Returns 0 or -errno.
 */
int listeners_open(int run_fd, const char *address, struct listeners *ret, struct error *err);

/* And remove cubit.sock and listen. */
void listeners_close(struct listeners *l, int run_fd);
