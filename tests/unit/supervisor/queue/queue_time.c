/*
 * The queue and time: leases run out, results are removed, and clocks that somebody sets do neither.
 */
#include "runtime/base/log.h"
#include "tests/unit/supervisor/queue/queue_fixture.h"

/* The wall clock, turned by hand. */
static uint64_t (*true_wall_ms)(void);
static int64_t turned_ms;

static uint64_t turned_wall_ms(void)
{
	return true_wall_ms() + (uint64_t)turned_ms;
}

static void test_expiry(void)
{
	struct fixture f;

	fixture_init(&f, "expiry");
	f.options.lease_ns = 500 * NS_PER_MS;
	fixture_close(&f);
	fixture_open(&f);
	(void)submit(&f, "kept", "ann");
	(void)submit(&f, "lost", "ann");
	(void)take(&f, 2);
	for (int i = 0; i < 16; i++) {
		fixture_serve(&f, 50);
		if (extend(&f, "kept", 1) != 0)
			break;
	}
	is_int(counts(&f).leased, 1, "the lease that is renewed lives on");
	is_int(counts(&f).returned, 1, "the one that is not is given back");
	is_int(extend(&f, "lost", 1), ESTALE, "and lost");
	is_int(finish(&f, "lost", 1), ESTALE, "with what came of it");
	is_str(take_one(&f), "lost", "it runs again");
	is_int(answer.jobs[0].attempt, 2, "as another attempt");
	is_int(answer.jobs[0].failures, 1, "that counts");
	has_str(answer.jobs[0].reason, "lease of node 'here' ran out", "with the reason");
	is_int(finish(&f, "lost", 2), 0, "which ends well");
	is_int(finish(&f, "kept", 1), 0, "as does the other");
	check_invariants(&f, "after a lease ran out");

	/* whose process is gone */
	(void)submit(&f, "orphan", "ann");
	(void)take(&f, 1);
	fixture_close(&f);
	fixture_open(&f);
	fixture_serve(&f, 60);
	is_int(counts(&f).leased, 1, "a lease of an earlier life lives until its time");
	fixture_serve(&f, 700);
	is_str(take_one(&f), "orphan", "and is given back then");
	(void)give_back(&f, "orphan", 2, "again", QUEUE_FAILED);
	fixture_serve(&f, 100);
	(void)take(&f, 1);
	fixture_serve(&f, 800);
	is_int(get(&f, "orphan"), 0, "one that runs out as often as attempts are allowed");
	is_int(answer.jobs[0].state, QUEUE_DEAD, "is dead");
	has_str(answer.jobs[0].reason, "ran out", "because of that");

	/* another node's */
	(void)submit(&f, "far", "ann");
	(void)snprintf(f.options.node, sizeof(f.options.node), "there");
	fixture_close(&f);
	fixture_open(&f);
	is_str(take_one(&f), "far", "another node takes a job");
	is_str(answer.jobs[0].last_node, "there", "in its name");
	(void)snprintf(f.options.node, sizeof(f.options.node), "here");
	fixture_close(&f);
	fixture_open(&f);
	is_int(leased(&f), 0, "we");
	is_int(answer.n, 0, "do not hold it");
	fixture_serve(&f, 800);
	is_str(take_one(&f), "far", "when its lease runs out, we get it");
	check_invariants(&f, "with leases of others");
	fixture_done(&f);
}

static void test_clock(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "clock");
	f.options.lease_ns = 800 * NS_PER_MS;
	fixture_close(&f);
	fixture_open(&f);
	(void)submit(&f, "mine", "ann");
	(void)submit(&f, "old", "ann");
	(void)take(&f, 2);
	(void)finish(&f, "old", 1);
	turned_ms = 365LL * 86400 * 1000;
	fixture_serve(&f, 450);
	is_int(counts(&f).leased, 1, "a year forward: a lease of this process stays");
	is_int(counts(&f).done, 1, "and no result is removed");
	is_int(extend(&f, "mine", 1), 0, "it can be renewed");
	turned_ms = -10LL * 365 * 86400 * 1000;
	fixture_serve(&f, 450);
	is_int(counts(&f).leased, 1, "ten years back: it stays");
	fixture_serve(&f, 800);
	is_int(counts(&f).leased, 0, "but when it is not renewed, it runs out by the other clock");
	turned_ms = 0;

	/* a lease of an earlier life that seems to last for years */
	fixture_serve(&f, 100);
	turned_ms = 10LL * 365 * 86400 * 1000;
	fixture_serve(&f, 400); /* its backoff is over by now, whatever the clock */
	is_str(take_one(&f), "mine", "taken in a wrong year");
	fixture_close(&f);
	turned_ms = 0;
	fixture_open(&f);
	fixture_serve(&f, 450);
	is_int(counts(&f).leased, 1, "the next life leaves it for a while");
	fixture_serve(&f, 900);
	is_int(counts(&f).leased, 0, "but not for years: nobody renews it");

	/* a delay and a clock that is set */
	j = fixture_job("tomorrow", "bob");
	j.not_before_ms = queue_wall_ms() + 86400 * 1000;
	(void)submit_job(&f, &j);
	turned_ms = 86401LL * 1000;
	fixture_serve(&f, 450);
	is_int(list(&f, "bob", QUEUE_WAITING, "", 1), 0, "a day forward: the delayed job");
	(void)take(&f, 5);
	ok(answer.n >= 1 && (strcmp(answer.jobs[0].id, "tomorrow") == 0 ||
			     (answer.n > 1 && strcmp(answer.jobs[1].id, "tomorrow") == 0)),
	   "is due, without waiting for a day on the other clock");
	turned_ms = 0;
	check_invariants(&f, "after turning the clock");
	fixture_done(&f);
}

