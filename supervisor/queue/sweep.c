/*
 * The sweep, every few seconds: what time alone ends. It looks first (a read), decides on the loop, where the leases of
 * this living process are known, and posts only what has to change, in small slices that others come between.
 *
 *   look -> expire (at most SLICE leases) -> remove (at most SLICE rows or SLICE_BYTES, again while there is more)
 *        -> shrink (pages that are free, when they are many)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"

enum {
	SLICE = 200,
	SLICE_BYTES = 4 << 20, /* of results: their pages are walked to be freed */
	DEAD_TIMES = 7,        /* dead letters are kept so much longer than results */
	SHRINK_PAGES = 512,    /* given back to the disk at once */
	SHRINK_FROM = 4096,    /* free pages that are worth it; fewer are kept for what comes next */
	JUMP_MS = 60 * 1000,   /* the wall clock and the monotonic one drift apart by more: somebody set it */
	PERIOD_MIN_MS = 50,
	PERIOD_MAX_MS = 5000,
};

/* A lease as the sweep saw it, to notice one that is not renewed whatever the clocks say. */
struct seen {
	char id[QUEUE_ID_BYTES];
	unsigned attempt;
	uint64_t lease_ms; /* wall clock */
	uint64_t since_ns; /* monotonic: first seen with that lease_ms */
	char node[QUEUE_NODE_BYTES];
};

struct sweep {
	uv_timer_t timer;
	bool is_busy;
	struct seen *seen; /* of the last look, by id */
	size_t n_seen;
	uint64_t last_wall_ms, last_ns; /* of the last tick */
	uint64_t keep_until_ns;         /* monotonic: nothing is removed before, because the clock was set */
};

struct sweep_op {
	struct op op;
	/* look */
	struct seen *leases;
	size_t n, room;
	uint64_t oldest_ms, free_pages, pages;
	bool is_past; /* something is past its retention */
	bool is_over; /* more is kept than may be */
	bool has_more;
};

static uint64_t retention_ms(const struct queue *q)
{
	return q->options.retention_ns / NS_PER_MS;
}

static uint64_t before(uint64_t now, uint64_t span)
{
	return now > span ? now - span : 0;
}

/* ---- look, on the thread ---- */

static int look_at_leases(sqlite3 *sql, struct sweep_op *o, struct error *err)
{
	sqlite3_stmt *st = db_query(
		sql, "SELECT id, attempt, lease_ms, node FROM job INDEXED BY job_leased WHERE state = 1", NULL, err);
	int rc = st ? 1 : -1;

	while (rc > 0) {
		struct seen *s;

		rc = db_step(sql, st, err);
		if (rc <= 0)
			break;
		if (o->n == o->room) {
			o->room = o->room ? o->room * 2 : 64;
			o->leases = alloc_again(o->leases, o->room, sizeof(*o->leases));
		}
		s = &o->leases[o->n++];
		*s = (struct seen){
			.attempt = (unsigned)sqlite3_column_int64(st, 1),
			.lease_ms = (uint64_t)sqlite3_column_int64(st, 2),
		};
		(void)text_copy(s->id, sizeof(s->id), (const char *)sqlite3_column_text(st, 0));
		(void)text_copy(s->node, sizeof(s->node), (const char *)sqlite3_column_text(st, 3));
	}
	return rc;
}

/* One number of a statement; 0 when there is no row. */
static int look_up(sqlite3 *sql, const char *text, const struct db_value *values, uint64_t *ret, struct error *err)
{
	sqlite3_stmt *st = db_query(sql, text, values, err);
	int rc = st ? db_step(sql, st, err) : -1;

	if (rc >= 0)
		*ret = rc > 0 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	return rc;
}

