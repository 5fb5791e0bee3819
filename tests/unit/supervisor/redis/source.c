/*
 * Redis as a source of jobs, against a real server and with two nodes in one process: every entry runs, has one result,
 * and is not lost, whatever dies in between.
 * # timeout: 200
 */
#include "supervisor/redis/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/jobs/job.h"
#include "supervisor/journal/journal.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"
#include "tests/tap.h"

enum { PATIENCE_S = 30, LEASE_MS = 1000, TAKEN_MAX = 64 };

static uv_loop_t loop;
static uv_timer_t beat; /* so that the loop comes back to look at the clock */
static struct runtime_set *runtimes;
static char dir[512], socket_path[600], url[700];
static pid_t server;
static redisContext *cli;

/* ---- the loop ---- */

static void on_beat(uv_timer_t *t)
{
	(void)t;
}

static uint64_t give_up_ns;
#define UNTIL(cond, ...)                                                                                               \
	do {                                                                                                           \
		give_up_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);                                                 \
		while (!(cond) && clock_now_ns() < give_up_ns)                                                         \
			uv_run(&loop, UV_RUN_ONCE);                                                                    \
		ok((cond), __VA_ARGS__);                                                                               \
	} while (0)

static void run_for(unsigned ms)
{
	uint64_t end = clock_deadline_ns(ms * NS_PER_MS);

	while (clock_now_ns() < end)
		uv_run(&loop, UV_RUN_ONCE);
}

/* ---- the server, and a client as plain as redis-cli ---- */

static void connect_client(void)
{
	for (int i = 0; i < 500; i++) {
		cli = redisConnectUnix(socket_path);
		if (cli && !cli->err) {
			redisReply *r = redisCommand(cli, "PING");
			bool is_there = r && r->type == REDIS_REPLY_STATUS;

			freeReplyObject(r);
			if (is_there)
				return;
		}
		redisFree(cli);
		(void)usleep(10000);
	}
	need(false, "the server answers");
}

static void start_server(void)
{
	const char *const argv[] = { "redis-server",
				     "--port",
				     "0",
				     "--unixsocket",
				     socket_path,
				     "--save",
				     "",
				     "--dir",
				     dir,
				     "--appendonly",
				     "yes",
				     "--appendfsync",
				     "always",
				     NULL };

	server = fork();
	if (server == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	connect_client();
}

static void stop_server(int signo)
{
	redisFree(cli);
	cli = NULL;
	(void)kill(server, signo);
	(void)waitpid(server, NULL, 0);
	(void)unlink(socket_path);
}

static redisReply *last_reply;

static redisReply *rc(const char *fmt, ...)
{
	va_list ap;

	freeReplyObject(last_reply);
	va_start(ap, fmt);
	last_reply = redisvCommand(cli, fmt, ap);
	va_end(ap);
	if (!last_reply)
		need(false, "redis answers '%s'", fmt);
	if (last_reply->type == REDIS_REPLY_ERROR)
		diag("%s: %s", fmt, last_reply->str);
	return last_reply;
}

#define NUMBER(...) (rc(__VA_ARGS__)->integer)

static const char *text_reply(redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? r->str : "";
}
#define TEXT(...) text_reply(rc(__VA_ARGS__))

static void flush(void)
{
	(void)rc("FLUSHALL");
}

/* ---- a node: what the dispatcher does, by hand ---- */

struct node {
	struct settings settings;
	struct redis *r;
	struct source *sources[REDIS_SOURCES_MAX];
	size_t n, slots;
	bool is_auto; /* take by itself */
	struct queue_job taken[TAKEN_MAX];
	struct source *from[TAKEN_MAX];
	size_t n_taken;
	char cancelled[65];
	int drain;                                                                  /* -1: not asked */
	void (*works)(struct node *n, struct source *s, const struct queue_job *q); /* NULL: they are kept in taken */
};

static size_t free_slots(void *arg)
{
	return ((struct node *)arg)->slots;
}

static void on_cancel(const char *id, const char *reason, void *arg)
{
	(void)reason;
	(void)text_copy(((struct node *)arg)->cancelled, 65, id);
}

static void on_drain(bool on, void *arg)
{
	((struct node *)arg)->drain = on;
}

static bool has_policy(const char *name, void *arg)
{
	(void)arg;
	return strcmp(name, "default") == 0;
}

static void take_more(struct source *s);

static void on_taken(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct source *s = arg;
	struct node *node = s->arg;

	s->n_taking = 0;
	(void)e;
	for (size_t i = 0; node->works && i < n; i++)
		node->works(node, s, &jobs[i]);
	for (size_t i = 0; !node->works && i < n && node->n_taken < TAKEN_MAX; i++) {
		struct queue_job *q = &node->taken[node->n_taken];

		*q = jobs[i];
		q->spec = strndup(jobs[i].spec, jobs[i].spec_size);
		node->from[node->n_taken++] = s;
	}
	s->may_have |= n > 0;
	if (s->may_have && node->is_auto)
		take_more(s);
}

static void take_more(struct source *s)
{
	struct node *node = s->arg;

	s->may_have = false;
	if (node->slots == 0 || s->n_taking || s->ops->take(s->self, node->slots, on_taken, s) < 0) {
		s->may_have = true;
		return;
	}
	s->n_taking = node->slots;
}

static void on_work(struct source *s)
{
	struct node *node = s->arg;

	s->may_have = true;
	if (node->is_auto)
		take_more(s);
}

#define NODE_NAME(n) ((n)->settings.node)

static void node_open(struct node *n, const char *name)
{
	const struct redis_env env = {
		.loop = &loop,
		.settings = &n->settings,
		.runtimes = runtimes,
		.has_policy = has_policy,
		.free_slots = free_slots,
		.cancel = on_cancel,
		.arg = n,
	};
	struct error e = ERROR_INIT;

	*n = (struct node){ .slots = 8, .is_auto = true, .drain = -1 };
	n->settings = (struct settings){
		.node = strdup(name),
		.run_timeout_ns = 5 * NS_PER_S,
		.memory_bytes = 256 << 20,
		.cpus_milli = 1000,
		.max_wall_ns = 60 * NS_PER_S,
		.max_memory = 1 << 30,
		.max_cpus_milli = 2000,
		.max_processes = 512,
		.max_open_files = 4096,
		.max_output = 16 << 20,
		.max_disk = 1 << 30,
		.max_body = 1 << 20,
		.slots = 8,
		.queue_max = 100,
		.attempts = 3,
		.lease_ns = LEASE_MS * NS_PER_MS,
		.retention_ns = 3600 * NS_PER_S,
		.redis_url = url,
		.redis_ca = (char *)"",
		.redis_streams = (char *)"cubit:jobs/cubit:workers/job goxec:jobs/goxec:workers/job",
		.redis_list = (char *)"execution",
		.redis_prefix = (char *)"cubit:",
		.redis_events = 1000,
	};
	if (redis_open(&env, &n->r, &e) < 0) {
		diag("%s", e.text);
		need(false, "Redis is opened");
	}
	redis_on_drain(n->r, on_drain, n);
	n->n = redis_sources(n->r, n->sources);
	for (size_t i = 0; i < n->n; i++) {
		n->sources[i]->on_work = on_work;
		n->sources[i]->arg = n;
	}
}

static void node_forget(struct node *n)
{
	for (size_t i = 0; i < n->n_taken; i++)
		free((void *)n->taken[i].spec);
	n->n_taken = 0;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static void node_close(struct node *n)
{
	bool is_closed = false;

	n->is_auto = false;
	redis_close(n->r, on_closed, &is_closed);
	UNTIL(is_closed, "a node closes");
	node_forget(n);
	free(n->settings.node);
}

static struct queue_job *taken(struct node *n, const char *id)
{
	for (size_t i = n->n_taken; i-- > 0;)
		if (strcmp(n->taken[i].id, id) == 0)
			return &n->taken[i];
	return NULL;
}

static struct source *source_of(struct node *n, const struct queue_job *q)
{
	return n->from[q - n->taken];
}

/* ---- calls that wait for their answer ---- */

struct answer {
	bool is_there, was_leased;
	int code;
	char text[512];
	struct queue_job job;
	char *result, *journal;
	size_t journal_size, n;
	json_t *json;
	struct queue_job jobs[16];
};

static void answer_is(struct answer *a, const struct error *e)
{
	a->is_there = true;
	a->code = e ? e->code : 0;
	(void)text_copy(a->text, sizeof(a->text), e ? e->text : "");
}

static void on_done(const struct error *e, void *arg)
{
	answer_is(arg, e);
}

static void on_extended(const struct error *e, const char *id, unsigned attempt, void *arg)
{
	(void)id;
	(void)attempt;
	answer_is(arg, e);
}

static void on_cancelled(const struct error *e, bool was_leased, void *arg)
{
	((struct answer *)arg)->was_leased = was_leased;
	answer_is(arg, e);
}

static void on_got(const struct error *e, const struct queue_record *r, void *arg)
{
	struct answer *a = arg;

	if (r) {
		a->job = r->job;
		a->job.spec = r->job.spec ? "there" : NULL;
		a->result = r->result ? strndup(r->result, r->result_size) : NULL;
		a->journal_size = r->journal_size;
		a->journal = r->journal_size ? malloc(r->journal_size) : NULL;
		if (a->journal)
			memcpy(a->journal, r->journal, r->journal_size);
	}
	answer_is(a, e);
}

static void on_leases(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct answer *a = arg;

	a->n = n < 16 ? n : 16;
	if (a->n)
		memcpy(a->jobs, jobs, a->n * sizeof(*jobs));
	answer_is(a, e);
}

static void on_json(const struct error *e, json_t *owned, void *arg)
{
	((struct answer *)arg)->json = owned;
	answer_is(arg, e);
}

static void on_submitted(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	struct answer *a = arg;

	a->n = how;
	(void)text_copy(a->job.id, sizeof(a->job.id), id);
	answer_is(a, e);
}

/* The answer's errno, or what the call itself returned. */
#define CALL(a, call)                                                                                                  \
	({                                                                                                             \
		int rc_;                                                                                               \
		(a) = (struct answer){ .code = 0 };                                                                    \
		rc_ = (call);                                                                                          \
		give_up_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);                                                 \
		while (rc_ == 0 && !(a).is_there && clock_now_ns() < give_up_ns)                                       \
			uv_run(&loop, UV_RUN_ONCE);                                                                    \
		rc_ < 0 ? -rc_ : (a).is_there ? (a).code : EINPROGRESS;                                                \
	})

static struct answer ans;

static int finish(struct node *n, struct queue_job *q, const char *status, const char *out)
{
	struct source *s = source_of(n, q);
	char json[1024];
	struct queue_result r = {
		.id = q->id, .attempt = q->attempt, .status = status, .json = json, .journal = "blob", .journal_size = 4
	};

	r.json_size =
		(size_t)snprintf(json, sizeof(json),
				 "{\"id\":\"%s\",\"status\":\"%s\",\"exit_code\":0,\"signal\":null,\"stdout\":\"%s\","
				 "\"wall_ms\":14.2,\"attempt\":%u,\"node\":\"%s\"}",
				 q->id, status, out, q->attempt, NODE_NAME(n));
	return CALL(ans, s->ops->finish(s->self, &r, on_done, &ans));
}

static int extend(struct node *n, struct queue_job *q)
{
	struct source *s = source_of(n, q);

	return CALL(ans, s->ops->extend(s->self, q->id, q->attempt, on_extended, &ans));
}

static int give_back(struct node *n, struct queue_job *q, enum queue_give how)
{
	struct source *s = source_of(n, q);

	return CALL(ans, s->ops->give_back(s->self, q->id, q->attempt, "it broke", how, on_done, &ans));
}

static int get(struct node *n, const char *id)
{
	free(ans.result);
	return CALL(ans, n->sources[0]->ops->get(n->sources[0]->self, id, true, on_got, &ans));
}

static void push(const char *id)
{
	char json[512];

	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"language\":\"python\",\"code\":\"print(1)\",\"more\":[1]}",
		       id);
	(void)rc("XADD cubit:jobs * job %s", json);
}

