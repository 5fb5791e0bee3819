/* cubit job: queued jobs: submit, list, look, watch, wait, cancel. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/follow.h"
#include "tools/cubit/job_list.h"
#include "tools/cubit/listing.h"
#include "tools/cubit/submission.h"

static bool is_followed, is_quiet;
static const char *state, *owner, *limit;

/* ---- submit ---- */

static int submit(struct invocation *v)
{
	cleanup_json json_t *request = NULL;
	struct error err = ERROR_INIT;
	char id[65];

	if (submission_build(v, true, &request, &err) < 0) {
		(void)family_fail(v, &err);
		return EXIT_USAGE;
	}
	if (submission_send(v, request, id, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json)
		printf("{\"id\":\"%s\"}\n", id);
	else
		printf("%s\n", id);
	return EXIT_YES;
}

/* ---- ls ---- */

static const struct column job_columns[] = {
	{ "ID", "id", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },
	{ "STATUS", "status", COLUMN_TEXT },
	{ "RUNTIME", "runtime", COLUMN_TEXT },
	{ "OWNER", "owner", COLUMN_TEXT },
	{ "PRIORITY", "priority", COLUMN_NUMBER },
	{ "ATTEMPT", "attempt", COLUMN_NUMBER },
	{ "QUEUED (UTC)", "queued_at", COLUMN_TIME },
	{ "FINISHED (UTC)", "finished_at", COLUMN_TIME },
	{ "REASON", "reason", COLUMN_TEXT },
	{ NULL },
};

int job_list(struct invocation *v, const char *path, const char *const *queries, const char *most, const char *empty)
{
	return listing_run(v, path, queries, most, "jobs", job_columns, empty);
}

static int ls(struct invocation *v)
{
	const char *const queries[] = { "state", state, "owner", owner, NULL };

	return job_list(v, "/v1/jobs", queries, limit, "no jobs");
}

/* ---- show ---- */

static void print_stream(const json_t *job, const char *key)
{
	char encoding[32];
	const json_t *text = json_object_get(job, key);

	(void)snprintf(encoding, sizeof(encoding), "%s_encoding", key);
	if (json_is_string(text))
		printf("%-18s %zu bytes%s\n", key, json_string_length(text),
		       json_object_get(job, encoding) ? " of base64" : "");
}

static int one(struct invocation *v, const char *method, const char *start, const char *id, const char *more,
	       struct client_reply *ret, struct error *err)
{
	char path[192];
	int r = client_path(path, sizeof(path), start, id, more, err);

	return r < 0 ? r : client_call(v->client, method, path, NULL, ret, err);
}

int job_show(struct invocation *v)
{
	static const char *const skip[] = { "stdout", "stderr", "stdout_encoding", "stderr_encoding", "outputs", NULL };
	int status = EXIT_YES;

	for (size_t i = 0; i < v->n; i++) {
		cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
		struct error err = ERROR_INIT;

		if (one(v, "GET", "/v1/jobs/", v->arguments[i], "", &reply, &err) < 0) {
			status = family_fail(v, &err);
			continue;
		}
		if (v->is_json) {
			listing_print_json(reply.json);
			continue;
		}
		if (i > 0)
			putchar('\n');
		listing_print_object(reply.json, skip);
		print_stream(reply.json, "stdout");
		print_stream(reply.json, "stderr");
		if (json_array_size(json_object_get(reply.json, "outputs")) > 0) {
			static const struct column columns[] = { { "OUTPUT", "path", COLUMN_TEXT },
								 { "SIZE", "size", COLUMN_BYTES },
								 { NULL } };

			listing_print(columns, json_object_get(reply.json, "outputs"));
		}
	}
	return status;
}

/* ---- logs, wait ---- */

static int logs(struct invocation *v)
{
	struct follow f = {
		.client = v->client,
		.id = v->arguments[0],
		.name = v->name,
		.is_json = v->is_json,
		.is_present = !is_followed,
	};
	struct error err = ERROR_INIT;

	(void)signal(SIGPIPE, SIG_IGN);
	if (follow_job(&f, &err) < 0)
		return f.is_pipe_closed ? EXIT_SIGNAL + SIGPIPE : family_fail(v, &err);
	return EXIT_YES;
}

/* The exit status is that of the first job that did not end well. */
static int wait_for(struct invocation *v)
{
	int status = EXIT_YES;

	for (size_t i = 0; i < v->n; i++) {
		struct follow f = {
			.client = v->client,
			.id = v->arguments[i],
			.name = v->name,
			.is_silent = true,
			.is_quiet = true,
		};
		struct error err = ERROR_INIT;
		int this;

		if (follow_job(&f, &err) < 0) {
			this = family_fail(v, &err);
		} else {
			this = follow_exit_status(&f);
			if (v->is_json) {
				json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", f.id, "status", f.status,
						      "reason", f.reason, "exit_code",
						      f.exit_code < 0 ? json_null() : json_integer(f.exit_code),
						      "signal", f.signal ? json_integer(f.signal) : json_null());

				listing_print_json(o);
				json_decref(o);
			} else if (!is_quiet) {
				printf("%s %s%s%s\n", f.id, f.status, f.reason[0] ? ": " : "", f.reason);
			}
			(void)fflush(stdout);
		}
		if (status == EXIT_YES)
			status = this;
	}
	return status;
}

