/* One living sandbox: what sandboxes.c and watch.c share. Runs in: monitor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/digest.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/verdict.h"
#include "supervisor/monitor/loop.h"
#include "supervisor/protocol/proto.h"

struct image_entry;
struct sandbox;
struct sandboxes;

enum living_state {
	LIVING_UP,
	LIVING_STOPPING,  /* we ended it at a limit and said STOPPED; pid 1 still dies */
	LIVING_KILLED,    /* the front ended it; pid 1 still dies */
	LIVING_DEAD,      /* pid 1 is gone; FINISH is awaited */
	LIVING_FINISHING, /* FINISH came; FACTS follow when pid 1 is gone */
	LIVING_ENDING,    /* nobody asks any more; pid 1 still dies */
	LIVING_GONE,      /* to be removed */
	LIVING_STATES,
};

struct living {
	struct sandboxes *set; /* borrowed */
	enum living_state state;
	char id[MONITOR_ID_BYTES];
	char policy[MONITOR_ID_BYTES];
	struct digest policy_digest, compile_policy_digest; /* the latter "": no other */
	struct image_entry *image;                          /* image_release() */
	struct sandbox *s;                                  /* owned; its socket is a duplicate of the front's */
	int journal[3];                                     /* stdout, stderr, index */
	uint64_t disk_bytes;
	uint8_t tag[MONITOR_TAG_MAX];
	uint32_t tag_size;

	/* the front cannot put this off: totals.h. It ends as if its wall clock had run out */
	uint64_t life_deadline_ns;

	/* since the last STAGE */
	bool is_staged;
	struct cgroup_stats base;
	bool is_peak_new;          /* the peak of memory is that since STAGE */
	uint64_t cpu_ns;           /* 0: no such clock */
	uint64_t wall_deadline_ns; /* CLOCK_NEVER */
	enum verdict_stop stop;    /* the first cause */
	bool forks_above;          /* refused above the sandbox, when that was last looked at */

	bool is_killed; /* by the front */
	uint32_t finish_seq;
	uint64_t dead_by_ns; /* while it dies: when to complain */
	struct loop_source death, pids, oom;
	uint64_t
		oom_until_ns; /* memory ran out a moment ago: until then what the kernel killed may not be counted yet */
};

/* ---- watch.c ---- */

/* Start what STAGE asks for: base, clocks. */
void watch_stage(struct living *l, const struct monitor_stage *m);

/* Is a limit reached? *ret_next: otherwise when to look again. For LIVING_UP. Costs a few reads in the group. */
enum verdict_stop watch_look(struct living *l, uint64_t now_ns, uint64_t *ret_next);

/* How many the kernel killed for memory since the STAGE. */
uint64_t watch_oom_kills(const struct living *l);

/* A fork was refused: note where, if it was since the STAGE, and re-arm the event. The program goes on: EAGAIN is its matter. */
void watch_forks(struct living *l);

void watch_facts(const struct living *l, struct monitor_facts *ret);
