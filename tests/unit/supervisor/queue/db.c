/*
 * The database: what is answered is durable and in order, one work's failure is its own, a full disk is said and
 * survived, a damaged file is set aside, and two processes never share one.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "runtime/base/log.h"
#include "supervisor/queue/schema.h"
#include "tests/unit/supervisor/queue/queue_fixture.h"
#include "tests/unit/supervisor/queue/queue_vfs.h"

struct store {
	uv_loop_t loop;
	int dir_fd;
	struct db *db;
};

static int try_open(struct store *s, struct error *e)
{
	if (uv_loop_init(&s->loop) < 0)
		return -1;
	return db_open(&s->loop, s->dir_fd, &s->db, e);
}

static void open_again(struct store *s)
{
	struct error e = ERROR_INIT;

	if (try_open(s, &e) < 0) {
		diag("%s", e.text);
		need(false, "the database opens");
	}
}

static void open_new(struct store *s, const char *name)
{
	s->dir_fd = fixture_dir(name);
	open_again(s);
}

static void close_it(struct store *s)
{
	bool is_closed = false;

	db_close(s->db, fixture_closed, &is_closed);
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	if (!is_closed || uv_loop_close(&s->loop) != 0)
		need(false, "the database is closed");
}

static bool exists(const struct store *s, const char *name)
{
	return faccessat(s->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- works ---- */

struct work {
	const char *text;
	int fail; /* after it: with this */
	/* the answer */
	int order, code;
	int64_t value;
	char words[512];
};

static int n_answered;

static int run_text(sqlite3 *sql, void *arg, struct error *err)
{
	struct work *w = arg;
	sqlite3_stmt *st = db_query(sql, w->text, NULL, err);
	int rc = st ? db_step(sql, st, err) : -EINVAL;

	if (rc > 0)
		w->value = sqlite3_column_int64(st, 0);
	if (rc >= 0 && w->fail)
		return error_set(err, w->fail, "as asked");
	return rc < 0 ? rc : 0;
}

static void note(const struct error *e, void *arg)
{
	struct work *w = arg;

	w->order = ++n_answered;
	w->code = e ? e->code : 0;
	(void)snprintf(w->words, sizeof(w->words), "%s", e ? e->text : "");
}

static int run_one(struct store *s, const char *text, bool is_read)
{
	static struct work w;

	w = (struct work){ .text = text };
	if ((is_read ? db_read : db_post)(s->db, run_text, note, &w) < 0)
		return -1;
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	if (w.code)
		diag("%s", w.words);
	return w.code;
}

static int64_t value(struct store *s, const char *text)
{
	struct work w = { .text = text, .value = -1 };

	(void)db_read(s->db, run_text, note, &w);
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	return w.code ? -w.code : w.value;
}

/* ---- tests ---- */

