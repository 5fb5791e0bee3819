/* Reads a language definition: see runtime_def.h. Each JSON object is a table of fields. */
#include "images/languages/runtime_def.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_argv.h"
#include "images/ref.h"
#include "runtime/base/error.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"

enum { ARG_MAX_BYTES = 4096, SOURCE_MAX_BYTES = 64 << 10, TITLE_MAX_BYTES = 80, MS_MAX = 86400000 };

/* ---- strings ---- */

/* One line: no control characters. */
static int check_line(struct json_reader *r, const json_t *value, size_t max)
{
	const char *text = json_string_value(value);

	if (json_string_length(value) == 0)
		return json_refuse(r, "is empty");
	if (json_string_length(value) > max)
		return json_refuse(r, "longer than %zu bytes", max);
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return json_refuse(r, "has a control character in it");
	}
	return 0;
}

static int keep(struct json_reader *r, const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? 0 : json_no_memory(r);
}

static int read_title(struct json_reader *r, json_t *value, void *target)
{
	int e = check_line(r, value, TITLE_MAX_BYTES);

	return e < 0 ? e : keep(r, json_string_value(value), target);
}

static int check_word(struct json_reader *r, const json_t *value, const char *extra)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *text = json_string_value(value);

	if (json_string_length(value) > RUNTIME_NAME_MAX)
		return json_refuse(r, "longer than %d bytes", RUNTIME_NAME_MAX);
	if (!*text || !strchr(plain, *text))
		return json_refuse(r, "'%.40s' does not start with a lower-case letter or a digit", text);
	for (const char *p = text; *p; p++) {
		if (!strchr(plain, *p) && !strchr(extra, *p))
			return json_refuse(r, "'%.40s' has something else than a-z 0-9 %s in it", text, extra);
	}
	return 0;
}

static int read_name(struct json_reader *r, json_t *value, void *target)
{
	int e = check_word(r, value, "-_.");

	return e < 0 ? e : keep(r, json_string_value(value), target);
}

static int read_file(struct json_reader *r, json_t *value, void *target)
{
	const char *text = json_string_value(value);

	if (parse_id(text, NULL) < 0) /* which cannot form a path, nor look like an option */
		return json_refuse(r, "'%.40s' is not a plain file name", text);
	return keep(r, text, target);
}

static int read_image(struct json_reader *r, json_t *value, void *target)
{
	struct error why = ERROR_INIT;
	struct image_ref ref;
	char full[REF_TEXT_BYTES];

	if (image_ref_parse(json_string_value(value), &ref, &why) < 0)
		return json_refuse(r, "%s", why.text);
	image_ref_store_name(&ref, full);
	return keep(r, full, target);
}

/* A program, or what it prints. */
static int read_source(struct json_reader *r, json_t *value, void *target)
{
	if (json_string_length(value) == 0)
		return json_refuse(r, "is empty");
	if (json_string_length(value) > SOURCE_MAX_BYTES)
		return json_refuse(r, "longer than %d bytes", SOURCE_MAX_BYTES);
	return keep(r, json_string_value(value), target);
}

/* ---- lists of strings ---- */

static int read_alias(struct json_reader *r, json_t *item, char **ret)
{
	int e = check_word(r, item, "-_.+#");

	return e < 0 ? e : keep(r, json_string_value(item), ret);
}

static int read_aliases(struct json_reader *r, json_t *value, void *target)
{
	return json_read_strings(r, value, RUNTIME_ALIASES_MAX, read_alias, target);
}

static int read_ending(struct json_reader *r, json_t *item, char **ret)
{
	const char *text = json_string_value(item);

	if (text[0] != '.' || !text[1] || strchr(text, '/') || strlen(text) > RUNTIME_NAME_MAX)
		return json_refuse(r, "'%.40s' is no ending such as \".c\"", text);
	return keep(r, text, ret);
}

static int read_sources(struct json_reader *r, json_t *value, void *target)
{
	return json_read_strings(r, value, RUNTIME_SOURCES_MAX, read_ending, target);
}

static int read_argument(struct json_reader *r, json_t *item, char **ret)
{
	if (json_string_length(item) > ARG_MAX_BYTES)
		return json_refuse(r, "longer than %d bytes", ARG_MAX_BYTES);
	return keep(r, json_string_value(item), ret);
}

static int read_argv(struct json_reader *r, json_t *value, void *target)
{
	char ***argv = target;
	int e = json_read_strings(r, value, RUNTIME_ARGV_MAX, read_argument, argv);

	if (e == 0 && (!(*argv)[0] || !(*argv)[0][0]))
		return json_refuse(r, "names no program");
	return e;
}

