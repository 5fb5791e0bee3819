/*
 * What the parts of `cubit runtime` share: its command line, and what each subcommand is given.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct runtime_set;

enum { RUNTIME_EXIT_NO_IMAGE = 3 }; /* beside those of command.h: the image of a runtime is missing */

struct runtime_args {
	const char *const *names; /* as given: names, aliases, or paths of definitions */
	size_t n_names;
	bool is_all, is_json;
	const char *rootfs; /* NULL: images */
};

/* `cubit runtime test`. Returns the exit status. */
int runtime_test(const struct runtime_set *set, const struct runtime_args *args);

/* Is the image in the store? 1 yes, 0 no, -1 cannot be told without root. */
int runtime_image_state(const char *image);
