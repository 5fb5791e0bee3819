/* The command line of cubit-sandbox. Adding an option is adding a row. */
#include "tools/sandbox/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/version.h"
#include "runtime/idrange.h"
#include "supervisor/settings.h"

enum kind {
	KIND_FLAG,   /* bool = true */
	KIND_TEXT,   /* const char * */
	KIND_NUMBER, /* uint64_t */
	KIND_BYTES,  /* uint64_t, "64M" */
	KIND_TIME,   /* uint64_t nanoseconds, "250ms" */
	KIND_MILLI,  /* uint64_t thousandths, "1.5" */
	KIND_CHARS,  /* char[]: copied, bounded */
	KIND_LAYER,  /* appended */
	KIND_ENV,    /* appended */
};

struct option {
	const char *name, *argument, *help;
	enum kind kind;
	size_t offset, size;
	uint64_t min, max;
};

#define AT(member) offsetof(struct options, member), sizeof(((struct options *)0)->member)
#define ANY        0, UINT64_MAX

/* clang-format off */
static const struct option table[] = {
	{ "rootfs",      "DIR",   "root file system: a directory, used read-only as a layer; this, --layer or --image is required", KIND_LAYER, 0, 0, ANY },
	{ "layer",       "DIR",   "one more layer above those given before; may be repeated", KIND_LAYER, 0, 0, ANY },
	{ "image",       "NAME",  "an image of the store: its layers, program, environment, working directory and user", KIND_TEXT, AT(image), ANY },
	{ "store",       "DIR",   "where images are kept (default CUBIT_STATE/images)", KIND_TEXT, AT(store), ANY },
	{ "entrypoint",  "PATH",  "instead of the image's entrypoint and command; '' for none", KIND_TEXT, AT(entrypoint), ANY },
	{ "readonly",    NULL,    "no writable disk at all", KIND_FLAG, AT(is_readonly), ANY },
	{ "disk-dir",    "DIR",   "keep what is written on a disk in DIR, of the size --disk (default: memory, lost at the end)", KIND_TEXT, AT(disk_dir), ANY },
	{ "disk",        "BYTES", "bound on what is written (default 64M)", KIND_BYTES, AT(spec.disk.size_bytes), 64 << 10, 1ULL << 50 },
	{ "inodes",      "N",     "bound on files made (default 16384)", KIND_NUMBER, AT(spec.disk.inodes), 16, 1ULL << 32 },
	{ "shm",         "BYTES", "size of /dev/shm (default 16M)", KIND_BYTES, AT(spec.shm_bytes), 4096, 1ULL << 40 },
	{ "memory",      "BYTES", "memory of all processes together (default 256M)", KIND_BYTES, AT(spec.limits.memory_max_bytes), 1 << 20, 1ULL << 50 },
	{ "memory-high", "BYTES", "throttle above this (cgroup v2 only)", KIND_BYTES, AT(spec.limits.memory_high_bytes), 1 << 20, 1ULL << 50 },
	{ "processes",   "N",     "processes and threads together (default 64)", KIND_NUMBER, AT(pids), 1, 1 << 22 },
	{ "cpus",        "N",     "cpu bandwidth, e.g. 0.5 (default 1)", KIND_MILLI, AT(spec.limits.cpu_max_milli), 10, 1024000 },
	{ "cpu-weight",  "N",     "share under contention, 1 to 10000 (default: the kernel's 100)", KIND_NUMBER, AT(spec.limits.cpu_weight), 1, 10000 },
	{ "cpuset",      "LIST",  "only these cpus, e.g. 0-1", KIND_CHARS, AT(spec.limits.cpuset), ANY },
	{ "io-max",      "LINE",  "io.max line, e.g. '8:0 wbps=1048576' (cgroup v2 only)", KIND_CHARS, AT(spec.limits.io_max), ANY },
	{ "wall",        "TIME",  "wall clock limit (default 5s)", KIND_TIME, AT(limits.wall_ns), 1000000, UINT64_MAX / 4 },
	{ "cpu",         "TIME",  "cpu time limit (default 5s)", KIND_TIME, AT(limits.cpu_ns), 1000000, UINT64_MAX / 4 },
	{ "output",      "BYTES", "bound on stdout and on stderr, each (default 1M)", KIND_BYTES, AT(limits.output_bytes), ANY },
	{ "open-files",  "N",     "RLIMIT_NOFILE (default 256)", KIND_NUMBER, AT(open_files), 3, 1 << 20 },
	{ "stack",       "BYTES", "RLIMIT_STACK (default 8M)", KIND_BYTES, AT(stack_bytes), 64 << 10, 1ULL << 40 },
	{ "file-size",   "BYTES", "RLIMIT_FSIZE (default: the disk's bound alone)", KIND_BYTES, AT(file_bytes), ANY },
	{ "policy",      "NAME",  "seccomp profile: a built-in name, or a path with a slash (default: default)", KIND_TEXT, AT(policy), ANY },
	{ "root",        NULL,    "run as uid 0 inside, with Docker's short list of capabilities", KIND_FLAG, AT(is_root), ANY },
	{ "uid",         "N",     "user id inside (default the image's, or 1000)", KIND_NUMBER, AT(uid), 0, 65535 },
	{ "gid",         "N",     "group id inside (default the image's, or 1000)", KIND_NUMBER, AT(gid), 0, 65535 },
	{ "cwd",         "DIR",   "working directory inside (default the image's, or /work)", KIND_TEXT, AT(cwd), ANY },
	{ "env",         "K=V",   "one environment variable; may be repeated (default: PATH, HOME, LANG; the image's stay)", KIND_ENV, 0, 0, ANY },
	{ "hostname",    "NAME",  "host name inside (default sandbox)", KIND_TEXT, AT(spec.hostname), ANY },
	{ "stdin",       "FILE",  "standard input from a file; - is ours (default: none)", KIND_TEXT, AT(input), ANY },
	{ "hold-stdin",  NULL,    "never close standard input", KIND_FLAG, AT(hold_stdin), ANY },
	{ "live",        NULL,    "pass output through as it comes; the verdict goes to --verdict", KIND_FLAG, AT(is_live), ANY },
	{ "verdict",     "FILE",  "where the JSON goes (default: stdout; with --live: stderr)", KIND_TEXT, AT(verdict_path), ANY },
	{ "report",      NULL,    "add what the kernel says of a process inside, read from its own /proc", KIND_FLAG, AT(is_probe), ANY },
	{ "core-sched",  NULL,    "share no CPU core with others at the same time", KIND_FLAG, AT(spec.core_sched), ANY },
	{ "outlive",     NULL,    "in the group of cubit-cubes.service, which the end of cubitd.service leaves alone", KIND_FLAG, AT(spec.outlive), ANY },
	{ "allow-speculation", NULL, "leave speculation mitigations as the host has them", KIND_FLAG, AT(spec.allow_speculation), ANY },
	{ "pooled-net",  NULL,    "take the network namespace from a pool made before", KIND_FLAG, AT(is_net_pooled), ANY },
	{ "repeat",      "N",     "do it N times and print a line of timings for each (microseconds)", KIND_NUMBER, AT(repeat), 1, 1000000 },
	{ "id",          "ID",    "name of the sandbox (default: random)", KIND_TEXT, AT(id), ANY },
	{ "run-dir",     "DIR",   "where claims are kept (default CUBIT_RUN or /run/cubit)", KIND_TEXT, AT(run_dir), ANY },
	{ "id-base",     "N",     "first id of the id ranges, a multiple of 65536 (default CUBIT_ID_BASE or 0x70000000)", KIND_NUMBER, AT(id_base), IDRANGE_SIZE, UINT32_MAX },
	{ "id-count",    "N",     "number of id ranges (default CUBIT_ID_COUNT or 4096)", KIND_NUMBER, AT(id_count), 1, 65535 },
	{ "fault",       "STAGE", "fail at this stage on purpose (tests); 'list' prints them", KIND_TEXT, AT(fault), ANY },
};
/* clang-format on */

