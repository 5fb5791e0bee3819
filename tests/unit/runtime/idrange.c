/* Claims of id ranges: distinct, counted, respected by others, and found again when their owner was killed. */
#include "runtime/idrange.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

enum { BASE = 0x20000000, COUNT = 4 };

static char dir[64];
static int run_fd;

static int count_names(const char *name)
{
	char path[128];
	struct dirent **list;
	int n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n > 0)
		free(list);
	return n - 2; /* "." and ".." */
}

static struct idrange_pool *pool_new(void)
{
	struct error err = ERROR_INIT;
	struct idrange_pool *pool = NULL;

	need(idrange_pool_open(run_fd, BASE, COUNT, &pool, &err) == 0, "a pool opens %s", err.text);
	return pool;
}

static uint32_t claim(struct idrange_pool *pool, const char *id)
{
	struct error err = ERROR_INIT;
	uint32_t base = 0;

	ok(idrange_claim(pool, id, &base, &err) == 0 && base >= BASE && base < BASE + COUNT * IDRANGE_SIZE &&
		   base % IDRANGE_SIZE == 0,
	   "%s claims a range: 0x%x %s", id, base, err.text);
	return base;
}

static void test_claims(void)
{
	struct idrange_pool *pool = pool_new();
	struct error err = ERROR_INIT;
	uint32_t base[COUNT], more = 7, first;

	for (int i = 0; i < COUNT; i++)
		base[i] = claim(pool, i % 2 ? "odd" : "even");
	for (int i = 1; i < COUNT; i++)
		for (int k = 0; k < i; k++)
			ok(base[i] != base[k], "ranges %d and %d are distinct", i, k);
	is_int(count_names("ids"), COUNT, "each claim is a link");
	is_int(idrange_claim(pool, "late", &more, &err), -EAGAIN, "with all taken a claim is refused");
	has_str(err.text, "all 4 id ranges are taken", "in words");
	is_int(more, 7, "and the result is untouched");
	idrange_release(pool, base[2]);
	is_int(claim(pool, "late"), base[2], "the one that was given back is taken");
	for (int i = 0; i < COUNT; i++)
		idrange_release(pool, base[i]);
	idrange_release(pool, base[0]);
	is_int(count_names("ids"), 0, "given back, once or twice, no link is left");

	first = claim(pool, "first");
	idrange_release(pool, first);
	for (int i = 1; i < COUNT; i++) {
		uint32_t next = claim(pool, "next");

		ok(next != first, "a range given back rests while others are free");
		idrange_release(pool, next);
	}
	is_int(claim(pool, "again"), first, "and comes back last");
	idrange_release(pool, first);
	idrange_pool_free(pool);
	is_int(count_names("owners"), 0, "a pool without claims takes its lock file with it");
}

static int see(const char *id, uint32_t base, void *arg)
{
	int *seen = arg;

	*seen += strcmp(id, "orphan") == 0 && base >= BASE && base < BASE + COUNT * IDRANGE_SIZE ? 1 : 1000;
	return 0;
}

static int take(const char *id, uint32_t base, void *arg)
{
	(void)see(id, base, arg);
	return 1;
}

static void test_two_owners(void)
{
	struct idrange_pool *one = pool_new(), *two = pool_new();
	uint32_t mine[3], others[1], more;
	int seen = 0;

	for (int i = 0; i < 3; i++)
		mine[i] = claim(one, "mine");
	others[0] = claim(two, "others");
	for (int i = 0; i < 3; i++)
		ok(mine[i] != others[0], "two owners do not get the same range");
	is_int(idrange_claim(two, "late", &more, NULL), -EAGAIN, "what another owner holds is taken");
	is_int(idrange_each_orphan(two, take, &seen, NULL), 0, "look for orphans");
	is_int(seen, 0, "the claims of a living owner are none");
	is_int(count_names("ids"), COUNT, "and stay");
	for (int i = 0; i < 3; i++)
		idrange_release(one, mine[i]);
	idrange_pool_free(one);
	idrange_release(two, others[0]);
	idrange_pool_free(two);
	is_int(count_names("owners"), 0, "both lock files are gone");
}

