/*
 * The database thread and its batches: see db.h.
 *
 * One ring of items, three counters that only grow:
 *
 *   answered <= ran <= posted          [answered, ran) wait for the loop, [ran, posted) for the thread
 *
 * The loop writes the items at `posted` and frees them at `answered`; the thread touches those between `ran` and the
 * `posted` it saw under the mutex. So an item has one owner at a time, and the mutex hands it over.
 */
#include "supervisor/queue/db.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/queue/db_impl.h"

enum {
	BATCH_MAX = 512,          /* works of one commit: the first of them waits for the last */
	CHECKPOINT_FRAMES = 1000, /* of the log, before its pages are carried over */
	PROBE_SECONDS = 1,        /* while there is no space: try so often */
	LATER_MAX = 256,          /* works that wait for company: more of them are company enough */
};

struct item {
	db_work *work;
	db_done *done; /* NULL: db_call() waits for it */
	void *arg;
	struct error *error; /* owned; NULL: it went well */
	bool is_read;
};

struct db {
	uv_loop_t *loop;
	uv_async_t async;
	pthread_t thread;

	pthread_mutex_t mutex;
	pthread_cond_t posted_cond, ran_cond;
	/* under the mutex */
	uint64_t ran, posted;
	uint64_t due_ns; /* when the thread has to begin: 0 at once, CLOCK_NEVER nothing is posted */
	bool is_closing, has_ended;
	struct db_counts counts;

	/* the loop's */
	uint64_t answered;
	void (*closed)(void *arg);
	void *closed_arg;

	/* the thread's */
	struct db_file file;
	struct db_cache *cache;
	int log_frames; /* in the write-ahead log after the last commit */

	struct item ring[DB_WAITING_MAX];
};

static struct item *item_at(struct db *db, uint64_t i)
{
	return &db->ring[i % DB_WAITING_MAX];
}

/* ---- the thread: one batch ---- */

static void set_failed(struct item *it, const struct error *e)
{
	if (!it->error)
		it->error = alloc_bytes(sizeof(*it->error));
	*it->error = *e;
}

static bool is_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(db->file.sql);
}

/*
 * One write inside the batch. Its own failure is noted in the item and undone. Returns -errno when the whole
 * transaction is lost: SQLite may roll it back by itself (no space, no memory), or the undoing failed.
 */
static int run_write(struct db *db, struct item *it, struct error *err)
{
	sqlite3 *sql = db->file.sql;
	struct error e = ERROR_INIT;
	int rc = db_run(sql, "SAVEPOINT work", NULL, err);

	if (rc < 0)
		return rc;
	rc = it->work(sql, it->arg, &e);
	db_cache_rest(db->cache);
	if (rc < 0) {
		if (!e.code)
			(void)error_set(&e, -rc, "database work failed");
		set_failed(it, &e);
		if (!is_in_transaction(db))
			return error_set(err, e.code, "%s", e.text);
		rc = db_run(sql, "ROLLBACK TO work", NULL, err);
		if (rc < 0)
			return rc;
	}
	rc = db_run(sql, "RELEASE work", NULL, err);
	return rc < 0 ? rc : 0;
}

static int commit(struct db *db, struct error *err)
{
	uint64_t before = clock_now_ns(), after;
	int rc = db_run(db->file.sql, "COMMIT", NULL, err);

	if (rc < 0)
		return rc;
	after = clock_now_ns();
	(void)pthread_mutex_lock(&db->mutex);
	db->counts.commits++;
	db->counts.last_commit_ns = after - before;
	(void)pthread_mutex_unlock(&db->mutex);
	return 0;
}

static void roll_back(struct db *db)
{
	db_cache_rest(db->cache);
	if (is_in_transaction(db))
		(void)db_run(db->file.sql, "ROLLBACK", NULL, NULL); /* fails only when there is nothing to undo */
	db_cache_rest(db->cache);
}

/* The writes of [from, to), in order, in one transaction. Returns 0 also when single works failed. */
static int run_writes(struct db *db, uint64_t from, uint64_t to, struct error *err)
{
	int rc = 0;
	bool has_begun = false;

	for (uint64_t i = from; i < to && rc >= 0; i++) {
		struct item *it = item_at(db, i);

		if (it->is_read)
			continue;
		if (!has_begun)
			rc = db_run(db->file.sql, "BEGIN IMMEDIATE", NULL, err);
		has_begun = true;
		if (rc >= 0)
			rc = run_write(db, it, err);
	}
	if (rc >= 0 && has_begun)
		rc = commit(db, err);
	if (rc < 0)
		roll_back(db);
	return rc < 0 ? rc : 0;
}

