/*
 * A job of cases: one program, compiled once, run for many inputs. See job.h.
 *
 * The job itself has no sandbox. It orders a job of its own for the compiler and then one for each case, which nobody
 * else sees: with its limits, its verdict and its figures, in a sandbox in which nothing ran before. So no case can leave
 * anything for the next: what the compiler made comes out of the cache of artefacts, as the compiler left it. What they
 * print goes on into the journal of the job, between an event that says which case begins and one that says how it went.
 *
 * A front that dies takes the cases with it: the job is given to another, which begins again.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/text.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/jobs/checker.h"
#include "supervisor/jobs/job.h"
#include "supervisor/settings.h"

struct job_cases {
	size_t next;                  /* case to be begun */
	bool is_compiled;             /* or needs not be */
	struct job *child;            /* at work; NULL: none */
	struct journal_reader reader; /* of its journal */
	uint64_t seen;                /* number of its last event that we have */
	uint64_t room;                /* bytes of output that the result still takes, of all cases together */
	uint64_t live_room;           /* the same of the journal */
	uint64_t outputs_room;        /* and of files handed back */
	json_t *list;                 /* results so far, in the order of the cases */
	struct verdict verdict;       /* of the first that was not ok */
	bool has_failed;              /* one did not pass */
	size_t n_expecting, n_passed; /* cases that ran and were held against something; that passed of them */
};

static void go_on(struct job *job);

/* ---- the journal ---- */

static void take_event(struct job *job, const struct journal_event *e)
{
	struct job_cases *c = job->cases;
	uint64_t size = e->size < c->live_room ? e->size : c->live_room;

	if (e->type != JOURNAL_STDOUT && e->type != JOURNAL_STDERR)
		return;
	c->live_room -= size;
	if (size) /* a journal that is full costs what is seen live, the result has its own */
		(void)journal_put(job->journal, e->type, e->data, size, NULL);
}

static void on_events(struct journal_reader *r)
{
	struct job *job = r->arg;
	struct journal_event e;

	while (journal_get(r->journal, job->cases->seen + 1, &e)) {
		job->cases->seen++;
		take_event(job, &e);
	}
}

static void tell(struct job *job, json_t *event)
{
	char *text = event ? json_dumps(event, JOB_RESULT_DUMP) : NULL;

	if (text)
		job_status(job, text);
	free(text);
	json_decref(event);
}

static void tell_begin(struct job *job, size_t number)
{
	tell(job, json_pack("{s:s, s:s}", "state", "case", "case", job->spec->cases[number].id));
}

static void tell_over(struct job *job, size_t number, const json_t *of_case)
{
	tell(job,
	     json_pack("{s:s, s:s, s:O, s:O, s:O, s:O}", "state", "case_over", "case", job->spec->cases[number].id,
		       "status", json_object_get(of_case, "status"), "reason", json_object_get(of_case, "reason"),
		       "passed", json_object_get(of_case, "passed"), "wall_ms", json_object_get(of_case, "wall_ms")));
}

/* ---- figures of all ---- */

static void add(uint64_t *sum, uint64_t more)
{
	*sum = *sum == UINT64_MAX || more == UINT64_MAX ? UINT64_MAX : *sum + more;
}

static void keep_most(uint64_t *most, uint64_t value)
{
	if (*most != UINT64_MAX && (value == UINT64_MAX || value > *most))
		*most = value;
}

/* Times of all cases together, and the most that one of them had of the rest. */
static void add_figures(struct stage_result *to, const struct stage_result *s)
{
	if (!s->has_run)
		return;
	if (!to->has_run)
		*to = (struct stage_result){ .has_run = true };
	add(&to->wall_ns, s->wall_ns);
	add(&to->cpu_ns, s->cpu_ns);
	add(&to->user_ns, s->user_ns);
	add(&to->system_ns, s->system_ns);
	keep_most(&to->memory_peak_bytes, s->memory_peak_bytes);
	keep_most(&to->processes_peak, s->processes_peak);
	keep_most(&to->disk_bytes, s->disk_bytes);
	to->is_cut[0] |= s->is_cut[0];
	to->is_cut[1] |= s->is_cut[1];
}

/* ---- one is over ---- */

/* It could not be run, and that is our doing: so it is of the whole. */
static void take_fault(struct job *job, const struct job *child, const struct verdict *v)
{
	if (json_array_size(job->cases->list) == 0) /* nothing has run: as if the job had not been started */
		job->trouble = child->trouble;
	job->internal = child->internal;
	job_stop(job, STOP_INTERNAL, v->reason);
}

