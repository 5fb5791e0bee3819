/* The control group that outlives the service: see cgroup_keeper.h. */
#include "runtime/cgroup/cgroup_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/cgroup/cgroup_host.h"

enum { PID_TEXT = 24 };

static int check_controllers(const struct cgroup_host *host, struct error *err)
{
	static const enum cgroup_controller needed[] = { CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS };

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		const struct cgroup_place *p = &host->controllers[needed[i]];

		if (p->version != CGROUP_V2)
			return error_set(err, ENOTSUP, "controller '%s' is not on cgroup v2 in '%s'%s%s",
					 cgroup_controller_name(needed[i]), host->v2.base_path,
					 p->why_not[0] ? ": " : "", p->why_not);
	}
	return 0;
}

static int prepare_own(struct error *err)
{
	struct cgroup_host host;
	int r = cgroup_host_open(&host, err);

	if (r < 0)
		return r;
	r = check_controllers(&host, err);
	cgroup_host_done(&host); /* the group stays: its leaf holds us */
	return r;
}

int cgroup_keeper_announce(int run_fd, int *ret_lock, struct error *err)
{
	cleanup_fd int fd = openat(run_fd, CGROUP_KEEPER_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char text[PID_TEXT];
	int r;

	if (fd < 0)
		return error_errno(err, errno, "open '" CGROUP_KEEPER_FILE "' in the run directory");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? error_set(err, EBUSY, "another keeper lives")
					    : error_errno(err, errno, "lock '" CGROUP_KEEPER_FILE "'");
	r = prepare_own(err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		return error_errno(err, errno, "write '" CGROUP_KEEPER_FILE "'");
	*ret_lock = fd_take(&fd);
	return 0;
}

/* The pid of the keeper that holds the lock, or -ENOENT. */
static int living_keeper(int run_fd, struct error *err)
{
	cleanup_fd int fd = openat(run_fd, CGROUP_KEEPER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[PID_TEXT] = "";
	uint64_t pid;

	/* a lock that can be had is nobody's: the kernel takes it from the dead */
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return error_set(err, ENOENT, "no keeper lives: is cubit-cubes.service running?");
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return error_set(err, ENOENT, "the keeper is just starting");
	text[strcspn(text, "\n")] = '\0';
	if (parse_u64(text, 1, INT32_MAX, &pid, NULL) < 0)
		return error_set(err, EINVAL, "'" CGROUP_KEEPER_FILE "' in the run directory holds no pid");
	return (int)pid;
}

int cgroup_keeper_open(int run_fd, struct cgroup_host *ret, struct error *err)
{
	struct cgroup_host host;
	int pid = living_keeper(run_fd, err), r;

	if (pid < 0)
		return pid;
	r = cgroup_host_open_of(pid, &host, err);
	if (r < 0)
		return r;
	/* still the same one? Else the pid may have been somebody else's when its group was looked up. */
	r = living_keeper(run_fd, err);
	if (r >= 0)
		r = r == pid ? check_controllers(&host, err) : error_set(err, ENOENT, "the keeper has just changed");
	if (r < 0) {
		cgroup_host_done(&host);
		return r;
	}
	*ret = host;
	return 0;
}
