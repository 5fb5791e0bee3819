/*
 * Inside of the settings, between their files. Others include settings.h.
 *
 *   setting_check.c   what texts may be
 *   setting_table.c   the table: one row says everything about one setting
 *   setting_value.c   one value, read and written
 *   setting_places.c  where values come from, and names there that nobody knows
 *   settings.c        loading, what must fit together; the settings of a command
 *   settings_show.c   help, printing, the environment of the front
 *
 * Runs in: monitor, front, cubit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/clock.h"
#include "supervisor/settings.h"
#include "supervisor/settings_impl.h"

struct buf;
struct error;

/* The environment that settings_environment() makes says so, and is then all there is. */
#define SETTINGS_COMPLETE "CUBIT_SETTINGS_COMPLETE"

#define HOUR (UINT64_C(3600) * NS_PER_S)
#define DAY  (24 * HOUR)
#define TEBI (UINT64_C(1) << 40)
#define GIBI (UINT64_C(1) << 30)
#define MEBI (UINT64_C(1) << 20)

/* ---- setting_check.c ---- */

/* May the value be this? Returns 0, or -EINVAL with the reason; -ENOMEM. */
typedef int setting_check_fn(const char *text, struct error *err);
setting_check_fn setting_check_directory, setting_check_run, setting_check_node, setting_check_guests,
	setting_check_user, setting_check_level, setting_check_format, setting_check_admin_key, setting_check_listen,
	setting_check_origins, setting_check_images, setting_check_prefixes;

/* ---- setting_table.c ---- */

enum setting_kind {
	KIND_TEXT,
	KIND_BOOL,
	KIND_NUMBER,
	KIND_BYTES,
	KIND_TIME,
	KIND_MS,
	KIND_MEBIBYTES,
	KIND_CPUS,
	KINDS
};

/* in the order in which a row is read: NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct setting_row {
	const char *name;
	enum setting_kind kind;
	bool is_secret;
	size_t offset;
	const char *normal; /* default, as it would be written; with compute: how help says it */
	int (*compute)(char ret[SETTING_TEXT_MAX]); /* the default, when the machine decides; 0 or -errno */
	setting_check_fn *check;
	uint64_t min, max;
	const char *help;
	bool is_of_tools; /* for the commands: the front does not get it */
};

#define AT(field) offsetof(struct settings, field)

extern const struct setting_row setting_rows[];
extern const size_t setting_count; /* of the rows */

const struct setting_row *setting_find(const char *name); /* NULL: there is none */
/* Is this, of ours or of others, a name whose value strangers must not read? */
bool setting_name_is_secret(const char *name);
/* Is it no setting, but a name that may be there? */
bool setting_name_is_other(const char *name, size_t size);

/* ---- setting_value.c ---- */

char **setting_text(struct settings *s, const struct setting_row *row); /* where a text is kept */
/* Read the value of this row into s. Returns 0, -EINVAL with the reason, -ENOMEM. */
int setting_read(const struct setting_row *row, const char *text, struct settings *s, struct error *err);
/* As it can be read back; appends. Returns 0 or -ENOMEM. */
int setting_write(const struct setting_row *row, const struct settings *s, struct buf *out);

/* ---- setting_places.c ---- */

/* The three places, in the order in which they are asked. */
struct setting_places {
	char *const *environment;
	struct env_file files[2]; /* .env, /etc/cubit/cubit.env */
};

extern const char *const setting_place_names[]; /* by enum setting_source: what a message calls it */

const char *places_find_environment(char *const *environment, const char *name);
/* The value of this name in one of the three; NULL: it is not there. */
const char *places_find(const struct setting_places *places, enum setting_source source, const char *name);
/* Refuse what looks like a setting of ours and is none. Returns 0, or -EINVAL with the name that may be meant. */
int places_check_names(const struct setting_places *places, struct error *err);
/* Read a file, what messages call `what`; one that is not there is an empty one. ret: env_file_done(), also after a failure. */
int places_read_file(const char *path, const char *what, struct env_file *ret, struct error *err);
