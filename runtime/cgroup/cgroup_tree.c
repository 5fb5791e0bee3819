/* Sub-groups and processes inside a group: see cgroup_tree.h. */
#include "runtime/cgroup/cgroup_tree.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/fd.h"

enum { PROCS_MAX = 32 << 20 }; /* four million pids, the kernel's own bound, in decimal */

typedef void visit_fn(int parent_fd, const char *name, int dir_fd, void *arg);

/* Visit everything below dir_fd, children before their parent. Recursion is bounded by depth. */
static void visit_below(int dir_fd, int depth, visit_fn *visit, void *arg)
{
	cleanup_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	struct dirent *entry;

	if (!dir)
		return;
	(void)fd_take(&list_fd); /* closedir closes it */
	while ((entry = readdir(dir))) {
		cleanup_fd int child = -1;

		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		child = openat(dir_fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue; /* removed meanwhile */
		if (depth > 1)
			visit_below(child, depth - 1, visit, arg);
		visit(dir_fd, entry->d_name, child, arg);
	}
}

static void remove_one(int parent_fd, const char *name, int dir_fd, void *arg)
{
	(void)dir_fd;
	(void)arg;
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR); /* EBUSY: the caller tries again */
}

void cgroup_tree_prune(int dir_fd)
{
	visit_below(dir_fd, CGROUP_TREE_DEPTH, remove_one, NULL);
}

static size_t kill_members(int dir_fd)
{
	cleanup_buf struct buf procs = BUF_BOUNDED(PROCS_MAX);
	size_t n = 0;

	if (fd_read_file(dir_fd, "cgroup.procs", PROCS_MAX, &procs, NULL) < 0)
		return 0;
	for (const char *p = buf_str(&procs); *p >= '1' && *p <= '9'; n++) {
		char *end;
		long pid = strtol(p, &end, 10);
		cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

		if (pidfd >= 0)
			(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* ESRCH: already dead */
		p = end + (*end == '\n');
	}
	return n;
}

static void kill_one(int parent_fd, const char *name, int dir_fd, void *arg)
{
	(void)parent_fd;
	(void)name;
	*(size_t *)arg += kill_members(dir_fd);
}

size_t cgroup_tree_kill(int dir_fd)
{
	size_t n = kill_members(dir_fd);

	visit_below(dir_fd, CGROUP_TREE_DEPTH, kill_one, &n);
	return n;
}
