/* From facts to a verdict: every row says what was seen, and what must be said of it. */
#include "runtime/verdict.h"

#include <errno.h>
#include <signal.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/clock.h"
#include "runtime/cgroup/cgroup.h"
#include "tests/tap.h"

#define EXITED(code)    .has_status = true, .wait_status = (code) << 8
#define KILLED(signo)   .has_status = true, .wait_status = (signo)
#define REFUSED(at, no) .is_refused = true, .refused_stage = AGENT_STAGE_##at, .refused_code = (no)

struct row {
	const char *what;
	struct verdict_facts facts;
	enum verdict_status status;
	int exit_code, signal;
	const char *reason;
};

/* The limits that the words speak of, the same for every row. */
enum { WALL_MS = 5000, CPU_MS = 2000, OUTPUT = 1048576, MEMORY = 268435456, PIDS = 64 };

/* clang-format off */
static const struct row rows[] = {
	/* ---- it ended by itself ---- */
	{ "status 0", { EXITED(0) }, VERDICT_OK, 0, 0, "" },
	{ "status 3", { EXITED(3) }, VERDICT_RUNTIME_ERROR, 3, 0, "it ended with status 3" },
	{ "status 255", { EXITED(255) }, VERDICT_RUNTIME_ERROR, 255, 0, "status 255" },
	{ "a segmentation fault", { KILLED(SIGSEGV) }, VERDICT_SIGNALED, -1, SIGSEGV, "ended by SIGSEGV" },
	{ "a segmentation fault with a core", { KILLED(SIGSEGV | 0x80) }, VERDICT_SIGNALED, -1, SIGSEGV, "ended by SIGSEGV" },
	{ "an abort", { KILLED(SIGABRT) }, VERDICT_SIGNALED, -1, SIGABRT, "ended by SIGABRT" },
	{ "it killed itself: no memory limit is guessed", { KILLED(SIGKILL) }, VERDICT_SIGNALED, -1, SIGKILL, "ended by SIGKILL" },
	{ "a real-time signal", { KILLED(40) }, VERDICT_SIGNALED, -1, 40, "ended by SIG?" },
	{ "unknown counters are not events", { EXITED(0), .oom_kills = CGROUP_UNKNOWN, .pids_max_hits = CGROUP_UNKNOWN },
	  VERDICT_OK, 0, 0, "" },
	{ "nor for a failure", { EXITED(1), .oom_kills = CGROUP_UNKNOWN, .pids_max_hits = CGROUP_UNKNOWN },
	  VERDICT_RUNTIME_ERROR, 1, 0, "status 1" },

	/* ---- the policy and resource limits of one process ---- */
	{ "the filter killed it", { KILLED(SIGSYS) }, VERDICT_POLICY_VIOLATION, -1, SIGSYS, "policy killed it" },
	{ "the filter killed it at execve", { KILLED(SIGSYS), .never_began = true }, VERDICT_POLICY_VIOLATION, -1, SIGSYS, "the policy refuses execve: no program can start under it (it kills)" },
	{ "killed by somebody before it began", { KILLED(SIGKILL), .never_began = true }, VERDICT_SIGNALED, -1, SIGKILL, "ended by SIGKILL" },
	{ "it sent itself SIGXCPU", { KILLED(SIGXCPU) }, VERDICT_SIGNALED, -1, SIGXCPU, "ended by SIGXCPU" },
	{ "it sent itself SIGXFSZ", { KILLED(SIGXFSZ) }, VERDICT_SIGNALED, -1, SIGXFSZ, "ended by SIGXFSZ" },
	{ "RLIMIT_FSIZE", { KILLED(SIGXFSZ), .file_limit_bytes = 4096 }, VERDICT_DISK_LIMIT, -1, SIGXFSZ, "over the limit of 4096 bytes" },

	/* ---- limits of the whole sandbox ---- */
	{ "out of memory, killed", { KILLED(SIGKILL), .oom_kills = 1 }, VERDICT_MEMORY_LIMIT, -1, SIGKILL, "limit of 268435456 bytes" },
	{ "out of memory in a child that its parent outlived", { EXITED(0), .oom_kills = 1 }, VERDICT_MEMORY_LIMIT, 0, 0, "memory limit" },
	{ "out of memory took pid 1 as well", { .oom_kills = 3 }, VERDICT_MEMORY_LIMIT, -1, 0, "memory limit" },
	{ "we finished what the kernel began", { KILLED(SIGKILL), .stop = STOP_MEMORY }, VERDICT_MEMORY_LIMIT, -1, SIGKILL, "memory limit" },
	{ "memory of the host ran out", { KILLED(SIGKILL), .oom_kills = 1, .oom_is_above = true }, VERDICT_INTERNAL_ERROR, -1, SIGKILL, "memory ran out above" },
	{ "memory of the host ran out, pid 1 as well", { .oom_kills = 2, .oom_is_above = true }, VERDICT_INTERNAL_ERROR, -1, 0, "memory ran out above" },
	{ "we finished what the kernel began for the host", { KILLED(SIGKILL), .stop = STOP_MEMORY, .oom_is_above = true }, VERDICT_INTERNAL_ERROR, -1, SIGKILL, "memory ran out above" },
	{ "no memory of the host to start in", { REFUSED(FORK, ENOMEM), .oom_kills = 1, .oom_is_above = true }, VERDICT_INTERNAL_ERROR, -1, 0, "memory ran out above" },
	{ "above, but nothing was killed", { EXITED(0), .oom_is_above = true }, VERDICT_OK, 0, 0, "" },
	{ "the service had no process left until its time was over", { KILLED(SIGKILL), .stop = STOP_WALL, .pids_max_hits = 1, .forks_above = true }, VERDICT_INTERNAL_ERROR, -1, SIGKILL, "refused above the sandbox" },
	{ "the service had no process left, and it failed", { EXITED(1), .pids_max_hits = 1, .forks_above = true }, VERDICT_INTERNAL_ERROR, 1, 0, "refused above the sandbox" },
	{ "the service had no process left, and it coped", { EXITED(0), .pids_max_hits = 1, .forks_above = true }, VERDICT_OK, 0, 0, "" },
	{ "cancelled when the host ran out", { KILLED(SIGKILL), .oom_kills = 1, .oom_is_above = true, .stop = STOP_CANCEL }, VERDICT_CANCELLED, -1, SIGKILL, "cancelled" },
	{ "too much output", { KILLED(SIGKILL), .stop = STOP_OUTPUT }, VERDICT_OUTPUT_LIMIT, -1, SIGKILL, "more than 1048576 bytes of output" },
	{ "too much output, found after its end", { EXITED(0), .stop = STOP_OUTPUT }, VERDICT_OUTPUT_LIMIT, 0, 0, "of output" },
	{ "a fork bomb that we ended", { KILLED(SIGKILL), .stop = STOP_WALL, .pids_max_hits = 1 }, VERDICT_PROCESS_LIMIT, -1, SIGKILL, "limit of 64" },
	{ "a fork was refused and it failed", { EXITED(1), .pids_max_hits = 2 }, VERDICT_PROCESS_LIMIT, 1, 0, "refused" },
	{ "a fork was refused and it coped", { EXITED(0), .pids_max_hits = 2 }, VERDICT_OK, 0, 0, "" },
	{ "cpu time", { KILLED(SIGKILL), .stop = STOP_CPU }, VERDICT_TIME_LIMIT, -1, SIGKILL, "cpu time over 2000 ms" },
	{ "wall time", { KILLED(SIGKILL), .stop = STOP_WALL }, VERDICT_TIME_LIMIT, -1, SIGKILL, "wall time over 5000 ms" },
	{ "wall time, no report", { .stop = STOP_WALL }, VERDICT_TIME_LIMIT, -1, 0, "wall time over" },
	{ "disk full, and it failed", { EXITED(1), .disk_is_full = true }, VERDICT_DISK_LIMIT, 1, 0, "status 1 and the disk is full" },
	{ "disk full, and it coped", { EXITED(0), .disk_is_full = true }, VERDICT_OK, 0, 0, "" },
	{ "disk full under a mapping", { KILLED(SIGBUS), .disk_is_full = true }, VERDICT_DISK_LIMIT, -1, SIGBUS, "the disk is full" },
	{ "a bus error of its own", { KILLED(SIGBUS) }, VERDICT_SIGNALED, -1, SIGBUS, "ended by SIGBUS" },
	{ "disk full is no excuse for a segmentation fault", { KILLED(SIGSEGV), .disk_is_full = true }, VERDICT_SIGNALED, -1, SIGSEGV, "SIGSEGV" },

	/* ---- which one, when several apply ---- */
	{ "memory before time", { KILLED(SIGKILL), .oom_kills = 1, .stop = STOP_WALL }, VERDICT_MEMORY_LIMIT, -1, SIGKILL, "memory limit" },
	{ "memory before processes", { KILLED(SIGKILL), .oom_kills = 1, .pids_max_hits = 5 }, VERDICT_MEMORY_LIMIT, -1, SIGKILL, "memory limit" },
	{ "processes before time", { KILLED(SIGKILL), .pids_max_hits = 5, .stop = STOP_CPU }, VERDICT_PROCESS_LIMIT, -1, SIGKILL, "limit of 64" },
	{ "output before processes", { KILLED(SIGKILL), .pids_max_hits = 5, .stop = STOP_OUTPUT }, VERDICT_OUTPUT_LIMIT, -1, SIGKILL, "output" },
	{ "processes before a full disk", { EXITED(1), .pids_max_hits = 5, .disk_is_full = true }, VERDICT_PROCESS_LIMIT, 1, 0, "limit of 64" },
	{ "cancelled before everything but us", { KILLED(SIGKILL), .oom_kills = 1, .stop = STOP_CANCEL }, VERDICT_CANCELLED, -1, SIGKILL, "cancelled" },
	{ "our own failure is never the payload's", { EXITED(0), .oom_kills = 1, .stop = STOP_INTERNAL }, VERDICT_INTERNAL_ERROR, 0, 0, "broke its protocol" },

	/* ---- it never ran ---- */
	{ "no such program", { REFUSED(EXEC, ENOENT) }, VERDICT_RUNTIME_ERROR, 127, 0, "execute the program: No such file" },
	{ "not a program", { REFUSED(EXEC, EACCES) }, VERDICT_RUNTIME_ERROR, 126, 0, "execute the program: Permission denied" },
	{ "not a format", { REFUSED(EXEC, ENOEXEC) }, VERDICT_RUNTIME_ERROR, 126, 0, "Exec format error" },
	{ "a policy that refuses execve", { REFUSED(POLICY, EPERM) }, VERDICT_POLICY_VIOLATION, 126, 0, "the policy refuses execve: no program can start under it (it answers: Operation not permitted)" },
	{ "no such directory", { REFUSED(CWD, ENOENT) }, VERDICT_RUNTIME_ERROR, 127, 0, "change to the working directory: No such file" },
	{ "the filter could not be installed", { REFUSED(SECCOMP, EINVAL) }, VERDICT_INTERNAL_ERROR, -1, 0, "install the system call filter: Invalid" },
	{ "no memory to start in", { REFUSED(FORK, ENOMEM), .oom_kills = 1 }, VERDICT_MEMORY_LIMIT, -1, 0, "out of memory while starting (limit 268435456 bytes)" },
	{ "no memory to fork, nobody was killed", { REFUSED(FORK, ENOMEM), .memory_is_full = true }, VERDICT_MEMORY_LIMIT, -1, 0, "out of memory while starting" },
	{ "no memory to execute, nobody was killed", { REFUSED(EXEC, ENOMEM), .memory_is_full = true }, VERDICT_MEMORY_LIMIT, -1, 0, "out of memory while starting" },
	{ "no memory of the host", { REFUSED(FORK, ENOMEM) }, VERDICT_INTERNAL_ERROR, -1, 0, "start a process" },
	{ "no room for one process within its limit", { REFUSED(FORK, EAGAIN), .pids_max_hits = 1 }, VERDICT_PROCESS_LIMIT, -1, 0, "no room for a process while starting (limit 64)" },
	{ "no room for one process", { REFUSED(FORK, EAGAIN) }, VERDICT_INTERNAL_ERROR, -1, 0, "start a process" },
	{ "a stage that we do not know", { .is_refused = true, .refused_stage = 9999, .refused_code = EPERM },
	  VERDICT_INTERNAL_ERROR, -1, 0, "an unknown stage" },

	/* ---- no report ---- */
	{ "pid 1 ended without a word", { .stop = STOP_NONE }, VERDICT_INTERNAL_ERROR, -1, 0, "without a report" },
	{ "a refused fork explains why it vanished", { .pids_max_hits = 1 }, VERDICT_PROCESS_LIMIT, -1, 0, "limit of 64" },
};
/* clang-format on */

