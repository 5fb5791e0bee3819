/* Jobs into the first stream: see redis_submit() in redis.h. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/text.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

struct submitting {
	struct redis *r;
	queue_submit_fn *fn;
	void *arg;
};

static void fail(struct submitting *s, int code, const char *words)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "%s", words);
	s->fn(&e, QUEUE_ACCEPTED, "", s->arg);
}

static void on_submitted(const struct error *e, const redisReply *reply, void *arg)
{
	struct submitting *s = arg;
	const char *what = reply_text(reply, 0);

	redis_note(s->r, e);
	if (e) /* the words of a server are for the operator: /readyz and the log have them */
		fail(s, EAGAIN,
		     e->code == EPROTO || e->code == ENOSPC || e->code == EROFS
			     ? "Redis refuses jobs at the moment, try again later"
			     : "Redis was lost before it answered: the job may have been taken, or not");
	else if (strcmp(what, "ok") == 0)
		s->fn(NULL, QUEUE_ACCEPTED, reply_text(reply, 1), s->arg);
	else if (strcmp(what, "same") == 0)
		s->fn(NULL, QUEUE_DUPLICATE, reply_text(reply, 1), s->arg);
	else if (strcmp(what, "used") == 0)
		fail(s, EEXIST, "the idempotency key was used with another request");
	else if (strcmp(what, "taken") == 0)
		fail(s, EEXIST, "the id is taken");
	else
		fail(s, ENOBUFS, "the queue is full");
	free(s);
}

/* The payload a producer would write: the spec, with id and owner in front. */
static char *payload_text(const struct queue_job *job, size_t *ret_size)
{
	struct buf out = BUF_BOUNDED(job->spec_size + 512);
	json_t *head = json_pack("{ss ss}", "id", job->id, "owner", job->owner);
	cleanup_free char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;
	int rc = text && job->spec_size > 2 && job->spec[0] == '{' ? 0 : -EINVAL;

	json_decref(head);
	if (rc == 0)
		rc = buf_append(&out, text, strlen(text) - 1);
	if (rc == 0)
		rc = buf_append(&out, ",", 1);
	if (rc == 0)
		rc = buf_append(&out, job->spec + 1, job->spec_size - 1);
	if (rc < 0) {
		buf_done(&out);
		return NULL;
	}
	*ret_size = out.size;
	return buf_take(&out);
}

int redis_submit(struct redis *r, const struct queue_job *job, queue_submit_fn *fn, void *arg)
{
	const struct redis_source *to = &r->sources[0];
	size_t size = 0;
	cleanup_free char *payload = NULL;
	struct submitting *s;
	struct redis_args a;
	int rc;

	if (r->n_sources == 0 || to->is_list)
		return -EAGAIN;
	payload = payload_text(job, &size);
	if (!payload)
		return -ENOMEM;
	s = alloc_bytes(sizeof(*s));
	*s = (struct submitting){ .r = r, .fn = fn, .arg = arg };
	args_init(&a, r);
	args_text(&a, to->name);
	args_text(&a, to->group);
	args_text(&a, to->field);
	args_bytes(&a, payload, size);
	args_text(&a, job->id);
	args_text(&a, job->owner);
	args_bytes(&a, job->spec, job->spec_size);
	args_number(&a, r->env.settings->queue_max);
	args_number(&a, REDIS_ALIVE_MS);
	args_text(&a, job->key);
	args_text(&a, job->fingerprint);
	args_number(&a, r->retention_ms);
	args_number(&a, job->not_before_ms > job->queued_ms ? job->not_before_ms - job->queued_ms : 0);
	args_number(&a, job->retention_ms);
	args_signed(&a, job->priority);
	rc = args_eval(&a, r, &redis_lua_submit, on_submitted, s);
	if (rc < 0)
		free(s);
	return rc;
}
