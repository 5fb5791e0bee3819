/*
 * One sandbox of the pool, from CREATE to ready, and its end: see pool_impl.h.
 *
 *   CREATED -> REPORT, at once: it is served when the agent is up
 *           <- READY, READY of the probe
 *           -> START of the waiting interpreter, when there is to be one
 *           <- STARTED, one byte on the interpreter's standard output
 *
 * What may come when, and what is done about it, is a table: item_life.h.
 *
 * Until somebody's program runs in it the agent is as we made it, so what it says of its own restrictions is worth
 * asking for. All the same it is checked like any other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/config.h"
#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "supervisor/pool/agent_link.h"
#include "supervisor/pool/fd_watch.h"
#include "supervisor/pool/pool_impl.h"

/* The monitor's answer, while it is looked at. */
struct created {
	const struct monitor_created *m;
	struct sandbox_fds *fds;
};

enum { SECCOMP_FILTERED = 2, IDENTITY = 1000 };

/* ---- the end of one ---- */

static void unlink_item(struct pool_item *item)
{
	struct pool_class *c = item->class;

	*item->prev = item->next;
	if (item->next)
		item->next->prev = item->prev;
	if (item->purpose == ITEM_FOR_USE) {
		if (item->state == ITEM_READY)
			c->n_ready--;
		else if (item->state == ITEM_PARKED)
			c->n_parked--;
		else
			c->n_starting--;
	} else if (item->purpose == ITEM_TO_MEASURE) {
		c->is_measuring = false;
	} else if (item->purpose == ITEM_TO_ASK && item->version) {
		c->pool->n_asking--;
		item->version->is_asked = item->version->text[0] != '\0'; /* otherwise again, a few times */
	}
}

void pool_item_free(struct pool_item *item)
{
	unlink_item(item);
	fd_watch_free(&item->out[0]);
	fd_watch_free(&item->out[1]);
	if (item->said) {
		buf_done(&item->said[0]);
		buf_done(&item->said[1]);
		free(item->said);
	}
	item->s.class = NULL; /* it was not claimed */
	ready_sandbox_done(&item->s);
	free(item);
}

static void on_finished(const struct error *e, const struct monitor_facts *f, void *arg)
{
	(void)e; /* gone already, or the monitor is: there is nothing more to do about it */
	(void)f;
	pool_answered(arg);
}

/* What one costs. The class may be gone by now: found again by its key. */
struct measured {
	struct pool *pool;
	char key[POOL_KEY_BYTES];
};

static void on_measured(const struct error *e, const struct monitor_facts *f, void *arg)
{
	struct measured *m = arg;
	struct pool_class *c = m->pool->classes;

	while (c && strcmp(c->key, m->key) != 0)
		c = c->next;
	if (c && !e && f->memory_peak_bytes != CGROUP_UNKNOWN && f->memory_peak_bytes > 0)
		c->cost_bytes = f->memory_peak_bytes + POOL_COST_RESERVE;
	else if (c)
		c->cost_bytes = c->what.may_prestart ? POOL_COST_PRESTARTED : POOL_COST_PLAIN;
	pool_answered(m->pool);
	free(m);
}

static int finish_measured(struct pool_item *item)
{
	struct measured *m = alloc_bytes(sizeof(*m));

	m->pool = item->class->pool;
	memcpy(m->key, item->class->key, sizeof(m->key));
	if (monitor_finish_sandbox(m->pool->monitor, item->s.id, on_measured, m) < 0) {
		free(m);
		return -EAGAIN;
	}
	return 0;
}

void pool_item_end(struct pool_item *item)
{
	struct pool *p = item->class->pool;
	bool is_measured = item->purpose == ITEM_TO_MEASURE && item->state == ITEM_READY;

	/* when too much waits for the monitor, closing our end of the socket does not end it: it is finished by the next front */
	if ((is_measured ? finish_measured(item) : monitor_finish_sandbox(p->monitor, item->s.id, on_finished, p)) == 0)
		p->n_pending++;
	pool_item_free(item);
}

void pool_item_fail_now(struct pool_item *item, const struct error *e)
{
	struct pool_class *c = item->class;
	bool is_proof = item->purpose == ITEM_TO_PROVE, is_early = !item_is_claimable(item) && !item->process_seq;
	bool is_launchers = item->process_seq && item->purpose != ITEM_TO_ASK;

	if (item->process_seq && item->purpose == ITEM_FOR_USE && ++c->prestart_failures == POOL_PRESTART_TRIES) {
		c->is_plain = true;
		log_warning(LOG_FACTS(LOG_STR("runtime", c->runtime->name), LOG_STR("reason", e->text)),
			    "the waiting interpreter does not start, going without");
	}
	if (item->version)
		item->version->failures++;
	pool_item_end(item);
	if (is_proof) {
		pool_proof_over(c->pool, e);
		return;
	}
	if (is_early) /* not of what a runtime starts in it */
		pool_outcome(c->pool, e);
	pool_class_failed(c, e, !is_launchers);
}