static void test_batch(void)
{
	struct store s;
	struct db_counts before, after;
	struct work w[] = {
		{ .text = "INSERT INTO t VALUES (1)" },
		{ .text = "SELECT count(*) FROM t" }, /* read */
		{ .text = "INSERT INTO t VALUES (2)", .fail = EINVAL },
		{ .text = "INSERT INTO t VALUES (1)" },
		{ .text = "INSERT INTO t VALUES (3)" },
		{ .text = "no sql" },
		{ .text = "SELECT count(*) FROM t", .fail = ENOENT }, /* read */
		{ .text = "DELETE FROM t WHERE i = 1" },
	};
	struct stat st;
	bool is_ordered = true;

	open_new(&s, "batch");
	is_int(run_one(&s, "CREATE TABLE t (i INTEGER PRIMARY KEY)", false), 0, "a table is made");
	db_counts(s.db, &before);
	for (size_t i = 0; i < sizeof(w) / sizeof(w[0]); i++)
		(void)(i == 1 || i == 6 ? db_read : db_post)(s.db, run_text, note, &w[i]);
	n_answered = 0;
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	db_counts(s.db, &after);
	for (size_t i = 0; i < sizeof(w) / sizeof(w[0]); i++)
		is_ordered &= w[i].order == (int)i + 1;
	ok(is_ordered, "answers come in the order of the posts");
	ok(w[0].code == 0 && w[4].code == 0 && w[7].code == 0, "what goes well is answered so");
	ok(w[1].code == 0 && w[1].value >= 1, "a read sees what was posted before it");
	is_int(w[2].code, EINVAL, "a work that fails says so");
	is_str(w[2].words, "as asked", "in its own words");
	is_int(w[3].code, EEXIST, "a constraint is a refusal");
	has_str(w[3].words, "UNIQUE", "with SQLite's words");
	is_int(w[5].code, EINVAL, "bad SQL fails alone");
	is_int(w[6].code, ENOENT, "a read may fail too");
	is_int(value(&s, "SELECT sum(i) FROM t"), 3, "and what failed left nothing behind, the others everything");
	ok(after.commits - before.commits < 5, "many works are few commits (%d)",
	   (int)(after.commits - before.commits));
	ok(after.last_commit_ns > 0 && after.works - before.works == 8, "and counted");
	is_int(value(&s, "PRAGMA synchronous"), 2, "commits are synchronous");
	is_int(value(&s, "PRAGMA foreign_keys"), 1, "foreign keys are watched");
	is_int(value(&s, "PRAGMA trusted_schema"), 0, "the schema is not trusted");
	ok(fstatat(s.dir_fd, "cubit.db", &st, 0) == 0 && (st.st_mode & 0777) == 0600, "the file is private");
	ok(fstatat(s.dir_fd, "cubit.db-wal", &st, 0) == 0 && (st.st_mode & 0777) == 0600, "and so is its log");
	close_it(&s);
	ok(!exists(&s, "cubit.db-wal"), "a clean end leaves no log");
	ok(!exists(&s, "cubit.db-lock"), "and no lock");
	open_again(&s);
	is_int(value(&s, "SELECT sum(i) FROM t"), 3, "what was answered is there after a restart");
	close_it(&s);
	(void)close(s.dir_fd);
}

static uint64_t ms_since(uint64_t from_ns)
{
	return (clock_now_ns() - from_ns) / NS_PER_MS;
}

/* What nobody waits for has company, or its turn after a moment; and the end of the database waits for it. */
static void test_later(void)
{
	enum { MANY = 300 };
	static struct work many[MANY];
	struct store s;
	struct db_counts before, after;
	struct work w[3] = { { .text = "INSERT INTO t VALUES (1)" },
			     { .text = "INSERT INTO t VALUES (2)" },
			     { .text = "INSERT INTO t VALUES (3)" } };
	uint64_t start;

	open_new(&s, "later");
	(void)run_one(&s, "CREATE TABLE t (i INTEGER)", false);
	db_counts(s.db, &before);
	start = clock_now_ns();
	(void)db_post_later(s.db, run_text, note, &w[0]);
	(void)db_post_later(s.db, run_text, note, &w[1]);
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	ok(ms_since(start) >= DB_LATER_MS, "alone, later works wait for company (%d ms)", (int)ms_since(start));
	db_counts(s.db, &after);
	is_int(after.commits - before.commits, 1, "then they have one commit together");
	start = clock_now_ns();
	(void)db_post_later(s.db, run_text, note, &w[2]);
	is_int(value(&s, "SELECT count(*) FROM t"), 3, "a read sees what is to be written later");
	(void)db_post_later(s.db, run_text, note, &w[0]);
	is_int(run_one(&s, "INSERT INTO t VALUES (4)", false), 0, "a work that is waited for takes it along");
	db_counts(s.db, &before);
	is_int(before.commits - after.commits, 2, "in its own commit");
	for (size_t i = 0; i < MANY; i++) {
		many[i].text = "INSERT INTO t VALUES (5)";
		(void)db_post_later(s.db, run_text, note, &many[i]);
	}
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	is_int(value(&s, "SELECT count(*) FROM t"), 5 + MANY, "many are company enough");
	(void)db_post_later(s.db, run_text, note, &w[0]);
	close_it(&s);
	open_again(&s);
	is_int(value(&s, "SELECT count(*) FROM t"), 6 + MANY, "what was to come later is there after a clean end");
	close_it(&s);
	(void)close(s.dir_fd);
}

static int deep_work(sqlite3 *sql, void *arg, struct error *err)
{
	struct work *w = arg;
	char text[64];

	/* more statements than the cache has, over the works */
	for (int i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), "INSERT INTO t VALUES (%d)", w->order * 50 + i);
		if (db_run(sql, text, NULL, err) != 1)
			return -EINVAL;
	}
	w->value = 50;
	return 0;
}