static unsigned long long dead(void)
{
	return (unsigned long long)NUMBER("XLEN cubit:dead");
}

/* ---- the tests ---- */

static void test_stream(void)
{
	struct node a;
	struct queue_job *q;

	flush();
	push("before"); /* there is no group yet */
	node_open(&a, "a");
	UNTIL(taken(&a, "before"), "what was there before the group is taken");
	q = taken(&a, "before");
	is_int(q->attempt, 1, "as its first attempt");
	has_str(q->spec, "print(1)", "with a spec");
	is_str(q->owner, "redis", "of nobody in particular");
	is_str(TEXT("HGET cubit:job:before state"), "running", "and its hash says that it runs");
	is_str(TEXT("HGET cubit:job:before node"), "a", "here");
	is_int(extend(&a, q), 0, "its lease is renewed");
	is_int(finish(&a, q, "ok", "hi"), 0, "its result is recorded");
	is_str(TEXT("HGET cubit:result:before stdout"), "hi", "field by field");
	is_str(TEXT("HGET cubit:result:before wall_ms"), "14.2", "numbers as they were meant");
	is_str(TEXT("HGET cubit:result:before journal"), "blob", "with its journal, since no stream has it");
	ok(!strstr(TEXT("HGET cubit:result:before json"), "stdout"), "and its output once");
	ok(NUMBER("PTTL cubit:result:before") > 3500000, "for as long as results are kept");
	is_int(NUMBER("XLEN cubit:jobs"), 0, "its entry is gone");
	is_int(NUMBER("SCARD cubit:running:a"), 0, "and so is its lease");
	is_int(finish(&a, q, "ok", "hi"), 0, "the same result again, as after a lost answer, is well");
	q->attempt = 7;
	is_int(finish(&a, q, "ok", "no"), ESTALE, "that of another attempt is refused");
	is_int(get(&a, "before"), 0, "it can be read back");
	ok(ans.job.state == QUEUE_DONE && ans.journal_size == 4 && strcmp(ans.job.status, "ok") == 0, "as done");
	has_str(ans.result, "\"stdout\":\"hi\"", "with its result");
	is_int(get(&a, "nobody"), ENOENT, "and what never was cannot");

	node_forget(&a);
	push("after");
	UNTIL(taken(&a, "after"), "what comes later wakes it up");
	push("before");
	(void)rc("XADD goxec:jobs * job %s",
		 "{\"job_id\":\"gx\",\"language\":\"python\",\"code\":\"1\",\"user_id\":\"u7\"}");
	UNTIL(taken(&a, "gx"), "the shape of others is understood");
	is_str(taken(&a, "gx")->owner, "u7", "with its owner");
	UNTIL(NUMBER("XLEN cubit:jobs") == 1, "an id that has its result is not run again");
	(void)rc("XADD cubit:jobs * job %s", "{\"id\":\"gx\",\"language\":\"python\",\"code\":\"2\"}");
	UNTIL(dead() == 1, "an id that runs from another entry is a dead letter");
	has_str(TEXT("HGET cubit:job:gx state"), "running", "and the first one runs on");
	(void)rc("XADD cubit:jobs * job %s", "{\"language\":\"python\",\"code\":\"2\"}");
	UNTIL(a.n_taken == 3, "an entry without an id is called as it is");
	node_close(&a);
}