static void compiled(struct job *job, const struct job *child, const struct job_result *r)
{
	struct job_cases *c = job->cases;
	struct stage_result *s = &job->result.compile;

	*s = r->compile;
	for (int i = 0; i < 2; i++) { /* where it is in our own journal, the first thing there is */
		uint64_t there = journal_bytes(job->journal, i == 0 ? JOURNAL_STDOUT : JOURNAL_STDERR);

		s->output_at[i] = 0;
		s->output_size[i] = s->output_size[i] < there ? s->output_size[i] : there;
	}
	c->is_compiled = true;
	if (r->verdict.status == VERDICT_INTERNAL_ERROR) {
		take_fault(job, child, &r->verdict);
	} else if (r->verdict.status != VERDICT_OK) {
		c->verdict = r->verdict;
		c->has_failed = true;
		c->next = job->spec->n_cases; /* there is nothing to run */
	}
}

/* 1 it passed, 0 it did not, -1 nothing was expected. why: CHECKER_WHY_BYTES */
static int check(const struct job *job, size_t number, const struct job_result *r, struct journal *journal, char *why)
{
	const struct job_case *of = &job->spec->cases[number];
	cleanup_buf struct buf out = BUF_BOUNDED((size_t)1 << 40); /* the limit of output bounds it */
	struct checked_text found;

	why[0] = '\0';
	if (!of->expected)
		return -1;
	if (r->verdict.status != VERDICT_OK)
		return 0;
	if (journal_part(journal, JOURNAL_STDOUT, r->run.output_at[0], r->run.output_size[0], &out) < 0) {
		(void)snprintf(why, CHECKER_WHY_BYTES, "its output cannot be read");
		return 0;
	}
	found = (struct checked_text){ out.data, out.size };
	return checker_accepts(job->spec->checker, job->spec->tolerance,
			       (struct checked_text){ of->expected, of->expected_size }, found, why);
}

/* Output and files beyond what the result takes are left out, and it says so. */
static void fit(struct job_cases *c, struct job_result *r)
{
	for (int i = 0; i < 2; i++) {
		if (r->run.output_size[i] > c->room) {
			r->run.output_size[i] = c->room;
			r->run.is_cut[i] = true;
		}
		c->room -= r->run.output_size[i];
	}
	for (size_t i = 0; i < r->n_outputs; i++) {
		struct job_output *o = &r->outputs[i];

		if (!o->data)
			continue;
		if (o->size <= c->outputs_room) {
			c->outputs_room -= o->size;
			continue;
		}
		free(o->data);
		o->data = NULL;
		(void)snprintf(o->left_out, sizeof(o->left_out), "the result is full with what earlier cases made");
		r->is_outputs_cut = true;
	}
}

static void ran(struct job *job, struct job *child)
{
	struct job_cases *c = job->cases;
	struct job_result *r = &child->result;
	size_t number = c->next++;
	char why[CHECKER_WHY_BYTES];
	json_t *of_case;
	int passed;

	if (r->verdict.status == VERDICT_INTERNAL_ERROR) {
		take_fault(job, child, &r->verdict);
		return;
	}
	passed = check(job, number, r, child->journal, why);
	fit(c, r);
	add_figures(&job->result.run, &r->run);
	of_case = job_result_case_json(job->spec->cases[number].id, r, child->journal, passed, why);
	tell_over(job, number, of_case);
	if (json_array_append_new(c->list, of_case) < 0) {
		job_stop(job, STOP_INTERNAL, "out of memory");
		return;
	}
	c->n_expecting += passed >= 0;
	c->n_passed += passed == 1;
	if (r->verdict.status != VERDICT_OK && c->verdict.status == VERDICT_OK) {
		c->verdict = r->verdict;
		(void)snprintf(c->verdict.reason, sizeof(c->verdict.reason), "case %s: %.120s",
			       job->spec->cases[number].id, r->verdict.reason);
	}
	c->has_failed = c->has_failed || passed == 0 || r->verdict.status != VERDICT_OK;
}