static void test_statements(void)
{
	struct store s;
	struct work w[20] = { 0 };
	bool is_good = true;

	open_new(&s, "statements");
	(void)run_one(&s, "CREATE TABLE t (i INTEGER PRIMARY KEY)", false);
	for (int i = 0; i < 20; i++) {
		w[i].order = i;
		(void)db_post(s.db, deep_work, note, &w[i]);
	}
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 20; i++)
		is_good &= w[i].code == 0;
	ok(is_good, "more statements than the cache holds are no failure");
	is_int(value(&s, "SELECT count(*) FROM t"), 1000, "they all ran");
	close_it(&s);
	(void)close(s.dir_fd);
}

static void test_full(void)
{
	struct store s;
	struct db_counts c;
	struct work w[] = {
		{ .text = "INSERT INTO t VALUES (1)" },
		{ .text = "INSERT INTO t VALUES (2)", .fail = EINVAL },
		{ .text = "INSERT INTO t VALUES (3)" },
	};
	uint64_t until;

	open_new(&s, "full");
	(void)run_one(&s, "CREATE TABLE t (i INTEGER PRIMARY KEY)", false);
	vfs_set_full(true);
	for (size_t i = 0; i < 3; i++)
		(void)db_post(s.db, run_text, note, &w[i]);
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	ok(w[0].code == ENOSPC && w[2].code == ENOSPC, "a full disk: the writes are answered with ENOSPC");
	ok(w[1].code == ENOSPC || w[1].code == EINVAL, "and so is what failed besides");
	db_counts(s.db, &c);
	ok(c.is_full && c.failures > 0, "it is known");
	is_int(value(&s, "SELECT count(*) FROM t"), 0, "reads go on, and see nothing of it");
	is_int(run_one(&s, "INSERT INTO t VALUES (4)", false), ENOSPC, "the next write is refused too");
	vfs_set_full(false);
	is_int(run_one(&s, "INSERT INTO t VALUES (5)", false), 0, "with room again, it is accepted");
	db_counts(s.db, &c);
	ok(!c.is_full, "and known");
	vfs_set_full(true);
	is_int(run_one(&s, "INSERT INTO t VALUES (6)", false), ENOSPC, "full once more");
	vfs_set_full(false);
	until = clock_deadline_ns(5 * NS_PER_S);
	do {
		(void)usleep(50000);
		db_counts(s.db, &c);
	} while (c.is_full && clock_now_ns() < until);
	ok(!c.is_full, "the thread finds out by itself that there is room");
	is_int(value(&s, "SELECT group_concat(i) FROM t"), 5, "and only the accepted one is there");
	close_it(&s);
	(void)close(s.dir_fd);
}

/* What a quota or ulimit -f makes of it: another errno, the same meaning. */
static void test_limit(void)
{
	struct store s;
	struct rlimit before, small;
	struct stat st;
	int refused = 0;

	open_new(&s, "limit");
	(void)run_one(&s, "CREATE TABLE t (i INTEGER PRIMARY KEY, b BLOB)", false);
	need(fstatat(s.dir_fd, "cubit.db-wal", &st, 0) == 0 && getrlimit(RLIMIT_FSIZE, &before) == 0,
	     "limits are known");
	small = before;
	small.rlim_cur = (rlim_t)st.st_size + 20000;
	(void)signal(SIGXFSZ, SIG_IGN);
	need(setrlimit(RLIMIT_FSIZE, &small) == 0, "no file may grow");
	for (int i = 0; i < 20 && refused == 0; i++)
		refused = run_one(&s, "INSERT INTO t (b) VALUES (zeroblob(4000))", false);
	is_int(refused, ENOSPC, "at a limit of the process it is ENOSPC as well");
	need(setrlimit(RLIMIT_FSIZE, &before) == 0, "files may grow again");
	is_int(run_one(&s, "INSERT INTO t (b) VALUES (zeroblob(100000))", false), 0, "and it goes on");
	close_it(&s);
	(void)close(s.dir_fd);
}

static int keeper(int dir_fd, int ready)
{
	struct store s = { .dir_fd = dir_fd };
	struct error e = ERROR_INIT;

	if (try_open(&s, &e) < 0 || write(ready, "r", 1) != 1)
		return 1;
	for (;;)
		(void)pause();
}

