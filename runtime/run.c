/* One process to its verdict: see run.h. */
#include "runtime/run.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/sandbox.h"
#include "runtime/stop.h"

enum {
	CHUNK_BYTES = 64 << 10,
	TURN_MAX_MS = 50, /* at least this often it is looked whether a signal handler has cancelled */
	READY_TIMEOUT_S = 30,
	KILL_TIMEOUT_MS = 5000,
};

enum slot { SLOT_SOCK, SLOT_STDIN, SLOT_STDOUT, SLOT_STDERR, SLOT_PIDS, SLOT_INIT, SLOT_INPUT, SLOTS };

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_OVER };

struct run {
	struct sandbox *s;
	const struct run_spec *spec;
	struct run_result *ret;
	struct verdict_facts facts;
	struct stop_limits limits; /* the deadline from its start on */
	enum phase phase;
	uint32_t seq;
	uint64_t begun_ns; /* request sent */
	uint64_t start_ns, end_ns;
	struct cgroup_stats base; /* counters before this process: taken when asked for, cpu time again at its start */
	int stdio[3];
	/* input not yet written: from memory, or a chunk of input_fd */
	const char *in_data;
	size_t in_left;
	bool in_ended;
	char in_chunk[CHUNK_BYTES]; /* from here on not cleared */
	struct agent_event event;
	char out[CHUNK_BYTES];
};

static void stop(struct run *r, enum verdict_stop why)
{
	if (why != STOP_NONE && r->facts.stop == STOP_NONE && r->phase != PHASE_OVER) {
		r->facts.stop = why;
		r->end_ns = clock_now_ns();
		(void)cgroup_kill(r->s->cgroup, NULL); /* pid 1's end, or the timeout below, tells how it went */
	}
}

static void take_cpu_base(struct run *r)
{
	struct cgroup_stats st;

	if (cgroup_stats(r->s->cgroup, &st, NULL) < 0)
		return;
	r->base.cpu_usage_ns = st.cpu_usage_ns;
	r->base.cpu_user_ns = st.cpu_user_ns;
	r->base.cpu_system_ns = st.cpu_system_ns;
}

/* ---- what arrives ---- */

static void take_stdio(struct run *r)
{
	bool has_stdin = r->spec->process->stdio == AGENT_STDIO_PIPES;
	size_t n = 0;

	if (r->event.n_fds != (has_stdin ? 3u : 2u)) {
		stop(r, STOP_INTERNAL);
		return;
	}
	for (size_t i = has_stdin ? 0 : 1; i < 3; i++) {
		r->stdio[i] = fd_take(&r->event.fds[n++]);
		(void)fd_set_nonblock(r->stdio[i], 1);
	}
	if (r->in_ended && r->in_left == 0 && !r->spec->hold_stdin)
		fd_close(&r->stdio[0]);
}

/* The agent's clock reading is more exact than ours, but only believed between what we saw ourselves. */
static uint64_t believe(uint64_t claimed, uint64_t earliest)
{
	uint64_t now = clock_now_ns();

	return claimed < earliest ? earliest : claimed > now ? now : claimed;
}

static void on_event(struct run *r)
{
	const struct agent_event *e = &r->event;

	switch (e->header.type) {
	case AGENT_READY:
		return;
	case AGENT_FAILED:
	case AGENT_REFUSED:
		if (e->header.type == AGENT_REFUSED && e->header.seq != r->seq)
			break;
		r->facts.is_refused = true;
		r->facts.refused_stage = e->any.failed.stage;
		r->facts.refused_code = e->any.failed.code < 4096 ? (int)e->any.failed.code : EPROTO;
		r->phase = PHASE_OVER;
		return;
	case AGENT_STARTED:
		if (e->header.seq != r->seq || r->phase != PHASE_STARTING)
			break;
		r->start_ns = believe(e->any.started.at_ns, r->begun_ns);
		r->phase = PHASE_RUNNING;
		if (r->spec->limits.wall_ns)
			r->limits.deadline_ns = r->start_ns + r->spec->limits.wall_ns;
		take_cpu_base(r); /* what the set-up cost is not the payload's */
		take_stdio(r);
		return;
	case AGENT_EXITED:
		if (e->header.seq != r->seq || r->phase != PHASE_RUNNING)
			break;
		r->facts.has_status = true;
		r->facts.wait_status = (int)e->any.exited.wait_status;
		r->facts.never_began = e->any.exited.never_began;
		if (r->facts.stop == STOP_NONE)
			r->end_ns = believe(e->any.exited.at_ns, r->start_ns);
		r->phase = PHASE_OVER;
		return;
	default:
		break;
	}
	stop(r, STOP_INTERNAL);
}

