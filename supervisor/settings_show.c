/* Settings shown, and handed on to the front: see settings.h. */
#include "supervisor/settings.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/setting_row.h"

void settings_help(FILE *out)
{
	for (size_t i = 0; i < setting_count; i++) {
		const char *normal = setting_rows[i].normal[0] ? setting_rows[i].normal : "empty";

		(void)fprintf(out, "  %-24s %s (default: %s)\n", setting_rows[i].name, setting_rows[i].help, normal);
	}
}

static void show_value(const struct setting_row *row, const struct settings *s, struct buf *out)
{
	if (row->is_secret)
		(void)buf_append_str(out, **(char *const *)((const char *)s + row->offset) ? "[set]" : "");
	else
		(void)setting_write(row, s, out); /* for people: less of it when memory is short */
}

static void print_json(const struct settings *s, FILE *out)
{
	json_t *all = json_object();

	for (size_t i = 0; i < setting_count; i++) {
		cleanup_buf struct buf value = BUF_INIT;

		show_value(&setting_rows[i], s, &value);
		(void)json_object_set_new(all, setting_rows[i].name,
					  json_pack("{s:s, s:s}", "value", buf_str(&value), "source",
						    setting_place_names[s->sources[i]]));
	}
	(void)json_dumpf(all, out, JSON_INDENT(2)); /* the caller checks the stream */
	(void)fputc('\n', out);
	json_decref(all);
}

void settings_print(const struct settings *s, bool as_json, FILE *out)
{
	if (as_json) {
		print_json(s, out);
		return;
	}
	for (size_t i = 0; i < setting_count; i++) {
		cleanup_buf struct buf value = BUF_INIT;

		show_value(&setting_rows[i], s, &value);
		(void)fprintf(out, "%-24s %-24s %s\n", setting_rows[i].name, value.size ? buf_str(&value) : "-",
			      setting_place_names[s->sources[i]]);
	}
}

int settings_print_one(const struct settings *s, const char *name, FILE *out, struct error *err)
{
	const struct setting_row *row = setting_find(name);
	cleanup_buf struct buf value = BUF_INIT;

	if (!row)
		return error_set(err, ENOENT, "'%.64s': there is no such setting", name);
	if (row->is_secret)
		return error_set(err, EPERM, "%s is a secret and is not printed", name);
	if (setting_write(row, s, &value) < 0)
		return error_set(err, ENOMEM, "out of memory");
	(void)fprintf(out, "%s\n", buf_str(&value)); /* the caller checks the stream */
	return 0;
}

/* ---- handing on ---- */

char **settings_environment(const struct settings *s)
{
	char **env = calloc(setting_count + 2, sizeof(*env));
	size_t n = 0;

	if (!env)
		return NULL;
	env[n] = strdup(SETTINGS_COMPLETE "=1");
	for (size_t i = 0; env[n] && i < setting_count; i++) {
		cleanup_buf struct buf line = BUF_INIT;

		if (setting_rows[i].offset == AT(admin_key) ||
		    setting_rows[i].is_of_tools) /* of the first, the front knows the hash */
			continue;
		if (buf_printf(&line, "%s=", setting_rows[i].name) == 0 &&
		    setting_write(&setting_rows[i], s, &line) == 0)
			env[++n] = buf_take(&line);
		else
			env[++n] = NULL;
	}
	if (!env[n]) {
		settings_environment_free(env);
		return NULL;
	}
	return env;
}

void settings_environment_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}
