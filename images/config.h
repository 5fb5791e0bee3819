/*
 * Image configurations: how a container of an image is to be started, and which layers it has. `history` is ignored.
 * Labels are facts for people; nothing in Cubit is ever controlled by one. Volumes, health checks, signals and
 * OnBuild are ignored: they ask the host for something. Pure; runs anywhere. Input is hostile.
 */
#pragma once

#include <stddef.h>

#include "images/digest.h"
#include "images/platform.h"

struct error;

enum {
	CONFIG_LIST_MAX = 1024,      /* variables, arguments, ports, labels: each */
	CONFIG_TEXT_MAX = 128 << 10, /* one string: what execve(2) takes, MAX_ARG_STRLEN */
	CONFIG_USER_MAX = 256,
	CONFIG_DIR_MAX = 4095,
};

/* A list of strings, owned; NULL-terminated so that it can be an argv. */
struct config_list {
	char **items;
	size_t count;
};

struct image_config {
	struct platform platform;
	struct config_list env; /* "NAME=value", each name once (the last wins) */
	struct config_list entrypoint, command;
	struct config_list ports;                     /* "8080/tcp" */
	struct config_list label_names, label_values; /* same count */
	char *working_dir;                            /* absolute, or "" */
	char *user;                                   /* as written: see user.h; or "" */
	size_t n_diff_ids;
	struct digest *diff_ids; /* lowest layer first */
};

/* Returns 0 or -EBADMSG with err naming the field. ret owned: image_config_free(). */
int image_config_parse(const char *data, size_t size, struct image_config **ret, struct error *err);
void image_config_free(struct image_config *c);

static inline void cleanup_image_config_(struct image_config **c)
{
	image_config_free(*c);
}
#define cleanup_image_config __attribute__((cleanup(cleanup_image_config_)))