int main(void)
{
	bool is_seen[VERDICT_COUNT] = { false };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct verdict_facts facts = row->facts;
		struct verdict v;

		facts.wall_limit_ns = WALL_MS * NS_PER_MS;
		facts.cpu_limit_ns = CPU_MS * NS_PER_MS;
		facts.output_limit_bytes = OUTPUT;
		facts.memory_limit_bytes = MEMORY;
		facts.pids_limit = PIDS;
		memset(&v, 0x55, sizeof(v));
		verdict_decide(&facts, &v);
		is_seen[v.status] = true;
		is_str(verdict_name(v.status), verdict_name(row->status), "%s: %s", row->what,
		       verdict_name(row->status));
		is_int(v.exit_code, row->exit_code, "%s: exit code", row->what);
		is_int(v.signal, row->signal, "%s: signal", row->what);
		if (row->reason[0])
			has_str(v.reason, row->reason, "%s: reason", row->what);
		else
			is_str(v.reason, "", "%s: no reason", row->what);
	}
	for (int i = 0; i < VERDICT_COUNT; i++) {
		if (i == VERDICT_COMPILE_ERROR)
			ok(!is_seen[i], "compile_error is the job's to say");
		else
			ok(is_seen[i], "there is a row for %s", verdict_name((enum verdict_status)i));
	}
	return done_testing();
}
