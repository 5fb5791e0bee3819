/*
 * The request of POST /v1/jobs from a command line: one table of options for `cubit run` and `cubit job submit`.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <jansson.h>

#include "tools/cubit/family.h"

struct error;
struct invocation;

/* Filled by the options; the commands include these rows in their own tables. */
struct submission_options {
	const char *input, *policy;
	struct family_list env, files, limits, outputs;
	const char *priority, *delay, *callback, *callback_secret, *idempotency_key;
};
extern struct submission_options submission;

#define SUBMISSION_OPTIONS                                                                                             \
	{ "--stdin", "FILE", FAMILY_TEXT, &submission.input, "standard input of the program: a file, or - for ours" }, \
		{ "--env", "NAME[=VALUE]", FAMILY_LIST, &submission.env, "a variable; without a value, ours" },        \
		{ "--file", "FILE", FAMILY_LIST, &submission.files, "a further file beside the program" },             \
		{ "--limit", "NAME=VALUE", FAMILY_LIST, &submission.limits,                                            \
		  "wall=2s cpu=1s memory=64M processes=8 output=1M disk=64M open_files=64 cpus=0.5 stack=64M "         \
		  "file_size=1M; "                                                                                     \
		  "compile.NAME=VALUE" },                                                                              \
		{ "--output", "GLOB", FAMILY_LIST, &submission.outputs, "files to hand back: 'out/*.png', '**'" },     \
	{                                                                                                              \
		"--policy", "NAME", FAMILY_TEXT, &submission.policy,                                                   \
			"what system calls it may make (default: default)"                                             \
	}

/*
 * arguments[0] the language, [1] the source file or "-", the rest the program's arguments.
 * ret  owned. Returns 0, -EINVAL the command line is wrong, or what reading a file failed with.
 */
int submission_build(const struct invocation *v, bool is_queued, json_t **ret, struct error *err);

/* POST it. ret_id: at least 65 bytes. As client_call. */
int submission_send(struct invocation *v, const json_t *request, char ret_id[65], struct error *err);
