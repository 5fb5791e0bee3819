/*
 * Which range of 65536 user and group ids belongs to which sandbox.
 *
 * Every sandbox on a machine has its own range, never shared, never handed out again while it is alive, also across
 * several supervisors and after a crash. A claim is a symbolic link in RUN/ids: its name is the range's number, its
 * target says "OWNER ID" (symlink(2) creates it whole or not at all). OWNER names a lock file in RUN/owners that the
 * claiming process holds locked, flock(2), for as long as it lives; so a claim whose owner is gone can be told from a
 * living one by anybody, at any time.
 *
 * Runs in: monitor, cubit-sandbox. RUN is a tmpfs directory, 0700 root: claims need not survive a reboot.
 */
#pragma once

#include <stdint.h>

struct error;

enum { IDRANGE_SIZE = 65536 };

/* Above what systemd and shadow-utils hand out, below 2^31, which some programs still take for negative. */
#define IDRANGE_BASE_DEFAULT  0x70000000u
#define IDRANGE_COUNT_DEFAULT 4096u

struct idrange_pool; /* opaque */

/*
 * Open the claims below run_dir (made if missing) as a new owner.
 *
 * run_fd   borrowed directory, e.g. /run/cubit
 * base     first id of range 0, a multiple of 65536
 * count    number of ranges
 *
 * Returns 0 or -errno. ret is owned: idrange_pool_free(), which leaves claims in place.
 */
int idrange_pool_open(int run_fd, uint32_t base, uint32_t count, struct idrange_pool **ret, struct error *err);
void idrange_pool_free(struct idrange_pool *pool);

/* Claim a range for a sandbox. Returns 0 and its first id, or -EAGAIN when all are taken. */
int idrange_claim(struct idrange_pool *pool, const char *id, uint32_t *ret_base, struct error *err);

/* Give a range back. Only when no process with its ids is left. Idempotent. */
void idrange_release(struct idrange_pool *pool, uint32_t base);

/*
 * Call fn for every claim whose owner no longer lives. fn returns 1 when everything of that sandbox is gone: the claim
 * is then removed; 0 to leave it. Lock files of dead owners without claims are removed too.
 */
int idrange_each_orphan(struct idrange_pool *pool, int (*fn)(const char *id, uint32_t base, void *arg), void *arg,
			struct error *err);