/* The letters of the last list that have these bytes, and what they say. */
struct letters {
	struct answer a;
	const char *payload;
	size_t n;
	char reason[QUEUE_REASON_BYTES], next[64];
};

static void on_list(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg)
{
	struct letters *l = arg;

	for (size_t i = 0; i < n; i++) {
		const struct queue_letter *one = jobs[i].letter;

		l->n += !l->payload;
		if (!l->payload || !one || one->payload_size != strlen(l->payload) ||
		    memcmp(one->payload, l->payload, one->payload_size) != 0)
			continue;
		l->n++;
		(void)text_copy(l->reason, sizeof(l->reason), jobs[i].reason);
	}
	(void)text_copy(l->next, sizeof(l->next), next);
	answer_is(&l->a, e);
}

static struct letters list_of(struct node *node, bool is_letters, const char *payload, size_t limit, const char *cursor,
			      int state)
{
	const struct source *s = node->sources[0];
	const struct queue_filter filter = { .state = state, .limit = limit, .cursor = cursor };
	struct letters l = { .payload = payload };
	int rc = (is_letters ? s->ops->letters : s->ops->list)(s->self, &filter, on_list, &l);

	give_up_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);
	while (rc == 0 && !l.a.is_there && clock_now_ns() < give_up_ns)
		uv_run(&loop, UV_RUN_ONCE);
	l.a.code = rc < 0 ? -rc : l.a.code;
	return l;
}

static void test_malformed(void)
{
	static const struct {
		const char *payload, *reason;
	} rows[] = {
		{ "", "empty" },
		{ "not json", "not JSON" },
		{ "[1]", "not a JSON object" },
		{ "42", "not a JSON object" },
		{ "{\"id\":1,\"language\":\"python\",\"code\":\"1\"}", "must be a text" },
		{ "{\"id\":\"m1\",\"language\":\"python\"}", "source" },
		{ "{\"id\":\"../x\",\"language\":\"python\",\"code\":\"1\"}", "is not an id" },
		{ "{\"id\":\"m2\",\"language\":\"klingon\",\"code\":\"1\"}", "there is no 'klingon'" },
		{ "{\"id\":\"m3\",\"id\":\"m4\",\"language\":\"python\",\"code\":\"1\"}", "duplicate" },
		{ "{\"id\":\"m5\",\"language\":\"python\",\"code\":\"1\",\"limits\":{\"memory\":\"64G\"}}",
		  "limits.memory" },
		{ "{\"id\":\"m6\",\"language\":\"python\",\"code\":\"1\",\"policy\":\"none\"}", "policy" },
		{ "{\"id\":\"m7\",\"language\":\"python\",\"code\":\"a\\u0000b\"}", "u0000" },
	};
	size_t n = sizeof(rows) / sizeof(rows[0]);
	char *big = malloc(10 << 20);
	size_t found, is_dead;
	struct letters l;
	struct node a;

	flush();
	for (size_t i = 0; i < n; i++)
		(void)rc("XADD cubit:jobs * job %s", rows[i].payload);
	(void)rc("XADD cubit:jobs * job %b", "{\"id\":\"m8\",\"code\":\"\xff\"}", (size_t)20);
	(void)rc("XADD cubit:jobs * other %s", "thing");
	memset(big, 'x', 10 << 20);
	(void)rc("XADD cubit:jobs * job %b", big, (size_t)(10 << 20));
	free(big);
	push("well");
	node_open(&a, "a");
	UNTIL(taken(&a, "well"), "what is malformed does not hold up the rest");
	UNTIL(dead() == n + 3, "all of it is dead letters");
	a.is_auto = false; /* nobody takes it again when this takes longer than a lease */
	is_int(NUMBER("XLEN cubit:jobs"), 1, "and gone from the stream");
	l = list_of(&a, true, NULL, 100, NULL, -1);
	is_int(l.a.code, 0, "they can be listed");
	ok(l.n == n + 3 && !l.next[0], "all of them");
	for (size_t i = 0; i < n; i++) {
		l = list_of(&a, true, rows[i].payload, 100, NULL, -1);
		has_str(l.reason, rows[i].reason, "a reason: %s", rows[i].reason);
	}
	for (l = list_of(&a, true, NULL, 4, NULL, -1), found = l.n; l.next[0]; found += l.n) {
		char cursor[64];

		(void)text_copy(cursor, sizeof(cursor), l.next);
		l = list_of(&a, true, NULL, 4, cursor, -1);
	}
	is_int(found, n + 3, "page by page as well");
	is_int(list_of(&a, true, NULL, 4, "7-", -1).a.code, EINVAL, "a cursor of nobody is refused");
	is_int(list_of(&a, false, NULL, 4, "x-1", -1).a.code, EINVAL, "in the list of jobs too");
	is_int(list_of(&a, false, NULL, 100, NULL, QUEUE_LEASED).n, 1, "the list of jobs has the one that runs");
	l = list_of(&a, false, NULL, 100, NULL, QUEUE_DEAD);
	for (is_dead = l.n, l = list_of(&a, false, NULL, 2, NULL, QUEUE_DEAD), found = l.n; l.next[0]; found += l.n) {
		char cursor[64];

		(void)text_copy(cursor, sizeof(cursor), l.next);
		l = list_of(&a, false, NULL, 2, cursor, QUEUE_DEAD);
	}
	ok(is_dead == 4 && found == is_dead, "and those that are dead and had an id, page by page (%zu)", found);
	(void)rc("DEL cubit:job:well");
	is_int(list_of(&a, false, NULL, 100, NULL, -1).n, is_dead, "what is gone is not in it");
	is_int(NUMBER("ZCARD cubit:index"), (long long)is_dead, "nor in the index");
	is_int(get(&a, "m2"), 0, "who asks for one by its id learns of it");
	ok(ans.job.state == QUEUE_DEAD, "that it is dead");
	a.is_auto = true;
	is_int(CALL(ans, a.sources[0]->ops->replay(a.sources[0]->self, "m2", NULL, on_done, &ans)), 0,
	       "one can be tried again");
	UNTIL(dead() == n + 3, "and dies again");
	is_int(CALL(ans, a.sources[0]->ops->forget(a.sources[0]->self, "m2", NULL, on_done, &ans)), 0, "or be deleted");
	is_int(dead(), n + 2, "for good");
	is_int(CALL(ans, a.sources[0]->ops->forget(a.sources[0]->self, "m2", NULL, on_done, &ans)), ENOENT, "once");
	node_close(&a);
}

