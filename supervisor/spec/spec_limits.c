/* Limits of a job: one table of names, units, floors, ceilings and where values come from. See spec.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/json_table.h"
#include "runtime/base/parse.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec_impl.h"

enum unit { UNIT_MS, UNIT_BYTES, UNIT_COUNT, UNIT_CPUS };

/* What a job gets when neither the request nor its runtime says so; 0: a setting, or another limit. */
enum {
	DEFAULT_PROCESSES = 64,
	DEFAULT_OPEN_FILES = 256,
	DEFAULT_OUTPUT = 1 << 20,
	DEFAULT_DISK = 64 << 20,
	COMPILE_WALL_MS = 10000,
};

/*
 * Floors are what a process of any kind needs to start at all: with less, the refusal would come out of a sandbox and
 * look like a fault of ours. scale: from the unit of the setting and of struct job_limits to that of the request.
 */
struct limit_row {
	const char *key;
	enum unit unit;
	uint64_t floor, scale;
	size_t setting;       /* its ceiling in struct settings */
	const char *ceiling;  /* and the name of that setting */
	size_t of_key;        /* the same in struct job_ceilings; NO_KEY: no key has one */
	size_t in_definition; /* in struct runtime_limits */
};

#define SETTING(member) offsetof(struct settings, member)
#define KEY(member)     offsetof(struct job_ceilings, member)
#define DEF(member)     offsetof(struct runtime_limits, member)
#define NO_KEY          SIZE_MAX

/* clang-format off */
static const struct limit_row rows[LIMITS] = {
	[LIMIT_CPU]        = { "cpu_ms",     UNIT_MS,    1,         NS_PER_MS, SETTING(max_wall_ns),    "CUBIT_MAX_WALL",       KEY(wall_ns),      DEF(cpu_ms) },
	[LIMIT_WALL]       = { "wall_ms",    UNIT_MS,    1,         NS_PER_MS, SETTING(max_wall_ns),    "CUBIT_MAX_WALL",       KEY(wall_ns),      DEF(wall_ms) },
	[LIMIT_MEMORY]     = { "memory",     UNIT_BYTES, 1 << 20,   1,         SETTING(max_memory),     "CUBIT_MAX_MEMORY",     KEY(memory_bytes), DEF(memory_bytes) },
	[LIMIT_OUTPUT]     = { "output",     UNIT_BYTES, 1,         1,         SETTING(max_output),     "CUBIT_MAX_OUTPUT",     KEY(output_bytes), DEF(output_bytes) },
	[LIMIT_DISK]       = { "disk",       UNIT_BYTES, 64 << 10,  1,         SETTING(max_disk),       "CUBIT_MAX_DISK",       KEY(disk_bytes),   DEF(disk_bytes) },
	[LIMIT_PROCESSES]  = { "processes",  UNIT_COUNT, 1,         1,         SETTING(max_processes),  "CUBIT_MAX_PROCESSES",  KEY(processes),    DEF(processes) },
	[LIMIT_OPEN_FILES] = { "open_files", UNIT_COUNT, 8,         1,         SETTING(max_open_files), "CUBIT_MAX_OPEN_FILES", NO_KEY,            DEF(open_files) },
	[LIMIT_CPUS]       = { "cpus",       UNIT_CPUS,  10,        1,         SETTING(max_cpus_milli), "CUBIT_MAX_CPUS",       NO_KEY,            DEF(cpus_milli) },
	[LIMIT_STACK]      = { "stack",      UNIT_BYTES, 64 << 10,  1,         SETTING(max_memory),     "CUBIT_MAX_MEMORY",     KEY(memory_bytes), DEF(stack_bytes) },
	[LIMIT_FILE]       = { "file_size",  UNIT_BYTES, 1,         1,         SETTING(max_disk),       "CUBIT_MAX_DISK",       KEY(disk_bytes),   DEF(file_bytes) },
};
/* clang-format on */

/* What holds, and whose word it is: a setting, or the key's when that is lower. */
struct ceiling {
	uint64_t most;
	bool is_of_key;
};

static struct ceiling ceiling_of(const struct limit_row *row, const struct job_context *context)
{
	const struct job_ceilings *k = row->of_key == NO_KEY ? NULL : context->of_key;
	uint64_t most = *(const uint64_t *)((const char *)context->settings + row->setting);
	uint64_t of_key = k ? *(const uint64_t *)((const char *)k + row->of_key) : 0;
	struct ceiling c = { .is_of_key = of_key && of_key < most };

	c.most = (c.is_of_key ? of_key : most) / row->scale;
	c.most = c.most > row->floor ? c.most : row->floor;
	return c;
}

/* ---- reading ---- */