static int look_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct sweep_op *o = arg;
	uint64_t keep = retention_ms(o->op.q), max = o->op.q->options.max_kept_bytes, kept = 0;
	uint64_t results = 0, sooner = 0, dead = 0;
	struct error e = ERROR_INIT;
	int rc = look_at_leases(sql, o, &e);

	if (rc >= 0)
		rc = look_up(sql,
			     "SELECT max(queued_ms, not_before_ms) FROM job INDEXED BY job_oldest WHERE state = 0 AND "
			     "is_ready = 1 ORDER BY seq LIMIT 1",
			     NULL, &o->oldest_ms, &e);
	if (rc >= 0)
		rc = look_up(sql, "SELECT 1 FROM job WHERE state IN (2, 4) AND state >= 2 AND finished_ms < ?1 LIMIT 1",
			     DB_VALUES(DB_INT(before(o->op.now_ms, keep))), &results, &e);
	if (rc >= 0)
		rc = look_up(sql,
			     "SELECT 1 FROM job INDEXED BY job_sooner WHERE state IN (2, 4) AND state >= 2 AND "
			     "retention_ms > 0 AND finished_ms + retention_ms < ?1 LIMIT 1",
			     DB_VALUES(DB_INT(o->op.now_ms)), &sooner, &e);
	if (rc >= 0)
		rc = look_up(sql, "SELECT 1 FROM job WHERE state = 3 AND state >= 2 AND finished_ms < ?1 LIMIT 1",
			     DB_VALUES(DB_INT(before(o->op.now_ms, keep * DEAD_TIMES))), &dead, &e);
	if (rc >= 0)
		rc = look_up(sql, "PRAGMA freelist_count", NULL, &o->free_pages, &e);
	if (rc >= 0)
		rc = look_up(sql, "PRAGMA page_count", NULL, &o->pages, &e);
	if (rc >= 0)
		rc = look_up(sql, "SELECT bytes FROM load_all", NULL, &kept, &e);
	o->is_past = results || sooner || dead;
	o->is_over = max && kept > max;
	return rc < 0 ? error_set(err, e.code, "%s", e.text) : 0;
}

/* ---- shrink ---- */

static int shrink_work(sqlite3 *sql, void *arg, struct error *err)
{
	char text[64];
	int rc;

	(void)arg;
	(void)snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
	rc = db_run(sql, text, NULL, err);
	return rc < 0 ? rc : 0;
}

static void end(struct queue *q)
{
	if (q->sweep)
		q->sweep->is_busy = false;
}

/* Post the next step with what the last one knew, or end here. o is taken. */
static void next(struct sweep_op *o, db_work *work, db_done *done)
{
	/* counted by the step before */
	memset(o->op.delta, 0, sizeof(o->op.delta));
	o->op.due_ms = UINT64_MAX;
	o->op.has_work = false;
	if (work && o->op.q->sweep && op_post(&o->op, work, done) == 0)
		return;
	end(o->op.q);
	free(o->leases);
	op_free(&o->op);
}

static void shrink(struct sweep_op *o);

static void shrink_done(const struct error *e, void *arg)
{
	struct sweep_op *o = arg;

	op_end(&o->op, e);
	o->free_pages = e || o->free_pages < SHRINK_PAGES ? 0 : o->free_pages - SHRINK_PAGES;
	shrink(o);
}

static void shrink(struct sweep_op *o)
{
	bool is_worth_it = o->free_pages >= SHRINK_FROM && o->free_pages > o->pages / 4;

	next(o, is_worth_it ? shrink_work : NULL, shrink_done);
}

/* ---- remove ---- */

#define PAST(where, order)                                                                                             \
	"SELECT seq, length(spec.json) + coalesce(length(result.json) + length(result.journal), 0) FROM job " where    \
	" ORDER BY " order " LIMIT ?3"
#define PAST_OF "JOIN spec USING (seq) LEFT JOIN result USING (seq) WHERE state = ?1 AND state >= 2 AND "

/* ?1 state, ?2 a time, ?3 as many: what ended before it; what was to be kept until then by its own word. */
static const char past[] = PAST(PAST_OF "finished_ms < ?2", "finished_ms"),
		  past_sooner[] =
			  PAST("INDEXED BY job_sooner " PAST_OF "retention_ms > 0 AND finished_ms + retention_ms < ?2",
			       "finished_ms + retention_ms");

/* Rows of this state that a statement finds; at most what a slice allows. */
static int remove_some(sqlite3 *sql, struct sweep_op *o, const char *which, enum queue_state state, uint64_t then_ms,
		       struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_int64 seqs[SLICE] = { 0 };
	uint64_t bytes = 0;
	int n = 0, rc;
	sqlite3_stmt *st = db_query(sql, which, DB_VALUES(DB_INT(state), DB_INT(then_ms), DB_INT(SLICE)), &e);

	rc = st ? 1 : -e.code;
	while (rc > 0 && n < SLICE && bytes < SLICE_BYTES) {
		rc = db_step(sql, st, &e);
		if (rc <= 0)
			break;
		seqs[n++] = sqlite3_column_int64(st, 0);
		bytes += (uint64_t)sqlite3_column_int64(st, 1);
	}
	for (int i = 0; i < n && rc >= 0; i++)
		rc = db_run(sql, "DELETE FROM job WHERE seq = ?1", DB_VALUES(DB_INT(seqs[i])), &e);
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	o->op.delta[state] -= n;
	o->has_more |= n == SLICE || bytes >= SLICE_BYTES;
	return 0;
}

