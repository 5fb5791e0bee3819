/*
 * The settings of a node: see settings.h.
 *
 * A row says everything about one setting: name, kind, where its value goes, default, bounds, meaning, and for texts
 * what makes one acceptable. Loading, help, printing and the environment of the front are loops over the rows.
 */
#include "supervisor/settings.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/idrange.h"
#include "supervisor/setting_row.h"
#include "supervisor/settings_impl.h"

/* ---- loading ---- */

static int set_row(const struct setting_row *row, const char *text, enum setting_source source, const char *name,
		   struct settings *s, struct error *err)
{
	int r = setting_read(row, text, s, err);

	if (r < 0) {
		error_wrap(err, "%s (%s)", name, setting_place_names[source]);
		return -EINVAL;
	}
	s->sources[row - setting_rows] = (uint8_t)source;
	return 0;
}

static int set_default(const struct setting_row *row, struct settings *s, struct error *err)
{
	char text[SETTING_TEXT_MAX];
	int r = row->compute ? row->compute(text) : 0;

	if (r < 0)
		return error_errno(err, -r, "%s", row->name);
	return set_row(row, row->compute ? text : row->normal, SETTING_DEFAULT, row->name, s, err);
}

/* PORT, where CUBIT_LISTEN is not said in the same place. */
static int set_port(const struct setting_row *row, const struct setting_places *places, enum setting_source source,
		    struct settings *s, bool *ret_is_set, struct error *err)
{
	const char *port = places_find(places, source, "PORT");
	char listen[64];
	uint64_t n;

	if (row->offset != AT(listen) || !port)
		return 0;
	if (parse_u64(port, 0, UINT16_MAX, &n, err) < 0) { /* 0x1f90 is a port, too */
		error_wrap(err, "PORT (%s)", setting_place_names[source]);
		return -EINVAL;
	}
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%" PRIu64, n);
	*ret_is_set = true;
	return set_row(row, listen, source, "PORT", s, err);
}

static int load_row(const struct setting_row *row, const struct setting_places *places, struct settings *s,
		    struct error *err)
{
	for (enum setting_source source = SETTING_ENVIRONMENT; source <= SETTING_ETC; source++) {
		const char *text = places_find(places, source, row->name);
		bool is_set = false;
		int r;

		if (text)
			return set_row(row, text, source, row->name, s, err);
		r = set_port(row, places, source, s, &is_set, err);
		if (r < 0 || is_set)
			return r;
	}
	return set_default(row, s, err);
}

/* "RUN_TIMEOUT_MS (5000, default)" */
static void say_row(const struct settings *s, size_t offset, struct buf *out)
{
	for (size_t i = 0; i < setting_count; i++) {
		if (setting_rows[i].offset != offset)
			continue;
		(void)buf_printf(out, "%s (", setting_rows[i].name); /* a message may be shorter when memory is */
		(void)setting_write(&setting_rows[i], s, out);
		(void)buf_printf(out, ", %s)", setting_place_names[s->sources[i]]);
	}
}

/* A default of a job above what a request may ask for would refuse each request that does not say. */
static int check_ceilings(const struct settings *s, struct error *err)
{
	static const struct {
		size_t normal, most;
	} pairs[] = {
		{ AT(run_timeout_ns), AT(max_wall_ns) },
		{ AT(memory_bytes), AT(max_memory) },
		{ AT(cpus_milli), AT(max_cpus_milli) },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		cleanup_buf struct buf normal = BUF_INIT, most = BUF_INIT;

		if (*(const uint64_t *)((const char *)s + pairs[i].normal) <=
		    *(const uint64_t *)((const char *)s + pairs[i].most))
			continue;
		say_row(s, pairs[i].normal, &normal);
		say_row(s, pairs[i].most, &most);
		return error_set(err, EINVAL, "%s is above %s", buf_str(&normal), buf_str(&most));
	}
	return 0;
}

/* The account, unless nobody named one: whoever becomes it says that it is missing. */
static int check_account(const struct settings *s, struct error *err)
{
	const struct setting_row *row = setting_find("CUBIT_USER");
	enum setting_source source = s->sources[row - setting_rows];
	const struct passwd *account;

	/* by now every text has a value: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (source == SETTING_DEFAULT || isdigit((unsigned char)s->user[0]))
		return 0;
	errno = 0;
	account = getpwnam(s->user); /* NOLINT(concurrency-mt-unsafe): one thread */
	if (!account)
		return error_set(err, EINVAL, "CUBIT_USER (%s): there is no account '%.64s'",
				 setting_place_names[source], s->user);
	if (account->pw_uid == 0)
		return error_set(err, EINVAL, "CUBIT_USER (%s): '%.64s' is root; the front cannot be",
				 setting_place_names[source], s->user);
	return 0;
}

static enum setting_source source_of(const struct settings *s, size_t offset)
{
	size_t i = 0;

	while (setting_rows[i].offset != offset)
		i++;
	return s->sources[i];
}

/*
 * A directory that somebody cloned must not be able to have our key sent to an address of its choice, nor say which
 * certificates make a stranger the daemon.
 */
