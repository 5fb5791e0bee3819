/* The living sandboxes: see sandboxes.h. */
#include "supervisor/monitor/sandboxes.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policies/compile.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/core_sched.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/sandbox.h"
#include "supervisor/monitor/ceilings.h"
#include "supervisor/monitor/front_link.h"
#include "supervisor/monitor/image_table.h"
#include "supervisor/monitor/living.h"
#include "supervisor/monitor/netns_pool.h"
#include "supervisor/monitor/policy_table.h"
#include "supervisor/monitor/totals.h"
#include "supervisor/settings.h"

enum {
	DYING_MAX_S = 5,        /* then something is wrong, and it is said */
	BURY_TIMEOUT_MS = 1000, /* of one whose processes are all gone already */
	DISK_BYTES_AN_INODE = 4096,
	INODES_MIN = 1024,
	OOM_LOOK_MS = 500, /* after memory ran out: for so long it is looked whether the kernel killed */
};

struct sandboxes {
	struct sandboxes_env env;
	struct living *all[SANDBOXES_MAX];
	size_t n;
	size_t n_gone; /* LIVING_GONE among them */
	bool has_news; /* something happened that moves the next look: sandboxes_have_news() */
};

static struct living *find(const struct sandboxes *set, const char *id)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->all[i]->id, id) == 0)
			return set->all[i];
	}
	return NULL;
}

/* ---- states and events ---- */

enum living_event {
	EV_LIMIT,  /* watch_look() gave a cause: l->stop */
	EV_KILL,   /* the front: end everything inside */
	EV_FINISH, /* the front: facts, then remove; l->finish_seq */
	EV_DIED,   /* pid 1 and with it everything is gone */
	EV_FRONT_GONE,
	EV_OVERDUE, /* it should be dead by now */
	LIVING_EVENTS,
};

static void kill_all(struct living *l)
{
	struct error err = ERROR_INIT;

	if (cgroup_kill(l->s->cgroup, &err) < 0) {
		log_warning(LOG_FACTS(LOG_STR("sandbox", l->id)), "%s, killing its pid 1", err.text);
		(void)syscall(SYS_pidfd_send_signal, l->s->pidfd, SIGKILL, NULL, 0); /* dead already is as good */
	}
	l->dead_by_ns = clock_deadline_ns(DYING_MAX_S * NS_PER_S);
}

static void say_stopped(const struct living *l)
{
	struct monitor_stopped m = { .stop = l->stop };

	(void)snprintf(m.id, sizeof(m.id), "%s", l->id);
	front_link_send(l->set->env.link, MONITOR_STOPPED, 0, &m, NULL, 0);
}

static void answer_facts(const struct living *l, uint32_t seq)
{
	struct monitor_facts facts;

	watch_facts(l, &facts);
	front_link_send(l->set->env.link, MONITOR_FACTS, seq, &facts, NULL, 0);
}

static void say_facts(const struct living *l)
{
	answer_facts(l, l->finish_seq);
}

static void on_limit(struct living *l)
{
	l->state = LIVING_STOPPING;
	kill_all(l);
	say_stopped(l);
}

static void on_kill(struct living *l)
{
	l->state = LIVING_KILLED;
	l->is_killed = true;
	kill_all(l);
}

/* Its processes are of no interest any more: the facts of now are the facts. */
static void finish_living(struct living *l)
{
	say_facts(l);
	l->state = LIVING_ENDING;
	kill_all(l);
}

static void finish_dying(struct living *l)
{
	l->state = LIVING_FINISHING;
}

static void be_gone(struct living *l)
{
	l->state = LIVING_GONE;
	l->set->n_gone++;
}

static void finish_dead(struct living *l)
{
	say_facts(l);
	be_gone(l);
}

static void died(struct living *l)
{
	l->state = LIVING_DEAD;
	say_stopped(l);
}

/* STOPPED was said when we ended it. */
static void died_stopped(struct living *l)
{
	l->state = LIVING_DEAD;
}