/* The oldest that has ended of the owner who has most of it; dead letters when nothing else is left. */
static const char oldest_of_most[] =
	"WITH most AS (SELECT owner FROM kept ORDER BY bytes DESC LIMIT 1), "
	"ended AS (SELECT min(seq) AS seq FROM job WHERE owner = (SELECT owner FROM most) AND state = 2 UNION ALL "
	"SELECT min(seq) FROM job WHERE owner = (SELECT owner FROM most) AND state = 4), "
	"dead AS (SELECT min(seq) AS seq FROM job WHERE owner = (SELECT owner FROM most) AND state = 3) "
	"SELECT seq, state, bytes FROM job WHERE seq = coalesce((SELECT min(seq) FROM ended), (SELECT seq FROM dead))";

static int remove_over(sqlite3 *sql, struct sweep_op *o, struct error *err)
{
	uint64_t max = o->op.q->options.max_kept_bytes, kept = 0, removed = 0;
	struct error e = ERROR_INIT;
	int n = 0, rc = look_up(sql, "SELECT bytes FROM load_all", NULL, &kept, &e);

	while (rc >= 0 && max && kept > max && n < SLICE && removed < SLICE_BYTES) {
		sqlite3_stmt *st = db_query(sql, oldest_of_most, NULL, &e);
		sqlite3_int64 seq;
		uint64_t bytes;
		int state;

		rc = st ? db_step(sql, st, &e) : -e.code;
		if (rc <= 0)
			break;
		seq = sqlite3_column_int64(st, 0);
		state = sqlite3_column_int(st, 1);
		bytes = (uint64_t)sqlite3_column_int64(st, 2);
		rc = db_run(sql, "DELETE FROM job WHERE seq = ?1", DB_VALUES(DB_INT(seq)), &e);
		if (rc < 0)
			break;
		o->op.delta[state]--;
		kept -= bytes < kept ? bytes : kept;
		removed += bytes;
		n++;
	}
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	o->has_more |= n > 0 && max && kept > max;
	return 0;
}

static int remove_ended(sqlite3 *sql, struct sweep_op *o, enum queue_state state, struct error *err)
{
	int rc = remove_some(sql, o, past, state, before(o->op.now_ms, retention_ms(o->op.q)), err);

	return rc < 0 ? rc : remove_some(sql, o, past_sooner, state, o->op.now_ms, err);
}

static int remove_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct sweep_op *o = arg;
	uint64_t keep = retention_ms(o->op.q);
	int rc;

	o->has_more = false;
	rc = o->is_over ? remove_over(sql, o, err) : 0;
	if (rc < 0 || !o->is_past)
		return rc;
	rc = remove_ended(sql, o, QUEUE_DONE, err);
	if (rc == 0)
		rc = remove_ended(sql, o, QUEUE_CANCELLED, err);
	if (rc == 0)
		rc = remove_some(sql, o, past, QUEUE_DEAD, before(o->op.now_ms, keep * DEAD_TIMES), err);
	return rc;
}

static void remove_done(const struct error *e, void *arg)
{
	struct sweep_op *o = arg;

	op_end(&o->op, e);
	if (!e && o->has_more)
		next(o, remove_work, remove_done);
	else
		shrink(o);
}

static void remove_past(struct sweep_op *o)
{
	struct sweep *s = o->op.q->sweep;

	o->is_past = o->is_past && s && clock_now_ns() >= s->keep_until_ns;
	if (o->is_past || (o->is_over && s))
		next(o, remove_work, remove_done);
	else
		shrink(o);
}

/* ---- expire ---- */

