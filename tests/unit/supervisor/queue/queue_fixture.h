/*
 * A queue on a database in a directory of its own, and each call as one that waits for its answer. For the tests of
 * supervisor/queue. One translation unit a test, so everything is static inline.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "supervisor/jobs/result.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"
#include "supervisor/queue/queue_impl.h"
#include "tests/tap.h"

struct fixture {
	uv_loop_t loop;
	int dir_fd; /* kept when it is opened again */
	struct db *db;
	struct queue *q;
	struct queue_options options;
};

static inline struct queue_options fixture_options(void)
{
	return (struct queue_options){
		.node = "here",
		.max_waiting = 1000000,
		.attempts = 3,
		.lease_ns = 30 * NS_PER_S,
		.retention_ns = 3600 * NS_PER_S,
		.backoff_ns = 20 * NS_PER_MS,
		.cancelled = job_result_cancelled,
	};
}

/* A fresh directory below that of the test. */
static inline int fixture_dir(const char *name)
{
	const char *given = getenv("CUBIT_TEST_DIR");
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s-XXXXXX", given ? given : "/tmp", name);
	need(mkdtemp(path), "a directory for '%s'", name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(fd >= 0, "it opens");
	return fd;
}

static inline void fixture_open(struct fixture *f)
{
	struct error e = ERROR_INIT;

	if (uv_loop_init(&f->loop) < 0 || db_open(&f->loop, f->dir_fd, &f->db, &e) < 0 ||
	    queue_open(f->db, &f->options, &f->q, &e) < 0) {
		diag("%s", e.text);
		need(false, "the queue opens");
	}
}

static inline void fixture_init(struct fixture *f, const char *name)
{
	memset(f, 0, sizeof(*f));
	f->options = fixture_options();
	f->dir_fd = fixture_dir(name);
	fixture_open(f);
}

static inline void fixture_closed(void *arg)
{
	*(bool *)arg = true;
}

static inline void fixture_close(struct fixture *f)
{
	bool is_closed = false;

	queue_free(f->q);
	db_close(f->db, fixture_closed, &is_closed);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	if (!is_closed || uv_loop_close(&f->loop) != 0)
		need(false, "everything is closed");
}

static inline void fixture_done(struct fixture *f)
{
	fixture_close(f);
	(void)close(f->dir_fd);
}

/* Let time pass while the loop serves. */
static inline void fixture_after(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, NULL);
}

