/*
 * What is started next, with sources that are none: owners take turns, and so do runs that a client waits for and jobs of
 * the sources; no more run than there are slots; a node that is paused takes nothing, one that is drained starts nothing;
 * and what becomes of a job that was leased.
 *
 * # timeout: 60
 */
#include "supervisor/front/dispatch_impl.h"

#include "supervisor/spec/spec.h"
#include "tests/unit/supervisor/front/front_fixture.h"

#define JOB "{\"runtime\":\"plain\",\"source\":\"x\"}"

/* ---- runs that a client waits for ---- */

struct run {
	struct direct *direct;
	bool is_over;
	int code;
	char status[32];
};

static void on_result(const struct error *e, char *json, size_t size, void *arg)
{
	struct run *run = arg;
	json_t *o = json ? json_loadb(json, size, 0, NULL) : NULL;

	run->is_over = true;
	run->code = e ? e->code : 0;
	(void)snprintf(run->status, sizeof(run->status), "%s",
		       o ? json_string_value(json_object_get(o, "status")) : "");
	json_decref(o);
	free(json);
}

static struct job_spec *spec_of(int priority)
{
	const struct job_context context = { .settings = &fix.settings, .runtimes = fix.catalog.runtimes };
	struct job_spec *spec = NULL;
	struct error e = ERROR_INIT;

	if (job_spec_parse(JOB, strlen(JOB), &context, &spec, NULL, &e) < 0)
		need(false, "a run %s", e.text);
	spec->priority = priority;
	return spec;
}

static int ask(struct run *run, const struct caller *caller, int priority)
{
	struct error e = ERROR_INIT;
	unsigned retry_s;

	*run = (struct run){ .code = -1 };
	return dispatch_run(fix.dispatch, caller, spec_of(priority), on_result, run, &run->direct, &retry_s, &e);
}

/* It has begun; one that is over has, but is not there any more. */
static bool runs(const struct run *run)
{
	return !run->is_over && run->direct->job != NULL;
}

static void (*on_source_work)(struct source *s); /* the dispatcher's */

/* ---- what is waited for ---- */

static size_t n_wanted_running;

static bool are_running(void)
{
	return fix_n_running >= n_wanted_running;
}

static void wait_for_running(size_t n)
{
	n_wanted_running = n;
	if (!fix_until(are_running, PATIENCE_MS))
		need(false, "%zu programs run", n);
}

static size_t n_at_work(void)
{
	return fix.dispatch->n_direct + fix.dispatch->n_running;
}

static size_t n_before, n_started;

static bool has_one_less(void)
{
	return n_at_work() < n_before || fix.dispatch->counts.started > n_started;
}

/* The first program ends, and whatever that lets start has been started. */
static void end_one(void)
{
	n_before = n_at_work();
	wait_for_running(1);
	n_started = fix.dispatch->counts.started;
	fix_end_first();
	if (!fix_until(has_one_less, PATIENCE_MS))
		need(false, "one ends");
}

static bool home_has_result(void)
{
	return fix.home.n_done > 0;
}

static bool nothing_is_left(void)
{
	while (fake_answer_done(&fix.home, 0) || fake_answer_done(&fix.redis, 0) ||
	       fake_answer_take(&fix.home, 0, NULL, 0) || fake_answer_take(&fix.redis, 0, NULL, 0))
		continue;
	while (fix_n_running > 0)
		fix_end_first();
	return n_at_work() == 0 && !fix.dispatch->first && !fix.dispatch->leased && fix.dispatch->n_recording == 0 &&
	       fix.dispatch->n_taking == 0;
}

/* Nothing runs, nobody waits, no source has work. */
static void begin(unsigned slots)
{
	fix.state.is_draining = false;
	fix.state.is_paused = true;
	if (!fix_until(nothing_is_left, PATIENCE_MS))
		need(false, "all of it is over");
	fake_source_init(&fix.home, SPACE_HERE);
	fake_source_init(&fix.redis, SPACE_REDIS);
	fix.home.source.arg = fix.redis.source.arg = fix.dispatch;
	fix.home.source.on_work = fix.redis.source.on_work = on_source_work;
	fix.dispatch->turn = 0;
	fix.dispatch->direct_had_turn = false;
	memset(&fix.dispatch->turns, 0, sizeof(fix.dispatch->turns));
	fix.settings.slots = slots;
	fix.state.is_paused = false;
}

static void poke(void)
{
	dispatch_poke(fix.dispatch);
}

static struct queue_job queued(const char *id, const char *text)
{
	struct queue_job q = { .owner = "ann", .attempt = 2, .spec = text, .spec_size = strlen(text) };