static int read_env(struct json_reader *r, json_t *value, void *target)
{
	char ***env = target;
	const char *key;
	json_t *item;
	size_t n = 0;

	if (json_object_size(value) > RUNTIME_ENV_MAX)
		return json_refuse(r, "%zu of them, more than %d", json_object_size(value), RUNTIME_ENV_MAX);
	*env = calloc(json_object_size(value) + 1, sizeof(**env));
	if (!*env)
		return json_no_memory(r);
	json_object_foreach(value, key, item)
	{
		size_t before = json_enter(r, ".%.80s", key);
		int e = json_expect(r, item, JSON_STRING);

		if (e < 0)
			return e;
		if (!*key || strchr(key, '='))
			return json_refuse(r, "is not the name of a variable");
		if (strlen(key) + json_string_length(item) > ARG_MAX_BYTES)
			return json_refuse(r, "longer than %d bytes", ARG_MAX_BYTES);
		if (asprintf(&(*env)[n], "%s=%s", key, json_string_value(item)) < 0) {
			(*env)[n] = NULL;
			return json_no_memory(r);
		}
		n++;
		json_leave(r, before);
	}
	return 0;
}

/* ---- limits ---- */

static int read_integer(struct json_reader *r, const json_t *value, uint64_t min, uint64_t max, uint64_t *ret)
{
	json_int_t n = json_integer_value(value);

	if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return json_refuse(r, "%" JSON_INTEGER_FORMAT " is not between %" PRIu64 " and %" PRIu64, n, min, max);
	*ret = (uint64_t)n;
	return 0;
}

static int read_ms(struct json_reader *r, json_t *value, void *target)
{
	return read_integer(r, value, 1, MS_MAX, target);
}

static int read_count(struct json_reader *r, json_t *value, void *target)
{
	return read_integer(r, value, 1, 1 << 20, target);
}

static int read_bytes(struct json_reader *r, json_t *value, void *target)
{
	const uint64_t min = 4096, max = UINT64_C(1) << 50;
	struct error why = ERROR_INIT;

	if (json_is_integer(value))
		return read_integer(r, value, min, max, target);
	if (!json_is_string(value))
		return json_refuse(r, "must be bytes, such as 1048576 or \"256M\", is %s",
				   json_kind(json_typeof(value)));
	return parse_bytes(json_string_value(value), min, max, target, &why) < 0 ? json_refuse(r, "%s", why.text) : 0;
}

static int read_cpus(struct json_reader *r, json_t *value, void *target)
{
	const uint64_t min = 10, max = 1024000;
	struct error why = ERROR_INIT;
	char number[32];
	const char *text = json_string_value(value);

	if (json_is_number(value)) {
		(void)snprintf(number, sizeof(number), "%.3f", json_number_value(value)); /* too long is out of range */
		text = number;
	}
	if (!text)
		return json_refuse(r, "must be a number of cpus, such as 1.5, is %s", json_kind(json_typeof(value)));
	return parse_milli(text, min, max, target, &why) < 0 ? json_refuse(r, "%s", why.text) : 0;
}

#define LIMIT(member) offsetof(struct runtime_limits, member)
#define STAGE(member) offsetof(struct runtime_stage, member)
#define TEST(member)  offsetof(struct runtime_test, member)
#define DEF(member)   offsetof(struct runtime_def, member)