enum { DEFAULT_ID = 1000 };
enum { N_OPTIONS = sizeof(table) / sizeof(table[0]), HELP_COLUMN = 26 };

static void print_help(void)
{
	printf("usage: cubit-sandbox --rootfs DIR [OPTION...] -- PROGRAM [ARGUMENT...]\n"
	       "       cubit-sandbox --image NAME [OPTION...] [-- ARGUMENT...]\n\n"
	       "Run one program in a sandbox of its own and print the verdict as JSON.\n\n");
	for (size_t i = 0; i < N_OPTIONS; i++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s %s", table[i].name,
			       table[i].argument ? table[i].argument : "");
		printf("  %-*s %s\n", HELP_COLUMN, left, table[i].help);
	}
	printf("  %-*s %s\n  %-*s %s\n\n", HELP_COLUMN, "--help", "this text", HELP_COLUMN, "--version", "the version");
	printf("Exit status: 0 verdict ok; 1 another verdict; 2 bad usage; 3 the host or Cubit failed.\n"
	       "CUBIT_ALLOW_UNENFORCED=1: go on when a limit cannot be enforced on this host.\n");
}

static const struct option *find(const char *name, size_t size)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (strlen(table[i].name) == size && strncmp(table[i].name, name, size) == 0)
			return &table[i];
	}
	return NULL;
}

