/*
 * A TCP connection that never takes longer than it may: deadlines are absolute, see clock.h.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * Connect to the first address of host that answers. Returns an owned non-blocking descriptor or -errno: -ETIMEDOUT,
 * -ECONNREFUSED, -EHOSTUNREACH; -ENOENT when the name has no address. (Looking a name up may take longer.)
 */
int tcp_connect(const char *host, uint16_t port, uint64_t deadline_ns, struct error *err);

/* Send all of it. Returns 0 or -errno. */
int tcp_send(int fd, const void *data, size_t size, uint64_t deadline_ns, struct error *err);

/*
 * Receive up to the next newline, which is read but not kept, nor is a CR before it; longer lines are cut to the
 * capacity. Returns 0 or -errno: -EPIPE when the peer closed before it.
 */
int tcp_read_line(int fd, char *ret, size_t capacity, uint64_t deadline_ns, struct error *err);
