/* Dead letters: run again, or forgotten. Each source is asked in turn whose one it is, as for a job (lookup.h). */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_source.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"

struct letter {
	struct http_request *rq; /* NULL: its client left */
	struct front *front;
	struct source_choice choice;
	char id[QUEUE_ID_BYTES], owner[QUEUE_OWNER_BYTES];
	bool is_admin, is_replay;
	const struct source *away; /* one that could not say; NULL: all have */
	size_t at;
	struct audit_who who;
};

static void on_done(const struct error *e, void *arg);

static void on_gone(struct http_request *rq, void *data)
{
	struct letter *l = data;

	(void)rq;
	l->rq = NULL;
}

static void answer(struct http_request *rq, const struct letter *l, const struct error *e)
{
	if (e && e->code == ENOENT)
		http_error(rq, 404, "not_found", "id", "there is no dead letter '%s'", l->id);
	else if (e && e->code == ENOBUFS)
		api_fail(rq, e);
	else if (e)
		source_away(rq, l->away);
	else if (l->is_replay)
		http_reply_json(rq, 202, json_pack("{s:s,s:s}", "id", l->id, "state", "waiting"));
	else
		http_reply(rq, 204, NULL, NULL, 0);
}

static void over(struct letter *l, const struct error *e)
{
	auth_audit_write(l->front->auth, &l->who, l->is_replay ? "dead.replay" : "dead.delete", l->id,
			 !e                  ? "done"
			 : e->code == ENOENT ? "not_found"
					     : "failed");
	if (l->rq)
		answer(l->rq, l, e);
	free(l);
}

/* The next one that may have it. It answers later, or the client was told that none has. */
static void ask(struct letter *l)
{
	static const struct error nowhere = { .code = ENOENT }, behind = { .code = EAGAIN };
	const char *owner = l->is_admin ? NULL : l->owner;

	for (; l->at < l->front->sources.n; l->at++) {
		struct source *s = l->front->sources.all[l->at];

		if (!source_is_chosen(l->front, l->at, &l->choice) || (!l->is_admin && s->ops->letters_are_admins))
			continue;
		if ((l->is_replay ? s->ops->replay : s->ops->forget)(s->self, l->id, owner, on_done, l) == 0)
			return;
		l->away = l->away ? l->away : s;
	}
	over(l, l->away ? &behind : &nowhere);
}

static void on_done(const struct error *e, void *arg)
{
	struct letter *l = arg;

	if (!e || e->code == ENOBUFS) {
		over(l, e);
		return;
	}
	if (e->code != ENOENT && !l->away)
		l->away = l->front->sources.all[l->at];
	l->at++;
	ask(l);
}

static void begin(struct http_request *rq, bool is_replay)
{
	const struct caller *c = front_caller(rq);
	struct source_choice choice;
	struct letter *l;

	if (!source_choose(rq, true, &choice))
		return;
	l = alloc_bytes(sizeof(*l));
	*l = (struct letter){ .rq = rq,
			      .front = front_of(rq),
			      .choice = choice,
			      .is_admin = caller_is_admin(c),
			      .is_replay = is_replay };
	(void)text_copy(l->id, sizeof(l->id), http_param(rq, "id")); /* too long: "", which nothing is called */
	(void)text_copy(l->owner, sizeof(l->owner), c->owner);       /* as long */
	auth_audit_who(rq, &l->who);
	http_on_gone(rq, on_gone, l);
	ask(l);
}

void api_replay(struct http_request *rq)
{
	begin(rq, true);
}

void api_delete_dead(struct http_request *rq)
{
	begin(rq, false);
}
