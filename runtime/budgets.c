/* The table of kernel-wide budgets: see budgets.h. */
#include "runtime/budgets.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/fd.h"

enum { FILE_MAX_BYTES = 1 << 20 };

/* clang-format off */
static const struct budget budgets[] = {
	{ .name = "memory, with kernel objects (open files, pipes, unix sockets, System V queues)",
	  .one = "its `memory` limit",
	  .all = "the sum of limits (`CUBIT_TOTAL_MEMORY`); `MemoryMax=` of the service" },
	{ .name = "socket memory of TCP, cgroup v2",
	  .one = "its `memory` limit",
	  .all = "the sum of limits",
	  .used = { "/proc/net/sockstat", "TCP:", 4 }, .most = { "/proc/sys/net/ipv4/tcp_mem", NULL, 2 } },
	{ .name = "socket memory of UDP, cgroup v2",
	  .one = "its `memory` limit",
	  .all = "the sum of limits",
	  .used = { "/proc/net/sockstat", "UDP:", 1 }, .most = { "/proc/sys/net/ipv4/udp_mem", NULL, 2 } },
	{ .name = "socket memory of TCP and UDP, cgroup v1",
	  .one = "an eighth of `memory` on top of it, at least 1 MiB (`memory.kmem.tcp.limit_in_bytes`), and some 42 KiB for "
		 "each TCP connection, which the kernel grants whatever the limit; connections are bounded by open files "
		 "times processes",
	  .all = "that times the number of sandboxes" },
	{ .name = "netlink buffers (counted by no control group)",
	  .one = "none: `AF_NETLINK` is refused",
	  .all = "" },
	{ .name = "text of compiled filters",
	  .one = "its own filter, made by us; packet filters and filters of its own are refused",
	  .all = "one filter for each sandbox",
	  .most = { "/proc/sys/net/core/bpf_jit_limit", NULL, 0 } },
	{ .name = "contexts of asynchronous I/O",
	  .one = "none: `io_setup` is refused in every profile",
	  .all = "",
	  .used = { "/proc/sys/fs/aio-nr", NULL, 0 }, .most = { "/proc/sys/fs/aio-max-nr", NULL, 0 } },
	{ .name = "io_uring, bpf, perf, userfaultfd, fanotify",
	  .one = "none: refused by the profiles (`unconfined`: io_uring, bpf and perf)",
	  .all = "" },
	{ .name = "keys",
	  .one = "none: refused by every profile; a session keyring of its own",
	  .all = "one keyring for each sandbox",
	  .most = { "/proc/sys/kernel/keys/root_maxkeys", NULL, 0 } },
	{ .name = "processes",
	  .one = "its `processes` limit",
	  .all = "`TasksMax=` of the service",
	  .used = { "/proc/loadavg", NULL, 7 }, .most = { "/proc/sys/kernel/pid_max", NULL, 0 } },
	{ .name = "open files",
	  .one = "open files times processes; their memory counts as its memory",
	  .all = "the sum",
	  .used = { "/proc/sys/fs/file-nr", NULL, 0 }, .most = { "/proc/sys/fs/file-max", NULL, 0 } },
	{ .name = "terminals",
	  .one = "its part of what the kernel does not reserve for the host, at most 64 (`max=` of its devpts); 64 for `cubit-sandbox`",
	  .all = "what the kernel does not reserve for the host (`kernel.pty.reserve`)",
	  .used = { "/proc/sys/kernel/pty/nr", NULL, 0 }, .most = { "/proc/sys/kernel/pty/max", NULL, 0 } },
	{ .name = "inotify",
	  .one = "16 instances, 8192 watches (its user namespace)",
	  .all = "the sum",
	  .most = { "/proc/sys/fs/inotify/max_user_instances", NULL, 0 } },
	{ .name = "user namespaces",
	  .one = "its own; none can be made inside",
	  .all = "the number of sandboxes",
	  .most = { "/proc/sys/user/max_user_namespaces", NULL, 0 } },
	{ .name = "network namespaces",
	  .one = "its own; none can be made inside",
	  .all = "the number of sandboxes",
	  .most = { "/proc/sys/user/max_net_namespaces", NULL, 0 } },
	{ .name = "mounts",
	  .one = "its own, a fixed list; none can be made inside",
	  .all = "the number of sandboxes",
	  .most = { "/proc/sys/fs/mount-max", NULL, 0 } },
	{ .name = "queued signals and POSIX timers",
	  .one = "256 for each process (`RLIMIT_SIGPENDING`)",
	  .all = "the hard limit of the service" },
	{ .name = "POSIX message queues",
	  .one = "128 KiB (`RLIMIT_MSGQUEUE`)",
	  .all = "the hard limit of the service" },
	{ .name = "locked memory",
	  .one = "64 KiB for each process (`RLIMIT_MEMLOCK`)",
	  .all = "the hard limit of the service" },
	{ .name = "file locks, epoll watches",
	  .one = "open files; their memory counts as its memory",
	  .all = "the sum",
	  .most = { "/proc/sys/fs/epoll/max_user_watches", NULL, 0 } },
};
/* clang-format on */

size_t budgets_count(void)
{
	return sizeof(budgets) / sizeof(budgets[0]);
}

const struct budget *budget_at(size_t i)
{
	return &budgets[i];
}

static const char *find_line(const char *text, const char *begins)
{
	const size_t n = begins ? strlen(begins) : 0;

	while (text && begins && strncmp(text, begins, n) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text;
}

bool budget_read(const struct budget_number *n, uint64_t *ret)
{
	cleanup_buf struct buf text = BUF_BOUNDED(FILE_MAX_BYTES);
	const char *p;

	if (!n->path || fd_read_file(AT_FDCWD, n->path, FILE_MAX_BYTES, &text, NULL) < 0)
		return false;
	p = find_line(buf_str(&text), n->line);
	for (unsigned left = n->nth; p; left--) {
		char *end;

		p += strcspn(p, "0123456789\n");
		if (!isdigit((unsigned char)*p))
			return false;
		if (left == 0) {
			*ret = strtoull(p, &end, 10);
			return true;
		}
		p += strspn(p, "0123456789");
	}
	return false;
}

static int number_words(const struct budget_number *n, struct buf *out)
{
	int r = buf_printf(out, "`%s`", n->path);

	return r == 0 && n->line ? buf_printf(out, " (`%s`)", n->line) : r;
}

int budget_row(const struct budget *b, struct buf *out)
{
	int r = buf_printf(out, "| %s | %s | %s | ", b->name, b->one, b->all);

	if (r == 0 && b->used.path)
		r = number_words(&b->used, out);
	if (r == 0 && b->most.path)
		r = buf_append_str(out, b->used.path ? " of " : "at most ");
	if (r == 0 && b->most.path)
		r = number_words(&b->most, out);
	return r < 0 ? r : buf_append_str(out, " |\n");
}
