/*
 * Limits and facts of one living sandbox. The same rules as run_process() of runtime/run.c, without a process at hand:
 * the front says with STAGE from when on something counts.
 */
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/sandbox.h"
#include "supervisor/monitor/living.h"

enum {
	WATCH_MAX_MS = 50,     /* this often a counter is looked at that nothing announces */
	WATCH_RARE_MS = 2000,  /* ... and one that is announced but for a machine without memory */
	WATCH_OOM_MS = 5,      /* ... and one of which it was just announced that it will grow */
	CPU_SLACK_MS = 200,    /* two periods of a limit on cpu time: their whole share may be used at once */
	CPU_SLACK_LONG = 2000, /* the same for a limit below a hundredth of a processor */
};

/* A counter's growth; what is unknown has not grown. */
static uint64_t since(uint64_t now, uint64_t base)
{
	return now == CGROUP_UNKNOWN || base == CGROUP_UNKNOWN || now < base ? 0 : now - base;
}

/* The same for a report: what is unknown stays unknown. */
static uint64_t growth(uint64_t now, uint64_t base)
{
	return now == CGROUP_UNKNOWN ? CGROUP_UNKNOWN : since(now, base);
}

void watch_stage(struct living *l, const struct monitor_stage *m)
{
	l->is_peak_new = cgroup_memory_peak_restart(l->s->cgroup);
	(void)cgroup_stats(l->s->cgroup, &l->base, NULL); /* unknown numbers are marked */
	l->cpu_ns = m->cpu_ns;
	l->wall_deadline_ns = m->wall_ns ? clock_deadline_ns(m->wall_ns) : CLOCK_NEVER;
	l->is_staged = true;
	l->forks_above = false;
}

bool watch_is_oom(const struct living *l)
{
	return since(cgroup_oom_kills(l->s->cgroup), l->base.oom_kills) > 0;
}

void watch_forks(struct living *l)
{
	uint64_t hits = cgroup_pids_max_hits(l->s->cgroup);
	struct cgroup_stats st;

	if (!l->is_staged || since(hits, l->base.pids_max_hits) == 0)
		return;
	/* at once: where there is no peak, it is only to be seen now */
	if (cgroup_stats(l->s->cgroup, &st, NULL) == 0)
		l->forks_above = cgroup_forks_are_refused_above(l->s->cgroup, &st, l->s->limits.pids_max);
}

/*
 * The sooner of what can be: `left` ns of cpu time are not used up before this much time is over, by every processor of the
 * machine, nor by what the limit gives. Below WATCH_MAX_MS it does not matter whether they are: then it is `left` itself,
 * which is exact for one thread.
 */
static uint64_t cpu_time_lasts_ns(const struct living *l, uint64_t left)
{
	const uint64_t milli = l->s->limits.cpu_max_milli;
	const uint64_t slack = (milli < 10 ? CPU_SLACK_LONG : CPU_SLACK_MS) * NS_PER_MS;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t least = left / (cpus > 0 ? (uint64_t)cpus : 1);

	if (milli && left / milli * 1000 > slack && left / milli * 1000 - slack > least)
		least = left / milli * 1000 - slack;
	if (least >= WATCH_MAX_MS * NS_PER_MS)
		return least;
	return left < WATCH_MAX_MS * NS_PER_MS ? left : WATCH_MAX_MS * NS_PER_MS;
}

/* How long to wait for the counters of v1: refused forks are announced nowhere, but where there is a peak it tells later. */
static uint64_t v1_wait_ns(const struct living *l, uint64_t now_ns)
{
	if (now_ns < l->oom_until_ns)
		return WATCH_OOM_MS * NS_PER_MS;
	if (l->oom.fd < 0 || l->base.pids_peak == CGROUP_UNKNOWN)
		return WATCH_MAX_MS * NS_PER_MS;
	return WATCH_RARE_MS * NS_PER_MS;
}

enum verdict_stop watch_look(struct living *l, uint64_t now_ns, uint64_t *ret_next)
{
	uint64_t next, used, wait;

