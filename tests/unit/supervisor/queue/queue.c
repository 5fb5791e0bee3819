/*
 * The queue: who goes first, what is answered twice with the same id, what a late result is told, how jobs die, come
 * back and are called off, and that lists stay put while jobs come in.
 */
#include "tests/unit/supervisor/queue/queue_fixture.h"

#include <jansson.h>

static void test_one_life(void)
{
	struct fixture f;

	fixture_init(&f, "life");
	is_int(submit(&f, "a", "ann"), 0, "a job is accepted");
	is_int(answer.how, QUEUE_ACCEPTED, "as a new one");
	is_str(answer.id, "a", "under its id");
	is_int(counts(&f).waiting, 1, "it waits");
	is_int(take(&f, 5), 0, "jobs are taken");
	is_int(answer.n, 1, "the one there is");
	is_str(answer.jobs[0].id, "a", "with its id");
	is_str(answer.jobs[0].owner, "ann", "its owner");
	is_int(answer.jobs[0].attempt, 1, "as the first attempt");
	is_int(answer.jobs[0].state, QUEUE_LEASED, "leased");
	is_str(answer.jobs[0].last_node, "here", "by this node");
	is_str(answer.spec, "{\"runtime\":\"python\"}", "and its specification");
	is_int(take(&f, 5), 0, "nothing more is taken");
	is_int(answer.n, 0, "because nothing waits");
	is_int(extend(&f, "a", 1), 0, "the lease is renewed");
	is_int(finish(&f, "a", 1), 0, "the result is recorded");
	is_int(get(&f, "a"), 0, "and can be read");
	is_int(answer.jobs[0].state, QUEUE_DONE, "the job is done");
	is_str(answer.jobs[0].status, "ok", "with its verdict");
	is_str(answer.result, "{\"id\":\"a\",\"status\":\"ok\"}", "its result");
	is_str(answer.journal, "J", "and its journal");
	is_int(finish(&f, "a", 1), ESTALE, "a second result is refused");
	has_str(answer.text, "it is done", "with the reason");
	is_int(extend(&f, "a", 1), ESTALE, "so is a renewal");
	is_int(counts(&f).done, 1, "one is done");
	is_int(counts(&f).fenced, 1, "one result was fenced off");
	is_int(get(&f, "nobody"), ENOENT, "an unknown id is not found");
	check_invariants(&f, "after one life");
	fixture_done(&f);
}

static void test_order(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "order");
	/* ann has many, bob a few, eve one that is urgent */
	for (int i = 0; i < 5; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "ann%d", i);
		(void)submit(&f, id, "ann");
	}
	(void)submit(&f, "bob0", "bob");
	(void)submit(&f, "bob1", "bob");
	j = fixture_job("eve0", "eve");
	j.priority = 7;
	is_int(submit_job(&f, &j), 0, "an urgent one comes last");
	j = fixture_job("low0", "low");
	j.priority = -1;
	is_int(submit_job(&f, &j), 0, "and one without hurry");

	j = fixture_job("bob9", "bob");
	j.priority = 100;
	is_int(submit_job(&f, &j), 0, "and one that matters to bob");

	is_str(take_one(&f), "ann0", "who came first goes first, whatever the priority of others");
	is_str(take_one(&f), "bob9", "then the next owner with nothing running: of one owner the highest priority");
	is_str(take_one(&f), "eve0", "and the next");
	is_str(take_one(&f), "low0", "to whom a low priority does no harm");
	is_str(take_one(&f), "ann1", "owners with as many running: in turn");
	is_str(take_one(&f), "bob0", "one after the other");
	is_str(take_one(&f), "ann2", "and again");
	is_int(finish(&f, "ann0", 1) | finish(&f, "ann1", 1) | finish(&f, "ann2", 1), 0, "ann's have ended");
	(void)submit(&f, "bob2", "bob");
	is_str(take_one(&f), "ann3", "what counts is what runs now");
	is_int(take(&f, 10), 0, "taken together");
	is_int(answer.n, 3, "the rest comes");
	is_str(answer.jobs[0].id, "ann4", "ann runs one, bob two");
	is_str(answer.jobs[1].id, "bob1", "then bob's oldest");
	is_str(answer.jobs[2].id, "bob2", "and his last");
	check_invariants(&f, "after all are taken");
	fixture_done(&f);
}

