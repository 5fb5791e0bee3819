/*
 * --image: an image of the store, and what it says about running it, laid under what the command line says.
 *
 * Runs in: cubit-sandbox.
 */
#pragma once

#include "images/whole/image_open.h"

struct error;
struct options;
struct store;

/* Zero to begin with. */
struct used_image {
	struct store *store;
	struct image_opened opened;
	const char **argv, **env;
	char home[sizeof("HOME=") + USER_HOME_BYTES];
};

/*
 * Open o->image and complete o: layers, argv, environment, working directory, user. After sandbox_host_open().
 * Returns 0 or -errno; used_image_close() in any case, after the last use of o.
 */
int used_image_open(struct options *o, struct used_image *ret, struct error *err);
void used_image_close(struct used_image *i);