static void serve_socket(struct run *r)
{
	while (r->phase != PHASE_OVER) {
		int n = agent_receive(r->s->sock, &r->event, MSG_DONTWAIT, NULL);

		if (n == -EAGAIN)
			return;
		if (n == 0) { /* pid 1 is gone */
			r->phase = PHASE_OVER;
			return;
		}
		if (n < 0) {
			stop(r, STOP_INTERNAL);
			return;
		}
		on_event(r);
		agent_event_done(&r->event);
	}
}

/* Read what is there now. Returns false at end of file or when the pipe is empty. */
static bool read_output(struct run *r, int stream)
{
	int *fd = &r->stdio[stream];
	uint64_t *seen = &r->ret->output_bytes[stream - 1], room = stop_output_room(&r->limits, *seen);
	ssize_t n = read(*fd, r->out, sizeof(r->out));
	enum verdict_stop why;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		fd_close(fd);
		return false;
	}
	why = stop_look(&r->limits, &(const struct stop_seen){ .output_bytes = *seen + (uint64_t)n }, NULL);
	if (why != STOP_NONE) {
		r->ret->is_cut[stream - 1] = true;
		n = (ssize_t)room;
	}
	*seen += (uint64_t)n;
	if (n > 0 && r->spec->on_output && r->spec->on_output(stream, r->out, (size_t)n, r->spec->arg) != 0)
		stop(r, STOP_CANCEL);
	if (r->ret->is_cut[stream - 1]) {
		/* ended by itself with the rest still in the pipe: over the limit all the same */
		if (r->facts.stop == STOP_NONE && r->phase == PHASE_OVER)
			r->facts.stop = why;
		stop(r, why);
		fd_close(fd);
		return false;
	}
	return true;
}

static void refill_input(struct run *r)
{
	ssize_t n = read(r->spec->input_fd, r->in_chunk, sizeof(r->in_chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		r->in_ended = true;
		if (!r->spec->hold_stdin)
			fd_close(&r->stdio[0]);
		return;
	}
	r->in_data = r->in_chunk;
	r->in_left = (size_t)n;
}

static void write_input(struct run *r)
{
	ssize_t n = write(r->stdio[0], r->in_data, r->in_left);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* EPIPE: it does not read on, which is its right */
		fd_close(&r->stdio[0]);
		r->in_left = 0;
		r->in_ended = true;
		return;
	}
	r->in_data += n;
	r->in_left -= (size_t)n;
	if (r->in_left == 0 && r->in_ended && !r->spec->hold_stdin)
		fd_close(&r->stdio[0]);
}

/* ---- limits ---- */

static void on_pids_event(struct run *r)
{
	struct cgroup_stats st;

	if (r->facts.stop != STOP_NONE || cgroup_since(cgroup_pids_max_hits(r->s->cgroup), r->base.pids_max_hits) == 0)
		return;
	/* at once: where there is no peak, it is only to be seen now */
	if (cgroup_stats(r->s->cgroup, &st, NULL) == 0)
		r->facts.forks_above = cgroup_forks_are_refused_above(r->s->cgroup, &st, r->s->limits.pids_max);
}