/* With one slot nothing runs when the next one is chosen: then it is who was served that counts, not who came first. */
static void test_turns(void)
{
	struct fixture f;
	char order[512] = "", id[QUEUE_ID_BYTES];

	fixture_init(&f, "turns");
	for (int i = 0; i < 40; i++) {
		(void)snprintf(id, sizeof(id), "a%d", i);
		(void)submit(&f, id, "ann");
	}
	(void)submit(&f, "b0", "bob");
	(void)submit(&f, "b1", "bob");
	for (int i = 0; i < 5; i++) {
		(void)snprintf(id, sizeof(id), "%s", take_one(&f));
		(void)strcat(order, id); /* five of at most 64 */
		(void)finish(&f, id, 1);
	}
	is_str(order, "a0b0a1b1a2", "two jobs behind forty of another owner are done second and fourth");
	fixture_done(&f);
}

static int submit_at(struct fixture *f, const char *id, const char *owner, uint64_t delay_ms, bool is_root)
{
	struct queue_job j = fixture_job(id, owner);

	j.not_before_ms = delay_ms ? queue_wall_ms() + delay_ms : 0;
	j.is_root = is_root;
	return submit_job(f, &j);
}

static int flood(struct fixture *f, const char *owner, uint64_t delay_ms, int n)
{
	char id[64];
	int taken = 0;

	for (int i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "%s-%llu-%d", owner, (unsigned long long)delay_ms, i);
		taken += submit_at(f, id, owner, delay_ms, false) == 0;
	}
	return taken;
}

static void test_shares(void)
{
	struct fixture f;

	fixture_init(&f, "shares");
	f.options.max_waiting = 160;
	fixture_close(&f);
	fixture_open(&f);
	is_int(flood(&f, "ann", 3600000, 200), 29, "delayed jobs of one owner take three quarters of their quarter");
	is_int(submit_at(&f, "d", "ann", 3600000, false), ENOBUFS, "and no more");
	has_str(answer.text, "wait for their time", "which the refusal says");
	is_int(submit_at(&f, "e", "eve", 3600000, false), 0, "while another owner's is taken");
	is_int(flood(&f, "ann", 0, 200), 83, "with those that are due it has three quarters of all");
	is_int(submit_at(&f, "f", "ann", 0, false), ENOBUFS, "then it is refused");
	has_str(answer.text, "your share of the queue", "in words");
	ok(flood(&f, "bob", 0, 200) > 20, "another owner still finds room");
	ok(flood(&f, "eve", 0, 200) > 3, "and a third");
	(void)flood(&f, "o1", 0, 50);
	(void)flood(&f, "o2", 0, 50);
	(void)flood(&f, "o3", 0, 50);
	(void)flood(&f, "o4", 0, 50);
	(void)flood(&f, "o5", 0, 50);
	is_int(submit_at(&f, "g", "o9", 0, false), ENOBUFS, "when everything is full, nobody's");
	is_int(submit_at(&f, "h", "admin", 0, true), 0, "but root's is taken");
	check_invariants(&f, "with shares");
	fixture_done(&f);
}

