/*
 * Start `cubit-worker KIND`: a process of its own for one slow task, that confines itself before it reads anything a
 * stranger wrote. It starts with no environment, no signals blocked or handled, and exactly these descriptors: 0 and 1
 * /dev/null, 2 our stderr, 3 one end of a SOCK_SEQPACKET pair, 4 and up what the caller gives, in order. It is killed
 * when the thread that started it ends.
 *
 * Runs in: monitor, the cubit command. Does not block but for the exec.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct error;

enum { WORKER_CONTROL_FD = 3, WORKER_FIRST_FD = 4, WORKER_FDS_MAX = 8 };

struct worker {
	int pidfd;   /* -1: none */
	int control; /* our end */
	pid_t pid;
};

/*
 * path    of the program; NULL: cubit-worker beside the running program
 * fds     borrowed; become 4, 5, ...
 * Returns 0, or -errno: -ENOENT no such program.
 */
int worker_spawn(const char *path, const char *kind, const int *fds, size_t n_fds, struct worker *ret,
		 struct error *err);

/* End it if it still runs, reap it, close what we hold. *ret_status as waitpid(2) gives it; NULL: not wanted. */
void worker_end(struct worker *w, int *ret_status);

/* "exit status 3", "killed by signal 31 (Bad system call)" */
void worker_describe(int status, char *ret, size_t bytes);
