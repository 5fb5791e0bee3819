/* Directories and locks: see state_dir.h. */
#include "supervisor/monitor/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "supervisor/settings.h"

#define LOCK_NAME "monitor.lock"

enum { LOCK_TRIES = 40, LOCK_PAUSE_MS = 50, MOUNTINFO_MAX_BYTES = 4 << 20 };

/*
 * The part of a path that the service manager has put something in front of: ProtectHome=yes mounts an empty directory
 * there that nobody may enter, ProtectSystem= makes what is there read-only, systemd.exec(5). NULL: none.
 */
static const char *protected_part(const char *path)
{
	static const char *const homes[] = { "/home", "/root", "/run/user" };
	cleanup_buf struct buf mounts = BUF_INIT;

	if (fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX_BYTES, &mounts, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		size_t n = strlen(homes[i]);
		char point[32];

		(void)snprintf(point, sizeof(point), " %s ro,", homes[i]); /* mount point and its options, proc(5) */
		if (strncmp(path, homes[i], n) == 0 && (path[n] == '/' || !path[n]) && strstr(buf_str(&mounts), point))
			return homes[i];
	}
	return NULL;
}

static int cannot(const char *doing, const char *setting, const char *path, int code, struct error *err)
{
	const char *home =
		code == ENOENT || code == EACCES || code == EROFS || code == EPERM ? protected_part(path) : NULL;

	if (home)
		return error_set(err, EINVAL,
				 "%s: '%s' lies below '%s', which is hidden from this service: set ProtectHome=no "
				 "('systemctl edit cubitd'), or choose another directory",
				 setting, path, home);
	if (code == EROFS)
		return error_set(err, EROFS,
				 "%s: '%s' is on a read-only file system; below /usr, /boot and /etc the service file "
				 "makes it one (ProtectSystem=full)",
				 setting, path);
	return error_errno(err, code, "%s: %s '%s'", setting, doing, path);
}

/*
 * A directory of the operator's, made if missing. One that was there keeps its mode: somebody may have named /tmp. But
 * one closed to others, as the other programs of ours make it, is opened as far as it has to be.
 */
static int open_dir(const char *setting, const char *path, mode_t mode, int *ret, struct error *err)
{
	bool is_made = mkdir(path, mode) == 0;
	cleanup_fd int fd = -1;
	struct stat st;

	if (!is_made && errno != EEXIST)
		return cannot("make directory", setting, path, errno, err);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cannot("open directory", setting, path, errno, err);
	if (st.st_uid != 0 || (st.st_mode & 022 && !(st.st_mode & S_ISVTX)))
		return error_set(err, EPERM, "directory '%s' belongs to others, or others may write to it", path);
	if ((is_made || (st.st_mode & 07777) == 0700) && fchmod(fd, mode) < 0)
		return error_errno(err, errno, "change the mode of '%s'", path);
	*ret = fd_take(&fd);
	return 0;
}

/* The front's own directory below CUBIT_STATE: its, whoever had it before. */
static int open_front_dir(struct state_dir *s, struct error *err)
{
	static const char name[] = "front";
	cleanup_fd int fd = -1;

	if (mkdirat(s->state_fd, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make directory '%s'", name);
	fd = openat(s->state_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, s->uid, s->gid) < 0 || fchmod(fd, 0700) < 0)
		return error_errno(err, errno, "take directory '%s'", name);
	s->front_fd = fd_take(&fd);
	return 0;
}

/* For the operator, who may put languages there at any time: the front may only read what was there when it started. */
static int make_runtimes_dir(const struct state_dir *s, struct error *err)
{
	static const char name[] = "runtimes";

	if (mkdirat(s->state_fd, name, 0755) < 0)
		return errno == EEXIST ? 0 : error_errno(err, errno, "make directory '%s'", name);
	return fchmodat(s->state_fd, name, 0755, 0) < 0 ? error_errno(err, errno, "change the mode of '%s'", name) : 0;
}

static int take_lock(int dir_fd, const char *setting, const char *path, int *ret, struct error *err)
{
	cleanup_fd int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = -1;

	if (fd < 0)
		return cannot("make a lock in", setting, path, errno, err);
	/* of a cubitd that was killed this moment, processes that were just being started may still hold it */
	for (int i = 0; i < LOCK_TRIES && (r = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EWOULDBLOCK; i++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = LOCK_PAUSE_MS * 1000000L }, NULL);
	if (r < 0)
		return errno == EWOULDBLOCK ? error_set(err, EBUSY, "another cubitd works in '%s'", path)
					    : error_errno(err, errno, "lock '%s'", path);
	*ret = fd_take(&fd);
	return 0;
}

static int find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct error *err)
{
	const struct passwd *pw;
	uint64_t id;

	if (parse_u64(name, 0, UINT32_MAX - 1, &id, NULL) == 0) {
		*ret_uid = (uid_t)id;
		*ret_gid = (gid_t)id;
	} else {
		errno = 0;
		pw = getpwnam(name);
		if (!pw)
			return error_set(
				err, EINVAL,
				"CUBIT_USER: no account '%.64s': make it (useradd --system %.64s), or give a number",
				name, name);
		*ret_uid = pw->pw_uid;
		*ret_gid = pw->pw_gid;
	}
	if (*ret_uid == 0 || *ret_gid == 0)
		return error_set(err, EINVAL, "CUBIT_USER: the front must not be root");
	return 0;
}

int state_dir_open(const struct settings *settings, struct state_dir *ret, struct error *err)
{
	struct state_dir s = STATE_DIR_INIT;
	int r = find_user(settings->user, &s.uid, &s.gid, err);

	if (r == 0)
		r = open_dir("CUBIT_RUN", settings->run_dir, 0755, &s.run_fd, err);
	if (r == 0)
		r = open_dir("CUBIT_STATE", settings->state_dir, 0711, &s.state_fd, err);
	if (r == 0)
		r = take_lock(s.run_fd, "CUBIT_RUN", settings->run_dir, &s.run_lock, err);
	if (r == 0)
		r = take_lock(s.state_fd, "CUBIT_STATE", settings->state_dir, &s.state_lock, err);
	if (r == 0)
		r = make_runtimes_dir(&s, err);
	if (r == 0)
		r = open_front_dir(&s, err);
	if (r < 0)
		state_dir_close(&s);
	else
		*ret = s;
	return r;
}

void state_dir_close(struct state_dir *s)
{
	fd_close(&s->front_fd);
	fd_close(&s->run_lock);
	fd_close(&s->state_lock);
	fd_close(&s->run_fd);
	fd_close(&s->state_fd);
}