static void on_child_over(struct job *child, const struct job_result *result, void *arg)
{
	struct job *job = arg;
	struct job_cases *c = job->cases;

	on_events(&c->reader);
	journal_leave(&c->reader);
	c->child = NULL;
	if (!*job->result.policy_digest) { /* borrowed from the child, which goes */
		(void)text_copy(job->sandbox.policy_digest, sizeof(job->sandbox.policy_digest), result->policy_digest);
		job->result.policy_digest = job->sandbox.policy_digest;
	}
	if (job->stop == STOP_NONE && !c->is_compiled)
		compiled(job, child, result);
	else if (job->stop == STOP_NONE)
		ran(job, child);
	go_on(job);
}

/* ---- one begins ---- */

static int begin(struct job *job, struct job_spec *spec, struct error *err)
{
	struct job_cases *c = job->cases;
	struct job_order order = { .owner = job->owner,
				   .space = job->space,
				   .attempt = job->attempt,
				   .is_direct = true, /* a new front ends it: nobody runs one alone again */
				   .spec = spec,
				   .over = on_child_over,
				   .arg = job };
	char id[sizeof(job->id)];
	int r;

	/* a name for logs and tags: nobody is told it */
	(void)snprintf(id, sizeof(id), "%.52s.%zu", job->id, c->is_compiled ? c->next + 1 : 0);
	order.id = id;
	r = engine_start_child(job, &order, &c->child, err);
	if (r < 0)
		return r;
	c->seen = 0;
	c->reader = (struct journal_reader){ .notify = on_events, .arg = job };
	journal_join(job_journal(c->child), &c->reader);
	return 0;
}

static bool is_at_end(const struct job *job)
{
	const struct job_cases *c = job->cases;

	return job->stop != STOP_NONE || (c->is_compiled && c->next == job->spec->n_cases) ||
	       (c->has_failed && job->spec->stops_at_failure);
}

static void go_on(struct job *job)
{
	struct job_cases *c = job->cases;
	struct error err = ERROR_INIT;
	struct job_spec *spec;

	if (job->state != JOB_CASES || c->child)
		return;
	if (is_at_end(job)) {
		job_event(job, JOB_EV_ENDED, NULL);
		return;
	}
	if (c->is_compiled)
		tell_begin(job, c->next);
	spec = c->is_compiled ? job_spec_of_case(job->spec, c->next) : job_spec_of_compile(job->spec);
	if (begin(job, spec, &err) < 0)
		job_fail(job, &err);
}

/* ---- for job.c ---- */

void job_cases_begin(struct job *job)
{
	struct job_cases *c = alloc_zeroed(1, sizeof(*c));
	uint64_t most = job->engine->o.settings->max_output;

	job->cases = c;
	c->list = json_array();
	c->room = c->live_room = c->outputs_room = most;
	c->verdict = (struct verdict){ .exit_code = -1 };
	c->is_compiled = !job->def->compile.argv;
	job->result.started_ms = time_now_ms();
	job_status(job, c->is_compiled ? "{\"state\":\"running\"}" : "{\"state\":\"compiling\"}");
	job_enter(job, JOB_CASES);
	go_on(job);
}

void job_cases_stop(struct job *job)
{
	struct job_cases *c = job->cases;

	if (c->child) /* over() comes later, and we go on then */
		job_stop(c->child, job->stop, job->stop_reason[0] ? job->stop_reason : NULL);
	else
		go_on(job);
}

void job_cases_judge(struct job *job)
{
	struct job_cases *c = job->cases;
	struct job_result *r = &job->result;

	r->verdict = c->verdict;
	if (c->verdict.status == VERDICT_OK && c->n_passed < c->n_expecting)
		(void)snprintf(r->verdict.reason, sizeof(r->verdict.reason), "%zu of %zu cases passed", c->n_passed,
			       c->n_expecting);
	r->verdict.exit_code = -1; /* each case has one of its own */
	r->verdict.signal = 0;
}

/* What there is by now, also of a job that was stopped; a case that did not run is there without a status. */
void job_cases_result(struct job *job)
{
	struct job_cases *c = job->cases;
	struct job_result *r = &job->result;

	for (size_t i = json_array_size(c->list); i < job->spec->n_cases; i++)
		(void)json_array_append_new(c->list, job_result_no_case_json(job->spec->cases[i].id));
	r->cases = json_incref(c->list);
	r->passed = c->n_expecting == 0 && !c->has_failed ? -1 : !c->has_failed && job->stop == STOP_NONE;
	r->run.output_at[0] = r->run.output_at[1] = r->run.output_size[0] = r->run.output_size[1] = 0;
}

void job_cases_free(struct job_cases *c)
{
	if (!c)
		return;
	json_decref(c->list);
	free(c);
}