void pool_item_finish(struct pool_item *item)
{
	pool_item_event(item, ITEM_EV_UNWANTED, NULL);
}

void pool_item_fail(struct pool_item *item, const struct error *e)
{
	pool_item_event(item, ITEM_EV_FAULT, e);
}

void pool_item_fail_text(struct pool_item *item, int code, const char *text)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "%s", text);
	pool_item_fail(item, &e);
}

/* ---- ready ---- */

static bool wants_interpreter(const struct pool_item *item)
{
	return item->purpose != ITEM_TO_ASK && item->purpose != ITEM_TO_PROVE && pool_class_prestarts(item->class);
}

/* Somebody waits for it, or claims come faster than an interpreter starts: it would be worth less than it costs. */
static enum item_event after_check(const struct pool_item *item)
{
	if (!wants_interpreter(item))
		return ITEM_EV_WHOLE;
	if (item->purpose != ITEM_FOR_USE)
		return ITEM_EV_LAUNCH;
	return item->is_plain || !pool_class_is_quiet(item->class, clock_now_ns()) ? ITEM_EV_PARK : ITEM_EV_LAUNCH;
}

/* It could be made: said once of each. */
static void note_made(struct pool_item *item)
{
	item->s.ready_ns = clock_now_ns();
	if (item->is_counted)
		return;
	item->is_counted = true;
	item->class->failures = 0;
	item->class->made++;
}

static void become_whole(struct pool_item *item)
{
	bool is_news = !item->is_counted;

	note_made(item);
	if (item->purpose == ITEM_TO_PROVE) {
		struct pool *p = item->class->pool;

		pool_item_finish(item);
		pool_proof_over(p, NULL);
		return;
	}
	if (is_news)
		pool_outcome(item->class->pool, NULL);
	pool_item_event(item, ITEM_EV_READY, NULL);
}

static void become_parked(struct pool_item *item)
{
	note_made(item);
	item->class->n_starting--;
	item->class->n_parked++;
	pool_outcome(item->class->pool, NULL);
	pool_item_ready(item);
}

void pool_item_warm(struct pool_item *item)
{
	pool_item_event(item, ITEM_EV_LAUNCH, NULL);
}

static void warm(struct pool_item *item)
{
	item->class->n_parked--;
	item->class->n_starting++;
	pool_process_launch(item);
}

static void become_ready(struct pool_item *item)
{
	if (item->purpose == ITEM_TO_MEASURE) {
		pool_item_finish(item);
		return;
	}
	item->class->n_starting--;
	item->class->n_ready++;
	pool_item_ready(item);
}

/* What the kernel says of a process in it. */
static bool is_restricted(const struct agent_ready *r)
{
	return r->is_probe && r->seccomp == SECCOMP_FILTERED && r->no_new_privs == 1 && r->cap_eff == 0 &&
	       r->cap_prm == 0 && r->uid == IDENTITY && r->gid == IDENTITY;
}

/* ---- what the agent says ---- */

/* What a message of the agent is to the table; ITEM_EVENTS: nothing that was asked for. */
static enum item_event event_of(struct pool_item *item, const struct agent_event *e)
{
	uint32_t seq = e->header.seq;

	switch (e->header.type) {
	case AGENT_READY:
		if (seq == 0 && !item->is_up) {
			item->is_up = true;
			return ITEM_EV_UP;
		}
		return seq && seq == item->report_seq && is_restricted(&e->any.ready) ? ITEM_EV_PROBED : ITEM_EVENTS;
	case AGENT_STARTED:
		return seq && seq == item->process_seq ? ITEM_EV_STARTED : ITEM_EVENTS;
	case AGENT_EXITED:
		return seq && seq == item->process_seq ? ITEM_EV_EXITED : ITEM_EVENTS;
	default:
		return ITEM_EVENTS;
	}
}

static void fail_odd(struct pool_item *item)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, EPROTO, "the agent sent what was not asked for, or its restrictions are not in place");
	pool_item_fail_now(item, &e);
}

static void on_event(struct agent_event *e, void *arg)
{
	struct pool_item *item = arg;
	struct error err = ERROR_INIT;
	enum item_event event;

	if (e->header.type == AGENT_FAILED || e->header.type == AGENT_REFUSED) {
		(void)agent_failure(&e->any.failed, &err);
		pool_item_fail(item, &err);
		return;
	}
	event = event_of(item, e);
	item->said_event = e;
	if (event == ITEM_EVENTS)
		fail_odd(item);
	else
		pool_item_event(item, event, NULL);
}