static inline void fixture_serve(struct fixture *f, unsigned ms)
{
	uint64_t until = clock_deadline_ns(ms * NS_PER_MS);
	uv_timer_t t;

	while (clock_now_ns() < until) {
		(void)uv_timer_init(&f->loop, &t);
		(void)uv_timer_start(&t, fixture_after, 2, 0);
		(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	}
}

/* ---- the calls ---- */

struct answer {
	bool is_there;
	int code; /* 0 or an errno */
	char text[512];
	enum queue_submitted how;
	char id[QUEUE_ID_BYTES];
	bool was_leased;
	size_t n;
	struct queue_job *jobs; /* copies, without specs */
	char spec[256], result[1024], journal[256];
	size_t result_size, journal_size;
	char next[64];
};

static struct answer answer; /* the last one */

static inline void fixture_reset(void)
{
	free(answer.jobs);
	memset(&answer, 0, sizeof(answer));
}

static inline void fixture_note(const struct error *e)
{
	answer.is_there = true;
	answer.code = e ? e->code : 0;
	(void)snprintf(answer.text, sizeof(answer.text), "%s", e ? e->text : "");
}

/* Run until the answer is there. */
static inline int fixture_wait(struct fixture *f, int rc)
{
	if (rc < 0)
		return -rc;
	while (!answer.is_there && uv_run(&f->loop, UV_RUN_ONCE))
		continue;
	return answer.is_there ? answer.code : -1;
}

static inline void on_submit(const struct error *e, enum queue_submitted how, const char *id, void *arg)
{
	(void)arg;
	fixture_note(e);
	answer.how = how;
	(void)snprintf(answer.id, sizeof(answer.id), "%s", id);
}

static inline void on_jobs(const struct error *e, const struct queue_job *jobs, size_t n, void *arg)
{
	(void)arg;
	fixture_note(e);
	answer.n = n;
	answer.jobs = n ? malloc(n * sizeof(*jobs)) : NULL;
	for (size_t i = 0; jobs && i < n; i++) {
		answer.jobs[i] = jobs[i];
		answer.jobs[i].spec = NULL;
	}
	if (jobs && n && jobs[0].spec)
		(void)snprintf(answer.spec, sizeof(answer.spec), "%s", jobs[0].spec);
}

static inline void on_list(const struct error *e, const struct queue_job *jobs, size_t n, const char *next, void *arg)
{
	on_jobs(e, jobs, n, arg);
	(void)snprintf(answer.next, sizeof(answer.next), "%s", next);
}

static inline void on_done(const struct error *e, void *arg)
{
	(void)arg;
	fixture_note(e);
}

static inline void on_extend(const struct error *e, const char *id, unsigned attempt, void *arg)
{
	(void)id;
	(void)attempt;
	on_done(e, arg);
}

static inline void on_cancel(const struct error *e, bool was_leased, void *arg)
{
	on_done(e, arg);
	answer.was_leased = was_leased;
}

static inline void on_get(const struct error *e, const struct queue_record *r, void *arg)
{
	on_jobs(e, r ? &r->job : NULL, r ? 1 : 0, arg);
	if (!r)
		return;
	answer.result_size = r->result_size;
	answer.journal_size = r->journal_size;
	(void)snprintf(answer.result, sizeof(answer.result), "%s", r->result ? r->result : "(none)");
	(void)snprintf(answer.journal, sizeof(answer.journal), "%s", r->journal ? (const char *)r->journal : "(none)");
}

static inline struct queue_job fixture_job(const char *id, const char *owner)
{
	struct queue_job j = { .queued_ms = queue_wall_ms() };

	(void)snprintf(j.id, sizeof(j.id), "%s", id);
	(void)snprintf(j.owner, sizeof(j.owner), "%s", owner);
	j.spec = "{\"runtime\":\"python\"}";
	j.spec_size = strlen(j.spec);
	return j;
}

static inline int submit_job(struct fixture *f, const struct queue_job *j)
{
	fixture_reset();
	return fixture_wait(f, queue_submit(f->q, j, on_submit, NULL));
}

static inline int submit(struct fixture *f, const char *id, const char *owner)
{
	struct queue_job j = fixture_job(id, owner);

	return submit_job(f, &j);
}

static inline int take(struct fixture *f, size_t n)
{
	fixture_reset();
	return fixture_wait(f, queue_take(f->q, n, on_jobs, NULL));
}

/* The id of the next one; "" when there is none. */
static inline const char *take_one(struct fixture *f)
{
	return take(f, 1) == 0 && answer.n == 1 ? answer.jobs[0].id : "";
}

static inline int extend(struct fixture *f, const char *id, unsigned attempt)
{
	fixture_reset();
	return fixture_wait(f, queue_extend(f->q, id, attempt, on_extend, NULL));
}

static inline int finish_as(struct fixture *f, const char *id, unsigned attempt, const char *status)
{
	char json[128];
	struct queue_result r = {
		.id = id, .attempt = attempt, .status = status, .json = json, .journal = "J", .journal_size = 1
	};

	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"status\":\"%s\"}", id, status);
	r.json_size = strlen(json);
	fixture_reset();
	return fixture_wait(f, queue_finish(f->q, &r, on_done, NULL));
}

static inline int finish(struct fixture *f, const char *id, unsigned attempt)
{
	return finish_as(f, id, attempt, "ok");
}

static inline int give_back(struct fixture *f, const char *id, unsigned attempt, const char *reason,
			    enum queue_give how)
{
	fixture_reset();
	return fixture_wait(f, queue_return(f->q, id, attempt, reason, how, on_done, NULL));
}

static inline int bury(struct fixture *f, const char *id, unsigned attempt, const char *reason)
{
	fixture_reset();
	return fixture_wait(f, queue_bury(f->q, id, attempt, reason, on_done, NULL));
}

static inline int leased(struct fixture *f)
{
	fixture_reset();
	return fixture_wait(f, queue_leased(f->q, on_jobs, NULL));
}

static inline int cancel(struct fixture *f, const char *id, const char *owner)
{
	fixture_reset();
	return fixture_wait(f, queue_cancel(f->q, id, owner, on_cancel, NULL));
}

static inline int get(struct fixture *f, const char *id)
{
	fixture_reset();
	return fixture_wait(f, queue_get(f->q, id, true, on_get, NULL));
}

static inline int list(struct fixture *f, const char *owner, int state, const char *cursor, size_t limit)
{
	struct queue_filter filter = { .owner = owner, .state = state, .cursor = cursor, .limit = limit };

	fixture_reset();
	return fixture_wait(f, queue_list(f->q, &filter, on_list, NULL));
}