	*ret_next = l->life_deadline_ns;
	if (l->life_deadline_ns <= now_ns)
		return STOP_WALL;
	if (!l->is_staged)
		return STOP_NONE;
	if (l->wall_deadline_ns <= now_ns)
		return STOP_WALL;
	next = l->wall_deadline_ns < l->life_deadline_ns ? l->wall_deadline_ns : l->life_deadline_ns;
	if (l->cpu_ns) {
		used = since(cgroup_cpu_usage_ns(l->s->cgroup), l->base.cpu_usage_ns);
		if (used >= l->cpu_ns)
			return STOP_CPU;
		wait = cpu_time_lasts_ns(l, l->cpu_ns - used);
		next = next - now_ns < wait ? next : now_ns + wait;
	}
	/* v1 has no group OOM: finish at once what the kernel began. Nor does it announce refused forks, which are only noted. */
	if (sandbox_host_cgroups(l->s->host)->is_hybrid) {
		if (watch_is_oom(l))
			return STOP_MEMORY;
		watch_forks(l);
		wait = v1_wait_ns(l, now_ns);
		next = next - now_ns < wait ? next : now_ns + wait;
	}
	*ret_next = next;
	return STOP_NONE;
}

/*
 * How much more than at STAGE there was at once, at least. A peak that was passed since STAGE is that of the stage, otherwise
 * what there is now has to do. Where memory ran out what was held before has made room first: then it was all the stage's.
 */
static uint64_t memory_grown(const struct living *l, const struct cgroup_stats *now, const struct cgroup_stats *base)
{
	bool is_new = l->is_peak_new || (l->is_staged && since(now->memory_peak_bytes, base->memory_peak_bytes) > 0);

	if (!l->is_staged || l->stop == STOP_MEMORY || since(now->oom_kills, base->oom_kills) > 0 ||
	    since(now->memory_max_hits, base->memory_max_hits) > 0)
		return now->memory_peak_bytes;
	return growth(is_new ? now->memory_peak_bytes : now->memory_now_bytes, base->memory_now_bytes);
}

/* Refused since the last look, where a peak still tells. */
static bool is_refused_above(const struct living *l, const struct cgroup_stats *now, const struct cgroup_stats *base)
{
	return l->is_staged && now->pids_peak != CGROUP_UNKNOWN && since(now->pids_max_hits, base->pids_max_hits) > 0 &&
	       cgroup_forks_are_refused_above(l->s->cgroup, now, l->s->limits.pids_max);
}

void watch_facts(const struct living *l, struct monitor_facts *ret)
{
	/* never staged: what the set-up died of counts as well */
	const struct cgroup_stats none = { 0 }, *base = l->is_staged ? &l->base : &none;
	struct rootfs_usage usage;
	struct cgroup_stats st;

	(void)cgroup_stats(l->s->cgroup, &st, NULL); /* unknown numbers are marked */
	rootfs_usage(l->s->disk_fd, &usage);
	*ret = (struct monitor_facts){
		.stop = l->stop,
		.cpu_ns = growth(st.cpu_usage_ns, base->cpu_usage_ns),
		.user_ns = growth(st.cpu_user_ns, base->cpu_user_ns),
		.system_ns = growth(st.cpu_system_ns, base->cpu_system_ns),
		.oom_kills = growth(st.oom_kills, base->oom_kills),
		.pids_max_hits = growth(st.pids_max_hits, base->pids_max_hits),
		.memory_peak_bytes = st.memory_peak_bytes,
		.pids_peak = st.pids_peak,
		.memory_grown_bytes = memory_grown(l, &st, base),
		.io_read_bytes = st.io_read_bytes,
		.io_write_bytes = st.io_write_bytes,
		.disk_bytes = usage.used_bytes,
		.disk_inodes = usage.used_inodes,
		.disk_is_full = usage.is_full ? 1 : 0,
		.oom_is_above = cgroup_oom_is_above(&st, base, l->s->limits.memory_max_bytes),
		.forks_above = l->forks_above || is_refused_above(l, &st, base),
	};
	(void)snprintf(ret->id, sizeof(ret->id), "%s", l->id);
}
