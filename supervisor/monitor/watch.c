/*
 * Limits and facts of one living sandbox: what runtime/stop.h judges is read here. There is no process at hand: the front says
 * with STAGE from when on something counts.
 */
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/sandbox.h"
#include "runtime/stop.h"
#include "supervisor/monitor/living.h"

/* A counter's growth for a report: what is unknown stays unknown. */
static uint64_t growth(uint64_t now, uint64_t base)
{
	return now == CGROUP_UNKNOWN ? CGROUP_UNKNOWN : cgroup_since(now, base);
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

uint64_t watch_oom_kills(const struct living *l)
{
	return cgroup_since(cgroup_oom_kills(l->s->cgroup), l->base.oom_kills);
}

void watch_forks(struct living *l)
{
	uint64_t hits = cgroup_pids_max_hits(l->s->cgroup);
	struct cgroup_stats st;

	if (!l->is_staged || cgroup_since(hits, l->base.pids_max_hits) == 0)
		return;
	/* at once: where there is no peak, it is only to be seen now */
	if (cgroup_stats(l->s->cgroup, &st, NULL) == 0)
		l->forks_above = cgroup_forks_are_refused_above(l->s->cgroup, &st, l->s->limits.pids_max);
}

static uint64_t deadline(const struct living *l)
{
	const bool is_staged_sooner = l->is_staged && l->wall_deadline_ns < l->life_deadline_ns;

	return is_staged_sooner ? l->wall_deadline_ns : l->life_deadline_ns;
}

static enum stop_notice notice(const struct living *l, uint64_t now_ns)
{
	if (now_ns < l->oom_until_ns)
		return STOP_TOLD_OOM;
	/* refused forks are announced nowhere, but where there is a peak it tells later */
	return l->oom.fd < 0 || l->base.pids_peak == CGROUP_UNKNOWN ? STOP_NOT_TOLD : STOP_TOLD_MOSTLY;
}

enum verdict_stop watch_look(struct living *l, uint64_t now_ns, uint64_t *ret_next)
{
	struct stop_limits limits = { .deadline_ns = deadline(l) };
	struct stop_seen seen = { .now_ns = now_ns };

	if (l->is_staged && l->cpu_ns) {
		limits.cpu_ns = l->cpu_ns;
		limits.cpus_milli = l->s->limits.cpu_max_milli;
		limits.n_cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
		seen.cpu_ns = cgroup_since(cgroup_cpu_usage_ns(l->s->cgroup), l->base.cpu_usage_ns);
	}
	if (l->is_staged && sandbox_host_cgroups(l->s->host)->is_hybrid) {
		seen.oom_kills = watch_oom_kills(l);
		seen.notice = notice(l, now_ns);
		watch_forks(l); /* they are only noted */
	}
	return stop_look(&limits, &seen, ret_next);
}

/*
 * How much more than at STAGE there was at once, at least. A peak that was passed since STAGE is that of the stage, otherwise
 * what there is now has to do. Where memory ran out what was held before has made room first: then it was all the stage's.
 */
static uint64_t memory_grown(const struct living *l, const struct cgroup_stats *now, const struct cgroup_stats *base)
{
	bool is_new =
		l->is_peak_new || (l->is_staged && cgroup_since(now->memory_peak_bytes, base->memory_peak_bytes) > 0);

	if (!l->is_staged || l->stop == STOP_MEMORY || cgroup_since(now->oom_kills, base->oom_kills) > 0 ||
	    cgroup_since(now->memory_max_hits, base->memory_max_hits) > 0)
		return now->memory_peak_bytes;
	return growth(is_new ? now->memory_peak_bytes : now->memory_now_bytes, base->memory_now_bytes);
}

/* Refused since the last look, where a peak still tells. */
static bool is_refused_above(const struct living *l, const struct cgroup_stats *now, const struct cgroup_stats *base)
{
	return l->is_staged && now->pids_peak != CGROUP_UNKNOWN &&
	       cgroup_since(now->pids_max_hits, base->pids_max_hits) > 0 &&
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
