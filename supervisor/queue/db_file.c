/*
 * The database's file: lock, check, open, set aside, close. Everything happens at start-up and at the end.
 *
 *   cubit.db        0600, and beside it, made by SQLite with the same mode, cubit.db-wal and cubit.db-shm
 *   cubit.db-lock   there and locked (flock(2)) while a process has the database open; left behind by one that died,
 *                   which is how the next one knows that it must look at every page
 *   cubit.db-new    there while a first start makes the database: only then may it be empty
 *   cubit.db.damaged-TIME[-wal]  set aside
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/db_impl.h"
#include "supervisor/queue/db_vfs.h"
#include "supervisor/queue/schema.h"

#define DB_NAME   "cubit.db"
#define LOCK_NAME "cubit.db-lock"
#define NEW_NAME  "cubit.db-new"

enum { LOCK_TRIES = 30, LOCK_PAUSE_MS = 100, CHECK_SECONDS = 30 };

static const char *const settings =
	"PRAGMA auto_vacuum = INCREMENTAL;" /* of a new file: what the sweep removed is given back to the disk */
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"     /* a commit is on the disk when it returns */
	"PRAGMA wal_autocheckpoint = 0;" /* db.c does it, after the answers */
	"PRAGMA journal_size_limit = 67108864;"
	"PRAGMA foreign_keys = ON;"
	"PRAGMA trusted_schema = OFF;" /* a damaged or foreign file must not run functions of ours */
	"PRAGMA cell_size_check = ON;"
	"PRAGMA temp_store = MEMORY;"   /* the front may write below its own directory only */
	"PRAGMA cache_size = -16384;"   /* KiB */
	"PRAGMA secure_delete = FAST;"; /* overwrite where it costs nothing: requests may hold secrets */

/* ---- the lock ---- */

/* One try. *ret_was_there: another life left it. Returns an owned descriptor or -errno (EWOULDBLOCK: held; ESTALE:
 * again) */