static void test_key(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "key");
	f.options.max_waiting = 2;
	fixture_close(&f);
	fixture_open(&f);
	j = fixture_job("k1", "ann");
	(void)snprintf(j.key, sizeof(j.key), "once");
	(void)snprintf(j.fingerprint, sizeof(j.fingerprint), "f00d");
	is_int(submit_job(&f, &j), 0, "a job with a key");
	(void)snprintf(j.id, sizeof(j.id), "k2");
	is_int(submit_job(&f, &j), 0, "the same request with that key");
	is_int(answer.how, QUEUE_DUPLICATE, "is known");
	is_str(answer.id, "k1", "by the first one's id");
	(void)snprintf(j.fingerprint, sizeof(j.fingerprint), "beef");
	is_int(submit_job(&f, &j), EEXIST, "another request with that key is refused");
	has_str(answer.text, "idempotency key", "by name");
	(void)snprintf(j.owner, sizeof(j.owner), "bob");
	is_int(submit_job(&f, &j), 0, "the key of another owner is another key");
	is_int(answer.how, QUEUE_ACCEPTED, "so it is accepted");
	is_int(submit(&f, "k1", "eve"), ENOBUFS, "a full queue refuses");
	has_str(answer.text, "2 jobs wait", "with how many wait");
	j = fixture_job("k9", "ann");
	(void)snprintf(j.key, sizeof(j.key), "once");
	(void)snprintf(j.fingerprint, sizeof(j.fingerprint), "f00d");
	is_int(submit_job(&f, &j), 0, "but still knows its keys");
	is_int(answer.how, QUEUE_DUPLICATE, "as duplicates");
	is_str(take_one(&f), "k1", "one is taken");
	is_int(submit(&f, "k1", "eve"), EEXIST, "a taken id is refused");
	has_str(answer.text, "id 'k1'", "by name");
	is_int(submit(&f, "", "eve"), EINVAL, "and so is none");
	is_int(finish(&f, "k1", 1), 0, "the first ends");
	is_int(submit_job(&f, &j), 0, "its key");
	is_int(answer.how, QUEUE_DUPLICATE, "lives as long as its result");
	is_int(counts(&f).submitted, 2, "two were accepted in all");
	check_invariants(&f, "with keys");
	fixture_done(&f);
}

/* The bound holds for calls in flight too. */
static int flood_accepted, flood_refused;

static void on_flood(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)how;
	(void)id;
	(void)arg;
	if (!e)
		flood_accepted++;
	else if (e->code == ENOBUFS)
		flood_refused++;
}

static void test_bound(void)
{
	struct fixture f;
	int posted = 0, rc = 0;

	fixture_init(&f, "bound");
	f.options.max_waiting = 100;
	fixture_close(&f);
	fixture_open(&f);
	for (; rc == 0 && posted < 20000; posted++) {
		struct queue_job j;
		char id[16];

		(void)snprintf(id, sizeof(id), "n%d", posted);
		j = fixture_job(id, "ann");
		rc = queue_submit(f.q, &j, on_flood, NULL);
	}
	is_int(rc, -EAGAIN, "more calls than the database may be behind are refused at once");
	ok(posted >= DB_WAITING_MAX, "after as many as it says");
	(void)uv_run(&f.loop, UV_RUN_DEFAULT);
	is_int(flood_accepted, 71, "of all in flight, as many are accepted as one owner may have wait");
	is_int(flood_refused, posted - 1 - 71, "and each of the others is told");
	is_int(counts(&f).waiting, 71, "so many wait");
	is_int(take(&f, 1), 0, "one is taken");
	is_int(submit(&f, "again", "ann"), 0, "and there is a place again");
	fixture_done(&f);
}

/* What never ran was no attempt; what nobody can run for want of its image is put off, and dies in the end. */
static void test_unstarted(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "unstarted");
	f.options.lack_ns = 1800 * NS_PER_MS;
	fixture_close(&f);
	fixture_open(&f);
	(void)submit(&f, "u", "ann");
	for (unsigned i = 1; i <= 5; i++) {
		is_str(take_one(&f), "u", "a job is taken");
		is_int(answer.jobs[0].unstarted, i - 1, "that was not started %u times", i - 1);
		is_int(give_back(&f, "u", i, "no user namespace", QUEUE_UNSTARTED), 0,
		       "and given back without a start");
	}
	is_int(get(&f, "u"), 0, "more often than it has attempts");
	j = answer.jobs[0];
	is_int(j.state, QUEUE_WAITING, "it waits");
	is_int(j.failures, 0, "without a failure");
	is_int(j.attempt - j.unstarted, 0, "and without an attempt");
	is_str(j.reason, "no user namespace", "with the reason");
	is_str(take_one(&f), "u", "it is due");
	is_int(give_back(&f, "u", 6, "no image", QUEUE_LACKING), 0, "given back for want of its image");
	is_int(take(&f, 1), 0, "at once");
	is_int(answer.n, 0, "it is put off");
	fixture_serve(&f, 1100);
	is_str(take_one(&f), "u", "for a second");
	is_int(give_back(&f, "u", 7, "no image", QUEUE_LACKING), 0, "given back once more");
	fixture_serve(&f, 1100);
	is_str(take_one(&f), "u", "it comes again");
	is_int(give_back(&f, "u", 8, "no image 'x'", QUEUE_LACKING), 0, "and has lacked it for too long");
	is_int(get(&f, "u"), 0, "so it");
	is_int(answer.jobs[0].state, QUEUE_DEAD, "is dead");
	is_str(answer.jobs[0].reason, "no image 'x'", "for that reason");
	is_int(replay(&f, "u", "ann"), 0, "it is replayed");
	is_str(take_one(&f), "u", "and comes");
	is_int(give_back(&f, "u", 9, "no image", QUEUE_LACKING), 0, "it lacks it still");
	(void)get(&f, "u");
	is_int(answer.jobs[0].state, QUEUE_WAITING, "and has all the time again");
	check_invariants(&f, "after the replay");
	fixture_done(&f);
}

