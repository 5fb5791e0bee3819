/*
 * A job on its way into a queue that is none: its owner's quota is taken and, when it is refused, given back; its callback
 * is armed before the queue is asked and disarmed when it does not take the job; the same request again is the same job.
 */
#include "supervisor/front/submit.h"

#include "supervisor/spec/spec.h"
#include "tests/unit/supervisor/front/front_fixture.h"

#define JOB          "{\"runtime\":\"plain\",\"source\":\"x\"}"
#define WITH_ADDRESS "{\"runtime\":\"plain\",\"source\":\"x\",\"callback\":{\"url\":\"http://receiver.example/\"}}"

/* ---- queues ---- */

struct fake_queue {
	unsigned n;
	int code; /* what it says at once */
	struct queue_job job;
	unsigned n_armed; /* callbacks when it was asked */
	queue_submit_fn *fn;
	void *arg;
};

static struct fake_queue here, shared;

static unsigned armed(void)
{
	struct callbacks_counts c;

	job_callbacks_counts(&fix.callbacks, &c);
	return (unsigned)c.armed;
}

static int take(void *self, const struct queue_job *job, queue_submit_fn *fn, void *arg)
{
	struct fake_queue *q = self;

	q->n++;
	q->job = *job;
	q->n_armed = armed();
	q->fn = fn;
	q->arg = arg;
	return q->code;
}

/* id NULL: its own. */
static void answer(struct fake_queue *q, int code, enum queue_submitted how, const char *id)
{
	struct error e = fake_error(code);

	q->fn(code ? &e : NULL, how, id ? id : q->job.id, q->arg);
}

static bool is_asked(void)
{
	return here.n > 0;
}

/* ---- one that submits ---- */

static struct submit_env env;

static struct {
	unsigned n;
	bool is_refused, is_repeat;
	struct refusal why;
	char id[QUEUE_ID_BYTES];
} said;

static void on_submitted(const struct refusal *why, const char *id, bool is_repeat, void *arg)
{
	(void)arg;
	said.n++;
	said.is_refused = why != NULL;
	said.is_repeat = is_repeat;
	if (why)
		said.why = *why;
	(void)snprintf(said.id, sizeof(said.id), "%s", id);
}

static int submit(const struct caller *caller, const char *text, const char *key, bool is_shared)
{
	const struct submit_names names = { .key = key, .is_shared = is_shared };
	struct job_spec *spec = NULL;
	int r;

	here = shared = (struct fake_queue){ .n = 0 };
	memset(&said, 0, sizeof(said));
	if (submit_parse(&env, caller, text, strlen(text), true, &spec, &said.why) < 0)
		need(false, "a job %s", said.why.text);
	r = submit_job(&env, caller, spec, &names, on_submitted, NULL, &said.why);
	job_spec_free(spec);
	return r;
}

static void test_taken(void)
{
	is_int(submit(&ann, JOB, NULL, true), 0, "a job is submitted");
	ok(here.n == 0 && shared.n == 1, "where any node takes jobs from");
	answer(&shared, 0, QUEUE_ACCEPTED, NULL);
	is_int(fix_jobs_of("ann"), 0, "and counts where it will run, not here");

	is_int(submit(&ann, JOB, NULL, false), 0, "or into this node's queue");
	ok(here.n == 1 && shared.n == 0 && said.n == 0, "which is asked");
	is_int(fix_jobs_of("ann"), 1, "it counts for its owner from then on");
	is_str(here.job.owner, "ann", "whose it is");
	answer(&here, 0, QUEUE_ACCEPTED, NULL);
	ok(said.n == 1 && !said.is_refused && !said.is_repeat, "durable: it was taken");
	is_str(said.id, here.job.id, "under this id");
	is_int(fix_jobs_of("ann"), 1, "and goes on counting");
	auth_job_ended(fix.auth, "ann", 0, 0);
}

static void test_repeated(void)
{
	char fingerprint[65];

	is_int(submit(&ann, JOB, "order-1", true), 0, "with a key");
	ok(here.n == 1 && shared.n == 0, "it goes where keys are known");
	is_str(here.job.key, "order-1", "with it");
	memcpy(fingerprint, here.job.fingerprint, sizeof(fingerprint));
	answer(&here, 0, QUEUE_ACCEPTED, NULL);
	is_int(fix_jobs_of("ann"), 1, "it counts");

	is_int(submit(&ann, JOB, "order-1", true), 0, "the same again");
	is_str(here.job.fingerprint, fingerprint, "is known by its fingerprint");
	answer(&here, 0, QUEUE_DUPLICATE, "the-first");
	ok(said.n == 1 && !said.is_refused && said.is_repeat, "is no other job");
	is_str(said.id, "the-first", "but the first one");
	is_int(fix_jobs_of("ann"), 1, "and counts once");

	is_int(submit(&ann, "{\"runtime\":\"plain\",\"source\":\"y\"}", "order-1", false), 0, "another program");
	ok(strcmp(here.job.fingerprint, fingerprint) != 0, "has another fingerprint");
	answer(&here, EEXIST, QUEUE_ACCEPTED, "");
	ok(said.is_refused && said.why.kind == REFUSED_KEY_TAKEN, "the key is taken");
	is_int(fix_jobs_of("ann"), 1, "the quota was given back");
	auth_job_ended(fix.auth, "ann", 0, 0);
}

