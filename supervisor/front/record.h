/*
 * A result on its way into the database. Tried until it is there: a full disk or a database that is behind delays a
 * result, it never loses one.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <uv.h>

struct audit_who;
struct auth;
struct job;
struct job_result;
struct source;

/* Borrowed, and so is what it names, until the last result has its answer. */
struct record_env {
	uv_loop_t *loop;
	struct auth *auth;
};

enum recorded { RECORDED, RECORD_FENCED /* another attempt owns the job */, RECORD_FAILED /* a direct run only */ };
typedef void record_fn(enum recorded how, void *arg);

/*
 * source   where the job came from; of a direct run the home of the front
 * attempt  of the lease; 0 for a direct run, whose request is then `spec` (canonical text, borrowed)
 * who      asked for it, for the audit log; NULL: its owner, once (who submitted it has a line of its own)
 * json     the result; owned from here on; NULL is out of memory
 * fn       called once, on the loop, never from inside this call. The owner's quota was given back by then.
 */
void record_result(const struct record_env *env, struct source *source, struct job *job,
		   const struct job_result *result, unsigned attempt, char *json, const char *spec,
		   const struct audit_who *who, record_fn *fn, void *arg);