/* As people write it: cpus are thousandths here and a number with a fraction there. */
static void show(const struct limit_row *row, uint64_t value, char ret[32])
{
	if (row->unit == UNIT_CPUS)
		(void)snprintf(ret, 32, "%.15g", (double)value / 1000);
	else
		(void)snprintf(ret, 32, "%" PRIu64, value);
}

static int check(struct json_reader *r, const struct limit_row *row, uint64_t value, const struct job_context *context)
{
	struct ceiling ceiling = ceiling_of(row, context);
	char is[32], bound[32];

	show(row, value, is);
	show(row, value < row->floor ? row->floor : ceiling.most, bound);
	if (value < row->floor)
		return json_refuse(r, "%s is below the minimum of %s", is, bound);
	if (value > ceiling.most && ceiling.is_of_key)
		return spec_refuse_as(r, ERANGE, "%s is above the ceiling of %s of this key", is, bound);
	if (value > ceiling.most)
		return spec_refuse_as(r, ERANGE, "%s is above the ceiling of %s (%s)", is, bound, row->ceiling);
	return 0;
}

static int read_whole(struct json_reader *r, const json_t *value, uint64_t *ret)
{
	int e = json_expect(r, value, JSON_INTEGER);

	if (e < 0)
		return e;
	if (json_integer_value(value) < 0)
		return json_refuse(r, "%" JSON_INTEGER_FORMAT " is below 0", json_integer_value(value));
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_size(struct json_reader *r, const json_t *value, uint64_t *ret)
{
	struct error why = ERROR_INIT;

	if (json_is_integer(value))
		return read_whole(r, value, ret);
	if (!json_is_string(value))
		return json_refuse(r, "must be bytes, such as 1048576 or \"64M\", is %s",
				   json_kind(json_typeof(value)));
	return parse_bytes(json_string_value(value), 0, UINT64_MAX, ret, &why) < 0 ? json_refuse(r, "%s", why.text) : 0;
}

static int read_milli(struct json_reader *r, const json_t *value, uint64_t *ret)
{
	double v = json_number_value(value);

	if (!json_is_number(value))
		return json_refuse(r, "must be a number of cpus, such as 0.5, is %s", json_kind(json_typeof(value)));
	if (v < 0 || v > 1e6)
		return json_refuse(r, "%.15g is not a number of cpus", v);
	*ret = (uint64_t)(v * 1000 + 0.5);
	return 0;
}

static int read_limit(struct json_reader *r, const struct limit_row *row, const json_t *value,
		      const struct job_context *context, uint64_t *ret)
{
	static int (*const readers[])(struct json_reader *, const json_t *, uint64_t *) = {
		[UNIT_MS] = read_whole,
		[UNIT_BYTES] = read_size,
		[UNIT_COUNT] = read_whole,
		[UNIT_CPUS] = read_milli,
	};
	uint64_t v = 0;
	int e = readers[row->unit](r, value, &v);

	if (e == 0)
		e = check(r, row, v, context);
	if (e == 0)
		*ret = v;
	return e;
}

static int row_of(const char *key)
{
	for (int i = 0; i < LIMITS; i++) {
		if (strcmp(rows[i].key, key) == 0)
			return i;
	}
	return -1;
}

int spec_read_limits(struct json_reader *r, json_t *object, const struct job_context *context, struct limit_values *ret)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t before = json_enter(r, ".%.80s", key);
		int i = row_of(key), e = 0;

		if (i < 0)
			return json_refuse(r, "unknown field");
		if (!json_is_null(value))
			e = read_limit(r, &rows[i], value, context, &ret->of[i]);
		if (e < 0)
			return e;
		json_leave(r, before);
	}
	return 0;
}

/* ---- filling in ---- */

/* What nobody asked for is not refused when it is above a ceiling, but lowered to it: the operator's last word. */
static uint64_t within(const struct limit_row *row, uint64_t value, const struct job_context *context)
{
	uint64_t ceiling = ceiling_of(row, context).most;

	if (value < row->floor)
		return row->floor;
	return value < ceiling ? value : ceiling;
}

/*
 * Request, else runtime definition, else default. Without a word on it the time on a cpu is as long as the wall time,
 * and the stack as large as the memory, as judges have it: a recursion ends where the memory does.
 */
