/* Jobs as JSON: see api_job_json.h. */
#include "supervisor/front/api_job_json.h"

#include "runtime/base/json_bytes.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/jobs/result.h"
#include "supervisor/queue/queue.h"

static void set_time(json_t *object, const char *key, uint64_t ms)
{
	char text[32];

	if (ms == 0)
		return;
	time_text(ms, text, sizeof(text));
	(void)json_object_set_new(object, key, json_string(text));
}

static json_t *job_json(const struct queue_job *j)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:i,s:i}", "id", j->id, "state", queue_state_name(j->state), "owner",
			      j->owner, "attempt", (int)(j->attempt - j->unstarted), "priority", j->priority);

	if (!o)
		return NULL;
	if (*j->status)
		(void)json_object_set_new(o, "status", json_string(j->status));
	if (*j->reason)
		(void)json_object_set_new(o, "reason", json_string(j->reason));
	if (*j->last_node)
		(void)json_object_set_new(o, "node", json_string(j->last_node));
	if (*j->key)
		(void)json_object_set_new(o, "idempotency_key", json_string(j->key));
	set_time(o, "queued_at", j->queued_ms);
	set_time(o, "not_before", j->not_before_ms);
	set_time(o, "finished_at", j->finished_ms);
	return o;
}

/* Which language: from the request as it is kept. */
static void set_runtime(json_t *o, const struct queue_job *j)
{
	json_t *spec = j->spec ? json_loadb(j->spec, j->spec_size, 0, NULL) : NULL;
	json_t *runtime = json_object_get(spec, "runtime");

	if (json_is_string(runtime))
		(void)json_object_set(o, "runtime", runtime);
	json_decref(spec);
}

/* A dead letter has ended too: the fields of a result are there, as of a job that ended for a fault of ours. */
static json_t *dead_json(const struct queue_job *j)
{
	const struct queue_unrun u = { .id = j->id,
				       .node = j->last_node,
				       .reason = j->reason,
				       .spec = j->spec,
				       .spec_size = j->spec_size,
				       .attempt = j->attempt - j->unstarted,
				       .queued_ms = j->queued_ms,
				       .finished_ms = j->finished_ms };
	json_t *o = job_result_unrun_json(VERDICT_INTERNAL_ERROR, &u), *more = job_json(j);

	if (o && more)
		(void)json_object_update(o, more);
	json_decref(more);
	return o;
}

json_t *api_job_json(const struct queue_record *r)
{
	json_t *o = r->result ? json_loadb(r->result, r->result_size, 0, NULL) : NULL;

	if (o) {
		(void)json_object_set_new(o, "state", json_string(queue_state_name(r->job.state)));
		return o;
	}
	if (r->job.state == QUEUE_DEAD)
		return dead_json(&r->job);
	o = job_json(&r->job);
	if (o)
		set_runtime(o, &r->job);
	return o;
}

/* A letter as it came: what could not be read of it is not there. */
static json_t *letter_json(const struct queue_job *j)
{
	const struct queue_letter *l = j->letter;
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:s,s:s,s:I}", "id", j->id, "state", queue_state_name(j->state),
			      "letter", l->entry, "reason", j->reason, "attempt", (int)j->attempt, "attempts",
			      (int)j->attempt, "node", j->last_node, "source", l->source, "payload_bytes",
			      (json_int_t)l->payload_bytes);

	if (!o)
		return NULL;
	if (*j->owner)
		(void)json_object_set_new(o, "owner", json_string(j->owner));
	set_time(o, "finished_at", j->finished_ms);
	(void)json_set_bytes(o, "payload", l->payload, l->payload_size); /* without, then */
	return o;
}

json_t *api_job_row(const struct queue_job *job)
{
	return job->letter ? letter_json(job) : job_json(job);
}
