/* The front's numbers, checked again: see ceilings.h. */
#include "supervisor/monitor/ceilings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "policies/builtin.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/protocol/proto.h"
#include "supervisor/settings.h"

enum {
	MEMORY_MIN = 1 << 20,
	DISK_MIN = 64 << 10,
	WALL_GRACE_S = 10, /* the front's backstop may lie this far behind the limit itself */
};

static int check_number(const char *name, uint64_t value, uint64_t min, uint64_t max, struct error *err)
{
	if (value < min)
		return error_set(err, ERANGE, "%s is %" PRIu64 ", below its minimum of %" PRIu64, name, value, min);
	if (value > max)
		return error_set(err, ERANGE, "%s is %" PRIu64 ", above the ceiling of %" PRIu64, name, value, max);
	return 0;
}

/* min 0: a 0 means "as it is". */
static int check_limits(const struct settings *s, uint64_t memory, uint64_t processes, uint64_t cpus, bool may_be_none,
			struct error *err)
{
	int r = 0;

	if (memory || !may_be_none)
		r = check_number("memory_bytes", memory, MEMORY_MIN, s->max_memory, err);
	if (r == 0 && (processes || !may_be_none))
		r = check_number("processes", processes, 1, s->max_processes, err);
	if (r == 0 && (cpus || !may_be_none))
		r = check_number("cpus_milli", cpus, 1, s->max_cpus_milli, err);
	return r;
}

/* Whoever the front says has asked: what the operator did not allow on this node is not to be had. */
static int check_policy(const struct settings *s, const char *name, struct error *err)
{
	const struct policy_builtin *policy = policy_builtin_find(name);

	if (policy && policy->is_admins && !s->allow_unconfined)
		return error_set(err, EPERM, "policy '%s': not allowed on this node (CUBIT_ALLOW_UNCONFINED)", name);
	if (s->allow_policies[0] && !text_has_word(s->allow_policies, name))
		return error_set(err, EPERM, "policy '%s': not allowed on this node (CUBIT_ALLOW_POLICIES)", name);
	return 0;
}

static int check_clocks(const struct settings *s, const struct monitor_stage *m, struct error *err)
{
	const uint64_t cpus = (s->max_cpus_milli + 999) / 1000;
	int r = check_number("wall_ns", m->wall_ns, 0, s->max_wall_ns + WALL_GRACE_S * NS_PER_S, err);

	return r < 0 ? r : check_number("cpu_ns", m->cpu_ns, 0, s->max_wall_ns * (cpus ? cpus : 1), err);
}

int ceilings_create(const struct settings *s, const struct monitor_create *m, struct error *err)
{
	int r = parse_id(m->id, err);

	if (r == 0)
		r = check_limits(s, m->memory_bytes, m->processes, m->cpus_milli, false, err);
	if (r == 0)
		r = check_number("disk_bytes", m->disk_bytes, DISK_MIN, s->max_disk, err);
	if (r == 0 && m->network != MONITOR_NETWORK_NONE)
		r = error_set(err, EINVAL, "network %u: there is no such kind", m->network);
	if (r == 0)
		r = check_policy(s, m->policy, err);
	if (r == 0 && m->compile_policy[0])
		r = check_policy(s, m->compile_policy, err);
	return r;
}

int ceilings_stage(const struct settings *s, const struct monitor_stage *m, struct error *err)
{
	int r = check_limits(s, m->memory_bytes, m->processes, m->cpus_milli, true, err);

	if (r == 0)
		r = check_clocks(s, m, err);
	if (r == 0 && m->disk_bytes)
		r = check_number("disk_bytes", m->disk_bytes, DISK_MIN, s->max_disk, err);
	return r;
}