static void abandon(struct living *l)
{
	l->state = LIVING_ENDING;
}

/* The front that killed it would have sent FINISH; its successor does not know of it. */
static void abandon_dead(struct living *l)
{
	if (l->is_killed)
		be_gone(l);
}

static void complain(struct living *l)
{
	log_error(LOG_FACTS(LOG_STR("sandbox", l->id), LOG_INT("pid", l->s->pid)),
		  "a sandbox does not die within %d s, trying again", DYING_MAX_S);
	kill_all(l);
}

/* The front shall not wait for what may never come. */
static void finish_overdue(struct living *l)
{
	complain(l);
	say_facts(l);
	l->state = LIVING_ENDING;
}

typedef void action_fn(struct living *l);

/* clang-format off */
static action_fn *const actions[LIVING_STATES][LIVING_EVENTS] = {
	[LIVING_UP]        = { [EV_LIMIT] = on_limit, [EV_KILL] = on_kill, [EV_FINISH] = finish_living, [EV_DIED] = died },
	[LIVING_STOPPING]  = { [EV_FINISH] = finish_dying, [EV_DIED] = died_stopped, [EV_OVERDUE] = complain },
	[LIVING_KILLED]    = { [EV_FINISH] = finish_dying, [EV_DIED] = died, [EV_FRONT_GONE] = abandon, [EV_OVERDUE] = complain },
	[LIVING_DEAD]      = { [EV_FINISH] = finish_dead, [EV_FRONT_GONE] = abandon_dead },
	[LIVING_FINISHING] = { [EV_DIED] = finish_dead, [EV_FRONT_GONE] = abandon, [EV_OVERDUE] = finish_overdue },
	[LIVING_ENDING]    = { [EV_DIED] = be_gone, [EV_OVERDUE] = complain },
}; /* an empty cell: nothing to do */
/* clang-format on */

static void happen(struct living *l, enum living_event event)
{
	action_fn *action = actions[l->state][event];

	if (action)
		action(l);
	if (l->state != LIVING_UP) {
		loop_remove(l->set->env.loop, &l->pids);
		loop_remove(l->set->env.loop, &l->oom);
	}
}

static void on_death(uint32_t events, void *arg)
{
	struct living *l = arg;

	(void)events;
	loop_remove(l->set->env.loop, &l->death);
	happen(l, EV_DIED);
}

static void limit_reached(struct living *l, enum verdict_stop stop)
{
	l->stop = stop;
	happen(l, EV_LIMIT);
}

static void on_pids(uint32_t events, void *arg)
{
	struct living *l = arg;

	(void)events;
	watch_forks(l);
}

/* Who will be killed is not counted yet. */
static void on_oom(uint32_t events, void *arg)
{
	struct living *l = arg;
	eventfd_t times;

	(void)events;
	(void)eventfd_read(l->oom.fd, &times); /* whatever it says: it is quiet again */
	l->oom_until_ns = clock_deadline_ns(OOM_LOOK_MS * NS_PER_MS);
	l->set->has_news = true;
}

bool sandboxes_have_news(struct sandboxes *set)
{
	bool has_news = set->has_news;

	set->has_news = false;
	return has_news;
}

uint64_t sandboxes_check(struct sandboxes *set, uint64_t now_ns)
{
	uint64_t next = CLOCK_NEVER;

	for (size_t i = 0; i < set->n; i++) {
		struct living *l = set->all[i];
		uint64_t own = CLOCK_NEVER;

		if (l->state == LIVING_UP) {
			enum verdict_stop stop = watch_look(l, now_ns, &own);

			if (stop != STOP_NONE)
				limit_reached(l, stop);
		} else if (l->state != LIVING_DEAD && l->state != LIVING_GONE && l->dead_by_ns <= now_ns) {
			happen(l, EV_OVERDUE);
		}
		if (l->state != LIVING_UP && l->state != LIVING_DEAD && l->state != LIVING_GONE)
			own = l->dead_by_ns;
		next = own < next ? own : next;
	}
	return next;
}