static void test_return(void)
{
	struct fixture f;
	char many_words[600];
	uint64_t before;

	fixture_init(&f, "return");
	f.options.backoff_ns = 300 * NS_PER_MS;
	fixture_close(&f);
	fixture_open(&f);
	(void)submit(&f, "r", "ann");
	(void)take(&f, 1);
	is_int(give_back(&f, "r", 1, "draining", QUEUE_FREE), 0, "given back free");
	is_str(take_one(&f), "r", "it is there at once");
	is_int(answer.jobs[0].attempt, 2, "under a new number");
	is_int(answer.jobs[0].failures, 0, "which is nobody's fault");
	is_str(answer.jobs[0].reason, "draining", "with the reason");
	is_int(finish(&f, "r", 1), ESTALE, "the first lease's result is late");
	has_str(answer.text, "attempt 2, not 1", "and told why");
	is_int(give_back(&f, "r", 1, "late", QUEUE_FAILED), ESTALE, "so is its return");
	is_int(give_back(&f, "r", 2, "the pool broke", QUEUE_FAILED), 0, "given back for a failure");
	is_int(take(&f, 1), 0, "at once");
	is_int(answer.n, 0, "it is not due");
	is_int(get(&f, "r"), 0, "it");
	is_int(answer.jobs[0].state, QUEUE_WAITING, "waits");
	is_int(answer.jobs[0].failures, 1, "with one failure");
	ok(answer.jobs[0].not_before_ms >= answer.jobs[0].queued_ms + 300, "not before a backoff");
	fixture_serve(&f, 350);
	is_str(take_one(&f), "r", "after which it comes");
	before = queue_wall_ms();
	is_int(give_back(&f, "r", 3, "broke again", QUEUE_FAILED), 0, "the second failure");
	(void)get(&f, "r");
	ok(answer.jobs[0].not_before_ms >= before + 600, "waits twice as long");
	fixture_serve(&f, 650);
	is_str(take_one(&f), "r", "and comes");
	memset(many_words, 'x', sizeof(many_words));
	memcpy(many_words + QUEUE_REASON_BYTES - 2, "\xc3\xa9", 2); /* a letter of two bytes where the cut is */
	many_words[sizeof(many_words) - 1] = '\0';
	is_int(give_back(&f, "r", 4, many_words, QUEUE_FAILED), 0, "the third failure, of many words");
	is_int(get(&f, "r"), 0, "it");
	is_int(answer.jobs[0].state, QUEUE_DEAD, "is dead: the attempts are used up");
	is_int(strlen(answer.jobs[0].reason), QUEUE_REASON_BYTES - 2,
	       "with as many of the words as fit, whole letters");
	is_str(answer.result, "(none)", "and without a result");
	is_int(counts(&f).dead, 1, "it is counted");
	check_invariants(&f, "with a dead one");

	is_int(replay(&f, "r", "bob"), ENOENT, "nobody else may replay it");
	is_int(replay(&f, "r", "ann"), 0, "it is replayed");
	is_str(take_one(&f), "r", "and taken");
	is_int(answer.jobs[0].attempt, 5, "its number goes on: a fence is never used twice");
	is_int(answer.jobs[0].failures, 0, "its failures are forgotten");
	is_int(finish(&f, "r", 4), ESTALE, "so a result from before the replay is refused");
	is_int(bury(&f, "r", 5, "its specification makes no sense"), 0, "buried at once");
	is_int(list(&f, "ann", QUEUE_DEAD, "", 10), 0, "dead letters are listed");
	is_int(answer.n, 1, "the one");
	is_str(answer.jobs[0].reason, "its specification makes no sense", "with its reason");
	is_int(dead_delete(&f, "r", "bob"), ENOENT, "nobody else may delete it");
	is_int(dead_delete(&f, "r", NULL), 0, "it is deleted");
	is_int(get(&f, "r"), ENOENT, "and gone");
	(void)submit(&f, "alive", "ann");
	is_int(replay(&f, "alive", NULL), ENOENT, "what is not dead is not replayed");
	is_int(dead_delete(&f, "alive", NULL), ENOENT, "nor deleted");
	check_invariants(&f, "after the dead are gone");
	fixture_done(&f);
}

