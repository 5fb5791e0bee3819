/*
 * What becomes of sandboxes, and one more to see whether it can be done at all; which images there are: see pool.h and
 * pool_impl.h.
 */
#include <errno.h>
#include <string.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/pool/pool_impl.h"

/* ---- images ---- */

static const struct pool_image *look(const struct pool *p, const char *name)
{
	const struct pool_image *i = p->images;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	return i;
}

enum pool_image_state pool_runtime_image(const struct pool *p, const struct runtime_def *runtime)
{
	const struct pool_image *i = look(p, runtime->image);

	if (!i || (!i->now && !i->failures))
		return POOL_IMAGE_UNKNOWN;
	return i->now ? POOL_IMAGE_THERE : POOL_IMAGE_MISSING;
}

bool pool_has_no_image(const struct pool *p)
{
	const struct runtime_def *def;
	size_t n = 0;

	while ((def = runtime_set_at(p->runtimes, n)) != NULL && pool_runtime_image(p, def) == POOL_IMAGE_MISSING)
		n++;
	return n > 0 && !def;
}

void pool_image_words(const struct runtime_def *runtime, const struct error *e, struct error *ret)
{
	if (e->code == ENOENT || e->code == ENOMEDIUM)
		(void)error_set(ret, ENOMEDIUM,
				"no image '%.80s' for %s on this node: run `cubit setup`, or pull or load it",
				runtime->image, runtime->name);
	else
		(void)error_set(ret, ENOMEDIUM, "image '%.80s' for %s: %s", runtime->image, runtime->name, e->text);
}

void pool_image_lost(struct pool_class *class)
{
	struct pool_image *i = pool_image_find(class->pool, class->runtime->image);

	if (i)
		pool_image_ask(i);
}

/* ---- outcomes ---- */

void pool_on_outcome(struct pool *p, pool_outcome_fn *fn, void *arg)
{
	p->outcome = fn;
	p->outcome_arg = arg;
}

void pool_outcome(struct pool *p, const struct error *e)
{
	if (p->outcome && !p->is_freed)
		p->outcome(e, p->outcome_arg);
}

/* ---- proofs ---- */

/*
 * Which language: that of the latest proof when it went well, otherwise the next one whose image is another, or the
 * same again when there is no other.
 */
static const struct runtime_def *choose(const struct pool *p)
{
	const struct runtime_def *def, *first = NULL, *next = NULL;
	bool is_behind = false;

	for (size_t i = 0; (def = runtime_set_at(p->runtimes, i)) != NULL; i++) {
		bool is_latest = strcmp(def->image, p->proof_image) == 0;

		if (pool_runtime_image(p, def) != POOL_IMAGE_THERE)
			continue;
		if (is_latest && strcmp(def->image, p->bad_image) != 0)
			return def;
		is_behind |= is_latest;
		if (!first || strcmp(first->image, p->bad_image) == 0)
			first = def;
		if (is_behind && !next && strcmp(def->image, p->bad_image) != 0)
			next = def;
	}
	return next ? next : first;
}

int pool_prove(struct pool *p, pool_outcome_fn *fn, void *arg, struct error *err)
{
	const struct runtime_def *def = choose(p);
	const struct pool_image *image = def ? look(p, def->image) : NULL;
	struct sandbox_class what;
	struct pool_class *c;
	int r;

	if (p->proved)
		return error_set(err, EBUSY, "it is being tried");
	if (!image || !image->now)
		return error_set(err, ENOMEDIUM, "no image of any language is here");
	pool_class_of(p, def, &what);
	c = pool_class_find(p, &what, image->now);
	if (!c)
		return error_set(err, ENAMETOOLONG, "a name of an image that is too long");
	r = pool_make(c, ITEM_TO_PROVE, true, err);
	if (r < 0)
		return r;
	(void)text_copy(p->proof_image, sizeof(p->proof_image), def->image); /* it has room for any name of the store */
	p->proved = fn;
	p->proved_arg = arg;
	return 0;
}

void pool_proof_over(struct pool *p, const struct error *e)
{
	pool_outcome_fn *fn = p->proved;

	p->proved = NULL;
	memcpy(p->bad_image, e ? p->proof_image : "", e ? sizeof(p->bad_image) : 1);
	if (fn && !p->is_freed)
		fn(e, p->proved_arg);
}
