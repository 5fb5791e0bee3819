/* Probes of the kernel's networking: see probe.h. */
#include "netsetup/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netsetup/netlink.h"
#include "netsetup/nftables.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

typedef int probe_fn(struct error *err);

static const char bridge_name[] = "probe-br", host_end_name[] = "probe-host", peer_name[] = "eth0";

static void link_put(struct rtnl_link **link)
{
	if (*link)
		rtnl_link_put(*link);
}

#define cleanup_link __attribute__((cleanup(link_put)))

/* ---- a child in namespaces of its own ---- */

/* The child: never returns. Its report is one write, smaller than PIPE_BUF. */
static void probe_and_exit(probe_fn *probe, int report)
{
	struct error err = ERROR_INIT;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* only a courtesy: we live for milliseconds */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		(void)error_errno(&err, errno, "make a user and a network namespace");
	else
		(void)probe(&err); /* err has the code */
	_exit(write(report, &err, sizeof(err)) == sizeof(err) ? 0 : 1);
}

static int in_own_namespaces(probe_fn *probe, struct error *err)
{
	struct error report = ERROR_INIT;
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, errno, "pipe to a probe");
	cleanup_fd int reader = ends[0], writer = ends[1];

	pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "fork a probe");
	if (pid == 0)
		probe_and_exit(probe, writer);
	fd_close(&writer);
	do {
		n = read(reader, &report, sizeof(report));
	} while (n < 0 && errno == EINTR);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof(report)) /* libnftables calls exit() when it cannot open its socket */
		return error_set(err, EIO, "the probe died without a report (wait status 0x%x)", (unsigned)status);
	if (report.code != 0) {
		if (err)
			*err = report;
		return -report.code;
	}
	return 0;
}

/* ---- veth and bridge ---- */

static int add_bridge(struct netlink *nl, struct error *err)
{
	cleanup_link struct rtnl_link *bridge = rtnl_link_bridge_alloc();
	int r;

	if (!bridge)
		return error_errno(err, ENOMEM, "bridge");
	rtnl_link_set_name(bridge, bridge_name);
	rtnl_link_set_flags(bridge, IFF_UP);
	r = rtnl_link_add(netlink_sock(nl), bridge, NLM_F_CREATE | NLM_F_EXCL);
	return r < 0 ? netlink_error(nl, r, err, "make a bridge") : 0;
}

static int add_veth(struct netlink *nl, int peer_ns, struct error *err)
{
	cleanup_link struct rtnl_link *host_end = rtnl_link_veth_alloc(), *peer = NULL;
	int r;

	if (!host_end)
		return error_errno(err, ENOMEM, "veth pair");
	peer = rtnl_link_veth_get_peer(host_end); /* a reference of ours */
	rtnl_link_set_name(host_end, host_end_name);
	rtnl_link_set_master(host_end, (int)if_nametoindex(bridge_name));
	rtnl_link_set_flags(host_end, IFF_UP);
	rtnl_link_set_name(peer, peer_name);
	rtnl_link_set_ns_fd(peer, peer_ns);
	r = rtnl_link_add(netlink_sock(nl), host_end, NLM_F_CREATE | NLM_F_EXCL);
	return r < 0 ? netlink_error(nl, r, err, "make a veth pair with its peer in another network namespace") : 0;
}

/* Leaves us in a new network namespace; *ret_was is the one before, *ret_is the new one. Both are the caller's. */
static int next_netns(int *ret_was, int *ret_is, struct error *err)
{
	cleanup_fd int was = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), is = -1;

	if (was < 0 || unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "make a second network namespace");
	is = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (is < 0)
		return error_errno(err, errno, "open our network namespace");
	*ret_was = fd_take(&was);
	*ret_is = fd_take(&is);
	return 0;
}

static int probe_veth(struct error *err)
{
	cleanup_fd int host_ns = -1, peer_ns = -1;
	cleanup_netlink struct netlink *nl = NULL;
	int r = next_netns(&host_ns, &peer_ns, err);

	if (r < 0)
		return r;
	if (setns(host_ns, CLONE_NEWNET) < 0)
		return error_errno(err, errno, "go back to the first network namespace");
	r = netlink_open(&nl, err);
	if (r == 0)
		r = add_bridge(nl, err);
	if (r == 0)
		r = add_veth(nl, peer_ns, err);
	if (r < 0)
		return r;
	if (if_nametoindex(host_end_name) == 0)
		return error_set(err, ENODEV, "the kernel made a veth pair, but its host end is not there");
	if (setns(peer_ns, CLONE_NEWNET) < 0)
		return error_errno(err, errno, "enter the second network namespace");
	if (if_nametoindex(peer_name) == 0)
		return error_set(err, ENODEV,
				 "the kernel made a veth pair, but its peer is not in the other namespace");
	return 0;
}

int netsetup_probe_veth(struct error *err)
{
	return in_own_namespaces(probe_veth, err);
}

/* ---- nftables ---- */

static int probe_nftables(struct error *err)
{
	return nftables_run(
		"add table ip cubit_probe\n"
		"add chain ip cubit_probe post { type nat hook postrouting priority srcnat; policy accept; }\n"
		"add rule ip cubit_probe post ip saddr 192.0.2.0/24 masquerade\n",
		err);
}

int netsetup_probe_nftables(struct error *err)
{
	return in_own_namespaces(probe_nftables, err);
}