static void run_reads(struct db *db, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct item *it = item_at(db, i);
		struct error e = ERROR_INIT;
		int rc;

		if (!it->is_read)
			continue;
		rc = it->work(db->file.sql, it->arg, &e);
		db_cache_rest(db->cache);
		if (rc < 0 && !e.code)
			(void)error_set(&e, -rc, "database work failed");
		if (rc < 0)
			set_failed(it, &e);
	}
}

/* What happened becomes known to the rest of the process. */
static void note_trouble(struct db *db, bool has_failed, bool has_committed)
{
	struct db_trouble t = db_trouble_take();
	bool was_full, was_damaged;

	(void)pthread_mutex_lock(&db->mutex);
	was_full = db->counts.is_full;
	was_damaged = db->counts.is_damaged;
	db->counts.failures += has_failed;
	db->counts.is_damaged |= t.is_damaged;
	if (t.is_full)
		db->counts.is_full = true;
	else if (has_committed)
		db->counts.is_full = false;
	(void)pthread_mutex_unlock(&db->mutex);

	if (t.is_full && !was_full)
		log_error(LOG_NONE, "the database has no space left: refusing what must be written, trying every %d s",
			  PROBE_SECONDS);
	if (!t.is_full && has_committed && was_full)
		log_notice(LOG_NONE, "the database has space again");
	if (t.is_damaged && !was_damaged)
		log_error(LOG_NONE, "a page of the database is damaged: going on with the others, the next start "
				    "looks at all of them");
}

static bool has_writes(struct db *db, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		if (!item_at(db, i)->is_read)
			return true;
	return false;
}

static void run_batch(struct db *db, uint64_t from, uint64_t to)
{
	struct error e = ERROR_INIT;
	int rc = run_writes(db, from, to, &e);

	/* whatever the single ones returned was said of a state that is not there any more */
	for (uint64_t i = from; i < to && rc < 0; i++)
		if (!item_at(db, i)->is_read)
			set_failed(item_at(db, i), &e);
	run_reads(db, from, to);
	note_trouble(db, rc < 0, rc == 0 && has_writes(db, from, to));
}

/* ---- the thread: its life ---- */

/* Called by SQLite after a commit, with how long the log has become. */
static int log_has_grown(void *arg, sqlite3 *sql, const char *name, int frames)
{
	struct db *db = arg;

	(void)sql;
	(void)name;
	db->log_frames = frames;
	return SQLITE_OK;
}

/* Carry the log's pages over into the file. After the answers: nobody waits for it but the next batch. */
static void checkpoint(struct db *db, int mode)
{
	int rc = sqlite3_wal_checkpoint_v2(db->file.sql, NULL, mode, NULL, NULL);

	db->log_frames = 0; /* also when it failed: not again before the log has grown by as much */
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		(void)db_error(db->file.sql, rc, "checkpoint", NULL); /* noted as trouble; the log keeps everything */
}

/* Is there room again? Rewrites one page. A checkpoint first: it lets the log begin anew at its start. */
static void probe(struct db *db)
{
	struct error e = ERROR_INIT;
	int rc;

	checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
	(void)db_trouble_take(); /* we know */
	rc = db_run(db->file.sql, "BEGIN IMMEDIATE", NULL, &e);
	if (rc >= 0)
		rc = db_run(db->file.sql, "UPDATE schema_version SET version = version", NULL, &e);
	if (rc >= 0)
		rc = commit(db, &e);
	roll_back(db);
	note_trouble(db, false, rc == 0);
}

static void sleep_until(struct db *db, uint64_t at_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S) };

	if (at_ns == CLOCK_NEVER)
		(void)pthread_cond_wait(&db->posted_cond, &db->mutex);
	else
		(void)pthread_cond_timedwait(&db->posted_cond, &db->mutex, &until);
}

