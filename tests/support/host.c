/* A sandbox host for tests: see host.h. */
#include "tests/support/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/support/leftovers.h"

bool test_is_guest(void)
{
	const char *tier = getenv("CUBIT_TEST_TIER");

	return tier && strcmp(tier, "vm") == 0;
}

const char *test_host_unfit(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (!getenv("CUBIT_TEST_DIR") || !getenv("CUBIT_BUILD"))
		return "needs CUBIT_TEST_DIR and CUBIT_BUILD: start it with tests/run";
	return NULL;
}

static int copy_file(const char *from, const char *to, struct error *err)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = -1;
	ssize_t n;

	if (in < 0)
		return error_errno(err, errno, "open '%s'", from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (out < 0)
		return error_errno(err, errno, "make '%s'", to);
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0) {
	}
	return n < 0 ? error_errno(err, errno, "copy '%s'", from) : 0;
}

int test_host_mkdir(const struct test_host *h, const char *name)
{
	char path[640];

	(void)snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int test_host_reopen(struct test_host *h, uint32_t id_count, struct error *err)
{
	const struct sandbox_host_options o = {
		.run_dir = h->run_dir,
		.id_base = h->id_base,
		.id_count = id_count ? id_count : TEST_ID_COUNT,
	};

	int r;

	sandbox_host_close(h->host);
	h->host = NULL;
	r = sandbox_host_open(&o, &h->host, err);
	if (r < 0)
		return r;
	/* what neighbours mount is not to reach us: it would be counted */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, errno, "keep the mounts of others out");
	/* directories of the former mount namespace cannot be cloned any more */
	fd_close(&h->layer_fd);
	h->layer_fd = test_host_mkdir(h, "rootfs");
	return h->layer_fd < 0 ? error_errno(err, errno, "make a root file system in '%s'", h->dir) : 0;
}

static int make_rootfs(struct test_host *h, struct error *err)
{
	char from[600], to[600];
	cleanup_fd int bin = test_host_mkdir(h, "rootfs/bin");

	if (bin < 0)
		return error_errno(err, errno, "make a root file system in '%s'", h->dir);
	(void)snprintf(from, sizeof(from), "%s/tests/payload", getenv("CUBIT_BUILD"));
	if (access(from, R_OK) < 0) /* a build with sanitizers makes its own; either will do */
		return error_errno(err, errno, "find '%s'", from);
	(void)snprintf(to, sizeof(to), "%s/rootfs/bin/payload", h->dir);
	return copy_file(from, to, err);
}

static int compile_policy(struct test_host *h, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct policy_context context;
	int r = policy_lookup("default", &profile, err);

	if (r == 0)
		r = policy_context_host(0, &context, err);
	return r < 0 ? r : policy_compile(profile, &context, &h->filter, err);
}

static int remove_ours(const char *id, void *prefix)
{
	struct cgroup_host at;
	struct cgroup *cg = NULL;

	if (strncmp(id, prefix, strlen(prefix)) != 0 || cgroup_host_probe(&at, NULL) < 0)
		return 0;
	if (cgroup_open(&at, id, &cg, NULL) == 0) {
		(void)cgroup_kill(cg, NULL);
		(void)cgroup_destroy(cg, TEST_DESTROY_MS, NULL); /* nobody is left to be told */
	}
	cgroup_host_done(&at);
	return 0;
}

/*
 * A test that crashes or is killed must leave nothing either, not even a cube that survives its peer: a process of its
 * own session waits for the test's end, and removes what bears its prefix.
 */