/* ---- CREATE ---- */

/* Those that are being removed have been killed: they count no more, or a busy front would wait for the kernel. */
static bool counts(const struct living *l)
{
	return l->state != LIVING_ENDING && l->state != LIVING_GONE;
}

/* memory_bytes: more, of one sandbox; n: 1 when it is a new one. */
static int check_totals(const struct sandboxes *set, size_t n, uint64_t memory_bytes, struct error *err)
{
	const struct totals *t = set->env.totals;

	for (size_t i = 0; i < set->n; i++) {
		if (!counts(set->all[i]))
			continue;
		n++;
		memory_bytes += set->all[i]->s->limits.memory_max_bytes;
	}
	if (n > t->sandboxes)
		return error_set(err, EAGAIN, "there are %zu sandboxes, the most that these settings need",
				 t->sandboxes);
	if (memory_bytes > t->memory_bytes)
		return error_set(err, EAGAIN,
				 "the memory limits of all sandboxes would be %" PRIu64
				 " bytes together, above %" PRIu64 " (CUBIT_TOTAL_MEMORY)",
				 memory_bytes, t->memory_bytes);
	return 0;
}

static int check_create(const struct sandboxes *set, const struct monitor_create *m, struct error *err)
{
	int r = ceilings_create(set->env.settings, m, err);

	if (r < 0)
		return r;
	if (find(set, m->id))
		return error_set(err, EEXIST, "there is a sandbox '%s' already", m->id);
	if (set->n == SANDBOXES_MAX)
		return error_set(err, EAGAIN, "there are %d sandboxes, the most that are possible", SANDBOXES_MAX);
	return check_totals(set, 1, m->memory_bytes, err);
}

static int open_journal(struct living *l, struct error *err)
{
	for (size_t i = 0; i < 3; i++) {
		int fd = totals_journal(l->set->env.totals, err);

		if (fd < 0)
			return fd;
		l->journal[i] = fd;
	}
	return 0;
}

/* Takes half-built objects. Its processes are gone, or never were. */
static void living_free(struct living *l, unsigned timeout_ms)
{
	struct error err = ERROR_INIT;

	loop_remove(l->set->env.loop, &l->death);
	loop_remove(l->set->env.loop, &l->pids);
	loop_remove(l->set->env.loop, &l->oom);
	if (sandbox_destroy(l->s, timeout_ms, &err) < 0)
		log_error(LOG_FACTS(LOG_STR("sandbox", l->id)),
			  "cannot remove a sandbox, the next start of cubitd will: %s", err.text);
	for (size_t i = 0; i < 3; i++)
		fd_close(&l->journal[i]);
	image_release(l->set->env.images, l->image);
	free(l);
}

static struct living *living_new(struct sandboxes *set, const struct monitor_create *m)
{
	struct living *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->set = set;
	l->death = l->pids = l->oom = (struct loop_source)LOOP_SOURCE_INIT;
	l->journal[0] = l->journal[1] = l->journal[2] = -1;
	l->wall_deadline_ns = CLOCK_NEVER;
	l->life_deadline_ns = clock_deadline_ns(set->env.totals->unused_ns);
	l->disk_bytes = m->disk_bytes;
	memcpy(l->id, m->id, sizeof(l->id));
	memcpy(l->policy, m->policy, sizeof(l->policy));
	memcpy(l->tag, m->tag, sizeof(l->tag));
	l->tag_size = m->tag_size;
	return l;
}