static void test_two(void)
{
	struct store s;
	struct error e = ERROR_INIT;
	int ready[2], status;
	pid_t pid;
	char byte;

	s.dir_fd = fixture_dir("two");
	need(pipe2(ready, O_CLOEXEC) == 0, "a pipe");
	pid = fork();
	if (pid == 0)
		_exit(keeper(s.dir_fd, ready[1]));
	need(pid > 0 && read(ready[0], &byte, 1) == 1, "another process has the database");
	is_int(try_open(&s, &e), -EBUSY, "a second one is refused");
	has_str(e.text, "another process", "and told why");
	(void)uv_loop_close(&s.loop);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	ok(exists(&s, "cubit.db-lock"), "the dead one leaves its lock");
	open_again(&s);
	ok(true, "which does not keep the next one out");
	close_it(&s);
	(void)close(ready[0]);
	(void)close(ready[1]);
	(void)close(s.dir_fd);
}

static const char *damaged_name(const struct store *s)
{
	static char name[256];
	DIR *d = fdopendir(fcntl(s->dir_fd, F_DUPFD_CLOEXEC, 0));
	const struct dirent *entry;

	name[0] = '\0';
	rewinddir(d);
	while ((entry = readdir(d)))
		if (strncmp(entry->d_name, "cubit.db.damaged-", 17) == 0 && !strstr(entry->d_name, "-wal"))
			(void)snprintf(name, sizeof(name), "%s", entry->d_name);
	(void)closedir(d);
	return name;
}