static int start_guard(struct test_host *h, struct error *err)
{
	struct cgroup_host at;
	int life[2];

	if (pipe2(life, O_CLOEXEC) < 0)
		return error_errno(err, errno, "pipe");
	h->guard_pid = fork();
	if (h->guard_pid < 0)
		return error_errno(err, errno, "fork a guard");
	if (h->guard_pid == 0) {
		char none;

		(void)setsid();
		(void)dup2(life[0], STDIN_FILENO);
		(void)close_range(1, ~0U, 0); /* standard output as well: who reads it waits for its end */
		while (read(STDIN_FILENO, &none, 1) < 0 && errno == EINTR) {
		}
		if (cgroup_host_probe(&at, NULL) == 0)
			(void)cgroup_each(&at, remove_ours, h->prefix, NULL);
		_exit(0);
	}
	h->guard_fd = life[1];
	(void)close(life[0]);
	return 0;
}

/*
 * The first sandbox of a process makes what all share (older kernels: the staging mount): before anybody counts. And it
 * proves that the count sees a sandbox that is there: without that, "nothing is left" would say nothing.
 */
static int make_first(struct test_host *h, struct error *err)
{
	static const enum leftover seen[] = { LEFT_CGROUPS, LEFT_CLAIMS, LEFT_CHILDREN, LEFT_DESCRIPTORS };
	struct leftovers before, during;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	int r;

	leftovers_count(h, &before);
	test_host_spec(h, &spec);
	r = test_sandbox(h, &spec, &s, err);
	if (r < 0)
		return r;
	leftovers_count(h, &during);
	r = sandbox_destroy(s, TEST_DESTROY_MS, err);
	for (size_t i = 0; r == 0 && i < sizeof(seen) / sizeof(seen[0]); i++)
		if (during.counts[seen[i]] <= before.counts[seen[i]])
			r = error_set(err, ENODATA, "what is left is counted, but a sandbox that is there is not (%d)",
				      (int)seen[i]);
	return r;
}

int test_host_open(struct test_host *ret, uint32_t id_count, struct error *err)
{
	const uint32_t pid = (uint32_t)getpid();
	int r;

	*ret = (struct test_host){
		.layer_fd = -1,
		.guard_fd = -1,
		.id_base = id_slot_base(),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	(void)snprintf(ret->dir, sizeof(ret->dir), "%s", getenv("CUBIT_TEST_DIR"));
	(void)snprintf(ret->run_dir, sizeof(ret->run_dir), "%s/run", ret->dir);
	(void)snprintf(ret->prefix, sizeof(ret->prefix), "t%u-", pid);
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "network namespace");
	r = test_host_reopen(ret, id_count, err);
	if (r == 0)
		r = make_rootfs(ret, err);
	if (r == 0)
		r = compile_policy(ret, err);
	if (r == 0)
		r = start_guard(ret, err);
	if (r == 0)
		r = make_first(ret, err);
	if (r < 0)
		test_host_close(ret);
	return r;
}

void test_host_close(struct test_host *h)
{
	sandbox_host_close(h->host);
	h->host = NULL;
	policy_filter_unref(h->filter);
	h->filter = NULL;
	fd_close(&h->layer_fd);
	fd_close(&h->guard_fd);
	if (h->guard_pid > 0)
		(void)waitpid(h->guard_pid, NULL, 0);
	h->guard_pid = 0;
}

void test_host_spec(struct test_host *h, struct sandbox_spec *ret)
{
	sandbox_spec_defaults(ret);
	(void)snprintf(h->id, sizeof(h->id), "%s%u", h->prefix, ++h->n_ids);
	ret->id = h->id;
	ret->layers = &h->layer_fd;
	ret->n_layers = 1;
	ret->filter = h->filter->program;
	ret->filter_bytes = h->filter->n_instructions * sizeof(*h->filter->program);
}

int test_sandbox(struct test_host *h, const struct sandbox_spec *spec, struct sandbox **ret, struct error *err)
{
	struct sandbox *s = NULL;
	int r = sandbox_create(h->host, spec, &s, err);

	if (r == 0)
		r = sandbox_wait_ready(s, TEST_READY_MS, err);
	if (r < 0)
		(void)sandbox_destroy(s, TEST_DESTROY_MS, NULL); /* the first failure is the one to report */
	else
		*ret = s;
	return r;
}