/* compile: NULL where there is no other */
static int create_sandbox(struct living *l, const struct monitor_create *m, const struct policy_filter *filter,
			  const struct policy_filter *compile, struct error *err)
{
	const uint64_t inodes = m->disk_bytes / DISK_BYTES_AN_INODE;
	cleanup_fd int net = netns_pool_take(l->set->env.nets, err); /* the sandbox keeps it alive */
	struct sandbox_spec spec;

	if (net < 0)
		return net;
	sandbox_spec_defaults(&spec);
	spec.id = l->id;
	spec.limits.memory_max_bytes = m->memory_bytes;
	spec.limits.pids_max = m->processes + 1ULL; /* and our pid 1 */
	spec.limits.cpu_max_milli = m->cpus_milli;
	spec.layers = image_layers(l->image, &spec.n_layers);
	spec.disk.size_bytes = m->disk_bytes;
	spec.disk.inodes = inodes < INODES_MIN ? INODES_MIN : inodes;
	spec.filter = filter->program;
	spec.filter_bytes = filter->n_instructions * sizeof(*filter->program);
	if (compile) {
		spec.compile_filter = compile->program;
		spec.compile_filter_bytes = compile->n_instructions * sizeof(*compile->program);
	}
	spec.netns_fd = net;
	spec.keep_stdio = true;
	spec.ptys = l->set->env.totals->ptys;
	spec.core_sched = l->set->env.settings->core_sched && core_sched_probe() == CORE_SCHED_HAVE;
	return sandbox_create(l->set->env.host, &spec, &l->s, err);
}

static int watch_living(struct living *l, struct error *err)
{
	struct loop *loop = l->set->env.loop;
	int pids = cgroup_pids_event_fd(l->s->cgroup), oom = cgroup_oom_event_fd(l->s->cgroup);
	int r = loop_add(loop, &l->death, l->s->pidfd, EPOLLIN, on_death, l, err);

	if (r == 0 && pids >= 0)
		r = loop_add(loop, &l->pids, pids, EPOLLPRI, on_pids, l, err);
	if (r == 0 && oom >= 0)
		r = loop_add(loop, &l->oom, oom, EPOLLIN, on_oom, l, err);
	return r;
}

static int build(struct living *l, const struct monitor_create *m, struct error *err)
{
	cleanup_policy_filter struct policy_filter *filter = NULL, *compile = NULL;
	struct error why = ERROR_INIT;
	int r = image_use(l->set->env.images, m->manifest, &l->image, &why);

	if (r < 0) /* not there or not whole is told apart from a policy that is not there: other nodes may have it */
		return error_set(err, r == -ENOENT || r == -EIO ? ENOMEDIUM : -r, "%s", why.text);
	r = policy_table_get(l->set->env.policies, m->policy, &filter, &l->policy_digest, err);
	if (r == 0 && m->compile_policy[0])
		r = policy_table_get(l->set->env.policies, m->compile_policy, &compile, &l->compile_policy_digest, err);
	if (r == 0)
		r = open_journal(l, err);
	if (r == 0)
		r = create_sandbox(l, m, filter, compile, err);
	if (r == 0)
		r = watch_living(l, err);
	return r;
}

/* The descriptors of a sandbox in the order of the protocol. */
static void living_fds(const struct living *l, int ret[MONITOR_FDS_SANDBOX])
{
	ret[0] = l->s->sock;
	memcpy(ret + 1, l->journal, sizeof(l->journal));
}

int sandboxes_create(struct sandboxes *set, uint32_t seq, const struct monitor_create *m, struct error *err)
{
	struct monitor_created answer = { .policy_digest = "" };
	int fds[MONITOR_FDS_SANDBOX];
	struct living *l;
	int r = check_create(set, m, err);

	if (r < 0)
		return r;
	l = living_new(set, m);
	if (!l)
		return error_errno(err, ENOMEM, "sandbox '%s'", m->id);
	r = build(l, m, err);
	if (r < 0) {
		living_free(l, DYING_MAX_S * 1000);
		return r;
	}
	set->all[set->n++] = l;
	memcpy(answer.policy_digest, l->policy_digest.text, sizeof(answer.policy_digest));
	memcpy(answer.compile_policy_digest, l->compile_policy_digest.text, sizeof(answer.compile_policy_digest));
	living_fds(l, fds);
	front_link_send(set->env.link, MONITOR_CREATED, seq, &answer, fds, MONITOR_FDS_SANDBOX);
	log_info(LOG_FACTS(LOG_STR("sandbox", l->id), LOG_INT("pid", l->s->pid), LOG_STR("policy", l->policy)),
		 "sandbox made");
	return 0;
}

