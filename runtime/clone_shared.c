/* A child in our memory until exec: see clone_shared.h. */
#include "runtime/clone_shared.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define SHARES_MEMORY 1
#else
#define SHARES_MEMORY 0
#endif

enum { STACK_BYTES = 64 << 10, GUARD_BYTES = 64 << 10 /* at least a page, wherever */ };

/* What a child uses of our memory, in one mapping: a child that was given up keeps it for itself. */
struct room {
	uint8_t guard[GUARD_BYTES]; /* no access: a stack too small is a fault of the child's */
	_Alignas(16) uint8_t stack[STACK_BYTES];
	_Alignas(16) uint8_t arg[CLONE_SHARED_ARG_MAX];
	uint32_t tid; /* not 0 while a child has our memory: CLONE_CHILD_CLEARTID, clone(2) */
};

static struct room *room_new(void)
{
	struct room *room =
		mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (room == MAP_FAILED)
		return NULL;
	if (mprotect(room->guard, sizeof(room->guard), PROT_NONE) == 0)
		return room;
	(void)munmap(room, sizeof(*room)); /* the failure that counts is in errno */
	return NULL;
}

#if SHARES_MEMORY
/* The two processes come back on different stacks, so that the child has nothing to return to: not in C. */
static long enter(struct clone_args *args, void (*child)(const void *arg), const void *arg)
{
	long r;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t" /* the outermost frame, for debuggers */
			 "movq %[arg], %%rdi\n\t"
			 "call *%[child]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(r)
			 : "0"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)), [child] "r"(child), [arg] "r"(arg)
			 : "rcx", "r11", "memory", "cc");
	return r;
}

static pid_t clone_into(struct room *room, struct clone_args *args, void (*child)(const void *arg))
{
	args->flags |= CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	args->stack = (uint64_t)(uintptr_t)room->stack;
	args->stack_size = sizeof(room->stack);
	/* written before the child runs, so that it cannot be cleared before */
	args->parent_tid = args->child_tid = (uint64_t)(uintptr_t)&room->tid;
	return (pid_t)enter(args, child, room->arg);
}
#else
static pid_t clone_into(struct room *room, struct clone_args *args, void (*child)(const void *arg))
{
	long r = syscall(SYS_clone3, args, sizeof(*args));

	if (r == 0)
		child(room->arg);
	return r < 0 ? -errno : (pid_t)r;
}
#endif

/*
 * Until the child has left our memory. It shares our errno, which is its own meanwhile: no signal interrupts us, and
 * futex(2) fails only when there is no child any more, or its time is up.
 */
static bool wait_until_gone(struct room *room, uint64_t deadline_ns)
{
	uint32_t tid;

	while ((tid = __atomic_load_n(&room->tid, __ATOMIC_ACQUIRE)) != 0) {
		uint64_t now = clock_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec time = { .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S) };

		if (left == 0)
			return false;
		(void)syscall(SYS_futex, &room->tid, FUTEX_WAIT, tid, &time, NULL, 0); /* whatever it says: look */
	}
	return true;
}

pid_t clone_shared(struct clone_args *args, void (*child)(const void *arg), const void *arg, size_t size,
		   unsigned timeout_ms, int *ret_pidfd, bool *ret_late)
{
	static struct room *room; /* kept: single-threaded, and one child at a time */
	const uint64_t deadline_ns = clock_deadline_ns(timeout_ms * NS_PER_MS);
	int pidfd = -1, was_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	sigset_t all, before;
	pid_t pid;

	*ret_late = false;
	if (size > CLONE_SHARED_ARG_MAX)
		return -E2BIG;
	if (!room)
		room = room_new();
	if (!room)
		return -errno;
	memcpy(room->arg, arg, size);
	args->flags |= CLONE_PIDFD;
	args->pidfd = (uint64_t)(uintptr_t)&pidfd;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	pid = clone_into(room, args, child);
	if (pid > 0 && SHARES_MEMORY && !wait_until_gone(room, deadline_ns)) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* dead already is as good */
		*ret_late = true;
		room = NULL; /* a call that it is still in may write there: never used again */
	} else if (was_dumpable == 1) {
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* cannot fail: it was so */
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid;
}
