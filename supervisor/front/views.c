/* Views of journals: see views.h. */
#include "supervisor/front/views.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/sources.h"
#include "supervisor/front/view_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/journal/journal.h"
#include "supervisor/queue/queue.h"

enum {
	QUEUED_MAX = 64 << 10, /* waiting for one client; the rest stays in the journal */
	KEEP_ALIVE_MS = 15000,
	TICK_MS = 500,
	ASKING_MAX = 2,
	KEPT_MAX = 64 << 20, /* bytes of ended jobs' journals that watchers hold */
	WS_NORMAL = 1000,
	WS_POLICY = 1008,
	WS_TRY_AGAIN = 1013,
};

static void ask(struct view *v);
static void ask_waiting(struct views *all);

/* ---- life of a view ---- */

static void kept_unref(struct kept *k)
{
	if (--k->references > 0)
		return;
	*k->prev = k->next;
	if (k->next)
		k->next->prev = k->prev;
	journal_unref(k->journal);
	free(k);
}

static void detach(struct view *v)
{
	if (v->kept)
		kept_unref(v->kept);
	v->kept = NULL;
	if (v->journal) {
		journal_leave(&v->reader);
		journal_unref(v->journal);
		v->journal = NULL;
	}
}

void view_unref(struct view *v)
{
	if (--v->references == 0)
		free(v);
}

/* No journal, no place in the list: only its transport may still know of it. */
void view_over(struct view *v)
{
	detach(v);
	v->is_over = true;
	if (v->prev) {
		*v->prev = v->next;
		if (v->next)
			v->next->prev = v->prev;
		v->prev = NULL;
	}
}

/* Everything was sent: end the answer. v may be gone afterwards. */
static void view_end(struct view *v, int ws_code, const char *reason)
{
	struct http_request *rq = v->rq;

	if (v->is_over)
		return;
	view_over(v);
	v->rq = NULL;
	if (rq) {
		if (v->is_late)
			http_reply(rq, 204, NULL, NULL, 0); /* nothing more will come: an EventSource stops asking */
		else
			http_stream_end(rq);
		view_unref(v);
	} else {
		if (v->is_full)
			ws_pause(v->ws, false);   /* its side of the closing is read */
		ws_close(v->ws, ws_code, reason); /* its last call, closed(), gives our reference back */
	}
}

static void on_notify(struct journal_reader *r)
{
	view_pump(r->arg);
}

/* kept: where the journal is of an ended job, or NULL. v may be gone afterwards. */
static void attach(struct view *v, struct journal *journal, unsigned attempt, struct kept *kept)
{
	if (kept)
		kept->references++;
	detach(v);
	v->kept = kept;
	v->attempt = attempt ? attempt : 1;
	v->memory = (struct view_memory){ .n_cut = { 0 } };
	v->n_sent = 0;
	v->journal = journal_ref(journal);
	v->reader = (struct journal_reader){ .notify = on_notify, .arg = v };
	journal_join(journal, &v->reader);
	view_pump(v);
}

/* ---- sending ---- */

/* Send what there is and the client takes. v may be gone afterwards. */
void view_pump(struct view *v)
{
	struct journal_event e;
	bool is_over = false;

	if (v->is_pumping || v->is_over)
		return;
	v->is_pumping = true;
	v->references++;
	while (v->journal && !v->is_over && !is_over && view_queued(v) < QUEUED_MAX) {
		uint64_t base = (uint64_t)(v->attempt - 1) * PER_ATTEMPT, next = v->seen > base ? v->seen - base : 0;

		if (!journal_get(v->journal, next + 1, &e)) {
			is_over = v->is_recorded && journal_is_ended(v->journal);
			break;
		}
		if (e.type == JOURNAL_EXIT && !v->is_recorded)
			break;
		if (view_send_event(v, &e, base + e.n) < 0)
			break; /* full: on_drain goes on; gone: told by its own call */
		v->seen = base + e.n;
		is_over = e.type == JOURNAL_EXIT;
	}
	v->is_pumping = false;
	if (is_over)
		view_end(v, WS_NORMAL, "over");
	view_unref(v); /* ours, from above: NOLINT(clang-analyzer-unix.Malloc) */
}