static void test_delay(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "delay");
	j = fixture_job("later", "ann");
	j.not_before_ms = queue_wall_ms() + 1500; /* a loaded machine does what is between in time */
	j.priority = 100;
	is_int(submit_job(&f, &j), 0, "a job with a delay");
	(void)submit(&f, "now", "ann");
	is_str(take_one(&f), "now", "the other one goes first, whatever the priority");
	is_int(take(&f, 1), 0, "and");
	is_int(answer.n, 0, "the delayed one does not come");
	fixture_close(&f);
	fixture_open(&f);
	fixture_serve(&f, 1600);
	is_str(take_one(&f), "later", "until its time, a restart between or not");
	check_invariants(&f, "after a delay");
	fixture_done(&f);
}

static void test_cancel(void)
{
	struct fixture f;
	json_t *o;

	fixture_init(&f, "cancel");
	(void)submit(&f, "c0", "ann");
	(void)submit(&f, "c1", "ann");
	(void)submit(&f, "c2", "ann");
	is_int(cancel(&f, "c1", "bob"), ENOENT, "nobody else may cancel");
	is_int(cancel(&f, "c0", "ann"), 0, "a waiting job is cancelled");
	ok(!answer.was_leased, "at once");
	is_int(cancel(&f, "c0", "ann"), EALREADY, "once");
	is_int(get(&f, "c0"), 0, "it");
	is_int(answer.jobs[0].state, QUEUE_CANCELLED, "is cancelled");
	o = json_loads(answer.result, 0, NULL);
	is_str(json_string_value(json_object_get(o, "status")), "cancelled", "has a result with that status");
	is_str(json_string_value(json_object_get(o, "reason")), "cancelled before it ran", "a reason");
	is_str(json_string_value(json_object_get(o, "id")), "c0", "and its id");
	ok(json_is_null(json_object_get(o, "exit_code")) && json_is_array(json_object_get(o, "outputs")),
	   "and the fields of a result in which nothing ran");
	json_decref(o);
	is_str(take_one(&f), "c1", "the next in turn is taken");
	is_int(cancel(&f, "c1", NULL), 0, "a leased job is cancelled");
	ok(answer.was_leased, "by ending its run");
	is_int(leased(&f), 0, "leases are listed");
	ok(answer.n == 1 && answer.jobs[0].is_ending, "with what has become of it");
	is_int(finish_as(&f, "c1", 1, "cancelled"), 0, "which records the result");
	is_int(get(&f, "c1"), 0, "it");
	is_int(answer.jobs[0].state, QUEUE_CANCELLED, "is cancelled");
	is_str(take_one(&f), "c2", "another one is taken");
	is_int(cancel(&f, "c2", NULL), 0, "and cancelled");
	fixture_close(&f);
	fixture_open(&f);
	is_int(give_back(&f, "c2", 1, "the front died", QUEUE_FAILED), 0, "but its node dies, and it is given back");
	is_int(take(&f, 1), 0, "then");
	is_int(answer.n, 0, "it does not run again");
	is_int(get(&f, "c2"), 0, "it");
	is_int(answer.jobs[0].state, QUEUE_CANCELLED, "is cancelled as well");
	has_str(answer.result, "\"status\":\"cancelled\"", "with a result");
	is_int(cancel(&f, "nobody", NULL), ENOENT, "an unknown id is not found");
	check_invariants(&f, "after cancelling");
	fixture_done(&f);
}

