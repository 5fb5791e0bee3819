/* # timeout: 180
 * What the queue acknowledged is there, whatever happens to its process or to the power; and nothing is recorded twice.
 *
 * Killed: a child serves a mixed load on one database and tells each answer through a pipe; it is killed at a random
 * moment, again and again, each time on what the last one left. Then everything is drained and counted.
 *
 * Power: the same load on a disk that loses its power at a random write or sync (queue_vfs.h).
 */
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "runtime/base/log.h"
#include "tests/unit/supervisor/queue/queue_fixture.h"
#include "tests/unit/supervisor/queue/queue_vfs.h"

enum { ROUNDS = 50, CUTS = 60, PER_ROUND = 4000, IN_FLIGHT = 32 };

/* ---- what was answered ---- */

enum told { TOLD_SUBMITTED = 1, TOLD_FINISHED, TOLD_CANCELLED, TOLD_TAKEN, TOLD_KINDS };

struct telling {
	uint8_t kind;
	uint16_t round, n;
	uint32_t attempt;
};

struct ledger {
	uint8_t submitted[PER_ROUND], finished[PER_ROUND], cancelled[PER_ROUND];
	uint32_t attempt[PER_ROUND];
};

static struct ledger ledgers[ROUNDS];
static unsigned long totals[TOLD_KINDS];

static void enter(const struct telling *t)
{
	struct ledger *l = &ledgers[t->round];

	totals[t->kind]++;
	if (t->kind == TOLD_SUBMITTED)
		l->submitted[t->n]++;
	else if (t->kind == TOLD_FINISHED)
		l->finished[t->n]++;
	else if (t->kind == TOLD_CANCELLED)
		l->cancelled[t->n]++;
	else if (t->attempt > l->attempt[t->n])
		l->attempt[t->n] = t->attempt;
}

/* ---- the load ---- */

struct load {
	struct fixture f;
	unsigned round, n; /* the next one to submit */
	int pipe;          /* -1: into the ledger */
	unsigned in_flight;
	bool is_over; /* no new jobs; take what there is */
	bool is_stopped;
};

static void tell(const struct load *l, enum told kind, const char *id, unsigned attempt)
{
	struct telling t = { .kind = (uint8_t)kind, .attempt = attempt };
	unsigned round, n;

	if (sscanf(id, "j%u-%u", &round, &n) != 2)
		abort();
	t.round = (uint16_t)round;
	t.n = (uint16_t)n;
	if (l->pipe < 0)
		enter(&t);
	else if (write(l->pipe, &t, sizeof(t)) != sizeof(t)) /* smaller than PIPE_BUF: whole or not at all */
		_exit(3);
}

static void go_on(struct load *l);

struct ask {
	struct load *load;
	char id[QUEUE_ID_BYTES];
	unsigned attempt;
};

static struct ask *ask_new(struct load *l, const char *id, unsigned attempt)
{
	struct ask *a = malloc(sizeof(*a));

	a->load = l;
	(void)snprintf(a->id, sizeof(a->id), "%s", id);
	a->attempt = attempt;
	l->in_flight++;
	return a;
}

static void ask_done(struct ask *a)
{
	struct load *l = a->load;

	l->in_flight--;
	free(a);
	if (!l->is_stopped)
		go_on(l);
}

static void on_submitted(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	struct ask *a = arg;

	if (!e && how == QUEUE_ACCEPTED)
		tell(a->load, TOLD_SUBMITTED, id, 0);
	ask_done(a);
}

static void on_finished(const struct error *e, void *arg)
{
	struct ask *a = arg;

	if (!e)
		tell(a->load, TOLD_FINISHED, a->id, a->attempt);
	ask_done(a);
}

static void on_other(const struct error *e, void *arg)
{
	(void)e;
	ask_done(arg);
}

static void on_cancelled(const struct error *e, bool was_leased, void *arg)
{
	struct ask *a = arg;

	if (!e && !was_leased)
		tell(a->load, TOLD_CANCELLED, a->id, 0);
	ask_done(a);
}