static void on_gone(const struct error *e, void *arg)
{
	if (e)
		pool_item_fail(arg, e);
	else
		pool_item_fail_text(arg, EPIPE, "the sandbox ended before anybody used it");
}

static const struct agent_handlers handlers = { on_event, on_gone };

/* ---- making ---- */

static int ask_report(struct pool_item *item, struct error *err)
{
	item->report_seq = agent_link_seq(item->s.link);
	return agent_link_send(item->s.link, AGENT_REPORT, item->report_seq, NULL, err);
}

/* Another policy under the same name: what stands ready with the old one is not what is asked for. */
static void check_policy(struct pool_item *item)
{
	struct pool_class *c = item->class;

	if (c->policy_digest[0] && (strcmp(c->policy_digest, item->s.policy_digest) != 0 ||
				    strcmp(c->compile_policy_digest, item->s.compile_policy_digest) != 0)) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			if (item_is_claimable(i) && i->purpose == ITEM_FOR_USE)
				pool_item_finish(i);
		}
	}
	memcpy(c->policy_digest, item->s.policy_digest, sizeof(c->policy_digest));
	memcpy(c->compile_policy_digest, item->s.compile_policy_digest, sizeof(c->compile_policy_digest));
}

/* A version is asked for without a report: only our own program runs in it. */
static void begin(struct pool_item *item, const struct created *created)
{
	struct pool_class *c = item->class;
	struct error err = ERROR_INIT;
	int r;

	if (c->is_old && !c->waits && item->purpose != ITEM_TO_PROVE) {
		pool_item_finish(item);
		return;
	}
	item->s.fds = *created->fds;
	*created->fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	(void)text_copy(item->s.policy_digest, sizeof(item->s.policy_digest), created->m->policy_digest);
	(void)text_copy(item->s.compile_policy_digest, sizeof(item->s.compile_policy_digest),
			created->m->compile_policy_digest);
	r = agent_link_new(c->pool->loop, fd_take(&item->s.fds.sock), &handlers, item, &item->s.link, &err);
	if (r == 0 && item->purpose != ITEM_TO_ASK)
		check_policy(item);
	if (r == 0 && item->purpose == ITEM_TO_ASK) {
		pool_item_event(item, ITEM_EV_ASK, NULL);
		return;
	}
	if (r == 0)
		r = ask_report(item, &err);
	if (r < 0)
		pool_item_fail(item, &err);
}

/* It could not be made; those who wait are told unless nobody wants it any more. */
static void not_made(struct pool_item *item, bool is_wanted, const struct error *e)
{
	struct pool_class *c = item->class;
	bool is_proof = item->purpose == ITEM_TO_PROVE;

	if (item->version)
		item->version->failures++;
	pool_item_free(item);
	if (!is_wanted || !e) /* who is wanted has a reason: REFUSED brings it */
		return;
	if (is_proof) {
		if (e->code == ENOMEDIUM)
			pool_image_lost(c);
		pool_proof_over(c->pool, e);
		return;
	}
	if (e->code != ENOMEDIUM)
		pool_outcome(c->pool, e);
	pool_class_failed(c, e, true);
}

static void on_created(const struct error *e, const struct monitor_created *m, struct sandbox_fds *fds, void *arg)
{
	struct pool_item *item = arg;
	struct pool *p = item->class->pool;
	const struct created created = { m, fds };

	if (p->is_freed) { /* the front ends, and the next one finishes what is tagged 'p' */
		not_made(item, false, e);
		pool_answered(p);
	} else if (e) {
		pool_item_event(item, ITEM_EV_REFUSED, e);
		pool_answered(p);
	} else {
		pool_answered(p);
		item->created = &created;
		pool_item_event(item, ITEM_EV_CREATED, NULL);
	}
}

/* ---- what the table says ---- */

static void fail_late(struct pool_item *item)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, ETIMEDOUT, "the sandbox does not become ready");
	pool_item_fail_now(item, &e);
}