/* Those that are still leased as they were seen: an extension in between has moved lease_ms. */
static int expire_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct sweep_op *o = arg;

	for (size_t i = 0; i < o->n; i++) {
		struct seen *s = &o->leases[i];
		char reason[QUEUE_REASON_BYTES];
		struct row row;
		int rc = row_find_leased(sql, s->id, s->attempt, &row, err);

		if (rc == -ESTALE) {
			s->id[0] = '\0'; /* it ended meanwhile */
			continue;
		}
		(void)snprintf(reason, sizeof(reason), "the lease of node '%s' ran out", s->node);
		if (rc == 0)
			rc = row_give_back(sql, &o->op, s->id, &row, reason, QUEUE_FAILED, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void expire_done(const struct error *e, void *arg)
{
	struct sweep_op *o = arg;
	struct queue *q = o->op.q;

	op_end(&o->op, e);
	for (size_t i = 0; !e && i < o->n; i++) {
		const struct seen *s = &o->leases[i];

		if (!s->id[0])
			continue;
		q->counts.returned++;
		queue_let_go(q, s->id, s->attempt);
		log_warning(LOG_FACTS(LOG_STR("job", s->id), LOG_INT("attempt", s->attempt), LOG_STR("node", s->node)),
			    "a lease ran out: the job is given back");
	}
	remove_past(o);
}

static int compare_seen(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->id, ((const struct seen *)b)->id);
}

/* Since when has this lease stood as it does? */
static uint64_t seen_since(const struct sweep *s, const struct seen *now)
{
	const struct seen *last = s->n_seen ? bsearch(now, s->seen, s->n_seen, sizeof(*now), compare_seen) : NULL;

	return last && last->attempt == now->attempt && last->lease_ms == now->lease_ms ? last->since_ns
											: clock_now_ns();
}

static bool has_run_out(struct queue *q, const struct seen *s, uint64_t now_ms)
{
	const struct lease *held = queue_held(q, s->id, s->attempt);

	if (held)
		return clock_now_ns() >= held->deadline_ns;
	return s->lease_ms <= now_ms || clock_now_ns() - s->since_ns >= q->options.lease_ns;
}

static void look_done(const struct error *e, void *arg)
{
	struct sweep_op *o = arg;
	struct queue *q = o->op.q;
	struct sweep *s = q->sweep;
	size_t n = 0;

	op_end(&o->op, e);
	if (e || !s) {
		o->n = 0;
		next(o, NULL, NULL);
		return;
	}
	q->oldest_ms = o->oldest_ms;
	if (o->n)
		qsort(o->leases, o->n, sizeof(*o->leases), compare_seen);
	for (size_t i = 0; i < o->n; i++)
		o->leases[i].since_ns = seen_since(s, &o->leases[i]);
	free(s->seen);
	s->seen = o->n ? alloc_again(NULL, o->n, sizeof(*s->seen)) : NULL;
	s->n_seen = o->n;
	if (o->n)
		memcpy(s->seen, o->leases, o->n * sizeof(*s->seen));
	for (size_t i = 0; i < o->n && n < SLICE; i++)
		if (has_run_out(q, &o->leases[i], o->op.now_ms))
			o->leases[n++] = o->leases[i];
	o->n = n;
	if (n)
		next(o, expire_work, expire_done);
	else
		remove_past(o);
}

/* ---- the timer ---- */

/* Did somebody set the wall clock forward? Then nothing is old because of that. */
static void watch_clocks(struct queue *q, struct sweep *s)
{
	uint64_t wall_ms = queue_wall_ms(), now_ns = clock_now_ns();
	uint64_t passed_ms = (now_ns - s->last_ns) / NS_PER_MS;

	if (wall_ms > s->last_wall_ms + passed_ms + JUMP_MS) {
		log_warning(LOG_FACTS(LOG_INT("seconds", (wall_ms - s->last_wall_ms - passed_ms) / 1000)),
			    "the clock was set forward: keeping all results for one retention time");
		s->keep_until_ns = clock_deadline_ns(q->options.retention_ns);
	}
	s->last_wall_ms = wall_ms;
	s->last_ns = now_ns;
}

void sweep_tick(struct queue *q)
{
	struct sweep *s = q->sweep;
	struct sweep_op *o;

	watch_clocks(q, s);
	queue_rearm(q);
	if (s->is_busy)
		return;
	o = op_new(q, sizeof(*o));
	if (op_read(&o->op, look_work, look_done) < 0)
		op_free(&o->op);
	else
		s->is_busy = true;
}

static void tick(uv_timer_t *timer)
{
	sweep_tick(timer->data);
}

void sweep_start(struct queue *q)
{
	struct sweep *s = alloc_zeroed(1, sizeof(*s));
	uint64_t period_ms = q->options.lease_ns / NS_PER_MS / 4;

	if (period_ms < PERIOD_MIN_MS)
		period_ms = PERIOD_MIN_MS;
	if (period_ms > PERIOD_MAX_MS)
		period_ms = PERIOD_MAX_MS;
	s->last_wall_ms = queue_wall_ms();
	s->last_ns = clock_now_ns();
	(void)uv_timer_init(db_loop(q->db), &s->timer); /* cannot fail */
	s->timer.data = q;
	(void)uv_timer_start(&s->timer, tick, period_ms, period_ms); /* fails only without a function */
	uv_unref((uv_handle_t *)&s->timer);
	q->sweep = s;
}

static void timer_closed(uv_handle_t *h)
{
	struct sweep *s = (struct sweep *)((char *)h - offsetof(struct sweep, timer));

	free(s->seen);
	free(s);
}

void sweep_stop(struct queue *q)
{
	struct sweep *s = q->sweep;

	q->sweep = NULL;
	uv_close((uv_handle_t *)&s->timer, timer_closed);
}