static int try_lock(int dir_fd, bool *ret_was_there)
{
	cleanup_fd int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool was_there = fd < 0 && errno == EEXIST;
	struct stat ours, named;

	if (was_there)
		fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	/* the one who held it may have removed the name between our open and our lock */
	if (fstat(fd, &ours) < 0 || fstatat(dir_fd, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
		return -ESTALE;
	*ret_was_there = was_there;
	return fd_take(&fd);
}

static int lock(int dir_fd, bool *ret_was_there, struct error *err)
{
	const struct timespec pause = { .tv_nsec = (long)(LOCK_PAUSE_MS * NS_PER_MS) };
	int fd = -ESTALE;

	for (int i = 0; i < LOCK_TRIES; i++) {
		fd = try_lock(dir_fd, ret_was_there);
		if (fd >= 0)
			break;
		if (fd == -EWOULDBLOCK)
			(void)nanosleep(&pause, NULL); /* cut short: one try is lost */
		else if (fd != -ESTALE)
			return error_errno(err, -fd, "lock '%s'", LOCK_NAME);
	}
	if (fd < 0)
		return error_set(err, EBUSY, "'%s' is held: another process uses this database", LOCK_NAME);
	/* the name must survive a power cut, or the next life would not look */
	if (fsync(dir_fd) < 0) {
		int code = errno;

		fd_close(&fd);
		return error_errno(err, code, "fsync of the directory of '%s'", LOCK_NAME);
	}
	return fd;
}

/* ---- where ---- */

/* Does the process stand in that directory? The front does: then nothing above it needs to be looked at. */
static bool is_here(int dir_fd)
{
	struct stat dir, here;

	return fstat(dir_fd, &dir) == 0 && stat(".", &here) == 0 && here.st_dev == dir.st_dev &&
	       here.st_ino == dir.st_ino;
}

/* SQLite wants a path. */
static int path_of(int dir_fd, char ret[PATH_MAX], struct error *err)
{
	char link[32], dir_path[PATH_MAX - sizeof("/" DB_NAME)];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	n = readlink(link, dir_path, sizeof(dir_path));
	if (n < 0)
		return error_errno(err, errno, "readlink '%s'", link);
	if (n == (ssize_t)sizeof(dir_path))
		return error_set(err, ENAMETOOLONG, "the path of the database's directory is too long");
	(void)snprintf(ret, PATH_MAX, "%.*s/" DB_NAME, (int)n, dir_path);
	return 0;
}

/* A first start says so before it makes the file, so that an empty one is never taken for one. */
static int mark_new(int dir_fd, struct error *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (fstatat(dir_fd, DB_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return 0;
	fd = openat(dir_fd, NEW_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? error_errno(err, errno, "make '%s'", NEW_NAME) : 0;
}

static int check_empty(int dir_fd, const struct stat *st, struct error *err)
{
	struct stat mark;

	if (st->st_size > 0 || fstatat(dir_fd, NEW_NAME, &mark, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return error_set(err, ENODATA,
			 "the file is empty (0 bytes), which no start of ours leaves: its jobs, results and keys are "
			 "gone. Put a copy in its place, or remove it to begin with none");
}

/* SQLite would make it 0644. Made by us once, its -wal and -shm take the mode over. */
static int make_private(int dir_fd, struct error *err)
{
	int r = mark_new(dir_fd, err);
	cleanup_fd int fd = r < 0 ? -1
				  : openat(dir_fd, DB_NAME,
					   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct stat st;

	if (r < 0)
		return r;
	if (fd < 0)
		return error_errno(err, errno, "open '%s'", DB_NAME);
	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "fstat '%s'", DB_NAME);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "'%s' is not a regular file", DB_NAME);
	if ((st.st_mode & 0777) != 0600 && fchmod(fd, 0600) < 0)
		return error_errno(err, errno, "chmod '%s'", DB_NAME);
	return check_empty(dir_fd, &st, err);
}

/* ---- set aside ---- */

static int set_aside(int dir_fd, const char *why, struct error *err)
{
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32], to[64], to_wal[72];

	(void)gmtime_r(&now, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	(void)snprintf(to, sizeof(to), DB_NAME ".damaged-%s", stamp);
	for (int i = 2; faccessat(dir_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && i < 1000; i++)
		(void)snprintf(to, sizeof(to), DB_NAME ".damaged-%s.%d", stamp, i);
	(void)snprintf(to_wal, sizeof(to_wal), "%s-wal", to);
	/* the log first: left behind, it would be read into the new file */
	if (renameat(dir_fd, DB_NAME "-wal", dir_fd, to_wal) < 0 && errno != ENOENT)
		return error_errno(err, errno, "set '%s-wal' aside", DB_NAME);
	if (unlinkat(dir_fd, DB_NAME "-shm", 0) < 0 && errno != ENOENT)
		return error_errno(err, errno, "remove '%s-shm'", DB_NAME);
	if (renameat(dir_fd, DB_NAME, dir_fd, to) < 0)
		return error_errno(err, errno, "set '%s' aside", DB_NAME);
	log_error(LOG_FACTS(LOG_STR("file", to), LOG_STR("why", why)),
		  "the database is damaged: set aside, going on with an empty one; its jobs and results are in that "
		  "file");
	return 0;
}

/* ---- open ---- */

/* Not for ever: a file of many gigabytes must not keep the service down. */
static int check_time_is_up(void *arg)
{
	return clock_now_ns() >= *(const uint64_t *)arg;
}

/* EUCLEAN: damaged. */
static int check_pages(sqlite3 *sql, struct error *err)
{
	uint64_t deadline = clock_deadline_ns(CHECK_SECONDS * NS_PER_S);
	sqlite3_stmt *st = NULL;
	int rc;

	sqlite3_progress_handler(sql, 100000, check_time_is_up, &deadline);
	rc = sqlite3_prepare_v2(sql, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *said = (const char *)sqlite3_column_text(st, 0);

		rc = said && strcmp(said, "ok") == 0 ? 0 : error_set(err, EUCLEAN, "%s", said ? said : "no words");
	} else if (rc == SQLITE_INTERRUPT) {
		log_warning(LOG_NONE, "the check of the database takes longer than %d s: going on without the rest",
			    CHECK_SECONDS);
		rc = 0;
	} else {
		rc = db_error(sql, rc, "quick_check", err);
	}
	(void)sqlite3_finalize(st); /* its code is the one we have */
	sqlite3_progress_handler(sql, 0, NULL, NULL);
	return rc;
}

static int execute(sqlite3 *sql, const char *text, const char *what, struct error *err)
{
	int rc = sqlite3_exec(sql, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_error(sql, rc, what, err);
}

static int bring_up(sqlite3 *sql, struct error *err)
{
	int rc = execute(sql, "BEGIN IMMEDIATE", "begin", err);

	if (rc < 0)
		return rc;
	rc = schema_bring_up(sql, &queue_schema, err);
	if (rc == 0)
		rc = execute(sql, "COMMIT", "commit", err);
	if (rc < 0)
		(void)execute(sql, "ROLLBACK", "rollback", NULL); /* it may have rolled back by itself */
	return rc;
}

/* The connection, as far as it comes: *ret is set also on failure. EUCLEAN, or trouble noted by db_error(): damaged. */
static int open_connection(const char *path, bool is_suspect, const char *vfs, sqlite3 **ret, struct error *err)
{
	/* no mutex: one thread at a time. No links: the directory is ours, and what is in it is what we made. */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		    SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(path, ret, flags, vfs);

	if (rc != SQLITE_OK)
		return db_error(*ret, rc, "open", err);
	(void)sqlite3_busy_timeout(*ret, 5000); /* somebody looks at it with a tool */
	(void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_limit(*ret, SQLITE_LIMIT_ATTACHED, 0);
	rc = execute(*ret, settings, "settings", err);
	if (rc == 0 && is_suspect)
		rc = check_pages(*ret, err);
	if (rc == 0)
		rc = bring_up(*ret, err);
	return rc;
}

int db_file_open(struct db_file *ret, int dir_fd, struct error *err)
{
	struct db_file f = { .dir_fd = -1, .lock_fd = -1 };
	struct error e = ERROR_INIT;
	char path[PATH_MAX] = DB_NAME;
	const char *vfs = NULL; /* the usual one */
	bool is_suspect = false;
	int rc;

	f.dir_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.dir_fd < 0)
		return error_errno(err, errno, "database: open its directory");
	f.lock_fd = lock(f.dir_fd, &is_suspect, &e);
	rc = f.lock_fd < 0 ? f.lock_fd : 0;
	if (rc == 0 && is_here(f.dir_fd))
		vfs = db_vfs_name();
	else if (rc == 0)
		rc = path_of(f.dir_fd, path, &e);
	for (int i = 0; rc == 0 && i < 2; i++) {
		(void)db_trouble_take(); /* what was before is not ours */
		rc = make_private(f.dir_fd, &e);
		if (rc == 0)
			rc = open_connection(path, is_suspect, vfs, &f.sql, &e);
		if (rc == 0 || i > 0 || (rc != -EUCLEAN && !db_trouble_take().is_damaged))
			break;
		(void)sqlite3_close(f.sql); /* no statement is left */
		f.sql = NULL;
		rc = set_aside(f.dir_fd, e.text, &e);
	}
	if (rc < 0) {
		db_file_close(&f, false);
		return error_set(err, e.code, "database '%s': %s", DB_NAME, e.text);
	}
	if (unlinkat(f.dir_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
		log_warning(LOG_FACTS(LOG_STR("file", NEW_NAME)), "unlink: %s", strerror(errno));
	*ret = f;
	return 0;
}

void db_file_close(struct db_file *f, bool is_clean)
{
	int rc = f->sql ? sqlite3_close(f->sql) : SQLITE_OK;

	if (rc != SQLITE_OK)
		log_error(LOG_NONE, "closing the database: %s", sqlite3_errstr(rc));
	f->sql = NULL;
	/* no fsync: a name that comes back after a power cut costs one check, nothing else */
	if (is_clean && rc == SQLITE_OK && f->lock_fd >= 0 && unlinkat(f->dir_fd, LOCK_NAME, 0) < 0 && errno != ENOENT)
		log_warning(LOG_FACTS(LOG_STR("file", LOCK_NAME)), "unlink: %s; the next start looks at every page",
			    strerror(errno));
	fd_close(&f->lock_fd);
	fd_close(&f->dir_fd);
}
