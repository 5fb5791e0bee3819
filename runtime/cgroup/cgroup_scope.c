/* Asking systemd for a group of our own: see cgroup_scope.h. */
#include "runtime/cgroup/cgroup_scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup_host.h"

#define MARK "CUBIT_SCOPE" /* in the environment of the second try: there is no third */

enum { CMDLINE_MAX = 4 << 20 };

static bool is_group_taken(void)
{
	struct cgroup_host host;
	struct error e = ERROR_INIT;

	if (cgroup_host_open(&host, &e) < 0)
		return e.code == EBUSY;
	cgroup_host_done(&host); /* we are in its leaf now, where the next who opens it finds us */
	return false;
}

/* Our own arguments behind those of systemd-run; NULL when that cannot be had. Lives until exec. */
static char **arguments(struct buf *cmdline, char *program, size_t room)
{
	static const char *const ask[] = { "systemd-run", "--quiet", "--scope", "-p", "Delegate=yes", "--" };
	enum { N_ASK = sizeof(ask) / sizeof(ask[0]) };
	ssize_t length = readlink("/proc/self/exe", program, room - 1);
	size_t n = 0;
	char **all;

	if (length <= 0 || fd_read_file(AT_FDCWD, "/proc/self/cmdline", CMDLINE_MAX, cmdline, NULL) < 0)
		return NULL;
	program[length] = '\0';
	all = calloc(N_ASK + cmdline->size + 2, sizeof(*all)); /* no argument is shorter than its NUL */
	if (!all)
		return NULL;
	for (; n < N_ASK; n++)
		all[n] = (char *)ask[n]; /* execvp(3) writes to none */
	all[n++] = program;
	for (char *at = cmdline->data, *end = at + cmdline->size; (at += strlen(at) + 1) < end;)
		all[n++] = at;
	return all;
}

void cgroup_scope_enter(void)
{
	cleanup_buf struct buf cmdline = BUF_BOUNDED(CMDLINE_MAX);
	char program[4096];
	char **all;

	if (geteuid() != 0 || getenv(MARK) || access("/run/systemd/system", F_OK) < 0 || !is_group_taken())
		return;
	all = arguments(&cmdline, program, sizeof(program));
	if (all && setenv(MARK, "1", 1) == 0) {
		(void)execvp(all[0], all); /* without systemd-run we go on as we are */
		(void)unsetenv(MARK);
	}
	free(all);
}
