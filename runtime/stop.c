/* From counters and limits to a cause and the next look: see stop.h. */
#include "runtime/stop.h"

#include "runtime/base/clock.h"

enum {
	LOOK_MS = 50,          /* this often a counter is looked at that nothing announces */
	LOOK_RARE_MS = 2000,   /* ... and one that is announced but for a machine without memory */
	LOOK_OOM_MS = 5,       /* ... and one of which it was just announced that it will grow */
	CPU_SLACK_MS = 200,    /* two periods of a limit on cpu time: their whole share may be used at once */
	CPU_SLACK_LONG = 2000, /* the same for a limit below a hundredth of a processor */
};

/*
 * The sooner of what can be: `left` ns of cpu time are not used up before this much time is over, by every processor of the
 * machine, nor by what the limit gives. Below LOOK_MS it does not matter whether they are: then it is `left` itself, which
 * is exact for one thread.
 */
static uint64_t cpu_time_lasts_ns(const struct stop_limits *l, uint64_t left)
{
	const uint64_t milli = l->cpus_milli;
	const uint64_t slack = (milli < 10 ? CPU_SLACK_LONG : CPU_SLACK_MS) * NS_PER_MS;
	uint64_t least = left / (l->n_cpus ? l->n_cpus : 1);

	if (milli && left / milli * 1000 > slack && left / milli * 1000 - slack > least)
		least = left / milli * 1000 - slack;
	if (least >= LOOK_MS * NS_PER_MS)
		return least;
	return left < LOOK_MS * NS_PER_MS ? left : LOOK_MS * NS_PER_MS;
}

static uint64_t notice_wait_ns(enum stop_notice notice)
{
	static const uint64_t waits[] = {
		[STOP_TOLD] = CLOCK_NEVER,
		[STOP_TOLD_MOSTLY] = LOOK_RARE_MS * NS_PER_MS,
		[STOP_TOLD_OOM] = LOOK_OOM_MS * NS_PER_MS,
		[STOP_NOT_TOLD] = LOOK_MS * NS_PER_MS,
	};

	return waits[notice];
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

enum verdict_stop stop_look(const struct stop_limits *l, const struct stop_seen *seen, uint64_t *ret_look_ns)
{
	const uint64_t deadline_ns = l->deadline_ns ? l->deadline_ns : CLOCK_NEVER;
	uint64_t wait = notice_wait_ns(seen->notice);

	if (seen->now_ns >= deadline_ns)
		return STOP_WALL;
	if (l->cpu_ns && seen->cpu_ns >= l->cpu_ns)
		return STOP_CPU;
	if (l->output_bytes && seen->output_bytes > l->output_bytes)
		return STOP_OUTPUT;
	if (seen->oom_kills > 0)
		return STOP_MEMORY;
	if (l->cpu_ns)
		wait = sooner(wait, cpu_time_lasts_ns(l, l->cpu_ns - seen->cpu_ns));
	if (ret_look_ns)
		*ret_look_ns = deadline_ns - seen->now_ns < wait ? deadline_ns : seen->now_ns + wait;
	return STOP_NONE;
}

uint64_t stop_output_room(const struct stop_limits *l, uint64_t taken_bytes)
{
	if (!l->output_bytes)
		return UINT64_MAX;
	return taken_bytes < l->output_bytes ? l->output_bytes - taken_bytes : 0;
}
