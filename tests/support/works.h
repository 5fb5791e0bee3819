/*
 * The whole way of a job in a test: a real monitor in a process of its own, and this process as its front, with pool
 * and engine on a loop. No HTTP, no queue.
 *
 *   struct works w;
 *   works_open(&w, NULL);          an image with a shell (busybox) and the payload: runtimes "sh" and "copied"
 *   works_front(&w);
 *   json_t *r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"echo hi\"}");
 *   works_close(&w);
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "supervisor/jobs/engine.h"
#include "supervisor/protocol/monitor_client.h"
#include "supervisor/settings.h"

struct pool;
struct runtime_set;

struct works {
	char dir[512]; /* CUBIT_TEST_DIR */
	struct settings settings;
	pid_t monitor;
	int control; /* a socket in it: a new front's link */
	/* of the front */
	uv_loop_t loop;
	struct monitor_client *client;
	struct runtime_set *runtimes;
	struct pool *pool;
	struct engine *engine;
	int state_fd;
	bool is_adopted;
	/* what is done with sandboxes that have the tag of a job; NULL: cancelled */
	void (*adopt)(struct works *w, const struct monitor_adopt *m, struct sandbox_fds *fds);
	void *arg;
};

/* Why this cannot run here, or NULL. */
const char *works_unfit(void);

/*
 * images: path of an image store to use, with whatever runtimes are built in; NULL: the image of our own. Settings may be
 * changed before works_begin().
 */
void works_open(struct works *w, const char *images);
void works_begin(struct works *w); /* the monitor's process */
/* Be its front. The one before, in this process or another, must be gone. */
void works_front(struct works *w);
void works_front_close(struct works *w);
void works_close(struct works *w);

/* One job at work. */
struct works_job {
	struct works *works;
	struct job *job;
	json_t *result;     /* owned; once it is over */
	struct buf *events; /* "type:data\n" of each; owned, NULL unless asked for */
	bool is_over;
	uint64_t over_ns;
};
struct job_order works_order(struct works *w, struct works_job *j, const char *id, const char *text);
/* Begin; j must stay until it is over. Bails out when it is refused. */
void works_start(struct works *w, struct works_job *j, const char *text);
void works_wait(struct works *w, struct works_job *j);
void works_job_done(struct works_job *j);
/* Both; owned. */
json_t *works_run(struct works *w, const char *text);

/* Run the loop until fn says so, or bail out after three minutes. */
void works_until(struct works *w, bool (*fn)(void *arg), void *arg);
void works_sleep(struct works *w, unsigned ms);
/* Until n sandboxes stand ready. */
void works_ready(struct works *w, unsigned n);