static void test_direct(void)
{
	struct fixture f;
	struct queue_result r = { .id = "d",
				  .status = "ok",
				  .json = "{}",
				  .json_size = 2,
				  .is_direct = true,
				  .owner = "ann",
				  .spec = "{\"runtime\":\"c\"}",
				  .queued_ms = 5 };

	fixture_init(&f, "direct");
	fixture_reset();
	is_int(fixture_wait(&f, queue_finish(f.q, &r, on_done, NULL)), 0, "a run that was never queued is recorded");
	is_int(get(&f, "d"), 0, "it can be read");
	is_str(answer.spec, "{\"runtime\":\"c\"}", "with its specification");
	is_int(answer.jobs[0].queued_ms, 5, "its time");
	is_int(answer.journal_size, 0, "and an empty journal");
	fixture_reset();
	is_int(fixture_wait(&f, queue_finish(f.q, &r, on_done, NULL)), ESTALE, "only once");
	is_int(counts(&f).finished, 1, "it is counted");
	check_invariants(&f, "after a direct run");
	fixture_done(&f);
}

static void test_list(void)
{
	struct fixture f;
	char next[64], id[16];
	size_t seen = 0;
	bool is_stable = true;

	fixture_init(&f, "list");
	for (int i = 0; i < 25; i++) {
		(void)snprintf(id, sizeof(id), "j%02d", i);
		(void)submit(&f, id, i % 5 == 0 ? "bob" : "ann");
	}
	(void)take(&f, 3);
	(void)finish(&f, "j00", 1);
	is_int(list(&f, NULL, -1, NULL, 10), 0, "the newest come first");
	is_int(answer.n, 10, "as many as asked for");
	is_str(answer.jobs[0].id, "j24", "from the last");
	ok(!answer.jobs[0].spec, "without specifications");
	(void)snprintf(next, sizeof(next), "%s", answer.next);
	for (seen = 10; next[0]; seen += answer.n) {
		/* what comes in between does not shift the pages */
		(void)snprintf(id, sizeof(id), "new%zu", seen);
		(void)submit(&f, id, "ann");
		(void)list(&f, NULL, -1, next, 10);
		for (size_t i = 0; i < answer.n; i++) {
			(void)snprintf(id, sizeof(id), "j%02zu", 24 - seen - i);
			is_stable &= strcmp(answer.jobs[i].id, id) == 0;
		}
		(void)snprintf(next, sizeof(next), "%s", answer.next);
	}
	is_int(seen, 25, "page by page every job is seen once");
	ok(is_stable, "in order, whatever comes in meanwhile");
	is_int(list(&f, "bob", -1, "", 200), 0, "of one owner");
	is_int(answer.n, 5, "his");
	is_str(answer.jobs[0].id, "j20", "in the same order");
	is_str(answer.jobs[4].id, "j00", "of any state");
	is_str(answer.next, "", "and that is all");
	is_int(list(&f, "bob", -1, "", 2), 0, "in pages");
	is_str(answer.jobs[1].id, "j15", "of two");
	(void)snprintf(next, sizeof(next), "%s", answer.next);
	is_int(list(&f, "bob", -1, next, 3), 0, "then");
	is_int(answer.n, 3, "the rest");
	is_str(answer.next, "", "with nothing after it");
	is_int(list(&f, "bob", QUEUE_DONE, "", 10), 0, "of one owner and state");
	is_int(answer.n, 1, "the one that ended");
	is_int(list(&f, NULL, QUEUE_LEASED, "", 10), 0, "of one state");
	is_int(answer.n, 2, "those that run");
	is_int(list(&f, "nobody", -1, "", 10), 0, "of somebody unknown");
	is_int(answer.n, 0, "nothing");
	is_int(list(&f, NULL, -1, "sixteen", 10), EINVAL, "a cursor of somebody's making is refused");
	is_int(list(&f, NULL, -1, "99999999999999999999999999999999", 10), EINVAL, "and one that is too long");
	is_int(list(&f, NULL, -1, NULL, 0), EINVAL, "so is no limit");
	is_int(list(&f, NULL, -1, NULL, 201), EINVAL, "and one too large");
	fixture_done(&f);
}

