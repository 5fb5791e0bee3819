/* A stored image made ready to start on: see image_open.h. */
#include "images/whole/image_open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/ref.h"
#include "images/store/store.h"
#include "images/whole/image.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* ---- layers ---- */

/* Named in the lease first and looked for then, or the collector could come between. */
static int take_lease(struct store *s, const struct image_record *r, struct image_opened *o, struct error *err)
{
	int rc = store_lease_new(s, &o->lease, err);

	for (size_t i = 0; rc == 0 && i < r->n_layers; i++)
		rc = store_lease_add(o->lease, &r->diff_ids[i], err);
	return rc;
}

static int open_layers(struct store *s, const struct image_record *r, struct image_opened *o, struct error *err)
{
	o->layers = calloc(r->n_layers ? r->n_layers : 1, sizeof(*o->layers));
	if (!o->layers)
		return error_set(err, ENOMEM, "out of memory");
	if (r->n_layers == 0)
		return error_set(err, EINVAL, "it has no layers: there is nothing to start");
	return store_layers_open(s, r->diff_ids, r->n_layers, o->layers, &o->n_layers, err);
}

/* ---- the user ---- */

static int read_accounts(const struct image_opened *o, const char *path, struct buf *out, struct error *err)
{
	int rc = image_file_read(o->layers, o->n_layers, path, USER_FILE_MAX_BYTES, out, err);

	/* a passwd that is a link or worse is the image's affair: numbers still work without it */
	if (rc == -EBADMSG) {
		error_clear(err);
		buf_reset(out);
		rc = 0;
	}
	return rc;
}

static int find_user(struct image_opened *o, struct error *err)
{
	cleanup_buf struct buf passwd = BUF_INIT, group = BUF_INIT;
	int rc = 0;

	if (!o->config->user[0])
		return 0;
	rc = read_accounts(o, "etc/passwd", &passwd, err);
	if (rc == 0)
		rc = read_accounts(o, "etc/group", &group, err);
	return rc < 0 ? rc
		      : image_user_resolve(o->config->user, buf_str(&passwd), passwd.size, buf_str(&group), group.size,
					   &o->user, err);
}

/* ---- the whole ---- */

int image_open_record(struct store *s, const struct image_record *r, struct image_opened *ret, struct error *err)
{
	struct image_opened o = { .manifest = r->manifest };
	int rc = take_lease(s, r, &o, err);

	if (rc == 0)
		rc = open_layers(s, r, &o, err);
	if (rc == 0)
		rc = image_config_get(s, r, &o.config, err);
	if (rc == -ENOENT) /* the image is known, and part of it gone: not the same as a missing image */
		rc = error_set(err, EIO, "image '%s' is not whole: make or pull it again", r->name);
	else if (rc < 0)
		(void)error_wrap(err, "image '%s'", r->name);
	else if (find_user(&o, err) < 0)
		rc = error_wrap(err, "image '%s'", r->name);
	if (rc < 0)
		image_opened_done(&o);
	else
		*ret = o;
	return rc;
}

int image_open(struct store *s, const char *name, struct image_opened *ret, struct error *err)
{
	struct image_record *r = NULL;
	struct image_ref ref;
	char text[REF_TEXT_BYTES];
	int rc = image_ref_parse(name, &ref, err);

	if (rc < 0)
		return rc;
	image_ref_store_name(&ref, text);
	rc = store_ref_get(s, text, &r, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no image '%s' here: pull, load or make it", text);
	if (rc == 0)
		rc = image_open_record(s, r, ret, err);
	image_record_free(r);
	return rc;
}

void image_opened_done(struct image_opened *o)
{
	while (o->n_layers > 0)
		fd_close(&o->layers[--o->n_layers]);
	free(o->layers);
	image_config_free(o->config);
	store_lease_free(o->lease);
	*o = (struct image_opened){ .layers = NULL };
}

/* ---- the image's word and the caller's ---- */

static size_t length(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

int image_argv(const struct image_config *c, const char *const *entrypoint, const char *const *args, const char ***ret,
	       struct error *err)
{
	const char *const *head = entrypoint ? entrypoint : (const char *const *)c->entrypoint.items;
	const char *const *tail = length(args) || entrypoint ? args : (const char *const *)c->command.items;
	size_t n_head = length(head), n_tail = length(tail);
	const char **argv;

	if (n_head + n_tail == 0)
		return error_set(err, EINVAL, "the image names no program: give one");
	argv = calloc(n_head + n_tail + 1, sizeof(*argv));
	if (!argv)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n_head; i++)
		argv[i] = head[i];
	for (size_t i = 0; i < n_tail; i++)
		argv[n_head + i] = tail[i];
	*ret = argv;
	return 0;
}

static const char **find_variable(const char **env, const char *item)
{
	size_t name = strcspn(item, "=");

	for (; *env; env++) {
		if (strncmp(*env, item, name) == 0 && ((*env)[name] == '=' || (*env)[name] == '\0'))
			return env;
	}
	return NULL;
}

int image_env(const char *const *const *lists, size_t n, const char ***ret, struct error *err)
{
	size_t room = 1, used = 0;
	const char **env;

	for (size_t i = 0; i < n; i++)
		room += length(lists[i]);
	env = calloc(room, sizeof(*env));
	if (!env)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		for (const char *const *item = lists[i]; item && *item; item++) {
			const char **place = find_variable(env, *item);

			if (place)
				*place = *item;
			else
				env[used++] = *item;
		}
	}
	*ret = env;
	return 0;
}
