/* Hosts of every kind, as their mountinfo and /proc/self/cgroup describe them. */
#include "runtime/cgroup/cgroup_map.h"

#include "tests/tap.h"

static struct cgroup_map map;

static void is_at(const struct cgroup_map_entry *e, const char *path, const char *title)
{
	if (!e->is_found)
		diag("not found: %s", e->why_not);
	is_str(e->is_found ? e->path : "(not found)", path, "%s", title);
}

static void is_nowhere(const struct cgroup_map_entry *e, const char *why, const char *title)
{
	ok(!e->is_found, "%s", title);
	has_str(e->why_not, why, "%s: the reason says so", title);
}

static void test_unified(void)
{
	cgroup_map_parse("22 1 0:20 / / rw - ext4 /dev/vda1 rw\n"
			 "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
			 "rw,nsdelegate,memory_recursiveprot\n",
			 "0::/system.slice/cubitd.service\n", &map);
	is_at(&map.v2, "/sys/fs/cgroup/system.slice/cubitd.service", "systemd, unified: our group below the one mount");
	is_int(map.v2.mount_length, strlen("/sys/fs/cgroup"), "systemd, unified: the mount point is known");
	ok(!map.v1[CGROUP_MEMORY].is_bound, "systemd, unified: memory is on no v1 hierarchy");
	is_nowhere(&map.v1[CGROUP_MEMORY], "no v1 hierarchy", "systemd, unified: memory is not found on v1");

	cgroup_map_parse("35 24 0:30 / /sys/fs/cgroup rw - cgroup2 c rw\n", "0::/\n", &map);
	is_at(&map.v2, "/sys/fs/cgroup", "the root group is the mount point itself");
}

static void test_hybrid(void)
{
	cgroup_map_parse("31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
			 "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
			 "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
			 "38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio\n"
			 "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
			 "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
			 "9:name=systemd:/\n7:blkio:/\n4:memory:/tenant/07193e\n3:cpuset:/\n1:cpu:/\n0::/\n", &map);
	is_at(&map.v2, "/sys/fs/cgroup/unified", "hybrid: the cgroup2 mount beside the v1 ones");
	is_at(&map.v1[CGROUP_MEMORY], "/sys/fs/cgroup/memory/tenant/07193e", "hybrid: memory in our group there");
	is_at(&map.v1[CGROUP_CPU], "/sys/fs/cgroup/cpu", "hybrid: cpu in its root");
	is_at(&map.v1[CGROUP_IO], "/sys/fs/cgroup/blkio", "io is called blkio on v1");
	ok(!map.v1[CGROUP_CPUACCT].is_bound, "'cpu' in a list is not 'cpuacct'");
	ok(map.v1[CGROUP_CPUSET].is_bound, "a controller bound to v1 is known as such without a mount");
	is_nowhere(&map.v1[CGROUP_CPUSET], "mounted nowhere", "a v1 controller without a mount is not found");
}

static void test_systemd_hybrid(void)
{
	cgroup_map_parse(
		"25 22 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:4 - tmpfs tmpfs ro,mode=755\n"
		"26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate\n"
		"27 25 0:24 / /sys/fs/cgroup/systemd rw,nosuid shared:6 - cgroup cgroup rw,xattr,name=systemd\n"
		"31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
		"33 25 0:30 / /sys/fs/cgroup/pids rw,nosuid shared:12 master:3 propagate_from:2 - cgroup cgroup "
		"rw,pids\n",
		"12:pids:/user.slice/user-0.slice/session-3.scope\n4:cpu,cpuacct:/user.slice\n"
		"1:name=systemd:/user.slice/user-0.slice/session-3.scope\n0::/user.slice/user-0.slice/"
		"session-3.scope\n",
		&map);
	is_at(&map.v1[CGROUP_CPU], "/sys/fs/cgroup/cpu,cpuacct/user.slice", "two controllers on one mount: cpu");
	is_at(&map.v1[CGROUP_CPUACCT], "/sys/fs/cgroup/cpu,cpuacct/user.slice",
	      "two controllers on one mount: cpuacct");
	is_at(&map.v1[CGROUP_PIDS], "/sys/fs/cgroup/pids/user.slice/user-0.slice/session-3.scope",
	      "several optional fields of mountinfo are skipped");
	is_at(&map.v2, "/sys/fs/cgroup/unified/user.slice/user-0.slice/session-3.scope",
	      "systemd, hybrid: the v2 group");
}

static void test_wsl2(void)
{
	cgroup_map_parse("50 49 0:40 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
			 "51 50 0:41 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
			 "52 50 0:42 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
			 "53 50 0:43 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
			 "54 50 0:44 / /mnt/wsl rw,relatime - tmpfs none rw\n",
			 "13:rdma:/\n9:pids:/\n5:memory:/\n0::/\n", &map);
	is_at(&map.v1[CGROUP_PIDS], "/sys/fs/cgroup/pids", "wsl2: pids in the root of its hierarchy");
	is_at(&map.v2, "/sys/fs/cgroup/unified", "wsl2: the cgroup2 mount");
}

static void test_containers(void)
{
	cgroup_map_parse(
		"60 50 0:41 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		"61 50 0:42 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
		"62 50 0:43 /docker/ab /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		"63 50 0:44 / /sys/fs/cgroup/blkio ro,nosuid - cgroup cgroup rw,blkio\n"
		"64 50 0:45 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		"9:memory:/docker/abc\n8:pids:/docker/abc/inner:1\n7:cpu:/docker/abc\n6:blkio:/\n0::/../../x\n", &map);
	is_at(&map.v1[CGROUP_MEMORY], "/sys/fs/cgroup/memory", "a mount that shows exactly our group");
	is_at(&map.v1[CGROUP_PIDS], "/sys/fs/cgroup/pids/inner:1",
	      "a group below the part shown, with a colon in its name");
	is_nowhere(&map.v1[CGROUP_CPU], "outside", "a part whose name merely begins like ours is another group");
	is_nowhere(&map.v1[CGROUP_IO], "read-only", "a read-only mount");
	is_nowhere(&map.v2, "outside", "a group outside of our cgroup namespace");

	cgroup_map_parse("1 2 0:1 / /ro/cgroup ro - cgroup2 c rw\n"
			 "3 4 0:1 / /a\\040b rw - cgroup2 c rw\n",
			 "0::/x\n", &map);
	is_at(&map.v2, "/a b/x", "the first mount that serves is taken, with blanks in its path");
}

static void test_odd_texts(void)
{
	static char longer[2048];

	cgroup_map_parse("", "", &map);
	is_nowhere(&map.v2, "no cgroup2", "empty texts");
	cgroup_map_parse("1 2 3\n\n - cgroup2\n1 2 3 / /x rw - cgroup2", "0:\n0::\nx\n::/\n0::nonsense\n", &map);
	ok(!map.v2.is_found, "lines cut short are skipped");
	(void)snprintf(longer, sizeof(longer), "0::/%01500d\n", 7);
	cgroup_map_parse("1 2 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n", longer, &map);
	is_nowhere(&map.v2, "too long", "a path longer than we keep");
	(void)snprintf(longer, sizeof(longer), "1 2 0:1 / /%01500d rw - cgroup2 c rw\n", 7);
	cgroup_map_parse(longer, "0::/\n", &map);
	is_nowhere(&map.v2, "too long", "a mount point longer than we keep");
}

int main(void)
{
	test_unified();
	test_hybrid();
	test_systemd_hybrid();
	test_wsl2();
	test_containers();
	test_odd_texts();
	return done_testing();
}
