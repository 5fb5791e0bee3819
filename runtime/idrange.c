/* Ranges of ids: see idrange.h. */
#include "runtime/idrange.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"

enum { OWNER_BYTES = 24, CLAIM_BYTES = 160 };

struct idrange_pool {
	int ids_fd, owners_fd;
	int lock_fd; /* holds the lock of our owner file */
	uint32_t base, count, next;
	char owner[OWNER_BYTES];
};

static int open_dir(int run_fd, const char *name, int *ret, struct error *err)
{
	int fd;

	if (mkdirat(run_fd, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make directory '%s'", name);
	fd = openat(run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "open directory '%s'", name);
	*ret = fd;
	return 0;
}

static int become_owner(struct idrange_pool *pool, struct error *err)
{
	uint64_t token;

	if (getrandom(&token, sizeof(token), 0) != (ssize_t)sizeof(token))
		return error_errno(err, errno, "random token");
	(void)snprintf(pool->owner, sizeof(pool->owner), "%016" PRIx64, token);
	pool->lock_fd = openat(pool->owners_fd, pool->owner, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* nobody removes it between creation and lock: sweepers take only names that claims mention, or locked-out ones */
	if (pool->lock_fd < 0 || flock(pool->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno(err, errno, "owner file '%s'", pool->owner);
	pool->next = (uint32_t)(token % pool->count); /* spread owners, so that they rarely try the same range */
	return 0;
}

int idrange_pool_open(int run_fd, uint32_t base, uint32_t count, struct idrange_pool **ret, struct error *err)
{
	struct idrange_pool *pool;
	int r;

	if (count == 0 || base % IDRANGE_SIZE != 0 || base == 0 ||
	    (uint64_t)base + (uint64_t)count * IDRANGE_SIZE > UINT32_MAX)
		return error_set(err, EINVAL, "id ranges: base %u and count %u do not fit below 2^32", base, count);
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return error_errno(err, ENOMEM, "id ranges");
	*pool = (struct idrange_pool){ .ids_fd = -1, .owners_fd = -1, .lock_fd = -1, .base = base, .count = count };
	r = open_dir(run_fd, "ids", &pool->ids_fd, err);
	if (r == 0)
		r = open_dir(run_fd, "owners", &pool->owners_fd, err);
	if (r == 0)
		r = become_owner(pool, err);
	if (r < 0) {
		idrange_pool_free(pool);
		return r;
	}
	*ret = pool;
	return 0;
}

/* Does any claim name this owner? Then its lock file must stay, or the claim could not be told from a living one. */
static bool has_claims(const struct idrange_pool *pool, const char *owner)
{
	int copy = openat(pool->ids_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;
	char target[CLAIM_BYTES];

	while (d && (e = readdir(d))) {
		ssize_t n = readlinkat(pool->ids_fd, e->d_name, target, sizeof(target) - 1);

		if (n > 0 && strncmp(target, owner, strlen(owner)) == 0)
			return true;
	}
	return false;
}

void idrange_pool_free(struct idrange_pool *pool)
{
	if (!pool)
		return;
	if (pool->lock_fd >= 0 && !has_claims(pool, pool->owner))
		(void)unlinkat(pool->owners_fd, pool->owner, 0); /* a stale one is swept later */
	fd_close(&pool->lock_fd);
	fd_close(&pool->ids_fd);
	fd_close(&pool->owners_fd);
	free(pool);
}

int idrange_claim(struct idrange_pool *pool, const char *id, uint32_t *ret_base, struct error *err)
{
	char target[CLAIM_BYTES], name[16];

	(void)snprintf(target, sizeof(target), "%s %s", pool->owner, id);
	for (uint32_t tries = 0; tries < pool->count; tries++) {
		uint32_t n = pool->next;

		pool->next = (n + 1) % pool->count; /* round robin: a range rests as long as possible before reuse */
		(void)snprintf(name, sizeof(name), "%u", n);
		if (symlinkat(target, pool->ids_fd, name) == 0) {
			*ret_base = pool->base + n * IDRANGE_SIZE;
			return 0;
		}
		if (errno != EEXIST)
			return error_errno(err, errno, "claim id range %u", n);
	}
	return error_set(err, EAGAIN, "all %u id ranges are taken", pool->count);
}

void idrange_release(struct idrange_pool *pool, uint32_t base)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", (base - pool->base) / IDRANGE_SIZE);
	(void)unlinkat(pool->ids_fd, name, 0); /* ENOENT: given back before */
}

/* Is the process that owns this lock file gone? A missing file says so too. */
static bool is_dead(const struct idrange_pool *pool, const char *owner)
{
	cleanup_fd int fd = -1;

	if (strcmp(owner, pool->owner) == 0)
		return false;
	fd = openat(pool->owners_fd, owner, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	return flock(fd, LOCK_EX | LOCK_NB) == 0; /* dropped again with the descriptor */
}

static int sweep_owners(struct idrange_pool *pool)
{
	int copy = openat(pool->owners_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		struct stat st;

		/* one second of grace for a file that is made but not locked yet */
		if (e->d_name[0] == '.' || fstatat(pool->owners_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_ctime + 1 >= time(NULL))
			continue;
		if (is_dead(pool, e->d_name) && !has_claims(pool, e->d_name))
			(void)unlinkat(pool->owners_fd, e->d_name, 0);
	}
	return 0;
}

int idrange_each_orphan(struct idrange_pool *pool, int (*fn)(const char *id, uint32_t base, void *arg), void *arg,
			struct error *err)
{
	int copy = openat(pool->ids_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;

	if (!d) {
		fd_close(&copy);
		return error_errno(err, errno, "list claims");
	}
	while ((e = readdir(d))) {
		char target[CLAIM_BYTES], *id;
		uint64_t n;
		ssize_t len = readlinkat(pool->ids_fd, e->d_name, target, sizeof(target) - 1);

		if (len <= 0 || parse_u64(e->d_name, 0, pool->count - 1, &n, NULL) < 0)
			continue;
		target[len] = '\0';
		id = strchr(target, ' ');
		if (!id)
			continue;
		*id++ = '\0';
		if (parse_id(target, NULL) < 0 || parse_id(id, NULL) < 0 || !is_dead(pool, target))
			continue;
		if (fn(id, pool->base + (uint32_t)n * IDRANGE_SIZE, arg) == 1)
			(void)unlinkat(pool->ids_fd, e->d_name, 0); /* gone meanwhile is as good */
	}
	return sweep_owners(pool);
}