static void test_leases(void)
{
	struct node a, b;
	struct queue_job *q, *second;

	flush();
	node_open(&a, "a");
	push("j");
	UNTIL(taken(&a, "j"), "one node takes it");
	q = taken(&a, "j");
	node_open(&b, "b");
	for (int i = 0; i < 8; i++) {
		run_for(LEASE_MS / 3);
		if (extend(&a, q) != 0)
			break;
	}
	is_int(ans.code, 0, "and keeps it as long as it is renewed");
	is_int(b.n_taken, 0, "from all others");
	a.is_auto = false;
	UNTIL(taken(&b, "j"), "when it is not, another node takes over");
	second = taken(&b, "j");
	is_int(second->attempt, 2, "as the next attempt");
	is_int(second->failures, 1, "which is counted");
	is_int(extend(&a, q), ESTALE, "the first has lost its lease");
	is_int(finish(&a, q, "ok", "late"), ESTALE, "and records nothing");
	is_int(finish(&b, second, "ok", "right"), 0, "the second does");
	is_str(TEXT("HGET cubit:result:j stdout"), "right", "that is the result");
	node_close(&b);

	node_open(&b, "b");
	b.is_auto = false;
	a.is_auto = true;
	push("dies");
	for (unsigned i = 1; i <= 3; i++) {
		UNTIL(taken(&a, "dies") && taken(&a, "dies")->attempt == i, "attempt %u", i);
		is_int(give_back(&a, taken(&a, "dies"), QUEUE_FAILED), 0, "fails");
	}
	UNTIL(dead() == 1, "and the last one is a dead letter");
	is_str(TEXT("HGET cubit:job:dies state"), "dead", "whose hash says so");
	is_int(NUMBER("XLEN cubit:jobs"), 0, "and whose entry is gone");
	is_int(CALL(ans, a.sources[0]->ops->replay(a.sources[0]->self, "dies", NULL, on_done, &ans)), 0,
	       "it is tried again");
	UNTIL(taken(&a, "dies")->attempt == 4, "the attempt goes on counting");
	is_int(taken(&a, "dies")->failures, 0, "the failures do not");
	is_int(give_back(&a, taken(&a, "dies"), QUEUE_FREE), 0, "given back for free");
	UNTIL(taken(&a, "dies")->attempt == 5, "it comes again soon");
	is_int(taken(&a, "dies")->failures, 0, "without a failure");
	is_int(CALL(ans,
		    source_of(&a, taken(&a, "dies"))
			    ->ops->bury(source_of(&a, taken(&a, "dies"))->self, "dies", 5, "never", on_done, &ans)),
	       0, "buried");
	UNTIL(dead() == 1, "it is dead at once");
	node_close(&a);
	node_close(&b);
}

/* A job whose image is not on one node goes to the other one, and is no attempt of the first. */
static void test_lacking(void)
{
	struct node a, b;
	struct queue_job *q;
	uint64_t until;

	flush();
	node_open(&a, "a");
	a.settings.image_wait_ns = 60 * NS_PER_S;
	push("l");
	UNTIL(taken(&a, "l"), "a node takes a job");
	is_int(give_back(&a, taken(&a, "l"), QUEUE_UNSTARTED), 0, "and gives it back unstarted");
	UNTIL(taken(&a, "l") && taken(&a, "l")->attempt == 2, "it comes again");
	is_int(taken(&a, "l")->unstarted, 1, "and knows of it");
	is_int(give_back(&a, taken(&a, "l"), QUEUE_LACKING), 0, "now its image is missing");
	is_str(TEXT("HGET cubit:job:l state"), "waiting", "it waits");
	is_str(TEXT("HGET cubit:job:l reason"), "it broke", "with the reason");
	until = clock_deadline_ns(2500 * NS_PER_MS);
	UNTIL(clock_now_ns() > until, "for two seconds and a half");
	ok(!taken(&a, "l") || taken(&a, "l")->attempt == 2, "this node leaves it to others");
	node_open(&b, "b");
	UNTIL(taken(&b, "l"), "another node takes it");
	q = taken(&b, "l");
	is_int(q->attempt - q->unstarted, 1, "as its first attempt");
	is_int(q->failures, 0, "without a failure");
	is_int(finish(&b, q, "ok", "out"), 0, "and finishes it");
	node_close(&b);

	a.settings.image_wait_ns = NS_PER_MS;
	push("never");
	UNTIL(taken(&a, "never"), "a job that no node can run");
	is_int(give_back(&a, taken(&a, "never"), QUEUE_LACKING), 0, "is given back");
	UNTIL(taken(&a, "never") && taken(&a, "never")->attempt == 2,
	      "comes to this node again, after others had their time");
	is_int(give_back(&a, taken(&a, "never"), QUEUE_LACKING), 0, "and has waited for too long");
	UNTIL(dead() == 1, "it is a dead letter");
	is_str(TEXT("HGET cubit:job:never state"), "dead", "whose hash says so");
	node_close(&a);
}

static void test_restart(void)
{
	struct node a;
	struct queue_job *q;

	flush();
	node_open(&a, "a");
	push("one");
	push("two");
	UNTIL(taken(&a, "one") && taken(&a, "two"), "two are leased");
	node_close(&a);
	node_open(&a, "a");
	is_int(CALL(ans, a.sources[0]->ops->leased(a.sources[0]->self, on_leases, &ans)), 0,
	       "after a restart they are known");
	is_int(ans.n, 2, "both");
	a.taken[0] = ans.jobs[0];
	a.taken[1] = ans.jobs[1];
	a.taken[0].spec = a.taken[1].spec = NULL;
	a.from[0] = a.from[1] = a.sources[0];
	a.n_taken = 2;
	q = taken(&a, "one");
	is_int(extend(&a, q), 0, "one is adopted");
	is_int(give_back(&a, taken(&a, "two"), QUEUE_FAILED), 0, "the other given back");
	UNTIL(taken(&a, "two")->attempt == 2, "and taken again");
	for (int i = 0; i < 5; i++) {
		run_for(LEASE_MS / 3);
		(void)extend(&a, taken(&a, "one"));
		(void)extend(&a, taken(&a, "two"));
	}
	is_int(a.n_taken, 3, "the first is not given out twice");
	is_int(finish(&a, taken(&a, "one"), "ok", "x"), 0, "and ends as what it was");
	node_close(&a);

	/* a node that read an entry and died before it had begun it */
	flush();
	(void)rc("XGROUP CREATE cubit:jobs cubit:workers 0 MKSTREAM");
	push("half");
	(void)rc("XREADGROUP GROUP cubit:workers a COUNT 1 STREAMS cubit:jobs >");
	node_open(&a, "a");
	UNTIL(taken(&a, "half"), "an entry of our own that was read and not begun is begun");
	is_int(taken(&a, "half")->attempt, 1, "as the first attempt");
	node_close(&a);
}

