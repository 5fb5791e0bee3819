/*
 * A result on its way into a source: tried again until it is there, dropped when another attempt owns the job, and of a
 * direct run, whose client has it, tried once.
 *
 * # timeout: 60
 */
#include "supervisor/front/record.h"

#include "runtime/verdict.h"
#include "supervisor/jobs/job.h"
#include "supervisor/journal/journal.h"
#include "tests/unit/supervisor/front/front_fixture.h"

static struct job job = { .owner = (char[]){ "ann" } };
static const struct job_result result = { .id = "job1",
					  .run = { .has_run = true, .cpu_ns = 7 * NS_PER_MS },
					  .verdict = { .status = VERDICT_RUNTIME_ERROR },
					  .policy = "default",
					  .queued_ms = 42 };

/* What is said of the result that a source was given. */
struct said {
	unsigned n;
	enum recorded how;
};
static struct said of_home, of_redis;
static unsigned n_others = 1; /* jobs of ann that go on */

static void on_recorded(enum recorded how, void *arg)
{
	struct said *said = arg;

	is_int(fix_jobs_of("ann"), n_others, "its owner's quota was given back by then");
	said->n++;
	said->how = how;
}

static void begin(struct fake_source *source, struct said *said, unsigned attempt, const char *spec)
{
	*said = (struct said){ .n = 0 };
	auth_job_resumed(fix.auth, "ann");
	record_result(&fix.record, &source->source, &job, &result, attempt, strdup("{\"id\":\"job1\"}"), spec, NULL,
		      on_recorded, said);
}

static bool are_tried_again(void)
{
	return fix.home.n_finish >= 2 && fix.redis.n_finish >= 2;
}

static void test_durable(void)
{
	begin(&fix.home, &of_home, 3, NULL);
	is_int(of_home.n, 0, "nothing is said while it is on its way");
	is_int(fix.home.n_finish, 1, "the source is given it");
	is_int(fix.home.attempt, 3, "with the attempt, its fence");
	is_str(fix.home.json, "{\"id\":\"job1\"}", "as it was given");
	ok(!fix.home.result.is_direct && fix.home.result.queued_ms == 42, "as that of a queued job");
	ok(fake_answer_done(&fix.home, 0) && of_home.n == 1 && of_home.how == RECORDED, "durable: it is recorded");
	is_int(usage_find(&fix.auth->usage, "ann")->cpu_ms, 7, "what it used counts");

	begin(&fix.home, &of_home, 0, "{\"runtime\":\"plain\"}");
	ok(fix.home.result.is_direct && fix.home.attempt == 0, "a direct run makes its row");
	ok(fake_answer_done(&fix.home, 0) && of_home.how == RECORDED, "and is recorded");
}

static void test_retried(void)
{
	fake_source_init(&fix.home, SPACE_HERE);
	fake_source_init(&fix.redis, SPACE_REDIS);
	fix.redis.is_behind = true;
	begin(&fix.home, &of_home, 1, NULL);
	ok(fake_answer_done(&fix.home, ENOSPC) && of_home.n == 0, "a full disk loses no result");
	is_int(fix_jobs_of("ann"), n_others + 1, "and it counts for its owner meanwhile");
	begin(&fix.redis, &of_redis, 1, NULL);
	ok(fix.redis.n_finish == 1 && of_redis.n == 0, "nor does a source that is behind");
	fix.redis.is_behind = false;
	ok(fix_until(are_tried_again, PATIENCE_MS), "both are tried again");
	n_others = 2;
	ok(fake_answer_done(&fix.home, 0) && of_home.n == 1 && of_home.how == RECORDED, "until they are there");
	n_others = 1;
	ok(fake_answer_done(&fix.redis, 0) && of_redis.n == 1 && of_redis.how == RECORDED, "each of them");
}

static void test_dropped(void)
{
	fake_source_init(&fix.home, SPACE_HERE);
	fake_source_init(&fix.redis, SPACE_REDIS);
	begin(&fix.redis, &of_redis, 1, NULL);
	ok(fake_answer_done(&fix.redis, ESTALE) && of_redis.n == 1, "another attempt owns the job");
	is_int(of_redis.how, RECORD_FENCED, "its result is dropped");
	begin(&fix.home, &of_home, 0, "{\"runtime\":\"plain\"}");
	ok(fake_answer_done(&fix.home, ENOSPC) && of_home.n == 1, "a direct run that cannot be recorded");
	is_int(of_home.how, RECORD_FAILED, "is dropped as well: its client has the answer");
	(void)fix_until(NULL, 2200);
	ok(fix.redis.n_finish == 1 && fix.home.n_finish == 1, "for good");
}

int main(void)
{
	fix_open_store();
	need(journal_open((const int[3]){ -1, -1, -1 }, &job.journal, NULL) == 0, "a journal");
	auth_job_resumed(fix.auth, "ann"); /* one that goes on */
	test_durable();
	test_retried();
	test_dropped();
	return done_testing();
}