static int post_finish(struct load *l, const char *id, unsigned attempt)
{
	char json[128];
	struct queue_result r = { .id = id, .attempt = attempt, .status = "ok", .json = json };

	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"attempt\":%u}", id, attempt);
	r.json_size = strlen(json);
	return queue_finish(l->f.q, &r, on_finished, ask_new(l, id, attempt));
}

static void on_taken(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct ask *a = arg;
	struct load *l = a->load;

	for (size_t i = 0; !e && !l->is_stopped && i < n; i++) {
		const struct queue_job *j = &jobs[i];

		tell(l, TOLD_TAKEN, j->id, j->attempt);
		if (rand() % 4 == 0 && !l->is_over) {
			(void)queue_return(l->f.q, j->id, j->attempt, "chance", QUEUE_FREE, on_other,
					   ask_new(l, j->id, 0));
			continue;
		}
		(void)post_finish(l, j->id, j->attempt);
		if (rand() % 4 == 0)
			(void)post_finish(l, j->id, j->attempt); /* twice: one is refused */
		if (rand() % 8 == 0 && j->attempt > 1)
			(void)post_finish(l, j->id, j->attempt - 1); /* late: refused */
	}
	ask_done(a);
}

static void go_on(struct load *l)
{
	if (l->is_over && !counts(&l->f).waiting)
		return;
	while (l->in_flight < IN_FLIGHT && !l->is_stopped) {
		char id[32];
		struct queue_job j;

		if (l->is_over || rand() % 3 == 0) {
			if (queue_take(l->f.q, 1 + (size_t)rand() % 4, on_taken, ask_new(l, "", 0)) < 0)
				abort();
			if (l->is_over)
				return;
			continue;
		}
		if (l->n > 10 && rand() % 10 == 0) {
			(void)snprintf(id, sizeof(id), "j%u-%u", l->round, l->n - 1 - (unsigned)rand() % 10);
			(void)queue_cancel(l->f.q, id, NULL, on_cancelled, ask_new(l, id, 0));
			continue;
		}
		if (l->n == PER_ROUND)
			return;
		(void)snprintf(id, sizeof(id), "j%u-%u", l->round, l->n++);
		j = fixture_job(id, rand() % 2 ? "ann" : "bob");
		j.priority = rand() % 3;
		if (rand() % 10 == 0)
			j.not_before_ms = j.queued_ms + (uint64_t)rand() % 20;
		(void)queue_submit(l->f.q, &j, on_submitted, ask_new(l, id, 0));
	}
}

/* The leases of the last life: adopted or given back. */
static void on_leases(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	struct ask *a = arg;

	for (size_t i = 0; !e && !a->load->is_stopped && i < n; i++) {
		if (rand() % 2)
			(void)post_finish(a->load, jobs[i].id, jobs[i].attempt);
		else
			(void)queue_return(a->load->f.q, jobs[i].id, jobs[i].attempt, "its front died", QUEUE_FREE,
					   on_other, ask_new(a->load, jobs[i].id, 0));
	}
	ask_done(a);
}

static void start_load(struct load *l)
{
	(void)queue_leased(l->f.q, on_leases, ask_new(l, "", 0));
}

static struct queue_options load_options(void)
{
	struct queue_options o = fixture_options();

	o.attempts = 1000;
	return o;
}

/* ---- killed ---- */

static _Noreturn void serve(int dir_fd, unsigned round, int out)
{
	static struct load l;

	l = (struct load){ .round = round, .pipe = out, .f = { .dir_fd = dir_fd, .options = load_options() } };
	srand(round);
	fixture_open(&l.f);
	start_load(&l);
	for (;;)
		(void)uv_run(&l.f.loop, UV_RUN_DEFAULT);
}