/* e: of a fault, or why it was not made. item may be gone afterwards. */
void pool_item_event(struct pool_item *item, enum item_event event, const struct error *e)
{
	const struct item_cell cell = item_life(item->state, event);

	if (cell.next != ITEM_OVER) /* what is over is freed, and counted as what it was */
		item->state = cell.next;
	switch (cell.act) {
	case ITEM_ACT_IGNORE:
	case ITEM_ACT_NOTE:
	case ITEM_ACTS:
		return;
	case ITEM_ACT_ODD:
		fail_odd(item);
		return;
	case ITEM_ACT_BEGIN:
		begin(item, item->created);
		return;
	case ITEM_ACT_TELL:
		not_made(item, true, e);
		return;
	case ITEM_ACT_FORGET:
		not_made(item, false, e);
		return;
	case ITEM_ACT_ASK:
		pool_process_ask(item);
		return;
	case ITEM_ACT_CHECK:
		pool_item_event(item, after_check(item), NULL);
		return;
	case ITEM_ACT_LAUNCH:
		pool_process_launch(item);
		return;
	case ITEM_ACT_PARK:
		become_parked(item);
		return;
	case ITEM_ACT_WARM:
		warm(item);
		return;
	case ITEM_ACT_TAKE:
		pool_process_take(item, item->said_event);
		return;
	case ITEM_ACT_ANSWER:
		pool_process_answer(item, &item->said_event->any.exited);
		return;
	case ITEM_ACT_LOST:
		pool_process_lost(item);
		return;
	case ITEM_ACT_WHOLE:
		become_whole(item);
		return;
	case ITEM_ACT_READY:
		become_ready(item);
		return;
	case ITEM_ACT_FAIL:
		pool_item_fail_now(item, e);
		return;
	case ITEM_ACT_LATE:
		fail_late(item);
		return;
	case ITEM_ACT_END:
		pool_item_end(item);
		return;
	}
}

/* ---- asking for one ---- */

#define DEFAULT_POLICY "default"

static bool may_have_default(const struct settings *s)
{
	return !s->allow_policies[0] || text_has_word(s->allow_policies, DEFAULT_POLICY);
}

/* The version of a language is our question: what a job's policy refuses its programs is no reason not to know it. */
static void fill_create(const struct pool_item *item, struct monitor_create *m)
{
	const struct sandbox_class *w = &item->class->what;

	*m = (struct monitor_create){
		.network = w->network,
		.memory_bytes = w->memory_bytes,
		.disk_bytes = w->disk_bytes,
		.processes = w->processes,
		.cpus_milli = w->cpus_milli,
		.tag = "p",
		.tag_size = 1,
	};
	(void)text_copy(m->id, sizeof(m->id), item->s.id);
	(void)text_copy(m->manifest, sizeof(m->manifest), item->s.manifest);
	if (item->purpose == ITEM_TO_ASK && may_have_default(item->class->pool->settings)) {
		(void)text_copy(m->policy, sizeof(m->policy), DEFAULT_POLICY);
		return;
	}
	(void)text_copy(m->policy, sizeof(m->policy), w->policy);
	(void)text_copy(m->compile_policy, sizeof(m->compile_policy), w->compile_policy);
}

int pool_make(struct pool_class *c, enum item_purpose purpose, bool is_plain, struct error *err)
{
	struct pool *p = c->pool;
	struct pool_item *item = alloc_zeroed(1, sizeof(*item));
	struct monitor_create m;
	int r;

	item->class = c;
	item->purpose = purpose;
	item->is_plain = is_plain;
	item->deadline_ns = clock_deadline_ns(POOL_READY_S * NS_PER_S);
	item->s.fds = (struct sandbox_fds){ -1, -1, -1, -1 };
	for (int i = 0; i < 3; i++)
		item->s.prestart_fds[i] = -1;
	item->s.image_env = c->manifest->config->env.items;
	item->s.version = c->version->text;
	(void)snprintf(item->s.id, sizeof(item->s.id), "%s%" PRIu64, p->prefix, ++p->n_ids);
	memcpy(item->s.manifest, c->manifest->manifest, sizeof(item->s.manifest));
	fill_create(item, &m);
	r = monitor_create_sandbox(p->monitor, &m, on_created, item);
	if (r < 0) {
		free(item);
		return error_errno(err, -r, "ask for a sandbox");
	}
	p->n_pending++;
	item->next = c->items;
	item->prev = &c->items;
	if (c->items)
		c->items->prev = &item->next;
	c->items = item;
	if (purpose == ITEM_FOR_USE) {
		c->n_starting++;
	} else if (purpose == ITEM_TO_MEASURE) {
		c->is_measuring = true;
	} else if (purpose == ITEM_TO_ASK) {
		p->n_asking++;
		item->version = c->version;
		c->version->is_asked = true;
	}
	return 0;
}

void pool_items_check(struct pool *p, uint64_t now_ns)
{
	for (struct pool_class *c = p->classes; c; c = c->next) {
		for (struct pool_item *i = c->items, *next; i; i = next) {
			next = i->next;
			if (now_ns > i->deadline_ns && item_life(i->state, ITEM_EV_TIME).act != ITEM_ACT_IGNORE) {
				pool_item_event(i, ITEM_EV_TIME, NULL);
				return; /* the lists may have changed: the rest at the next turn */
			}
		}
	}
}