static int set_chars(const struct option *o, char *target, const char *value, struct error *err)
{
	if (strlen(value) >= o->size)
		return error_set(err, EINVAL, "'%.40s...' is longer than %zu bytes", value, o->size - 1);
	memcpy(target, value, strlen(value) + 1);
	return 0;
}

static int append_env(struct options *ret, const char *value, struct error *err)
{
	const char *equals = strchr(value, '=');

	if (!equals || equals == value)
		return error_set(err, EINVAL, "'%s' is not NAME=VALUE", value);
	if (ret->n_env == OPTION_ENV_MAX)
		return error_set(err, EINVAL, "more than %d variables", OPTION_ENV_MAX);
	ret->env[ret->n_env++] = value;
	return 0;
}

static int append_layer(struct options *ret, const char *value, struct error *err)
{
	if (ret->n_layers == OPTION_LAYERS_MAX)
		return error_set(err, EINVAL, "more than %d layers", OPTION_LAYERS_MAX);
	/* the command line names the lowest first, overlay wants the top first */
	memmove(ret->layers + 1, ret->layers, ret->n_layers * sizeof(ret->layers[0]));
	ret->layers[0] = value;
	ret->n_layers++;
	return 0;
}

static int set_value(struct options *ret, const struct option *o, const char *value, struct error *err)
{
	void *target = (char *)ret + o->offset;

	switch (o->kind) {
	case KIND_FLAG:
		*(bool *)target = true;
		return 0;
	case KIND_TEXT:
		*(const char **)target = value;
		return 0;
	case KIND_NUMBER:
		return parse_u64(value, o->min, o->max, target, err);
	case KIND_BYTES:
		return parse_bytes(value, o->min, o->max, target, err);
	case KIND_TIME:
		return parse_duration_ns(value, o->min, o->max, target, err);
	case KIND_MILLI:
		return parse_milli(value, o->min, o->max, target, err);
	case KIND_CHARS:
		return set_chars(o, target, value, err);
	case KIND_LAYER:
		return append_layer(ret, value, err);
	case KIND_ENV:
		return append_env(ret, value, err);
	}
	return error_set(err, EINVAL, "no such kind of option");
}