static int wakes;

static void on_work(void *arg)
{
	(void)arg;
	wakes++;
}

static void ignore_submit(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)e;
	(void)how;
	(void)id;
	(void)arg;
}

static void test_wake(void)
{
	struct fixture f;
	struct queue_job j;

	fixture_init(&f, "wake");
	queue_on_work(f.q, on_work, NULL);
	fixture_serve(&f, 5);
	is_int(wakes, 1, "whoever listens is told once that there may be work");
	for (int i = 0; i < 300; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "w%d", i);
		j = fixture_job(id, "ann");
		(void)queue_submit(f.q, &j, ignore_submit, NULL);
	}
	fixture_serve(&f, 50);
	ok(wakes >= 2 && wakes < 20, "300 jobs at once are a few wake-ups (%d)", wakes - 1);
	wakes = 0;
	(void)take(&f, 1);
	fixture_serve(&f, 5);
	is_int(wakes, 0, "taking wakes nobody");
	(void)give_back(&f, "w0", 1, "busy", QUEUE_FREE);
	fixture_serve(&f, 5);
	is_int(wakes, 1, "giving back does");
	j = fixture_job("delayed", "ann");
	j.not_before_ms = queue_wall_ms() + 40;
	(void)submit_job(&f, &j);
	fixture_serve(&f, 5);
	is_int(wakes, 1, "a delayed job does not");
	fixture_serve(&f, 60);
	is_int(wakes, 2, "until it is due");
	fixture_done(&f);
}

static void test_reopen(void)
{
	struct fixture f;

	fixture_init(&f, "reopen");
	(void)submit(&f, "o1", "ann");
	(void)submit(&f, "o2", "bob");
	(void)submit(&f, "o3", "ann");
	(void)take(&f, 1);
	(void)finish(&f, "o1", 1);
	(void)take(&f, 1);
	fixture_close(&f);
	fixture_open(&f);
	check_invariants(&f, "after a restart");
	is_int(leased(&f), 0, "the leases of the life before are listed");
	is_int(answer.n, 1, "the one");
	is_str(answer.jobs[0].id, "o2", "by its id");
	is_int(extend(&f, "o2", 1), 0, "it is adopted");
	is_int(finish(&f, "o2", 1), 0, "and finished");
	is_str(take_one(&f), "o3", "what waited still does");
	is_int(get(&f, "o1"), 0, "what ended");
	is_str(answer.jobs[0].status, "ok", "has its result");
	fixture_done(&f);
}

/* Calls in flight when the queue is freed are still done and answered. */
static int late_answers;

static void on_late(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)how;
	(void)id;
	(void)arg;
	late_answers += !e;
}

static void test_free(void)
{
	struct fixture f;

	fixture_init(&f, "free");
	for (int i = 0; i < 100; i++) {
		struct queue_job j;
		char id[16];

		(void)snprintf(id, sizeof(id), "f%d", i);
		j = fixture_job(id, "ann");
		(void)queue_submit(f.q, &j, on_late, NULL);
	}
	fixture_close(&f);
	is_int(late_answers, 100, "what was posted before the end is answered");
	fixture_open(&f);
	is_int(counts(&f).waiting, 100, "and durable");
	fixture_done(&f);
}

int main(void)
{
	test_one_life();
	test_order();
	test_turns();
	test_shares();
	test_key();
	test_bound();
	test_return();
	test_unstarted();
	test_delay();
	test_cancel();
	test_direct();
	test_list();
	test_wake();
	test_reopen();
	test_free();
	fixture_reset();
	return done_testing();
}
