/*
 * However a job ends, its result has the same fields: ended by itself, by a limit, refused, lost, cancelled before it
 * ran, cancelled while a front died, dead. What is not known is null, and never missing.
 */
#include "tests/unit/supervisor/queue/queue_fixture.h"

#include "runtime/verdict.h"
#include "supervisor/front/api_job_json.h"

static json_t *shown; /* what GET /v1/jobs/ID shows */

static void on_record(const struct error *e, const struct queue_record *r, void *arg)
{
	(void)arg;
	fixture_note(e);
	json_decref(shown);
	shown = r ? api_job_json(r) : NULL;
}

static void show(struct fixture *f, const char *id)
{
	fixture_reset();
	is_int(fixture_wait(f, queue_get(f->q, id, false, on_record, NULL)), 0, "job '%s' is shown", id);
}

/* Each field of the one is in the other. */
static void has_all(const json_t *o, const json_t *fields, const char *what)
{
	const char *key;
	const json_t *value;
	char missing[512] = "";

	json_object_foreach((json_t *)fields, key, value)
	{
		if (!json_object_get(o, key)) {
			(void)strcat(missing, " "); /* some twenty short names */
			(void)strcat(missing, key);
		}
	}
	is_str(missing, "", "%s: no field is missing", what);
}

/* A result of the one maker, as a run that ended so has it. */
static json_t *run_result(enum verdict_status status, bool has_run)
{
	struct job_result r = { .id = "x",
				.run = { .has_run = has_run, .wall_ns = 5 },
				.verdict = { .status = status, .exit_code = -1 },
				.runtime = "python",
				.attempt = 1,
				.queued_ms = 1,
				.started_ms = 2,
				.finished_ms = 3 };
	json_t *o = job_result_json(&r, NULL);

	need(o != NULL, "a result of a run");
	return o;
}

static void is_shown(struct fixture *f, const char *id, const json_t *fields, const char *state, const char *status)
{
	show(f, id);
	has_all(shown, fields, id);
	is_str(json_string_value(json_object_get(shown, "state")), state, "its state");
	is_str(json_string_value(json_object_get(shown, "status")), status, "its status");
	is_str(json_string_value(json_object_get(shown, "runtime")), "python", "its language");
	ok(json_is_string(json_object_get(shown, "finished_at")), "and when it ended");
}

int main(void)
{
	json_t *fields = run_result(VERDICT_OK, true);
	struct fixture f;

	for (int status = 0; status < VERDICT_COUNT; status++) {
		for (int has_run = 0; has_run < 2; has_run++) {
			json_t *o = run_result((enum verdict_status)status, has_run);

			has_all(o, fields, verdict_name((enum verdict_status)status));
			has_all(fields, o, "and the other way round");
			json_decref(o);
		}
	}

	fixture_init(&f, "ends");
	f.options.attempts = 1;
	fixture_close(&f);
	fixture_open(&f);
	(void)submit(&f, "cancelled", "ann");
	(void)cancel(&f, "cancelled", "ann");
	is_shown(&f, "cancelled", fields, "cancelled", "cancelled");
	(void)submit(&f, "lost", "ann");
	(void)take(&f, 1);
	(void)cancel(&f, "lost", "ann");
	(void)give_back(&f, "lost", 1, "the front died", QUEUE_FAILED);
	is_shown(&f, "lost", fields, "cancelled", "cancelled");
	(void)submit(&f, "failed", "ann");
	(void)take(&f, 1);
	(void)give_back(&f, "failed", 1, "the pool broke", QUEUE_FAILED);
	is_shown(&f, "failed", fields, "dead", "internal_error");
	is_str(json_string_value(json_object_get(shown, "reason")), "the pool broke", "why");
	is_str(json_string_value(json_object_get(shown, "owner")), "ann", "and whose it is");
	(void)submit(&f, "buried", "ann");
	(void)take(&f, 1);
	(void)bury(&f, "buried", 1, "malformed");
	is_shown(&f, "buried", fields, "dead", "internal_error");
	fixture_done(&f);
	json_decref(shown);
	json_decref(fields);
	fixture_reset();
	return done_testing();
}
