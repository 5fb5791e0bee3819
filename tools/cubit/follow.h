/*
 * Watching a job: its events as they come, its output written as bytes to standard output and standard error. A
 * connection that breaks off, or a daemon that is restarted, is come back to with the number of the last event.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct client;
struct error;
struct talk;

enum {
	EXIT_TIME_LIMIT = 124, /* as timeout(1) has it */
	EXIT_LIMIT = 125,      /* another limit, and the program left no status of its own */
	EXIT_CANCELLED = 130,
	EXIT_SIGNAL = 128, /* + the signal */
};

struct follow {
	/* set by the caller; zero for the rest */
	struct client *client;
	const char *id;
	bool is_silent;    /* no output of the job is written */
	bool is_json;      /* the events as they are, a line each, instead of the output */
	bool is_quiet;     /* no words of ours either */
	bool is_present;   /* what there is now, not what comes */
	bool is_patient;   /* try for a while when the daemon cannot be reached */
	const char *name;  /* for words: "run" */
	struct talk *talk; /* our standard input goes to the job; NULL: it does not */

	/* what was seen */
	uint64_t seen; /* number of the last event */
	bool is_over;  /* the rest is known */
	char status[32], reason[256];
	int exit_code;       /* -1 none */
	int signal;          /* 0 none */
	bool is_pipe_closed; /* nobody reads what we write */
};

/* Returns 0 when the job is over (or, with is_present, all is shown), or -errno: as client.h, -EPIPE nobody reads. */
int follow_job(struct follow *f, struct error *err);

/* What a program that stands for the job exits with: see cubit-run(1). */
int follow_exit_status(const struct follow *f);

/* "time_limit: wall time ..." on standard error, unless all is well or it is quiet. */
void follow_print_verdict(const struct follow *f);