/* ---- the other requests ---- */

static int find_up(const struct sandboxes *set, const char *id, struct living **ret, struct error *err)
{
	struct living *l = find(set, id);

	if (!l || l->state == LIVING_FINISHING || l->state == LIVING_ENDING || l->state == LIVING_GONE)
		return error_set(err, ENOENT, "no sandbox '%s'", id);
	*ret = l;
	return 0;
}

/* Only what differs is written; 0 stays as it is. */
static int change_limits(struct living *l, const struct monitor_stage *m, struct error *err)
{
	const struct cgroup_limits *now = &l->s->limits;
	struct cgroup_limits change = { 0 };

	if (m->memory_bytes && m->memory_bytes != now->memory_max_bytes)
		change.memory_max_bytes = m->memory_bytes;
	if (m->processes && m->processes + 1ULL != now->pids_max)
		change.pids_max = m->processes + 1ULL;
	if (m->cpus_milli && m->cpus_milli != now->cpu_max_milli)
		change.cpu_max_milli = m->cpus_milli;
	if (!change.memory_max_bytes && !change.pids_max && !change.cpu_max_milli)
		return 0;
	return sandbox_change_limits(l->s, &change, err);
}

static int change_disk(struct living *l, uint64_t bytes, struct error *err)
{
	int r = bytes && bytes != l->disk_bytes ? rootfs_resize(l->s->disk_fd, bytes, err) : 0;

	if (r == 0 && bytes)
		l->disk_bytes = bytes;
	return r;
}

/*
 * A limit below what the sandbox holds already. v1 refuses to set it (EBUSY), v2 kills the whole group at once: either way
 * the program has reached its limit before it did anything.
 */
static bool is_beyond(const struct living *l, int code)
{
	return code == -EBUSY || (code == 0 && watch_oom_kills(l) > 0);
}

int sandboxes_stage(struct sandboxes *set, uint32_t seq, const struct monitor_stage *m, struct error *err)
{
	struct living *l = NULL;
	int r = find_up(set, m->id, &l, err);

	if (r == 0)
		r = ceilings_stage(set->env.settings, m, err);
	if (r == 0 && m->memory_bytes > l->s->limits.memory_max_bytes)
		r = check_totals(set, 0, m->memory_bytes - l->s->limits.memory_max_bytes, err);
	if (r == 0 && l->state != LIVING_UP)
		r = error_set(err, ESRCH, "sandbox '%s' has ended", m->id);
	if (r < 0)
		return r;
	if (!l->is_staged)
		l->life_deadline_ns = clock_deadline_ns(set->env.totals->life_ns);
	watch_stage(l, m); /* before the limits change: what that kills is the stage's */
	r = change_disk(l, m->disk_bytes, err);
	if (r == 0)
		r = change_limits(l, m, err);
	if (is_beyond(l, r))
		limit_reached(l, STOP_MEMORY);
	else if (r < 0)
		return r;
	front_link_send(set->env.link, MONITOR_DONE, seq, NULL, NULL, 0);
	return 0;
}

int sandboxes_finish(struct sandboxes *set, uint32_t seq, const struct monitor_finish *m, struct error *err)
{
	struct living *l = NULL;
	int r = find_up(set, m->id, &l, err);

	if (r < 0)
		return r;
	l->finish_seq = seq;
	happen(l, EV_FINISH);
	return 0;
}

int sandboxes_measure(struct sandboxes *set, uint32_t seq, const struct monitor_measure *m, struct error *err)
{
	struct living *l = NULL;
	int r = find_up(set, m->id, &l, err);

	if (r == 0)
		answer_facts(l, seq);
	return r;
}