static void set_defaults(struct options *o)
{
	*o = (struct options){
		.policy = "default",
		.run_dir = settings_used()->run_dir,
		.open_files = 256,
		.stack_bytes = 8 << 20,
		.uid = OPTION_UNSET,
		.gid = OPTION_UNSET,
		.repeat = 1,
		.pids = 64,
		.limits = { .wall_ns = 5000000000, .cpu_ns = 5000000000, .output_bytes = 1 << 20 },
	};
	sandbox_spec_defaults(&o->spec);
}

static void default_env(struct options *o)
{
	static const char *const common[] = { OPTION_PATH, OPTION_LANG };

	memcpy(o->env, common, sizeof(common));
	o->n_env = sizeof(common) / sizeof(common[0]);
	o->env[o->n_env++] = o->is_root ? "HOME=/root" : "HOME=/work";
}

/* What follows from several options together. */
static int finish(struct options *o, struct error *err)
{
	if (!o->id_base)
		o->id_base = settings_used()->id_base;
	if (!o->id_count)
		o->id_count = settings_used()->id_count;
	if (o->fault && strcmp(o->fault, "list") == 0)
		return 0;
	if (o->n_layers == 0 && !o->image)
		return error_set(err, EINVAL, "--rootfs, --layer or --image is missing");
	if (o->n_layers > 0 && o->image)
		return error_set(err, EINVAL, "--image excludes --rootfs and --layer");
	if (!o->image && (o->store || o->entrypoint))
		return error_set(err, EINVAL, "%s has no meaning without --image",
				 o->store ? "--store" : "--entrypoint");
	if (!o->argv[0] && !o->image)
		return error_set(err, EINVAL, "the program is missing: put it after --");
	if (o->is_readonly && o->disk_dir)
		return error_set(err, EINVAL, "--readonly and --disk-dir exclude each other");
	if (o->disk_dir && o->repeat > 1)
		return error_set(err, EINVAL, "--disk-dir and --repeat exclude each other");
	if (o->is_root) {
		o->spec.allow_root = true;
		o->spec.caps = SANDBOX_CAPS_ROOT;
		o->uid = o->gid = 0;
	}
	if (o->n_env == 0 && !o->image)
		default_env(o);
	o->run_env = o->env;
	o->spec.limits.pids_max = o->pids + 1; /* our pid 1 is one of them */
	if (o->is_readonly) {
		o->spec.disk.kind = ROOTFS_READONLY;
		o->spec.disk.size_bytes = 1 << 20; /* the skeleton */
	}
	return 0;
}

void options_complete(struct options *o)
{
	o->spec.uid = o->uid == OPTION_UNSET ? DEFAULT_ID : (uint32_t)o->uid;
	o->spec.gid = o->gid == OPTION_UNSET ? DEFAULT_ID : (uint32_t)o->gid;
	if (!o->cwd)
		o->cwd = "/work";
}

int options_parse(int argc, char **argv, struct options *ret, struct error *err)
{
	int i = 1;

	set_defaults(ret);
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		const char *name = argv[i] + 2, *equals = strchr(name, '='), *value = NULL;
		const struct option *o;
		int r;

		if (!*name) {
			i++;
			break;
		}
		if (strcmp(name, "help") == 0) {
			print_help();
			return 1;
		}
		if (strcmp(name, "version") == 0) {
			printf("cubit-sandbox %s\n", CUBIT_VERSION);
			return 1;
		}
		o = find(name, equals ? (size_t)(equals - name) : strlen(name));
		if (!o)
			return error_set(err, EINVAL, "unknown option '%s'", argv[i]);
		if (o->kind == KIND_FLAG && equals)
			return error_set(err, EINVAL, "--%s takes no value", o->name);
		if (o->kind != KIND_FLAG) {
			value = equals ? equals + 1 : ++i < argc ? argv[i] : NULL;
			if (!value)
				return error_set(err, EINVAL, "--%s needs a value: %s", o->name, o->argument);
		}
		r = set_value(ret, o, value, err);
		if (r < 0) {
			(void)error_wrap(err, "--%s", o->name);
			return r;
		}
	}
	ret->argv = (const char *const *)(argv + i);
	return finish(ret, err);
}