static void kill_one(int dir_fd, unsigned round)
{
	struct telling t;
	int out[2], status;
	pid_t pid;
	bool is_first = true;

	need(pipe2(out, O_CLOEXEC) == 0, "round %u", round);
	pid = fork();
	if (pid == 0)
		serve(dir_fd, round, out[1]);
	(void)close(out[1]);
	while (read(out[0], &t, sizeof(t)) == sizeof(t)) {
		enter(&t);
		if (is_first && fork() == 0) { /* who kills it, while we read what it tells */
			(void)usleep((useconds_t)(rand() % 80000));
			(void)kill(pid, SIGKILL);
			_exit(0);
		}
		is_first = false;
	}
	(void)close(out[0]);
	while (waitpid(-1, &status, 0) > 0)
		continue;
}

/* Everything that was ever acknowledged, against what is there. */
struct found {
	unsigned long jobs, lost, lost_results, twice, wrong_attempts, unfinished, damaged;
};

static int compare_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct found *found = arg;
	static uint8_t is_there[ROUNDS][PER_ROUND], state[ROUNDS][PER_ROUND];
	sqlite3_stmt *st = db_query(sql, "SELECT id, state, attempt, result.json FROM job LEFT JOIN result USING (seq)",
				    NULL, err);
	int rc = st ? 1 : -1;

	memset(is_there, 0, sizeof(is_there));
	while (rc > 0) {
		unsigned round, n;

		rc = db_step(sql, st, err);
		if (rc <= 0 || sscanf((const char *)sqlite3_column_text(st, 0), "j%u-%u", &round, &n) != 2)
			break;
		found->jobs++;
		is_there[round][n]++;
		state[round][n] = (uint8_t)sqlite3_column_int(st, 1);
		found->unfinished += sqlite3_column_int(st, 1) < QUEUE_DONE;
		found->wrong_attempts += (uint32_t)sqlite3_column_int(st, 2) < ledgers[round].attempt[n];
	}
	for (int r = 0; r < ROUNDS; r++) {
		for (int n = 0; n < PER_ROUND; n++) {
			const struct ledger *l = &ledgers[r];

			found->lost += l->submitted[n] && !is_there[r][n];
			found->lost_results += l->finished[n] && state[r][n] != QUEUE_DONE;
			found->lost_results += l->cancelled[n] && state[r][n] != QUEUE_CANCELLED;
			found->twice += l->finished[n] + l->cancelled[n] > 1 || is_there[r][n] > 1;
		}
	}
	return rc < 0 ? -EIO : 0;
}

static void drain(int dir_fd, unsigned *ret_rest)
{
	static struct load l;

	l = (struct load){ .pipe = -1, .is_over = true, .f = { .dir_fd = dir_fd, .options = load_options() } };
	fixture_open(&l.f);
	start_load(&l);
	*ret_rest = (unsigned)(counts(&l.f).waiting + counts(&l.f).leased);
	for (int i = 0; i < 1000 && counts(&l.f).waiting + counts(&l.f).leased; i++)
		fixture_serve(&l.f, 10);
	fixture_close(&l.f);
}

static void test_killed(void)
{
	int dir_fd = fixture_dir("killed");
	struct fixture f = { .dir_fd = dir_fd, .options = fixture_options() };
	struct found found = { 0 };
	unsigned rest;

	for (unsigned i = 0; i < ROUNDS; i++)
		kill_one(dir_fd, i);
	drain(dir_fd, &rest);
	fixture_open(&f);
	is_int(db_call(f.db, compare_work, &found, NULL), 0, "what is there is compared with what was acknowledged");
	diag("killed %d times; acknowledged: %lu jobs, %lu leases, %lu results, %lu cancelled; %u were left to drain",
	     ROUNDS, totals[TOLD_SUBMITTED], totals[TOLD_TAKEN], totals[TOLD_FINISHED], totals[TOLD_CANCELLED], rest);
	diag("in the end there are %lu jobs, of which %lu were never acknowledged", found.jobs,
	     found.jobs - totals[TOLD_SUBMITTED]);
	ok(totals[TOLD_SUBMITTED] > 10 * ROUNDS && totals[TOLD_FINISHED] > 10 * ROUNDS, "the load was one");
	is_int(found.lost, 0, "every acknowledged job is there");
	is_int(found.lost_results, 0, "with every acknowledged result");
	is_int(found.twice, 0, "no job has two results, nor was told so");
	is_int(found.wrong_attempts, 0, "no attempt number went back");
	is_int(found.unfinished, 0, "and all the rest ended when it was drained");
	check_invariants(&f, "after all this");
	is_int(look_up(&f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0,
	       "the file is whole");
	fixture_done(&f);
}

/* ---- power ---- */

static bool has_damaged(int dir_fd)
{
	DIR *d = fdopendir(fcntl(dir_fd, F_DUPFD_CLOEXEC, 0));
	const struct dirent *entry;
	bool found = false;

	rewinddir(d);
	while ((entry = readdir(d)))
		found |= strstr(entry->d_name, "damaged") != NULL;
	(void)closedir(d);
	return found;
}

/* The power may go while it opens. */
static bool open_before_cut(struct fixture *f)
{
	struct error e = ERROR_INIT;
	bool is_closed = false;

	if (uv_loop_init(&f->loop) < 0 || db_open(&f->loop, f->dir_fd, &f->db, &e) < 0) {
		(void)uv_loop_close(&f->loop);
		return false;
	}
	if (queue_open(f->db, &f->options, &f->q, &e) == 0)
		return true;
	db_close(f->db, fixture_closed, &is_closed);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&f->loop);
	return false;
}

