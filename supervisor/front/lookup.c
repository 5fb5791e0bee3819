/* Asking the sources in turn: see lookup.h. */
#include "supervisor/front/lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/queue/source.h"

struct lookup {
	struct front *front;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	bool has_owner, with_journal, has_failed;
	size_t next; /* the source to ask after this one */
	queue_get_fn *on_get;
	queue_cancel_fn *on_cancel;
	void *arg;
};

static void on_get(const struct error *e, const struct queue_record *r, void *arg);
static void on_cancel(const struct error *e, bool was_leased, void *arg);

/* Returns false when there is none left that takes the question. */
static bool ask_next(struct lookup *l)
{
	while (l->next < l->front->n_sources) {
		struct source *s = l->front->sources[l->next++];
		int r = l->on_get ? s->ops->get(s->self, l->id, l->with_journal, on_get, l)
				  : s->ops->cancel(s->self, l->id, l->has_owner ? l->owner : NULL, on_cancel, l);

		if (r == 0)
			return true;
		l->has_failed = true;
	}
	return false;
}

/* A source does not have it, or cannot say. True: another one is asked. */
static bool goes_on(struct lookup *l, const struct error *e)
{
	if (!e || (e->code != ENOENT && l->next >= l->front->n_sources))
		return false;
	l->has_failed |= e->code != ENOENT;
	return ask_next(l);
}

static struct error nowhere(const struct lookup *l)
{
	struct error e = ERROR_INIT;

	if (l->has_failed)
		(void)error_set(&e, EAGAIN, "not all places where it could be answer at the moment");
	else
		(void)error_set(&e, ENOENT, "there is no job '%s'", l->id);
	return e;
}

static void on_get(const struct error *e, const struct queue_record *r, void *arg)
{
	struct lookup *l = arg;
	struct error none;

	if (goes_on(l, e))
		return;
	none = nowhere(l);
	l->on_get(e ? &none : NULL, r, l->arg);
	free(l);
}

static void on_cancel(const struct error *e, bool was_leased, void *arg)
{
	struct lookup *l = arg;
	struct error none;

	if ((!e || e->code == ENOENT) && goes_on(l, e))
		return;
	none = nowhere(l);
	l->on_cancel(e && e->code == ENOENT ? &none : e, was_leased, l->arg);
	free(l);
}

static int start(struct lookup *l)
{
	if (ask_next(l))
		return 0;
	free(l);
	return -EAGAIN;
}

int lookup_job(struct front *f, const char *id, bool with_journal, queue_get_fn *fn, void *arg)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return -EAGAIN;
	*l = (struct lookup){ .front = f, .with_journal = with_journal, .on_get = fn, .arg = arg };
	text_copy(l->id, sizeof(l->id), id);
	return start(l);
}

int lookup_cancel(struct front *f, const char *id, const char *owner, queue_cancel_fn *fn, void *arg)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return -EAGAIN;
	*l = (struct lookup){ .front = f, .has_owner = owner != NULL, .on_cancel = fn, .arg = arg };
	text_copy(l->id, sizeof(l->id), id);
	text_copy(l->owner, sizeof(l->owner), owner ? owner : "");
	return start(l);
}