/* ---- cancel ---- */

int job_each(struct invocation *v, const char *method, const char *start, const char *more, const char *done)
{
	int status = EXIT_YES;

	for (size_t i = 0; i < v->n; i++) {
		cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
		struct error err = ERROR_INIT;

		if (one(v, method, start, v->arguments[i], more, &reply, &err) < 0)
			status = family_fail(v, &err);
		else if (v->is_json && reply.json)
			listing_print_json(reply.json);
		else if (!v->is_json)
			printf("%s %s\n", v->arguments[i], done);
	}
	return status;
}

static int cancel(struct invocation *v)
{
	return job_each(v, "DELETE", "/v1/jobs/", "", "cancelled");
}

/* ---- the table ---- */

static const struct family_option submit_options[] = {
	SUBMISSION_OPTIONS,
	{ "--priority", "N", FAMILY_TEXT, &submission.priority, "-100 to 100; higher goes first (default 0)" },
	{ "--delay", "TIME", FAMILY_TEXT, &submission.delay, "not before that has passed: 500ms, 10s, 2h" },
	{ "--callback", "URL", FAMILY_TEXT, &submission.callback, "POST the result there when it is over" },
	{ "--callback-secret", "SECRET", FAMILY_SECRET, &submission.callback_secret,
	  "and sign it with this, or @FILE that holds it" },
	{ "--idempotency-key", "KEY", FAMILY_TEXT, &submission.idempotency_key, "the same key twice is one job" },
	{ NULL },
};
static const struct family_option ls_options[] = {
	{ "--state", "STATE", FAMILY_TEXT, &state, "only those that are waiting, running, done, dead or cancelled" },
	{ "--owner", "OWNER", FAMILY_TEXT, &owner, "only those of one owner (admins)" },
	{ "--limit", "N", FAMILY_TEXT, &limit, "at most so many, the newest (default 50)" },
	{ NULL },
};
static const struct family_option logs_options[] = {
	{ "-f", NULL, FAMILY_FLAG, &is_followed, "go on until the job is over" },
	{ NULL },
};
static const struct family_option wait_options[] = {
	{ "--quiet", NULL, FAMILY_FLAG, &is_quiet, "only the exit status" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "submit", "LANGUAGE FILE|- [ARGUMENT...]", 2, FAMILY_ARGUMENTS_MAX, submit, submit_options,
	  "queue a program; prints its id" },
	{ "ls", "", 0, 0, ls, ls_options, "list jobs, the newest first" },
	{ "show", "ID...", 1, FAMILY_ARGUMENTS_MAX, job_show, NULL, "what is known of jobs" },
	{ "logs", "ID", 1, 1, logs, logs_options, "the output of a job, as it was written" },
	{ "wait", "ID...", 1, FAMILY_ARGUMENTS_MAX, wait_for, wait_options,
	  "wait until jobs are over; the exit status is theirs, as of cubit run" },
	{ "cancel", "ID...", 1, FAMILY_ARGUMENTS_MAX, cancel, NULL, "end jobs" },
	{ NULL },
};

const struct family job_family = { "job", calls, NULL, false };

int job_main(int argc, char **argv)
{
	return family_main(&job_family, argc, argv);
}
