/*
 * The front's side of the monitor protocol on the libuv loop: requests with callbacks, and what the monitor says by
 * itself. Sending never blocks: what does not fit the socket waits in a bounded queue.
 *
 * Callbacks run on the loop, never from inside the call that asked. The monitor going away ends the front: without
 * it nothing can be made, and it is the monitor's successor that starts the next front.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "supervisor/protocol/proto.h"

struct error;
struct monitor_client;

/* A sandbox's descriptors, owned by whoever gets them. */
struct sandbox_fds {
	int sock;            /* agent protocol, non-blocking */
	int out, err, index; /* journal files */
};
void sandbox_fds_close(struct sandbox_fds *fds);

struct monitor_handlers {
	void (*welcome)(const struct monitor_welcome *m, void *arg);
	void (*adopt)(const struct monitor_adopt *m, struct sandbox_fds *fds,
		      void *arg);   /* fds: take, or they are closed */
	void (*adopted)(void *arg); /* after the last ADOPT, also when there was none */
	void (*stopped)(const struct monitor_stopped *m, void *arg);
	void (*reload)(void *arg);
	void (*drain)(void *arg);
	void (*gone)(void *arg); /* end of file, or a message that is none */
	void *arg;
};

/* sock: owned from here on. ret: monitor_client_free(), after the loop ran its close callbacks. */
int monitor_client_new(uv_loop_t *loop, int sock, const struct monitor_handlers *handlers, struct monitor_client **ret,
		       struct error *err);
void monitor_client_free(struct monitor_client *c);

/* Each callback is called exactly once. e is NULL when it went well. */
typedef void monitor_image_fn(const struct error *e, const struct monitor_image *image, int *config_fd, void *arg);
typedef void monitor_created_fn(const struct error *e, const struct monitor_created *m, struct sandbox_fds *fds,
				void *arg);
typedef void monitor_done_fn(const struct error *e, void *arg);
typedef void monitor_facts_fn(const struct error *e, const struct monitor_facts *f, void *arg);

typedef void monitor_policies_fn(const struct error *e, int *list_fd, void *arg);

/* Return 0, or -errno (-EAGAIN: too much is waiting) and then no callback comes. fds, *config_fd and *list_fd: take, or closed. */
int monitor_resolve_image(struct monitor_client *c, const char *name, monitor_image_fn *fn, void *arg);
int monitor_create_sandbox(struct monitor_client *c, const struct monitor_create *m, monitor_created_fn *fn, void *arg);
int monitor_set_stage(struct monitor_client *c, const struct monitor_stage *m, monitor_done_fn *fn, void *arg);
int monitor_finish_sandbox(struct monitor_client *c, const char *id, monitor_facts_fn *fn, void *arg);
int monitor_measure_sandbox(struct monitor_client *c, const char *id, monitor_facts_fn *fn, void *arg);
int monitor_ask_policies(struct monitor_client *c, monitor_policies_fn *fn, void *arg);
int monitor_kill_sandbox(struct monitor_client *c, const char *id);
int monitor_tag_sandbox(struct monitor_client *c, const char *id, const void *tag, size_t size);
int monitor_say_state(struct monitor_client *c, enum monitor_state state, const char *text);