static void test_cancel(void)
{
	struct node a, b;

	flush();
	node_open(&a, "a");
	node_open(&b, "b");
	b.is_auto = false;
	(void)rc("XADD cubit:jobs * job %s",
		 "{\"id\":\"later\",\"language\":\"python\",\"code\":\"1\",\"delay_ms\":600000}");
	UNTIL(NUMBER("ZCARD cubit:delayed:cubit:jobs") == 1, "what has a delay waits");
	is_int(CALL(ans, b.sources[0]->ops->cancel(b.sources[0]->self, "later", "stranger", on_cancelled, &ans)),
	       ENOENT, "a stranger cannot cancel it");
	is_int(CALL(ans, b.sources[0]->ops->cancel(b.sources[0]->self, "later", "redis", on_cancelled, &ans)), 0,
	       "its owner can, from any node");
	ok(!ans.was_leased, "before it ran");
	is_str(TEXT("HGET cubit:result:later status"), "cancelled", "it has a result that says so");
	is_int(NUMBER("ZCARD cubit:delayed:cubit:jobs"), 0, "and waits no more");
	is_int(NUMBER("XLEN cubit:jobs"), 0, "nor is it in the stream");
	is_int(CALL(ans, b.sources[0]->ops->cancel(b.sources[0]->self, "later", NULL, on_cancelled, &ans)), EALREADY,
	       "it cannot be cancelled twice");
	push("runs");
	UNTIL(taken(&a, "runs"), "one runs");
	is_int(CALL(ans, b.sources[0]->ops->cancel(b.sources[0]->self, "runs", NULL, on_cancelled, &ans)), 0,
	       "it is cancelled from another node");
	ok(ans.was_leased, "where it does not run");
	UNTIL(strcmp(a.cancelled, "runs") == 0, "the node that runs it is told");
	is_int(give_back(&a, taken(&a, "runs"), QUEUE_FAILED), 0, "given back instead");
	UNTIL(NUMBER("EXISTS cubit:result:runs") == 1, "it is cancelled all the same");
	(void)rc("XADD cubit:jobs * job %s",
		 "{\"id\":\"soon\",\"language\":\"python\",\"code\":\"1\",\"delay_ms\":700}");
	UNTIL(taken(&a, "soon"), "a delay passes");
	node_close(&a);
	node_close(&b);
}

static void test_list(void)
{
	static const char cube[] =
		"{\"id\":\"cube_1\",\"user_id\":\"user_xyz\",\"name\":\"Box\",\"cube_type\":\"python\"}";
	static const char job[] = "{\"id\":\"l1\",\"user_id\":\"u\",\"cube_type\":\"python\",\"code\":\"1\"}";
	struct node a, b;

	flush();
	(void)rc("RPUSH execution %s", job);
	node_open(&a, "a");
	UNTIL(taken(&a, "l1"), "a payload of the list is taken");
	is_str(taken(&a, "l1")->owner, "u", "with its owner");
	(void)rc("RPUSH execution %s", job);
	(void)rc("RPUSH execution %s", cube);
	(void)rc("LPUSH execution %s", cube);
	(void)rc("RPUSH execution {broken");
	UNTIL(NUMBER("LLEN cubit:cubes") == 1 && NUMBER("LLEN execution") == 0, "a request for a cube is kept, once");
	is_str(TEXT("HGET cubit:job:cube_1 state"), "pending", "as pending");
	is_str(TEXT("HGET cubit:job:cube_1 owner"), "user_xyz", "with its owner");
	UNTIL(dead() == 1, "what is malformed is a dead letter");
	is_int(a.n_taken, 1, "the same job twice runs once");
	is_int(finish(&a, taken(&a, "l1"), "ok", "y"), 0, "it has a result");
	is_int(NUMBER("LLEN cubit:processing:a"), 0, "and nothing of it is left");
	is_str(TEXT("HGET cubit:result:l1 stdout"), "y", "that can be read");
	(void)rc("RPUSH execution %s", "{\"id\":\"l2\",\"cube_type\":\"python\",\"code\":\"1\"}");
	UNTIL(taken(&a, "l2"), "another one");
	is_int(give_back(&a, taken(&a, "l2"), QUEUE_FAILED), 0, "is given back");
	UNTIL(taken(&a, "l2")->attempt == 2, "and comes again");
	node_close(&a);
	node_open(&b, "b");
	(void)rc("HSET cubit:node:a seen 1"); /* long ago */
	UNTIL(taken(&b, "l2"), "what a silent node had taken goes to another one");
	is_int(taken(&b, "l2")->attempt, 3, "as the next attempt");
	b.slots = 0;
	run_for(200);
	(void)rc("RPUSH execution %s", "{\"id\":\"l3\",\"cube_type\":\"python\",\"code\":\"1\"}");
	UNTIL(NUMBER("LLEN execution") == 1 && !b.r->sources[2].fetched, "who has no room leaves it for others");
	node_close(&b);
}

/* A job as far as events are concerned. */
static struct job *fake_job(const struct queue_job *q)
{
	struct job *job = calloc(1, sizeof(*job));

	(void)text_copy(job->id, sizeof(job->id), q->id);
	job->attempt = q->attempt;
	need(journal_open((const int[3]){ -1, -1, -1 }, &job->journal, NULL) == 0, "a journal");
	return job;
}

static void fake_free(struct job *job)
{
	journal_unref(job->journal);
	free(job);
}

static void test_events(void)
{
	struct node a, b;
	struct journal *followed = NULL;
	struct journal_event e;
	cleanup_buf struct buf blob = BUF_INIT;
	struct queue_job *q;
	struct job *job;
	char line[32];

	flush();
	node_open(&a, "a");
	node_open(&b, "b");
	b.is_auto = false;
	(void)rc("XADD goxec:jobs * job %s", "{\"job_id\":\"talks\",\"language\":\"python\",\"code\":\"1\"}");
	UNTIL(taken(&a, "talks"), "one runs");
	q = taken(&a, "talks");
	job = fake_job(q);
	source_of(&a, q)->ops->started(source_of(&a, q)->self, job);
	is_int(b.sources[0]->ops->follow(b.sources[0]->self, "talks", &followed), 0, "it is followed from elsewhere");
	(void)journal_add(job->journal, JOURNAL_STATUS, "{\"state\":\"running\"}", NULL);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(line, sizeof(line), "line %d\n", i);
		(void)journal_put(job->journal, JOURNAL_STDOUT, line, strlen(line), NULL);
	}
	UNTIL(NUMBER("XLEN cubit:events:talks") == 301, "its events are in Redis");
	stop_server(SIGKILL);
	for (int i = 0; i < 10; i++)
		(void)journal_put(job->journal, JOURNAL_STDERR, "e", 1, NULL);
	run_for(300);
	start_server();
	UNTIL(NUMBER("XLEN cubit:events:talks") == 311, "after an outage it goes on behind the last one");
	(void)journal_add(job->journal, JOURNAL_EXIT, "{\"status\":\"ok\"}", NULL);
	UNTIL(redis_link_is_up(a.r->jobs), "the connection is back");
	is_int(finish(&a, q, "ok", ""), 0, "the result is recorded");
	is_int(NUMBER("XLEN cubit:events:talks"), 313, "behind all of its events, with an end");
	UNTIL(journal_is_ended(followed), "who follows comes to the end");
	is_int(journal_bytes(followed, JOURNAL_STDOUT), journal_bytes(job->journal, JOURNAL_STDOUT), "with every byte");
	is_int(journal_bytes(followed, JOURNAL_STDERR), 10, "of both streams");
	ok(journal_get(followed, journal_last(followed), &e) && strcmp(e.data, "{\"status\":\"ok\"}") == 0,
	   "and the last event is the exit");
	journal_unref(followed);
	is_int(NUMBER("HEXISTS cubit:result:talks journal"), 0, "what the stream has all of is not kept once more");
	is_int(get(&b, "talks"), 0, "its result is read from elsewhere");
	need(journal_pack(job->journal, &blob) == 0, "a journal is packed");
	ok(ans.journal_size == blob.size && memcmp(ans.journal, blob.data, blob.size) == 0,
	   "with the very journal, from its events");
	free(ans.journal);
	(void)rc("XTRIM cubit:events:talks MAXLEN 100");
	is_int(get(&b, "talks"), 0, "of a stream that somebody cut");
	is_int(ans.journal_size, 0, "there is none");
	fake_free(job);
	node_close(&a);
	node_close(&b);
}