static int check_key_goes_home(const struct settings *s, struct error *err)
{
	enum setting_source key = source_of(s, AT(key));

	/* by now every text has a value: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (key == SETTING_DOTENV || !*s->key)
		return 0;
	if (source_of(s, AT(url)) == SETTING_DOTENV)
		return error_set(err, EINVAL,
				 "CUBIT_URL (.env): the key of CUBIT_KEY (%s) would be sent to an address that this "
				 "directory names; put both in one place",
				 setting_place_names[key]);
	if (source_of(s, AT(ca)) == SETTING_DOTENV)
		return error_set(err, EINVAL,
				 "CUBIT_CA (.env): the key of CUBIT_KEY (%s) would be sent to whom certificates that "
				 "this directory names believe; put both in one place",
				 setting_place_names[key]);
	return 0;
}

static int check_together(const struct settings *s, struct error *err)
{
	int r = check_key_goes_home(s, err);

	if (r < 0)
		return r;
	if (s->id_base % 65536 != 0)
		return error_set(err, EINVAL, "CUBIT_ID_BASE (%s): %" PRIu64 " is not a multiple of 65536",
				 setting_place_names[s->sources[setting_find("CUBIT_ID_BASE") - setting_rows]],
				 s->id_base);
	if ((s->id_base ? s->id_base : IDRANGE_BASE_DEFAULT) +
		    (s->id_count ? s->id_count : IDRANGE_COUNT_DEFAULT) * IDRANGE_SIZE >
	    UINT32_MAX)
		return error_set(err, EINVAL,
				 "CUBIT_ID_COUNT (%s): that many ranges from CUBIT_ID_BASE on end above 2^32",
				 setting_place_names[s->sources[setting_find("CUBIT_ID_COUNT") - setting_rows]]);
	return check_ceilings(s, err);
}

static int load(const struct setting_places *places, bool is_complete, struct settings *s, struct error *err)
{
	int r = is_complete ? 0 : places_check_names(places, err);

	for (size_t i = 0; r == 0 && i < setting_count; i++)
		r = load_row(&setting_rows[i], places, s, err);
	if (r == 0)
		r = check_together(s, err);
	if (r == 0 && !is_complete)
		r = check_account(s, err);
	if (r == 0 && log_redact(s->admin_key) < 0)
		r = error_set(err, ENOMEM, "CUBIT_ADMIN_KEY: no room to keep it out of the log");
	return r;
}

/* Read one of the two files, or find that it is not for us. */
static int read_place(const struct settings_sources *from, enum setting_source source, struct setting_places *places,
		      struct settings *s, struct error *err)
{
	const char *path = source == SETTING_DOTENV ? from->dotenv : from->etc;
	int r = places_read_file(path, setting_place_names[source], &places->files[source - SETTING_DOTENV], err);

	if (r != -EACCES || !from->may_lack_files)
		return r;
	error_clear(err);
	s->unread = setting_place_names[source];
	return 0;
}

int settings_load_from(const struct settings_sources *from, struct settings *ret, struct error *err)
{
	struct setting_places places = { .environment = from->environment };
	bool is_complete = places_find_environment(from->environment, SETTINGS_COMPLETE) != NULL;
	struct settings s = { .listen = NULL };
	int r = 0;

	if (!is_complete)
		r = read_place(from, SETTING_DOTENV, &places, &s, err);
	if (r == 0 && !is_complete)
		r = read_place(from, SETTING_ETC, &places, &s, err);
	if (r == 0)
		r = load(&places, is_complete, &s, err);
	env_file_done(&places.files[0]);
	env_file_done(&places.files[1]);
	if (r < 0) {
		settings_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int settings_load(struct settings *ret, struct error *err)
{
	const struct settings_sources from = { .environment = environ,
					       .dotenv = ".env",
					       .etc = setting_place_names[SETTING_ETC] };

	return settings_load_from(&from, ret, err);
}

void settings_done(struct settings *s)
{
	if (s->admin_key)
		explicit_bzero(s->admin_key, strlen(s->admin_key));
	for (size_t i = 0; i < setting_count; i++) {
		if (setting_rows[i].kind == KIND_TEXT) {
			free(*setting_text(s, &setting_rows[i]));
			*setting_text(s, &setting_rows[i]) = NULL;
		}
	}
}

/* ---- programs other than the daemon ---- */

static struct settings the_used;
static bool is_used, is_good;

static int complete_environment(const struct settings *s, struct error *err)
{
	for (size_t i = 0; i < setting_count; i++) {
		cleanup_buf struct buf value = BUF_INIT;

		if (setting_rows[i].is_secret || (s->sources[i] != SETTING_DOTENV && s->sources[i] != SETTING_ETC))
			continue;
		if (setting_write(&setting_rows[i], s, &value) < 0 ||
		    setenv(setting_rows[i].name, buf_str(&value), 1) < 0)
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

int settings_use(struct error *err)
{
	const struct settings_sources from = { .environment = environ,
					       .dotenv = ".env",
					       .etc = setting_place_names[SETTING_ETC],
					       .may_lack_files = geteuid() != 0 };
	struct settings s;
	int r;

	if (is_good)
		return 0;
	r = settings_load_from(&from, &s, err);
	if (r < 0)
		return r;
	r = complete_environment(&s, err);
	if (r < 0) {
		settings_done(&s);
		return r;
	}
	the_used = s;
	is_used = is_good = true;
	return 0;
}

void settings_use_defaults(void)
{
	char *const none[] = { NULL };
	const struct settings_sources environment = { .environment = environ, .dotenv = "", .etc = "" };
	const struct settings_sources nothing = { .environment = none, .dotenv = "", .etc = "" };

	if (settings_load_from(&environment, &the_used, NULL) < 0 && settings_load_from(&nothing, &the_used, NULL) < 0)
		abort(); /* no memory for defaults */
	is_used = true;
}

const struct settings *settings_used(void)
{
	assert(is_used);
	return &the_used;
}

void settings_runtimes(const struct settings *s, struct settings_runtimes *ret)
{
	size_t n = 0;

	(void)snprintf(ret->own, sizeof(ret->own), "%s/runtimes", s->state_dir);
	if (s->runtimes_dir[0])
		ret->dirs[n++] = s->runtimes_dir;
	ret->dirs[n++] = ret->own;
	ret->dirs[n] = NULL;
}
