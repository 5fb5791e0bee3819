/* A helper: a forked child with the identity of the payload that makes one call for the host, then ends. See init.h. */
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

int helper_fork(struct init *in, uint32_t seq, uint32_t uid, uint32_t gid)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct identity id;
	struct proc *p;
	pid_t pid;

	if (identity_resolve(in, uid, gid, &id) < 0) {
		(void)fail(&f, AGENT_STAGE_CREDENTIALS, "uid or gid 0");
		reply_refused(in, seq, &f);
		return -1;
	}
	p = proc_new(in, PROC_HELPER, seq);
	pid = p ? fork() : -1;
	if (pid == 0) {
		fd_close(&in->loadavg_fd); /* a path that leads to /proc/self/fd shall not find the machine's load */
		if (restrict_identity(&id, "/", &f) < 0) {
			reply_refused(in, seq, &f);
			_exit(1);
		}
		return 0;
	}
	if (pid < 0) {
		(void)fail(&f, AGENT_STAGE_FORK, "helper");
		if (p)
			proc_release(p);
		reply_refused(in, seq, &f);
		return -1;
	}
	p->pid = pid;
	p->state = PROC_RUNNING;
	return 1;
}