/*
 * A job that never ran, or whose last attempt left nothing, has no journal: say its end in one event. It is the last
 * number of that attempt, which no journal reaches, so that a client which comes back behind it has it.
 */
static void send_end(struct view *v, unsigned attempt, const char *status, const char *reason)
{
	uint64_t number = attempt ? (uint64_t)attempt * PER_ATTEMPT : 1;
	json_t *json = json_pack("{s:s,s:s,s:n,s:n}", "status", status, "reason", reason, "exit_code", "signal");
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;
	struct journal_event e = { .n = number, .type = JOURNAL_EXIT, .data = text };

	json_decref(json);
	if (text && v->seen < number) {
		e.size = strlen(text);
		(void)view_send_event(v, &e, e.n);
	}
	free(text);
	view_end(v, WS_NORMAL, "over");
}

/* ---- where a journal comes from ---- */

/* Views of one finished job share what was read: each with a copy of its own, forty of 7 MB took 550 MiB. */
static struct kept *find_kept(const struct view *v, const struct queue_record *r)
{
	for (const struct view *i = v->all->first; i; i = i->next) {
		if (i->kept && job_name_equal(&i->name, &v->name) &&
		    journal_is_of_blob(i->kept->journal, r->journal, r->journal_size))
			return i->kept;
	}
	return NULL;
}

/* Views of different ended jobs hold a journal each: all of them so many bytes, those of one owner a quarter. */
static bool may_keep(const struct views *all, const char *owner, size_t bytes)
{
	size_t total = bytes, of_owner = bytes;
	bool is_first = true;

	for (const struct kept *k = all->kept; k; k = k->next) {
		bool is_same = strcmp(k->owner, owner) == 0;

		total += k->bytes;
		of_owner += is_same ? k->bytes : 0;
		is_first &= !is_same;
	}
	return total <= KEPT_MAX && (is_first || of_owner <= KEPT_MAX / 4);
}

/* Without a reference yet: attach() takes the first. Returns 0, -ENOBUFS when too many are held, or -errno. */
static int keep(struct view *v, const struct queue_record *r, struct kept **ret)
{
	struct views *all = v->all;
	struct kept *k = alloc_zeroed(1, sizeof(*k));
	int e;

	(void)text_copy(k->owner, sizeof(k->owner), r->job.owner);
	k->bytes = sizeof(*k) + 2 * r->journal_size;
	e = may_keep(all, k->owner, k->bytes) ? 0 : -ENOBUFS;
	if (e == 0)
		e = journal_unpack(r->journal, r->journal_size, &k->journal, NULL);
	if (e < 0) {
		free(k);
		return e;
	}
	k->next = all->kept;
	k->prev = &all->kept;
	if (k->next)
		k->next->prev = &k->next;
	all->kept = k;
	*ret = k;
	return 0;
}

static void attach_record(struct view *v, const struct queue_record *r)
{
	struct kept *k = r->journal_size > 0 ? find_kept(v, r) : NULL;
	int e = k || r->journal_size == 0 ? 0 : keep(v, r, &k);

	v->is_recorded = true;
	if (k) {
		attach(v, k->journal, r->job.attempt, k);
	} else if (e == -ENOBUFS) { /* without an end: the client comes back and goes on */
		view_end(v, WS_TRY_AGAIN, "too many ended jobs are being read");
	} else {
		send_end(v, r->job.attempt, *r->job.status ? r->job.status : queue_state_name(r->job.state),
			 r->job.reason);
	}
}

/* It runs on another node: a source may have its events. */
static void follow(struct view *v)
{
	const struct sources *from = v->all->env->sources;
	struct journal *journal = NULL;

	for (size_t i = 0; i < from->n && !journal; i++) {
		struct source *s = from->all[i];

		if (s->space == v->name.space && s->ops->follow && s->ops->follow(s->self, v->name.id, &journal) < 0)
			journal = NULL;
	}
	if (!journal)
		return;
	v->is_recorded = true; /* the other node shows its end only when it is */
	attach(v, journal, 1, NULL);
	journal_unref(journal);
}

