/*
 * Whose job an id is, with two sources that are none: names go before ids, another's job is as if it were not there, and
 * who cannot say is named.
 */
#include "supervisor/front/lookup.h"

#include "supervisor/auth/auth.h"
#include "supervisor/front/our_id.h"
#include "supervisor/front/sources.h"
#include "tests/tap.h"
#include "tests/unit/supervisor/front/fake_source.h"

static struct fake_source home, redis, names; /* of names only get is used: by its key */
static struct sources sources = { .all = { &home.source, &redis.source }, .n = 2, .home = &home.source };

static int get_named(void *self, const char *owner, const char *key, queue_get_fn *fn, void *arg)
{
	(void)owner;
	return fake_get(self, key, false, fn, arg);
}

static const struct lookup_env env = { .sources = &sources, .get_named = get_named, .self = &names };
static const struct caller ann = { .owner = "ann" }, admin = { .owner = "admin", .scopes = SCOPE_ADMIN };

static struct {
	unsigned n;
	int code;
	char text[sizeof(((struct error *)0)->text)], owner[QUEUE_OWNER_BYTES];
	enum queue_space space;
} said;

static void on_get(const struct error *e, const struct queue_record *r, void *arg)
{
	(void)arg;
	said.n++;
	said.code = e ? e->code : 0;
	said.space = r ? r->space : SPACE_HERE;
	(void)snprintf(said.text, sizeof(said.text), "%s", e ? e->text : "");
	(void)snprintf(said.owner, sizeof(said.owner), "%s", r ? r->job.owner : "");
}

static void on_cancel(const struct error *e, bool was_leased, void *arg)
{
	(void)was_leased;
	on_get(e, NULL, arg);
}

static void begin(void)
{
	fake_source_init(&home, SPACE_HERE);
	fake_source_init(&redis, SPACE_REDIS);
	fake_source_init(&names, SPACE_HERE);
	memset(&said, 0, sizeof(said));
}

static void test_names(void)
{
	begin();
	names.id = "cell:mine";
	names.owner = "ann";
	redis.id = home.id = "mine";
	redis.owner = home.owner = "ann";
	is_int(lookup_job(&env, &ann, "mine", on_get, NULL), 0, "a name is looked up");
	ok(names.n_get == 1 && home.n_get + redis.n_get == 0, "among names first");
	ok(fake_answer_get(&names, 0) && said.n == 1 && said.code == 0, "and found");
	ok(said.space == SPACE_HERE && home.n_get + redis.n_get == 0,
	   "where names are kept: no source is asked for it");

	begin();
	redis.id = "mine";
	redis.owner = "ann";
	is_int(lookup_job(&env, &ann, "mine", on_get, NULL), 0, "what nobody gave as a name");
	ok(fake_answer_get(&names, 0) && fake_answer_get(&home, 0), "is looked for in each source");
	ok(fake_answer_get(&redis, 0) && said.n == 1 && said.code == 0, "until one has it");
	is_int(said.space, SPACE_REDIS, "and says whose names that one has");
}

static void test_our_ids(void)
{
	char id[65];

	begin();
	our_id_make(id);
	home.id = id;
	home.owner = "ann";
	is_int(lookup_job(&env, &ann, id, on_get, NULL), 0, "an id of this node");
	ok(names.n_get == 0 && home.n_get == 1, "is no name that somebody gave");
	ok(fake_answer_get(&home, 0) && said.code == 0, "and found");

	begin();
	is_int(lookup_job(&env, &ann, "no/id", on_get, NULL), 0, "what can be no id");
	ok(names.n_get == 0 && home.n_get == 1, "is no name either");
	ok(fake_answer_get(&home, 0) && redis.n_get == 0, "and Redis is not asked for it");
	ok(said.n == 1 && said.code == ENOENT, "it is not there");
}

