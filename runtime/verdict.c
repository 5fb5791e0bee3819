/* From facts to a verdict: see verdict.h. */
#include "runtime/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/clock.h"
#include "runtime/cgroup/cgroup.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

#define NO_EXEC_WORDS "the policy refuses execve: no program can start under it"

static const char *const names[VERDICT_COUNT] = {
#define X(name, text) [VERDICT_##name] = (text),
	VERDICTS(X)
#undef X
};

const char *verdict_name(enum verdict_status status)
{
	return names[status];
}

static void set(struct verdict *v, enum verdict_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void set(struct verdict *v, enum verdict_status status, const char *fmt, ...)
{
	va_list ap;

	v->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
}

static bool happened(uint64_t count)
{
	return count > 0 && count != CGROUP_UNKNOWN;
}

/* Memory or process numbers of the machine, or of the service, ran out: the sandbox was within its limits. */
static bool decide_above(const struct verdict_facts *f, bool is_failed, struct verdict *v)
{
	if (f->oom_is_above && (happened(f->oom_kills) || f->stop == STOP_MEMORY))
		set(v, VERDICT_INTERNAL_ERROR,
		    "memory ran out above the sandbox (the host's, or MemoryMax= of the service), which was below its "
		    "limit of "
		    "%" PRIu64 " bytes",
		    f->memory_limit_bytes);
	else if (f->forks_above && happened(f->pids_max_hits) && is_failed)
		set(v, VERDICT_INTERNAL_ERROR,
		    "a new process was refused above the sandbox (TasksMax= of the service or its slice), which was "
		    "below its "
		    "limit of %" PRIu64,
		    f->pids_limit);
	else
		return false;
	return true;
}

/* It never ran: a missing program or directory is the caller's mistake, everything else is ours. */
static void decide_refused(const struct verdict_facts *f, struct verdict *v)
{
	const char *stage = agent_stage_name(f->refused_stage), *why = strerror(f->refused_code);

	if (happened(f->oom_kills) || (f->refused_code == ENOMEM && f->memory_is_full)) {
		set(v, VERDICT_MEMORY_LIMIT, "out of memory while starting (limit %" PRIu64 " bytes)",
		    f->memory_limit_bytes);
	} else if (f->refused_stage == AGENT_STAGE_FORK && f->refused_code == EAGAIN && happened(f->pids_max_hits)) {
		set(v, VERDICT_PROCESS_LIMIT, "no room for a process while starting (limit %" PRIu64 ")",
		    f->pids_limit);
	} else if (f->refused_stage == AGENT_STAGE_POLICY) {
		v->exit_code = EXIT_NOT_EXECUTABLE;
		set(v, VERDICT_POLICY_VIOLATION, NO_EXEC_WORDS " (it answers: %s)", why);
	} else if (f->refused_stage == AGENT_STAGE_EXEC || f->refused_stage == AGENT_STAGE_CWD) {
		v->exit_code = f->refused_code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
		set(v, VERDICT_RUNTIME_ERROR, "%s: %s", stage, why);
	} else {
		set(v, VERDICT_INTERNAL_ERROR, "%s: %s", stage, why);
	}
}

/* Limits that ended it, the most telling first: a bomb of one kind often trips the time limit as well. */
static bool decide_limits(const struct verdict_facts *f, bool is_failed, struct verdict *v)
{
	if (happened(f->oom_kills) || f->stop == STOP_MEMORY) {
		set(v, VERDICT_MEMORY_LIMIT,
		    "the kernel ended it because it reached its memory limit of %" PRIu64 " bytes",
		    f->memory_limit_bytes);
	} else if (f->stop == STOP_OUTPUT) {
		set(v, VERDICT_OUTPUT_LIMIT, "more than %" PRIu64 " bytes of output", f->output_limit_bytes);
	} else if (happened(f->pids_max_hits) && is_failed) {
		/* EAGAIN is the program's to deal with, fork(2): it is the limit's doing only where it did not end well */
		set(v, VERDICT_PROCESS_LIMIT,
		    "a new process or thread was refused because it reached its limit of %" PRIu64, f->pids_limit);
	} else if (f->stop == STOP_CPU) {
		set(v, VERDICT_TIME_LIMIT, "cpu time over %" PRIu64 " ms", f->cpu_limit_ns / NS_PER_MS);
	} else if (f->stop == STOP_WALL) {
		set(v, VERDICT_TIME_LIMIT, "wall time over %" PRIu64 " ms", f->wall_limit_ns / NS_PER_MS);
	} else {
		return false;
	}
	return true;
}

/*
 * A signal proves nothing by itself: a program can send it to itself. SIGXCPU is never ours, as nobody has RLIMIT_CPU;
 * SIGXFSZ is the kernel's word only where there is a limit for it to speak of.
 */
static void decide_signal(const struct verdict_facts *f, struct verdict *v)
{
	switch (v->signal) {
	case SIGSYS:
		set(v, VERDICT_POLICY_VIOLATION,
		    f->never_began ? NO_EXEC_WORDS " (it kills)" : "the system call policy killed it");
		break;
	default:
		/* a mapped page that found no block is SIGBUS, mmap(2) */
		if (f->disk_is_full && v->signal == SIGBUS)
			set(v, VERDICT_DISK_LIMIT, "the disk is full");
		else if (f->file_limit_bytes && v->signal == SIGXFSZ)
			set(v, VERDICT_DISK_LIMIT, "a file grew over the limit of %" PRIu64 " bytes",
			    f->file_limit_bytes);
		else
			set(v, VERDICT_SIGNALED, "ended by SIG%s",
			    sigabbrev_np(v->signal) ? sigabbrev_np(v->signal) : "?");
	}
}

void verdict_decide(const struct verdict_facts *f, struct verdict *ret)
{
	struct verdict v = { .status = VERDICT_OK, .exit_code = -1 };
	bool is_failed = !f->has_status || f->wait_status != 0;

	if (f->has_status && WIFEXITED(f->wait_status))
		v.exit_code = WEXITSTATUS(f->wait_status);
	else if (f->has_status && WIFSIGNALED(f->wait_status))
		v.signal = WTERMSIG(f->wait_status);

	if (f->stop == STOP_INTERNAL)
		set(&v, VERDICT_INTERNAL_ERROR, "the sandbox broke its protocol or could not be watched");
	else if (f->stop == STOP_CANCEL)
		set(&v, VERDICT_CANCELLED, "cancelled");
	else if (decide_above(f, is_failed, &v))
		;
	else if (f->is_refused)
		decide_refused(f, &v);
	else if (decide_limits(f, is_failed, &v))
		;
	else if (!f->has_status)
		set(&v, VERDICT_INTERNAL_ERROR, "the sandbox ended without a report and no limit was reached");
	else if (v.signal)
		decide_signal(f, &v);
	else if (v.exit_code != 0 && f->disk_is_full)
		set(&v, VERDICT_DISK_LIMIT, "it failed with status %d and the disk is full", v.exit_code);
	else if (v.exit_code != 0)
		set(&v, VERDICT_RUNTIME_ERROR, "it ended with status %d", v.exit_code);
	*ret = v;
}
