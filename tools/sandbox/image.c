/* Images for cubit-sandbox: see image.h. */
#include "tools/sandbox/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/store/store.h"
#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/sandbox/options.h"

static int open_store(const struct options *o, struct store **ret, struct error *err)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s%s", o->store ? o->store : settings_used()->state_dir,
		       o->store ? "" : "/images");
	if (access(path, F_OK) < 0) /* asking for an image must not make a store */
		return error_errno(err, errno, "no images in '%s'", path);
	return store_open(path, ret, err);
}

/* An image's root is not ours to give: without --root, what resolves to 0 becomes the usual id. */
static void choose_user(struct options *o, const struct image_user *user)
{
	if (o->is_root)
		return;
	if (o->uid == OPTION_UNSET && user->uid != 0)
		o->uid = user->uid;
	if (o->gid == OPTION_UNSET && user->gid != 0)
		o->gid = user->gid;
}

static int choose_env(struct options *o, struct used_image *i, struct error *err)
{
	const char *common[] = { OPTION_PATH, OPTION_LANG, o->is_root ? "HOME=/root" : "HOME=/work", NULL };
	const char *const *lists[] = { common, (const char *const *)i->opened.config->env.items, o->env };

	if (i->opened.user.home[0] && !o->is_root && o->uid == i->opened.user.uid) {
		(void)snprintf(i->home, sizeof(i->home), "HOME=%s", i->opened.user.home);
		common[2] = i->home;
	}
	return image_env(lists, sizeof(lists) / sizeof(lists[0]), &i->env, err);
}

int used_image_open(struct options *o, struct used_image *ret, struct error *err)
{
	const char *const entrypoint[] = { o->entrypoint && o->entrypoint[0] ? o->entrypoint : NULL, NULL };
	const struct image_config *c;
	int r = open_store(o, &ret->store, err);

	if (r == 0)
		r = image_open(ret->store, o->image, &ret->opened, err);
	if (r < 0)
		return r;
	c = ret->opened.config;
	r = image_argv(c, o->entrypoint ? entrypoint : NULL, o->argv, &ret->argv, err);
	if (r < 0)
		return r;
	choose_user(o, &ret->opened.user);
	r = choose_env(o, ret, err);
	if (r < 0)
		return r;
	o->argv = ret->argv;
	o->run_env = ret->env;
	o->spec.layers = ret->opened.layers;
	o->spec.n_layers = ret->opened.n_layers;
	if (!o->cwd && c->working_dir[0])
		o->cwd = c->working_dir;
	return 0;
}

void used_image_close(struct used_image *i)
{
	image_opened_done(&i->opened);
	store_close(i->store);
	free(i->argv);
	free(i->env);
	*i = (struct used_image){ .store = NULL };
}
