/*
 * A supervisor that is killed: its jobs end by themselves, and the next supervisor removes what they left. A cube that
 * was made to survive lives on, with its id range.
 *
 * # timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

enum { JOB, CUBE, HALF_MADE, KINDS };

static struct test_host host;
static struct guest guest;
static char ids[KINDS][65];

static const char *make(int kind)
{
	const struct process_spec sleeper = guest_process(ARGV("/bin/payload", "ignore"));
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	test_host_spec(&host, &spec);
	spec.survive_peer = kind == CUBE;
	if (sandbox_create(host.host, &spec, &s, &err) < 0)
		return "create";
	(void)snprintf(ids[kind], sizeof(ids[kind]), "%s", s->id);
	if (kind == HALF_MADE)
		return NULL;
	if (sandbox_wait_ready(s, TEST_READY_MS, &err) < 0)
		return "ready";
	guest_init(&guest, s);
	return guest_wait_open(&guest, guest_start(&guest, &sleeper)) ? NULL : "start";
}

/* Another supervisor on the same run directory: makes one sandbox of each kind and says so. Does not return. */
static void be_supervisor(int to)
{
	struct error err = ERROR_INIT;
	char verdict = '+';

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	host.host = NULL; /* the parent's: not ours to close */
	(void)close(host.guard_fd);
	host.n_ids += 100;
	if (test_host_reopen(&host, 0, &err) < 0)
		verdict = '-';
	for (int kind = 0; kind < KINDS && verdict == '+'; kind++)
		if (make(kind))
			verdict = '-';
	(void)!write(to, &verdict, 1);
	(void)!write(to, ids, sizeof(ids));
	for (;;)
		(void)pause();
}

static void make_and_kill(void)
{
	char verdict = 0;
	int from[2];
	pid_t pid;

	need(pipe2(from, O_CLOEXEC) == 0, "a pipe");
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		be_supervisor(from[1]);
	need(read(from[0], &verdict, 1) == 1 && verdict == '+' &&
		     read(from[0], ids, sizeof(ids)) == (ssize_t)sizeof(ids),
	     "another supervisor makes a job, a cube, and begins a third");
	ok(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "and is killed");
	(void)close(from[0]);
	(void)close(from[1]);
}

static bool is_alive(const char *id)
{
	struct cgroup *cg = NULL;
	bool is_populated;

	if (cgroup_open(sandbox_host_cgroups(host.host), id, &cg, NULL) < 0)
		return false;
	is_populated = cgroup_is_populated(cg);
	cgroup_close(cg);
	return is_populated;
}

static bool ends(const char *id)
{
	for (int i = 0; i < 500 && is_alive(id); i++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	return !is_alive(id);
}

static void reopen(void)
{
	struct error err = ERROR_INIT;

	need(test_host_reopen(&host, 0, &err) == 0, "the next supervisor opens %s", err.text);
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before, now;
	struct cgroup *cg = NULL;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	leftovers_count(&host, &before);
	make_and_kill();
	ok(ends(ids[JOB]), "the job ends with its supervisor");
	ok(ends(ids[HALF_MADE]), "so does the one in the middle of its set-up");
	ok(is_alive(ids[CUBE]), "the cube lives on");
	leftovers_count(&host, &now);
	is_int(now.counts[LEFT_CLAIMS], 3, "all three claims are still there");
	reopen();
	leftovers_count(&host, &now);
	is_int(now.counts[LEFT_CLAIMS], 1, "the next supervisor gives back two of them");
	ok(cgroup_open(sandbox_host_cgroups(host.host), ids[JOB], &cg, NULL) == -ENOENT &&
		   cgroup_open(sandbox_host_cgroups(host.host), ids[HALF_MADE], &cg, NULL) == -ENOENT,
	   "and removes their groups");
	ok(is_alive(ids[CUBE]), "the cube lives on, with its group and its claim");
	need(cgroup_open(sandbox_host_cgroups(host.host), ids[CUBE], &cg, &err) == 0, "it can be found %s", err.text);
	ok(cgroup_kill(cg, &err) == 0 && ends(ids[CUBE]), "and killed %s", err.text);
	cgroup_close(cg);
	reopen();
	leftovers_count(&host, &now);
	is_int(now.counts[LEFT_CLAIMS], before.counts[LEFT_CLAIMS], "then its claim is given back");
	is_int(now.counts[LEFT_CGROUPS], before.counts[LEFT_CGROUPS], "and its group is gone");
	is_int(now.counts[LEFT_HOST_MOUNTS], before.counts[LEFT_HOST_MOUNTS], "no mount is left");
	test_host_close(&host);
	return done_testing();
}
