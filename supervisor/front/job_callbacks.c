/* Callbacks of jobs: see job_callbacks.h. */
#include "supervisor/front/job_callbacks.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/callback/callback.h"
#include "supervisor/front/api_job_json.h"
#include "supervisor/front/sources.h"
#include "supervisor/jobs/result.h"
#include "supervisor/spec/spec.h"

/* As callbacks are armed. */
struct name {
	char text[sizeof(CALLBACK_REDIS) + QUEUE_ID_BYTES];
};

static struct name name_of(enum queue_space space, const char *id)
{
	struct name name;

	(void)snprintf(name.text, sizeof(name.text), "%s%s", space == SPACE_REDIS ? CALLBACK_REDIS : "", id);
	return name;
}

/* ---- what is asked for ---- */

/* A job whose end somebody wants to be told of, while its source is asked. */
struct question {
	struct job_callbacks *callbacks;
	char name[];
};

/* Not known for a moment: no answer, it is asked for again. */
static void on_record(const struct error *e, const struct queue_record *r, void *arg)
{
	struct question *q = arg;
	struct callbacks *open = q->callbacks->open;
	bool is_over =
		!e && (r->job.state == QUEUE_DONE || r->job.state == QUEUE_DEAD || r->job.state == QUEUE_CANCELLED);
	json_t *json = is_over ? api_job_json(r) : NULL;
	char *text = json ? json_dumps(json, JOB_RESULT_DUMP) : NULL;

	if (open && (text || (e && e->code == ENOENT) || (!e && !is_over)))
		callbacks_result(open, q->name, text);
	json_decref(json);
	free(text);
	free(q);
}

/* One of Redis that is not in the settings any more is not answered: it may come back. */
static int ask(const struct sources *sources, struct question *q)
{
	size_t n = strlen(CALLBACK_REDIS);
	struct source *home = sources->home;

	if (strncmp(q->name, CALLBACK_REDIS, n) != 0)
		return home->ops->get(home->self, q->name, false, on_record, q);
	for (size_t i = 0; i < sources->n; i++) {
		const struct source *s = sources->all[i];

		if (s->space == SPACE_REDIS) /* they know of each other's jobs */
			return s->ops->get(s->self, q->name + n, false, on_record, q);
	}
	return -EAGAIN;
}

static void on_wants(struct callbacks *open, const char *name, void *arg)
{
	struct job_callbacks *c = arg;
	struct question *q = alloc_bytes(sizeof(*q) + strlen(name) + 1);

	(void)open;
	q->callbacks = c;
	memcpy(q->name, name, strlen(name) + 1);
	if (ask(c->sources, q) < 0)
		free(q);
}

/* ---- arming ---- */

int job_callbacks_check(const struct job_callbacks *c, const char *url, struct error *err)
{
	return c->open ? callbacks_check_url(c->open, url, err) : error_set(err, EAGAIN, "this node is being stopped");
}

int job_callbacks_arm(struct job_callbacks *c, const char *id, const char *url, const char *secret,
		      void (*done)(const struct error *e, void *arg), void *arg)
{
	return c->open ? callbacks_arm(c->open, id, url, secret, done, arg) : -EAGAIN;
}

static void on_armed(const struct error *e, void *arg)
{
	(void)arg;
	if (e)
		log_warning(LOG_FACTS(LOG_STR("error", e->text)),
			    "a callback of a job from Redis could not be stored, it may not be made");
}

int job_callbacks_arm_leased(struct job_callbacks *c, enum queue_space space, const char *id,
			     const struct job_spec *spec, struct error *err)
{
	int r;

	if (space != SPACE_REDIS || !spec->callback_url)
		return 0;
	r = job_callbacks_check(c, spec->callback_url, err);
	if (r < 0)
		return r == -EAGAIN ? r : error_wrap(err, "callback.url");
	r = callbacks_arm(c->open, name_of(space, id).text, spec->callback_url, spec->callback_secret, on_armed, NULL);
	if (r == 0 || r == -EEXIST) /* an earlier attempt did */
		return 0;
	return error_set(err, EAGAIN, "its callback cannot be stored at the moment");
}

void job_callbacks_disarm(struct job_callbacks *c, enum queue_space space, const char *id)
{
	if (c->open)
		callbacks_disarm(c->open, name_of(space, id).text);
}

void job_callbacks_fire(struct job_callbacks *c, enum queue_space space, const char *id)
{
	if (c->open)
		callbacks_fire(c->open, name_of(space, id).text);
}

/* ---- life ---- */

void job_callbacks_counts(const struct job_callbacks *c, struct callbacks_counts *ret)
{
	*ret = (struct callbacks_counts){ .armed = 0 };
	if (c->open)
		callbacks_counts(c->open, ret);
}

int job_callbacks_open(struct job_callbacks *c, uv_loop_t *loop, struct db *db, const struct settings *settings,
		       const struct sources *sources, struct error *err)
{
	*c = (struct job_callbacks){ .sources = sources };
	return callbacks_open(loop, db, settings, on_wants, c, &c->open, err);
}

void job_callbacks_close(struct job_callbacks *c, void (*done)(void *arg), void *arg)
{
	struct callbacks *open = c->open;

	c->open = NULL; /* an answer of a source may still be on its way */
	callbacks_close(open, done, arg);
}
