/*
 * A route netlink socket, and its errors in words: the one place that translates libnl.
 *
 * libnl reports -NLE_*, which is not errno, and drops what the kernel said. Here the kernel's own code is kept, and
 * with it the sentence that it sends along (extended ack, netlink(7) NETLINK_EXT_ACK): "br0: Operation not supported
 * (Unknown device type)".
 *
 * Runs in: monitor, doctor. Blocks until the kernel has answered. The socket belongs to the network namespace in which
 * it was opened.
 */
#pragma once

struct error;
struct netlink;
struct nl_sock;

/* Open and connect. On success *ret is owned by the caller: netlink_close(). Returns 0 or -errno. */
int netlink_open(struct netlink **ret, struct error *err);

/* Close; NULL is nothing to do. */
void netlink_close(struct netlink *nl);

/* The socket for calls of libnl; borrowed. */
struct nl_sock *netlink_sock(struct netlink *nl);

/*
 * Set err from what a call of libnl on this socket returned.
 *
 * nle   the return value, negative
 * fmt   what was being done to what, as for error_errno()
 *
 * Returns -errno: the kernel's if it was the kernel that refused, else the nearest to libnl's own code.
 */
int netlink_error(struct netlink *nl, int nle, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The errno nearest to a code of libnl (NLE_*, either sign); EIO for one without an equal. */
int netlink_errno(int nle);

static inline void netlink_cleanup_(struct netlink **nl)
{
	netlink_close(*nl);
}

#define cleanup_netlink __attribute__((cleanup(netlink_cleanup_)))