/* Look at every limit; returns when to look again. */
static uint64_t check_limits(struct run *r)
{
	struct stop_seen seen = { .now_ns = clock_now_ns() };
	uint64_t turn_ns = seen.now_ns + TURN_MAX_MS * NS_PER_MS, look_ns = turn_ns;

	if (r->spec->cancel && *r->spec->cancel)
		stop(r, STOP_CANCEL);
	if (r->phase == PHASE_STARTING) {
		if (seen.now_ns - r->begun_ns > READY_TIMEOUT_S * NS_PER_S)
			stop(r, STOP_INTERNAL);
		return turn_ns;
	}
	if (r->limits.cpu_ns)
		seen.cpu_ns = cgroup_since(cgroup_cpu_usage_ns(r->s->cgroup), r->base.cpu_usage_ns);
	if (sandbox_host_cgroups(r->s->host)->is_hybrid) {
		seen.oom_kills = cgroup_since(cgroup_oom_kills(r->s->cgroup), r->base.oom_kills);
		seen.notice = STOP_NOT_TOLD;
		on_pids_event(r);
	}
	stop(r, stop_look(&r->limits, &seen, &look_ns));
	return look_ns < turn_ns ? look_ns : turn_ns;
}

/* ---- the loop ---- */

static void prepare_poll(struct run *r, struct pollfd p[SLOTS])
{
	bool wants_input = r->stdio[0] >= 0 && r->in_left == 0 && !r->in_ended;

	p[SLOT_SOCK] = (struct pollfd){ .fd = r->s->sock, .events = POLLIN };
	p[SLOT_STDIN] = (struct pollfd){ .fd = r->in_left ? r->stdio[0] : -1, .events = POLLOUT };
	p[SLOT_STDOUT] = (struct pollfd){ .fd = r->stdio[1], .events = POLLIN };
	p[SLOT_STDERR] = (struct pollfd){ .fd = r->stdio[2], .events = POLLIN };
	p[SLOT_PIDS] = (struct pollfd){ .fd = cgroup_pids_event_fd(r->s->cgroup), .events = POLLPRI };
	p[SLOT_INIT] = (struct pollfd){ .fd = r->s->pidfd, .events = POLLIN };
	p[SLOT_INPUT] = (struct pollfd){ .fd = wants_input ? r->spec->input_fd : -1, .events = POLLIN };
}

static int turn(struct run *r, uint64_t deadline)
{
	struct pollfd p[SLOTS];

	prepare_poll(r, p);
	if (poll(p, SLOTS, clock_poll_ms(deadline)) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[SLOT_STDOUT].revents)
		(void)read_output(r, 1);
	if (p[SLOT_STDERR].revents)
		(void)read_output(r, 2);
	if (p[SLOT_STDIN].revents)
		write_input(r);
	if (p[SLOT_INPUT].revents)
		refill_input(r);
	if (p[SLOT_PIDS].revents & POLLPRI)
		on_pids_event(r);
	if (p[SLOT_SOCK].revents)
		serve_socket(r);
	else if (p[SLOT_INIT].revents)
		r->phase = PHASE_OVER; /* dead, and everything it had to say was read */
	return 0;
}

/* The process is over; its output may still be in the pipes. Others may hold them open: take what is there. */
static void drain(struct run *r)
{
	for (int stream = 1; stream <= 2; stream++) {
		while (r->stdio[stream] >= 0 && read_output(r, stream))
			;
	}
}

/* Killed: wait until pid 1 is gone, so that the counters are final. */
static void wait_dead(const struct run *r)
{
	struct pollfd p = { .fd = r->s->pidfd, .events = POLLIN };

	(void)poll(&p, 1, KILL_TIMEOUT_MS); /* if it does not die, sandbox_destroy will say so */
}