/* One whole sweep, without waiting for its timer. */
static void sweep_now(struct fixture *f)
{
	sweep_tick(f->q);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void ignore_submit(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)how;
	(void)id;
	(void)arg;
	if (e)
		diag("submit: %s", e->text);
}

static void ignore(const struct error *e, void *arg)
{
	(void)arg;
	if (e)
		diag("%s", e->text);
}

static void submit_many(struct fixture *f, const char *prefix, int n)
{
	for (int i = 0; i < n; i++) {
		char id[32];
		struct queue_job j;

		(void)snprintf(id, sizeof(id), "%s%d", prefix, i);
		j = fixture_job(id, "ann");
		while (queue_submit(f->q, &j, ignore_submit, NULL) == -EAGAIN)
			(void)uv_run(&f->loop, UV_RUN_ONCE);
	}
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void finish_all(struct fixture *f, size_t n, bool is_dead)
{
	static char big[20000];

	(void)take(f, n);
	memset(big, ' ', sizeof(big));
	for (size_t i = 0; i < answer.n; i++) {
		const struct queue_job *j = &answer.jobs[i];
		struct queue_result r = {
			.id = j->id, .attempt = j->attempt, .status = "ok", .json = big, .json_size = sizeof(big)
		};

		while ((is_dead ? queue_bury(f->q, j->id, j->attempt, "no good", ignore, NULL)
				: queue_finish(f->q, &r, ignore, NULL)) == -EAGAIN)
			(void)uv_run(&f->loop, UV_RUN_ONCE);
	}
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void test_retention(void)
{
	struct fixture f;
	struct queue_job j;
	int64_t pages;

	/* turned by less than a minute at once, the clock is not taken for one that was set */
	fixture_init(&f, "retention");
	f.options.lease_ns = 3600 * NS_PER_S;
	f.options.retention_ns = 50 * NS_PER_S;
	fixture_close(&f);
	fixture_open(&f);
	j = fixture_job("keyed", "ann");
	(void)snprintf(j.key, sizeof(j.key), "once");
	(void)submit_job(&f, &j);
	submit_many(&f, "done", 3000);
	finish_all(&f, 3001, false);
	submit_many(&f, "dead", 5);
	finish_all(&f, 5, true);
	submit_many(&f, "cancelled", 1);
	(void)cancel(&f, "cancelled0", NULL);
	submit_many(&f, "waiting", 1);
	is_int(counts(&f).done, 3001, "many results");
	pages = look_up(&f, "PRAGMA page_count");
	sweep_now(&f);
	is_int(counts(&f).done, 3001, "are kept for their time");
	for (int i = 0; i < 3; i++) {
		char id[QUEUE_ID_BYTES];

		(void)snprintf(id, sizeof(id), "sooner%d", i);
		j = fixture_job(id, "ann");
		j.retention_ms = i == 2 ? 100000 : 10000;
		(void)submit_job(&f, &j);
	}
	(void)cancel(&f, "sooner1", NULL);
	finish_all(&f, 2, false);
	turned_ms += 9000;
	sweep_now(&f);
	is_int(counts(&f).done, 3003, "one that asked for less is kept for that");
	turned_ms += 2000;
	sweep_now(&f);
	is_int(counts(&f).done, 3002, "and then goes before the others");
	is_int(counts(&f).cancelled, 1, "cancelled or not");
	j = fixture_job("keyed", "ann");
	(void)snprintf(j.key, sizeof(j.key), "once");
	turned_ms += 55000;
	sweep_now(&f);
	is_int(counts(&f).done, 0, "and then removed, also what asked for more");
	is_int(counts(&f).cancelled, 0, "as are the cancelled ones");
	is_int(counts(&f).dead, 5, "dead letters are kept longer");
	is_int(counts(&f).waiting, 1, "what waits is not touched");
	is_int(submit_job(&f, &j), 0, "a key of a removed job");
	is_int(answer.how, QUEUE_ACCEPTED, "is free again");
	sweep_now(&f);
	ok(look_up(&f, "PRAGMA page_count") < pages / 2, "the disk gets its pages back (%d of %d left)",
	   (int)look_up(&f, "PRAGMA page_count"), (int)pages);
	check_invariants(&f, "after removing");
	for (int i = 0; i < 7; i++) {
		turned_ms += 55000;
		sweep_now(&f);
		if (i == 4)
			is_int(counts(&f).dead, 5, "six times as long is not enough for them");
	}
	is_int(counts(&f).dead, 0, "but they go in the end");
	ok(counts(&f).oldest_waiting_ms > 400000 && counts(&f).oldest_waiting_ms < 800000,
	   "how long the oldest has waited is known (%d ms)", (int)counts(&f).oldest_waiting_ms);

	/* a clock that is set: nothing is old because of that */
	finish_all(&f, 10, false);
	is_int(counts(&f).done, 2, "two results");
	turned_ms += 365LL * 86400 * 1000;
	sweep_now(&f);
	is_int(counts(&f).done, 2, "outlive a year of the wall clock that was none");
	turned_ms = 0;
	fixture_done(&f);
}

/* What is kept has a bound in bytes: who has the most of it loses the oldest first. */
static void test_kept(void)
{
	struct fixture f;
	static char big[100000];
	int ann = 0, bob = 0;

	fixture_init(&f, "kept");
	f.options.max_kept_bytes = 2000000;
	fixture_close(&f);
	fixture_open(&f);
	memset(big, ' ', sizeof(big));
	for (int i = 0; i < 40; i++) {
		char id[QUEUE_ID_BYTES];
		struct queue_result r = {
			.id = id, .attempt = 1, .status = "ok", .json = big, .json_size = sizeof(big)
		};

		(void)snprintf(id, sizeof(id), "k%d", i);
		(void)submit(&f, id, i < 4 ? "bob" : "ann");
		(void)take(&f, 1);
		fixture_reset();
		(void)fixture_wait(&f, queue_finish(f.q, &r, on_done, NULL));
	}
	check_invariants(&f, "with results");
	ok(look_up(&f, "SELECT bytes FROM load_all") > 4000000, "more is kept than may be");
	sweep_now(&f);
	ok(look_up(&f, "SELECT bytes FROM load_all") <= 2000000, "the sweep removes what is too much");
	for (int i = 0; i < 40; i++) {
		char id[QUEUE_ID_BYTES];

		(void)snprintf(id, sizeof(id), "k%d", i);
		*(i < 4 ? &bob : &ann) += get(&f, id) == 0;
	}
	is_int(bob, 4, "not of who has little of it, though it is the oldest");
	is_int(ann, 15, "but of who has most");
	is_int(get(&f, "k39"), 0, "of whom the newest stay");
	is_int(get(&f, "k10"), ENOENT, "and the oldest are gone");
	is_int(counts(&f).done, 19, "which is counted");
	check_invariants(&f, "after removing what is too much");
	fixture_done(&f);
}

/* Many delayed jobs at one moment come in slices, and all of them. */
static void test_many_due(void)
{
	struct fixture f;
	uint64_t due = queue_wall_ms() + 300;

	fixture_init(&f, "due");
	for (int i = 0; i < 2000; i++) {
		char id[32];
		struct queue_job j;

		(void)snprintf(id, sizeof(id), "d%d", i);
		j = fixture_job(id, i % 2 ? "ann" : "bob");
		j.not_before_ms = due;
		(void)queue_submit(f.q, &j, ignore_submit, NULL);
	}
	(void)uv_run(&f.loop, UV_RUN_DEFAULT);
	while (queue_wall_ms() < due)
		fixture_serve(&f, 10);
	fixture_serve(&f, 500);
	check_invariants(&f, "after a delay of 2000 jobs");
	(void)take(&f, 3000);
	is_int(answer.n, 2000, "2000 jobs that become due together are all there");
	fixture_done(&f);
}

/* Steps of SQLite's machine, in hundreds; counted on its thread, read when it rests. */
enum { STEPS = 100 };
static volatile long steps;

static int on_steps(void *arg)
{
	(void)arg;
	steps++;
	return 0;
}

static int count_steps(sqlite3 *sql, void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	sqlite3_progress_handler(sql, STEPS, on_steps, NULL);
	return 0;
}

/*
 * What one job costs does not depend on how many wait: not on the older ones of another priority, nor on the delayed
 * ones, nor on how many have ended.
 */
static void test_size(void)
{
	struct fixture f;
	long took[2], before;

	fixture_init(&f, "size");
	f.options.lease_ns = 3600 * NS_PER_S;
	fixture_close(&f);
	fixture_open(&f);
	for (int round = 0; round < 2; round++) {
		int n = round == 0 ? 1000 : 99000;

		for (int i = 0; i < n; i++) {
			char id[32];
			struct queue_job j;

			(void)snprintf(id, sizeof(id), "s%d-%d", round, i);
			j = fixture_job(id, "ann");
			j.priority = i > n - n / 10 ? 1 : 0; /* the last tenth goes first */
			if (i % 3 == 0)
				j.not_before_ms = j.queued_ms + 86400 * 1000;
			while (queue_submit(f.q, &j, ignore_submit, NULL) == -EAGAIN)
				(void)uv_run(&f.loop, UV_RUN_ONCE);
		}
		(void)uv_run(&f.loop, UV_RUN_DEFAULT);
		(void)db_call(f.db, count_steps, NULL, NULL);
		before = steps;
		for (int i = 0; i < 50; i++) {
			char id[QUEUE_ID_BYTES];

			(void)snprintf(id, sizeof(id), "%s", take_one(&f));
			if (!id[0] || answer.jobs[0].priority != (strncmp(id, "due", 3) != 0))
				break; /* the urgent ones of ann, and bob's in between */
			(void)finish(&f, id, 1);
			sweep_now(&f);
			if (i % 10 == 0) { /* one that becomes due */
				struct queue_job j;

				(void)snprintf(id, sizeof(id), "due%d-%d", round, i);
				j = fixture_job(id, "bob");
				j.not_before_ms = j.queued_ms + 2;
				(void)submit_job(&f, &j);
				fixture_serve(&f, 6);
			}
		}
		took[round] = steps - before;
	}
	is_int(counts(&f).done, 100, "jobs are taken from a queue of 100000");
	diag("50 x take, finish, sweep: %ld steps of SQLite with 1000 waiting, %ld with 100000", took[0] * STEPS,
	     took[1] * STEPS);
	ok(took[0] > 0 && took[1] < 2 * took[0], "and it costs the same as from one of 1000");
	fixture_done(&f);
}

/* Nor on how many owners there are. */
static void test_owners(void)
{
	struct fixture f;
	long took[2], before;

	fixture_init(&f, "owners");
	f.options.lease_ns = 3600 * NS_PER_S;
	fixture_close(&f);
	fixture_open(&f);
	for (int round = 0; round < 2; round++) {
		char id[QUEUE_ID_BYTES], owner[32];

		for (int i = 0; i < (round == 0 ? 200 : 20000); i++) {
			struct queue_job j;

			(void)snprintf(id, sizeof(id), "o%d-%d", round, i);
			(void)snprintf(owner, sizeof(owner), "owner%d-%d", round, i);
			j = fixture_job(id, owner);
			while (queue_submit(f.q, &j, ignore_submit, NULL) == -EAGAIN)
				(void)uv_run(&f.loop, UV_RUN_ONCE);
		}
		(void)uv_run(&f.loop, UV_RUN_DEFAULT);
		(void)db_call(f.db, count_steps, NULL, NULL);
		before = steps;
		for (int i = 0; i < 50; i++) {
			(void)snprintf(id, sizeof(id), "p%d-%d", round, i);
			(void)submit(&f, id, id);
			(void)snprintf(id, sizeof(id), "%s", take_one(&f));
			(void)finish(&f, id, 1);
		}
		took[round] = steps - before;
	}
	is_int(counts(&f).done, 100, "jobs of many owners are taken");
	diag("50 x submit, take, finish: %ld steps with 200 owners, %ld with 20000", took[0] * STEPS, took[1] * STEPS);
	ok(took[0] > 0 && took[1] < 2 * took[0], "and it costs the same with a hundred times as many owners");
	check_invariants(&f, "with many owners");
	fixture_done(&f);
}

int main(void)
{
	log_init(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	true_wall_ms = queue_wall_ms;
	queue_wall_ms = turned_wall_ms;
	test_expiry();
	test_clock();
	test_retention();
	test_kept();
	test_many_due();
	test_size();
	test_owners();
	fixture_reset();
	return done_testing();
}