/* A process that claims and is killed, as a crashed supervisor. */
static void make_orphan(void)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	need(pipe2(ready, O_CLOEXEC) == 0, "a pipe");
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct idrange_pool *pool = NULL;
		uint32_t base;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (idrange_pool_open(run_fd, BASE, COUNT, &pool, NULL) == 0 &&
		    idrange_claim(pool, "orphan", &base, NULL) == 0)
			(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	need(read(ready[0], &byte, 1) == 1, "another process claims a range");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void test_orphans(void)
{
	struct idrange_pool *pool = pool_new();
	uint32_t mine = claim(pool, "mine");
	char path[128];
	int seen = 0;

	make_orphan();
	is_int(count_names("ids"), 2, "the claim of a killed owner stays");
	is_int(idrange_each_orphan(pool, see, &seen, NULL), 0, "look for orphans");
	is_int(seen, 1, "it is found, with its id, and ours is not");
	is_int(count_names("ids"), 2, "kept as long as something of it may live");
	is_int(count_names("owners"), 2, "and so is its owner's file");
	is_int(idrange_each_orphan(pool, take, &seen, NULL), 0, "look again");
	is_int(seen, 2, "it is still found");
	is_int(count_names("ids"), 1, "and removed when nothing of it is left");
	is_int(idrange_each_orphan(pool, take, &seen, NULL), 0, "look a third time");
	is_int(seen, 2, "once removed it is not found again");

	/* a fresh lock file is given a second between its making and its locking: make this one look old */
	(void)nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 100000000 }, NULL);
	(void)snprintf(path, sizeof(path), "%s/owners/young", dir);
	(void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	is_int(idrange_each_orphan(pool, take, &seen, NULL), 0, "look a fourth time");
	is_int(count_names("owners"), 2, "the dead owner's file is swept; ours and one just made stay");
	ok(access(path, F_OK) == 0, "the young one is there");
	(void)unlink(path);
	idrange_release(pool, mine);
	idrange_pool_free(pool);
	is_int(count_names("owners"), 0, "nothing is left");
}

static void test_malformed(void)
{
	/* name, target: each wrong in one way */
	static const char *const links[][2] = {
		{ "0", "no-space" }, { "1", "../owner id" },       { "2", "owner ../id" },
		{ "x", "owner id" }, { "99", "owner id" },         { "-1", "owner id" },
		{ "3", "owner " },   { "4294967296", "owner id" }, { "00", "../../../x id" },
	};
	struct idrange_pool *pool = pool_new();
	char path[128];
	int seen = 0;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/ids/%s", dir, links[i][0]);
		need(symlink(links[i][1], path) == 0, "a link '%s' -> '%s'", links[i][0], links[i][1]);
	}
	(void)snprintf(path, sizeof(path), "%s/ids/file", dir);
	(void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	is_int(idrange_each_orphan(pool, take, &seen, NULL), 0, "look for orphans among malformed links");
	is_int(seen, 0, "none of them is one");
	is_int(count_names("ids"), (int)(sizeof(links) / sizeof(links[0])) + 1, "and none is touched");
	(void)unlink(path);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/ids/%s", dir, links[i][0]);
		(void)unlink(path);
	}
	idrange_pool_free(pool);
}

static void test_bad_numbers(void)
{
	static const struct {
		uint32_t base, count;
		const char *what;
	} bad[] = {
		{ BASE, 0, "no range at all" },
		{ 0, 4, "a base of 0: the host's own ids" },
		{ BASE + 1, 4, "a base that is no multiple of 65536" },
		{ 0xffff0000u, 2, "more ids than there are" },
		{ BASE, UINT32_MAX, "a count that overflows" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct idrange_pool *pool = NULL;
		struct error err = ERROR_INIT;

		is_int(idrange_pool_open(run_fd, bad[i].base, bad[i].count, &pool, &err), -EINVAL, "refused: %s",
		       bad[i].what);
		has_str(err.text, "id ranges: base", "in words: %s", bad[i].what);
		ok(!pool, "and there is no pool: %s", bad[i].what);
	}
	is_int(count_names("owners"), 0, "no lock file was made for them");
	idrange_pool_free(NULL);
	ok(true, "freeing none does nothing");
}

int main(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/idrange.XXXXXX");
	need(mkdtemp(dir), "a directory");
	run_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(run_fd >= 0, "it opens");
	idrange_pool_free(pool_new()); /* makes both directories */
	test_claims();
	test_two_owners();
	test_orphans();
	test_malformed();
	test_bad_numbers();
	(void)unlinkat(run_fd, "ids", AT_REMOVEDIR);
	(void)unlinkat(run_fd, "owners", AT_REMOVEDIR);
	(void)close(run_fd);
	is_int(rmdir(dir), 0, "nothing is left in the directory");
	return done_testing();
}