/* The next message of a channel that has `part` in it; gives up after a while. */
static bool heard(redisContext *sub, const char *part)
{
	const struct timeval patience = { .tv_sec = 5 };
	bool is_found = false;
	void *r = NULL;

	(void)redisSetTimeout(sub, patience);
	while (!is_found && redisGetReply(sub, &r) == REDIS_OK) {
		is_found = strstr(reply_text(r, 2), part) != NULL;
		freeReplyObject(r);
	}
	return is_found;
}

static void test_channels(void)
{
	redisContext *logs = redisConnectUnix(socket_path), *events = redisConnectUnix(socket_path);
	struct queue_job *q;
	struct node a;
	struct job *job;

	flush();
	freeReplyObject(redisCommand(logs, "SUBSCRIBE goxec:logs"));
	freeReplyObject(redisCommand(events, "SUBSCRIBE cubit:events"));
	node_open(&a, "a");
	(void)rc("XADD goxec:jobs * job %s", "{\"job_id\":\"gl\",\"language\":\"python\",\"code\":\"1\"}");
	(void)rc("XADD goxec:jobs * job %s", "{\"job_id\":\"gm\",\"language\":\"none\",\"code\":\"1\"}");
	UNTIL(taken(&a, "gl"), "one of theirs runs");
	q = taken(&a, "gl");
	job = fake_job(q);
	source_of(&a, q)->ops->started(source_of(&a, q)->self, job);
	(void)journal_put(job->journal, JOURNAL_STDOUT, "hi\n\xff", 4, NULL);
	(void)journal_add(job->journal, JOURNAL_EXIT, "{\"status\":\"ok\"}", NULL);
	is_int(finish(&a, q, "ok", ""), 0, "and ends");
	ok(heard(logs, "\"job_id\":\"gm\""), "their channel is told of one that is malformed");
	ok(heard(logs, "{\"job_id\":\"gl\",\"output\":\"hi\\n\xef\xbf\xbd\",\"type\":\"log\"}"), "of output, as text");
	ok(heard(logs, "\"type\":\"status\",\"status\":\"completed\""), "and of the end");
	ok(heard(events, "\"type\":\"stdout\",\"at_ms\":"), "ours of each event");
	ok(heard(events, "\"type\":\"result\",\"status\":\"ok\""), "and of the result");
	fake_free(job);
	node_close(&a);
	redisFree(logs);
	redisFree(events);
}

static void test_submit(void)
{
	static const char spec[] = "{\"runtime\":\"python\",\"source\":\"1\",\"delay_ms\":0}";
	struct queue_job q = {
		.id = "s1", .owner = "me", .key = "k", .fingerprint = "f", .spec = spec, .spec_size = sizeof(spec) - 1
	};
	struct node a;

	flush();
	node_open(&a, "a");
	a.is_auto = false;
	UNTIL(redis_link_is_up(a.r->jobs), "connected");
	is_int(CALL(ans, redis_submit(a.r, &q, on_submitted, &ans)), 0, "a job is put into the stream");
	is_int(ans.n, QUEUE_ACCEPTED, "accepted");
	is_int(get(&a, "s1"), 0, "it is known at once");
	ok(ans.job.state == QUEUE_WAITING && strcmp(ans.job.owner, "me") == 0, "as waiting");
	(void)text_copy(q.id, sizeof(q.id), "s2");
	is_int(CALL(ans, redis_submit(a.r, &q, on_submitted, &ans)), 0, "the same key");
	ok(ans.n == QUEUE_DUPLICATE && strcmp(ans.job.id, "s1") == 0, "is the same job");
	(void)text_copy(q.fingerprint, sizeof(q.fingerprint), "other");
	is_int(CALL(ans, redis_submit(a.r, &q, on_submitted, &ans)), EEXIST, "with another request it is refused");
	q.key[0] = '\0';
	(void)text_copy(q.id, sizeof(q.id), "s1");
	is_int(CALL(ans, redis_submit(a.r, &q, on_submitted, &ans)), EEXIST, "and so is an id that is known");
	a.settings.queue_max = 1;
	(void)text_copy(q.id, sizeof(q.id), "s3");
	is_int(CALL(ans, redis_submit(a.r, &q, on_submitted, &ans)), ENOBUFS, "a full stream is full");
	a.is_auto = true;
	for (size_t i = 0; i < a.n; i++)
		take_more(a.sources[i]);
	UNTIL(taken(&a, "s1"), "it is taken like any other");
	is_str(taken(&a, "s1")->owner, "me", "as its owner's");
	node_close(&a);
}

static void test_nodes(void)
{
	struct node a, b;

	flush();
	node_open(&a, "a");
	node_open(&b, "b");
	UNTIL(NUMBER("SCARD cubit:nodes") == 2, "two nodes give signs of life");
	is_int(CALL(ans, redis_nodes(a.r, on_json, &ans)), 0, "they can be listed");
	is_int(json_array_size(ans.json), 2, "both");
	json_decref(ans.json);
	is_int(CALL(ans, redis_drain_node(a.r, "b", true, on_done, &ans)), 0, "one asks the other to drain");
	UNTIL(b.drain == 1, "which it learns");
	is_int(a.drain, -1, "alone");
	(void)rc("HSET cubit:node:b drain 0");
	UNTIL(b.drain == 0, "and may work again, by redis-cli");
	is_int(CALL(ans, redis_drain_node(a.r, "nobody", true, on_done, &ans)), ENOENT, "a node that is not there");
	node_close(&a);
	node_close(&b);
}

