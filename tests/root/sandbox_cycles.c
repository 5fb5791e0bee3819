/*
 * Two thousand sandboxes, fifty alive at a time, some of them killed at any moment of their lives: nothing is left, and
 * the process that made them has not grown.
 *
 * # timeout: 280
 * # alone
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#ifdef __SANITIZE_ADDRESS__
#define RSS_SLACK_KIB (64 << 10) /* it keeps freed memory for a while, on purpose */
#else
#define RSS_SLACK_KIB 2048
#endif

enum {
	ALIVE_MAX = 50,
	ONE_IN = 20,       /* is killed; and as many are destroyed before they are ready */
	SET_UP_US = 3000,  /* about what a set-up takes: moments to kill at */
	DEVICE_SLACK = 64, /* numbers that the rest of the machine may have taken meanwhile */
};

/* One place for a living sandbox. */
struct slot {
	struct sandbox *s;
	int kill_in; /* cycles until it is killed; -1: it is not, or it was */
	bool is_killed;
};

static struct test_host host;
static struct slot slots[ALIVE_MAX];
static uint32_t seed = 20240607;
static struct {
	int ended, killed, early, failed;
	char why[512]; /* of the first failure */
} seen;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static void sleep_us(uint32_t us)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)us * 1000 }, NULL);
}

static void failed(const char *what, const char *text)
{
	if (seen.failed++ == 0)
		(void)snprintf(seen.why, sizeof(seen.why), "%s: %.480s", what, text);
}

static long rss_kib(void)
{
	cleanup_file FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	}
	return kib;
}

/* Everything it has to say, to the end of its process or its own. */
static void hear_out(struct slot *slot)
{
	static struct agent_event e;
	uint64_t deadline = clock_deadline_ns(GUEST_WAIT_MS * NS_PER_MS);
	struct error err = ERROR_INIT;
	int r = 1;

	while (r == 1) {
		struct pollfd p = { .fd = slot->s->sock, .events = POLLIN };
		uint16_t type;

		if (poll(&p, 1, clock_poll_ms(deadline)) <= 0) {
			failed("no answer", slot->s->id);
			return;
		}
		r = agent_receive(slot->s->sock, &e, MSG_DONTWAIT, &err);
		if (r != 1)
			break;
		type = e.header.type;
		agent_event_done(&e);
		if (type == AGENT_EXITED && e.any.exited.wait_status == 0) {
			seen.ended += !slot->is_killed;
			return;
		}
		if (type != AGENT_READY && type != AGENT_STARTED && !slot->is_killed)
			failed("unexpected",
			       type == AGENT_FAILED || type == AGENT_REFUSED ? e.any.failed.object : "end");
	}
	if (!slot->is_killed)
		failed("gone", err.text);
}

static void kill_now(struct slot *slot)
{
	/* two ways a sandbox may die without us: by its first process, and as a whole */
	if (rnd(2))
		(void)syscall(SYS_pidfd_send_signal, slot->s->pidfd, SIGKILL, NULL, 0);
	else
		(void)cgroup_kill(slot->s->cgroup, NULL);
	slot->is_killed = true;
	slot->kill_in = -1;
	seen.killed++;
}

static void destroy(struct slot *slot)
{
	struct error err = ERROR_INIT;

	if (sandbox_destroy(slot->s, TEST_DESTROY_MS, &err) < 0)
		failed("destroy", err.text);
	*slot = (struct slot){ .s = NULL, .kill_in = -1 };
}

static void create(struct slot *slot)
{
	const struct process_spec p = guest_process(ARGV("/bin/payload", "true"));
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;

	test_host_spec(&host, &spec);
	*slot = (struct slot){ .kill_in = rnd(ONE_IN) == 0 ? (int)rnd(ALIVE_MAX) : -1 };
	if (sandbox_create(host.host, &spec, &slot->s, &err) < 0 ||
	    agent_start(slot->s->sock, sandbox_next_seq(slot->s), &p, &err) < 0)
		failed("create", err.text);
}

static void cycle(struct slot *slot, int alive)
{
	if (slot->s) {
		hear_out(slot);
		destroy(slot);
	}
	create(slot);
	if (!slot->s)
		return;
	if (slot->kill_in < 0 && rnd(ONE_IN) == 0) { /* changed our mind at once, or nearly */
		sleep_us(rnd(SET_UP_US));
		destroy(slot);
		seen.early++;
		return;
	}
	if (slot->kill_in == 0)
		sleep_us(rnd(SET_UP_US));
	for (int i = 0; i < alive; i++)
		if (slots[i].s && slots[i].kill_in >= 0 && slots[i].kill_in-- == 0)
			kill_now(&slots[i]);
}

static void run_cycles(int cycles, int alive)
{
	uint64_t start_ns = clock_now_ns();
	long rss_then = 0, rss_now;
	struct leftovers full;
	double seconds;

	for (int i = 0; i < cycles; i++) {
		cycle(&slots[i % alive], alive);
		if (i == (cycles > 400 ? 200 : cycles / 2))
			rss_then = rss_kib();
	}
	rss_now = rss_kib();
	leftovers_count(&host, &full);
	diag("at the end, still alive: %ld groups, %ld claims, %ld children, %ld descriptors",
	     full.counts[LEFT_CGROUPS], full.counts[LEFT_CLAIMS], full.counts[LEFT_CHILDREN],
	     full.counts[LEFT_DESCRIPTORS]);
	/* one in twenty of them was destroyed early and has left its place empty */
	ok(full.counts[LEFT_CGROUPS] >= alive / 2 && full.counts[LEFT_CLAIMS] >= alive / 2 &&
		   full.counts[LEFT_CHILDREN] >= alive / 2,
	   "the counters count: they see those that are alive");
	for (int i = 0; i < alive; i++) {
		if (!slots[i].s)
			continue;
		hear_out(&slots[i]);
		destroy(&slots[i]);
	}
	seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	diag("%d cycles, %d alive at a time: %.1f s, %.0f a second", cycles, alive, seconds, cycles / seconds);
	diag("%d ended by themselves, %d were killed, %d destroyed early; RSS %ld KiB, then %ld KiB", seen.ended,
	     seen.killed, seen.early, rss_then, rss_now);
	is_int(seen.failed, 0, "every one that was left alone ran its program to the end %s", seen.why);
	ok(seen.killed >= cycles / ONE_IN / 4 && seen.early >= cycles / ONE_IN / 4,
	   "some were killed, some destroyed early");
	is_int(seen.ended + seen.early + seen.killed, cycles, "and no other fate befell any");
	ok(rss_now - rss_then <= RSS_SLACK_KIB, "this process has not grown: %ld KiB", rss_now - rss_then);
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before;
	struct slot first;
	long device, later;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	create(&first); /* makes what all share: the staging mount of older kernels */
	need(first.s, "a first sandbox %s", seen.why);
	hear_out(&first);
	destroy(&first);
	memset(&seen, 0, sizeof(seen));
	leftovers_count(&host, &before);
	device = leftovers_device();
	if (test_is_guest())
		run_cycles(150, 20); /* emulated */
	else
		run_cycles(2000, ALIVE_MAX);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	for (int i = 0; (later = leftovers_device()) > device + DEVICE_SLACK && i < 100; i++)
		sleep_us(100000); /* the kernel takes file systems down behind our back */
	ok(device > 0 && later <= device + DEVICE_SLACK,
	   "nor an instance of a file system: lowest free number %ld, then %ld", device, later);
	test_host_close(&host);
	return done_testing();
}