/* clang-format off */
static const struct json_row limit_fields[] = {
	{ "wall_ms",    JSON_INTEGER, false, read_ms,    LIMIT(wall_ms) },
	{ "cpu_ms",     JSON_INTEGER, false, read_ms,    LIMIT(cpu_ms) },
	{ "memory",     JSON_NULL,    false, read_bytes, LIMIT(memory_bytes) },
	{ "disk",       JSON_NULL,    false, read_bytes, LIMIT(disk_bytes) },
	{ "output",     JSON_NULL,    false, read_bytes, LIMIT(output_bytes) },
	{ "stack",      JSON_NULL,    false, read_bytes, LIMIT(stack_bytes) },
	{ "file_size",  JSON_NULL,    false, read_bytes, LIMIT(file_bytes) },
	{ "processes",  JSON_INTEGER, false, read_count, LIMIT(processes) },
	{ "open_files", JSON_INTEGER, false, read_count, LIMIT(open_files) },
	{ "cpus",       JSON_NULL,    false, read_cpus,  LIMIT(cpus_milli) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int read_limits(struct json_reader *r, json_t *value, void *target)
{
	return json_read_object(r, value, limit_fields, target);
}

static const struct json_row stage_fields[] = {
	{ "argv",   JSON_ARRAY,  true,  read_argv,   STAGE(argv) },
	{ "env",    JSON_OBJECT, false, read_env,    STAGE(env) },
	{ "limits", JSON_OBJECT, false, read_limits, STAGE(limits) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static const struct json_row prestart_fields[] = {
	{ "argv", JSON_ARRAY,  true,  read_argv, STAGE(argv) },
	{ "env",  JSON_OBJECT, false, read_env,  STAGE(env) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static const struct json_row live_fields[] = {
	{ "env",  JSON_OBJECT, true,  read_env,  STAGE(env) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static const struct json_row test_fields[] = {
	{ "hello",   JSON_STRING, true,  read_source, TEST(hello) },
	{ "stdout",  JSON_STRING, true,  read_source, TEST(stdout_text) },
	{ "endless", JSON_STRING, true,  read_source, TEST(endless) },
	{ "hog",     JSON_STRING, true,  read_source, TEST(hog) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int read_stage(struct json_reader *r, json_t *value, void *target)
{
	return json_read_object(r, value, stage_fields, target);
}

static int read_prestart(struct json_reader *r, json_t *value, void *target)
{
	return json_read_object(r, value, prestart_fields, target);
}

static int read_live(struct json_reader *r, json_t *value, void *target)
{
	return json_read_object(r, value, live_fields, target);
}

static int read_test(struct json_reader *r, json_t *value, void *target)
{
	return json_read_object(r, value, test_fields, target);
}

static const struct json_row def_fields[] = {
	{ "name",            JSON_STRING, true,  read_name,     DEF(name) },
	{ "title",           JSON_STRING, false, read_title,    DEF(title) },
	{ "aliases",         JSON_ARRAY,  false, read_aliases,  DEF(aliases) },
	{ "image",           JSON_STRING, true,  read_image,    DEF(image) },
	{ "file",            JSON_STRING, true,  read_file,     DEF(file) },
	{ "sources",         JSON_ARRAY,  false, read_sources,  DEF(sources) },
	{ "version_command", JSON_ARRAY,  true,  read_argv,     DEF(version_command) },
	{ "compile",         JSON_OBJECT, false, read_stage,    DEF(compile) },
	{ "run",             JSON_OBJECT, true,  read_stage,    DEF(run) },
	{ "prestart",        JSON_OBJECT, false, read_prestart, DEF(prestart) },
	{ "live",            JSON_OBJECT, false, read_live,     DEF(live) },
	{ "test",            JSON_OBJECT, true,  read_test,     DEF(test) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};
/* clang-format on */

/* ---- whole definitions ---- */

int runtime_def_parse(const char *text, size_t size, const char *origin, struct runtime_def **ret, struct error *err)
{
	struct error why = ERROR_INIT;
	struct json_reader r = { .origin = origin, .err = err ? err : &why, .max_bytes = RUNTIME_TEXT_MAX };
	struct runtime_def *def;
	json_t *document = NULL;
	int e;

	def = calloc(1, sizeof(*def));
	if (!def)
		return json_no_memory(&r);
	e = json_read_text(&r, text, size, &document);
	if (e == 0)
		e = json_read_object(&r, document, def_fields, def);
	if (e == 0)
		e = runtime_argv_check(&r, def);
	if (e == 0) {
		def->origin = strdup(origin);
		def->text = strndup(text, size);
		if (!def->title)
			def->title = strdup(def->name);
		e = def->origin && def->text && def->title ? 0 : json_no_memory(&r);
	}
	json_decref(document);
	if (e == 0)
		*ret = def;
	else
		runtime_def_free(def);
	return e;
}

static void stage_done(struct runtime_stage *s)
{
	runtime_argv_free(s->argv);
	runtime_argv_free(s->env);
}

void runtime_def_free(struct runtime_def *d)
{
	if (!d)
		return;
	stage_done(&d->compile);
	stage_done(&d->run);
	stage_done(&d->prestart);
	stage_done(&d->live);
	runtime_argv_free(d->aliases);
	runtime_argv_free(d->sources);
	runtime_argv_free(d->version_command);
	free(d->test.hello);
	free(d->test.stdout_text);
	free(d->test.endless);
	free(d->test.hog);
	free(d->origin);
	free(d->text);
	free(d->name);
	free(d->title);
	free(d->image);
	free(d->file);
	free(d);
}
