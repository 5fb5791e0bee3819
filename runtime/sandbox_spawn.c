/* The clone and the child before exec: see sandbox_spawn.h. */
#include "runtime/sandbox_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { CHILD_SOCKET = 3 }; /* INIT_SOCKET of runtime/init/init.h */

/* In the child: say where and why, then end. No allocation: the message is built on the stack. */
static __attribute__((noreturn)) void child_fail(int sock, enum agent_stage stage, const char *object)
{
	struct agent_failed m = { .stage = (uint32_t)stage, .code = (uint32_t)errno };
	struct frame_writer w;
	uint8_t memory[512];

	memcpy(m.object, object, strlen(object));
	if (agent_encode(&w, memory, sizeof(memory), AGENT_FAILED, 0, &m, NULL) == 0)
		(void)frame_send(sock, &w, NULL, 0, 0, NULL); /* nobody else to tell */
	_exit(1);
}

static void join_v1_groups(const struct spawn_plan *plan)
{
	for (size_t i = 0; i < plan->n_task_fds; i++) {
		if (write(plan->task_fds[i], "0", 1) != 1)
			child_fail(plan->sock_fd, AGENT_STAGE_JOIN_CGROUP, "tasks");
	}
}

/*
 * Our ids are not mapped yet, so exec would not see uid 0 and take all capabilities away: as ambient ones they stay,
 * capabilities(7). They are those over our own user namespace and mean nothing outside.
 */
static void keep_caps(const struct spawn_plan *plan)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_KEEP_CAPS, "read");
	for (int i = 0; i < 2; i++)
		d[i].inheritable = d[i].permitted;
	if (syscall(SYS_capset, &h, d) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_KEEP_CAPS, "inheritable set");
	for (unsigned cap = 0; cap < 64; cap++) {
		if (d[cap / 32].permitted & 1u << cap % 32 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			child_fail(plan->sock_fd, AGENT_STAGE_KEEP_CAPS, "ambient set");
	}
}

static void take_descriptors(const struct spawn_plan *plan)
{
	for (int i = 0; i < 3; i++) {
		if (dup2(plan->null_fd, i) < 0)
			child_fail(plan->sock_fd, AGENT_STAGE_EXEC_INIT, "standard descriptors");
	}
	/* everything else goes at exec; then the socket alone is put where init looks for it */
	if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_EXEC_INIT, "close_range");
}

static __attribute__((noreturn)) void child_main(const struct spawn_plan *plan)
{
	static char name[] = "cubit-init";
	char *argv[] = { name, NULL }, *envp[] = { NULL };
	int sock = plan->sock_fd, init = plan->init_fd;

	/* CVE-2016-9962: until exec this is still our memory; nobody inside may look at it */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	join_v1_groups(plan);
	keep_caps(plan);
	take_descriptors(plan);
	if (init == CHILD_SOCKET) {
		init = fcntl(init, F_DUPFD_CLOEXEC, CHILD_SOCKET + 1);
		if (init < 0)
			child_fail(sock, AGENT_STAGE_EXEC_INIT, "memory file");
	}
	if (sock == CHILD_SOCKET) {
		if (fcntl(sock, F_SETFD, 0) < 0)
			child_fail(sock, AGENT_STAGE_EXEC_INIT, "socket");
	} else if (dup2(sock, CHILD_SOCKET) < 0) {
		child_fail(sock, AGENT_STAGE_EXEC_INIT, "socket");
	}
	(void)syscall(SYS_execveat, init, "", argv, envp, AT_EMPTY_PATH);
	child_fail(sock, AGENT_STAGE_EXEC_INIT, "cubit-init");
}

static int clone_error(int code, const struct spawn_plan *plan, struct error *err)
{
	const char *likely = "";

	if (code == EPERM)
		likely = " (needs root; is kernel.unprivileged_userns_clone or an AppArmor rule in the way?)";
	else if (code == ENOSPC || code == EUSERS)
		likely = " (user.max_user_namespaces or another user.max_*_namespaces is reached)";
	else if (code == EAGAIN)
		likely = " (a limit on processes: pids.max above us, kernel.pid_max or RLIMIT_NPROC)";
	else if (code == EBUSY && plan->cgroup_fd >= 0)
		likely = " (the control group hands out controllers and cannot hold processes)";
	return error_set(err, code, "clone3: %s%s", strerror(code), likely);
}

static pid_t do_clone(const struct spawn_plan *plan, int *ret_pidfd, struct error *err)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = plan->clone_flags | CLONE_PIDFD | (plan->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = plan->cgroup_fd >= 0 ? (uint64_t)plan->cgroup_fd : 0,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		child_main(plan);
	if (pid < 0)
		return clone_error(errno, plan, err);
	*ret_pidfd = pidfd;
	return pid;
}

pid_t spawn_child(const struct spawn_plan *plan, int *ret_pidfd, struct error *err)
{
	cleanup_fd int own = -1;
	pid_t pid;

	if (plan->netns_fd < 0)
		return do_clone(plan, ret_pidfd, err);
	/* The namespace belongs to our user namespace: the child could not join it, so we visit it for the clone. */
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(plan->netns_fd, CLONE_NEWNET) < 0)
		return error_errno(err, errno, "enter the sandbox's network namespace");
	pid = do_clone(plan, ret_pidfd, err);
	if (setns(own, CLONE_NEWNET) < 0)
		/* Going on in a guest's network would be worse than ending. */
		__builtin_trap();
	return pid;
}