static void on_record(const struct error *e, const struct queue_record *r, void *arg)
{
	struct view *v = arg;
	struct views *all = v->all;
	bool again = v->ask_again;

	v->is_asking = v->ask_again = false;
	all->n_asking--;
	if (v->is_over || v->journal)
		; /* it left, or the job began meanwhile */
	else if (again)
		ask(v);
	else if (e && e->code == ENOENT)
		view_end(v, WS_POLICY, "there is no such job any more");
	else if (!e && r->job.state == QUEUE_LEASED)
		follow(v); /* on another node; if it ran here, we had been told */
	else if (!e && (r->job.state == QUEUE_DONE || r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED))
		attach_record(v, r); /* any other failure: the next sign of life asks again */
	view_unref(v);               /* ours, of ask(): NOLINT(clang-analyzer-unix.Malloc) */
	ask_waiting(all);
}

/* What does the queue say of it? An answer holds a whole journal, so only a few are on their way at a time. */
static void ask(struct view *v)
{
	struct views *all = v->all;

	if (v->is_asking) {
		v->ask_again = true;
		return;
	}
	v->must_wait = all->n_asking >= ASKING_MAX;
	if (!v->must_wait && lookup_again(v->all->env->lookup, &v->name, true, on_record, v) == 0) {
		v->is_asking = true;
		v->references++;
		all->n_asking++;
	}
}

static void ask_waiting(struct views *all)
{
	for (struct view *v = all->first; v && all->n_asking < ASKING_MAX; v = v->next) {
		if (v->must_wait)
			ask(v);
	}
}

void views_started(struct views *all, struct job *job)
{
	struct job_name name = job_name(job);

	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (!v->journal && job_name_equal(&v->name, &name))
			attach(v, job_journal(job), job_attempt(job), NULL);
	}
}

void views_recorded(struct views *all, const struct job_name *name)
{
	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (!job_name_equal(&v->name, name))
			continue;
		v->is_recorded = true;
		if (v->journal)
			view_pump(v);
		else
			ask(v);
	}
}

void views_returned(struct views *all, const struct job_name *name, unsigned attempt)
{
	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (!job_name_equal(&v->name, name) || (v->journal && v->attempt != attempt))
			continue;
		detach(v);
		ask(v); /* dead, or waiting for its next attempt */
	}
}

void views_revoke(struct views *all, const char *key_id)
{
	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (strcmp(v->key_id, key_id) == 0)
			view_end(v, WS_POLICY, "the key was revoked");
	}
}

void view_begin(struct view *v)
{
	struct views *all = v->all;
	struct job *job = engine_find(all->env->engine, &v->name);

	v->next = all->first;
	v->prev = &all->first;
	if (v->next)
		v->next->prev = &v->next;
	all->first = v;
	if (job)
		attach(v, job_journal(job), job_attempt(job), NULL);
	else
		ask(v);
}

/* ---- all of them ---- */

/* With several nodes a job may begin, and end, where nobody tells us: ask for those that are waited for. */
static void on_tick(uv_timer_t *t)
{
	struct views *all = t->data;
	bool is_keep_alive = ++all->ticks % (KEEP_ALIVE_MS / TICK_MS) == 0;

	for (struct view *v = all->first, *next; v; v = next) {
		next = v->next;
		if (is_keep_alive && v->form == FORM_SSE && v->rq && !v->is_late && view_queued(v) == 0)
			(void)http_stream_write(v->rq, ": still here\n\n", 14);
		if (!v->journal && (all->env->has_other_nodes || is_keep_alive))
			ask(v);
	}
}

struct views *views_new(const struct views_env *env)
{
	struct views *all = alloc_zeroed(1, sizeof(*all));

	all->env = env;
	uv_timer_init(env->loop, &all->tick);
	uv_timer_init(env->loop, &all->input_tick);
	all->tick.data = all->input_tick.data = all;
	uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS);
	return all;
}
