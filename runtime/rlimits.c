/* The table of resource limits and the loops over it: see rlimits.h. */
#include "runtime/rlimits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/error.h"
#include "runtime/capability.h"

#define NONE     RLIM_INFINITY
#define AS_IT_IS (RLIM_INFINITY - 1) /* the maker's hard limit */

struct row {
	int resource;
	const char *name, *unit; /* RLIMIT_..., Limit...= of systemd.exec(5) */
	char letter;             /* of ulimit; 0: the shell has none */
	bool is_own;             /* the maker's soft limit goes up to its hard one: it is also a bound for itself */
	rlim_t need;             /* with a lower hard limit no sandbox is what it should be: refused */
	rlim_t wish;             /* raised to this where we may; lower is worth a word */
	rlim_t soft, hard;       /* inside, before a process has limits of its own */
	const char *why;
};

/*
 * What is NONE there counts the process that has it, and would end a payload for what is nobody's limit (cpu, as,
 * data), or be lowered by each payload to its own (fsize). Those from NPROC on count per user; for locked memory,
 * signals and queues also what all sandboxes have together, bounded by the maker's when it makes a user namespace: at
 * least one payload's share (process_rlimits()). More signals and queues than the host gave us we do not take: what
 * sandboxes have counts for root as well, and root's other services have their own bound.
 * nice, rtprio: a unit may allow us a higher priority than others have; whoever runs inside gets none.
 * Not here: rss and locks mean nothing to today's kernels, rttime nothing without rtprio.
 */
/* clang-format off */
static const struct row rows[] = {
	{ RLIMIT_CORE, "RLIMIT_CORE", "LimitCORE", 'c', false, .need = 1, .wish = 1, .soft = 1, .hard = 1,
	  "sandboxes have 1, with which the kernel hands no core dump to the host's handler, core(5)" },
	{ RLIMIT_CPU, "RLIMIT_CPU", "LimitCPU", 't', true, .need = NONE, .wish = NONE, .soft = NONE, .hard = NONE,
	  "it would end programs before their own time limit" },
	{ RLIMIT_FSIZE, "RLIMIT_FSIZE", "LimitFSIZE", 'f', true, .need = NONE, .wish = NONE, .soft = NONE, .hard = NONE,
	  "the disk of a sandbox is bounded by itself" },
	{ RLIMIT_AS, "RLIMIT_AS", "LimitAS", 'v', true, .need = NONE, .wish = NONE, .soft = NONE, .hard = NONE,
	  "memory is bounded by the control group" },
	{ RLIMIT_DATA, "RLIMIT_DATA", "LimitDATA", 'd', true, .need = NONE, .wish = NONE, .soft = NONE, .hard = NONE,
	  "memory is bounded by the control group" },
	{ RLIMIT_STACK, "RLIMIT_STACK", "LimitSTACK", 's', false, .need = PROCESS_STACK_BYTES, .wish = NONE,
	  .soft = PROCESS_STACK_BYTES, .hard = AS_IT_IS, "it is a program's stack" },
	{ RLIMIT_NOFILE, "RLIMIT_NOFILE", "LimitNOFILE", 'n', true, .need = 1024, .wish = 65536, .soft = AS_IT_IS, .hard = AS_IT_IS,
	  "each sandbox takes about ten, and has some hundreds of its own" },
	{ RLIMIT_NPROC, "RLIMIT_NPROC", "LimitNPROC", 'u', true, .need = 4096, .wish = 4096, .soft = AS_IT_IS, .hard = AS_IT_IS,
	  "processes are bounded by the control group" },
	{ RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", "LimitMEMLOCK", 'l', true, .need = PROCESS_LOCKED_BYTES, .wish = 64 << 20,
	  .soft = AS_IT_IS, .hard = AS_IT_IS, "a bound for all sandboxes together" },
	{ RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", "LimitSIGPENDING", 'i', true, .need = PROCESS_SIGNALS, .wish = PROCESS_SIGNALS,
	  .soft = AS_IT_IS, .hard = AS_IT_IS, "a bound for all sandboxes together" },
	{ RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", "LimitMSGQUEUE", 'q', true, .need = PROCESS_QUEUE_BYTES, .wish = PROCESS_QUEUE_BYTES,
	  .soft = AS_IT_IS, .hard = AS_IT_IS, "a bound for all sandboxes together" },
	{ RLIMIT_NICE, "RLIMIT_NICE", "LimitNICE", 'e', false, .soft = 0, .hard = 0, .why = "" },
	{ RLIMIT_RTPRIO, "RLIMIT_RTPRIO", "LimitRTPRIO", 'r', false, .soft = 0, .hard = 0, .why = "" },
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]), NUMBER_SIZE = 24 };

