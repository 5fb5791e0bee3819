/* What owners hold of the queue, and whose turn it is, on the database thread: see queue_impl.h; the tables: schema.c. */
#include <errno.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/queue/queue_impl.h"
#include "supervisor/share.h"

enum { DELAYED_PART = 4 }; /* so much of the queue may be delayed jobs: the others must find room */

/* ---- room ---- */

/* What one owner has, and what all have. */
struct held {
	uint64_t waiting, delayed, all_delayed;
};

static int find_held(sqlite3 *sql, const char *owner, struct held *ret, struct error *err)
{
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql,
				    "SELECT coalesce(load.waiting, 0), coalesce(load.delayed, 0), load_all.delayed "
				    "FROM load_all LEFT JOIN load ON load.owner = ?1",
				    DB_VALUES(DB_TEXT(owner)), &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc == 0)
		rc = error_set(&e, EIO, "the table load_all is empty");
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	*ret = (struct held){ .waiting = (uint64_t)sqlite3_column_int64(st, 0),
			      .delayed = (uint64_t)sqlite3_column_int64(st, 1),
			      .all_delayed = (uint64_t)sqlite3_column_int64(st, 2) };
	return 0;
}

/* One budget, by the one rule of shares. */
static int fits(const char *what, uint64_t total, uint64_t used, uint64_t mine, bool is_root, struct error *err)
{
	uint64_t most = is_root ? total : total - share_reserve(total);

	if (share_allows(total, used, mine, is_root))
		return 0;
	if (used >= most)
		return error_set(err, ENOBUFS, "the queue is full: %llu %s", (unsigned long long)used, what);
	return error_set(err, ENOBUFS, "your share of the queue is used up: %llu %s, and %llu of them are yours",
			 (unsigned long long)used, what, (unsigned long long)mine);
}

int load_room(sqlite3 *sql, const struct queue_options *options, const struct load_asks *asks, struct error *err)
{
	uint64_t max = options->max_waiting, max_delayed = max / DELAYED_PART > 0 ? max / DELAYED_PART : 1;
	struct held held;
	int rc = find_held(sql, asks->owner, &held, err);

	if (rc == 0)
		rc = fits("jobs wait", max, asks->used, held.waiting, asks->is_root, err);
	if (rc == 0 && asks->is_delayed)
		rc = fits("jobs wait for their time", max_delayed, held.all_delayed, held.delayed, asks->is_root, err);
	return rc;
}

/* ---- turns ---- */

int load_next(sqlite3 *sql, int64_t *ret_seq, struct error *err)
{
	char owner[QUEUE_OWNER_BYTES];
	struct error e = ERROR_INIT;
	sqlite3_stmt *st = db_query(sql,
				    "SELECT owner FROM load INDEXED BY load_turn WHERE ready > 0 "
				    "ORDER BY leased, served, since LIMIT 1",
				    NULL, &e);
	int rc = st ? db_step(sql, st, &e) : -e.code;

	if (rc > 0) {
		(void)text_copy(owner, sizeof(owner), (const char *)sqlite3_column_text(st, 0));
		st = db_query(
			sql,
			"SELECT seq FROM job INDEXED BY job_ready WHERE state = 0 AND is_ready = 1 AND owner = ?1 "
			"ORDER BY priority DESC, seq LIMIT 1",
			DB_VALUES(DB_TEXT(owner)), &e);
		rc = st ? db_step(sql, st, &e) : -e.code;
		if (rc == 0)
			rc = error_set(&e, EIO, "nothing of an owner is due who has the turn");
	}
	if (rc < 0)
		return error_set(err, e.code, "%s", e.text);
	if (rc > 0)
		*ret_seq = sqlite3_column_int64(st, 0);
	return rc;
}
