/*
 * A stored image made ready to start on: its layers as descriptors, its configuration, its user out of its own account
 * files; and how what the image says and what the caller says go together.
 *
 * Runs in: monitor, cubit-sandbox, the cubit command (root), after sandbox_host_open: descriptors of layers opened
 * before belong to the wrong mount namespace. Blocks on disk, briefly: nothing is fetched or unpacked here.
 */
#pragma once

#include <stddef.h>

#include "images/config.h"
#include "images/digest.h"
#include "images/user.h"

struct error;
struct image_record;
struct store;
struct store_lease;

struct image_opened {
	int *layers; /* n_layers descriptors of ours, top first, as struct sandbox_spec wants them */
	size_t n_layers;
	struct image_config *config;
	struct image_user user;    /* {0, 0} for an image that names none */
	struct digest manifest;    /* which one the name meant */
	struct store_lease *lease; /* keeps the layers from collection for as long as this is open */
};

/*
 * name: a reference as people type it, looked up in the store only.
 * ret   image_opened_done(), before the store is closed. Untouched on failure.
 *
 * Returns 0, or -errno with the image named: -EINVAL no reference; -ENOENT no such image; -EIO a part of it is gone:
 * pull or make it again; -EBADMSG its configuration makes no sense; what image_user_resolve() says of its user.
 */
int image_open(struct store *s, const char *name, struct image_opened *ret, struct error *err);
/* The same for a record at hand. */
int image_open_record(struct store *s, const struct image_record *r, struct image_opened *ret, struct error *err);
void image_opened_done(struct image_opened *o);

/*
 * What to execute: the entrypoint, then args, or the image's command when args is empty or NULL. entrypoint: instead of
 * the image's, and then its command is not used either; NULL: the image's; an empty list: none. *ret: owned list,
 * free(); the strings are borrowed. -EINVAL when nothing names a program; -ENOMEM.
 */
int image_argv(const struct image_config *c, const char *const *entrypoint, const char *const *args, const char ***ret,
	       struct error *err);

/*
 * Environments laid over each other: of variables with one name the last one stands, at the place of the first.
 * lists: n NULL-terminated lists of NAME=VALUE; NULL is empty. *ret: owned list, free(); the strings are borrowed.
 */
int image_env(const char *const *const *lists, size_t n, const char ***ret, struct error *err);