static struct limit_values fill(struct limit_values v, const struct runtime_limits *def,
				const struct limit_values *defaults, const struct job_context *context)
{
	for (int i = 0; i < LIMITS; i++) {
		uint64_t value = *(const uint64_t *)((const char *)def + rows[i].in_definition);

		if (v.of[i])
			continue;
		v.of[i] = value ? value : defaults->of[i];
		if (v.of[i])
			v.of[i] = within(&rows[i], v.of[i], context);
	}
	if (!v.of[LIMIT_CPU])
		v.of[LIMIT_CPU] = v.of[LIMIT_WALL];
	if (!v.of[LIMIT_STACK])
		v.of[LIMIT_STACK] = within(&rows[LIMIT_STACK], v.of[LIMIT_MEMORY], context);
	return v;
}

static void store(const struct limit_values *v, struct job_limits *ret)
{
	*ret = (struct job_limits){
		.cpu_ns = v->of[LIMIT_CPU] * NS_PER_MS,
		.wall_ns = v->of[LIMIT_WALL] * NS_PER_MS,
		.memory_bytes = v->of[LIMIT_MEMORY],
		.output_bytes = v->of[LIMIT_OUTPUT],
		.disk_bytes = v->of[LIMIT_DISK],
		.stack_bytes = v->of[LIMIT_STACK],
		.file_bytes = v->of[LIMIT_FILE],
		.processes = (uint32_t)v->of[LIMIT_PROCESSES],
		.open_files = (uint32_t)v->of[LIMIT_OPEN_FILES],
		.cpus_milli = (uint32_t)v->of[LIMIT_CPUS],
	};
}

static struct limit_values defaults_of(const struct settings *settings)
{
	return (struct limit_values){ .of = {
					      [LIMIT_WALL] = settings->run_timeout_ns / NS_PER_MS,
					      [LIMIT_MEMORY] = settings->memory_bytes,
					      [LIMIT_OUTPUT] = DEFAULT_OUTPUT,
					      [LIMIT_DISK] = DEFAULT_DISK,
					      [LIMIT_PROCESSES] = DEFAULT_PROCESSES,
					      [LIMIT_OPEN_FILES] = DEFAULT_OPEN_FILES,
					      [LIMIT_CPUS] = settings->cpus_milli,
				      } };
}

void spec_fill_limits(struct spec_reader *in, const struct runtime_def *def)
{
	struct limit_values defaults = defaults_of(in->context->settings), run, compile;

	run = fill(in->limits, &def->run.limits, &defaults, in->context);
	defaults.of[LIMIT_WALL] = COMPILE_WALL_MS;
	compile = fill(in->compile_limits, &def->compile.limits, &defaults, in->context);
	store(&run, &in->spec->limits);
	store(&compile, &in->spec->compile_limits);
}

void spec_fill_case_limits(const struct spec_reader *in, const struct runtime_def *def, const struct limit_values *own,
			   struct job_limits *ret)
{
	const struct limit_values defaults = defaults_of(in->context->settings);
	struct limit_values v = *own;

	for (int i = 0; i < LIMITS; i++) {
		if (!v.of[i])
			v.of[i] = in->limits.of[i];
	}
	v = fill(v, &def->run.limits, &defaults, in->context);
	store(&v, ret);
}

/* ---- writing ---- */

/* In the units of the request. */
static struct limit_values values_of(const struct job_limits *l)
{
	return (struct limit_values){ .of = {
					      [LIMIT_CPU] = l->cpu_ns / NS_PER_MS,
					      [LIMIT_WALL] = l->wall_ns / NS_PER_MS,
					      [LIMIT_MEMORY] = l->memory_bytes,
					      [LIMIT_OUTPUT] = l->output_bytes,
					      [LIMIT_DISK] = l->disk_bytes,
					      [LIMIT_PROCESSES] = l->processes,
					      [LIMIT_OPEN_FILES] = l->open_files,
					      [LIMIT_CPUS] = l->cpus_milli,
					      [LIMIT_STACK] = l->stack_bytes,
					      [LIMIT_FILE] = l->file_bytes,
				      } };
}

bool spec_limits_equal(const struct job_limits *a, const struct job_limits *b)
{
	const struct limit_values left = values_of(a), right = values_of(b);

	return memcmp(&left, &right, sizeof(left)) == 0;
}

json_t *spec_limits_json(const struct job_limits *l)
{
	const struct limit_values values = values_of(l);
	cleanup_json json_t *o = json_object();

	for (int i = 0; o && i < LIMITS; i++) {
		bool is_whole = rows[i].unit != UNIT_CPUS || values.of[i] % 1000 == 0;
		uint64_t whole = rows[i].unit == UNIT_CPUS ? values.of[i] / 1000 : values.of[i];

		if (!values.of[i]) /* none */
			continue;
		if (json_object_set_new(o, rows[i].key,
					is_whole ? json_integer((json_int_t)whole)
						 : json_real((double)values.of[i] / 1000)) < 0)
			return NULL;
	}
	return json_incref(o);
}
