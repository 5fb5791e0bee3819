/* The clone and the child before exec: see sandbox_spawn.h. */
#include "runtime/sandbox_spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/clone_shared.h"
#include "runtime/rlimits.h"

enum {
	CHILD_SOCKET = 3,        /* INIT_SOCKET of runtime/init/init.h */
	EXEC_TIMEOUT_MS = 10000, /* it takes less than one; a machine that swaps may need more */
};

/* What the child gets. */
struct child {
	struct spawn_plan plan;
	cap_t all;
};
static_assert(sizeof(struct child) <= CLONE_SHARED_ARG_MAX, "a child's plan fits");

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

/*
 * What a shell, sudo or a unit set for us, and nobody asked for inside: resource limits; no address randomisation or
 * another machine's name, personality(2); a priority above that of others, which v1 cpu groups do not even take in. A
 * lower priority and a choice of cpus stay: whoever gave them to us meant all that we start.
 */
static void shed_inheritance(const struct spawn_plan *plan)
{
	const struct sched_param lowest = { 0 };
	int policy = (int)syscall(SYS_sched_getscheduler, 0);

	if (rlimits_shed() < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_SHED, "resource limits");
	if (syscall(SYS_personality, 0UL) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_SHED, "personality");
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE &&
	    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &lowest) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_SHED, "scheduling policy");
	/* the kernel's form of a nice value: 20 - nice, so that it is no error, getpriority(2) */
	if (syscall(SYS_getpriority, PRIO_PROCESS, 0) > 20 && syscall(SYS_setpriority, PRIO_PROCESS, 0, 0) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_SHED, "nice value");
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
static void keep_caps(const struct spawn_plan *plan, cap_t all)
{
	if (cap_set_proc(all) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_KEEP_CAPS, "inheritable set");
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++) {
		if (cap_set_ambient(cap, CAP_SET) < 0)
			child_fail(plan->sock_fd, AGENT_STAGE_KEEP_CAPS, "ambient set");
	}
}

/*
 * The descriptors are still those of our parent: a table of our own first, and in it only what lies below the highest that
 * is needed. Copying the rest, some fifteen for each living sandbox, and closing it at exec, would be most of the work.
 */
static void take_descriptors(const struct spawn_plan *plan)
{
	int most = plan->null_fd;

	most = plan->init_fd > most ? plan->init_fd : most;
	most = plan->sock_fd > most ? plan->sock_fd : most;
	if (syscall(SYS_close_range, most + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_EXEC_INIT, "descriptors of its own");
	for (int i = 0; i < 3; i++) {
		if (dup2(plan->null_fd, i) < 0)
			child_fail(plan->sock_fd, AGENT_STAGE_EXEC_INIT, "standard descriptors");
	}
	/* everything else goes at exec; then the socket alone is put where init looks for it */
	if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		child_fail(plan->sock_fd, AGENT_STAGE_EXEC_INIT, "close_range");
}

static __attribute__((noreturn)) void child_main(const void *arg)
{
	const struct child *child = arg;
	const struct spawn_plan *plan = &child->plan;
	static char name[] = "cubit-init";
	char *argv[] = { name, NULL }, *envp[] = { NULL };
	int sock = plan->sock_fd, init = plan->init_fd;

	shed_inheritance(plan); /* first: a real-time process may enter no v1 cpu group */
	join_v1_groups(plan);
	keep_caps(plan, child->all);
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

/* Every capability there is, in every set: what a new user namespace gives, and inheritable as well. NULL: no memory. */
static cap_t make_all_caps(void)
{
	cap_t all = cap_init();

	for (cap_value_t cap = 0; all && cap < cap_max_bits(); cap++) {
		if (cap_set_flag(all, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(all, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(all, CAP_INHERITABLE, 1, &cap, CAP_SET) < 0) {
			(void)cap_free(all); /* cannot fail for what libcap made */
			return NULL;
		}
	}
	return all;
}

static pid_t do_clone(const struct spawn_plan *plan, int *ret_pidfd, struct error *err)
{
	static cap_t all; /* the same for every child, and made once: a child that is late may still read it */
	struct child child = { .plan = *plan };
	struct clone_args args = {
		.flags = plan->clone_flags | (plan->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.cgroup = plan->cgroup_fd >= 0 ? (uint64_t)plan->cgroup_fd : 0,
	};
	bool is_late = false;
	pid_t pid;

	if (!all)
		all = make_all_caps();
	if (!all)
		return error_set(err, ENOMEM, "capability sets");
	child.all = all;
	pid = clone_shared(&args, child_main, &child, sizeof(child), EXEC_TIMEOUT_MS, ret_pidfd, &is_late);
	if (pid < 0)
		return clone_error(-pid, plan, err);
	if (is_late)
		return error_set(err, ETIMEDOUT, "the child did not come as far as executing cubit-init within %d s",
				 EXEC_TIMEOUT_MS / 1000);
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
