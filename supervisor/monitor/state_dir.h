/*
 * The two directories of a node, and the locks that keep a second monitor out of them.
 *
 *   CUBIT_RUN    0755  cubit.sock, listen, monitor.lock; ids/ and owners/ (0700, idrange.h)
 *   CUBIT_STATE  0711  admin.key (0600), images/ (0700), monitor.lock
 *     front/     0700  the front's own: its user owns it
 *
 * Runs in: monitor, as root.
 */
#pragma once

#include <sys/types.h>

struct error;
struct settings;

struct state_dir {
	int run_fd, state_fd;
	int front_fd;             /* CUBIT_STATE/front */
	int run_lock, state_lock; /* held for as long as they are open, flock(2) */
	uid_t uid;                /* the front's identity */
	gid_t gid;
};

#define STATE_DIR_INIT                                                                                                 \
	{                                                                                                              \
		-1, -1, -1, -1, -1, 0, 0                                                                               \
	}

/*
 * Make what is missing, look up the front's user, take the locks. ret: state_dir_close().
 * Returns 0 or -errno: -EBUSY another monitor has one of the locks; -EINVAL CUBIT_USER is no account, or root, or a
 * directory that the service file hides (ProtectHome=).
 */
int state_dir_open(const struct settings *settings, struct state_dir *ret, struct error *err);
void state_dir_close(struct state_dir *s);