static void test_owners(void)
{
	begin();
	home.id = redis.id = "job1";
	home.owner = "bob";
	redis.owner = "ann";
	(void)lookup_job(&env, &ann, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&home, 0), "another's job of that id");
	ok(said.n == 0 && fake_answer_get(&redis, 0), "is passed over");
	ok(said.n == 1 && said.code == 0 && strcmp(said.owner, "ann") == 0, "for the caller's own");

	begin();
	home.id = "job1";
	home.owner = "bob";
	(void)lookup_job(&env, &ann, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&home, 0) && fake_answer_get(&redis, 0) && said.n == 1,
	   "where there is no other");
	ok(said.code == ENOENT && said.owner[0] == '\0', "it is as if it were not there");
	is_str(said.text, "there is no job 'job1'", "in the same words");

	begin();
	home.id = "job1";
	home.owner = "bob";
	(void)lookup_job(&env, &admin, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&home, 0) && said.n == 1 && said.code == 0,
	   "an administrator is shown it");
	is_str(said.owner, "bob", "and whose it is");
}

static void test_away(void)
{
	begin();
	names.is_behind = true;
	is_int(lookup_job(&env, &ann, "job1", on_get, NULL), -EAGAIN, "without the names nothing can be said");
	is_int(said.n, 0, "so there is no answer later");

	begin();
	home.is_behind = true;
	redis.id = "job1";
	redis.owner = "ann";
	(void)lookup_job(&env, &ann, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&redis, 0) && said.code == 0,
	   "a source that is behind hides no job of another");

	begin();
	home.is_behind = true;
	(void)lookup_job(&env, &ann, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&redis, 0) && said.n == 1, "when no other knows the job");
	is_int(said.code, EAGAIN, "it is not said that there is none");
	has_str(said.text, "fake cannot be asked at the moment and may know it", "but who may know it");

	begin();
	(void)lookup_job(&env, &ann, "job1", on_get, NULL);
	ok(fake_answer_get(&names, 0) && fake_answer_get(&home, ETIMEDOUT) && fake_answer_get(&redis, 0),
	   "one that is lost before it answers");
	is_int(said.code, EAGAIN, "may know it as well");

	begin();
	home.is_behind = redis.is_behind = true;
	is_int(lookup_again(&env, &(struct job_name){ .owner = "ann", .id = "job1" }, false, on_get, NULL), -EAGAIN,
	       "where all are behind the asker is told at once");
}

static void test_one_job(void)
{
	const struct job_name name = { .space = SPACE_REDIS, .owner = "ann", .id = "job1" };

	begin();
	home.id = redis.id = "job1";
	home.owner = redis.owner = "ann";
	is_int(lookup_again(&env, &name, true, on_get, NULL), 0, "a job that is known");
	ok(home.n_get + names.n_get == 0 && fake_answer_get(&redis, 0) && said.code == 0,
	   "is looked for in its own space alone");

	begin();
	redis.id = "job1";
	redis.owner = "bob";
	(void)lookup_again(&env, &name, true, on_get, NULL);
	ok(fake_answer_get(&redis, 0) && said.code == ENOENT, "and only while it is its owner's");

	begin();
	is_int(lookup_cancel(&env, &name, on_cancel, NULL), 0, "it is cancelled");
	ok(home.n_cancel == 0 && fake_answer_cancel(&redis, 0) && said.n == 1 && said.code == 0, "there");

	begin();
	(void)lookup_cancel(&env, &name, on_cancel, NULL);
	ok(fake_answer_cancel(&redis, EALREADY) && said.code == EALREADY, "or had ended");

	begin();
	(void)lookup_cancel(&env, &name, on_cancel, NULL);
	ok(fake_answer_cancel(&redis, ENOENT) && said.code == ENOENT, "or is gone");
	is_str(said.text, "there is no job 'job1'", "in our words");
}

int main(void)
{
	test_names();
	test_our_ids();
	test_owners();
	test_away();
	test_one_job();
	return done_testing();
}