	(void)snprintf(q.id, sizeof(q.id), "%s", id);
	return q;
}

/* ---- owners ---- */

static void test_owners(void)
{
	static struct run a[3], b; /* told of their end by the next test */

	begin(2);
	for (int i = 0; i < 3; i++)
		is_int(ask(&a[i], &ann, 0), 0, "ann asks for a run");
	is_int(ask(&b, &bob, 0), 0, "bob comes later");
	is_int(n_at_work(), 0, "nothing is started before its client is ready for the answer");
	poke();
	ok(runs(&a[0]) && runs(&b), "each of two owners has a slot");
	ok(!runs(&a[1]) && !runs(&a[2]) && n_at_work() == 2, "and no more run than there are slots");
	is_int(fix_jobs_of("ann"), 3, "those that wait count for their owner as well");
	end_one();
	ok(runs(&a[1]) && n_at_work() == 2, "when one ends the next one begins");
	ok(a[0].is_over ? strcmp(a[0].status, "ok") == 0 : strcmp(b.status, "ok") == 0,
	   "and its client has the result");
	ok(fix.home.n_finish == 1 && fix.home.result.is_direct, "which is on its way to where such runs are kept");

	begin(1);
	is_int(ask(&a[0], &ann, 0), 0, "of one owner");
	is_int(ask(&a[1], &ann, 5), 0, "the more urgent one");
	poke();
	ok(runs(&a[1]) && !runs(&a[0]), "goes before the older one");
}

static void test_refused(void)
{
	struct caller small = bob;
	static struct run a, b; /* told of their end by the next test */

	begin(1);
	small.quota.jobs = 1;
	is_int(ask(&a, &small, 0), 0, "an owner with a quota of one");
	is_int(ask(&b, &small, 0), -EDQUOT, "may not ask for two");
	dispatch_abandon(a.direct);
	is_int(fix_jobs_of("bob"), 0, "a client that leaves gives it back");
	poke();
	is_int(n_at_work(), 0, "and its run is not started");
	fix.state.is_draining = true;
	is_int(ask(&a, &ann, 0), -ESHUTDOWN, "a node that is being stopped takes none");
	is_int(fix_jobs_of("ann"), 0, "and none counts");
}

/* ---- clients and sources ---- */

static void test_turns(void)
{
	struct queue_job q = queued("job1", JOB);
	static struct run a[3]; /* told of their end by the next test */

	begin(1);
	for (int i = 0; i < 3; i++)
		(void)ask(&a[i], &ann, 0);
	fix.home.source.may_have = true;
	poke();
	ok(runs(&a[0]) && fix.home.n_take == 0, "who waits goes before the sources");
	end_one();
	is_int(fix.home.n_take, 1, "once; then a source is asked, though others wait");

	begin(1);
	fix.home.source.may_have = true;
	poke();
	ok(fix.home.n_take == 1 && fix.home.n_wanted == 1,
	   "where nobody waits the source is asked for as much as is free");
	(void)fake_answer_take(&fix.home, 0, &q, 1);
	ok(fix.home.n_started == 1 && n_at_work() == 1, "and its job runs");
	(void)ask(&a[0], &ann, 0);
	on_source_work(&fix.home.source);
	ok(!runs(&a[0]) && fix.home.n_take == 1, "both wait for the slot");
	end_one();
	ok(runs(&a[0]) && fix.home.n_take == 1, "it is the client's turn");

	begin(4);
	for (int i = 0; i < 3; i++)
		(void)ask(&a[i], &ann, 0);
	fix.home.source.may_have = true;
	poke();
	ok(fix.home.n_take == 1 && fix.home.n_wanted == 2, "a source is asked for half of what others wait for");
	is_int(fix.dispatch->n_direct, 3, "and keeps no slot from a client");
}

static void test_sources(void)
{
	struct queue_job q = queued("job5", JOB);

	begin(2);
	fix.home.source.may_have = fix.redis.source.may_have = true;
	poke();
	ok(fix.home.n_take == 1 && fix.redis.n_take == 0, "what is asked of one source is kept for its answer");
	(void)fake_answer_take(&fix.home, 0, NULL, 0);
	ok(fix.redis.n_take == 1 && fix.home.n_take == 1, "then it is the next one's turn");
	(void)fake_answer_take(&fix.redis, 0, NULL, 0);
	ok(fix.redis.n_take + fix.home.n_take == 2, "and one without work is not asked again");
	on_source_work(&fix.redis.source);
	is_int(fix.redis.n_take, 2, "until it says that it has some");

	begin(1);
	fix.home.source.may_have = fix.redis.source.may_have = true;
	poke();
	(void)fake_answer_take(&fix.home, 0, &q, 1);
	end_one();
	ok(fix.home.n_take == 1 && fix.redis.n_take == 1, "though the first one may have more");

	begin(1);
	fix.home.is_behind = fix.home.source.may_have = true;
	poke();
	is_int(fix.home.n_take, 1, "one that is behind");
	ok(fix.dispatch->n_taking == 0, "keeps no slots");
	fix.home.is_behind = false;
	(void)fix_until(NULL, 400);
	is_int(fix.home.n_take, 2, "and is asked again by and by");
}