void sandboxes_kill(struct sandboxes *set, const struct monitor_kill *m)
{
	struct living *l = find(set, m->id);

	if (l)
		happen(l, EV_KILL);
}

void sandboxes_tag(struct sandboxes *set, const struct monitor_tag *m)
{
	struct living *l = find(set, m->id);

	if (!l)
		return;
	memcpy(l->tag, m->tag, sizeof(l->tag));
	l->tag_size = m->tag_size;
}

/* ---- fronts come and go ---- */

void sandboxes_front_gone(struct sandboxes *set)
{
	for (size_t i = 0; i < set->n; i++)
		happen(set->all[i], EV_FRONT_GONE);
}

static bool is_offered(const struct living *l)
{
	return l->state == LIVING_UP || l->state == LIVING_STOPPING || l->state == LIVING_DEAD;
}

uint32_t sandboxes_count_offered(const struct sandboxes *set)
{
	uint32_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += is_offered(set->all[i]);
	return n;
}

static void offer(const struct living *l)
{
	struct monitor_adopt m = {
		.memory_bytes = l->s->limits.memory_max_bytes,
		.disk_bytes = l->disk_bytes,
		.processes = (uint32_t)(l->s->limits.pids_max - 1),
		.cpus_milli = (uint32_t)l->s->limits.cpu_max_milli,
		.stop = l->stop,
		.tag_size = l->tag_size,
	};
	int fds[MONITOR_FDS_SANDBOX];

	memcpy(m.id, l->id, sizeof(m.id));
	memcpy(m.manifest, image_manifest(l->image)->text, sizeof(m.manifest));
	memcpy(m.policy, l->policy, sizeof(m.policy));
	memcpy(m.policy_digest, l->policy_digest.text, sizeof(m.policy_digest));
	memcpy(m.tag, l->tag, sizeof(m.tag));
	living_fds(l, fds);
	front_link_send(l->set->env.link, MONITOR_ADOPT, 0, &m, fds, MONITOR_FDS_SANDBOX);
}

void sandboxes_offer(struct sandboxes *set)
{
	for (size_t i = 0; i < set->n; i++) {
		if (is_offered(set->all[i]))
			offer(set->all[i]);
	}
	/* what the last front was told, this one was not */
	for (size_t i = 0; i < set->n; i++) {
		if (set->all[i]->state == LIVING_STOPPING || set->all[i]->state == LIVING_DEAD)
			say_stopped(set->all[i]);
	}
}

/* ---- the set ---- */

struct sandboxes *sandboxes_new(const struct sandboxes_env *env)
{
	struct sandboxes *set = calloc(1, sizeof(*set));

	if (set)
		set->env = *env;
	return set;
}

size_t sandboxes_count(const struct sandboxes *set)
{
	return set->n;
}

bool sandboxes_bury_one(struct sandboxes *set)
{
	for (size_t i = 0; set->n_gone > 0 && i < set->n; i++) {
		struct living *l = set->all[i];

		if (l->state != LIVING_GONE)
			continue;
		set->all[i] = set->all[--set->n];
		set->n_gone--;
		log_info(LOG_FACTS(LOG_STR("sandbox", l->id)), "sandbox removed");
		living_free(l, BURY_TIMEOUT_MS);
		break;
	}
	return set->n_gone > 0;
}

void sandboxes_free(struct sandboxes *set, unsigned timeout_ms)
{
	uint64_t deadline = clock_deadline_ns(timeout_ms * NS_PER_MS);

	if (!set)
		return;
	for (size_t i = 0; i < set->n; i++) /* all at once, then wait for each */
		kill_all(set->all[i]);
	while (set->n > 0) {
		int left = clock_poll_ms(deadline);

		living_free(set->all[--set->n], left > BURY_TIMEOUT_MS ? (unsigned)left : BURY_TIMEOUT_MS);
	}
	free(set);
}
