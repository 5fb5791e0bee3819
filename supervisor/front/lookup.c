/* Asking the sources in turn: see lookup.h. */
#include "supervisor/front/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/our_id.h"
#include "supervisor/front/sources.h"

struct lookup {
	const struct lookup_env *env;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	bool is_anybodys; /* an administrator asks */
	bool is_no_id;    /* no producer can have called a job so: Redis need not be asked */
	bool has_space;
	enum queue_space space; /* only there */
	bool with_journal;
	const struct source *away; /* the first one that could not say; NULL: all have */
	size_t next;               /* the source to ask after this one */
	queue_get_fn *on_get;
	queue_cancel_fn *on_cancel;
	void *arg;
};

static void on_get(const struct error *e, const struct queue_record *r, void *arg);
static void on_cancel(const struct error *e, bool was_leased, void *arg);

/* Returns false when there is none left that takes the question. */
static bool ask_next(struct lookup *l)
{
	while (l->next < l->env->sources->n) {
		struct source *s = l->env->sources->all[l->next++];
		int r;

		if ((l->has_space && s->space != l->space) || (l->is_no_id && s->space == SPACE_REDIS))
			continue;
		r = l->on_get ? s->ops->get(s->self, l->id, l->with_journal, on_get, l)
			      : s->ops->cancel(s->self, l->id, l->owner, on_cancel, l);
		if (r == 0)
			return true;
		l->away = l->away ? l->away : s;
	}
	return false;
}

/* A source does not have it, or cannot say. True: another one is asked. */
static bool goes_on(struct lookup *l, const struct error *e)
{
	if (!e)
		return false;
	if (e->code != ENOENT && !l->away)
		l->away = l->env->sources->all[l->next - 1];
	return ask_next(l);
}

static struct error nowhere(const struct lookup *l)
{
	struct error e = ERROR_INIT;

	if (l->away)
		(void)error_set(&e, EAGAIN,
				"job '%s' is not known here, but %s cannot be asked at the moment and may know it",
				l->id, l->away->ops->name);
	else
		(void)error_set(&e, ENOENT, "there is no job '%s'", l->id);
	return e;
}

/* Found: nothing of it is kept here. */
static void answer(struct lookup *l, const struct queue_record *r, enum queue_space space)
{
	struct queue_record record = *r;

	record.space = space;
	l->on_get(NULL, &record, l->arg);
	free(l);
}

static void on_get(const struct error *e, const struct queue_record *r, void *arg)
{
	static const struct error foreign = { .code = ENOENT };
	struct lookup *l = arg;
	struct error none;

	if (!e && !l->is_anybodys && strcmp(r->job.owner, l->owner) != 0)
		e = &foreign;
	if (goes_on(l, e))
		return;
	if (!e) {
		answer(l, r, l->env->sources->all[l->next - 1]->space);
		return;
	}
	none = nowhere(l);
	l->on_get(&none, NULL, l->arg);
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

/* ---- what a client means ---- */

void lookup_key(const char *name, char *ret)
{
	(void)snprintf(ret, QUEUE_KEY_BYTES, "cell:%s", name); /* an id is short enough */
}

static void on_named(const struct error *e, const struct queue_record *r, void *arg)
{
	struct lookup *l = arg;
	struct error none;

	if (!e) {
		answer(l, r, SPACE_HERE);
		return;
	}
	if (e->code != ENOENT)
		l->away = l->env->sources->home; /* where such names are kept */
	if (ask_next(l))
		return;
	none = nowhere(l);
	l->on_get(&none, NULL, l->arg);
	free(l);
}

int lookup_job(const struct lookup_env *env, const struct caller *caller, const char *id, queue_get_fn *fn, void *arg)
{
	struct lookup *l = alloc_bytes(sizeof(*l));
	char key[QUEUE_KEY_BYTES];

	*l = (struct lookup){ .env = env, .is_anybodys = caller_is_admin(caller), .on_get = fn, .arg = arg };
	(void)text_copy(l->id, sizeof(l->id), id); /* too long: "", which no job is called */
	(void)text_copy(l->owner, sizeof(l->owner), caller->owner);
	l->is_no_id = parse_id(l->id, NULL) < 0;
	if (our_id_is(l->id) || l->is_no_id) /* nobody can have given it */
		return start(l);
	lookup_key(l->id, key);
	if (env->get_named(env->self, l->owner, key, on_named, l) == 0)
		return 0;
	free(l);
	return -EAGAIN;
}

/* ---- one job ---- */

static struct lookup *lookup_new(const struct lookup_env *env, const struct job_name *name, void *arg)
{
	struct lookup *l = alloc_bytes(sizeof(*l));

	*l = (struct lookup){ .env = env, .has_space = true, .space = name->space, .arg = arg };
	memcpy(l->id, name->id, sizeof(l->id));
	memcpy(l->owner, name->owner, sizeof(l->owner));
	return l;
}

int lookup_again(const struct lookup_env *env, const struct job_name *name, bool with_journal, queue_get_fn *fn,
		 void *arg)
{
	struct lookup *l = lookup_new(env, name, arg);

	l->with_journal = with_journal;
	l->on_get = fn;
	return start(l);
}

int lookup_cancel(const struct lookup_env *env, const struct job_name *name, queue_cancel_fn *fn, void *arg)
{
	struct lookup *l = lookup_new(env, name, arg);

	l->on_cancel = fn;
	return start(l);
}