static void put_lock(const struct store *s)
{
	int fd = openat(s->dir_fd, "cubit.db-lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0, "as if the last process had died");
	(void)close(fd);
}

static void damage(const struct store *s, off_t from, size_t size)
{
	int fd = openat(s->dir_fd, "cubit.db", O_WRONLY | O_CLOEXEC);
	char *junk = malloc(size);

	memset(junk, 0x5a, size);
	need(fd >= 0 && pwrite(fd, junk, size, from) == (ssize_t)size, "%zu bytes are damaged", size);
	free(junk);
	(void)close(fd);
}

static void fill(struct store *s)
{
	(void)run_one(s, "CREATE TABLE t (i INTEGER PRIMARY KEY, b BLOB)", false);
	(void)run_one(s, "CREATE INDEX t_b ON t (b)", false);
	for (int i = 0; i < 300; i++)
		(void)run_one(s, "INSERT INTO t (b) VALUES (randomblob(500))", false);
}

static void test_damage(void)
{
	struct store s;
	struct db_counts c;

	log_init(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	open_new(&s, "damage");
	fill(&s);
	close_it(&s);
	open_again(&s);
	ok(!*damaged_name(&s), "a good file stays");
	close_it(&s);
	put_lock(&s);
	open_again(&s);
	ok(!*damaged_name(&s), "also when it had to be checked");
	is_int(value(&s, "SELECT count(*) FROM t"), 300, "with what is in it");
	close_it(&s);

	damage(&s, 20 * 4096, 8 * 4096);
	put_lock(&s);
	open_again(&s);
	ok(*damaged_name(&s), "damaged pages after a crash: the file is set aside");
	is_int(value(&s, "SELECT count(*) FROM job"), 0, "and a new one serves");
	close_it(&s);

	(void)unlinkat(s.dir_fd, damaged_name(&s), 0);
	damage(&s, 0, 4096);
	open_again(&s);
	ok(*damaged_name(&s), "what is no database at all is set aside, checked or not");
	close_it(&s);

	/* a page that is met later */
	(void)unlinkat(s.dir_fd, damaged_name(&s), 0);
	open_again(&s);
	fill(&s);
	close_it(&s);
	damage(&s, 40 * 4096, 60 * 4096); /* behind the tables of others */
	open_again(&s);
	ok(!*damaged_name(&s), "after a clean end not every page is looked at");
	is_int(value(&s, "SELECT sum(length(b)) FROM t"), -EIO, "a damaged page is an error of who meets it");
	is_int(run_one(&s, "UPDATE schema_version SET version = version", false), 0, "the others go on");
	db_counts(s.db, &c);
	ok(c.is_damaged, "it is known");
	close_it(&s);
	open_again(&s);
	ok(*damaged_name(&s), "and the next start looks at all, and sets the file aside");
	close_it(&s);
	(void)close(s.dir_fd);
}

static void test_versions(void)
{
	static const char *const steps[] = { "CREATE TABLE a (i)",
					     "ALTER TABLE a ADD COLUMN j; INSERT INTO a VALUES (1, 2)" };
	struct schema one = { .subject = "test", .steps = steps, .n_steps = 1 };
	struct schema two = { .subject = "test", .steps = steps, .n_steps = 2 };
	struct store s;
	struct error e = ERROR_INIT;
	sqlite3 *sql = NULL;

	need(sqlite3_open(":memory:", &sql) == SQLITE_OK, "a database");
	is_int(schema_bring_up(sql, &one, &e), 0, "the first version of a schema");
	is_int(schema_bring_up(sql, &one, &e), 0, "is made once");
	is_int(schema_bring_up(sql, &two, &e), 0, "the second version");
	is_int(sqlite3_exec(sql, "SELECT i, j FROM a", NULL, NULL, NULL), SQLITE_OK, "adds to it");
	is_int(schema_bring_up(sql, &one, &e), -ENOTSUP, "an older program refuses the newer file");
	has_str(e.text, "'test' have version 2", "with the versions");
	(void)sqlite3_close(sql);

	open_new(&s, "versions");
	is_int(run_one(&s, "UPDATE schema_version SET version = 99", false), 0, "a file from the future");
	close_it(&s);
	error_clear(&e);
	is_int(try_open(&s, &e), -ENOTSUP, "is refused");
	ok(!*damaged_name(&s), "and not set aside");
	(void)uv_loop_close(&s.loop);
	(void)close(s.dir_fd);
}

/* Somebody emptied it: that is no first start. */
static void test_empty(void)
{
	struct store s;
	struct error e = ERROR_INIT;

	open_new(&s, "empty");
	ok(!exists(&s, "cubit.db-new"), "a first start that is done leaves no mark of it");
	close_it(&s);
	need(unlinkat(s.dir_fd, "cubit.db", 0) == 0, "the file is gone");
	(void)close(openat(s.dir_fd, "cubit.db", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	is_int(try_open(&s, &e), -ENODATA, "an empty file is refused");
	has_str(e.text, "'cubit.db': the file is empty (0 bytes)", "in words");
	(void)uv_loop_close(&s.loop);
	(void)close(openat(s.dir_fd, "cubit.db-new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	open_again(&s);
	ok(!exists(&s, "cubit.db-new"), "a first start that was cut short is done again");
	close_it(&s);
	(void)unlinkat(s.dir_fd, "cubit.db", 0);
	open_again(&s);
	is_int(value(&s, "SELECT count(*) FROM job"), 0, "without a file an empty database is made");
	close_it(&s);
	(void)close(s.dir_fd);
}

static void test_place(void)
{
	struct store s;
	struct error e = ERROR_INIT;

	s.dir_fd = fixture_dir("place");
	need(symlinkat("elsewhere", s.dir_fd, "cubit.db") == 0, "a link stands where the file should");
	is_int(try_open(&s, &e), -ELOOP, "it is not followed");
	(void)uv_loop_close(&s.loop);
	(void)unlinkat(s.dir_fd, "cubit.db", 0);
	need(mkdirat(s.dir_fd, "cubit.db", 0700) == 0, "a directory stands there");
	error_clear(&e);
	ok(try_open(&s, &e) < 0, "it is refused");
	(void)uv_loop_close(&s.loop);
	(void)unlinkat(s.dir_fd, "cubit.db", AT_REMOVEDIR);
	need(fchdir(s.dir_fd) == 0, "in the directory itself");
	open_again(&s);
	ok(exists(&s, "cubit.db"), "the path is that of the working directory");
	close_it(&s);
	need(chdir("/") == 0, "elsewhere");
	open_again(&s);
	close_it(&s);
	(void)close(s.dir_fd);
}

int main(void)
{
	vfs_install();
	test_batch();
	test_later();
	test_statements();
	log_init(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	test_full();
	test_limit();
	test_two();
	test_damage();
	test_versions();
	test_empty();
	test_place();
	return done_testing();
}
