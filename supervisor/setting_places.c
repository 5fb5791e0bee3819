/* Where values of settings come from, and names there that nobody knows: see setting_row.h. */
#include "supervisor/setting_row.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"

enum { FILE_MAX_BYTES = 64 << 10 };

/* What a message calls a place. */
const char *const setting_place_names[] = {
	[SETTING_DEFAULT] = "default",
	[SETTING_ENVIRONMENT] = "environment",
	[SETTING_DOTENV] = ".env",
	[SETTING_ETC] = "/etc/cubit/cubit.env",
};

const char *places_find_environment(char *const *environment, const char *name)
{
	size_t n = strlen(name);

	for (; *environment; environment++) {
		if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
			return *environment + n + 1;
	}
	return NULL;
}

const char *places_find(const struct setting_places *places, enum setting_source source, const char *name)
{
	const struct env_file *f;

	if (source == SETTING_ENVIRONMENT)
		return places_find_environment(places->environment, name);
	f = &places->files[source - SETTING_DOTENV];
	for (size_t i = f->n; i-- > 0;) { /* as a shell has it: the last one counts; ours are there once */
		if (strcmp(f->entries[i].name, name) == 0)
			return f->entries[i].value;
	}
	return NULL;
}

/* ---- names that nobody knows ---- */

/* How many letters apart two names are, Levenshtein; 99 when too long to tell. */
static size_t distance(const char *a, size_t a_size, const char *b)
{
	size_t line[64], b_size = strlen(b);

	if (b_size >= sizeof(line) / sizeof(line[0]))
		return 99;
	for (size_t j = 0; j <= b_size; j++)
		line[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = line[0];

		line[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = line[j];
			best = line[j] + 1 < best ? line[j] + 1 : best;
			line[j] = line[j - 1] + 1 < best ? line[j - 1] + 1 : best;
		}
	}
	return line[b_size];
}

static int refuse_unknown(const char *name, size_t size, const char *place, struct error *err)
{
	size_t least = 4;
	const char *near = NULL;

	for (size_t i = 0; i < setting_count; i++) {
		size_t d = distance(name, size, setting_rows[i].name);

		if (d < least) {
			least = d;
			near = setting_rows[i].name;
		}
	}
	return error_set(err, EINVAL, "%.*s (%s): there is no such setting%s%s%s", (int)(size < 64 ? size : 64), name,
			 place, near ? "; is " : "", near ? near : "", near ? " meant?" : "");
}

static int check_name(const char *name, size_t size, const char *place, struct error *err)
{
	char known[64];

	if (size < 6 || strncmp(name, "CUBIT_", 6) != 0 || setting_name_is_other(name, size))
		return 0;
	if (size < sizeof(known)) {
		(void)snprintf(known, sizeof(known), "%.*s", (int)size, name);
		if (setting_find(known))
			return 0;
	}
	return refuse_unknown(name, size, place, err);
}

/* These are read from the environment only: what a file says would decide which program root starts. */
static void say_unread(const struct setting_places *places, const char *name, const char *place)
{
	if (strncmp(name, "CUBIT_", 6) == 0 && setting_name_is_other(name, strlen(name)) &&
	    !places_find_environment(places->environment, name))
		log_warning(LOG_FACTS(LOG_STR("name", name), LOG_STR("file", place)),
			    "this setting is read from the environment only, ignoring it in the file");
}

static int check_file_names(const struct setting_places *places, enum setting_source source, struct error *err)
{
	const struct env_file *f = &places->files[source - SETTING_DOTENV];

	for (size_t i = 0; i < f->n; i++) {
		const char *name = f->entries[i].name;

		if (check_name(name, strlen(name), setting_place_names[source], err) < 0)
			return -EINVAL;
		say_unread(places, name, setting_place_names[source]);
		for (size_t j = 0; j < i && setting_find(name); j++) {
			if (strcmp(f->entries[j].name, name) == 0)
				return error_set(err, EINVAL, "%s (%s): set in line %zu and again in line %zu", name,
						 setting_place_names[source], f->entries[j].line, f->entries[i].line);
		}
	}
	return 0;
}

int places_check_names(const struct setting_places *places, struct error *err)
{
	for (char *const *e = places->environment; *e; e++) {
		if (check_name(*e, strcspn(*e, "="), setting_place_names[SETTING_ENVIRONMENT], err) < 0)
			return -EINVAL;
	}
	if (check_file_names(places, SETTING_DOTENV, err) < 0)
		return -EINVAL;
	return check_file_names(places, SETTING_ETC, err);
}

/* ---- files ---- */

/* Whoever may write the file decides what a privileged process does. sudo(8) says who called it. */
static int check_owner(const struct stat *st, const char *what, struct error *err)
{
	const char *sudo = getenv("SUDO_UID");
	uint64_t caller = 0;

	if (sudo && parse_u64(sudo, 0, UINT32_MAX - 1, &caller, NULL) < 0)
		caller = 0;
	if (st->st_uid != 0 && st->st_uid != geteuid() && !(geteuid() == 0 && caller == st->st_uid))
		return error_set(err, EPERM, "%s: belongs to another user (uid %u), who could change our settings",
				 what, (unsigned)st->st_uid);
	if (st->st_mode & S_IWOTH)
		return error_set(err, EPERM, "%s: everybody may write to it; chmod o-w", what);
	return 0;
}

static void warn_readable(const struct stat *st, const struct env_file *f, const char *what)
{
	for (size_t i = 0; i < f->n && (st->st_mode & S_IROTH); i++) {
		if (f->entries[i].value[0] && setting_name_is_secret(f->entries[i].name)) {
			log_warning(LOG_FACTS(LOG_STR("file", what), LOG_STR("name", f->entries[i].name)),
				    "everybody may read this file and the secret in it, going on; chmod 600");
			return;
		}
	}
}

int places_read_file(const char *path, const char *what, struct env_file *ret, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_buf struct buf text = BUF_INIT;
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "%s", what);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "%s: not a regular file", what);
	r = check_owner(&st, what, err);
	if (r < 0)
		return r;
	r = fd_read_all(fd, FILE_MAX_BYTES, &text, err);
	if (r < 0)
		return error_wrap(err, "%s", what), r;
	r = env_file_parse(buf_str(&text), text.size, what, ret, err);
	if (text.data)
		explicit_bzero(text.data, text.size);
	if (r == 0)
		warn_readable(&st, ret, what);
	return r;
}
