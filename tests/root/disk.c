/*
 * Disks that outlive their sandbox: bounded in bytes and files, ids those inside, kept between sandboxes with other id
 * ranges. Both ways: an ext4 image where there is no project quota, a quota where there is (the guest's ext4).
 *
 * # timeout: 120
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/disk.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

enum { DISK_BYTES = 12 << 20, DISK_INODES = 300 };

static struct test_host host;
static struct guest guest;

/* Run one verb of the payload with the disk as its root's upper; returns what it said. */
static const char *with_disk(struct disk *d, uint32_t *ret_base, int *ret_status, const char *const *argv)
{
	struct sandbox_spec spec;
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;
	const char *said;

	test_host_spec(&host, &spec);
	spec.disk = (struct rootfs_disk){ .kind = d->kind, .dir_fd = d->fd };
	if (test_sandbox(&host, &spec, &s, &err) < 0) {
		diag("%s", err.text);
		*ret_status = -1;
		return "";
	}
	*ret_base = s->id_base;
	guest_init(&guest, s);
	said = guest_run(&guest, ret_status, argv);
	(void)guest_done(&guest);
	if (sandbox_destroy(s, TEST_DESTROY_MS, &err) < 0)
		diag("%s", err.text);
	return said;
}

static int open_disk(int parent, const char *name, struct disk *d)
{
	struct error err = ERROR_INIT;
	int r = disk_open(parent, name, DISK_BYTES, DISK_INODES, d, &err);

	if (r < 0)
		diag("%s", err.text);
	return r;
}

/* A disk for each sandbox: a mount is good for one. */
static void try_disk(int parent, const char *name, const char *way)
{
	uint32_t first = 0, second = 0;
	struct disk d = { .fd = -1 };
	const char *said;
	int status;

	need(open_disk(parent, name, &d) == 0, "%s: a disk is made", way);
	(void)with_disk(&d, &first, &status, ARGV("/bin/payload", "write", "/work/kept", "hello"));
	is_int(status, 0, "%s: a file is written", way);
	fd_close(&d.fd);

	need(open_disk(parent, name, &d) == 0, "%s: it is opened again", way);
	said = with_disk(&d, &second, &status, ARGV("/bin/payload", "cat", "/work/kept"));
	is_str(said, "hello", "%s: the next sandbox finds the file", way);
	ok(first != second, "%s: and it has other ids outside (%u, %u)", way, first, second);
	fd_close(&d.fd);

	need(open_disk(parent, name, &d) == 0, "%s: again", way);
	(void)with_disk(&d, &second, &status, ARGV("/bin/payload", "write", "/work/kept", "again"));
	is_int(status, 0, "%s: the owner inside is the same: the file can be written over", way);
	fd_close(&d.fd);

	need(open_disk(parent, name, &d) == 0, "%s: again", way);
	said = with_disk(&d, &second, &status, ARGV("/bin/payload", "disk", "/work/big"));
	diag("%s", said);
	ok(strstr(said, "ENOSPC") || strstr(said, "EDQUOT"), "%s: the bound on bytes holds", way);
	ok(strncmp(said, "wrote ", 6) == 0 && strtoll(said + 6, NULL, 10) <= DISK_BYTES &&
		   strtoll(said + 6, NULL, 10) >= DISK_BYTES * 3LL / 4,
	   "%s: at what was asked for", way);
	fd_close(&d.fd);

	need(open_disk(parent, name, &d) == 0, "%s: a full disk can be opened", way);
	said = with_disk(&d, &second, &status, ARGV("/bin/payload", "inodes", "/tmp"));
	diag("%s", said);
	ok(strstr(said, "ENOSPC") || strstr(said, "EDQUOT"), "%s: the bound on files holds", way);
	fd_close(&d.fd);
}

static void refuse(int parent)
{
	struct error err = ERROR_INIT;
	struct disk d = { .fd = -1 };
	cleanup_fd int file = openat(parent, "broken.ext4", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	is_int(disk_open(parent, "../x", DISK_BYTES, DISK_INODES, &d, &err), -EINVAL, "a name with a slash is refused");
	ok(file >= 0 && ftruncate(file, 1 << 20) == 0, "an image that is all zeros");
	ok(disk_open(parent, "broken", DISK_BYTES, DISK_INODES, &d, &err) < 0, "is refused");
	has_str(err.text, "broken", "the message names it");
	is_int(d.fd, -1, "and nothing is handed out");
}

int main(void)
{
	struct error err = ERROR_INIT;
	struct leftovers before;
	cleanup_fd int parent = -1;
	cleanup_fd int memory = -1;
	const char *unfit = test_host_unfit();

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "sandboxes can be made %s", err.text);
	parent = test_host_mkdir(&host, "disks");
	need(parent >= 0, "a directory for disks");
	try_disk(parent, "cube-1", test_is_guest() ? "quota" : "image");
	leftovers_count(&host,
			&before); /* after the first: an older kernel's staging directory comes with it, and stays */
	try_disk(parent, "cube-2", "another");
	if (test_is_guest()) { /* the run directory is on tmpfs, which has no quota: the other way */
		(void)mkdir("/tmp/disks", 0700);
		memory = open("/tmp/disks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		need(memory >= 0, "a directory without quota");
		try_disk(memory, "cube-3", "image");
		fd_close(&memory);
	}
	refuse(parent);
	is_str(leftovers_since(&host, &before), "", "nothing is left behind");
	fd_close(&parent);
	test_host_close(&host);
	return done_testing();
}