/* Wait for work. False: the end. *ret_to: how far to go; not further than ran when it is time to probe. */
static bool wait_for_work(struct db *db, uint64_t *ret_from, uint64_t *ret_to)
{
	const uint64_t probe_ns = clock_deadline_ns(PROBE_SECONDS * NS_PER_S);
	bool is_over;

	(void)pthread_mutex_lock(&db->mutex);
	while (!db->is_closing) {
		uint64_t now = clock_now_ns(), at = db->due_ns;

		if (db->counts.is_full && probe_ns < at)
			at = probe_ns;
		if (at <= now)
			break;
		sleep_until(db, at);
	}
	*ret_from = db->ran;
	*ret_to = db->posted - db->ran > BATCH_MAX ? db->ran + BATCH_MAX : db->posted;
	db->due_ns = *ret_to == db->posted ? CLOCK_NEVER : 0;
	is_over = db->ran == db->posted && db->is_closing;
	(void)pthread_mutex_unlock(&db->mutex);
	return !is_over;
}

static void publish(struct db *db, uint64_t to)
{
	(void)pthread_mutex_lock(&db->mutex);
	db->counts.works += to - db->ran;
	db->ran = to;
	(void)pthread_cond_broadcast(&db->ran_cond);
	(void)pthread_mutex_unlock(&db->mutex);
	(void)uv_async_send(&db->async); /* fails only for a handle that is closing: not before has_ended */
}

static void *thread_main(void *arg)
{
	struct db *db = arg;
	struct db_counts counts;
	uint64_t from, to;

	(void)pthread_setname_np(pthread_self(), "database");
	db_cache_enter(db->cache);
	(void)sqlite3_wal_hook(db->file.sql, log_has_grown, db);
	while (wait_for_work(db, &from, &to)) {
		if (from == to) {
			probe(db);
			continue;
		}
		run_batch(db, from, to);
		publish(db, to);
		if (db->log_frames >= CHECKPOINT_FRAMES)
			checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
	}
	db_counts(db, &counts);
	db_cache_free(db->cache);
	db_cache_enter(NULL);
	checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
	db_file_close(&db->file, !counts.is_damaged && !db_trouble_take().is_damaged);

	(void)pthread_mutex_lock(&db->mutex);
	db->has_ended = true;
	(void)pthread_mutex_unlock(&db->mutex);
	(void)uv_async_send(&db->async); /* the last one */
	return NULL;
}

/* ---- the loop ---- */

static void free_db(struct db *db)
{
	(void)pthread_cond_destroy(&db->posted_cond);
	(void)pthread_cond_destroy(&db->ran_cond);
	(void)pthread_mutex_destroy(&db->mutex);
	free(db);
}

static void handle_closed(uv_handle_t *h)
{
	struct db *db = h->data;
	void (*closed)(void *arg) = db->closed;
	void *arg = db->closed_arg;

	free_db(db);
	if (closed)
		closed(arg);
}

/* The loop lives on while an answer is owed. */
static void hold_loop(struct db *db)
{
	if (db->answered != db->posted || db->is_closing) /* posted and is_closing are only written by the loop */
		uv_ref((uv_handle_t *)&db->async);
	else
		uv_unref((uv_handle_t *)&db->async);
}

static void answer_one(struct db *db)
{
	struct item it = *item_at(db, db->answered++); /* a copy: done may post into the same place */

	if (it.done)
		it.done(it.error, it.arg);
	free(it.error);
}

static void answer(uv_async_t *async)
{
	struct db *db = async->data;
	uint64_t to;
	bool has_ended;

	(void)pthread_mutex_lock(&db->mutex);
	to = db->ran;
	has_ended = db->has_ended;
	(void)pthread_mutex_unlock(&db->mutex);
	while (db->answered != to)
		answer_one(db);
	if (has_ended) {
		(void)pthread_join(db->thread, NULL); /* it has nothing left to do but to return */
		uv_close((uv_handle_t *)async, handle_closed);
		return;
	}
	hold_loop(db);
}

static int post(struct db *db, db_work *work, db_done *done, void *arg, bool is_read, uint64_t due_ns)
{
	if (db->is_closing || db->posted - db->answered == DB_WAITING_MAX)
		return -EAGAIN;
	*item_at(db, db->posted) = (struct item){ .work = work, .done = done, .arg = arg, .is_read = is_read };
	(void)pthread_mutex_lock(&db->mutex);
	db->posted++;
	if (due_ns < db->due_ns || db->posted - db->ran >= LATER_MAX) {
		db->due_ns = due_ns < db->due_ns ? due_ns : 0;
		(void)pthread_cond_signal(&db->posted_cond);
	}
	(void)pthread_mutex_unlock(&db->mutex);
	hold_loop(db);
	return 0;
}

