/* Network namespaces made ahead: see netns.h. */
#include "runtime/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/loopback.h"
#include "runtime/rootfs/mount_api.h"

enum { PROC_USES = 64 };

/*
 * A procfs that nobody else sees. `sys/net` shows the namespace of whoever opens it, and the kernel keeps what was opened
 * there in a list, one entry for every namespace of the machine: below the host's /proc each look takes the longer the
 * more sandboxes there are. So ours is made anew now and then.
 */
static int renew_proc(struct netns_maker *m, struct error *err)
{
	static const struct mount_option none[] = { { NULL, NULL } };
	int fd;

	if (m->uses_left > 0)
		return 0;
	fd = mount_new("proc", none, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (fd < 0)
		return fd;
	m->proc_fd = fd;
	m->uses_left = PROC_USES;
	return 0;
}

void netns_maker_done(struct netns_maker *m)
{
	if (m->uses_left > 0)
		fd_close(&m->proc_fd);
	m->uses_left = 0;
}

static int open_ports(struct netns_maker *m, struct error *err)
{
	int r = renew_proc(m, err);

	if (r == 0)
		r = fd_write_file(m->proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", "0", err);
	if (r == 0 && --m->uses_left == 0)
		fd_close(&m->proc_fd);
	return r;
}

int netns_new(struct netns_maker *m, struct error *err)
{
	cleanup_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cleanup_fd int made = -1;
	int r;

	if (own < 0)
		return error_errno(err, errno, "open our network namespace");
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "new network namespace");
	r = loopback_up() < 0 ? error_errno(err, errno, "bring lo up") : open_ports(m, err);
	made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (r == 0 && made < 0)
		r = error_errno(err, errno, "open the new network namespace");
	if (setns(own, CLONE_NEWNET) < 0)
		/* Going on in a guest's network would be worse than ending. */
		__builtin_trap();
	return r < 0 ? r : fd_take(&made);
}
