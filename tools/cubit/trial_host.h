/*
 * What `cubit runtime test` makes sandboxes with: a sandbox host, the compiled default policy, and the layers of one
 * image at a time. Needs root. One a process; run_process() is single-threaded.
 *
 * Runs in: the cubit command, as root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/languages/runtime_def.h"

struct buf;
struct error;
struct policy_filter;
struct run_result;
struct sandbox;
struct sandbox_host;
struct store;

enum { TRIAL_LAYERS_MAX = 400 };

struct trial_host {
	struct sandbox_host *host;
	struct policy_filter *filter;
	struct store *store;             /* NULL: none is there */
	const char *rootfs;              /* used instead of any image; NULL: images */
	int layer_fds[TRIAL_LAYERS_MAX]; /* top first */
	size_t n_layers;
	char **image_env; /* NULL-terminated; NULL: the image says nothing */
	unsigned n_sandboxes;
};

/*
 * rootfs: a directory, or NULL. Reads CUBIT_RUN, CUBIT_STATE, CUBIT_ID_BASE, CUBIT_ID_COUNT, CUBIT_ALLOW_UNENFORCED.
 * trial_host_close() also after a failure. Returns 0 or -errno.
 */
int trial_host_open(struct trial_host *ret, const char *rootfs, struct error *err);
void trial_host_close(struct trial_host *h);

/* Open the image's layers for the sandboxes that follow. -ENOENT: it is not in the store. */
int trial_host_image(struct trial_host *h, const char *image, struct error *err);

/*
 * A sandbox with these limits, job defaults where they are 0, ready. disk_bytes: of both stages.
 * ret owned: sandbox_destroy().
 */
int trial_sandbox(struct trial_host *h, const struct runtime_limits *limits, uint64_t disk_bytes, struct sandbox **ret,
		  struct error *err);

/* Give a living sandbox the limits of its next stage. */
int trial_relimit(struct sandbox *s, const struct runtime_limits *limits, struct error *err);

/* Write a file with the identity inside. path absolute. Returns 0 or -errno. */
int trial_write(struct sandbox *s, const char *path, const char *text, struct error *err);

/*
 * Run one program in /work to its verdict. Both outputs are collected as they come (the first RUNTIME_OUTPUT of them).
 * env: of the stage, may be NULL; it wins over the image's.
 */
int trial_run(struct trial_host *h, struct sandbox *s, char *const *argv, char *const *env,
	      const struct runtime_limits *limits, struct buf *out, struct buf *errors, struct run_result *ret,
	      struct error *err);