static inline int replay(struct fixture *f, const char *id, const char *owner)
{
	fixture_reset();
	return fixture_wait(f, queue_replay(f->q, id, owner, on_done, NULL));
}

static inline int dead_delete(struct fixture *f, const char *id, const char *owner)
{
	fixture_reset();
	return fixture_wait(f, queue_dead_delete(f->q, id, owner, on_done, NULL));
}

static inline struct queue_counts counts(struct fixture *f)
{
	struct queue_counts c;

	queue_counts(f->q, &c);
	return c;
}

/* ---- the rows, looked at directly ---- */

struct fixture_sql {
	const char *text;
	int64_t value;
};

static inline int fixture_sql_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct fixture_sql *s = arg;
	sqlite3_stmt *st = db_query(sql, s->text, NULL, err);
	int rc = st ? db_step(sql, st, err) : -EINVAL;

	if (rc > 0)
		s->value = sqlite3_column_int64(st, 0);
	return rc < 0 ? rc : 0;
}

/* The one number a statement yields; -1 when it fails. */
static inline int64_t look_up(struct fixture *f, const char *text)
{
	struct fixture_sql s = { .text = text, .value = 0 };
	struct error e = ERROR_INIT;

	if (db_call(f->db, fixture_sql_work, &s, &e) < 0) {
		diag("%s", e.text);
		return -1;
	}
	return s.value;
}

#define FIXTURE_LOAD "SELECT owner, waiting, ready, delayed, leased FROM load"
#define FIXTURE_ROWS                                                                                                   \
	"SELECT owner, sum(state = 0), sum(state = 0 AND is_ready = 1), "                                              \
	"sum(state = 0 AND is_ready = 0 AND attempt = 0), sum(state = 1) FROM job WHERE state <= 1 GROUP BY owner"

/* What must hold at any time: what owners hold is what is there, results belong to rows that have ended, counts agree. */
static inline void check_invariants(struct fixture *f, const char *when)
{
	struct queue_counts c = counts(f);

	is_int(look_up(f, "SELECT count(*) FROM (" FIXTURE_ROWS " EXCEPT " FIXTURE_LOAD ")") +
		       look_up(f, "SELECT count(*) FROM (" FIXTURE_LOAD " EXCEPT " FIXTURE_ROWS ")"),
	       0, "%s: what each owner holds is what the rows say", when);
	is_int(look_up(f, "SELECT delayed FROM load_all"),
	       look_up(f, "SELECT count(*) FROM job WHERE state = 0 AND is_ready = 0 AND attempt = 0"),
	       "%s: as is what is delayed in all", when);
	is_int(look_up(f, "SELECT bytes FROM load_all"), look_up(f, "SELECT coalesce(sum(bytes), 0) FROM kept"),
	       "%s: what is kept of all is that of each", when);
	is_int(look_up(f, "SELECT bytes FROM load_all"),
	       look_up(f, "SELECT coalesce(sum(length(spec.json) + coalesce(length(result.json) + "
			  "length(result.journal), 0)), 0) FROM job JOIN spec USING (seq) LEFT JOIN result USING (seq) "
			  "WHERE state >= 2"),
	       "%s: and what the rows have", when);
	is_int(look_up(f, "SELECT count(*) FROM job LEFT JOIN result USING (seq) WHERE (state IN (2, 4)) <> "
			  "(result.seq IS NOT NULL)"),
	       0, "%s: what has ended has its one result, and nothing else has one", when);
	is_int(look_up(f, "SELECT count(*) FROM job LEFT JOIN spec USING (seq) WHERE spec.seq IS NULL") +
		       look_up(f, "SELECT count(*) FROM spec WHERE seq NOT IN (SELECT seq FROM job)") +
		       look_up(f, "SELECT count(*) FROM result WHERE seq NOT IN (SELECT seq FROM job)"),
	       0, "%s: no part of a job without the rest", when);
	ok(look_up(f, "SELECT count(*) FROM job WHERE state = 0") == (int64_t)c.waiting &&
		   look_up(f, "SELECT count(*) FROM job WHERE state = 1") == (int64_t)c.leased &&
		   look_up(f, "SELECT count(*) FROM job WHERE state = 2") == (int64_t)c.done &&
		   look_up(f, "SELECT count(*) FROM job WHERE state = 3") == (int64_t)c.dead &&
		   look_up(f, "SELECT count(*) FROM job WHERE state = 4") == (int64_t)c.cancelled,
	   "%s: the counts in memory are those of the table", when);
}
