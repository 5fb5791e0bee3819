/* Inside of the settings, for their tests: the same with other sources. See settings.h. Runs in: monitor, cubit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct settings;

/* Where settings are looked for. */
struct settings_sources {
	char *const *environment; /* as environ(7) */
	const char *dotenv, *etc; /* paths; a file that is not there is an empty one */
	bool may_lack_files;      /* one that we may not read is an empty one too, and settings.unread names it */
};

int settings_load_from(const struct settings_sources *from, struct settings *ret, struct error *err);

/* One NAME=value of a file. */
struct env_entry {
	char *name, *value; /* owned */
	size_t line;        /* counted from 1 */
};

struct env_file {
	struct env_entry *entries;
	size_t n;
};

/*
 * Parse the text of a .env file: lines NAME=value, an `export` in front, # comments, 'literal' and "escaped \n" values,
 * which may span lines. Nothing is expanded. Messages name the line, never its content.
 * what  what messages call the file
 * ret   owned: env_file_done(), also after a failure. Returns 0, -EINVAL, -ENOMEM.
 */
int env_file_parse(const char *text, size_t size, const char *what, struct env_file *ret, struct error *err);
void env_file_done(struct env_file *f);
