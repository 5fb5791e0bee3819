/* Route netlink and its errors: see netlink.h. */
#include "netsetup/netlink.h"

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/error.h"

struct netlink {
	struct nl_sock *sock;
	int kernel_errno;      /* of the last refusal, positive; 0 after it was reported */
	char kernel_says[160]; /* its extended ack, or "" */
};

/* Sparse: what is not listed is EIO. */
static const int errnos[] = {
	[NLE_INTR] = EINTR,
	[NLE_BAD_SOCK] = EBADF,
	[NLE_AGAIN] = EAGAIN,
	[NLE_NOMEM] = ENOMEM,
	[NLE_EXIST] = EEXIST,
	[NLE_INVAL] = EINVAL,
	[NLE_RANGE] = ERANGE,
	[NLE_MSGSIZE] = EMSGSIZE,
	[NLE_OPNOTSUPP] = EOPNOTSUPP,
	[NLE_AF_NOSUPPORT] = EAFNOSUPPORT,
	[NLE_OBJ_NOTFOUND] = ENOENT,
	[NLE_NOADDR] = EADDRNOTAVAIL,
	[NLE_MSGTYPE_NOSUPPORT] = EOPNOTSUPP,
	[NLE_BUSY] = EBUSY,
	[NLE_NOACCESS] = EACCES,
	[NLE_PERM] = EPERM,
	[NLE_NODEV] = ENODEV,
};

int netlink_errno(int nle)
{
	int n = abs(nle);

	return n < (int)(sizeof(errnos) / sizeof(errnos[0])) && errnos[n] ? errnos[n] : EIO;
}

/* Keep the kernel's code and sentence before libnl turns them into one of its own, netlink(7). */
static int on_refusal(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)((const char *)e - NLMSG_HDRLEN);
	size_t used = NLMSG_HDRLEN + sizeof(*e);
	struct netlink *nl = arg;

	(void)from;
	nl->kernel_errno = -e->error;
	nl->kernel_says[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_CAPPED)) /* our request comes back with it */
		used += e->msg.nlmsg_len - NLMSG_HDRLEN;
	used = NLMSG_ALIGN(used);
	if ((h->nlmsg_flags & NLM_F_ACK_TLVS) && h->nlmsg_len > used) {
		const struct nlattr *text = nla_find((const struct nlattr *)(const void *)((const char *)h + used),
						     (int)(h->nlmsg_len - used), NLMSGERR_ATTR_MSG);

		if (text)
			(void)nla_strlcpy(nl->kernel_says, text, sizeof(nl->kernel_says));
	}
	return NL_STOP;
}

static int connect_route(struct netlink *nl, struct error *err)
{
	int one = 1, r;

	nl->sock = nl_socket_alloc();
	if (!nl->sock)
		return error_errno(err, ENOMEM, "netlink socket");
	r = nl_connect(nl->sock, NETLINK_ROUTE);
	if (r < 0)
		return netlink_error(nl, r, err, "netlink socket");
	/* a kernel without it only says less */
	(void)setsockopt(nl_socket_get_fd(nl->sock), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)nl_socket_modify_err_cb(nl->sock, NL_CB_CUSTOM, on_refusal, nl); /* fails for unknown kinds only */
	return 0;
}

int netlink_open(struct netlink **ret, struct error *err)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	int r;

	if (!nl)
		return error_errno(err, ENOMEM, "netlink socket");
	r = connect_route(nl, err);
	if (r < 0) {
		netlink_close(nl);
		return r;
	}
	*ret = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	int saved = errno;

	if (!nl)
		return;
	nl_socket_free(nl->sock);
	free(nl);
	errno = saved;
}

struct nl_sock *netlink_sock(struct netlink *nl)
{
	return nl->sock;
}

int netlink_error(struct netlink *nl, int nle, struct error *err, const char *fmt, ...)
{
	int code = nl->kernel_errno ? nl->kernel_errno : netlink_errno(nle);
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (nl->kernel_errno && nl->kernel_says[0])
		(void)error_set(err, code, "%s: %s (%s)", what, strerror(code), nl->kernel_says);
	else if (nl->kernel_errno)
		(void)error_errno(err, code, "%s", what);
	else
		(void)error_set(err, code, "%s: %s", what, nl_geterror(nle));
	nl->kernel_errno = 0;
	nl->kernel_says[0] = '\0';
	return -code;
}
