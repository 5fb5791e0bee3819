/* Network namespaces made ahead: see netns.h. */
#include "runtime/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/loopback.h"

static int bring_up_loopback(struct error *err)
{
	if (loopback_up() < 0)
		return error_errno(err, errno, "bring lo up");
	/* /proc/sys/net shows the namespace of whoever opens it */
	return fd_write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", err);
}

int netns_new(struct error *err)
{
	cleanup_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cleanup_fd int made = -1;
	int r;

	if (own < 0)
		return error_errno(err, errno, "open our network namespace");
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "new network namespace");
	r = bring_up_loopback(err);
	made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (r == 0 && made < 0)
		r = error_errno(err, errno, "open the new network namespace");
	if (setns(own, CLONE_NEWNET) < 0)
		/* Going on in a guest's network would be worse than ending. */
		__builtin_trap();
	return r < 0 ? r : fd_take(&made);
}