static void test_outage(void)
{
	struct node a;
	struct queue_job *q;
	struct redis_stats stats;

	flush();
	node_open(&a, "a");
	push("long");
	UNTIL(taken(&a, "long"), "one runs");
	q = taken(&a, "long");
	is_int(extend(&a, q), 0, "and is renewed");
	stop_server(SIGKILL);
	UNTIL(a.sources[0]->ops->trouble(a.sources[0]->self) != NULL, "the server is gone: there is trouble");
	has_str(a.sources[0]->ops->trouble(a.sources[0]->self), "Redis cannot be reached", "in words");
	is_int(finish(&a, q, "ok", "z"), EAGAIN, "a result cannot be recorded now");
	is_int(extend(&a, q), EAGAIN, "nor a lease renewed");
	run_for(LEASE_MS * 3 / 2);
	start_server();
	UNTIL(!a.sources[0]->ops->trouble(a.sources[0]->self), "it comes back");
	run_for(LEASE_MS);
	is_int(a.n_taken, 1, "what runs here is not given out again, though its lease ran out meanwhile");
	is_int(finish(&a, q, "ok", "z"), 0, "and its result is recorded");

	push("kept");
	UNTIL(taken(&a, "kept"), "another one runs");
	q = taken(&a, "kept");
	flush(); /* the server loses everything */
	is_int(extend(&a, q), 0, "a run goes on when the server lost its data");
	flush();
	is_int(finish(&a, q, "ok", "w"), 0, "and its result is recorded");
	is_str(TEXT("HGET cubit:result:kept stdout"), "w", "where it belongs");
	push("new");
	UNTIL(taken(&a, "new"), "the group is made again");

	(void)rc("CONFIG SET maxmemory 1");
	(void)extend(&a, taken(&a, "new"));
	UNTIL(a.sources[0]->ops->trouble(a.sources[0]->self) != NULL, "a server that is full is trouble");
	has_str(a.sources[0]->ops->trouble(a.sources[0]->self), "OOM", "in its words");
	is_int(finish(&a, taken(&a, "new"), "ok", "v"), ENOSPC, "nothing is recorded halfway");
	is_int(NUMBER("EXISTS cubit:result:new"), 0, "really nothing");
	(void)rc("CONFIG SET maxmemory 0");
	is_int(finish(&a, taken(&a, "new"), "ok", "v"), 0, "and then it is");
	redis_stats(a.r, &stats);
	ok(stats.is_up && stats.finished >= 3 && stats.connects == 2, "it was counted");
	node_close(&a);
}

static void test_trimmed(void)
{
	struct node a;

	flush();
	(void)rc("XGROUP CREATE cubit:jobs cubit:workers 0 MKSTREAM");
	push("gone");
	(void)rc("XREADGROUP GROUP cubit:workers a COUNT 1 STREAMS cubit:jobs >");
	(void)rc("XTRIM cubit:jobs MAXLEN 0");
	node_open(&a, "a");
	UNTIL(dead() == 1, "an entry that was trimmed before it ran is a dead letter, not silence");
	(void)rc("SET cubit:jobs x");
	UNTIL(a.sources[0]->ops->trouble(a.sources[0]->self) != NULL, "a stream that is none is trouble");
	has_str(a.sources[0]->ops->trouble(a.sources[0]->self), "WRONGTYPE", "in words");
	(void)rc("XADD goxec:jobs * job %s", "{\"job_id\":\"still\",\"language\":\"python\",\"code\":\"1\"}");
	UNTIL(taken(&a, "still"), "the others go on");
	(void)rc("DEL cubit:jobs");
	push("again");
	UNTIL(taken(&a, "again"), "and so does it, once it is one again");
	node_close(&a);
}

/* ---- chaos: nodes that work by themselves, die, and lose their server ---- */

enum { CHAOS_JOBS = 300, CHAOS_RUNS = 1024 };

struct run {
	struct answer finished, extended;
	struct node *node;
	struct source *s;
	char id[65];
	unsigned attempt;
	uint64_t due_ns, renew_ns;
	bool is_there, is_finishing, is_extending;
};
static struct run runs[CHAOS_RUNS];
static unsigned recorded[CHAOS_JOBS]; /* attempt whose result was said to be recorded */
static bool is_twice;

static void work(struct node *n, struct source *s, const struct queue_job *q)
{
	for (size_t i = 0; i < CHAOS_RUNS; i++) {
		struct run *r = &runs[i];

		if (r->is_there || r->is_finishing || r->is_extending)
			continue;
		*r = (struct run){ .node = n, .s = s, .attempt = q->attempt, .is_there = true };
		(void)text_copy(r->id, sizeof(r->id), q->id);
		r->due_ns = clock_deadline_ns((uint64_t)(rand() % 60) * NS_PER_MS);
		r->renew_ns = clock_deadline_ns(LEASE_MS / 3 * NS_PER_MS);
		return;
	}
	need(false, "room for a run");
}

static void on_run_finished(const struct error *e, void *arg)
{
	struct run *r = arg;
	unsigned *of = &recorded[atoi(r->id + 1)];

	r->is_finishing = false;
	r->due_ns = clock_deadline_ns(50 * NS_PER_MS);
	if (!e && *of && *of != r->attempt)
		is_twice = true;
	if (!e)
		*of = r->attempt;
	if (!e || e->code == ESTALE)
		r->is_there = false;
}

static void on_run_extended(const struct error *e, const char *id, unsigned attempt, void *arg)
{
	struct run *r = arg;

	(void)id;
	(void)attempt;
	r->is_extending = false;
	if (e && e->code == ESTALE && !r->is_finishing)
		r->is_there = false;
}

static void finish_run(struct run *r)
{
	char json[200];
	struct queue_result q = {
		.id = r->id, .attempt = r->attempt, .status = "ok", .json = json, .journal = "", .journal_size = 0
	};

	q.json_size = (size_t)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"status\":\"ok\",\"attempt\":%u}", r->id,
				       r->attempt);
	r->is_finishing = r->s->ops->finish(r->s->self, &q, on_run_finished, r) == 0;
	r->due_ns = clock_deadline_ns(50 * NS_PER_MS);
}

static void pump(void)
{
	uint64_t now = clock_now_ns();

	for (size_t i = 0; i < CHAOS_RUNS; i++) {
		struct run *r = &runs[i];

		if (r->is_there && !r->is_finishing && now > r->due_ns)
			finish_run(r);
		if (r->is_there && !r->is_extending && now > r->renew_ns) {
			r->renew_ns = now + LEASE_MS / 3 * NS_PER_MS;
			r->is_extending = r->s->ops->extend(r->s->self, r->id, r->attempt, on_run_extended, r) == 0;
		}
	}
}

static void pump_for(unsigned ms)
{
	uint64_t end = clock_deadline_ns(ms * NS_PER_MS);

	while (clock_now_ns() < end) {
		uv_run(&loop, UV_RUN_ONCE);
		pump();
	}
}

static void chaos_open(struct node *n, const char *name)
{
	node_open(n, name);
	n->works = work;
	n->settings.attempts = 100;
}

/* It dies with all it does, and comes back under its name. */
static void chaos_restart(struct node *n, const char *name)
{
	bool is_closed = false;

	n->is_auto = false;
	redis_close(n->r, on_closed, &is_closed);
	for (size_t i = 0; i < CHAOS_RUNS; i++)
		if (runs[i].node == n)
			runs[i].is_there = false;
	while (!is_closed)
		uv_run(&loop, UV_RUN_ONCE);
	free(n->settings.node);
	chaos_open(n, name);
}

static bool all_recorded(void)
{
	for (int i = 0; i < CHAOS_JOBS; i++)
		if (!recorded[i] && NUMBER("EXISTS cubit:result:c%d", i) == 0)
			return false;
	return true;
}