static void gather(struct run *r)
{
	struct rootfs_usage usage;
	struct cgroup_stats *st = &r->ret->stats;

	(void)cgroup_stats(r->s->cgroup, st, NULL); /* unknown numbers stay unknown */
	rootfs_usage(r->s->disk_fd, &usage);
	r->ret->disk_bytes = usage.used_bytes;
	r->ret->disk_inodes = usage.used_inodes;
	r->facts.disk_is_full = usage.is_full;
	/* it never started: what the set-up died of before we took the base counts as well */
	r->facts.oom_kills = r->start_ns ? cgroup_since(st->oom_kills, r->base.oom_kills) : st->oom_kills;
	r->facts.pids_max_hits = cgroup_since(st->pids_max_hits, r->base.pids_max_hits);
	r->facts.oom_is_above = cgroup_oom_is_above(st, r->start_ns ? &r->base : &(const struct cgroup_stats){ 0 },
						    r->s->limits.memory_max_bytes);
	r->facts.forks_above |= st->pids_peak != CGROUP_UNKNOWN && r->facts.pids_max_hits > 0 &&
				cgroup_forks_are_refused_above(r->s->cgroup, st, r->s->limits.pids_max);
	if (r->start_ns) {
		r->ret->cpu_ns = cgroup_since(st->cpu_usage_ns, r->base.cpu_usage_ns);
		r->ret->user_ns = cgroup_since(st->cpu_user_ns, r->base.cpu_user_ns);
		r->ret->system_ns = cgroup_since(st->cpu_system_ns, r->base.cpu_system_ns);
	}
	if (r->start_ns)
		r->ret->wall_ns = (r->end_ns ? r->end_ns : clock_now_ns()) - r->start_ns;
	verdict_decide(&r->facts, &r->ret->verdict);
}

static int begin(struct run *r, struct error *err)
{
	int e = cgroup_stats(r->s->cgroup, &r->base, err);

	if (e < 0)
		return e;
	r->seq = sandbox_next_seq(r->s);
	r->begun_ns = clock_now_ns();
	return agent_start(r->s->sock, r->seq, r->spec->process, err);
}

int run_process(struct sandbox *s, const struct run_spec *spec, struct run_result *ret, struct error *err)
{
	static struct run the_run; /* too large for a stack; this caller is single-threaded */
	struct run *r = &the_run;
	int e;

	*ret = (struct run_result){ .wall_ns = 0 };
	memset(r, 0, offsetof(struct run, in_chunk));
	r->s = s;
	r->spec = spec;
	r->ret = ret;
	r->stdio[0] = r->stdio[1] = r->stdio[2] = -1;
	r->in_data = spec->input;
	r->in_left = spec->input ? spec->input_size : 0;
	r->in_ended = spec->input_fd < 0 && !spec->hold_stdin;
	r->limits = (struct stop_limits){ .cpu_ns = spec->limits.cpu_ns,
					  .output_bytes = spec->limits.output_bytes,
					  .cpus_milli = s->limits.cpu_max_milli,
					  .n_cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) };
	r->facts.wall_limit_ns = spec->limits.wall_ns;
	r->facts.cpu_limit_ns = spec->limits.cpu_ns;
	r->facts.output_limit_bytes = spec->limits.output_bytes;
	r->facts.memory_limit_bytes = s->limits.memory_max_bytes;
	r->facts.pids_limit = s->limits.pids_max;
	e = begin(r, err);
	while (e == 0 && r->phase != PHASE_OVER) {
		uint64_t next = check_limits(r), dead_by = r->end_ns + KILL_TIMEOUT_MS * NS_PER_MS;

		e = turn(r, r->facts.stop != STOP_NONE ? dead_by : next);
		if (r->facts.stop != STOP_NONE && clock_now_ns() >= dead_by)
			break; /* sandbox_destroy will say that it does not die */
	}
	if (e == 0) {
		if (r->facts.stop != STOP_NONE || (!r->facts.has_status && !r->facts.is_refused))
			wait_dead(r);
		drain(r);
		gather(r);
	}
	for (int i = 0; i < 3; i++)
		fd_close(&r->stdio[i]);
	return e;
}