static void cut_one(long at, struct found *found)
{
	static struct load l;
	uint64_t until = clock_deadline_ns(20 * NS_PER_S);
	struct fixture f = { .options = fixture_options() };
	struct error e = ERROR_INIT;

	memset(ledgers, 0, sizeof(ledgers));
	l = (struct load){ .pipe = -1, .f = { .dir_fd = fixture_dir("power"), .options = load_options() } };
	vfs_plan_cut(at);
	if (open_before_cut(&l.f)) {
		start_load(&l);
		while (!vfs_is_cut() && clock_now_ns() < until && l.n < PER_ROUND)
			(void)uv_run(&l.f.loop, UV_RUN_NOWAIT);
		l.is_stopped = true;
		vfs_cut_now(); /* if it did not come by itself */
		fixture_close(&l.f);
	}
	vfs_after_cut();

	f.dir_fd = l.f.dir_fd;
	fixture_open(&f);
	if (db_call(f.db, compare_work, found, &e) < 0)
		need(false, "after a cut: %s", e.text);
	found->damaged += look_up(&f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") != 0;
	found->damaged += has_damaged(f.dir_fd);
	fixture_done(&f);
}

static void test_power(void)
{
	struct found found = { 0 };

	memset(totals, 0, sizeof(totals));
	vfs_install();
	srand(20);
	for (int i = 0; i < CUTS; i++) {
		struct found one = { 0 };

		/* a third of them early: while the file and its tables are made */
		cut_one(i % 3 == 0 ? 1 + rand() % 60 : 1 + rand() % 6000, &one);
		found.jobs += one.jobs;
		found.lost += one.lost;
		found.lost_results += one.lost_results;
		found.twice += one.twice;
		found.wrong_attempts += one.wrong_attempts;
		found.damaged += one.damaged;
	}
	diag("%d power cuts; acknowledged: %lu jobs, %lu leases, %lu results, %lu cancelled; %ld syncs, of what was "
	     "not "
	     "synced %ld sectors were lost and %ld kept",
	     CUTS, totals[TOLD_SUBMITTED], totals[TOLD_TAKEN], totals[TOLD_FINISHED], totals[TOLD_CANCELLED],
	     vfs_state.syncs, vfs_state.dropped, vfs_state.kept);
	ok(totals[TOLD_SUBMITTED] > 100 * CUTS && vfs_state.dropped > 0, "the load was one, and something was lost");
	is_int(found.lost, 0, "power: every acknowledged job is there");
	is_int(found.lost_results, 0, "with every acknowledged result");
	is_int(found.twice, 0, "and none twice");
	is_int(found.wrong_attempts, 0, "no attempt number went back");
	is_int(found.damaged, 0, "and no file was damaged or set aside");
}

int main(void)
{
	log_init(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	test_killed();
	test_power();
	fixture_reset();
	return done_testing();
}
