/* A child that waits: see held.h. */
#include "tools/cubit/held.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* Between clone3 and its end the child uses bare system calls only. */
static void wait_for_end(int reader, int writer) __attribute__((noreturn));
static void wait_for_end(int reader, int writer)
{
	char c;

	(void)close(writer); /* ours would keep the pipe open */
	while (read(reader, &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int held_start(struct held *h, uint64_t flags, int cgroup_fd, struct error *err)
{
	struct clone_args args = { .flags = flags | CLONE_PIDFD, .exit_signal = SIGCHLD };
	int ends[2], pidfd = -1;
	long pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, errno, "pipe");
	cleanup_fd int reader = ends[0], writer = ends[1];

	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	if (cgroup_fd >= 0)
		args.cgroup = (uint64_t)cgroup_fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return error_errno(err, errno, "clone3");
	if (pid == 0)
		wait_for_end(reader, writer);
	*h = (struct held){ .pid = (pid_t)pid, .pidfd = pidfd, .leash = fd_take(&writer) };
	return 0;
}

static int write_proc(const struct held *h, const char *file, const char *text, struct error *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)h->pid, file);
	return fd_write_file(AT_FDCWD, path, text, err);
}

int held_map_ids(const struct held *h, unsigned first_id, struct error *err)
{
	char map[64];
	int r;

	(void)snprintf(map, sizeof(map), "0 %u 65536", first_id);
	r = write_proc(h, "uid_map", map, err);
	return r < 0 ? r : write_proc(h, "gid_map", map, err);
}

int held_open_ns(const struct held *h, const char *kind, struct error *err)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)h->pid, kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "open '%s'", path) : fd;
}

int held_wait(struct held *h, int timeout_ms)
{
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };
	siginfo_t info = { 0 };
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0 || waitid(P_PID, (id_t)h->pid, &info, WEXITED) < 0)
		return -errno;
	h->pid = 0;
	return info.si_code == CLD_EXITED ? 0 : info.si_status;
}

void held_done(struct held *h)
{
	int saved = errno;

	fd_close(&h->leash);
	if (h->pid > 0) {
		(void)syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0); /* it may have ended by itself */
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
		h->pid = 0;
	}
	fd_close(&h->pidfd);
	errno = saved;
}