static const char *number(rlim_t value, char text[NUMBER_SIZE])
{
	if (value == RLIM_INFINITY)
		return "unlimited";
	(void)snprintf(text, NUMBER_SIZE, "%" PRIu64, (uint64_t)value);
	return text;
}

static bool may_raise(void)
{
	return capability_is_effective(CAP_SYS_RESOURCE);
}

/* Debian's sudo lowers this one alone, sudoers(5). */
static void ways_out(const struct row *r, char *ret, size_t size)
{
	char text[NUMBER_SIZE];
	int n = snprintf(ret, size, "%s=infinity in the unit", r->unit);

	if (n > 0 && (size_t)n < size && r->letter)
		n += snprintf(ret + n, size - (size_t)n, ", `ulimit -H%c %s` in the shell that may", r->letter,
			      r->letter == 'n' ? number(r->wish, text) : "unlimited");
	if (n > 0 && (size_t)n < size && r->resource == RLIMIT_CORE)
		n += snprintf(ret + n, size - (size_t)n, ", `Defaults rlimit_core=default` for sudo, which makes it 0");
	if (n > 0 && (size_t)n < size)
		(void)snprintf(ret + n, size - (size_t)n, ", or start with CAP_SYS_RESOURCE, to raise it");
}

static int refuse(const struct row *r, rlim_t hard, struct error *err)
{
	char have[NUMBER_SIZE], need[NUMBER_SIZE], ways[256];

	ways_out(r, ways, sizeof(ways));
	return error_set(
		err, EPERM,
		"the hard limit %s is %s, sandboxes need %s (%s), and without CAP_SYS_RESOURCE it cannot be raised: %s",
		r->name, number(hard, have), number(r->need, need), r->why, ways);
}

static int prepare_one(const struct row *r, struct error *err)
{
	struct rlimit now, want;

	if (getrlimit((__rlimit_resource_t)r->resource, &now) < 0)
		return error_errno(err, errno, "read the limit %s", r->name);
	want = now;
	if (want.rlim_max < r->wish)
		want.rlim_max = r->wish;
	if (r->is_own)
		want.rlim_cur = want.rlim_max;
	if (setrlimit((__rlimit_resource_t)r->resource, &want) == 0)
		return 0;
	if (now.rlim_max < r->need)
		return refuse(r, now.rlim_max, err);
	now.rlim_cur = r->is_own ? now.rlim_max : now.rlim_cur;
	/* less than we would wish: rlimits_look() says so */
	return setrlimit((__rlimit_resource_t)r->resource, &now) < 0
		       ? error_errno(err, errno, "set the limit %s", r->name)
		       : 0;
}

int rlimits_prepare(struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ROWS; i++)
		r = prepare_one(&rows[i], err);
	return r;
}

int rlimits_look(char *ret, size_t size)
{
	const bool is_free = may_raise();
	struct error err = ERROR_INIT;
	size_t n = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		char have[NUMBER_SIZE], wish[NUMBER_SIZE];
		struct rlimit now;

		if (getrlimit((__rlimit_resource_t)r->resource, &now) < 0 || now.rlim_max >= r->wish || is_free)
			continue;
		if (now.rlim_max < r->need) {
			(void)refuse(r, now.rlim_max, &err); /* for its words */
			(void)snprintf(ret, size, "%s", err.text);
			return -EPERM;
		}
		if (n < size)
			n += (size_t)snprintf(ret + n, size - n, "%s%s is %s, wiser is %s (%s)", n ? "; " : "", r->name,
					      number(now.rlim_max, have), number(r->wish, wish), r->why);
	}
	if (n > 0)
		return 1;
	(void)snprintf(ret, size, "%s", is_free ? "CAP_SYS_RESOURCE: whatever is too low is raised" : "high enough");
	return 0;
}

int rlimits_shed(void)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		struct rlimit l = { r->soft, r->hard };
		struct rlimit now;

		if (syscall(SYS_prlimit64, 0, r->resource, NULL, &now) < 0)
			return -1;
		if (l.rlim_max == AS_IT_IS)
			l.rlim_max = now.rlim_max;
		if (l.rlim_cur == AS_IT_IS || l.rlim_cur > l.rlim_max)
			l.rlim_cur = l.rlim_max;
		if (syscall(SYS_prlimit64, 0, r->resource, &l, NULL) < 0)
			return -1;
	}
	return 0;
}