/* ---- nothing new ---- */

static void test_paused(void)
{
	static struct run a; /* told of their end by the next test */

	begin(2);
	fix.state.is_paused = true;
	fix.home.source.may_have = true;
	(void)ask(&a, &ann, 0);
	poke();
	ok(runs(&a) && fix.home.n_take == 0, "a node that is paused serves its clients, and takes nothing");
	fix.state.is_paused = false;
	poke();
	is_int(fix.home.n_take, 1, "until it goes on");

	begin(2);
	fix.state.is_ready = false;
	fix.home.source.may_have = true;
	(void)ask(&a, &ann, 0);
	poke();
	ok(!runs(&a) && fix.home.n_take == 0, "a node that is not ready does neither");
	fix.state.is_ready = true;

	begin(2);
	fix.state.is_draining = true;
	fix.home.source.may_have = true;
	poke();
	is_int(fix.home.n_take, 0, "nor does one that is being stopped");
}

/* ---- leased jobs ---- */

static void test_leased(void)
{
	struct queue_job q = queued("job2", JOB), bad = queued("job3", "{\"runtime\":1}");

	begin(2);
	on_source_work(&fix.redis.source);
	is_int(fix.redis.n_take, 1, "jobs are taken");
	(void)fake_answer_take(&fix.redis, 0, (struct queue_job[]){ q, bad }, 2);
	ok(fix.redis.n_bury == 1 && strcmp(fix.redis.last, "job3") == 0, "one that cannot be read is a dead letter");
	(void)fake_answer_done(&fix.redis, 0);
	ok(fix.redis.n_started == 1 && fix_jobs_of("ann") == 1, "the other one runs, and counts while it does");
	(void)fake_answer_get(&fix.redis, 0);
	end_one();
	ok(fix.redis.n_finish == 1 && strcmp(fix.redis.last, "job2") == 0, "its result goes to where it came from");
	is_int(fix.redis.attempt, 2, "with the attempt, its fence");
	ok(!fix.redis.result.is_direct && fix.home.n_finish == 0, "as that of a leased job");
	(void)fake_answer_done(&fix.redis, 0);
	is_int(fix_jobs_of("ann"), 0, "and then it counts no more");
}

static bool is_drained;

static void on_drained(void *arg)
{
	*(bool *)arg = true;
}

static void test_drained(void)
{
	struct queue_job q = queued("job4", JOB);
	static struct run a, b; /* told of their end by the next test */

	begin(2);
	on_source_work(&fix.home.source);
	(void)fake_answer_take(&fix.home, 0, &q, 1);
	fix.home.source.may_have = false;
	(void)ask(&a, &ann, 0);
	poke();
	ok(runs(&a) && n_at_work() == 2, "two run");
	(void)ask(&b, &bob, 0);
	wait_for_running(2);
	fix.state.is_draining = true;
	dispatch_drain(fix.dispatch, on_drained, &is_drained);
	ok(b.is_over && b.code == ESHUTDOWN, "who waits is told that the node is being stopped");
	ok(!is_drained && !a.is_over, "what runs may end");
	end_one();
	(void)fix_until(home_has_result, PATIENCE_MS);
	(void)fake_answer_done(&fix.home, 0);
	ok(!is_drained, "and is waited for");
	end_one();
	(void)fix_until(home_has_result, PATIENCE_MS);
	ok(!is_drained, "as its result is");
	(void)fake_answer_done(&fix.home, 0);
	ok(!is_drained && fix.home.take, "and so is a source that was asked for more: it may have leased some");
	(void)fake_answer_take(&fix.home, 0, NULL, 0);
	ok(is_drained, "then the node is drained");
}

int main(void)
{
	fix_open_store();
	fix.settings.lease_ns = 600 * NS_PER_MS; /* sources that were behind are asked again after 200 ms */
	fix_open_work();
	fix_open_dispatch();
	fix.state.is_ready = true;
	on_source_work = fix.home.source.on_work;
	test_owners();
	test_refused();
	test_turns();
	test_sources();
	test_paused();
	test_leased();
	test_drained();
	return done_testing();
}
