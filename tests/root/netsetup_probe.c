/*
 * The network probes do the real thing, say why when they cannot, and leave nothing.
 * # timeout: 60
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netsetup/netlink.h"
#include "netsetup/nftables.h"
#include "netsetup/probe.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static const struct {
	const char *what;
	int (*probe)(struct error *err);
} probes[] = {
	{ "veth and bridge", netsetup_probe_veth },
	{ "nftables", netsetup_probe_nftables },
};

enum { PROBES = sizeof(probes) / sizeof(probes[0]) };

static int count_links(void)
{
	struct if_nameindex *all = if_nameindex();
	int n = 0;

	need(all, "links can be listed");
	while (all[n].if_index)
		n++;
	if_freenameindex(all);
	return n;
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	need(d, "/proc/self/fd can be listed");
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static ino_t netns(void)
{
	struct stat st = { 0 };

	(void)stat("/proc/self/ns/net", &st);
	return st.st_ino;
}

static void they_work(void)
{
	for (size_t i = 0; i < PROBES; i++) {
		int links = count_links(), fds = open_fds();
		struct error err = ERROR_INIT;
		ino_t ns = netns();

		if (!ok(probes[i].probe(&err) == 0, "%s: the probe works here", probes[i].what))
			diag("%s", err.text);
		is_int(probes[i].probe(NULL), 0, "also twice, and without an error object");
		is_int(count_links(), links, "no link was made here");
		is_int(open_fds(), fds, "no descriptor is left open");
		ok(netns() == ns, "we are in the namespace we were in");
		ok(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no child is left");
	}
}

/* In a user namespace whose owner allows no network namespace, namespaces(7): the probes' own clone is refused. */
static int without_network_namespaces(void)
{
	char uid_map[32], gid_map[32];

	/* who has no id inside may not make namespaces below it, user_namespaces(7) */
	(void)snprintf(uid_map, sizeof(uid_map), "0 %u 1", (unsigned)geteuid());
	(void)snprintf(gid_map, sizeof(gid_map), "0 %u 1", (unsigned)getegid());
	if (unshare(CLONE_NEWUSER) < 0 || fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny", NULL) < 0 ||
	    fd_write_file(AT_FDCWD, "/proc/self/uid_map", uid_map, NULL) < 0 ||
	    fd_write_file(AT_FDCWD, "/proc/self/gid_map", gid_map, NULL) < 0 ||
	    fd_write_file(AT_FDCWD, "/proc/sys/user/max_net_namespaces", "0", NULL) < 0)
		return 77;
	for (size_t i = 0; i < PROBES; i++) {
		struct error err = ERROR_INIT;

		if (probes[i].probe(&err) != -ENOSPC || !strstr(err.text, "network namespace"))
			return 1 + (int)i;
	}
	return 0;
}

static void they_say_why_not(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(without_network_namespaces());
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "a child can be waited for");
	is_int(status, 0, "where no network namespace may be made, each probe says that (ENOSPC)");
}

/* A kind of link that no kernel has: refused with a code and a sentence. */
static int strange_link(struct error *err)
{
	cleanup_netlink struct netlink *nl = NULL;
	struct rtnl_link *link = rtnl_link_alloc();
	int r = netlink_open(&nl, err);

	if (r < 0 || !link)
		return r;
	rtnl_link_set_name(link, "strange");
	(void)rtnl_link_set_type(link, "cubit-nosuch"); /* libnl does not know it, and keeps it all the same */
	r = rtnl_link_add(netlink_sock(nl), link, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(link);
	return r < 0 ? netlink_error(nl, r, err, "make link 'strange'") : 0;
}

/* What the wrappers do with a refusal, in a network namespace that nobody else is in. */
static int refusals(void)
{
	struct error err = ERROR_INIT;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 77;
	if (strange_link(&err) != -EOPNOTSUPP)
		return 10;
	if (strcmp(err.text, "make link 'strange': Operation not supported (Unknown device type)") != 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 11;
	}
	if (nftables_run("add rule ip nosuch nosuch accept", &err) >= 0 || !strstr(err.text, "No such file"))
		return 1;
	if (nftables_run("this is no rule", &err) >= 0 || !strstr(err.text, "syntax error"))
		return 2;
	if (nftables_run("add table ip x", &err) < 0)
		return 3;
	return 0;
}

static void refusals_have_words(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(refusals());
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "a child can be waited for");
	is_int(status, 0, "what is refused is refused with the kernel's words, or the library's");
}

int main(void)
{
	they_work();
	they_say_why_not();
	refusals_have_words();
	return done_testing();
}
