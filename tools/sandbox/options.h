/* The command line of cubit-sandbox: one table of options, see options.c. Runs in: cubit-sandbox. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/run.h"
#include "runtime/sandbox.h"

struct error;

enum { OPTION_LAYERS_MAX = 64, OPTION_ENV_MAX = 256 };
#define OPTION_UNSET UINT64_MAX /* of uid and gid: not given */
#define OPTION_PATH  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OPTION_LANG  "LANG=C.UTF-8"

struct options {
	const char *layers[OPTION_LAYERS_MAX]; /* top first */
	size_t n_layers;
	const char *image;      /* instead of layers: image.h completes what follows from it */
	const char *store;      /* where images are kept; NULL: as CUBIT_STATE says */
	const char *entrypoint; /* instead of the image's; "": none; NULL: the image's */
	const char *disk_dir;
	bool is_readonly;
	const char *policy;
	const char *id;
	const char *run_dir;
	const char *cwd; /* NULL: not given */
	const char *env[OPTION_ENV_MAX + 1];
	size_t n_env;
	const char *const *run_env; /* env, or with the image's and ours below it */
	const char *input;          /* "-": our own standard input; NULL: none */
	uint64_t open_files, stack_bytes, file_bytes;
	uint64_t id_base, id_count;
	uint64_t uid, gid;
	uint64_t repeat;
	uint64_t pids;
	bool is_root;
	bool is_live; /* output as it comes; the verdict to --verdict */
	bool hold_stdin;
	bool is_probe;      /* --report: what the kernel says of a process inside */
	bool is_net_pooled; /* --pooled-net */
	const char *verdict_path;
	const char *fault;
	struct run_limits limits;
	struct sandbox_spec spec; /* limits, disk and flags are parsed straight into it */
	const char *const *argv;  /* the program and its arguments */
};

/*
 * Parse. With an image, argv may be empty, and options_complete() is for when the image is open. Returns 0; 1 when --help or --version was printed; -EINVAL with err naming the option.
 * Strings are borrowed from argv and the environment.
 */
int options_parse(int argc, char **argv, struct options *ret, struct error *err);

/* Defaults of what neither the command line nor an image has said. */
void options_complete(struct options *o);
