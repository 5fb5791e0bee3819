/*
 * cubit run: a program run by the daemon as if it ran here: its output as it comes, its exit status at the end.
 *
 * How it works: the job is queued (POST /v1/jobs), then its events are followed (follow.c). SIGINT and SIGTERM, and a
 * reader of our output that goes away, cancel the job.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/follow.h"
#include "tools/cubit/handed_back.h"
#include "tools/cubit/listing.h"
#include "tools/cubit/submission.h"
#include "tools/cubit/talk.h"
#include "tools/cubit/terminal.h"

static bool is_quiet, may_overwrite, is_interactive, has_terminal;
enum { DEFAULT_COLS = 80, DEFAULT_ROWS = 24 };

static const char *output_dir = ".";
static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = signal;
}

/* The second one ends us at once. */
static void catch_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	(void)sigaction(SIGINT, &a, NULL); /* cannot fail with these */
	(void)sigaction(SIGTERM, &a, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void cancel(struct invocation *v, const char *id)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;
	char path[192];

	client_set_interrupt(v->client, NULL);
	if (client_path(path, sizeof(path), "/v1/jobs/", id, "", &err) == 0)
		(void)client_call(v->client, "DELETE", path, NULL, &reply, &err);
	if (err.code && reply.status != 409 && !is_quiet) /* 409: it was over already */
		(void)fprintf(stderr, "cubit run: job %s is not cancelled: %s\n", id, err.text);
	else if (!is_quiet)
		(void)fprintf(stderr, "cubit run: cancelled (job %s)\n", id);
}

/* A name comes out of a sandbox: as JSON in ASCII nothing in it speaks to the terminal. */
static void say_left_out(const json_t *outputs)
{
	const json_t *file;
	size_t i;

	json_array_foreach(outputs, i, file)
	{
		const char *why = json_string_value(json_object_get(file, "left_out"));
		char *name =
			why ? json_dumps(json_object_get(file, "path"), JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

		if (name)
			(void)fprintf(stderr, "cubit run: %s is not handed back: %s\n", name, why);
		free(name);
	}
}

/* The result, for --json and for files that were handed back. */
static int take_result(struct invocation *v, const char *id, struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	char path[192];
	int r = client_path(path, sizeof(path), "/v1/jobs/", id, "", err);

	if (r == 0)
		r = client_call(v->client, "GET", path, NULL, &reply, err);
	if (r < 0)
		return r;
	if (v->is_json)
		listing_print_json(reply.json);
	if (submission.outputs.n == 0)
		return 0;
	if (json_is_true(json_object_get(reply.json, "outputs_truncated")) && !is_quiet)
		(void)fprintf(stderr, "cubit run: not all files could be handed back\n");
	if (!is_quiet)
		say_left_out(json_object_get(reply.json, "outputs"));
	r = handed_back_save(json_object_get(reply.json, "outputs"), output_dir, may_overwrite, err);
	return r < 0 ? (void)error_wrap(err, "handing back files"), -EIO : 0;
}

/* -i and -t: standard input stays open for us, and a terminal of the size of ours. */
static int add_talk(const struct invocation *v, json_t *request, struct error *err)
{
	uint16_t cols = DEFAULT_COLS, rows = DEFAULT_ROWS;
	int r = 0;

	if (is_interactive &&
	    (strcmp(v->arguments[1], "-") == 0 || (submission.input && strcmp(submission.input, "-") == 0)))
		return error_set(err, EINVAL,
				 "with -i standard input goes to the program, so it cannot be a file as well");
	if (is_interactive)
		r |= json_object_set_new(request, "interactive", json_true());
	(void)terminal_size(&cols, &rows);
	if (has_terminal)
		r |= json_object_set_new(request, "tty", json_pack("{s:i, s:i}", "cols", cols, "rows", rows));
	return r ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int follow(struct follow *f, struct error *err)
{
	struct talk talk = { .name = f->name, .is_quiet = f->is_quiet, .has_terminal = has_terminal };
	int r = 0;

	if (is_interactive) {
		r = talk_begin(&talk, err);
		f->talk = &talk;
	}
	if (r == 0)
		r = follow_job(f, err);
	if (is_interactive)
		talk_end(&talk);
	f->talk = NULL;
	return r;
}

static int watch(struct invocation *v, const char *id)
{
	struct follow f = {
		.client = v->client,
		.id = id,
		.name = "run",
		.is_silent = v->is_json,
		.is_quiet = is_quiet,
		.is_patient = true,
	};
	struct error err = ERROR_INIT;
	int r = follow(&f, &err);

	if (interrupted || f.is_pipe_closed) {
		cancel(v, id);
		return interrupted ? EXIT_SIGNAL + interrupted : EXIT_SIGNAL + SIGPIPE;
	}
	if (r == 0) {
		follow_print_verdict(&f);
		if (v->is_json || submission.outputs.n > 0)
			r = take_result(v, id, &err);
	}
	if (r == 0)
		return follow_exit_status(&f);
	if (r != -EIO && !f.is_over)
		(void)fprintf(stderr, "cubit run: job %s goes on; 'cubit job logs -f %s' shows it\n", id, id);
	return family_fail(v, &err);
}

static int run(struct invocation *v)
{
	cleanup_json json_t *request = NULL;
	struct error err = ERROR_INIT;
	char id[65];

	if (submission_build(v, false, &request, &err) < 0 || add_talk(v, request, &err) < 0) {
		(void)family_fail(v, &err);
		return EXIT_USAGE; /* nothing was done; 1 is the program's */
	}
	catch_signals();
	client_set_interrupt(v->client, &interrupted);
	if (submission_send(v, request, id, &err) < 0)
		return interrupted ? EXIT_SIGNAL + interrupted : family_fail(v, &err);
	return watch(v, id);
}

static const struct family_option options[] = {
	SUBMISSION_OPTIONS,
	{ "-i", NULL, FAMILY_FLAG, &is_interactive, "our standard input goes to the program, as it comes" },
	{ "-t", NULL, FAMILY_FLAG, &has_terminal, "the program runs in a terminal; with -i, ours hands it every key" },
	{ "--output-dir", "DIR", FAMILY_TEXT, &output_dir, "where the files of --output go (default: here)" },
	{ "--overwrite", NULL, FAMILY_FLAG, &may_overwrite, "they replace files that are there" },
	{ "--quiet", NULL, FAMILY_FLAG, &is_quiet,
	  "print nothing of our own on standard error, only what the program wrote" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "", "LANGUAGE FILE|- [ARGUMENT...]", 2, FAMILY_ARGUMENTS_MAX, run, options,
	  "Run a program in a sandbox of the daemon, with its output as it comes." },
	{ NULL },
};

const struct family run_family = {
	"run",
	calls,
	"FILE - is standard input. Options of the program itself go behind --.\n"
	"exit status: that of the program; 128 + its signal; 124 it took too long; 125 another limit;\n"
	"1 it does not compile; 130 cancelled; 2 the command line was wrong; 3 the daemon cannot be\n"
	"reached, or it refused. cubit-run(1) says how to tell ours from the program's.\n",
	false,
};

int run_main(int argc, char **argv)
{
	return family_main(&run_family, argc, argv);
}
