/* Inside of the monitor, for monitor.c, requests.c and tests that play the front: see monitor.h. Runs in: monitor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/digest.h"
#include "supervisor/monitor/front_link.h"
#include "supervisor/monitor/front_process.h"
#include "supervisor/monitor/listen.h"
#include "supervisor/monitor/netns_pool.h"
#include "supervisor/monitor/state_dir.h"
#include "supervisor/monitor/totals.h"

struct error;
struct image_table;
struct policy_table;
struct sandbox_host;
struct sandboxes;
struct settings;
struct store;

struct monitor {
	const struct settings *settings; /* borrowed */
	struct state_dir dirs;
	struct sandbox_host *host;
	struct store *store;
	struct image_table *images;
	struct policy_table *policies;
	struct netns_pool nets;
	struct totals totals;
	struct sandboxes *sandboxes;
	struct loop *loop;
	struct front_link link;
	char boot_id[40];
	uint32_t front_number;
	uint64_t next_check_ns; /* clocks of sandboxes */
	uint64_t next_age_ns;   /* images nobody uses */

	/* only with a front of our own: monitor_main() */
	struct listeners listeners;
	struct digest admin_hash;
	struct front_process front;
	struct loop_source front_death, signals;
	int signal_fd;
	bool has_listened;         /* some front said so */
	char front_end[80];        /* how the last front ended, in words */
	unsigned n_failed;         /* fronts in a row that did not live long */
	uint64_t start_at_ns;      /* when to start the next front; CLOCK_NEVER */
	uint64_t kill_front_at_ns; /* it should have ended by then; CLOCK_NEVER */
	uint64_t ping_at_ns;       /* when to ask the front whether it is alive; CLOCK_NEVER: it has not listened yet */
	unsigned n_pings;          /* without an answer */
	bool has_ponged;           /* this front has answered once: from then on silence means that it hangs */
	uint64_t watchdog_ns, watchdog_at_ns; /* of the service manager: how often we say that we are alive */
	bool is_stopping;
	unsigned n_interrupts;
	bool is_over;
	int exit_status;
};

/*
 * Everything but a front: directories and locks, sandbox host (in a mount namespace of this process's own), leftovers
 * of a dead monitor ended, image store, policies, loop. ret: monitor_close(), which ends all sandboxes.
 */
int monitor_open(const struct settings *settings, struct monitor **ret, struct error *err);
void monitor_close(struct monitor *m);

/* A front is at the other end of sock, which is owned from here on: WELCOME, and ADOPT for each sandbox. */
int monitor_attach_front(struct monitor *m, int sock, struct error *err);

/* One round: wait at most max_ms for something (-1: until there is), do what is due. Returns 0 or -errno. */
int monitor_turn(struct monitor *m, int max_ms, struct error *err);

/* ---- requests.c ---- */

/* A message of the front's, for front_link.message. arg: struct monitor. */
void requests_serve(const struct frame_header *h, const union monitor_any *any, void *arg);