static void test_refused(void)
{
	struct caller small = bob;

	is_int(submit(&bob, JOB, NULL, false), 0, "a queue");
	answer(&here, ENOBUFS, QUEUE_ACCEPTED, "");
	ok(said.n == 1 && said.is_refused && said.why.kind == REFUSED_QUEUE_FULL, "that is full refuses");
	is_int(said.why.retry_s, 1, "for a second");
	is_int(fix_jobs_of("bob"), 0, "what was taken for it is given back");

	is_int(submit(&bob, JOB, NULL, false), 0, "an id");
	answer(&here, EEXIST, QUEUE_ACCEPTED, "");
	ok(said.why.kind == REFUSED_ID_TAKEN && strcmp(said.why.field, "id") == 0, "may be taken");

	small.quota.jobs = 1;
	is_int(submit(&small, JOB, NULL, false), 0, "of one job");
	is_int(submit(&small, JOB, NULL, false), -1, "a second one is refused");
	ok(said.why.kind == REFUSED_QUOTA && here.n == 0 && said.n == 0, "for the quota: the queue is not asked");
	is_int(fix_jobs_of("bob"), 1, "and nothing is taken for it");
	auth_job_ended(fix.auth, "bob", 0, 0);

	fix.state.is_draining = true;
	is_int(submit(&bob, JOB, NULL, false), -1, "a node that is being stopped");
	ok(said.why.kind == REFUSED_STOPPING && here.n == 0 && fix_jobs_of("bob") == 0, "takes none");
	fix.state.is_draining = false;
}

/* What cannot even be asked says so at once, and fn is not called. */
static void test_behind(void)
{
	const struct submit_names names = { .key = NULL };
	struct job_spec *spec = NULL;

	here = (struct fake_queue){ .code = -EAGAIN };
	memset(&said, 0, sizeof(said));
	need(submit_parse(&env, &bob, JOB, strlen(JOB), true, &spec, &said.why) == 0, "a job");
	is_int(submit_job(&env, &bob, spec, &names, on_submitted, NULL, &said.why), -1, "a queue that is behind");
	ok(said.why.kind == REFUSED_OVERLOADED && said.why.retry_s == 1 && said.n == 0, "refuses at once");
	is_int(fix_jobs_of("bob"), 0, "and nothing counts");
	job_spec_free(spec);
}

static void test_callback(void)
{
	is_int(submit(&ann, WITH_ADDRESS, NULL, true), 0, "a job with a callback");
	ok(here.n + shared.n == 0, "is not in a queue before that is durable");
	ok(fix_until(is_asked, PATIENCE_MS) && shared.n == 0, "then in this node's, which makes it");
	is_int(here.n_armed, 1, "armed by then");
	answer(&here, 0, QUEUE_ACCEPTED, NULL);
	ok(!said.is_refused && armed() == 1, "it stays armed while the job is there");
	job_callbacks_disarm(&fix.callbacks, SPACE_HERE, said.id);
	auth_job_ended(fix.auth, "ann", 0, 0);
	is_int(armed(), 0, "until it is disarmed");

	is_int(submit(&ann, WITH_ADDRESS, NULL, false), 0, "one");
	(void)fix_until(is_asked, PATIENCE_MS);
	ok(armed() == 1 && fix_jobs_of("ann") == 1, "that is armed and counted");
	answer(&here, ENOSPC, QUEUE_ACCEPTED, "");
	ok(said.is_refused && said.why.kind == REFUSED_STORAGE, "and refused");
	ok(armed() == 0 && fix_jobs_of("ann") == 0, "is disarmed, and counts no more");

	is_int(submit(&ann, WITH_ADDRESS, "order-2", false), 0, "one");
	(void)fix_until(is_asked, PATIENCE_MS);
	answer(&here, 0, QUEUE_DUPLICATE, "the-first");
	ok(said.is_repeat && armed() == 0, "that is a repeat is called back once");

	is_int(submit(&ann, "{\"runtime\":\"plain\",\"source\":\"x\",\"callback\":{\"url\":\"http://127.0.0.1/\"}}",
		      NULL, false),
	       -1, "an address of this machine");
	ok(said.why.kind == REFUSED_FORBIDDEN && strcmp(said.why.field, "callback.url") == 0, "is refused by name");
	ok(armed() == 0 && fix_jobs_of("ann") == 0 && here.n == 0, "and nothing is left of it");
}

static void test_parse(void)
{
	static const struct {
		const char *text, *field;
		enum refusal_kind kind;
	} rows[] = {
		{ "{\"runtime\":\"none\",\"source\":\"x\"}", "runtime", REFUSED_RUNTIME },
		{ "{\"runtime\":\"plain\",\"source\":\"x\",\"limits\":{\"memory\":\"64G\"}}", "limits.memory",
		  REFUSED_CEILING },
		{ "{\"runtime\":\"plain\",\"source\":\"x\",\"policy\":\"none\"}", "policy", REFUSED_INVALID },
		{ "{\"runtime\":\"plain\",\"source\":1}", "source", REFUSED_INVALID },
		{ "[]", "", REFUSED_INVALID },
	};
	struct job_spec *spec = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refusal why;

		is_int(submit_parse(&env, &ann, rows[i].text, strlen(rows[i].text), true, &spec, &why), -1, "%s",
		       rows[i].text);
		is_str(refusal_word(why.kind), refusal_word(rows[i].kind), "is refused as that");
		is_str(why.field, rows[i].field, "by name");
	}
	ok(!spec, "and none was made");
}

int main(void)
{
	fix_open_store();
	fix_open_work();
	env = (struct submit_env){ .settings = &fix.settings,
				   .state = &fix.state,
				   .catalog = &fix.catalog,
				   .auth = fix.auth,
				   .able = fix.able,
				   .callbacks = &fix.callbacks,
				   .metrics = fix.metrics,
				   .here = { take, &here },
				   .shared = { take, &shared } };
	test_taken();
	test_repeated();
	test_refused();
	test_behind();
	test_callback();
	test_parse();
	return done_testing();
}
