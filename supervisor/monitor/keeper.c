/* Holding the group of what outlives the service: see keeper.h. */
#include "supervisor/monitor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/cgroup/cgroup_keeper.h"
#include "supervisor/monitor/notify.h"
#include "supervisor/settings.h"

static int open_run_dir(const char *path, int *ret, struct error *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make directory '%s'", path);
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? error_errno(err, errno, "open directory '%s'", path) : 0;
}

static void wait_for_the_end(const sigset_t *ends)
{
	int signal_number;

	while (sigwait(ends, &signal_number) != 0)
		;
}

int keeper_main(const struct settings *settings, struct error *err)
{
	cleanup_fd int run_fd = -1, lock = -1;
	sigset_t ends;
	int r;

	(void)prctl(PR_SET_NAME, "cubitd-keeper", 0, 0, 0);
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
		return error_errno(err, errno, "sigprocmask"), 1;
	r = open_run_dir(settings->run_dir, &run_fd, err);
	if (r == 0)
		r = cgroup_keeper_announce(run_fd, &lock, err);
	if (r < 0) {
		(void)error_wrap(err, "hold the group of cubes");
		return 1;
	}
	log_notice(LOG_NONE, "holding the control group of sandboxes that outlive the service");
	notify_send("READY=1\nSTATUS=holding the control group");
	wait_for_the_end(&ends);
	notify_send("STOPPING=1");
	return 0;
}