int db_post(struct db *db, db_work *work, db_done *done, void *arg)
{
	return post(db, work, done, arg, false, 0);
}

int db_post_later(struct db *db, db_work *work, db_done *done, void *arg)
{
	return post(db, work, done, arg, false, clock_deadline_ns(DB_LATER_MS * NS_PER_MS));
}

int db_read(struct db *db, db_work *work, db_done *done, void *arg)
{
	return post(db, work, done, arg, true, 0);
}

int db_call(struct db *db, db_work *work, void *arg, struct error *err)
{
	uint64_t i = db->posted;
	const struct error *e;
	int rc = post(db, work, NULL, arg, true, 0);

	if (rc < 0)
		return error_set(err, -rc, "the database is behind");
	(void)pthread_mutex_lock(&db->mutex);
	while (db->ran <= i)
		(void)pthread_cond_wait(&db->ran_cond, &db->mutex);
	(void)pthread_mutex_unlock(&db->mutex);
	e = item_at(db, i)->error; /* ours until the loop answers, and we are on the loop */
	return e ? error_set(err, e->code, "%s", e->text) : 0;
}

uv_loop_t *db_loop(const struct db *db)
{
	return db->loop;
}

void db_counts(const struct db *db, struct db_counts *ret)
{
	pthread_mutex_t *mutex = (pthread_mutex_t *)&db->mutex; /* const is about what callers see */

	(void)pthread_mutex_lock(mutex);
	*ret = db->counts;
	ret->waiting = db->posted - db->ran;
	(void)pthread_mutex_unlock(mutex);
}

/* ---- open and close ---- */

static int init_sync(struct db *db, struct error *err)
{
	pthread_condattr_t attr;
	int rc = pthread_mutex_init(&db->mutex, NULL);

	if (rc == 0)
		rc = pthread_condattr_init(&attr);
	if (rc == 0) {
		(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* fails for other clocks only */
		rc = pthread_cond_init(&db->posted_cond, &attr);
		if (rc == 0)
			rc = pthread_cond_init(&db->ran_cond, &attr);
		(void)pthread_condattr_destroy(&attr);
	}
	return rc == 0 ? 0 : error_errno(err, rc, "database: mutex");
}

/* With every signal blocked: they are the loop's. */
static int start_thread(struct db *db, struct error *err)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&db->thread, NULL, thread_main, db);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? 0 : error_errno(err, rc, "database: thread");
}

int db_open(uv_loop_t *loop, int dir_fd, struct db **ret, struct error *err)
{
	struct db *db = alloc_zeroed(1, sizeof(*db));
	int rc;

	db->loop = loop;
	db->due_ns = CLOCK_NEVER;
	rc = init_sync(db, err);
	if (rc < 0) {
		free(db);
		return rc;
	}
	rc = db_file_open(&db->file, dir_fd, err);
	if (rc < 0) {
		free_db(db);
		return rc;
	}
	db->cache = db_cache_new(db->file.sql);
	if (uv_async_init(loop, &db->async, answer) < 0)
		rc = error_set(err, EMFILE, "database: no descriptor for its answers");
	if (rc < 0) {
		db_cache_free(db->cache);
		db_file_close(&db->file, true);
		free_db(db);
		return rc;
	}
	db->async.data = db;
	rc = start_thread(db, err);
	if (rc < 0) {
		db_cache_free(db->cache);
		db_file_close(&db->file, true);
		uv_close((uv_handle_t *)&db->async, handle_closed); /* frees it */
		return rc;
	}
	hold_loop(db);
	*ret = db;
	return 0;
}

void db_close(struct db *db, void (*done)(void *arg), void *arg)
{
	assert(!db->is_closing);
	db->closed = done;
	db->closed_arg = arg;
	(void)pthread_mutex_lock(&db->mutex);
	db->is_closing = true;
	(void)pthread_cond_signal(&db->posted_cond);
	(void)pthread_mutex_unlock(&db->mutex);
	hold_loop(db);
}
