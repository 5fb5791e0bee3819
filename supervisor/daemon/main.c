/*
 * cubitd: the daemon of one node.
 *
 * How it works
 *
 *   cubitd             the monitor. Root. Makes sandboxes, watches their limits, reads no network input
 *    │   │ └── agent sockets, pidfds, control groups of every sandbox; duplicates of what a new front needs
 *    │   └──── SOCK_SEQPACKET, monitor protocol (supervisor/protocol/proto.h)
 *    ├─ cubitd --front the front. User `cubit`, no capability, own filter. HTTP, jobs, queue, database
 *    │    └─── agent sockets, by SCM_RIGHTS from the monitor: it talks to the sandboxes itself
 *    └─ cubit-init     pid 1 of a sandbox, its processes below it
 *
 *   USER        PID  PPID COMMAND
 *   root        812     1 cubitd
 *   cubit       815   812  \_ cubitd --front
 *   1879048192  901   812  \_ cubit-init
 *   1879049192  903   901      \_ python3 main.py
 *
 * Descriptors of the front: 0 /dev/null; 1, 2 our standard error; 3 the monitor; 4 the unix socket; 5 its state
 * directory; from 6 on the TCP sockets (supervisor/monitor/monitor.h). Nothing else is open there.
 *
 * Who outlives whom: a front that dies is started again and handed every sandbox that lives; the listening sockets stay
 * open meanwhile. When the monitor dies, the front dies with it (PR_SET_PDEATHSIG), all agent sockets are closed, and
 * the jobs end; the next monitor removes what they left. What shall outlive the service has its group in another unit,
 * held by `cubitd --hold-cubes` (supervisor/monitor/keeper.h).
 *
 * Exit status: 0 stopped as asked; 1 failed; 2 a setting or the command line is wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/version.h"
#include "supervisor/daemon/routes.h"
#include "supervisor/front/front.h"
#include "supervisor/monitor/keeper.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/protocol/front_fds.h"
#include "supervisor/settings.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int fail(int status, const struct error *err)
{
	log_error(LOG_NONE, "cubitd: %s", err->text);
	return status;
}

static int with_settings(int (*fn)(const struct settings *s, struct error *err))
{
	struct error err = ERROR_INIT;
	struct settings s;
	int status;

	if (settings_load(&s, &err) < 0)
		return fail(EXIT_USAGE, &err);
	status = fn(&s, &err);
	if (status != EXIT_OK && err.code)
		status = fail(err.code == EINVAL ? EXIT_USAGE : status, &err);
	settings_done(&s);
	return status;
}

static int print_config(const struct settings *s, struct error *err)
{
	(void)err;
	settings_print(s, false, stdout);
	return EXIT_OK;
}

static int show_help(void)
{
	printf("usage: cubitd [--help | --version | --config]\n\n"
	       "Runs in the foreground until SIGTERM. Everything is set by the environment, by .env in the working\n"
	       "directory, or by /etc/cubit/cubit.env, in this order; --config prints what that comes to.\n\n");
	settings_help(stdout);
	return EXIT_OK;
}

static int show_version(void)
{
	printf("cubitd %s\n", CUBIT_VERSION);
	return EXIT_OK;
}

/* The monitor itself says what the front would die of: once, in a line, before anything is started. */
static int checked_monitor(const struct settings *s, struct error *err)
{
	int r = front_check(s, err);

	return r < 0 ? EXIT_USAGE : monitor_main(s, err);
}

static int be_monitor(void)
{
	return with_settings(checked_monitor);
}

static int be_keeper(void)
{
	return with_settings(keeper_main);
}

static int be_front(void)
{
	(void)prctl(PR_SET_NAME, "cubitd-front", 0, 0, 0); /* executed by descriptor, ps would show its number */
	return front_main(daemon_routes, daemon_openapi);
}

static int show_config(void)
{
	return with_settings(print_config);
}

static const struct mode {
	const char *argument;
	int (*fn)(void);
} modes[] = {
	{ "--help", show_help },      { "--version", show_version },
	{ "--config", show_config },  { KEEPER_ARGUMENT, be_keeper }, /* cubit-cubes.service */
	{ FRONT_ARGUMENT, be_front },                                 /* for the monitor, not for people */
};

int main(int argc, char **argv)
{
	if (argc == 1)
		return be_monitor();
	for (size_t i = 0; argc == 2 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].argument) == 0)
			return modes[i].fn();
	}
	fprintf(stderr, "cubitd: takes --help, --version or --config, or nothing\n");
	return EXIT_USAGE;
}
