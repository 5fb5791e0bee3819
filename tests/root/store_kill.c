/*
 * The store after kill -9 at any moment: whatever a reference names is there, whole.
 * # timeout: 120
 */
#include <signal.h>
#include <sys/wait.h>

#include "runtime/base/buf.h"
#include "tests/root/store_fixture.h"

/* What a puller does, again and again, until it is killed. */
static void pull_for_ever(unsigned seed)
{
	struct store *s = must_open();

	for (unsigned i = 0;; i++) {
		char text[64];
		struct digest d, diff;
		struct store_lease *lease = NULL;
		struct store_layer_writer *w = NULL;
		struct image_record r = { .n_layers = 1, .blobs = &d, .diff_ids = &diff };
		int fd = -1, n = snprintf(text, sizeof(text), "%u %u", seed, i % 7);

		(void)store_lease_new(s, &lease, NULL);
		digest_of(text, (size_t)n, &d);
		(void)store_lease_add(lease, &d, NULL);
		(void)store_blob_put(s, text, (size_t)n, &d, NULL);
		digest_of(&i, sizeof(i), &diff);
		(void)store_lease_add(lease, &diff, NULL);
		if (store_layer_begin(s, &diff, &w, &fd, NULL) == 0) {
			for (int k = 0; k < 20; k++) {
				snprintf(text, sizeof(text), "d%d", k);
				(void)mkdirat(fd, text, 0755);
			}
			(void)mkdirat(fd, "complete", 0755);
			(void)store_layer_commit(w, NULL, NULL);
		}
		r.manifest = r.config = d;
		snprintf(r.name, sizeof(r.name), "image:%u", i % 3);
		(void)store_ref_set(s, &r, NULL);
		if (i % 4 == 3) {
			struct store_gc_result gc;

			(void)store_gc(s, &gc, NULL);
		}
		store_lease_free(lease);
	}
}

struct check {
	struct store *store;
	unsigned bad, seen; /* layers */
};

/* Whatever a reference names is there, whole and undamaged. */
static int check_record(const struct image_record *r, void *arg)
{
	struct check *c = arg;
	struct buf b = BUF_INIT;
	int fd;

	for (size_t i = 0; i < r->n_layers; i++) {
		c->bad += store_blob_read(c->store, &r->blobs[i], 1000, &b, &err) < 0;
		fd = store_layer_open(c->store, &r->diff_ids[i], &err);
		c->seen++;
		c->bad += fd < 0 || faccessat(fd, "complete", F_OK, 0) < 0;
		if (fd >= 0)
			close(fd);
	}
	buf_done(&b);
	return 0;
}

static void kills(void)
{
	enum { ROUNDS = 60 };
	unsigned bad = 0, left = 0, seen = 0, interrupted = 0, span_us = 60000;

	srand(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct check c = { .bad = 0 };
		struct store_gc_result gc;
		pid_t pids[2];

		for (unsigned i = 0; i < 2; i++) {
			pids[i] = fork();
			if (pids[i] == 0)
				pull_for_ever(round * 2 + i);
		}
		usleep((useconds_t)(rand() % (int)span_us));
		for (unsigned i = 0; i < 2; i++) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
		interrupted += names_in("tmp") > 0 || names_in("leases") > 0 || names_in("trash") > 0;
		c.store = must_open();
		left += names_in("tmp") > 0;
		if (store_ref_each(c.store, check_record, &c, &err) < 0 || c.bad > 0) {
			bad++;
			diag("round %u: %s", round, err.text);
		}
		seen += c.seen;
		if (c.seen == 0 && span_us < 2000000) /* a slow machine: none had the time to make one */
			span_us *= 2;
		bad += store_gc(c.store, &gc, &err) < 0;
		left += names_in("trash") > 0 || names_in("leases") > 0;
		store_close(c.store);
	}
	ok(seen >= ROUNDS, "%u layers of references were looked at", seen);
	ok(interrupted >= ROUNDS / 4, "%u of %d times something was under way", interrupted, ROUNDS);
	is_int(bad, 0, "two pullers killed at any moment, %d times: every reference is whole", ROUNDS);
	is_int(left, 0, "the next start leaves nothing of theirs in tmp, the next collection nothing anywhere");
}

int main(void)
{
	store_fixture();
	kills();
	return done_testing();
}