static void test_chaos(void)
{
	struct node a, b;
	bool is_same = true;
	int pushed = 0;

	flush();
	chaos_open(&a, "a");
	chaos_open(&b, "b");
	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < CHAOS_JOBS / 12; i++, pushed++) {
			char json[200];

			(void)snprintf(json, sizeof(json), "{\"id\":\"c%d\",\"language\":\"python\",\"code\":\"1\"}",
				       pushed);
			if (pushed % 3 == 0)
				(void)rc("RPUSH execution %s", json);
			else
				(void)rc("XADD cubit:jobs * job %s", json);
		}
		pump_for((unsigned)(rand() % 60));
		if (round % 4 == 1) {
			stop_server(SIGKILL);
			pump_for((unsigned)(rand() % 300));
			start_server();
		} else if (round % 4 == 3) {
			chaos_restart(round % 8 == 3 ? &a : &b, round % 8 == 3 ? "a" : "b");
		} else if (round % 4 == 2) {
			(void)rc("CLIENT KILL TYPE normal");
		}
		pump_for((unsigned)(rand() % 100));
	}
	give_up_ns = clock_deadline_ns(60 * NS_PER_S);
	while (clock_now_ns() < give_up_ns && !all_recorded())
		pump_for(200);
	ok(all_recorded(), "every job has its result, whatever died");
	pump_for(1500);
	ok(!is_twice, "none was recorded by two attempts");
	for (int i = 0; i < CHAOS_JOBS; i++)
		if (recorded[i] && (unsigned)atoi(TEXT("HGET cubit:result:c%d attempt", i)) != recorded[i])
			is_same = false;
	ok(is_same, "and the result is that of the attempt that was told so");
	is_int(NUMBER("XLEN cubit:jobs"), 0, "the stream is empty");
	is_int(NUMBER("LLEN execution") + NUMBER("LLEN cubit:processing:a") + NUMBER("LLEN cubit:processing:b"), 0,
	       "and so are the lists");
	is_int(NUMBER("XLEN cubit:dead"), 0, "nothing died");
	is_int(NUMBER("SCARD cubit:running:a") + NUMBER("SCARD cubit:running:b"), 0, "nothing is thought to run");
	for (size_t i = 0; i < CHAOS_RUNS; i++)
		runs[i].is_there = false;
	node_close(&a);
	node_close(&b);
}

static void push_of(const char *id, const char *owner, int priority)
{
	char json[512];

	(void)snprintf(json, sizeof(json),
		       "{\"id\":\"%s\",\"owner\":\"%s\",\"language\":\"python\",\"code\":\"1\",\"priority\":%d}", id,
		       owner, priority);
	(void)rc("XADD cubit:jobs * job %s", json);
}

/* The how manyth that was taken; from 1. */
static size_t turn_of(struct node *n, const char *id)
{
	for (size_t i = 0; i < n->n_taken; i++)
		if (strcmp(n->taken[i].id, id) == 0)
			return i + 1;
	return 0;
}

static void take_one(struct node *n, struct source *s, const struct queue_job *q)
{
	(void)s;
	(void)q;
	n->is_auto = false;
	n->n_taken++;
}

/* Owners take turns; of one owner the highest priority goes first, then the oldest. */
static void test_turns(void)
{
	struct node a, b;
	bool is_in_order = true;
	char id[32];

	flush();
	for (int i = 0; i < 30; i++) {
		(void)snprintf(id, sizeof(id), "a%d", i);
		push_of(id, "ann", 0);
	}
	push_of("b0", "bob", -3);
	push_of("b1", "bob", 0);
	push_of("high", "ann", 7);
	push_of("low", "ann", -7);
	(void)rc("XADD cubit:jobs * job %s", "{\"id\":\"c\",\"language\":\"python\",\"code\":\"1\"}");
	(void)rc("XADD cubit:jobs * job %s", "[not json");
	node_open(&a, "a");
	a.slots = 1;
	UNTIL(a.n_taken == 35, "all of several owners are taken, one at a time");
	is_int(turn_of(&a, "high"), 1, "the first owner's most urgent one first");
	ok(turn_of(&a, "b1") <= 3 && turn_of(&a, "b0") <= 7, "another owner's as soon as it is its turn (%zu, %zu)",
	   turn_of(&a, "b1"), turn_of(&a, "b0"));
	ok(turn_of(&a, "b1") < turn_of(&a, "b0"), "of one owner the more urgent one");
	ok(turn_of(&a, "c") <= 4, "who says no owner has a turn too (%zu)", turn_of(&a, "c"));
	is_int(turn_of(&a, "low"), 35, "what is not urgent comes last");
	for (int i = 0; i < 29; i++) {
		char next[32];

		(void)snprintf(id, sizeof(id), "a%d", i);
		(void)snprintf(next, sizeof(next), "a%d", i + 1);
		is_in_order &= turn_of(&a, id) < turn_of(&a, next);
	}
	ok(is_in_order, "equals in the order of their pushes");
	UNTIL(dead() == 1, "what nobody can read is a dead letter");
	is_int(taken(&a, "high")->priority, 7, "a job has its priority");
	is_int(NUMBER("EXISTS cubit:ahead:cubit:jobs cubit:ahead-of:cubit:jobs cubit:ahead-owners:cubit:jobs "
		      "cubit:ahead-by:cubit:jobs/ann"),
	       0, "nothing of the turns is left");
	node_close(&a);

	flush();
	for (int i = 0; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "a%d", i);
		push_of(id, "ann", 0);
	}
	node_open(&a, "a");
	a.slots = 1;
	a.works = take_one;
	UNTIL(a.n_taken == 1, "a node that has room for one");
	is_int(NUMBER("ZCARD cubit:ahead:cubit:jobs"), 19, "has read on");
	(void)rc("DEL cubit:ahead:cubit:jobs cubit:ahead-of:cubit:jobs");
	(void)rc("XADD cubit:jobs * job %s", "{\"id\":\"d\",\"owner\":\"dan\",\"language\":\"python\",\"code\":\"1\"}");
	node_open(&b, "b");
	UNTIL(b.n_taken >= 20, "another node takes all of that, also when its order was lost");
	node_close(&b);
	node_close(&a);
}

int main(void)
{
	const char *given = getenv("CUBIT_TEST_DIR");

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(dir, sizeof(dir), "%s", given ? given : "/tmp");
	(void)snprintf(socket_path, sizeof(socket_path), "%s/r.sock", dir);
	(void)snprintf(url, sizeof(url), "unix://%s", socket_path);
	log_init(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	need(runtime_set_load(NULL, &runtimes, NULL) == 0, "the runtimes");
	(void)uv_loop_init(&loop);
	(void)uv_timer_init(&loop, &beat);
	(void)uv_timer_start(&beat, on_beat, 5, 5);
	(void)signal(SIGPIPE, SIG_IGN);
	srand((unsigned)time(NULL));
	start_server();
	test_stream();
	test_malformed();
	test_leases();
	test_lacking();
	test_restart();
	test_cancel();
	test_list();
	test_turns();
	test_events();
	test_channels();
	test_submit();
	test_nodes();
	test_outage();
	test_trimmed();
	test_chaos();
	stop_server(SIGTERM);
	freeReplyObject(last_reply);
	free(ans.result);
	runtime_set_free(runtimes);
	uv_close((uv_handle_t *)&beat, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ok(uv_loop_close(&loop) == 0, "nothing is left on the loop");
	return done_testing();
}
